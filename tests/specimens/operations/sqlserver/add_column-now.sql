-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - add_column: { table: users, column: seen, type: datetime2, not_null: true, default: now() }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- + column users.seen datetime2(7)
-- lock: brief
-- done: column seen of dbo.users is there as datetime2(7)
ALTER TABLE dbo.users ADD seen datetime2(7) NOT NULL CONSTRAINT df_users_seen_6e119986 DEFAULT CURRENT_TIMESTAMP;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - column users.seen
-- lock: brief
-- done: column seen of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_seen_6e119986;
-- then
ALTER TABLE dbo.users DROP COLUMN seen;
