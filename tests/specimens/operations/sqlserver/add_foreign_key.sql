-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - add_foreign_key: { table: orders, columns: user_id, references: { table: users, columns: id }, name: orders_user_fk }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))
-- CREATE TABLE orders (id bigint NOT NULL PRIMARY KEY, user_id bigint)

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: rows of orders whose user_id is not in users
SELECT COUNT_BIG(*) FROM dbo.orders AS t WHERE t.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM dbo.users AS r WHERE r.id = t.user_id);
-- shown of them
SELECT TOP (10) t.id, t.user_id FROM dbo.orders AS t WHERE t.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM dbo.users AS r WHERE r.id = t.user_id);

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + foreign key orders_user_fk on orders (not validated)
-- lock: brief
-- done: constraint orders_user_fk of dbo.orders is there
-- WARN: a version in play that writes otherwise gets an error: say that it does not
ALTER TABLE dbo.orders WITH NOCHECK ADD CONSTRAINT orders_user_fk FOREIGN KEY (user_id) REFERENCES dbo.users (id);

-- ~ validate orders_user_fk on orders
-- lock: rewrite
-- done: valid orders_user_fk of dbo.orders is there
-- WARN: every row is read while nobody can use the table
ALTER TABLE dbo.orders WITH CHECK CHECK CONSTRAINT orders_user_fk;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - constraint orders_user_fk on orders
-- lock: brief
-- done: constraint orders_user_fk of dbo.orders is not there
ALTER TABLE dbo.orders DROP CONSTRAINT orders_user_fk;
