-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - merge_columns:
--       table: people
--       columns: [first, rest]
--       into: name
--       type: varchar(200)
--       up: "concat(first, ' ', rest)"
--       down: { first: "substring(name, 1, 3)", rest: "substring(name, 5, 200)" }
--       not_null: true
--
-- CREATE TABLE people (id bigint NOT NULL PRIMARY KEY, first varchar(40) NOT NULL, rest varchar(40) NOT NULL)

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: statements of the last days that write to people with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]people[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- shown of them
SELECT TOP (10) LEFT(w.said, CHARINDEX(N'''', w.said + N'''') - 1) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]people[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';

-- 0 of: grants and denials on single columns of people, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'first', N'rest') AND major_id = OBJECT_ID(N'dbo.people');
-- shown of them
SELECT TOP (10) COL_NAME(major_id, minor_id), state_desc, permission_name, USER_NAME(grantee_principal_id) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'first', N'rest') AND major_id = OBJECT_ID(N'dbo.people');

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- ~ people.first may be left out (default '')
-- lock: brief
-- done: constraint df_people_first_d200dc82 of dbo.people is there
ALTER TABLE dbo.people ADD CONSTRAINT df_people_first_d200dc82 DEFAULT '' FOR first;

-- ~ people.rest may be left out (default '')
-- lock: brief
-- done: constraint df_people_rest_6de06fcc of dbo.people is there
ALTER TABLE dbo.people ADD CONSTRAINT df_people_rest_6de06fcc DEFAULT '' FOR rest;

-- + column people.name varchar(200)
-- lock: brief
-- done: column name of dbo.people is there as varchar(200)
ALTER TABLE dbo.people ADD name varchar(200) NULL;

-- SYNC ----------------------------------------------------------------------------------------------------------------

-- + trigger zz_co_1_1_0_people_61657dbe on people: first, rest <-> name
-- lock: brief
-- done: trigger zz_co_1_1_0_people_61657dbe of dbo.people is there
-- WARN: what writes to it with OUTPUT and without INTO fails with error 334 once it has a trigger (Entity Framework Core 7
-- and later writes so): plan cache and query store are searched for that, and they forget; bulk loads must FIRE_TRIGGERS
-- asked again, 0 of: statements of the last days that write to people with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]people[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- asked again, 0 of: grants and denials on single columns of people, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'first', N'rest') AND major_id = OBJECT_ID(N'dbo.people');
CREATE TRIGGER dbo.zz_co_1_1_0_people_61657dbe ON dbo.people AFTER INSERT, UPDATE AS
-- made by changeover for release 1.1.0; cleanup drops it
BEGIN
  SET NOCOUNT ON;
  SET ROWCOUNT 0;
  IF TRIGGER_NESTLEVEL(@@PROCID) > 1 OR NOT EXISTS (SELECT 1 FROM inserted) RETURN;
  DECLARE @changeover_insert bit = 1;
  IF EXISTS (SELECT 1 FROM deleted) SET @changeover_insert = 0;
  DECLARE @changeover_news_1 bit = 0, @changeover_olds_1 bit = 0;
  IF UPDATE(name) SET @changeover_news_1 = 1;
  IF UPDATE(first) OR UPDATE(rest) SET @changeover_olds_1 = 1;
  UPDATE NEW SET first = CASE side.follows WHEN 'old' THEN CAST(substring(NEW.name, 1, 3) AS varchar(max)) COLLATE DATABASE_DEFAULT ELSE NEW.first END, rest = CASE side.follows WHEN 'old' THEN CAST(substring(NEW.name, 5, 200) AS varchar(max)) COLLATE DATABASE_DEFAULT ELSE NEW.rest END, name = CASE side.follows WHEN 'new' THEN CAST(concat(NEW.first, ' ', NEW.rest) AS varchar(max)) COLLATE DATABASE_DEFAULT ELSE NEW.name END
  FROM dbo.people AS NEW INNER JOIN inserted AS written ON written.id = NEW.id
  LEFT JOIN deleted AS OLD ON OLD.id = NEW.id
  CROSS APPLY (SELECT CASE WHEN OLD.id IS NULL THEN CASE WHEN NEW.name IS NULL THEN 'new' WHEN @changeover_insert = 1 OR @changeover_news_1 = 1 THEN 'old' WHEN @changeover_olds_1 = 1 THEN 'new' END
    WHEN NOT EXISTS (SELECT CAST(NEW.name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.name) INTERSECT SELECT CAST(OLD.name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.name)) THEN CASE WHEN NOT OLD.name IS NULL THEN 'old' WHEN (NOT EXISTS (SELECT CAST(NEW.first AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.first) INTERSECT SELECT CAST(OLD.first AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.first)) OR NOT EXISTS (SELECT CAST(NEW.rest AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.rest) INTERSECT SELECT CAST(OLD.rest AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.rest))) THEN 'old' WHEN NOT EXISTS (SELECT CAST(NEW.name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.name) INTERSECT SELECT CAST(CAST((concat(NEW.first, ' ', NEW.rest)) AS varchar(max)) AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(CAST((concat(NEW.first, ' ', NEW.rest)) AS varchar(max)))) THEN 'old' END
    WHEN (NOT EXISTS (SELECT CAST(NEW.first AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.first) INTERSECT SELECT CAST(OLD.first AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.first)) OR NOT EXISTS (SELECT CAST(NEW.rest AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.rest) INTERSECT SELECT CAST(OLD.rest AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.rest))) THEN 'new'
    WHEN NEW.name IS NULL THEN 'new' END AS follows) AS side
  WHERE side.follows IS NOT NULL;
END;

-- BACKFILL ------------------------------------------------------------------------------------------------------------

-- ~ backfill people.name
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM dbo.people AS k ORDER BY k.id DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.people AS t WHERE t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1; UPDATE dbo.people SET name = concat(first, ' ', rest) WHERE name IS NULL AND (concat(first, ' ', rest)) IS NOT NULL AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.people AS t WHERE t.id > @changeover_low_1 AND t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; UPDATE dbo.people SET name = concat(first, ' ', rest) WHERE name IS NULL AND (concat(first, ' ', rest)) IS NOT NULL AND id > @changeover_low_1 AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.people WHERE name IS NULL AND (concat(first, ' ', rest)) IS NOT NULL;

-- VERIFY --------------------------------------------------------------------------------------------------------------

-- 0 of: rows of people whose name does not fit first, rest
SELECT COUNT_BIG(*) FROM dbo.people WHERE ((NOT EXISTS (SELECT CAST(first AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(first) INTERSECT SELECT CAST(CAST((substring(name, 1, 3)) AS varchar(max)) AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(CAST((substring(name, 1, 3)) AS varchar(max)))) OR NOT EXISTS (SELECT CAST(rest AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(rest) INTERSECT SELECT CAST(CAST((substring(name, 5, 200)) AS varchar(max)) AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(CAST((substring(name, 5, 200)) AS varchar(max))))) AND NOT EXISTS (SELECT CAST(name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(name) INTERSECT SELECT CAST(CAST((concat(first, ' ', rest)) AS varchar(max)) AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(CAST((concat(first, ' ', rest)) AS varchar(max))))) OR (name IS NULL AND (concat(first, ' ', rest)) IS NOT NULL);
-- shown of them
SELECT TOP (10) id FROM dbo.people WHERE ((NOT EXISTS (SELECT CAST(first AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(first) INTERSECT SELECT CAST(CAST((substring(name, 1, 3)) AS varchar(max)) AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(CAST((substring(name, 1, 3)) AS varchar(max)))) OR NOT EXISTS (SELECT CAST(rest AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(rest) INTERSECT SELECT CAST(CAST((substring(name, 5, 200)) AS varchar(max)) AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(CAST((substring(name, 5, 200)) AS varchar(max))))) AND NOT EXISTS (SELECT CAST(name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(name) INTERSECT SELECT CAST(CAST((concat(first, ' ', rest)) AS varchar(max)) AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(CAST((concat(first, ' ', rest)) AS varchar(max))))) OR (name IS NULL AND (concat(first, ' ', rest)) IS NOT NULL);

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_people_61657dbe; - column people.first (parked as zz_gone_1_1_0_people_first_6b361fa1); - column people.rest (parked as zz_gone_1_1_0_people_rest_ace9c189)
-- lock: brief
-- done: column first of dbo.people is not there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.people WITH (TABLOCKX, HOLDLOCK);
-- under the lock, 0 of: the trigger zz_co_1_1_0_people_61657dbe on people is missing or disabled
SELECT 1 - COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(N'dbo.people') AND name = N'zz_co_1_1_0_people_61657dbe' AND is_disabled = 0;
DROP TRIGGER dbo.zz_co_1_1_0_people_61657dbe;
-- then
ALTER TABLE dbo.people DROP CONSTRAINT IF EXISTS df_people_first_d200dc82;
-- then
ALTER TABLE dbo.people DROP CONSTRAINT IF EXISTS df_people_rest_6de06fcc;
-- then
ALTER TABLE dbo.people ALTER COLUMN first varchar(40) NULL;
-- then
EXECUTE sys.sp_rename N'dbo.people.first', N'zz_gone_1_1_0_people_first_6b361fa1', N'COLUMN';
-- then
ALTER TABLE dbo.people ALTER COLUMN rest varchar(40) NULL;
-- then
EXECUTE sys.sp_rename N'dbo.people.rest', N'zz_gone_1_1_0_people_rest_ace9c189', N'COLUMN';

-- + not null people.name
-- lock: none
-- done: not_null name of dbo.people is there
ALTER TABLE dbo.people ALTER COLUMN name varchar(200) NOT NULL WITH (ONLINE = ON);

-- DROP ----------------------------------------------------------------------------------------------------------------

-- - column people.zz_gone_1_1_0_people_first_6b361fa1
-- lock: brief
-- done: column zz_gone_1_1_0_people_first_6b361fa1 of dbo.people is not there
ALTER TABLE dbo.people DROP COLUMN zz_gone_1_1_0_people_first_6b361fa1;

-- - column people.zz_gone_1_1_0_people_rest_ace9c189
-- lock: brief
-- done: column zz_gone_1_1_0_people_rest_ace9c189 of dbo.people is not there
ALTER TABLE dbo.people DROP COLUMN zz_gone_1_1_0_people_rest_ace9c189;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_people_61657dbe on people
-- lock: brief
-- done: trigger zz_co_1_1_0_people_61657dbe of dbo.people is not there
DROP TRIGGER dbo.zz_co_1_1_0_people_61657dbe;

-- - column people.name
-- lock: brief
-- done: column name of dbo.people is not there
ALTER TABLE dbo.people DROP CONSTRAINT IF EXISTS df_people_name_8b8ecb8e;
-- then
ALTER TABLE dbo.people DROP COLUMN name;

-- - default people.first
-- lock: brief
-- done: constraint df_people_first_d200dc82 of dbo.people is not there
ALTER TABLE dbo.people DROP CONSTRAINT df_people_first_d200dc82;

-- - default people.rest
-- lock: brief
-- done: constraint df_people_rest_6de06fcc of dbo.people is not there
ALTER TABLE dbo.people DROP CONSTRAINT df_people_rest_6de06fcc;
