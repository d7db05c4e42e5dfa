-- Standard, Web, Express
--
-- names_columns: true
-- changes:
--   - change_type: { table: users, column: amount, type: bigint, to: amount_v2 }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: rows of users whose amount would not survive
SELECT COUNT_BIG(*) FROM dbo.users WHERE NOT EXISTS (SELECT amount INTERSECT SELECT CAST((TRY_CAST((TRY_CAST(amount AS bigint)) AS int)) AS int));
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE NOT EXISTS (SELECT amount INTERSECT SELECT CAST((TRY_CAST((TRY_CAST(amount AS bigint)) AS int)) AS int));

-- 0 of: statements of the last days that write to users with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- shown of them
SELECT TOP (10) LEFT(w.said, CHARINDEX(N'''', w.said + N'''') - 1) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';

-- 0 of: grants and denials on single columns of users, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'amount') AND major_id = OBJECT_ID(N'dbo.users');
-- shown of them
SELECT TOP (10) COL_NAME(major_id, minor_id), state_desc, permission_name, USER_NAME(grantee_principal_id) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'amount') AND major_id = OBJECT_ID(N'dbo.users');

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- + column users.amount_v2 bigint
-- lock: brief
-- done: column amount_v2 of dbo.users is there as bigint
ALTER TABLE dbo.users ADD amount_v2 bigint NULL;

-- SYNC ----------------------------------------------------------------------------------------------------------------

-- + trigger zz_co_1_1_0_users_c307457b on users: amount <-> amount_v2
-- lock: brief
-- done: trigger zz_co_1_1_0_users_c307457b of dbo.users is there
-- WARN: what writes to it with OUTPUT and without INTO fails with error 334 once it has a trigger (Entity Framework Core 7
-- and later writes so): plan cache and query store are searched for that, and they forget; bulk loads must FIRE_TRIGGERS
-- asked again, 0 of: statements of the last days that write to users with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- asked again, 0 of: grants and denials on single columns of users, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'amount') AND major_id = OBJECT_ID(N'dbo.users');
CREATE TRIGGER dbo.zz_co_1_1_0_users_c307457b ON dbo.users AFTER INSERT, UPDATE AS
-- made by changeover for release 1.1.0; cleanup drops it
BEGIN
  SET NOCOUNT ON;
  SET ROWCOUNT 0;
  IF TRIGGER_NESTLEVEL(@@PROCID) > 1 OR NOT EXISTS (SELECT 1 FROM inserted) RETURN;
  DECLARE @changeover_insert bit = 1;
  IF EXISTS (SELECT 1 FROM deleted) SET @changeover_insert = 0;
  DECLARE @changeover_news_1 bit = 0, @changeover_olds_1 bit = 0;
  IF UPDATE(amount_v2) SET @changeover_news_1 = 1;
  IF UPDATE(amount) SET @changeover_olds_1 = 1;
  UPDATE NEW SET amount = CASE side.follows WHEN 'old' THEN CAST(CAST(NEW.amount_v2 AS int) AS int) ELSE NEW.amount END, amount_v2 = CASE side.follows WHEN 'new' THEN CAST(CAST(NEW.amount AS bigint) AS bigint) ELSE NEW.amount_v2 END
  FROM dbo.users AS NEW INNER JOIN inserted AS written ON written.id = NEW.id
  LEFT JOIN deleted AS OLD ON OLD.id = NEW.id
  CROSS APPLY (SELECT CASE WHEN OLD.id IS NULL THEN CASE WHEN NEW.amount_v2 IS NULL THEN 'new' WHEN @changeover_insert = 1 OR @changeover_news_1 = 1 THEN 'old' WHEN @changeover_olds_1 = 1 THEN 'new' END
    WHEN NOT EXISTS (SELECT NEW.amount_v2 INTERSECT SELECT OLD.amount_v2) THEN CASE WHEN NOT OLD.amount_v2 IS NULL THEN 'old' WHEN NOT EXISTS (SELECT NEW.amount INTERSECT SELECT OLD.amount) THEN 'old' WHEN NOT EXISTS (SELECT NEW.amount_v2 INTERSECT SELECT CAST((CAST(NEW.amount AS bigint)) AS bigint)) THEN 'old' END
    WHEN NOT EXISTS (SELECT NEW.amount INTERSECT SELECT OLD.amount) THEN 'new'
    WHEN NEW.amount_v2 IS NULL THEN 'new' END AS follows) AS side
  WHERE side.follows IS NOT NULL;
END;

-- BACKFILL ------------------------------------------------------------------------------------------------------------

-- ~ backfill users.amount_v2
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM dbo.users AS k ORDER BY k.id DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET amount_v2 = CAST(amount AS bigint) WHERE amount_v2 IS NULL AND (CAST(amount AS bigint)) IS NOT NULL AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id > @changeover_low_1 AND t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET amount_v2 = CAST(amount AS bigint) WHERE amount_v2 IS NULL AND (CAST(amount AS bigint)) IS NOT NULL AND id > @changeover_low_1 AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.users WHERE amount_v2 IS NULL AND (CAST(amount AS bigint)) IS NOT NULL;

-- VERIFY --------------------------------------------------------------------------------------------------------------

-- 0 of: rows of users whose amount_v2 does not fit amount
SELECT COUNT_BIG(*) FROM dbo.users WHERE (NOT EXISTS (SELECT amount INTERSECT SELECT CAST((CAST(amount_v2 AS int)) AS int)) AND NOT EXISTS (SELECT amount_v2 INTERSECT SELECT CAST((CAST(amount AS bigint)) AS bigint))) OR (amount_v2 IS NULL AND (CAST(amount AS bigint)) IS NOT NULL);
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE (NOT EXISTS (SELECT amount INTERSECT SELECT CAST((CAST(amount_v2 AS int)) AS int)) AND NOT EXISTS (SELECT amount_v2 INTERSECT SELECT CAST((CAST(amount AS bigint)) AS bigint))) OR (amount_v2 IS NULL AND (CAST(amount AS bigint)) IS NOT NULL);

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_users_c307457b; - column users.amount (parked as zz_gone_1_1_0_users_amount_a14648fd); ~ default users.amount_v2; - constraint DF__users__amount__1A2B3C4D
-- lock: brief
-- done: column amount of dbo.users is not there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.users WITH (TABLOCKX, HOLDLOCK);
-- under the lock, 0 of: the trigger zz_co_1_1_0_users_c307457b on users is missing or disabled
SELECT 1 - COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(N'dbo.users') AND name = N'zz_co_1_1_0_users_c307457b' AND is_disabled = 0;
DROP TRIGGER dbo.zz_co_1_1_0_users_c307457b;
-- then
ALTER TABLE dbo.users DROP CONSTRAINT [DF__users__amount__1A2B3C4D];
-- then
ALTER TABLE dbo.users ALTER COLUMN amount int NULL;
-- then
EXECUTE sys.sp_rename N'dbo.users.amount', N'zz_gone_1_1_0_users_amount_a14648fd', N'COLUMN';
-- then
ALTER TABLE dbo.users ADD CONSTRAINT df_users_amount_v2_f55f4d26 DEFAULT ((0)) FOR amount_v2;

-- + not null users.amount_v2
-- lock: rewrite
-- done: not_null amount_v2 of dbo.users is there
-- WARN: every row is read while nobody can use the table
ALTER TABLE dbo.users ALTER COLUMN amount_v2 bigint NOT NULL;

-- DROP ----------------------------------------------------------------------------------------------------------------

-- - column users.zz_gone_1_1_0_users_amount_a14648fd
-- lock: brief
-- done: column zz_gone_1_1_0_users_amount_a14648fd of dbo.users is not there
ALTER TABLE dbo.users DROP COLUMN zz_gone_1_1_0_users_amount_a14648fd;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_users_c307457b on users
-- lock: brief
-- done: trigger zz_co_1_1_0_users_c307457b of dbo.users is not there
DROP TRIGGER dbo.zz_co_1_1_0_users_c307457b;

-- - column users.amount_v2
-- lock: brief
-- done: column amount_v2 of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_amount_v2_f55f4d26;
-- then
ALTER TABLE dbo.users DROP COLUMN amount_v2;
