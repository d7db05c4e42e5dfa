-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - add_column: { table: users, column: note, type: nvarchar(40), not_null: true, default: "'neu: ü'" }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- + column users.note nvarchar(40)
-- lock: brief
-- done: column note of dbo.users is there as nvarchar(40)
ALTER TABLE dbo.users ADD note nvarchar(40) NOT NULL CONSTRAINT df_users_note_51f7064c DEFAULT N'neu: ü';

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - column users.note
-- lock: brief
-- done: column note of dbo.users is not there
ALTER TABLE dbo.users DROP CONSTRAINT IF EXISTS df_users_note_51f7064c;
-- then
ALTER TABLE dbo.users DROP COLUMN note;
