-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - set_default: { table: users, column: email, default: "'none'" }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- ~ default users.email 'none'
-- lock: brief
-- done: constraint df_users_email_8401cdde of dbo.users is there
-- WARN: rows that the version before inserts get it too
ALTER TABLE dbo.users ADD CONSTRAINT df_users_email_8401cdde DEFAULT 'none' FOR email;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - default users.email
-- lock: brief
-- done: constraint df_users_email_8401cdde of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT df_users_email_8401cdde;
