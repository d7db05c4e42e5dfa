-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - add_column: { table: users, column: active, type: bit, not_null: true, default: true }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- + column users.active bit
-- lock: brief
-- done: column active of dbo.users is there as bit
ALTER TABLE dbo.users ADD active bit NOT NULL CONSTRAINT df_users_active_bf468e6b DEFAULT 1;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - column users.active
-- lock: brief
-- done: column active of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_active_bf468e6b;
-- then
ALTER TABLE dbo.users DROP COLUMN active;
