"""What the catalogue of a MariaDB or MySQL database says, as a hash.

Made of names and definitions, so a dump and restore keeps it, also under another name of the database. Left out: changeover's
own objects, whether events are enabled, definers, grants, comments, values of AUTO_INCREMENT and of sequences, partitions (they come and go by themselves).
"""

from __future__ import annotations

import hashlib

from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_probe import quoted
from changeover.drivers.databases.mysql_session import Connection

_MINE = "NOT LIKE 'changeover\\_%%'"
_PARTS = (
    f"""SELECT 'table', table_name, CONCAT_WS('|', table_type, engine, table_collation, create_options)
        FROM information_schema.tables WHERE table_schema = %(db)s AND table_name {_MINE}""",
    f"""SELECT 'column', CONCAT(table_name, '.', column_name), CONCAT_WS('|', ordinal_position, column_type, is_nullable,
          COALESCE(column_default, 'no default'), extra, character_set_name, collation_name, generation_expression)
        FROM information_schema.columns WHERE table_schema = %(db)s AND table_name {_MINE}""",
    f"""SELECT 'index', CONCAT(table_name, '.', index_name, '.', seq_in_index),
          CONCAT_WS('|', non_unique, COALESCE(column_name, 'an expression'), sub_part, index_type, collation)
        FROM information_schema.statistics WHERE table_schema = %(db)s AND table_name {_MINE}""",
    f"""SELECT 'constraint', CONCAT(table_name, '.', constraint_name), constraint_type
        FROM information_schema.table_constraints WHERE constraint_schema = %(db)s AND table_name {_MINE}""",
    f"""SELECT 'foreign key', CONCAT(k.table_name, '.', k.constraint_name, '.', k.ordinal_position),
          CONCAT_WS('|', k.column_name, NULLIF(k.referenced_table_schema, %(db)s), k.referenced_table_name,
          k.referenced_column_name, r.update_rule, r.delete_rule)
        FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r
          ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name
        WHERE k.constraint_schema = %(db)s AND k.table_name {_MINE}""",
    f"""SELECT 'trigger', CONCAT(event_object_table, '.', trigger_name), CONCAT_WS('|', action_timing, event_manipulation,
          action_order, action_statement, sql_mode)
        FROM information_schema.triggers WHERE trigger_schema = %(db)s AND event_object_table {_MINE}""",
    """SELECT 'view', table_name, CONCAT_WS('|', REPLACE(view_definition, CONCAT(%(quoted)s, '.'), ''), check_option, security_type)
       FROM information_schema.views WHERE table_schema = %(db)s""",
    """SELECT 'partitions', table_name, CONCAT_WS('|', MAX(partition_method), MAX(partition_expression), MAX(subpartition_method),
         MAX(subpartition_expression))
       FROM information_schema.partitions WHERE table_schema = %(db)s AND partition_name IS NOT NULL GROUP BY table_name""",
    f"""SELECT 'routine', CONCAT(routine_type, ' ', routine_name), CONCAT_WS('|', dtd_identifier, routine_definition,
          is_deterministic, sql_data_access, security_type, sql_mode,
          (SELECT GROUP_CONCAT(CONCAT_WS(' ', parameter_mode, parameter_name, dtd_identifier) ORDER BY ordinal_position)
             FROM information_schema.parameters p
             WHERE p.specific_schema = %(db)s AND p.specific_name = r.specific_name AND p.routine_type = r.routine_type))
        FROM information_schema.routines r WHERE routine_schema = %(db)s AND routine_name {_MINE}""",
    f"""SELECT 'event', event_name, CONCAT_WS('|', event_type, event_definition, execute_at, interval_value, interval_field, starts,
          ends, on_completion, sql_mode)
        FROM information_schema.events WHERE event_schema = %(db)s AND event_name {_MINE}""",
    """SELECT 'database', 'itself', CONCAT_WS('|', default_character_set_name, default_collation_name)
       FROM information_schema.schemata WHERE schema_name = %(db)s""",
)
_CHECKS = "SELECT 'check', CONCAT({table}constraint_name), check_clause FROM information_schema.check_constraints WHERE constraint_schema = %(db)s"
_SEQUENCES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = %(db)s AND table_type = 'SEQUENCE' "
    f"AND table_name {_MINE}"
)
_SEQUENCE = "SELECT minimum_value, maximum_value, start_value, increment, cycle_option FROM {}"
_SEQUENCE_TABLE = ("table", "column", "index")  # a sequence is a table, too, whose parts say nothing


def catalogue_hash(db: Connection) -> str:
    """sha256 over the sorted lines of the catalogue."""
    name = str(db.execute("SELECT DATABASE()")[0][0])
    values = {"db": name, "quoted": quoted(name)}
    sequences = [str(row[0]) for row in db.execute(_SEQUENCES, values)] if db.product.mariadb else []
    lines = [row for part in _PARTS for row in db.execute(part, values)]
    lines = [row for row in lines if row[0] not in _SEQUENCE_TABLE or str(row[1]).partition(".")[0] not in sequences]
    lines += _checks(db, values)
    lines += [("sequence", s, repr(db.execute(_SEQUENCE.format(quoted(s)))[0])) for s in sequences]
    return hashlib.sha256("\n".join(sorted(repr(tuple(row)) for row in lines)).encode()).hexdigest()


def _checks(db: Connection, values: dict[str, str]) -> list[tuple[object, ...]]:
    """MariaDB names a check within its table, MySQL within its database."""
    table = "table_name, '.', " if db.product.mariadb else ""
    try:
        return list(db.execute(_CHECKS.format(table=table), values))
    except pymysql.err.ProgrammingError:
        return []  # a MySQL without check constraints
