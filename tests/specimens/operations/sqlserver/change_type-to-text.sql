-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - change_type: { table: users, column: amount, type: varchar(20), to: price,
--                    up: "CAST(amount AS varchar(20))", down: "CAST(price AS integer)" }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer)

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: statements of the last days that write to users with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- shown of them
SELECT TOP (10) LEFT(w.said, CHARINDEX(N'''', w.said + N'''') - 1) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';

-- 0 of: grants and denials on single columns of users, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'amount') AND major_id = OBJECT_ID(N'dbo.users');
-- shown of them
SELECT TOP (10) COL_NAME(major_id, minor_id), state_desc, permission_name, USER_NAME(grantee_principal_id) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'amount') AND major_id = OBJECT_ID(N'dbo.users');

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- + column users.price varchar(20)
-- lock: brief
-- done: column price of dbo.users is there as varchar(20)
ALTER TABLE dbo.users ADD price varchar(20) NULL;

-- SYNC ----------------------------------------------------------------------------------------------------------------

-- + trigger zz_co_1_1_0_users_c307457b on users: amount <-> price
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
  IF UPDATE(price) SET @changeover_news_1 = 1;
  IF UPDATE(amount) SET @changeover_olds_1 = 1;
  UPDATE NEW SET amount = CASE side.follows WHEN 'old' THEN CAST(CAST(NEW.price AS integer) AS int) ELSE NEW.amount END, price = CASE side.follows WHEN 'new' THEN CAST(CAST(NEW.amount AS varchar(20)) AS varchar(max)) COLLATE DATABASE_DEFAULT ELSE NEW.price END
  FROM dbo.users AS NEW INNER JOIN inserted AS written ON written.id = NEW.id
  LEFT JOIN deleted AS OLD ON OLD.id = NEW.id
  CROSS APPLY (SELECT CASE WHEN OLD.id IS NULL THEN CASE WHEN NEW.price IS NULL THEN 'new' WHEN @changeover_insert = 1 OR @changeover_news_1 = 1 THEN 'old' WHEN @changeover_olds_1 = 1 THEN 'new' END
    WHEN NOT EXISTS (SELECT CAST(NEW.price AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.price) INTERSECT SELECT CAST(OLD.price AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.price)) THEN CASE WHEN NOT OLD.price IS NULL THEN 'old' WHEN NOT EXISTS (SELECT NEW.amount INTERSECT SELECT OLD.amount) THEN 'old' WHEN NOT EXISTS (SELECT CAST(NEW.price AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.price) INTERSECT SELECT CAST(CAST((CAST(NEW.amount AS varchar(20))) AS varchar(max)) AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(CAST((CAST(NEW.amount AS varchar(20))) AS varchar(max)))) THEN 'old' END
    WHEN NOT EXISTS (SELECT NEW.amount INTERSECT SELECT OLD.amount) THEN 'new'
    WHEN NEW.price IS NULL THEN 'new' END AS follows) AS side
  WHERE side.follows IS NOT NULL;
END;

-- BACKFILL ------------------------------------------------------------------------------------------------------------

-- ~ backfill users.price
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM dbo.users AS k ORDER BY k.id DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET price = CAST(amount AS varchar(20)) WHERE price IS NULL AND (CAST(amount AS varchar(20))) IS NOT NULL AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id > @changeover_low_1 AND t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET price = CAST(amount AS varchar(20)) WHERE price IS NULL AND (CAST(amount AS varchar(20))) IS NOT NULL AND id > @changeover_low_1 AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.users WHERE price IS NULL AND (CAST(amount AS varchar(20))) IS NOT NULL;

-- VERIFY --------------------------------------------------------------------------------------------------------------

-- 0 of: rows of users whose price does not fit amount
SELECT COUNT_BIG(*) FROM dbo.users WHERE (NOT EXISTS (SELECT amount INTERSECT SELECT CAST((CAST(price AS integer)) AS int)) AND NOT EXISTS (SELECT CAST(price AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(price) INTERSECT SELECT CAST(CAST((CAST(amount AS varchar(20))) AS varchar(max)) AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(CAST((CAST(amount AS varchar(20))) AS varchar(max))))) OR (price IS NULL AND (CAST(amount AS varchar(20))) IS NOT NULL);
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE (NOT EXISTS (SELECT amount INTERSECT SELECT CAST((CAST(price AS integer)) AS int)) AND NOT EXISTS (SELECT CAST(price AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(price) INTERSECT SELECT CAST(CAST((CAST(amount AS varchar(20))) AS varchar(max)) AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(CAST((CAST(amount AS varchar(20))) AS varchar(max))))) OR (price IS NULL AND (CAST(amount AS varchar(20))) IS NOT NULL);

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_users_c307457b; - column users.amount (parked as zz_gone_1_1_0_users_amount_a14648fd)
-- lock: brief
-- done: column amount of dbo.users is not there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.users WITH (TABLOCKX, HOLDLOCK);
-- under the lock, 0 of: the trigger zz_co_1_1_0_users_c307457b on users is missing or disabled
SELECT 1 - COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(N'dbo.users') AND name = N'zz_co_1_1_0_users_c307457b' AND is_disabled = 0;
DROP TRIGGER dbo.zz_co_1_1_0_users_c307457b;
-- then
EXECUTE sys.sp_rename N'dbo.users.amount', N'zz_gone_1_1_0_users_amount_a14648fd', N'COLUMN';

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

-- - column users.price
-- lock: brief
-- done: column price of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_price_aa2c7679;
-- then
ALTER TABLE dbo.users DROP COLUMN price;
