-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - rename_column: { table: Order, column: select, to: "Größe WHERE" }
--
-- CREATE TABLE [Order] ([ключ] bigint NOT NULL, [end] nvarchar(40) NOT NULL, [select] nvarchar(400) NOT NULL, CONSTRAINT
-- order_pk PRIMARY KEY ([ключ], [end]))

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: statements of the last days that write to Order with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]Order[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- shown of them
SELECT TOP (10) LEFT(w.said, CHARINDEX(N'''', w.said + N'''') - 1) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]Order[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';

-- 0 of: grants and denials on single columns of Order, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'select') AND major_id = OBJECT_ID(N'dbo.[Order]');
-- shown of them
SELECT TOP (10) COL_NAME(major_id, minor_id), state_desc, permission_name, USER_NAME(grantee_principal_id) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'select') AND major_id = OBJECT_ID(N'dbo.[Order]');

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- ~ Order.select may be left out (default '')
-- lock: brief
-- done: constraint df_order_select_fc47b260 of dbo.[Order] is there
ALTER TABLE dbo.[Order] ADD CONSTRAINT df_order_select_fc47b260 DEFAULT '' FOR [select];

-- + column Order.Größe WHERE nvarchar(400)
-- lock: brief
-- done: column Größe WHERE of dbo.[Order] is there as nvarchar(400)
ALTER TABLE dbo.[Order] ADD [Größe WHERE] nvarchar(400) NULL;

-- SYNC ----------------------------------------------------------------------------------------------------------------

-- + trigger zz_co_1_1_0_order_1fa0731e on Order: select <-> Größe WHERE
-- lock: brief
-- done: trigger zz_co_1_1_0_order_1fa0731e of dbo.[Order] is there
-- WARN: what writes to it with OUTPUT and without INTO fails with error 334 once it has a trigger (Entity Framework Core 7
-- and later writes so): plan cache and query store are searched for that, and they forget; bulk loads must FIRE_TRIGGERS
-- asked again, 0 of: statements of the last days that write to Order with OUTPUT and without INTO: they fail (334) once it has a trigger
SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]Order[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%';
-- asked again, 0 of: grants and denials on single columns of Order, which their successors would not have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'select') AND major_id = OBJECT_ID(N'dbo.[Order]');
CREATE TRIGGER dbo.zz_co_1_1_0_order_1fa0731e ON dbo.[Order] AFTER INSERT, UPDATE AS
-- made by changeover for release 1.1.0; cleanup drops it
BEGIN
  SET NOCOUNT ON;
  SET ROWCOUNT 0;
  IF TRIGGER_NESTLEVEL(@@PROCID) > 1 OR NOT EXISTS (SELECT 1 FROM inserted) RETURN;
  DECLARE @changeover_insert bit = 1;
  IF EXISTS (SELECT 1 FROM deleted) SET @changeover_insert = 0;
  DECLARE @changeover_news_1 bit = 0, @changeover_olds_1 bit = 0;
  IF UPDATE([Größe WHERE]) SET @changeover_news_1 = 1;
  IF UPDATE([select]) SET @changeover_olds_1 = 1;
  UPDATE NEW SET [select] = CASE side.follows WHEN 'old' THEN NEW.[Größe WHERE] ELSE NEW.[select] END, [Größe WHERE] = CASE side.follows WHEN 'new' THEN NEW.[select] ELSE NEW.[Größe WHERE] END
  FROM dbo.[Order] AS NEW INNER JOIN inserted AS written ON written.[ключ] = NEW.[ключ] AND written.[end] = NEW.[end]
  LEFT JOIN deleted AS OLD ON OLD.[ключ] = NEW.[ключ] AND OLD.[end] = NEW.[end]
  CROSS APPLY (SELECT CASE WHEN OLD.[ключ] IS NULL THEN CASE WHEN NEW.[Größe WHERE] IS NULL THEN 'new' WHEN @changeover_insert = 1 OR @changeover_news_1 = 1 THEN 'old' WHEN @changeover_olds_1 = 1 THEN 'new' END
    WHEN NOT EXISTS (SELECT NEW.[Größe WHERE] COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.[Größe WHERE]) INTERSECT SELECT OLD.[Größe WHERE] COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.[Größe WHERE])) THEN CASE WHEN NOT OLD.[Größe WHERE] IS NULL THEN 'old' WHEN NOT EXISTS (SELECT NEW.[select] COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.[select]) INTERSECT SELECT OLD.[select] COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.[select])) THEN 'old' WHEN NOT EXISTS (SELECT NEW.[Größe WHERE] COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.[Größe WHERE]) INTERSECT SELECT NEW.[select] COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.[select])) THEN 'old' END
    WHEN NOT EXISTS (SELECT NEW.[select] COLLATE Latin1_General_100_BIN2, DATALENGTH(NEW.[select]) INTERSECT SELECT OLD.[select] COLLATE Latin1_General_100_BIN2, DATALENGTH(OLD.[select])) THEN 'new'
    WHEN NEW.[Größe WHERE] IS NULL THEN 'new' END AS follows) AS side
  WHERE side.follows IS NOT NULL;
END;

-- BACKFILL ------------------------------------------------------------------------------------------------------------

-- ~ backfill Order.Größe WHERE
-- where it ends
SELECT TOP (1) CONVERT(nvarchar(4000), k.[ключ]), CONVERT(nvarchar(4000), k.[end]) FROM dbo.[Order] AS k ORDER BY k.[ключ] DESC, k.[end] DESC;
-- the first batch: its last key
DECLARE @changeover_high_1 bigint = @high_1, @changeover_high_2 nvarchar(40) = @high_2; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), CONVERT(nvarchar(4000), b.k2), b.n, CASE WHEN b.k1 = @changeover_high_1 AND b.k2 = @changeover_high_2 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.[ключ] AS k1, t.[end] AS k2, ROW_NUMBER() OVER (ORDER BY t.[ключ], t.[end]) AS n FROM dbo.[Order] AS t WHERE (t.[ключ] < @changeover_high_1 OR (t.[ключ] = @changeover_high_1 AND t.[end] <= @changeover_high_2)) ORDER BY t.[ключ], t.[end]) AS b ORDER BY b.n DESC;
-- the first batch: its rows
DECLARE @changeover_high_1 bigint = @high_1, @changeover_high_2 nvarchar(40) = @high_2; UPDATE dbo.[Order] SET [Größe WHERE] = [select] WHERE [Größe WHERE] IS NULL AND ([select]) IS NOT NULL AND ([ключ] < @changeover_high_1 OR ([ключ] = @changeover_high_1 AND [end] <= @changeover_high_2)); SELECT @@ROWCOUNT;
-- each batch after it: its last key
DECLARE @changeover_low_1 bigint = @low_1, @changeover_low_2 nvarchar(40) = @low_2, @changeover_high_1 bigint = @high_1, @changeover_high_2 nvarchar(40) = @high_2; SELECT TOP (1) CONVERT(nvarchar(4000), b.k1), CONVERT(nvarchar(4000), b.k2), b.n, CASE WHEN b.k1 = @changeover_high_1 AND b.k2 = @changeover_high_2 THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.[ключ] AS k1, t.[end] AS k2, ROW_NUMBER() OVER (ORDER BY t.[ключ], t.[end]) AS n FROM dbo.[Order] AS t WHERE t.[ключ] >= @changeover_low_1 AND t.[ключ] <= @changeover_high_1 AND (t.[ключ] > @changeover_low_1 OR (t.[ключ] = @changeover_low_1 AND t.[end] > @changeover_low_2)) AND (t.[ключ] < @changeover_high_1 OR (t.[ключ] = @changeover_high_1 AND t.[end] <= @changeover_high_2)) ORDER BY t.[ключ], t.[end]) AS b ORDER BY b.n DESC;
-- each batch after it: its rows
DECLARE @changeover_low_1 bigint = @low_1, @changeover_low_2 nvarchar(40) = @low_2, @changeover_high_1 bigint = @high_1, @changeover_high_2 nvarchar(40) = @high_2; UPDATE dbo.[Order] SET [Größe WHERE] = [select] WHERE [Größe WHERE] IS NULL AND ([select]) IS NOT NULL AND [ключ] >= @changeover_low_1 AND [ключ] <= @changeover_high_1 AND ([ключ] > @changeover_low_1 OR ([ключ] = @changeover_low_1 AND [end] > @changeover_low_2)) AND ([ключ] < @changeover_high_1 OR ([ключ] = @changeover_high_1 AND [end] <= @changeover_high_2)); SELECT @@ROWCOUNT;
-- how many are left
SELECT COUNT_BIG(*) FROM dbo.[Order] WHERE [Größe WHERE] IS NULL AND ([select]) IS NOT NULL;

-- VERIFY --------------------------------------------------------------------------------------------------------------

-- 0 of: rows of Order whose Größe WHERE does not fit select
SELECT COUNT_BIG(*) FROM dbo.[Order] WHERE (NOT EXISTS (SELECT [select] COLLATE Latin1_General_100_BIN2, DATALENGTH([select]) INTERSECT SELECT [Größe WHERE] COLLATE Latin1_General_100_BIN2, DATALENGTH([Größe WHERE])) AND NOT EXISTS (SELECT [Größe WHERE] COLLATE Latin1_General_100_BIN2, DATALENGTH([Größe WHERE]) INTERSECT SELECT [select] COLLATE Latin1_General_100_BIN2, DATALENGTH([select]))) OR ([Größe WHERE] IS NULL AND ([select]) IS NOT NULL);
-- shown of them
SELECT TOP (10) [ключ], [end] FROM dbo.[Order] WHERE (NOT EXISTS (SELECT [select] COLLATE Latin1_General_100_BIN2, DATALENGTH([select]) INTERSECT SELECT [Größe WHERE] COLLATE Latin1_General_100_BIN2, DATALENGTH([Größe WHERE])) AND NOT EXISTS (SELECT [Größe WHERE] COLLATE Latin1_General_100_BIN2, DATALENGTH([Größe WHERE]) INTERSECT SELECT [select] COLLATE Latin1_General_100_BIN2, DATALENGTH([select]))) OR ([Größe WHERE] IS NULL AND ([select]) IS NOT NULL);

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_order_1fa0731e; - column Order.select (parked as zz_gone_1_1_0_order_select_e2962fcd)
-- lock: brief
-- done: column select of dbo.[Order] is not there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.[Order] WITH (TABLOCKX, HOLDLOCK);
-- under the lock, 0 of: the trigger zz_co_1_1_0_order_1fa0731e on Order is missing or disabled
SELECT 1 - COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(N'dbo.[Order]') AND name = N'zz_co_1_1_0_order_1fa0731e' AND is_disabled = 0;
DROP TRIGGER dbo.zz_co_1_1_0_order_1fa0731e;
-- then
ALTER TABLE dbo.[Order] DROP CONSTRAINT IF EXISTS df_order_select_fc47b260;
-- then
ALTER TABLE dbo.[Order] ALTER COLUMN [select] nvarchar(400) NULL;
-- then
EXECUTE sys.sp_rename N'dbo.[Order].[select]', N'zz_gone_1_1_0_order_select_e2962fcd', N'COLUMN';

-- + not null Order.Größe WHERE
-- lock: none
-- done: not_null Größe WHERE of dbo.[Order] is there
ALTER TABLE dbo.[Order] ALTER COLUMN [Größe WHERE] nvarchar(400) NOT NULL WITH (ONLINE = ON);

-- DROP ----------------------------------------------------------------------------------------------------------------

-- - column Order.zz_gone_1_1_0_order_select_e2962fcd
-- lock: brief
-- done: column zz_gone_1_1_0_order_select_e2962fcd of dbo.[Order] is not there
ALTER TABLE dbo.[Order] DROP COLUMN zz_gone_1_1_0_order_select_e2962fcd;

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - trigger zz_co_1_1_0_order_1fa0731e on Order
-- lock: brief
-- done: trigger zz_co_1_1_0_order_1fa0731e of dbo.[Order] is not there
DROP TRIGGER dbo.zz_co_1_1_0_order_1fa0731e;

-- - column Order.Größe WHERE
-- lock: brief
-- done: column Größe WHERE of dbo.[Order] is not there
ALTER TABLE dbo.[Order] DROP CONSTRAINT IF EXISTS df_order_gr__e_where_9212b3c7;
-- then
ALTER TABLE dbo.[Order] DROP COLUMN [Größe WHERE];

-- - default Order.select
-- lock: brief
-- done: constraint df_order_select_fc47b260 of dbo.[Order] is not there
ALTER TABLE dbo.[Order] DROP CONSTRAINT df_order_select_fc47b260;
