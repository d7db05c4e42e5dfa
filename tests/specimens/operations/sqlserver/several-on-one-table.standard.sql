-- Standard, Web, Express
--
-- names_columns: true
-- changes:
--   - add_check: { table: users, check: "amount >= 0", name: users_amount_c }
--   - add_column: { table: users, column: note, type: varchar(40), not_null: true, default: "'n'" }
--   - rename_column: { table: users, column: name, to: full_name }
--   - set_not_null: { table: users, column: email }
--   - change_type: { table: users, column: amount2, type: bigint, to: amount3 }
--   - add_column: { table: users, column: email_lc, type: varchar(200), not_null: true, from: "lower(email)" }
--   - drop_constraint: { table: users, name: users_email_c }
--   - add_index: { table: users, columns: [note, email_lc], name: users_note_i }
--   - drop_column: { table: users, column: legacy }
--   - set_default: { table: users, column: amount, default: 5 }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200), amount2 integer, legacy varchar(40) NOT NULL DEFAULT 'L', CONSTRAINT users_email_c CHECK (email <>
-- 'nobody'))
-- CREATE INDEX users_name_i ON users (name)

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: rows of users for which amount >= 0 is false
SELECT COUNT_BIG(*) FROM dbo.users WHERE NOT (amount >= 0);
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE NOT (amount >= 0);

-- 0 of: rows of users without email
SELECT COUNT_BIG(*) FROM dbo.users WHERE email IS NULL;
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE email IS NULL;

-- 0 of: rows of users whose amount2 would not survive
SELECT COUNT_BIG(*) FROM dbo.users WHERE NOT EXISTS (SELECT amount2 INTERSECT SELECT CAST((TRY_CAST((TRY_CAST(amount2 AS bigint)) AS int)) AS int));
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE NOT EXISTS (SELECT amount2 INTERSECT SELECT CAST((TRY_CAST((TRY_CAST(amount2 AS bigint)) AS int)) AS int));

-- 0 of: statements of the last days that write to users with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- shown of them
SELECT TOP (10) LEFT(w.said, CHARINDEX(N'''', w.said + N'''') - 1) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';

-- 0 of: grants and denials on single columns of users, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'name', N'amount2') AND major_id = OBJECT_ID(N'dbo.users');
-- shown of them
SELECT TOP (10) COL_NAME(major_id, minor_id), state_desc, permission_name, USER_NAME(grantee_principal_id) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'name', N'amount2') AND major_id = OBJECT_ID(N'dbo.users');

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- + column users.note varchar(40)
-- lock: brief
-- done: column note of dbo.users is there as varchar(40)
ALTER TABLE dbo.users ADD note varchar(40) NULL CONSTRAINT df_users_note_51f7064c DEFAULT 'n';

-- ~ users.name may be left out (default '')
-- lock: brief
-- done: constraint df_users_name_9d958720 of dbo.users is there
ALTER TABLE dbo.users ADD CONSTRAINT df_users_name_9d958720 DEFAULT '' FOR name;

-- + column users.full_name varchar(200)
-- lock: brief
-- done: column full_name of dbo.users is there as varchar(200)
ALTER TABLE dbo.users ADD full_name varchar(200) NULL;

-- + column users.amount3 bigint
-- lock: brief
-- done: column amount3 of dbo.users is there as bigint
ALTER TABLE dbo.users ADD amount3 bigint NULL;

-- + column users.email_lc varchar(200)
-- lock: brief
-- done: column email_lc of dbo.users is there as varchar(200)
ALTER TABLE dbo.users ADD email_lc varchar(200) NULL;

-- ~ default users.amount 5
-- lock: brief
-- done: constraint df_users_amount_557e479e of dbo.users is there
-- WARN: rows that the version before inserts get it too
ALTER TABLE dbo.users DROP CONSTRAINT [DF__users__amount__1A2B3C4D];
-- then
ALTER TABLE dbo.users ADD CONSTRAINT df_users_amount_557e479e DEFAULT 5 FOR amount;

-- SYNC ----------------------------------------------------------------------------------------------------------------

-- + trigger zz_co_1_1_0_users_c307457b on users: name <-> full_name; amount2 <-> amount3; email -> email_lc
-- lock: brief
-- done: trigger zz_co_1_1_0_users_c307457b of dbo.users is there
-- WARN: what writes to it with OUTPUT and without INTO fails with error 334 once it has a trigger (Entity Framework Core 7
-- and later writes so): plan cache and query store are searched for that, and they forget; bulk loads must FIRE_TRIGGERS
-- asked again, 0 of: statements of the last days that write to users with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]users[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- asked again, 0 of: grants and denials on single columns of users, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'name', N'amount2') AND major_id = OBJECT_ID(N'dbo.users');
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
  DECLARE @changeover_news_2 bit = 0, @changeover_olds_2 bit = 0;
  IF UPDATE(amount3) SET @changeover_news_2 = 1;
  IF UPDATE(amount2) SET @changeover_olds_2 = 1;
  UPDATE NEW SET amount2 = CASE side.follows WHEN 'old' THEN CAST(CAST(NEW.amount3 AS int) AS int) ELSE NEW.amount2 END, amount3 = CASE side.follows WHEN 'new' THEN CAST(CAST(NEW.amount2 AS bigint) AS bigint) ELSE NEW.amount3 END
  FROM dbo.users AS NEW INNER JOIN inserted AS written ON written.id = NEW.id
  LEFT JOIN deleted AS OLD ON OLD.id = NEW.id
  CROSS APPLY (SELECT CASE WHEN OLD.id IS NULL THEN CASE WHEN NEW.amount3 IS NULL THEN 'new' WHEN @changeover_insert = 1 OR @changeover_news_2 = 1 THEN 'old' WHEN @changeover_olds_2 = 1 THEN 'new' END
    WHEN NOT EXISTS (SELECT NEW.amount3 INTERSECT SELECT OLD.amount3) THEN CASE WHEN NOT OLD.amount3 IS NULL THEN 'old' WHEN NOT EXISTS (SELECT NEW.amount2 INTERSECT SELECT OLD.amount2) THEN 'old' WHEN NOT EXISTS (SELECT NEW.amount3 INTERSECT SELECT CAST((CAST(NEW.amount2 AS bigint)) AS bigint)) THEN 'old' END
    WHEN NOT EXISTS (SELECT NEW.amount2 INTERSECT SELECT OLD.amount2) THEN 'new'
    WHEN NEW.amount3 IS NULL THEN 'new' END AS follows) AS side
  WHERE side.follows IS NOT NULL;
  DECLARE @changeover_news_3 bit = 0, @changeover_olds_3 bit = 0;
  IF UPDATE(email_lc) SET @changeover_news_3 = 1;
  IF UPDATE(email) SET @changeover_olds_3 = 1;
  UPDATE NEW SET email_lc = CASE side.follows WHEN 'new' THEN CAST(lower(NEW.email) AS varchar(max)) COLLATE DATABASE_DEFAULT ELSE NEW.email_lc END
  FROM dbo.users AS NEW INNER JOIN inserted AS written ON written.id = NEW.id
  LEFT JOIN deleted AS OLD ON OLD.id = NEW.id
  CROSS APPLY (SELECT CASE WHEN NEW.email_lc IS NULL THEN 'new'
    WHEN OLD.id IS NULL THEN CASE WHEN @changeover_insert = 0 AND @changeover_olds_3 = 1 AND @changeover_news_3 = 0 THEN 'new' END
    WHEN NOT EXISTS (SELECT CAST(NEW.email_lc AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.email_lc) INTERSECT SELECT CAST(OLD.email_lc AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.email_lc)) THEN NULL
    WHEN NOT EXISTS (SELECT CAST(NEW.email AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.email) INTERSECT SELECT CAST(OLD.email AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.email)) THEN 'new' END AS follows) AS side
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

-- ~ backfill users.amount3
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM dbo.users AS k ORDER BY k.id DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET amount3 = CAST(amount2 AS bigint) WHERE amount3 IS NULL AND (CAST(amount2 AS bigint)) IS NOT NULL AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id > @changeover_low_1 AND t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET amount3 = CAST(amount2 AS bigint) WHERE amount3 IS NULL AND (CAST(amount2 AS bigint)) IS NOT NULL AND id > @changeover_low_1 AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.users WHERE amount3 IS NULL AND (CAST(amount2 AS bigint)) IS NOT NULL;

-- ~ backfill users.email_lc
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM dbo.users AS k ORDER BY k.id DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET email_lc = lower(email) WHERE email_lc IS NULL AND (lower(email)) IS NOT NULL AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id > @changeover_low_1 AND t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET email_lc = lower(email) WHERE email_lc IS NULL AND (lower(email)) IS NOT NULL AND id > @changeover_low_1 AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.users WHERE email_lc IS NULL AND (lower(email)) IS NOT NULL;

-- ~ backfill users.note
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM dbo.users AS k ORDER BY k.id DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET note = 'n' WHERE note IS NULL AND ('n') IS NOT NULL AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id > @changeover_low_1 AND t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET note = 'n' WHERE note IS NULL AND ('n') IS NOT NULL AND id > @changeover_low_1 AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.users WHERE note IS NULL AND ('n') IS NOT NULL;

-- VERIFY --------------------------------------------------------------------------------------------------------------

-- 0 of: rows of users whose full_name does not fit name
SELECT COUNT_BIG(*) FROM dbo.users WHERE (NOT EXISTS (SELECT CAST(name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(name) INTERSECT SELECT CAST(full_name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(full_name)) AND NOT EXISTS (SELECT CAST(full_name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(full_name) INTERSECT SELECT CAST(name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(name))) OR (full_name IS NULL AND (name) IS NOT NULL);
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE (NOT EXISTS (SELECT CAST(name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(name) INTERSECT SELECT CAST(full_name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(full_name)) AND NOT EXISTS (SELECT CAST(full_name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(full_name) INTERSECT SELECT CAST(name AS nvarchar(max)) COLLATE Latin1_General_100_BIN2, DATALENGTH(name))) OR (full_name IS NULL AND (name) IS NOT NULL);

-- 0 of: rows of users whose amount3 does not fit amount2
SELECT COUNT_BIG(*) FROM dbo.users WHERE (NOT EXISTS (SELECT amount2 INTERSECT SELECT CAST((CAST(amount3 AS int)) AS int)) AND NOT EXISTS (SELECT amount3 INTERSECT SELECT CAST((CAST(amount2 AS bigint)) AS bigint))) OR (amount3 IS NULL AND (CAST(amount2 AS bigint)) IS NOT NULL);
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE (NOT EXISTS (SELECT amount2 INTERSECT SELECT CAST((CAST(amount3 AS int)) AS int)) AND NOT EXISTS (SELECT amount3 INTERSECT SELECT CAST((CAST(amount2 AS bigint)) AS bigint))) OR (amount3 IS NULL AND (CAST(amount2 AS bigint)) IS NOT NULL);

-- 0 of: rows of users whose email_lc was never filled
SELECT COUNT_BIG(*) FROM dbo.users WHERE email_lc IS NULL AND (lower(email)) IS NOT NULL;
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE email_lc IS NULL AND (lower(email)) IS NOT NULL;

-- 0 of: rows of users whose note was never filled
SELECT COUNT_BIG(*) FROM dbo.users WHERE note IS NULL AND ('n') IS NOT NULL;
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE note IS NULL AND ('n') IS NOT NULL;

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + check users_amount_c on users (not validated)
-- lock: brief
-- done: constraint users_amount_c of dbo.users is there
-- WARN: a version in play that writes otherwise gets an error: say that it does not
ALTER TABLE dbo.users WITH NOCHECK ADD CONSTRAINT users_amount_c CHECK (amount >= 0);

-- ~ validate users_amount_c on users
-- lock: rewrite
-- done: valid users_amount_c of dbo.users is there
-- WARN: every row is read while nobody can use the table
ALTER TABLE dbo.users WITH CHECK CHECK CONSTRAINT users_amount_c;

-- + not null users.note
-- lock: rewrite
-- done: not_null note of dbo.users is there
-- WARN: every row is read while nobody can use the table
ALTER TABLE dbo.users ALTER COLUMN note varchar(40) NOT NULL;

-- + index zz_ix_users_users_name_i_b945832e on users
-- lock: scan
-- done: index zz_ix_users_users_name_i_b945832e of dbo.users is there
-- WARN: this edition builds indexes while writers wait until it is done
CREATE INDEX zz_ix_users_users_name_i_b945832e ON dbo.users (full_name);

-- + not null users.email
-- lock: rewrite
-- done: not_null email of dbo.users is there
-- WARN: a version in play that writes otherwise gets an error: say that it does not; every row is read while nobody can
-- use the table; made anew meanwhile: users_email_c
ALTER TABLE dbo.users DROP CONSTRAINT users_email_c;
-- then
ALTER TABLE dbo.users ALTER COLUMN email varchar(200) NOT NULL;
-- then
ALTER TABLE dbo.users ADD CONSTRAINT users_email_c CHECK (([email] <> 'nobody'));

-- + index users_note_i on users
-- lock: scan
-- done: index users_note_i of dbo.users is there
-- WARN: this edition builds indexes while writers wait until it is done
CREATE INDEX users_note_i ON dbo.users (note, email_lc);

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_users_c307457b; - column users.name (parked as zz_gone_1_1_0_users_name_0bd1f8f7); - column users.amount2 (parked as zz_gone_1_1_0_users_amount2_a42da85f); - column users.legacy (parked as zz_gone_1_1_0_users_legacy_d81251c0); - constraint DF__users__legacy__1A2B3C4D; - index users_name_i
-- lock: brief
-- done: column name of dbo.users is not there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.users WITH (TABLOCKX, HOLDLOCK);
-- under the lock, 0 of: the trigger zz_co_1_1_0_users_c307457b on users is missing or disabled
SELECT 1 - COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(N'dbo.users') AND name = N'zz_co_1_1_0_users_c307457b' AND is_disabled = 0;
DROP TRIGGER dbo.zz_co_1_1_0_users_c307457b;
-- then
ALTER TABLE dbo.users DROP CONSTRAINT [DF__users__legacy__1A2B3C4D];
-- then
DROP INDEX users_name_i ON dbo.users;
-- then
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_name_9d958720;
-- then
ALTER TABLE dbo.users ALTER COLUMN name varchar(200) NULL;
-- then
EXECUTE sys.sp_rename N'dbo.users.name', N'zz_gone_1_1_0_users_name_0bd1f8f7', N'COLUMN';
-- then
EXECUTE sys.sp_rename N'dbo.users.amount2', N'zz_gone_1_1_0_users_amount2_a42da85f', N'COLUMN';
-- then
ALTER TABLE dbo.users ALTER COLUMN legacy varchar(40) NULL;
-- then
EXECUTE sys.sp_rename N'dbo.users.legacy', N'zz_gone_1_1_0_users_legacy_d81251c0', N'COLUMN';

-- + not null users.full_name
-- lock: rewrite
-- done: not_null full_name of dbo.users is there
-- WARN: every row is read while nobody can use the table
ALTER TABLE dbo.users ALTER COLUMN full_name varchar(200) NOT NULL;

-- + not null users.email_lc
-- lock: rewrite
-- done: not_null email_lc of dbo.users is there
-- WARN: every row is read while nobody can use the table
ALTER TABLE dbo.users ALTER COLUMN email_lc varchar(200) NOT NULL;

-- - constraint users_email_c on users
-- lock: brief
-- done: constraint users_email_c of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT users_email_c;

-- DROP ----------------------------------------------------------------------------------------------------------------

-- - column users.zz_gone_1_1_0_users_name_0bd1f8f7
-- lock: brief
-- done: column zz_gone_1_1_0_users_name_0bd1f8f7 of dbo.users is not there
ALTER TABLE dbo.users DROP COLUMN zz_gone_1_1_0_users_name_0bd1f8f7;

-- ~ index zz_ix_users_users_name_i_b945832e becomes users_name_i
-- lock: brief
-- done: index users_name_i of dbo.users is there
EXECUTE sys.sp_rename N'dbo.users.zz_ix_users_users_name_i_b945832e', N'users_name_i', N'INDEX';

-- - column users.zz_gone_1_1_0_users_amount2_a42da85f
-- lock: brief
-- done: column zz_gone_1_1_0_users_amount2_a42da85f of dbo.users is not there
ALTER TABLE dbo.users DROP COLUMN zz_gone_1_1_0_users_amount2_a42da85f;

-- - column users.zz_gone_1_1_0_users_legacy_d81251c0
-- lock: brief
-- done: column zz_gone_1_1_0_users_legacy_d81251c0 of dbo.users is not there
ALTER TABLE dbo.users DROP COLUMN zz_gone_1_1_0_users_legacy_d81251c0;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_users_c307457b on users
-- lock: brief
-- done: trigger zz_co_1_1_0_users_c307457b of dbo.users is not there
DROP TRIGGER dbo.zz_co_1_1_0_users_c307457b;

-- ~ default users.amount ((0))
-- lock: brief
-- done: constraint DF__users__amount__1A2B3C4D of dbo.users is there
ALTER TABLE dbo.users DROP CONSTRAINT df_users_amount_557e479e;
-- then
ALTER TABLE dbo.users ADD CONSTRAINT [DF__users__amount__1A2B3C4D] DEFAULT ((0)) FOR amount;

-- - index users_note_i on users
-- lock: brief
-- done: index users_note_i of dbo.users is not there
DROP INDEX users_note_i ON dbo.users;

-- - column users.email_lc
-- lock: brief
-- done: column email_lc of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_email_lc_ae7c3dd2;
-- then
ALTER TABLE dbo.users DROP COLUMN email_lc;

-- - column users.amount3
-- lock: brief
-- done: column amount3 of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_amount3_5fb55b66;
-- then
ALTER TABLE dbo.users DROP COLUMN amount3;

-- - not null users.email
-- lock: brief
-- done: not_null email of dbo.users is not there
ALTER TABLE dbo.users ALTER COLUMN email varchar(200) NULL;

-- - column users.full_name
-- lock: brief
-- done: column full_name of dbo.users is not there
DROP INDEX IF EXISTS zz_ix_users_users_name_i_b945832e ON dbo.users;
-- then
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_full_name_000cce84;
-- then
ALTER TABLE dbo.users DROP COLUMN full_name;

-- - default users.name
-- lock: brief
-- done: constraint df_users_name_9d958720 of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT df_users_name_9d958720;

-- - column users.note
-- lock: brief
-- done: column note of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_note_51f7064c;
-- then
ALTER TABLE dbo.users DROP COLUMN note;

-- - constraint users_amount_c on users
-- lock: brief
-- done: constraint users_amount_c of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT users_amount_c;
