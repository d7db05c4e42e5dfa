-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - add_index: { table: users, columns: [name, amount], name: users_both_i }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + index users_both_i on users
-- lock: none
-- done: index users_both_i of dbo.users is there
CREATE INDEX users_both_i ON dbo.users (name, amount) WITH (ONLINE = ON);

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - index users_both_i on users
-- lock: brief
-- done: index users_both_i of dbo.users is not there
DROP INDEX users_both_i ON dbo.users;
