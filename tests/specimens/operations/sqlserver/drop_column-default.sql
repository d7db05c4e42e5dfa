-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - drop_column: { table: users, column: legacy }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, legacy varchar(40) NOT NULL CONSTRAINT users_legacy_d DEFAULT 'L')

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - column users.legacy (parked as zz_gone_1_1_0_users_legacy_d81251c0); - constraint users_legacy_d
-- lock: brief
-- done: column legacy of dbo.users is not there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.users WITH (TABLOCKX, HOLDLOCK);
ALTER TABLE dbo.users DROP CONSTRAINT users_legacy_d;
-- then
ALTER TABLE dbo.users ALTER COLUMN legacy varchar(40) NULL;
-- then
EXECUTE sys.sp_rename N'dbo.users.legacy', N'zz_gone_1_1_0_users_legacy_d81251c0', N'COLUMN';

-- DROP ----------------------------------------------------------------------------------------------------------------

-- - column users.zz_gone_1_1_0_users_legacy_d81251c0
-- lock: brief
-- done: column zz_gone_1_1_0_users_legacy_d81251c0 of dbo.users is not there
ALTER TABLE dbo.users DROP COLUMN zz_gone_1_1_0_users_legacy_d81251c0;
