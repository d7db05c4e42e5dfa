-- Standard, Web, Express
--
-- names_columns: true
-- changes:
--   - set_not_null: { table: users, column: email }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, email varchar(200), body nvarchar(max))

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: rows of users without email
SELECT COUNT_BIG(*) FROM dbo.users WHERE email IS NULL;
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE email IS NULL;

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + not null users.email
-- lock: rewrite
-- done: not_null email of dbo.users is there
-- WARN: a version in play that writes otherwise gets an error: say that it does not; every row is read while nobody can
-- use the table
ALTER TABLE dbo.users ALTER COLUMN email varchar(200) NOT NULL;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - not null users.email
-- lock: brief
-- done: not_null email of dbo.users is not there
ALTER TABLE dbo.users ALTER COLUMN email varchar(200) NULL;
