-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - drop_constraint: { table: users, name: users_amount_c }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0,
-- CONSTRAINT users_amount_c CHECK (amount >= 0))

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - constraint users_amount_c on users
-- lock: brief
-- done: constraint users_amount_c of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT users_amount_c;
