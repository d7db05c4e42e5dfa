-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - set_default: { table: users, column: amount, default: 7 }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, amount int NOT NULL CONSTRAINT users_amount_d DEFAULT 0)

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- ~ default users.amount 7
-- lock: brief
-- WARN: rows that the version before inserts get it too
ALTER TABLE dbo.users DROP CONSTRAINT users_amount_d;
-- then
ALTER TABLE dbo.users ADD CONSTRAINT users_amount_d DEFAULT 7 FOR amount;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- ~ default users.amount ((0))
-- lock: brief
ALTER TABLE dbo.users DROP CONSTRAINT users_amount_d;
-- then
ALTER TABLE dbo.users ADD CONSTRAINT users_amount_d DEFAULT ((0)) FOR amount;
