-- shop test: plan HASH, release of v1.1.0

-- step 3: expand the schema for v1.1.0
-- 1.1.0.expand.sql:1   lock: brief, in its own transaction
ALTER TABLE t ADD COLUMN new_a integer;
-- 1.1.0.expand.sql:1   lock: brief, in its own transaction
ALTER TABLE t ADD COLUMN new_b integer;

-- step 4: backfill for v1.1.0, in batches of the key id
UPDATE t SET a = b WHERE a IS NULL;
