-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - drop_constraint: { table: users, name: users_name_u }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200), CONSTRAINT users_name_u UNIQUE (name))

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - constraint users_name_u on users
-- lock: brief
-- done: constraint users_name_u of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT users_name_u;
