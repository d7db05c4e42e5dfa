-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - change_type: { table: users, column: email, type: varchar(300) }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- ~ type users.email varchar(300)
-- lock: brief
-- done: column email of dbo.users is there as varchar(300)
ALTER TABLE dbo.users ALTER COLUMN email varchar(300) NULL;
