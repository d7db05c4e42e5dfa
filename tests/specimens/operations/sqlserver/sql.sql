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
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM users AS k ORDER BY k.id DESC;
-- each batch: its last key
DECLARE @changeover_low bigint = @low, @changeover_upto bigint = @upto; SELECT TOP (1) CONVERT(nvarchar(4000), b.k), b.n, CASE WHEN b.k = @changeover_upto THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM users AS t WHERE t.id > @changeover_low AND t.id <= @changeover_upto ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch: its rows
DECLARE @changeover_low bigint = @low, @changeover_high bigint = @high; UPDATE users SET email = name WHERE (email IS NULL) AND users.id > @changeover_low AND users.id <= @changeover_high; SELECT @@ROWCOUNT;
-- how many are left
DECLARE @changeover_low bigint = @low, @changeover_high bigint = @high; SELECT COUNT_BIG(*) FROM users WHERE (email IS NULL) AND users.id > @changeover_low AND users.id <= @changeover_high;

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
