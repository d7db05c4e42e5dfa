-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - drop_index: { table: users, name: users_name_i }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))
-- CREATE INDEX users_name_i ON users (name)

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - index users_name_i on users
-- lock: brief
-- done: index users_name_i of dbo.users is not there
DROP INDEX users_name_i ON dbo.users;
