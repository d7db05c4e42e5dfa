-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - add_column: { table: users, column: name_lc, type: varchar(200), not_null: true, from: "lower(name)" }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: statements of the last days that write to users with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- shown of them
SELECT TOP (10) LEFT(w.said, CHARINDEX(N'''', w.said + N'''') - 1) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- + column users.name_lc varchar(200)
-- lock: brief
-- done: column name_lc of dbo.users is there as varchar(200)
ALTER TABLE dbo.users ADD name_lc varchar(200) NULL;

-- SYNC ----------------------------------------------------------------------------------------------------------------

-- + trigger zz_co_1_1_0_users_c307457b on users: name -> name_lc
-- lock: brief
-- done: trigger zz_co_1_1_0_users_c307457b of dbo.users is there
-- WARN: what writes to it with OUTPUT and without INTO fails with error 334 once it has a trigger (Entity Framework Core 7
-- and later writes so): plan cache and query store are searched for that, and they forget; bulk loads must FIRE_TRIGGERS
-- asked again, 0 of: statements of the last days that write to users with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
CREATE TRIGGER dbo.zz_co_1_1_0_users_c307457b ON dbo.users AFTER INSERT, UPDATE AS
-- made by changeover for release 1.1.0; cleanup drops it
BEGIN
  SET NOCOUNT ON;
  SET ROWCOUNT 0;
  IF TRIGGER_NESTLEVEL(@@PROCID) > 1 OR NOT EXISTS (SELECT 1 FROM inserted) RETURN;
  DECLARE @changeover_insert bit = 1;
  IF EXISTS (SELECT 1 FROM deleted) SET @changeover_insert = 0;
  DECLARE @changeover_news_1 bit = 0, @changeover_olds_1 bit = 0;
  IF UPDATE(name_lc) SET @changeover_news_1 = 1;
  IF UPDATE(name) SET @changeover_olds_1 = 1;
  UPDATE NEW SET name_lc = CASE side.follows WHEN 'new' THEN CAST(lower(NEW.name) AS varchar(max)) COLLATE DATABASE_DEFAULT ELSE NEW.name_lc END
  FROM dbo.users AS NEW INNER JOIN inserted AS written ON written.id = NEW.id
  LEFT JOIN deleted AS OLD ON OLD.id = NEW.id
  CROSS APPLY (SELECT CASE WHEN NEW.name_lc IS NULL THEN 'new'
    WHEN OLD.id IS NULL THEN CASE WHEN @changeover_insert = 0 AND @changeover_olds_1 = 1 AND @changeover_news_1 = 0 THEN 'new' END
    WHEN NOT EXISTS (SELECT CAST(NEW.name_lc AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.name_lc) INTERSECT SELECT CAST(OLD.name_lc AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.name_lc)) THEN NULL
    WHEN NOT EXISTS (SELECT CAST(NEW.name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.name) INTERSECT SELECT CAST(OLD.name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.name)) THEN 'new' END AS follows) AS side
  WHERE side.follows IS NOT NULL;
END;

-- BACKFILL ------------------------------------------------------------------------------------------------------------

-- ~ backfill users.name_lc
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM dbo.users AS k ORDER BY k.id DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET name_lc = lower(name) WHERE name_lc IS NULL AND (lower(name)) IS NOT NULL AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id > @changeover_low_1 AND t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET name_lc = lower(name) WHERE name_lc IS NULL AND (lower(name)) IS NOT NULL AND id > @changeover_low_1 AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.users WHERE name_lc IS NULL AND (lower(name)) IS NOT NULL;

-- VERIFY --------------------------------------------------------------------------------------------------------------

-- 0 of: rows of users whose name_lc was never filled
SELECT COUNT_BIG(*) FROM dbo.users WHERE name_lc IS NULL AND (lower(name)) IS NOT NULL;
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE name_lc IS NULL AND (lower(name)) IS NOT NULL;

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_users_c307457b
-- lock: brief
-- done: trigger zz_co_1_1_0_users_c307457b of dbo.users is not there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.users WITH (TABLOCKX, HOLDLOCK);
-- under the lock, 0 of: the trigger zz_co_1_1_0_users_c307457b on users is missing or disabled
SELECT 1 - COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(N'dbo.users') AND name = N'zz_co_1_1_0_users_c307457b' AND is_disabled = 0;
DROP TRIGGER dbo.zz_co_1_1_0_users_c307457b;

-- + not null users.name_lc
-- lock: none
-- done: not_null name_lc of dbo.users is there
ALTER TABLE dbo.users ALTER COLUMN name_lc varchar(200) NOT NULL WITH (ONLINE = ON);

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_users_c307457b on users
-- lock: brief
-- done: trigger zz_co_1_1_0_users_c307457b of dbo.users is not there
DROP TRIGGER dbo.zz_co_1_1_0_users_c307457b;

-- - column users.name_lc
-- lock: brief
-- done: column name_lc of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_name_lc_1ca5b5f6;
-- then
ALTER TABLE dbo.users DROP COLUMN name_lc;
