-- shop test: plan HASH, release of v1.1.0

-- step 3: expand the schema for v1.1.0
-- 1.1.0.yml:1   + column t.new_a
--   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
--   done is seen by: column t.new_a is there
expand + column t.new_a;

-- step 4: keep old and new columns equal for v1.1.0
-- 1.1.0.yml:1   + trigger t.zz_1.1.0
--   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
--   done is seen by: trigger t.zz_1.1.0 is there
sync + trigger t.zz_1.1.0;

-- step 5: backfill for v1.1.0
-- 1.1.0.yml:1   ~ t.a
--   lock: the rows of a batch; in batches of the key id; expected: about 2 min, by the rows
UPDATE t SET a = b WHERE a IS NULL;

-- step 6: verify the rows of v1.1.0; every count must be 0
-- rows of t whose new_a does not fit old_a
SELECT 0;

-- step 7: finalize the schema of v1.1.0
-- 1.1.0.yml:1   + not_null t.new_a
--   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
--   done is seen by: not null t.new_a is there
finalize + not_null t.new_a;

-- later, by changeover cleanup: contract of v1.1.0
-- -- 1.1.0.yml:1   - trigger t.zz_1.1.0
-- --   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
-- --   done is seen by: trigger t.zz_1.1.0 is gone
-- contract - trigger t.zz_1.1.0;
-- -- 1.1.0.yml:1   - column t.old_a
-- --   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
-- --   done is seen by: column t.old_a is gone
-- contract - column t.old_a;
-- -- 1.1.0.yml:1   + column t.zz_gone_1.1.0_old_a
-- --   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
-- --   done is seen by: column t.zz_gone_1.1.0_old_a is there
-- contract + column t.zz_gone_1.1.0_old_a;

-- later, by changeover cleanup, when the grace time is over: drop of v1.1.0
-- -- 1.1.0.yml:1   - column t.zz_gone_1.1.0_old_a
-- --   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
-- --   done is seen by: column t.zz_gone_1.1.0_old_a is gone
-- drop - column t.zz_gone_1.1.0_old_a;

-- never, unless the release is given up before it starts: changeover schema undo 1.1.0
-- -- 1.1.0.yml:1   - trigger t.zz_1.1.0
-- --   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
-- --   done is seen by: trigger t.zz_1.1.0 is gone
-- undo - trigger t.zz_1.1.0;
-- -- 1.1.0.yml:1   - not_null t.new_a
-- --   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
-- --   done is seen by: not null t.new_a is gone
-- undo - not_null t.new_a;
-- -- 1.1.0.yml:1   - column t.new_a
-- --   lock: brief (the catalogue only); expected: about 1 s; in its own transaction
-- --   done is seen by: column t.new_a is gone
-- undo - column t.new_a;
