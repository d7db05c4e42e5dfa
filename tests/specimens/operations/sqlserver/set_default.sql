-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - set_default: { table: users, column: amount, default: 7 }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- ~ default users.amount 7
-- lock: brief
-- done: constraint df_users_amount_557e479e of dbo.users is there
-- WARN: rows that the version before inserts get it too
ALTER TABLE dbo.users DROP CONSTRAINT [DF__users__amount__1A2B3C4D];
-- then
ALTER TABLE dbo.users ADD CONSTRAINT df_users_amount_557e479e DEFAULT 7 FOR amount;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- ~ default users.amount ((0))
-- lock: brief
-- done: constraint DF__users__amount__1A2B3C4D of dbo.users is there
ALTER TABLE dbo.users DROP CONSTRAINT df_users_amount_557e479e;
-- then
ALTER TABLE dbo.users ADD CONSTRAINT [DF__users__amount__1A2B3C4D] DEFAULT ((0)) FOR amount;
