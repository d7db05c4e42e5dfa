-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - add_check: { table: users, check: "amount >= 0", name: users_amount_c }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: rows of users for which amount >= 0 is false
SELECT COUNT_BIG(*) FROM dbo.users WHERE NOT (amount >= 0);
-- shown of them
SELECT TOP (10) id FROM dbo.users WHERE NOT (amount >= 0);

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

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - constraint users_amount_c on users
-- lock: brief
-- done: constraint users_amount_c of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT users_amount_c;
