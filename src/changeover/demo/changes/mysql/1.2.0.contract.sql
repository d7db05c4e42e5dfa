-- Only versions before 1.2.0 write the audit table.
DROP TABLE legacy_audit;
