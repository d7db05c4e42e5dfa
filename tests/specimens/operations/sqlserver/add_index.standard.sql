-- Standard, Web, Express
--
-- names_columns: true
-- changes:
--   - add_index: { table: users, columns: [name, amount], name: users_both_i }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + index users_both_i on users
-- lock: scan
-- done: index users_both_i of dbo.users is there
-- WARN: this edition builds indexes while writers wait until it is done
CREATE INDEX users_both_i ON dbo.users (name, amount);

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - index users_both_i on users
-- lock: brief
-- done: index users_both_i of dbo.users is not there
DROP INDEX users_both_i ON dbo.users;
