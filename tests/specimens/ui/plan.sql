-- shop test: plan HASH, release of v1.1.0

-- step 3: expand the schema for v1.1.0
-- 1.1.0.expand.sql:1   + column t.new_a integer
--   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
--   done is seen by: column t.new_a is there
ALTER TABLE t ADD COLUMN new_a integer;
-- 1.1.0.expand.sql:1   + column t.new_b integer
--   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
--   done is seen by: column t.new_b is there
ALTER TABLE t ADD COLUMN new_b integer;

-- step 4: backfill for v1.1.0
-- 1.1.0.backfill.sql:1   ~ t.a
--   lock: the rows of a batch; in batches of the key id; expected: about 2 min, by the rows
UPDATE t SET a = b WHERE a IS NULL;
