-- Standard, Web, Express
--
-- names_columns: true
-- changes:
--   - drop_not_null: { table: users, column: name }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- - not null users.name
-- lock: brief
-- done: not_null name of dbo.users is not there
-- WARN: readers of the version before may get NULL
ALTER TABLE dbo.users ALTER COLUMN name varchar(200) NULL;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- + not null users.name
-- lock: rewrite
-- done: not_null name of dbo.users is there
-- WARN: every row is read while nobody can use the table
ALTER TABLE dbo.users ALTER COLUMN name varchar(200) NOT NULL;
