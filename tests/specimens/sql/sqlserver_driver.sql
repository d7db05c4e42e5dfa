-- session/settings
SET XACT_ABORT ON; SET NOCOUNT ON; SET IMPLICIT_TRANSACTIONS OFF; SET DEADLOCK_PRIORITY LOW; SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON; SET NUMERIC_ROUNDABORT OFF; SET LOCK_TIMEOUT 100;

-- session/begin
BEGIN TRANSACTION;

-- session/commit
COMMIT TRANSACTION;

-- session/rollback
IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;

-- session/open
SELECT @@TRANCOUNT;

-- ledger/create 0
IF OBJECT_ID(N'dbo.changeover_claim', N'U') IS NULL CREATE TABLE dbo.changeover_claim (environment nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY, store nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, fence bigint NOT NULL, holder nvarchar(400) COLLATE Latin1_General_100_BIN2 NOT NULL, at float NOT NULL);

-- ledger/create 1
IF OBJECT_ID(N'dbo.changeover_applied', N'U') IS NULL CREATE TABLE dbo.changeover_applied (version nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, phase nvarchar(20) COLLATE Latin1_General_100_BIN2 NOT NULL, idx int NOT NULL, digest nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, at float NOT NULL, run nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, fence bigint NOT NULL, PRIMARY KEY (version, phase, idx));

-- ledger/create 2
IF OBJECT_ID(N'dbo.changeover_state', N'U') IS NULL CREATE TABLE dbo.changeover_state (one int NOT NULL PRIMARY KEY CHECK (one = 1), revision bigint NOT NULL);

-- ledger/create 3
IF OBJECT_ID(N'dbo.changeover_change', N'U') IS NULL CREATE TABLE dbo.changeover_change (version nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY, digest nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, body nvarchar(max) COLLATE Latin1_General_100_BIN2 NOT NULL);

-- ledger/create 4
INSERT INTO dbo.changeover_state (one, revision) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM dbo.changeover_state WHERE one = 1);

-- ledger/has
SELECT CASE WHEN OBJECT_ID(N'dbo.changeover_claim', N'U') IS NOT NULL AND OBJECT_ID(N'dbo.changeover_applied', N'U') IS NOT NULL AND OBJECT_ID(N'dbo.changeover_state', N'U') IS NOT NULL THEN 1 ELSE 0 END;

-- ledger/claims, locked
SELECT environment, store, fence, holder, at FROM dbo.changeover_claim WITH (UPDLOCK, HOLDLOCK) ORDER BY environment;

-- ledger/0
SELECT environment, store, fence, holder, at FROM dbo.changeover_claim ORDER BY environment;

-- ledger/1
SELECT version, phase, idx, digest, at, run, fence FROM dbo.changeover_applied ORDER BY at, version, phase DESC, idx;

-- ledger/2
SELECT digest FROM dbo.changeover_applied WHERE version = @version AND phase = @phase AND idx = @idx;

-- ledger/3
INSERT INTO dbo.changeover_applied (version, phase, idx, digest, at, run, fence) VALUES (@version, @phase, @idx, @digest, @at, @run, @fence);

-- ledger/4
SELECT revision FROM dbo.changeover_state;

-- ledger/5
SELECT body FROM dbo.changeover_change;

-- ledger/6
DELETE FROM dbo.changeover_applied WHERE version = @version AND phase = @phase;

-- ledger/7
DELETE FROM dbo.changeover_applied WHERE version = @version AND phase = @phase;

-- ledger/8
DELETE FROM dbo.changeover_applied WHERE version = @version AND phase = @phase;

-- ledger/9
DELETE FROM dbo.changeover_applied WHERE version = @version AND phase = @phase;

-- ledger/10
DELETE FROM dbo.changeover_applied WHERE version = @version AND phase = @phase;

-- ledger/11
DELETE FROM dbo.changeover_applied WHERE version = @version AND phase = @phase;

-- ledger/12
DELETE FROM dbo.changeover_applied WHERE version = @version AND phase = @phase;

-- ledger/13
DELETE FROM dbo.changeover_change WHERE version = @version;

-- ledger/14
UPDATE dbo.changeover_state SET revision = revision + 1;

-- ledger/15
DELETE FROM dbo.changeover_claim;

-- ledger/16
INSERT INTO dbo.changeover_claim (environment, store, fence, holder, at) VALUES (@environment, @store, @fence, @holder, @at);

-- ledger/raise
UPDATE dbo.changeover_state SET revision = revision + 1;

-- locks/for the transaction
DECLARE @got int; EXECUTE @got = sys.sp_getapplock @Resource = N'changeover/first-come', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 100; SELECT @got;

-- locks/for the session
DECLARE @got int; EXECUTE @got = sys.sp_getapplock @Resource = N'changeover/production', @LockMode = N'Exclusive', @LockOwner = N'Session', @LockTimeout = 100; SELECT @got;

-- locks/release
EXECUTE sys.sp_releaseapplock @Resource = N'changeover/production', @LockOwner = N'Session';

-- claim/may see sessions
SELECT HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE');

-- claim/older sessions
SELECT session_id, program_name FROM sys.dm_exec_sessions WHERE is_user_process = 1 AND database_id = DB_ID() AND LEFT(program_name, LEN(@prefix)) = @prefix AND session_id <> @@SPID;

-- claim/end one
IF EXISTS (SELECT 1 FROM sys.dm_exec_sessions WHERE session_id = 57 AND program_name = N'changeover/production/6') KILL 57;

-- blocker/session
SELECT @@SPID;

-- blocker/who
SELECT TOP (1) w.blocking_session_id, s.login_name, s.program_name, s.host_name, s.status,
  DATEDIFF(SECOND, t.transaction_begin_time, GETDATE()), CONVERT(nvarchar(200), LEFT(q.text, 200))
FROM sys.dm_exec_requests w
LEFT JOIN sys.dm_exec_sessions s ON s.session_id = w.blocking_session_id
LEFT JOIN sys.dm_tran_session_transactions x ON x.session_id = s.session_id
LEFT JOIN sys.dm_tran_active_transactions t ON t.transaction_id = x.transaction_id
LEFT JOIN sys.dm_exec_connections c ON c.session_id = s.session_id
OUTER APPLY sys.dm_exec_sql_text(c.most_recent_sql_handle) q
WHERE w.session_id = @session AND w.blocking_session_id <> 0
ORDER BY t.transaction_begin_time;

-- probes/table
SELECT COUNT(*) FROM sys.objects WHERE object_id = OBJECT_ID(@name) AND type IN ('U');

-- probes/view
SELECT COUNT(*) FROM sys.objects WHERE object_id = OBJECT_ID(@name) AND type IN ('V');

-- probes/sequence
SELECT COUNT(*) FROM sys.objects WHERE object_id = OBJECT_ID(@name) AND type IN ('SO');

-- probes/synonym
SELECT COUNT(*) FROM sys.objects WHERE object_id = OBJECT_ID(@name) AND type IN ('SN');

-- probes/function
SELECT COUNT(*) FROM sys.objects WHERE object_id = OBJECT_ID(@name) AND type IN ('FN', 'IF', 'TF', 'FS', 'FT', 'AF', 'P', 'PC');

-- probes/holder
SELECT COUNT(*) FROM sys.objects WHERE object_id = OBJECT_ID(@name) AND type IN ('U', 'V');

-- probes/column
SELECT t.name, c.max_length, c.[precision], c.scale, c.is_nullable, CASE WHEN c.default_object_id <> 0 THEN 1 ELSE 0 END FROM sys.columns c JOIN sys.types t ON t.user_type_id = c.user_type_id WHERE c.object_id = OBJECT_ID(@table) AND c.name = @name;

-- probes/constraint of a table
SELECT COUNT(*) FROM sys.objects WHERE parent_object_id = OBJECT_ID(@table) AND name = @name AND type IN ('C', 'D', 'F', 'PK', 'UQ', 'EC');

-- probes/trigger of a table
SELECT COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(@table) AND name = @name;

-- probes/valid of a table
SELECT (SELECT COUNT(*) FROM sys.check_constraints c WHERE c.parent_object_id = OBJECT_ID(@table) AND c.name = @name AND c.is_not_trusted = 0 AND c.is_disabled = 0) + (SELECT COUNT(*) FROM sys.foreign_keys f WHERE f.parent_object_id = OBJECT_ID(@table) AND f.name = @name AND f.is_not_trusted = 0 AND f.is_disabled = 0);

-- probes/type by name
SELECT COUNT(*) FROM sys.types WHERE user_type_id = TYPE_ID(@name);

-- probes/trigger by name
SELECT COUNT(*) FROM sys.triggers WHERE object_id = OBJECT_ID(@name);

-- probes/schema by name
SELECT COUNT(*) FROM sys.schemas WHERE schema_id = SCHEMA_ID(@name);

-- probes/index in use
SELECT COUNT(*) FROM sys.indexes i JOIN sys.objects o ON o.object_id = i.object_id WHERE i.name = @name AND o.is_ms_shipped = 0 AND i.is_disabled = 0 AND i.is_hypothetical = 0 AND (@table = N'' OR i.object_id = OBJECT_ID(@table));

-- probes/index
SELECT COUNT(*) FROM sys.indexes i JOIN sys.objects o ON o.object_id = i.object_id WHERE i.name = @name AND o.is_ms_shipped = 0 AND (@table = N'' OR i.object_id = OBJECT_ID(@table));

-- catalogue/sees definitions
SELECT HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'VIEW DEFINITION');

-- catalogue/state
SELECT COUNT(*), CONVERT(nvarchar(30), MAX(modify_date), 126) FROM sys.objects WHERE is_ms_shipped = 0;

-- catalogue/schema
SELECT s.name FROM sys.schemas s WHERE s.schema_id < 16384 AND s.name NOT IN (N'sys', N'INFORMATION_SCHEMA', N'guest') AND s.name NOT LIKE N'changeover[_]%';

-- catalogue/table
SELECT s.name, o.name, o.temporal_type, o.is_memory_optimized, o.uses_ansi_nulls, OBJECT_SCHEMA_NAME(o.history_table_id), OBJECT_NAME(o.history_table_id) FROM sys.tables o JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/column
SELECT s.name, o.name, ROW_NUMBER() OVER (PARTITION BY x.object_id ORDER BY x.column_id), x.name, ts.name, t.name, x.max_length, x.[precision], x.scale, x.collation_name, x.is_nullable, x.is_identity, x.is_computed, x.is_sparse, x.is_rowguidcol, x.generated_always_type, x.is_hidden, x.is_masked FROM sys.columns x JOIN sys.objects o ON o.object_id = x.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id JOIN sys.types t ON t.user_type_id = x.user_type_id JOIN sys.schemas ts ON ts.schema_id = t.schema_id WHERE o.type IN ('U', 'V') AND s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/computed column
SELECT s.name, o.name, x.name, x.definition, x.is_persisted FROM sys.computed_columns x JOIN sys.objects o ON o.object_id = x.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/identity
SELECT s.name, o.name, x.name, CONVERT(nvarchar(60), x.seed_value), CONVERT(nvarchar(60), x.increment_value) FROM sys.identity_columns x JOIN sys.objects o ON o.object_id = x.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE o.type = 'U' AND s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/default
SELECT s.name, o.name, COL_NAME(x.parent_object_id, x.parent_column_id), CASE WHEN x.is_system_named = 1 THEN N'' ELSE x.name END, x.definition FROM sys.default_constraints x JOIN sys.objects o ON o.object_id = x.parent_object_id JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/check
SELECT s.name, o.name, CASE WHEN x.is_system_named = 1 THEN N'' ELSE x.name END, x.definition, x.is_disabled, x.is_not_trusted, x.is_not_for_replication FROM sys.check_constraints x JOIN sys.objects o ON o.object_id = x.parent_object_id JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/foreign key
SELECT s.name, o.name, CASE WHEN x.is_system_named = 1 THEN N'' ELSE x.name END, OBJECT_SCHEMA_NAME(x.referenced_object_id), OBJECT_NAME(x.referenced_object_id), COL_NAME(k.parent_object_id, k.parent_column_id), COL_NAME(k.referenced_object_id, k.referenced_column_id), k.constraint_column_id, x.delete_referential_action, x.update_referential_action, x.is_disabled, x.is_not_trusted FROM sys.foreign_keys x JOIN sys.foreign_key_columns k ON k.constraint_object_id = x.object_id JOIN sys.objects o ON o.object_id = x.parent_object_id JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/index
SELECT s.name, o.name, CASE WHEN c.is_system_named = 1 THEN N'' ELSE x.name END, x.type, x.is_unique, x.is_primary_key, x.is_unique_constraint, x.ignore_dup_key, x.is_disabled, x.filter_definition, x.allow_row_locks, x.allow_page_locks, COL_NAME(k.object_id, k.column_id), k.key_ordinal, k.is_descending_key, k.is_included_column FROM sys.indexes x JOIN sys.objects o ON o.object_id = x.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id JOIN sys.index_columns k ON k.object_id = x.object_id AND k.index_id = x.index_id LEFT JOIN sys.key_constraints c ON c.parent_object_id = x.object_id AND c.unique_index_id = x.index_id WHERE x.is_hypothetical = 0 AND o.type IN ('U', 'V') AND s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/trigger
SELECT s.name, o.name, x.name, x.is_disabled, x.is_instead_of_trigger, m.definition FROM sys.triggers x JOIN sys.objects o ON o.object_id = x.parent_id JOIN sys.schemas s ON s.schema_id = o.schema_id LEFT JOIN sys.sql_modules m ON m.object_id = x.object_id WHERE s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/trigger of the database
SELECT x.name, x.is_disabled, m.definition FROM sys.triggers x LEFT JOIN sys.sql_modules m ON m.object_id = x.object_id WHERE x.parent_class = 0 AND x.is_ms_shipped = 0;

-- catalogue/module
SELECT s.name, o.name, o.type, m.definition, m.uses_ansi_nulls, m.uses_quoted_identifier, m.is_schema_bound FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id LEFT JOIN sys.sql_modules m ON m.object_id = o.object_id WHERE o.type IN ('V', 'P', 'FN', 'IF', 'TF', 'FS', 'FT', 'AF', 'PC') AND s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/type
SELECT s.name, x.name, b.name, x.max_length, x.[precision], x.scale, x.is_nullable, x.is_table_type FROM sys.types x JOIN sys.schemas s ON s.schema_id = x.schema_id LEFT JOIN sys.types b ON b.user_type_id = x.system_type_id WHERE x.is_user_defined = 1;

-- catalogue/column of a table type
SELECT s.name, x.name, c.name, c.column_id, t.name, c.max_length, c.[precision], c.scale, c.is_nullable FROM sys.table_types x JOIN sys.schemas s ON s.schema_id = x.schema_id JOIN sys.columns c ON c.object_id = x.type_table_object_id JOIN sys.types t ON t.user_type_id = c.user_type_id;

-- catalogue/sequence
SELECT s.name, o.name, t.name, CONVERT(nvarchar(60), o.start_value), CONVERT(nvarchar(60), o.increment), CONVERT(nvarchar(60), o.minimum_value), CONVERT(nvarchar(60), o.maximum_value), o.is_cycling FROM sys.sequences o JOIN sys.schemas s ON s.schema_id = o.schema_id JOIN sys.types t ON t.user_type_id = o.user_type_id WHERE s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/synonym
SELECT s.name, o.name, o.base_object_name FROM sys.synonyms o JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- catalogue/security policy
SELECT s.name, o.name, o.is_enabled, x.predicate_type, x.operation, x.predicate_definition, OBJECT_SCHEMA_NAME(x.target_object_id), OBJECT_NAME(x.target_object_id) FROM sys.security_policies o JOIN sys.schemas s ON s.schema_id = o.schema_id JOIN sys.security_predicates x ON x.object_id = o.object_id WHERE s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0;

-- tables/schema
SELECT SCHEMA_NAME();

-- tables/names
SELECT name FROM sys.objects WHERE schema_id = SCHEMA_ID() AND is_ms_shipped = 0;

-- tables/relation
SELECT o.object_id, o.name, o.type, CASE WHEN t.temporal_type <> 0 OR t.is_memory_optimized = 1 OR t.is_external = 1 OR t.is_filetable = 1 THEN 1 ELSE 0 END, CASE WHEN EXISTS (SELECT 1 FROM sys.indexes i JOIN sys.partition_schemes s ON s.data_space_id = i.data_space_id WHERE i.object_id = o.object_id AND i.index_id IN (0, 1)) THEN 1 ELSE 0 END, CASE WHEN EXISTS (SELECT 1 FROM sys.security_predicates p JOIN sys.security_policies q ON q.object_id = p.object_id WHERE p.target_object_id = o.object_id AND q.is_enabled = 1) THEN 1 ELSE 0 END, t.is_published, t.is_merge_published, t.is_tracked_by_cdc, CASE WHEN EXISTS (SELECT 1 FROM sys.change_tracking_tables c WHERE c.object_id = o.object_id) THEN 1 ELSE 0 END, (SELECT SUM(p.rows) FROM sys.partitions p WHERE p.object_id = o.object_id AND p.index_id IN (0, 1)), (SELECT SUM(a.total_pages) * 8192 FROM sys.partitions p JOIN sys.allocation_units a ON a.container_id = p.partition_id WHERE p.object_id = o.object_id) FROM sys.objects o LEFT JOIN sys.tables t ON t.object_id = o.object_id WHERE o.schema_id = SCHEMA_ID() AND o.type IN ('U', 'V', 'SN') AND o.name = @name;

-- tables/columns
SELECT c.name, t.name, c.max_length, c.[precision], c.scale, t.is_user_defined, SCHEMA_NAME(t.schema_id), c.is_nullable, d.definition, p.definition, c.is_identity, c.collation_name, CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Collation')), c.is_sparse, c.is_rowguidcol, c.is_masked, c.is_filestream, c.is_column_set, CASE WHEN c.encryption_type IS NULL THEN 0 ELSE 1 END, CASE WHEN c.xml_collection_id <> 0 THEN 1 ELSE 0 END, c.generated_always_type FROM sys.columns c JOIN sys.types t ON t.user_type_id = c.user_type_id LEFT JOIN sys.default_constraints d ON d.object_id = c.default_object_id LEFT JOIN sys.computed_columns p ON p.object_id = c.object_id AND p.column_id = c.column_id WHERE c.object_id = @table ORDER BY c.column_id;

-- tables/key
SELECT i.name, i.type_desc, i.is_unique, i.filter_definition, i.is_unique_constraint, i.is_disabled, i.ignore_dup_key, COL_NAME(k.object_id, k.column_id), k.is_included_column, k.is_descending_key FROM sys.indexes i JOIN sys.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id WHERE i.object_id = @table AND i.index_id > 0 AND i.is_hypothetical = 0 AND i.is_primary_key = 1 ORDER BY i.index_id, k.is_included_column, k.key_ordinal, k.index_column_id;

-- tables/other_indexes
SELECT i.name, i.type_desc, i.is_unique, i.filter_definition, i.is_unique_constraint, i.is_disabled, i.ignore_dup_key, COL_NAME(k.object_id, k.column_id), k.is_included_column, k.is_descending_key FROM sys.indexes i JOIN sys.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id WHERE i.object_id = @table AND i.index_id > 0 AND i.is_hypothetical = 0 AND i.is_primary_key = 0 ORDER BY i.index_id, k.is_included_column, k.key_ordinal, k.index_column_id;

-- tables/unique
SELECT c.name, i.type_desc, COL_NAME(k.object_id, k.column_id) FROM sys.key_constraints c JOIN sys.indexes i ON i.object_id = c.parent_object_id AND i.index_id = c.unique_index_id JOIN sys.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id WHERE c.parent_object_id = @table AND c.type = 'UQ' ORDER BY c.name, k.key_ordinal;

-- tables/defaults
SELECT name, definition, COL_NAME(parent_object_id, parent_column_id) FROM sys.default_constraints WHERE parent_object_id = @table ORDER BY name;

-- tables/checks
SELECT c.name, c.definition, COL_NAME(d.referenced_id, d.referenced_minor_id) FROM sys.check_constraints c LEFT JOIN sys.sql_expression_dependencies d ON d.referencing_id = c.object_id AND d.referenced_id = c.parent_object_id AND d.referenced_minor_id > 0 WHERE c.parent_object_id = @table ORDER BY c.name, d.referenced_minor_id;

-- tables/foreign_keys
SELECT f.name, COL_NAME(k.parent_object_id, k.parent_column_id), COL_NAME(k.referenced_object_id, k.referenced_column_id), OBJECT_NAME(f.referenced_object_id), OBJECT_SCHEMA_NAME(f.referenced_object_id), f.update_referential_action_desc, f.delete_referential_action_desc, f.is_disabled FROM sys.foreign_keys f JOIN sys.foreign_key_columns k ON k.constraint_object_id = f.object_id WHERE f.parent_object_id = @table ORDER BY f.name, k.constraint_column_id;

-- tables/pointing
SELECT f.name, COL_NAME(k.parent_object_id, k.parent_column_id), COL_NAME(k.referenced_object_id, k.referenced_column_id), OBJECT_NAME(f.referenced_object_id), OBJECT_SCHEMA_NAME(f.referenced_object_id), f.update_referential_action_desc, f.delete_referential_action_desc, f.is_disabled FROM sys.foreign_keys f JOIN sys.foreign_key_columns k ON k.constraint_object_id = f.object_id WHERE f.referenced_object_id = @table ORDER BY f.name, k.constraint_column_id;

-- tables/statistics
SELECT s.name, COL_NAME(k.object_id, k.column_id) FROM sys.stats s JOIN sys.stats_columns k ON k.object_id = s.object_id AND k.stats_id = s.stats_id WHERE s.object_id = @table AND s.user_created = 1 ORDER BY s.name, k.stats_column_id;

-- tables/full_text
SELECT N'the full-text index', COL_NAME(object_id, column_id) FROM sys.fulltext_index_columns WHERE object_id = @table ORDER BY column_id;

-- tables/bound
SELECT OBJECT_NAME(b.object_id), c.name FROM sys.columns c JOIN sys.objects b ON b.object_id IN (c.rule_object_id, c.default_object_id) WHERE c.object_id = @table AND b.parent_object_id = 0 ORDER BY b.name, c.column_id;

-- tables/triggers
SELECT name, OBJECT_DEFINITION(object_id), is_disabled FROM sys.triggers WHERE parent_id = @table ORDER BY name;

-- tables/readers
SELECT DISTINCT o.name FROM sys.sql_expression_dependencies d JOIN sys.objects o ON o.object_id = d.referencing_id WHERE d.referenced_id = @table AND (o.type = 'V' OR (d.is_schema_bound_reference = 1 AND o.type IN ('FN', 'IF', 'TF'))) ORDER BY o.name;

-- backfill/key
SELECT t.name, c.max_length, c.[precision], c.scale, CONVERT(int, COLLATIONPROPERTY(c.collation_name, 'CodePage')), CONVERT(int, COLLATIONPROPERTY(CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Collation')), 'CodePage')) FROM sys.columns c JOIN sys.types t ON t.user_type_id = c.system_type_id WHERE c.object_id = OBJECT_ID(@table) AND c.name = @name;

-- backfill/total
SELECT SUM(rows) FROM sys.partitions WHERE object_id = OBJECT_ID(@table) AND index_id IN (0, 1);

-- backfill/edge
SELECT TOP (1) CONVERT(nvarchar(4000), k.id) FROM orders AS k ORDER BY k.id DESC;

-- backfill/slice
DECLARE @changeover_low bigint = @low, @changeover_upto bigint = @upto; SELECT TOP (1) CONVERT(nvarchar(4000), b.k), b.n, CASE WHEN b.k = @changeover_upto THEN 1 ELSE 0 END FROM (SELECT TOP (@size) t.id AS k, ROW_NUMBER() OVER (ORDER BY t.id) AS n FROM orders AS t WHERE t.id > @changeover_low AND t.id <= @changeover_upto ORDER BY t.id) AS b ORDER BY b.n DESC;

-- backfill/update
DECLARE @changeover_low bigint = @low, @changeover_high bigint = @high; UPDATE orders SET price_cents = price * 100 WHERE id > @changeover_low AND id <= @changeover_high AND price_cents IS NULL; SELECT @@ROWCOUNT;

-- backfill/gap
DECLARE @changeover_low bigint = @low, @changeover_high bigint = @high; SELECT COUNT_BIG(*) FROM orders WHERE id > @changeover_low AND id <= @changeover_high AND price_cents IS NULL;

-- alone/has resumable
SELECT COUNT(*) FROM sys.system_views WHERE name = N'index_resumable_operations';

-- alone/resumable
SELECT state FROM sys.index_resumable_operations WHERE name = @name AND object_id = OBJECT_ID(@table);

-- pressure/sees
SELECT HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE');

-- pressure/lag
SELECT COALESCE(MAX(r.secondary_lag_seconds), 0) FROM sys.dm_hadr_database_replica_states r WHERE r.database_id = DB_ID() AND r.is_local = 0;

-- pressure/waiting
SELECT COUNT(*) FROM sys.dm_exec_requests r WHERE r.database_id = DB_ID() AND r.session_id <> @@SPID AND r.blocking_session_id <> 0 AND r.wait_time > 100 AND r.wait_type LIKE N'LCK[_]%';

-- pressure/working
SELECT COUNT(*) FROM sys.dm_exec_requests r WHERE r.database_id = DB_ID() AND r.session_id <> @@SPID AND r.session_id > 50;

-- pressure/oldest
SELECT COALESCE(MAX(DATEDIFF(SECOND, t.transaction_begin_time, GETDATE())), 0) FROM sys.dm_tran_locks l JOIN sys.dm_tran_active_transactions t ON t.transaction_id = l.request_owner_id WHERE l.resource_database_id = DB_ID() AND l.resource_type = N'OBJECT' AND l.request_status = N'GRANT' AND l.resource_associated_entity_id = OBJECT_ID(@table) AND l.request_session_id <> @@SPID;

-- logins/login
SELECT COUNT(*) FROM sys.server_principals WHERE name = @login AND type IN ('S', 'U', 'E');

-- logins/contained
SELECT COUNT(*) FROM sys.database_principals WHERE name = @login AND type IN ('S', 'U', 'E') AND authentication_type IN (2, 4);

-- logins/connected
SELECT session_id FROM sys.dm_exec_sessions WHERE is_user_process = 1 AND session_id <> @@SPID AND @login IN (original_login_name, login_name);

-- logins/end one
IF EXISTS (SELECT 1 FROM sys.dm_exec_sessions WHERE session_id = 57 AND N'shop_1.1.0' IN (original_login_name, login_name)) KILL 57;

-- logins/DISABLE
ALTER LOGIN [shop_1.1.0] DISABLE;

-- logins/DISABLE, contained
DENY CONNECT TO [shop_1.1.0];

-- logins/ENABLE
ALTER LOGIN [shop_1.1.0] ENABLE;

-- logins/ENABLE, contained
REVOKE CONNECT FROM [shop_1.1.0];
GRANT CONNECT TO [shop_1.1.0];

-- sums/columns
SELECT s.name, o.name, c.name, t.name FROM sys.columns c JOIN sys.tables o ON o.object_id = c.object_id JOIN sys.schemas s ON s.schema_id = o.schema_id JOIN sys.types u ON u.user_type_id = c.user_type_id JOIN sys.types t ON t.user_type_id = CASE WHEN u.is_assembly_type = 1 THEN u.user_type_id ELSE u.system_type_id END WHERE o.is_ms_shipped = 0 AND o.is_external = 0 AND c.is_computed = 0 ORDER BY s.name, o.name, c.column_id;

-- sums/table
SELECT COUNT_BIG(*), CONVERT(nvarchar(40), COALESCE(SUM(CONVERT(decimal(38, 0), CONVERT(bigint, SUBSTRING(HASHBYTES('SHA2_256', j.line), 1, 8)))), 0)) FROM [dbo].[orders] t CROSS APPLY (SELECT (SELECT t.[id] AS c0, CONVERT(nvarchar(max), t.[no]]te]) AS c1, CONVERT(varbinary(max), t.[place]) AS c2 FOR JSON PATH, INCLUDE_NULL_VALUES) AS line) j;

-- backup/engine
SELECT CONVERT(int, SERVERPROPERTY('EngineEdition'));

-- backup/snapshots
SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID();

-- backup/in snapshot
SET TRANSACTION ISOLATION LEVEL SNAPSHOT;

-- backup/take
BACKUP DATABASE [shop] TO DISK = N'/backup/changeover-production-1.1.0-expand.bak' WITH COPY_ONLY, CHECKSUM, FORMAT, INIT;

-- backup/verify
RESTORE VERIFYONLY FROM DISK = N'/backup/changeover-production-1.1.0-expand.bak' WITH CHECKSUM;

-- scratch/paths
SELECT CONVERT(nvarchar(400), SERVERPROPERTY('InstanceDefaultDataPath')), CONVERT(nvarchar(400), SERVERPROPERTY('InstanceDefaultLogPath'));

-- scratch/left
SELECT name FROM sys.databases WHERE LEFT(name, LEN(@prefix)) = @prefix;

-- scratch/restore
RESTORE DATABASE [changeover_scratch_1a2b3c4d5e6f_00] FROM DISK = N'/backup/changeover-production-1.1.0-expand.bak' WITH MOVE N'shop' TO N'/var/opt/mssql/data/changeover_scratch_1a2b3c4d5e6f_00_0.mdf', MOVE N'shop_log' TO N'/var/opt/mssql/log/changeover_scratch_1a2b3c4d5e6f_00_1.ldf', CHECKSUM, RECOVERY;

-- scratch/alone
IF DATABASEPROPERTYEX(N'changeover_scratch_1a2b3c4d5e6f_00', 'Status') = N'ONLINE' ALTER DATABASE [changeover_scratch_1a2b3c4d5e6f_00] SET SINGLE_USER WITH ROLLBACK IMMEDIATE;

-- scratch/drop
DROP DATABASE IF EXISTS [changeover_scratch_1a2b3c4d5e6f_00];

-- doctor/server
SELECT CONVERT(int, SERVERPROPERTY('ProductMajorVersion')), CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')), CONVERT(int, SERVERPROPERTY('EngineEdition')), CONVERT(nvarchar(128), SERVERPROPERTY('Edition'));

-- doctor/database
SELECT CONVERT(nvarchar(60), DATABASEPROPERTYEX(name, 'Updateability')), snapshot_isolation_state, is_read_committed_snapshot_on, compatibility_level FROM sys.databases WHERE database_id = DB_ID();

-- doctor/privileges
SELECT SUSER_SNAME(), USER_NAME(), DB_NAME(),
  HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE'), HAS_PERMS_BY_NAME(N'dbo', N'SCHEMA', N'ALTER'),
  HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'VIEW DEFINITION'), HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE'),
  HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY CONNECTION'), HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY LOGIN'),
  HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'BACKUP DATABASE'), HAS_PERMS_BY_NAME(NULL, NULL, N'CREATE ANY DATABASE');

-- doctor/schemas
SELECT s.name FROM sys.schemas s WHERE EXISTS (SELECT 1 FROM sys.tables t WHERE t.schema_id = s.schema_id AND t.is_ms_shipped = 0)
  AND COALESCE(HAS_PERMS_BY_NAME(QUOTENAME(s.name), N'SCHEMA', N'ALTER'), 0) = 0 ORDER BY s.name;

-- doctor/old_transactions
SELECT TOP (3) s.session_id, s.login_name, s.program_name, s.host_name, s.status,
  DATEDIFF(SECOND, t.transaction_begin_time, GETDATE()), CONVERT(nvarchar(200), LEFT(q.text, 200))
FROM sys.dm_tran_active_transactions t
JOIN sys.dm_tran_session_transactions x ON x.transaction_id = t.transaction_id
JOIN sys.dm_exec_sessions s ON s.session_id = x.session_id
LEFT JOIN sys.dm_exec_connections c ON c.session_id = s.session_id
OUTER APPLY sys.dm_exec_sql_text(c.most_recent_sql_handle) q
WHERE s.database_id = DB_ID() AND s.session_id <> @@SPID
  AND t.transaction_begin_time < DATEADD(SECOND, -@seconds, GETDATE())
ORDER BY t.transaction_begin_time;

-- doctor/backups
SELECT command, CONVERT(int, percent_complete) FROM sys.dm_exec_requests WHERE database_id = DB_ID() AND command IN (N'BACKUP DATABASE', N'BACKUP LOG', N'RESTORE DATABASE');

-- doctor/disabled
SELECT TOP (3) o.name, i.name FROM sys.indexes i JOIN sys.objects o ON o.object_id = i.object_id WHERE i.is_disabled = 1 AND o.is_ms_shipped = 0 ORDER BY o.name, i.name;

-- doctor/paused
SELECT OBJECT_NAME(object_id), name FROM sys.index_resumable_operations WHERE state = 1 ORDER BY name;

-- doctor/grants
USE [master];
GRANT VIEW SERVER STATE, ALTER ANY CONNECTION TO [shop];
GRANT ALTER ANY LOGIN TO [shop];
GRANT CREATE ANY DATABASE TO [shop];
USE [shop];
GRANT CREATE TABLE, CREATE VIEW, CREATE PROCEDURE, CREATE FUNCTION, CREATE SYNONYM, VIEW DEFINITION TO [shop];
GRANT ALTER, REFERENCES, SELECT, INSERT, UPDATE, DELETE, EXECUTE ON SCHEMA::[dbo] TO [shop];
GRANT ALTER, REFERENCES, SELECT, INSERT, UPDATE, DELETE, EXECUTE ON SCHEMA::[sales] TO [shop];
GRANT BACKUP DATABASE TO [shop];

-- by hand/apply
SET NOCOUNT ON; SET XACT_ABORT ON; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT 100;
IF OBJECT_ID(N'dbo.changeover_claim', N'U') IS NULL CREATE TABLE dbo.changeover_claim (environment nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY, store nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, fence bigint NOT NULL, holder nvarchar(400) COLLATE Latin1_General_100_BIN2 NOT NULL, at float NOT NULL);
IF OBJECT_ID(N'dbo.changeover_applied', N'U') IS NULL CREATE TABLE dbo.changeover_applied (version nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, phase nvarchar(20) COLLATE Latin1_General_100_BIN2 NOT NULL, idx int NOT NULL, digest nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, at float NOT NULL, run nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, fence bigint NOT NULL, PRIMARY KEY (version, phase, idx));
IF OBJECT_ID(N'dbo.changeover_state', N'U') IS NULL CREATE TABLE dbo.changeover_state (one int NOT NULL PRIMARY KEY CHECK (one = 1), revision bigint NOT NULL);
IF OBJECT_ID(N'dbo.changeover_change', N'U') IS NULL CREATE TABLE dbo.changeover_change (version nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY, digest nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, body nvarchar(max) COLLATE Latin1_General_100_BIN2 NOT NULL);
INSERT INTO dbo.changeover_state (one, revision) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM dbo.changeover_state WHERE one = 1);
IF NOT EXISTS (SELECT 1 FROM dbo.changeover_applied WHERE version = N'1.1.0' AND phase = N'expand' AND idx = 0)
BEGIN
BEGIN TRY
BEGIN TRANSACTION;
EXECUTE sys.sp_executesql N'ALTER TABLE orders ADD price_cents integer NULL';
INSERT INTO dbo.changeover_applied (version, phase, idx, digest, at, run, fence) VALUES ('1.1.0', 'expand', 0, 'eecf4472b114ee159c50f5cde78852eb6f50e426383910851886058fefe30a50', DATEDIFF_BIG(MILLISECOND, '19700101', SYSUTCDATETIME()) / 1000.0, 'r-1', 1);
COMMIT TRANSACTION;
END TRY
BEGIN CATCH
IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;
THROW;
END CATCH;
END;

-- by hand/apply, alone
SET NOCOUNT ON; SET XACT_ABORT ON; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT 100;
IF NOT EXISTS (SELECT 1 FROM dbo.changeover_applied WHERE version = N'1.1.0' AND phase = N'expand' AND idx = 1)
BEGIN
EXECUTE sys.sp_executesql N'CREATE INDEX orders_price ON orders (price) WITH (ONLINE = ON, RESUMABLE = ON)';
INSERT INTO dbo.changeover_applied (version, phase, idx, digest, at, run, fence) VALUES ('1.1.0', 'expand', 1, '5d5766cf2d78701614200418ee1450690d9af12c84d52545e4802f001ad53099', DATEDIFF_BIG(MILLISECOND, '19700101', SYSUTCDATETIME()) / 1000.0, 'r-1', 1);
END;

-- by hand/backfill
SET NOCOUNT ON; SET XACT_ABORT ON; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT 10000;
DECLARE @type nvarchar(200), @below nvarchar(400), @loop nvarchar(max);
SELECT @type = CASE WHEN t.name IN (N'tinyint', N'smallint', N'int', N'bigint') THEN N'bigint'
    WHEN t.name IN (N'decimal', N'numeric') THEN CONCAT(t.name, N'(', c.[precision], N',', c.scale, N')')
    WHEN t.name IN (N'nchar', N'nvarchar') THEN CONCAT(t.name, N'(', c.max_length / 2, N')')
    WHEN t.name IN (N'char', N'varchar') THEN CONCAT(t.name, N'(', c.max_length, N')') ELSE t.name END,
  @below = CASE WHEN t.name = N'uniqueidentifier' THEN N'''00000000-0000-0000-0000-000000000000'''
    WHEN t.name LIKE N'%char' THEN N'N''''' ELSE N'k.changeover_key - 1' END
FROM sys.columns c JOIN sys.types t ON t.user_type_id = c.system_type_id WHERE c.object_id = OBJECT_ID(N'orders') AND c.name = N'id';
SET @loop = REPLACE(REPLACE(N'DECLARE @changeover_first $type$, @changeover_low $type$, @changeover_high $type$, @changeover_left bigint;
SELECT TOP (1) @changeover_low = $below$ FROM (SELECT t.id AS changeover_key FROM orders AS t) AS k ORDER BY k.changeover_key;
SET @changeover_first = @changeover_low;
WHILE 1 = 1
BEGIN
SET @changeover_high = NULL;
SELECT TOP (1) @changeover_high = b.changeover_key FROM (SELECT TOP (1000) t.id AS changeover_key FROM orders AS t WHERE t.id > @changeover_low ORDER BY t.id) AS b ORDER BY b.changeover_key DESC;
IF @changeover_high IS NULL BREAK;
UPDATE orders SET price_cents = price * 100 WHERE id > @changeover_low AND id <= @changeover_high AND price_cents IS NULL;
SET @changeover_low = @changeover_high;
WAITFOR DELAY ''00:00:00.050'';
END;
SET @changeover_left = (SELECT COUNT_BIG(*) FROM orders WHERE id > @changeover_first AND id <= @changeover_low AND price_cents IS NULL);
SELECT CONCAT(@changeover_left, N'' rows left to fill'');', N'$type$', @type), N'$below$', @below);
EXECUTE sys.sp_executesql @loop;

-- by hand/complete
SET NOCOUNT ON; SET XACT_ABORT ON; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT 10000;
IF OBJECT_ID(N'dbo.changeover_claim', N'U') IS NULL CREATE TABLE dbo.changeover_claim (environment nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY, store nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, fence bigint NOT NULL, holder nvarchar(400) COLLATE Latin1_General_100_BIN2 NOT NULL, at float NOT NULL);
IF OBJECT_ID(N'dbo.changeover_applied', N'U') IS NULL CREATE TABLE dbo.changeover_applied (version nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, phase nvarchar(20) COLLATE Latin1_General_100_BIN2 NOT NULL, idx int NOT NULL, digest nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, at float NOT NULL, run nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, fence bigint NOT NULL, PRIMARY KEY (version, phase, idx));
IF OBJECT_ID(N'dbo.changeover_state', N'U') IS NULL CREATE TABLE dbo.changeover_state (one int NOT NULL PRIMARY KEY CHECK (one = 1), revision bigint NOT NULL);
IF OBJECT_ID(N'dbo.changeover_change', N'U') IS NULL CREATE TABLE dbo.changeover_change (version nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY, digest nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, body nvarchar(max) COLLATE Latin1_General_100_BIN2 NOT NULL);
INSERT INTO dbo.changeover_state (one, revision) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM dbo.changeover_state WHERE one = 1);
IF NOT EXISTS (SELECT 1 FROM dbo.changeover_applied WHERE version = N'1.1.0' AND phase = N'expand' AND idx = -1)
BEGIN
BEGIN TRY
BEGIN TRANSACTION;
INSERT INTO dbo.changeover_applied (version, phase, idx, digest, at, run, fence) VALUES ('1.1.0', 'expand', -1, '5d5766cf2d78701614200418ee1450690d9af12c84d52545e4802f001ad53099', DATEDIFF_BIG(MILLISECOND, '19700101', SYSUTCDATETIME()) / 1000.0, 'r-1', 1);
UPDATE dbo.changeover_state SET revision = revision + 1;
COMMIT TRANSACTION;
END TRY
BEGIN CATCH
IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;
THROW;
END CATCH;
END;

-- by hand/apply, a trigger
SET NOCOUNT ON; SET XACT_ABORT ON; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT 100;
IF NOT EXISTS (SELECT 1 FROM dbo.changeover_applied WHERE version = N'1.1.0' AND phase = N'sync' AND idx = 2)
BEGIN
BEGIN TRY
BEGIN TRANSACTION;
IF (SELECT COUNT(*) FROM (SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID() UNION SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())) AS w WHERE (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]orders[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS LIKE N'%[^0-9A-Za-z_@#$]OUTPUT[^0-9A-Za-z_@#$]%' AND (N' ' + w.said + N' ') COLLATE Latin1_General_100_CI_AS NOT LIKE N'%OUTPUT%INTO%') <> 0 BEGIN; THROW 51000, N'STOP: statements of the last days that write to orders with OUTPUT and without INTO: they fail (334) once it has a trigger', 1; END;
IF (SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND COL_NAME(major_id, minor_id) IN (N'price') AND major_id = OBJECT_ID(N'dbo.orders')) <> 0 BEGIN; THROW 51000, N'STOP: grants and denials on single columns of orders, which their successors would not have', 1; END;
EXECUTE sys.sp_executesql N'CREATE TRIGGER dbo.zz_co_1_1_0_orders_6e2be842 ON dbo.orders AFTER INSERT, UPDATE AS
-- made by changeover for release 1.1.0; cleanup drops it
BEGIN
  SET NOCOUNT ON;
  SET ROWCOUNT 0;
  IF TRIGGER_NESTLEVEL(@@PROCID) > 1 OR NOT EXISTS (SELECT 1 FROM inserted) RETURN;
  DECLARE @changeover_insert bit = 1;
  IF EXISTS (SELECT 1 FROM deleted) SET @changeover_insert = 0;
  DECLARE @changeover_news_1 bit = 0, @changeover_olds_1 bit = 0;
  IF UPDATE(cost) SET @changeover_news_1 = 1;
  IF UPDATE(price) SET @changeover_olds_1 = 1;
  UPDATE NEW SET price = CASE side.follows WHEN ''old'' THEN NEW.cost ELSE NEW.price END, cost = CASE side.follows WHEN ''new'' THEN NEW.price ELSE NEW.cost END
  FROM dbo.orders AS NEW INNER JOIN inserted AS written ON written.id = NEW.id
  LEFT JOIN deleted AS OLD ON OLD.id = NEW.id
  CROSS APPLY (SELECT CASE WHEN OLD.id IS NULL THEN CASE WHEN NEW.cost IS NULL THEN ''new'' WHEN @changeover_insert = 1 OR @changeover_news_1 = 1 THEN ''old'' WHEN @changeover_olds_1 = 1 THEN ''new'' END
    WHEN NOT EXISTS (SELECT NEW.cost INTERSECT SELECT OLD.cost) THEN CASE WHEN NOT OLD.cost IS NULL THEN ''old'' WHEN NOT EXISTS (SELECT NEW.price INTERSECT SELECT OLD.price) THEN ''old'' WHEN NOT EXISTS (SELECT NEW.cost INTERSECT SELECT NEW.price) THEN ''old'' END
    WHEN NOT EXISTS (SELECT NEW.price INTERSECT SELECT OLD.price) THEN ''new''
    WHEN NEW.cost IS NULL THEN ''new'' END AS follows) AS side
  WHERE side.follows IS NOT NULL;
END';
INSERT INTO dbo.changeover_applied (version, phase, idx, digest, at, run, fence) VALUES ('1.1.0', 'sync', 2, '3da23d9557a9616c4aecc2218cf59cd876f7c0c760498c05671dc83d389b989e', DATEDIFF_BIG(MILLISECOND, '19700101', SYSUTCDATETIME()) / 1000.0, 'r-1', 1);
COMMIT TRANSACTION;
END TRY
BEGIN CATCH
IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;
THROW;
END CATCH;
END;

-- by hand/apply, a block
SET NOCOUNT ON; SET XACT_ABORT ON; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT 100;
IF OBJECT_ID(N'dbo.changeover_claim', N'U') IS NULL CREATE TABLE dbo.changeover_claim (environment nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY, store nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, fence bigint NOT NULL, holder nvarchar(400) COLLATE Latin1_General_100_BIN2 NOT NULL, at float NOT NULL);
IF OBJECT_ID(N'dbo.changeover_applied', N'U') IS NULL CREATE TABLE dbo.changeover_applied (version nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, phase nvarchar(20) COLLATE Latin1_General_100_BIN2 NOT NULL, idx int NOT NULL, digest nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, at float NOT NULL, run nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, fence bigint NOT NULL, PRIMARY KEY (version, phase, idx));
IF OBJECT_ID(N'dbo.changeover_state', N'U') IS NULL CREATE TABLE dbo.changeover_state (one int NOT NULL PRIMARY KEY CHECK (one = 1), revision bigint NOT NULL);
IF OBJECT_ID(N'dbo.changeover_change', N'U') IS NULL CREATE TABLE dbo.changeover_change (version nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY, digest nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, body nvarchar(max) COLLATE Latin1_General_100_BIN2 NOT NULL);
INSERT INTO dbo.changeover_state (one, revision) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM dbo.changeover_state WHERE one = 1);
IF NOT EXISTS (SELECT 1 FROM dbo.changeover_applied WHERE version = N'1.1.0' AND phase = N'contract' AND idx = 0)
BEGIN
BEGIN TRY
BEGIN TRANSACTION;
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.orders WITH (TABLOCKX, HOLDLOCK);
IF (SELECT 1 - COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(N'dbo.orders') AND name = N'zz_co_1_1_0_orders_6e2be842' AND is_disabled = 0) <> 0 BEGIN; THROW 51000, N'STOP: the trigger zz_co_1_1_0_orders_6e2be842 on orders is missing or disabled', 1; END;
EXECUTE sys.sp_executesql N'DROP TRIGGER dbo.zz_co_1_1_0_orders_6e2be842';
EXECUTE sys.sp_executesql N'ALTER TABLE dbo.orders DROP CONSTRAINT IF EXISTS df_orders_price_36a90a36';
EXECUTE sys.sp_executesql N'ALTER TABLE dbo.orders ALTER COLUMN price int NULL';
EXECUTE sys.sp_executesql N'EXECUTE sys.sp_rename N''dbo.orders.price'', N''zz_gone_1_1_0_orders_price_3c7f6cb8'', N''COLUMN''';
INSERT INTO dbo.changeover_applied (version, phase, idx, digest, at, run, fence) VALUES ('1.1.0', 'contract', 0, '07a831f12c335e404baaf7cd0e3559db9a31c1c3991f76fb382cff8d260b68a7', DATEDIFF_BIG(MILLISECOND, '19700101', SYSUTCDATETIME()) / 1000.0, 'r-1', 1);
COMMIT TRANSACTION;
END TRY
BEGIN CATCH
IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;
THROW;
END CATCH;
END;

-- by hand/backfill, by keys
SET NOCOUNT ON; SET XACT_ABORT ON; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT 10000;
DECLARE @changeover_filled bigint = 1;
WHILE @changeover_filled > 0
BEGIN
UPDATE TOP (1000) dbo.orders SET cost = price WHERE cost IS NULL AND (price) IS NOT NULL;
SET @changeover_filled = @@ROWCOUNT;
WAITFOR DELAY '00:00:00.050';
END;
SELECT CONCAT(COUNT_BIG(*), N' rows left to fill') FROM dbo.orders WHERE cost IS NULL AND (price) IS NOT NULL;

-- by hand/keep
SET NOCOUNT ON; SET XACT_ABORT ON; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT 10000;
IF OBJECT_ID(N'dbo.changeover_claim', N'U') IS NULL CREATE TABLE dbo.changeover_claim (environment nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY, store nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, fence bigint NOT NULL, holder nvarchar(400) COLLATE Latin1_General_100_BIN2 NOT NULL, at float NOT NULL);
IF OBJECT_ID(N'dbo.changeover_applied', N'U') IS NULL CREATE TABLE dbo.changeover_applied (version nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, phase nvarchar(20) COLLATE Latin1_General_100_BIN2 NOT NULL, idx int NOT NULL, digest nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, at float NOT NULL, run nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, fence bigint NOT NULL, PRIMARY KEY (version, phase, idx));
IF OBJECT_ID(N'dbo.changeover_state', N'U') IS NULL CREATE TABLE dbo.changeover_state (one int NOT NULL PRIMARY KEY CHECK (one = 1), revision bigint NOT NULL);
IF OBJECT_ID(N'dbo.changeover_change', N'U') IS NULL CREATE TABLE dbo.changeover_change (version nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY, digest nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL, body nvarchar(max) COLLATE Latin1_General_100_BIN2 NOT NULL);
INSERT INTO dbo.changeover_state (one, revision) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM dbo.changeover_state WHERE one = 1);
DECLARE @changeover_body nvarchar(max) = N'';
SET @changeover_body = CONCAT(@changeover_body, N'{"version":{"text":"1.1.0"},"expand":[{"sql":"ALTER TABLE dbo.orders ADD CONSTRAINT df_orders_price_36a90a36 DEFAULT 0 FOR price","file":"1.1.0.yml","line":3,"phase":"expand","title":"~ orders.price may be left out (default 0)","lock":"brief","alone":false,"probe":{"what":"constraint","name":"df_orders_price_36a90a36","table":"dbo.orders","present":true,"definition":""},"verdict":"OK","reason":"","block":[],"lock_first":"","guards":[],"rewrite":null,"probes":[]},{"sql":"ALTER TABLE dbo.orders ADD cost int NULL","file":"1.1.0.yml","line":3,"phase":"expand","title":"+ column orders.cost int","lock":"brief","alone":false,"probe":{"what":"column","name":"cost","table":"dbo.orders","present":true,"definition":"int"},"verdict":"OK","reason":"","block":[],"lock_first":"","guards":[],"rewrite":null,"probes":[]}],"backfill":[],"contract":[],"digest":"digest","sync":[],"verify":[],"finalize":[],"drop":[],"undo":[],"declared":true,"compiled":true}');
IF NOT EXISTS (SELECT 1 FROM dbo.changeover_change WHERE version = N'1.1.0')
INSERT INTO dbo.changeover_change (version, digest, body) VALUES (N'1.1.0', N'digest', @changeover_body);

-- by hand/forget
SET NOCOUNT ON; SET XACT_ABORT ON; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT 10000;
DELETE FROM dbo.changeover_applied WHERE version = '1.1.0' AND phase IN ('expand', 'sync', 'finalize');

-- by hand/unkeep
SET NOCOUNT ON; SET XACT_ABORT ON; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT 10000;
BEGIN TRY
BEGIN TRANSACTION;
DELETE FROM dbo.changeover_applied WHERE version = '1.1.0' AND phase IN ('expand', 'sync', 'finalize', 'undo');
DELETE FROM dbo.changeover_change WHERE version = '1.1.0';
UPDATE dbo.changeover_state SET revision = revision + 1;
COMMIT TRANSACTION;
END TRY
BEGIN CATCH
IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;
THROW;
END CATCH;

-- by hand/backup
DECLARE @database sysname = DB_NAME();
BACKUP DATABASE @database TO DISK = N'/backup/changeover-production-1.1.0-expand.bak' WITH COPY_ONLY, CHECKSUM, FORMAT, INIT;
RESTORE VERIFYONLY FROM DISK = N'/backup/changeover-production-1.1.0-expand.bak' WITH CHECKSUM;

-- by hand/retire
IF EXISTS (SELECT 1 FROM sys.server_principals WHERE name = N'shop_1.1.0')
EXECUTE sys.sp_executesql N'ALTER LOGIN [shop_1.1.0] DISABLE;';
ELSE EXECUTE sys.sp_executesql N'DENY CONNECT TO [shop_1.1.0];';
DECLARE @kill nvarchar(max) = N'';
SELECT @kill = CONCAT(@kill, N'KILL ', session_id, N'; ') FROM sys.dm_exec_sessions WHERE is_user_process = 1 AND session_id <> @@SPID AND N'shop_1.1.0' IN (original_login_name, login_name);
EXECUTE sys.sp_executesql @kill;

-- by hand/admit
IF EXISTS (SELECT 1 FROM sys.server_principals WHERE name = N'shop_1.1.0')
EXECUTE sys.sp_executesql N'ALTER LOGIN [shop_1.1.0] ENABLE;';
ELSE EXECUTE sys.sp_executesql N'REVOKE CONNECT FROM [shop_1.1.0];GRANT CONNECT TO [shop_1.1.0];';
