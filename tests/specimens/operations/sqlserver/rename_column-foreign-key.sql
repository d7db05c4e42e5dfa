-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - rename_column: { table: orders, column: user_id, to: customer_id }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY)
-- CREATE TABLE orders (id bigint NOT NULL PRIMARY KEY, user_id bigint NOT NULL, CONSTRAINT orders_user_fk FOREIGN KEY
-- (user_id) REFERENCES users (id))

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: statements of the last days that write to orders with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]orders[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- shown of them
SELECT TOP (10) LEFT(w.said, CHARINDEX(N'''', w.said + N'''') - 1) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]orders[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';

-- 0 of: grants and denials on single columns of orders, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'user_id') AND major_id = OBJECT_ID(N'dbo.orders');
-- shown of them
SELECT TOP (10) COL_NAME(major_id, minor_id), state_desc, permission_name, USER_NAME(grantee_principal_id) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'user_id') AND major_id = OBJECT_ID(N'dbo.orders');

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- ~ orders.user_id may be left out (null)
-- lock: brief
-- done: not_null user_id of dbo.orders is not there
ALTER TABLE dbo.orders ALTER COLUMN user_id bigint NULL;

-- + column orders.customer_id bigint
-- lock: brief
-- done: column customer_id of dbo.orders is there as bigint
ALTER TABLE dbo.orders ADD customer_id bigint NULL;

-- SYNC ----------------------------------------------------------------------------------------------------------------

-- + trigger zz_co_1_1_0_orders_6e2be842 on orders: user_id <-> customer_id
-- lock: brief
-- done: trigger zz_co_1_1_0_orders_6e2be842 of dbo.orders is there
-- WARN: what writes to it with OUTPUT and without INTO fails with error 334 once it has a trigger (Entity Framework Core 7
-- and later writes so): plan cache and query store are searched for that, and they forget; bulk loads must FIRE_TRIGGERS
-- asked again, 0 of: statements of the last days that write to orders with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]orders[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- asked again, 0 of: grants and denials on single columns of orders, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'user_id') AND major_id = OBJECT_ID(N'dbo.orders');
CREATE TRIGGER dbo.zz_co_1_1_0_orders_6e2be842 ON dbo.orders AFTER INSERT, UPDATE AS
-- made by changeover for release 1.1.0; cleanup drops it
BEGIN
  SET NOCOUNT ON;
  SET ROWCOUNT 0;
  IF TRIGGER_NESTLEVEL(@@PROCID) > 1 OR NOT EXISTS (SELECT 1 FROM inserted) RETURN;
  DECLARE @changeover_insert bit = 1;
  IF EXISTS (SELECT 1 FROM deleted) SET @changeover_insert = 0;
  DECLARE @changeover_news_1 bit = 0, @changeover_olds_1 bit = 0;
  IF UPDATE(customer_id) SET @changeover_news_1 = 1;
  IF UPDATE(user_id) SET @changeover_olds_1 = 1;
  UPDATE NEW SET user_id = CASE side.follows WHEN 'old' THEN NEW.customer_id ELSE NEW.user_id END, customer_id = CASE side.follows WHEN 'new' THEN NEW.user_id ELSE NEW.customer_id END
  FROM dbo.orders AS NEW INNER JOIN inserted AS written ON written.id = NEW.id
  LEFT JOIN deleted AS OLD ON OLD.id = NEW.id
  CROSS APPLY (SELECT CASE WHEN OLD.id IS NULL THEN CASE WHEN NEW.customer_id IS NULL THEN 'new' WHEN @changeover_insert = 1 OR @changeover_news_1 = 1 THEN 'old' WHEN @changeover_olds_1 = 1 THEN 'new' END
    WHEN NOT EXISTS (SELECT NEW.customer_id INTERSECT SELECT OLD.customer_id) THEN CASE WHEN NOT OLD.customer_id IS NULL THEN 'old' WHEN NOT EXISTS (SELECT NEW.user_id INTERSECT SELECT OLD.user_id) THEN 'old' WHEN NOT EXISTS (SELECT NEW.customer_id INTERSECT SELECT NEW.user_id) THEN 'old' END
    WHEN NOT EXISTS (SELECT NEW.user_id INTERSECT SELECT OLD.user_id) THEN 'new'
    WHEN NEW.customer_id IS NULL THEN 'new' END AS follows) AS side
  WHERE side.follows IS NOT NULL;
END;

-- BACKFILL ------------------------------------------------------------------------------------------------------------

-- ~ backfill orders.customer_id
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM dbo.orders AS k ORDER BY k.id DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.orders AS t WHERE t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1; UPDATE dbo.orders SET customer_id = user_id WHERE customer_id IS NULL AND (user_id) IS NOT NULL AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), b.n, CASE WHEN b.k1 = @changeover_high_1 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k1, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM dbo.orders AS t WHERE t.id > @changeover_low_1 AND t.id <= @changeover_high_1 ORDER BY t.id) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_high_1 bigint = @high_1; UPDATE dbo.orders SET customer_id = user_id WHERE customer_id IS NULL AND (user_id) IS NOT NULL AND id > @changeover_low_1 AND id <= @changeover_high_1; SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.orders WHERE customer_id IS NULL AND (user_id) IS NOT NULL;

-- VERIFY --------------------------------------------------------------------------------------------------------------

-- 0 of: rows of orders whose customer_id does not fit user_id
SELECT COUNT_BIG(*) FROM dbo.orders WHERE (NOT EXISTS (SELECT user_id INTERSECT SELECT customer_id) AND NOT EXISTS (SELECT customer_id INTERSECT SELECT user_id)) OR (customer_id IS NULL AND (user_id) IS NOT NULL);
-- shown of them
SELECT TOP (10) id FROM dbo.orders WHERE (NOT EXISTS (SELECT user_id INTERSECT SELECT customer_id) AND NOT EXISTS (SELECT customer_id INTERSECT SELECT user_id)) OR (customer_id IS NULL AND (user_id) IS NOT NULL);

-- FINALIZE ------------------------------------------------------------------------------------------------------------

-- + foreign key zz_cn_orders_orders_user_fk_13c46912 on orders (not validated)
-- lock: brief
-- done: constraint zz_cn_orders_orders_user_fk_13c46912 of dbo.orders is there
ALTER TABLE dbo.orders WITH NOCHECK ADD CONSTRAINT zz_cn_orders_orders_user_fk_13c46912 FOREIGN KEY (customer_id) REFERENCES dbo.users (id);

-- ~ validate zz_cn_orders_orders_user_fk_13c46912 on orders
-- lock: rewrite
-- done: valid zz_cn_orders_orders_user_fk_13c46912 of dbo.orders is there
-- WARN: every row is read while nobody can use the table
ALTER TABLE dbo.orders WITH CHECK CHECK CONSTRAINT zz_cn_orders_orders_user_fk_13c46912;

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_orders_6e2be842; - column orders.user_id (parked as zz_gone_1_1_0_orders_user_id_dad07d09); - constraint orders_user_fk
-- lock: brief
-- done: column user_id of dbo.orders is not there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.orders WITH (TABLOCKX, HOLDLOCK);
-- under the lock, 0 of: the trigger zz_co_1_1_0_orders_6e2be842 on orders is missing or disabled
SELECT 1 - COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(N'dbo.orders') AND name = N'zz_co_1_1_0_orders_6e2be842' AND is_disabled = 0;
DROP TRIGGER dbo.zz_co_1_1_0_orders_6e2be842;
-- then
ALTER TABLE dbo.orders DROP CONSTRAINT orders_user_fk;
-- then
ALTER TABLE dbo.orders DROP CONSTRAINT IF EXISTS df_orders_user_id_b040283d;
-- then
ALTER TABLE dbo.orders ALTER COLUMN user_id bigint NULL;
-- then
EXECUTE sys.sp_rename N'dbo.orders.user_id', N'zz_gone_1_1_0_orders_user_id_dad07d09', N'COLUMN';

-- + not null orders.customer_id
-- lock: rewrite
-- done: not_null customer_id of dbo.orders is there
-- WARN: every row is read while nobody can use the table; made anew meanwhile: zz_cn_orders_orders_user_fk_13c46912
ALTER TABLE dbo.orders DROP CONSTRAINT zz_cn_orders_orders_user_fk_13c46912;
-- then
ALTER TABLE dbo.orders ALTER COLUMN customer_id bigint NOT NULL;
-- then
ALTER TABLE dbo.orders ADD CONSTRAINT zz_cn_orders_orders_user_fk_13c46912 FOREIGN KEY (customer_id) REFERENCES dbo.users (id);

-- DROP ----------------------------------------------------------------------------------------------------------------

-- - column orders.zz_gone_1_1_0_orders_user_id_dad07d09
-- lock: brief
-- done: column zz_gone_1_1_0_orders_user_id_dad07d09 of dbo.orders is not there
ALTER TABLE dbo.orders DROP COLUMN zz_gone_1_1_0_orders_user_id_dad07d09;

-- ~ constraint zz_cn_orders_orders_user_fk_13c46912 becomes orders_user_fk
-- lock: brief
-- done: constraint orders_user_fk of dbo.orders is there
EXECUTE sys.sp_rename N'dbo.zz_cn_orders_orders_user_fk_13c46912', N'orders_user_fk', N'OBJECT';

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_orders_6e2be842 on orders
-- lock: brief
-- done: trigger zz_co_1_1_0_orders_6e2be842 of dbo.orders is not there
DROP TRIGGER dbo.zz_co_1_1_0_orders_6e2be842;

-- - column orders.customer_id
-- lock: brief
-- done: column customer_id of dbo.orders is not there
ALTER TABLE dbo.orders DROP CONSTRAINT IF EXISTS zz_cn_orders_orders_user_fk_13c46912;
-- then
ALTER TABLE dbo.orders DROP CONSTRAINT IF EXISTS df_orders_customer_id_4ae4f39e;
-- then
ALTER TABLE dbo.orders DROP COLUMN customer_id;

-- + not null orders.user_id
-- lock: rewrite
-- done: not_null user_id of dbo.orders is there
ALTER TABLE dbo.orders DROP CONSTRAINT orders_user_fk;
-- then
ALTER TABLE dbo.orders ALTER COLUMN user_id bigint NOT NULL;
-- then
ALTER TABLE dbo.orders ADD CONSTRAINT orders_user_fk FOREIGN KEY (user_id) REFERENCES dbo.users (id);
