-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - drop_table: { table: logs }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))
-- CREATE TABLE logs (id bigint NOT NULL PRIMARY KEY, what varchar(200))

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - table logs (parked as zz_gone_1_1_0_logs_d976fd35)
-- lock: brief
-- done: table dbo.logs is not there
EXECUTE sys.sp_rename N'dbo.logs', N'zz_gone_1_1_0_logs_d976fd35';

-- DROP ----------------------------------------------------------------------------------------------------------------

-- - table zz_gone_1_1_0_logs_d976fd35
-- lock: brief
-- done: table zz_gone_1_1_0_logs_d976fd35 is not there
DROP TABLE zz_gone_1_1_0_logs_d976fd35;
