-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - drop_column: { table: users, column: legacy, default: "'L'" }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, legacy varchar(40) NOT NULL)

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- ~ users.legacy may be left out (default 'L')
-- lock: brief
-- done: constraint df_users_legacy_1d1a4e4f of dbo.users is there
ALTER TABLE dbo.users ADD CONSTRAINT df_users_legacy_1d1a4e4f DEFAULT 'L' FOR legacy;

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - column users.legacy (parked as zz_gone_1_1_0_users_legacy_d81251c0)
-- lock: brief
-- done: column legacy of dbo.users is not there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.users WITH (TABLOCKX, HOLDLOCK);
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_legacy_1d1a4e4f;
-- then
ALTER TABLE dbo.users ALTER COLUMN legacy varchar(40) NULL;
-- then
EXECUTE sys.sp_rename N'dbo.users.legacy', N'zz_gone_1_1_0_users_legacy_d81251c0', N'COLUMN';

-- DROP ----------------------------------------------------------------------------------------------------------------

-- - column users.zz_gone_1_1_0_users_legacy_d81251c0
-- lock: brief
-- done: column zz_gone_1_1_0_users_legacy_d81251c0 of dbo.users is not there
ALTER TABLE dbo.users DROP COLUMN zz_gone_1_1_0_users_legacy_d81251c0;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - default users.legacy
-- lock: brief
-- done: constraint df_users_legacy_1d1a4e4f of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT df_users_legacy_1d1a4e4f;
