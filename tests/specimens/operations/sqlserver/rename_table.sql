-- Enterprise, Developer, Azure
--
-- names_columns: true
-- changes:
--   - rename_table: { table: users, to: customers }
--
-- CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, amount integer NOT NULL DEFAULT 0, email
-- varchar(200))

-- BEFORE ANYTHING IS TOUCHED ------------------------------------------------------------------------------------------

-- 0 of: grants and denials on single columns of users, which the new name cannot have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND minor_id <> 0 AND major_id = OBJECT_ID(N'dbo.users');
-- shown of them
SELECT TOP (10) COL_NAME(major_id, minor_id), state_desc, permission_name, USER_NAME(grantee_principal_id) FROM sys.database_permissions WHERE class = 1 AND minor_id <> 0 AND major_id = OBJECT_ID(N'dbo.users');

-- EXPAND --------------------------------------------------------------------------------------------------------------

-- + synonym customers, the new name of users
-- lock: brief
-- done: synonym dbo.customers is there
-- asked again, 0 of: grants and denials on single columns of users, which the new name cannot have
SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND minor_id <> 0 AND major_id = OBJECT_ID(N'dbo.users');
CREATE SYNONYM dbo.customers FOR dbo.users;
-- then
DECLARE @changeover_grants nvarchar(max) = N''; SELECT @changeover_grants = CONCAT(@changeover_grants, CASE p.state WHEN 'D' THEN N'DENY ' ELSE N'GRANT ' END, p.permission_name, N' ON ', N'dbo.customers', N' TO ', QUOTENAME(u.name), CASE p.state WHEN 'W' THEN N' WITH GRANT OPTION' ELSE N'' END, N'; ') FROM sys.database_permissions p JOIN sys.database_principals u ON u.principal_id = p.grantee_principal_id WHERE p.class = 1 AND p.minor_id = 0 AND p.major_id = OBJECT_ID(N'dbo.users') AND p.type IN ('SL', 'IN', 'UP', 'DL'); EXECUTE sys.sp_executesql @changeover_grants;

-- CONTRACT ------------------------------------------------------------------------------------------------------------

-- ~ table users becomes customers
-- lock: brief
-- done: table dbo.customers is there
-- lock
DECLARE @changeover_held int; SELECT TOP (1) @changeover_held = 1 FROM dbo.users WITH (TABLOCKX, HOLDLOCK);
DROP SYNONYM dbo.customers;
-- then
EXECUTE sys.sp_rename N'dbo.users', N'customers';

-- UNDO ----------------------------------------------------------------------------------------------------------------

-- - synonym customers
-- lock: brief
-- done: synonym customers is not there
DROP SYNONYM customers;
