-- Standard, Web, Express
--
-- names_columns: true
-- changes:
--   - add_unique: { table: users, columns: [email], name: users_email_u }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: values of users (email) that stand in several rows
SELECT COUNT_BIG(*) FROM (SELECT 1 AS several FROM dbo.users WHERE email IS NOT NULL GROUP BY email HAVING COUNT_BIG(*) > 1) AS d;
-- shown of them
SELECT TOP (10) email, COUNT_BIG(*) AS rows_of_them FROM dbo.users WHERE email IS NOT NULL GROUP BY email HAVING COUNT_BIG(*) > 1;

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + unique users (email), rows with NULL left out
-- lock: scan
-- done: index users_email_u of dbo.users is there
-- WARN: a version in play that writes otherwise gets an error: say that it does not; this edition builds indexes while
-- writers wait until it is done; sessions with QUOTED_IDENTIFIER or ANSI_NULLS off cannot write to the table any more
-- (error 1934)
CREATE UNIQUE INDEX users_email_u ON dbo.users (email) WHERE email IS NOT NULL;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - unique users_email_u on users
-- lock: brief
-- done: index users_email_u of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS users_email_u;
-- then
DROP INDEX IF EXISTS users_email_u ON dbo.users;
