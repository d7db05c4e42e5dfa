-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - create_table:
--       table: logs
--       columns: { id: bigint, what: { type: varchar(200), not_null: true, default: "'x'" }, user_id: bigint }
--       primary_key: id
--       unique: [{ columns: what, name: logs_what_u }]
--       checks: [{ check: "user_id > 0", name: logs_user_c }]
--       foreign_keys: [{ columns: user_id, references: { table: users, columns: id }, name: logs_user_fk }]
--       indexes: [{ columns: [user_id, what], name: logs_both_i }]
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- + table logs
-- lock: brief
-- done: table logs is there
CREATE TABLE logs (id bigint NOT NULL, what varchar(200) NOT NULL CONSTRAINT df_logs_what_872be4c8 DEFAULT 'x', user_id bigint NULL, CONSTRAINT pk_logs_2bc4ac9f PRIMARY KEY (id), CONSTRAINT logs_what_u UNIQUE (what), CONSTRAINT logs_user_c CHECK (user_id > 0), CONSTRAINT logs_user_fk FOREIGN KEY (user_id) REFERENCES users (id));
-- then
CREATE INDEX logs_both_i ON logs (user_id, what);

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - table logs
-- lock: brief
-- done: table logs is not there
DROP TABLE logs;
