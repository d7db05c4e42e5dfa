-- Standard, Web, Express
--
-- names_columns: true
-- changes:
--   - rename_column: { table: users, column: code, to: ticket }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, code varchar(40) NOT NULL, CONSTRAINT users_code_u UNIQUE (code))

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: statements of the last days that write to users with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- shown of them
SELECT TOP (10) LEFT(w.said, CHARINDEX(N'''', w.said + N'''') - 1) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';

-- 0 of: grants and denials on single columns of users, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'code') AND major_id = OBJECT_ID(N'dbo.users');
-- shown of them
SELECT TOP (10) COL_NAME(major_id, minor_id), state_desc, permission_name, USER_NAME(grantee_principal_id) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'code') AND major_id = OBJECT_ID(N'dbo.users');

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- ~ users.code may be left out (default CONVERT(nvarchar(36), NEWID()))
-- lock: brief
-- done: constraint df_users_code_c75d6d63 of dbo.users is there
ALTER TABLE dbo.users ADD CONSTRAINT df_users_code_c75d6d63 DEFAULT CONVERT(nvarchar(36), NEWID()) FOR code;

-- + column users.ticket varchar(40)
-- lock: brief
-- done: column ticket of dbo.users is there as varchar(40)
ALTER TABLE dbo.users ADD ticket varchar(40) NULL;

-- SYNC ----------------------------------------------------------------------------------------------------------------

-- + trigger zz_co_1_1_0_users_c307457b on users: code <-> ticket
-- lock: brief
-- done: trigger zz_co_1_1_0_users_c307457b of dbo.users is there
-- WARN: what writes to it with OUTPUT and without INTO fails with error 334 once it has a trigger (Entity Framework Core 7
-- and later writes so): plan cache and query store are searched for that, and they forget; bulk loads must FIRE_TRIGGERS
-- asked again, 0 of: statements of the last days that write to users with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- asked again, 0 of: grants and denials on single columns of users, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'code') AND major_id = OBJECT_ID(N'dbo.users');
CREATE TRIGGER dbo.zz_co_1_1_0_users_c307457b ON dbo.users AFTER INSERT, UPDATE AS
-- made by changeover for release 1.1.0; cleanup drops it
BEGIN
  SET NOCOUNT ON;
  SET ROWCOUNT 0;
  IF TRIGGER_NESTLEVEL(@@PROCID) > 1 OR NOT EXISTS (SELECT 1 FROM inserted) RETURN;
  DECLARE @changeover_insert bit = 1;
  IF EXISTS (SELECT 1 FROM deleted) SET @changeover_insert = 0;
  DECLARE @changeover_news_1 bit = 0, @changeover_olds_1 bit = 0;
  IF UPDATE(ticket) SET @changeover_news_1 = 1;
  IF UPDATE(code) SET @changeover_olds_1 = 1;
  UPDATE NEW SET code = CASE side.follows WHEN 'old' THEN NEW.ticket ELSE NEW.code END, ticket = CASE side.follows WHEN 'new' THEN NEW.code ELSE NEW.ticket END
  FROM dbo.users AS NEW INNER JOIN inserted AS written ON written.id = NEW.id
  LEFT JOIN deleted AS OLD ON OLD.id = NEW.id
  CROSS APPLY (SELECT CASE WHEN OLD.id IS NULL THEN CASE WHEN NEW.ticket IS NULL THEN 'new' WHEN @changeover_insert = 1 OR @changeover_news_1 = 1 THEN 'old' WHEN @changeover_olds_1 = 1 THEN 'new' END
    WHEN NOT EXISTS (SELECT CAST(NEW.ticket AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.ticket) INTERSECT SELECT CAST(OLD.ticket AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.ticket)) THEN CASE WHEN NOT OLD.ticket IS NULL THEN 'old' WHEN NOT EXISTS (SELECT CAST(NEW.code AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.code) INTERSECT SELECT CAST(OLD.code AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.code)) THEN 'old' WHEN NOT EXISTS (SELECT CAST(NEW.ticket AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.ticket) INTERSECT SELECT CAST(NEW.code AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.code)) THEN 'old' END
    WHEN NOT EXISTS (SELECT CAST(NEW.code AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.code) INTERSECT SELECT CAST(OLD.code AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.code)) THEN 'new'
    WHEN NEW.ticket IS NULL THEN 'new' END AS follows) AS side
  WHERE side.follows IS NOT NULL;
END;

-- BACKFILL ------------------------------------------------------------------------------------------------------------

-- ~ backfill users.ticket
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM dbo.users AS k ORDER BY k.id DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET ticket = code WHERE ticket IS NULL AND (code) IS NOT NULL AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id > @changeover_low_1 AND t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET ticket = code WHERE ticket IS NULL AND (code) IS NOT NULL AND id > @changeover_low_1 AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.users WHERE ticket IS NULL AND (code) IS NOT NULL;

-- VERIFY --------------------------------------------------------------------------------------------------------------

-- 0 of: rows of users whose ticket does not fit code
SELECT COUNT_BIG(*) FROM dbo.users WHERE (NOT EXISTS (SELECT CAST(code AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(code) INTERSECT SELECT CAST(ticket AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(ticket)) AND NOT EXISTS (SELECT CAST(ticket AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(ticket) INTERSECT SELECT CAST(code AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(code))) OR (ticket IS NULL AND (code) IS NOT NULL);
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE (NOT EXISTS (SELECT CAST(code AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(code) INTERSECT SELECT CAST(ticket AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(ticket)) AND NOT EXISTS (SELECT CAST(ticket AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(ticket) INTERSECT SELECT CAST(code AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(code))) OR (ticket IS NULL AND (code) IS NOT NULL);

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + unique users (ticket), rows with NULL left out
-- lock: scan
-- done: index zz_cn_users_users_code_u_0b6bf40b of dbo.users is there
-- WARN: this edition builds indexes while writers wait until it is done; sessions with QUOTED_IDENTIFIER or ANSI_NULLS off
-- cannot write to the table any more (error 1934)
CREATE UNIQUE INDEX zz_cn_users_users_code_u_0b6bf40b ON dbo.users (ticket) WHERE ticket IS NOT NULL;

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_users_c307457b; - column users.code (parked as zz_gone_1_1_0_users_code_4358b10e); - constraint users_code_u
-- lock: brief
-- done: column code of dbo.users is not there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.users WITH (TABLOCKX, HOLDLOCK);
-- under the lock, 0 of: the trigger zz_co_1_1_0_users_c307457b on users is missing or disabled
SELECT 1 - COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(N'dbo.users') AND name = N'zz_co_1_1_0_users_c307457b' AND is_disabled = 0;
DROP TRIGGER dbo.zz_co_1_1_0_users_c307457b;
-- then
ALTER TABLE dbo.users DROP CONSTRAINT users_code_u;
-- then
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_code_c75d6d63;
-- then
ALTER TABLE dbo.users ALTER COLUMN code varchar(40) NULL;
-- then
EXECUTE sys.sp_rename N'dbo.users.code', N'zz_gone_1_1_0_users_code_4358b10e', N'COLUMN';

-- + not null users.ticket
-- lock: rewrite
-- done: not_null ticket of dbo.users is there
-- WARN: every row is read while nobody can use the table; made anew meanwhile: zz_cn_users_users_code_u_0b6bf40b
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS zz_cn_users_users_code_u_0b6bf40b;
-- then
DROP INDEX IF EXISTS zz_cn_users_users_code_u_0b6bf40b ON dbo.users;
-- then
ALTER TABLE dbo.users ALTER COLUMN ticket varchar(40) NOT NULL;
-- then
ALTER TABLE dbo.users ADD CONSTRAINT zz_cn_users_users_code_u_0b6bf40b UNIQUE (ticket);

-- DROP ----------------------------------------------------------------------------------------------------------------

-- - column users.zz_gone_1_1_0_users_code_4358b10e
-- lock: brief
-- done: column zz_gone_1_1_0_users_code_4358b10e of dbo.users is not there
ALTER TABLE dbo.users DROP COLUMN zz_gone_1_1_0_users_code_4358b10e;

-- ~ constraint zz_cn_users_users_code_u_0b6bf40b becomes users_code_u
-- lock: brief
-- done: constraint users_code_u of dbo.users is there
EXECUTE sys.sp_rename N'dbo.zz_cn_users_users_code_u_0b6bf40b', N'users_code_u', N'OBJECT';

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_users_c307457b on users
-- lock: brief
-- done: trigger zz_co_1_1_0_users_c307457b of dbo.users is not there
DROP TRIGGER dbo.zz_co_1_1_0_users_c307457b;

-- - column users.ticket
-- lock: brief
-- done: column ticket of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS zz_cn_users_users_code_u_0b6bf40b;
-- then
DROP INDEX IF EXISTS zz_cn_users_users_code_u_0b6bf40b ON dbo.users;
-- then
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_ticket_8056a4cf;
-- then
ALTER TABLE dbo.users DROP COLUMN ticket;

-- - default users.code
-- lock: brief
-- done: constraint df_users_code_c75d6d63 of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT df_users_code_c75d6d63;
