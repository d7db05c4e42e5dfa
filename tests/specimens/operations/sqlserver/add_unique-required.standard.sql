-- Standard, Web, Express
--
-- names_columns: true
-- changes:
--   - add_unique: { table: users, columns: [name, amount], name: users_both_u }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: values of users (name, amount) that stand in several rows
SELECT COUNT_BIG(*) FROM (SELECT 1 AS several FROM dbo.users WHERE name IS NOT NULL AND amount IS NOT NULL GROUP BY name, amount HAVING COUNT_BIG(*) > 1) AS d;
-- shown of them
SELECT TOP (10) name, amount, COUNT_BIG(*) AS rows_of_them FROM dbo.users WHERE name IS NOT NULL AND amount IS NOT NULL GROUP BY name, amount HAVING COUNT_BIG(*) > 1;

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + unique users (name, amount)
-- lock: scan
-- done: constraint users_both_u of dbo.users is there
-- WARN: a version in play that writes otherwise gets an error: say that it does not; this edition builds indexes while
-- writers wait until it is done
ALTER TABLE dbo.users ADD CONSTRAINT users_both_u UNIQUE (name, amount);

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - unique users_both_u on users
-- lock: brief
-- done: index users_both_u of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS users_both_u;
-- then
DROP INDEX IF EXISTS users_both_u ON dbo.users;
