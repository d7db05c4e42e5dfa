-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - rename_column: { table: users, column: name, to: full_name }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: statements of the last days that write to users with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- shown of them
SELECT TOP (10) LEFT(w.said, CHARINDEX(N'''', w.said + N'''') - 1) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';

-- 0 of: grants and denials on single columns of users, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'name') AND major_id = OBJECT_ID(N'dbo.users');
-- shown of them
SELECT TOP (10) COL_NAME(major_id, minor_id), state_desc, permission_name, USER_NAME(grantee_principal_id) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'name') AND major_id = OBJECT_ID(N'dbo.users');

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- ~ users.name may be left out (default '')
-- lock: brief
-- done: constraint df_users_name_9d958720 of dbo.users is there
ALTER TABLE dbo.users ADD CONSTRAINT df_users_name_9d958720 DEFAULT '' FOR name;

-- + column users.full_name varchar(200)
-- lock: brief
-- done: column full_name of dbo.users is there as varchar(200)
ALTER TABLE dbo.users ADD full_name varchar(200) NULL;

-- SYNC ----------------------------------------------------------------------------------------------------------------

-- + trigger zz_co_1_1_0_users_c307457b on users: name <-> full_name
-- lock: brief
-- done: trigger zz_co_1_1_0_users_c307457b of dbo.users is there
-- WARN: what writes to it with OUTPUT and without INTO fails with error 334 once it has a trigger (Entity Framework Core 7
-- and later writes so): plan cache and query store are searched for that, and they forget; bulk loads must FIRE_TRIGGERS
-- asked again, 0 of: statements of the last days that write to users with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- asked again, 0 of: grants and denials on single columns of users, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'name') AND major_id = OBJECT_ID(N'dbo.users');
CREATE TRIGGER dbo.zz_co_1_1_0_users_c307457b ON dbo.users AFTER INSERT, UPDATE AS
-- made by changeover for release 1.1.0; cleanup drops it
BEGIN
  SET NOCOUNT ON;
  SET ROWCOUNT 0;
  IF TRIGGER_NESTLEVEL(@@PROCID) > 1 OR NOT EXISTS (SELECT 1 FROM inserted) RETURN;
  DECLARE @changeover_insert bit = 1;
  IF EXISTS (SELECT 1 FROM deleted) SET @changeover_insert = 0;
  DECLARE @changeover_news_1 bit = 0, @changeover_olds_1 bit = 0;
  IF UPDATE(full_name) SET @changeover_news_1 = 1;
  IF UPDATE(name) SET @changeover_olds_1 = 1;
  UPDATE NEW SET name = CASE side.follows WHEN 'old' THEN NEW.full_name ELSE NEW.name END, full_name = CASE side.follows WHEN 'new' THEN NEW.name ELSE NEW.full_name END
  FROM dbo.users AS NEW INNER JOIN inserted AS written ON written.id = NEW.id
  LEFT JOIN deleted AS OLD ON OLD.id = NEW.id
  CROSS APPLY (SELECT CASE WHEN OLD.id IS NULL THEN CASE WHEN NEW.full_name IS NULL THEN 'new' WHEN @changeover_insert = 1 OR @changeover_news_1 = 1 THEN 'old' WHEN @changeover_olds_1 = 1 THEN 'new' END
    WHEN NOT EXISTS (SELECT CAST(NEW.full_name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.full_name) INTERSECT SELECT CAST(OLD.full_name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.full_name)) THEN CASE WHEN NOT OLD.full_name IS NULL THEN 'old' WHEN NOT EXISTS (SELECT CAST(NEW.name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.name) INTERSECT SELECT CAST(OLD.name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.name)) THEN 'old' WHEN NOT EXISTS (SELECT CAST(NEW.full_name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.full_name) INTERSECT SELECT CAST(NEW.name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.name)) THEN 'old' END
    WHEN NOT EXISTS (SELECT CAST(NEW.name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.name) INTERSECT SELECT CAST(OLD.name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.name)) THEN 'new'
    WHEN NEW.full_name IS NULL THEN 'new' END AS follows) AS side
  WHERE side.follows IS NOT NULL;
END;

-- BACKFILL ------------------------------------------------------------------------------------------------------------

-- ~ backfill users.full_name
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM dbo.users AS k ORDER BY k.id DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET full_name = name WHERE full_name IS NULL AND (name) IS NOT NULL AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id > @changeover_low_1 AND t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET full_name = name WHERE full_name IS NULL AND (name) IS NOT NULL AND id > @changeover_low_1 AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.users WHERE full_name IS NULL AND (name) IS NOT NULL;

-- VERIFY --------------------------------------------------------------------------------------------------------------

-- 0 of: rows of users whose full_name does not fit name
SELECT COUNT_BIG(*) FROM dbo.users WHERE (NOT EXISTS (SELECT CAST(name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(name) INTERSECT SELECT CAST(full_name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(full_name)) AND NOT EXISTS (SELECT CAST(full_name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(full_name) INTERSECT SELECT CAST(name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(name))) OR (full_name IS NULL AND (name) IS NOT NULL);
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE (NOT EXISTS (SELECT CAST(name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(name) INTERSECT SELECT CAST(full_name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(full_name)) AND NOT EXISTS (SELECT CAST(full_name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(full_name) INTERSECT SELECT CAST(name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(name))) OR (full_name IS NULL AND (name) IS NOT NULL);

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_users_c307457b; - column users.name (cannot be parked)
-- lock: brief
-- done: column name of dbo.users is not there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.users WITH (TABLOCKX, HOLDLOCK);
-- under the lock, 0 of: the trigger zz_co_1_1_0_users_c307457b on users is missing or disabled
SELECT 1 - COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(N'dbo.users') AND name = N'zz_co_1_1_0_users_c307457b' AND is_disabled = 0;
DROP TRIGGER dbo.zz_co_1_1_0_users_c307457b;
-- then
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_name_9d958720;
-- then
ALTER TABLE dbo.users DROP COLUMN name;

-- + not null users.full_name
-- lock: none
-- done: not_null full_name of dbo.users is there
ALTER TABLE dbo.users ALTER COLUMN full_name varchar(200) NOT NULL WITH (ONLINE = ON);

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_users_c307457b on users
-- lock: brief
-- done: trigger zz_co_1_1_0_users_c307457b of dbo.users is not there
DROP TRIGGER dbo.zz_co_1_1_0_users_c307457b;

-- - column users.full_name
-- lock: brief
-- done: column full_name of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_full_name_000cce84;
-- then
ALTER TABLE dbo.users DROP COLUMN full_name;

-- - default users.name
-- lock: brief
-- done: constraint df_users_name_9d958720 of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT df_users_name_9d958720;
