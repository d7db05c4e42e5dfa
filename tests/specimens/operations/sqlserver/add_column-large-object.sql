-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - add_column: { table: users, column: body, type: nvarchar(max), not_null: true, default: "''" }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- + column users.body nvarchar(max)
-- lock: brief
-- done: column body of dbo.users is there as nvarchar(max)
ALTER TABLE dbo.users ADD body nvarchar(max) NULL CONSTRAINT df_users_body_f8d6d535 DEFAULT '';

-- BACKFILL ------------------------------------------------------------------------------------------------------------

-- ~ backfill users.body
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM dbo.users AS k ORDER BY k.id DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET body = '' WHERE body IS NULL AND ('') IS NOT NULL AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.users AS t WHERE t.id > @changeover_low_1 AND t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; UPDATE dbo.users SET body = '' WHERE body IS NULL AND ('') IS NOT NULL AND id > @changeover_low_1 AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.users WHERE body IS NULL AND ('') IS NOT NULL;

-- VERIFY --------------------------------------------------------------------------------------------------------------

-- 0 of: rows of users whose body was never filled
SELECT COUNT_BIG(*) FROM dbo.users WHERE body IS NULL AND ('') IS NOT NULL;
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE body IS NULL AND ('') IS NOT NULL;

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + not null users.body
-- lock: none
-- done: not_null body of dbo.users is there
ALTER TABLE dbo.users ALTER COLUMN body nvarchar(max) NOT NULL WITH (ONLINE = ON);

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - column users.body
-- lock: brief
-- done: column body of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_body_f8d6d535;
-- then
ALTER TABLE dbo.users DROP COLUMN body;
