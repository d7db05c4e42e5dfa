-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - set_not_null: { table: users, column: name }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) DEFAULT 'x')

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: rows of users without name
SELECT COUNT_BIG(*) FROM dbo.users WHERE name IS NULL;
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE name IS NULL;

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + not null users.name
-- lock: none
-- done: not_null name of dbo.users is there
-- WARN: a version in play that writes otherwise gets an error: say that it does not
ALTER TABLE dbo.users ALTER COLUMN name varchar(200) NOT NULL WITH (ONLINE = ON);

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - not null users.name
-- lock: brief
-- done: not_null name of dbo.users is not there
ALTER TABLE dbo.users ALTER COLUMN name varchar(200) NULL;
