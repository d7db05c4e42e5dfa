-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - set_not_null: { table: users, column: amount }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, amount int, CONSTRAINT users_amount_c CHECK (amount > 0))
-- CREATE INDEX users_amount_i ON users (amount)

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: rows of users without amount
SELECT COUNT_BIG(*) FROM dbo.users WHERE amount IS NULL;
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE amount IS NULL;

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + not null users.amount
-- lock: rewrite
-- done: not_null amount of dbo.users is there
-- WARN: a version in play that writes otherwise gets an error: say that it does not; every row is read while nobody can
-- use the table; made anew meanwhile: users_amount_c, users_amount_i
ALTER TABLE dbo.users DROP CONSTRAINT users_amount_c;
-- then
DROP INDEX users_amount_i ON dbo.users;
-- then
ALTER TABLE dbo.users ALTER COLUMN amount int NOT NULL;
-- then
CREATE INDEX users_amount_i ON dbo.users (amount);
-- then
ALTER TABLE dbo.users ADD CONSTRAINT users_amount_c CHECK (([amount] > 0));

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - not null users.amount
-- lock: brief
-- done: not_null amount of dbo.users is not there
ALTER TABLE dbo.users ALTER COLUMN amount int NULL;
