-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - sql:
--       expand: ["CREATE TABLE tags (id integer NOT NULL PRIMARY KEY, tag varchar(40))"]
--       backfill: ["UPDATE users SET email = name WHERE email IS NULL"]
--       verify: ["SELECT count(*) FROM tags WHERE tag = 'wrong'"]
--       contract: ["DROP TABLE older"]
--       undo: ["DROP TABLE tags"]
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))
-- CREATE TABLE older (id integer NOT NULL PRIMARY KEY)

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- + table tags
-- lock: brief
-- done: table tags is there
CREATE TABLE tags (id integer NOT NULL PRIMARY KEY, tag varchar(40));

-- BACKFILL ------------------------------------------------------------------------------------------------------------

-- ~ backfill users.email
-- ~ backfill users.email
UPDATE users SET email = name WHERE (email IS NULL) AND users.id > :lo AND users.id <= :hi;

-- VERIFY --------------------------------------------------------------------------------------------------------------

-- 0 of: what `SELECT count(*) FROM tags WHERE tag = 'wrong'` counts
SELECT count(*) FROM tags WHERE tag = 'wrong';

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - table older
-- lock: brief
-- done: table older is not there
DROP TABLE older;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - table tags
-- lock: brief
-- done: table tags is not there
DROP TABLE tags;
