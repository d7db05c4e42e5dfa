"""The tables of a MariaDB or MySQL database as operations need them: types, defaults and definitions as the server restates them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Kind, Rule, Table, Trigger
from changeover.drivers.databases.mysql_probe import quoted
from changeover.drivers.databases.mysql_session import Connection, Product

OURS = ("zz_co_",)  # the names of changeover's triggers begin like this

_THIS = "table_schema = DATABASE() AND table_name = %(table)s AND BINARY table_name = %(table)s"
_RELATIONS = (
    "SELECT table_name, table_type, create_options, table_collation, table_rows, data_length + index_length "
    "FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN %(names)s"
)
_COLUMNS = (
    "SELECT column_name, column_type, is_nullable, column_default, extra, collation_name, generation_expression, column_comment "
    f"FROM information_schema.columns WHERE {_THIS} ORDER BY ordinal_position"
)
_INDEXES = (
    "SELECT index_name, non_unique, column_name, sub_part, collation, index_type FROM information_schema.statistics "
    f"WHERE {_THIS} ORDER BY index_name, seq_in_index"
)
_KEYS = """
SELECT k.constraint_name, k.column_name, r.unique_constraint_schema = DATABASE(), r.referenced_table_name, k.referenced_column_name,
  r.update_rule, r.delete_rule, r.table_name
FROM information_schema.referential_constraints r JOIN information_schema.key_column_usage k
  ON k.constraint_schema = r.constraint_schema AND k.constraint_name = r.constraint_name AND k.table_name = r.table_name
WHERE {} ORDER BY k.table_name, k.constraint_name, k.ordinal_position"""
_KEYS_OF = _KEYS.format(
    "r.constraint_schema = DATABASE() AND r.table_name = %(table)s AND BINARY r.table_name = %(table)s"
)
_KEYS_TO = _KEYS.format(
    "r.unique_constraint_schema = DATABASE() AND r.referenced_table_name = %(table)s AND BINARY r.referenced_table_name = %(table)s"
)
_CHECKS_MARIADB = (
    "SELECT constraint_name, check_clause, level = 'Column' FROM information_schema.check_constraints "
    "WHERE constraint_schema = DATABASE() AND table_name = %(table)s AND BINARY table_name = %(table)s ORDER BY constraint_name"
)
_CHECKS_MYSQL = """
SELECT c.constraint_name, c.check_clause, 0 FROM information_schema.check_constraints c JOIN information_schema.table_constraints t
  ON t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name AND t.constraint_type = 'CHECK'
WHERE c.constraint_schema = DATABASE() AND t.table_name = %(table)s AND BINARY t.table_name = %(table)s ORDER BY c.constraint_name"""
_TRIGGERS = (
    "SELECT trigger_name, action_statement FROM information_schema.triggers WHERE trigger_schema = DATABASE() "
    "AND event_object_table = %(table)s AND BINARY event_object_table = %(table)s ORDER BY trigger_name"
)
_VIEWS = (
    "SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE() "
    "AND INSTR(view_definition, CONCAT('`', DATABASE(), '`.', %(quoted)s)) > 0 ORDER BY table_name"
)
_NAMES = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
_KINDS = {"BASE TABLE": Kind.TABLE, "VIEW": Kind.VIEW, "SYSTEM VERSIONED": Kind.VERSIONED}
_WIDTH = re.compile(r"(tinyint|smallint|mediumint|int|bigint)\((\d+)\)( unsigned)?")
_WIDTHS = {"tinyint": 4, "smallint": 6, "mediumint": 9, "int": 11, "bigint": 20}
_UNSIGNED_WIDTHS = {**{name: width - 1 for name, width in _WIDTHS.items()}, "bigint": 20}
_NUMBER = re.compile(r"[+-]?[\d.]+(?:e[+-]?\d+)?", re.IGNORECASE)
_MENTIONED = re.compile(r"`((?:[^`]|``)+)`")
_ON_UPDATE = re.compile(r"on update \S+", re.IGNORECASE)


def catalogue(db: Connection, names: Sequence[str], *, fills_before: bool | None = None) -> Catalogue:
    """Those of the named tables of this database that are there, and every name that is taken in it."""
    rows = db.execute(_RELATIONS, {"names": tuple(names)}) if names else ()
    found = {str(row[0]): _Reading(db, str(row[0]), str(row[3] or "")).table(row) for row in rows if row[0] in names}
    taken = frozenset(str(row[0]) for row in db.execute(_NAMES))
    return Catalogue(found, taken, version=db.product.version, fills_before=fills_before)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The parts of one table. `collation` is its own, which columns have unless they say another one."""

    db: Connection
    name: str
    collation: str

    def _rows(self, sql: str) -> Sequence[tuple[object, ...]]:
        return self.db.execute(sql, {"table": self.name, "quoted": quoted(self.name)})

    def table(self, row: tuple[object, ...]) -> Table:
        checks = self._checks()
        columns = tuple(self._column(c, checks) for c in self._rows(_COLUMNS))
        json = {c.name for c in columns if c.type == "json"}
        indexes = self._indexes()
        unique = [
            Constraint(i.name, Rule.UNIQUE, i.columns, i.definition)
            for i in indexes
            if i.unique and i.name != "PRIMARY"
        ]
        kept = [_check(name, clause) for name, clause, of_column in checks if not (of_column and name in json)]
        return Table(
            self.name,
            columns,
            kind=_kind(str(row[1]), str(row[2] or "")),
            primary_key=next((i.columns for i in indexes if i.name == "PRIMARY"), ()),
            indexes=tuple(i for i in indexes if i.name != "PRIMARY"),
            constraints=tuple(sorted((*unique, *kept, *self._keys(_KEYS_OF)), key=lambda c: c.name)),
            triggers=tuple(
                Trigger(str(n), str(body), ours=str(n).startswith(OURS)) for n, body in self._rows(_TRIGGERS)
            ),
            views=tuple(str(v) for (v,) in self._rows(_VIEWS)),
            referenced_by=tuple(self._keys(_KEYS_TO)),
            rows=int(str(row[4] or 0)),
            bytes=int(str(row[5] or 0)),
        )

    # columns

    def _column(self, row: tuple[object, ...], checks: Sequence[tuple[str, str, bool]]) -> Column:
        name, type_, nullable, default, extra, collation, generated, comment = row
        column = Column(
            str(name),
            typed(str(type_)),
            nullable=nullable == "YES",
            default=default_of(self.db.product, default, str(type_), str(extra or "")),
            generated=str(generated or ""),
            identity="auto_increment" in str(extra or "").lower(),
            collation="" if collation in (None, self.collation) else str(collation),
        )
        own = next((clause for check, clause, of_column in checks if of_column and check == name), "")
        if column.type == "longtext" and own == f"json_valid({quoted(column.name)})":
            return replace(column, type="json", collation="", extra=_extra(str(extra or ""), str(comment or ""), ""))
        return replace(column, extra=_extra(str(extra or ""), str(comment or ""), own))

    # indexes and constraints

    def _indexes(self) -> list[Index]:
        return [_index(str(name), list(parts)) for name, parts in groupby(self._rows(_INDEXES), key=itemgetter(0))]

    def _checks(self) -> list[tuple[str, str, bool]]:
        sql = _CHECKS_MARIADB if self.db.product.mariadb else _CHECKS_MYSQL
        return [(str(name), str(clause), bool(of_column)) for name, clause, of_column in self._rows(sql)]

    def _keys(self, sql: str) -> Iterable[Constraint]:
        """Foreign keys; one that leaves the database is none that could be made again."""
        usual = "RESTRICT" if self.db.product.mariadb else "NO ACTION"
        for _, group in groupby(self._rows(sql), key=lambda row: (row[7], row[0])):
            parts = list(group)
            name, _, here, references, _, on_update, on_delete, _ = parts[0]
            yield Constraint(
                str(name),
                Rule.FOREIGN_KEY if here else Rule.OTHER,
                tuple(str(p[1]) for p in parts),
                references=str(references),
                referred=tuple(str(p[4]) for p in parts),
                on_update="" if on_update == usual else str(on_update),
                on_delete="" if on_delete == usual else str(on_delete),
            )


def default_of(product: Product, default: object, type_: str, extra: str) -> str | None:
    """As SQL. MariaDB writes it as SQL itself; MySQL writes constants bare."""
    if default is None or (product.mariadb and default == "NULL"):
        return None
    text = str(default)
    if product.mariadb:
        return text
    if "DEFAULT_GENERATED" in extra:
        return text if text.upper().startswith("CURRENT_TIMESTAMP") else f"({text})"
    bare = _NUMBER.fullmatch(text) or text.startswith(("b'", "0x"))
    return text if bare and not type_.startswith(("char", "varchar", "enum", "set")) else literal(text)


def _extra(extra: str, comment: str, check: str) -> str:
    """What else a definition must say, so that nothing is lost when it is said again."""
    timed = _ON_UPDATE.search(extra)
    words = [timed[0]] if timed else []
    words += ["INVISIBLE"] if "INVISIBLE" in extra.upper() else []
    words += ["WITHOUT SYSTEM VERSIONING"] if "WITHOUT SYSTEM VERSIONING" in extra.upper() else []
    words += [f"COMMENT {literal(comment)}"] if comment else []
    words += [f"CHECK ({check})"] if check else []
    return " ".join(words)


def _index(name: str, parts: Sequence[tuple[object, ...]]) -> Index:
    """`definition`: `` BTREE (`name`(10), `amount` DESC) ``. Columns are none when one of them is an expression."""
    shown = [
        f"{quoted(str(column or ''))}{f'({length})' if length else ''}{' DESC' if order == 'D' else ''}"
        for _, _, column, length, order, _ in parts
    ]
    columns = tuple(str(part[2]) for part in parts) if all(part[2] is not None for part in parts) else ()
    unique = not parts[0][1]
    descending = tuple(n for n, part in enumerate(parts) if part[4] == "D")
    definition = f"{parts[0][5]} ({', '.join(shown)})"
    return Index(name, columns, unique, constraint=unique, definition=definition, descending=descending)


def _check(name: str, clause: str) -> Constraint:
    read = dict.fromkeys(m.replace("``", "`") for m in _MENTIONED.findall(clause))
    return Constraint(name, Rule.CHECK, tuple(read), clause)


def _kind(kind: str, options: str) -> Kind:
    if "partitioned" in options.lower():
        return Kind.PARTITIONED
    return _KINDS.get(kind, Kind.OTHER)


def typed(column_type: str) -> str:
    """A type without the width that whole numbers have by themselves: it means nothing, and MySQL 8 does not write it."""
    found = _WIDTH.fullmatch(column_type)
    if found is None or column_type == "tinyint(1)":
        return column_type
    usual: Mapping[str, int] = _UNSIGNED_WIDTHS if found[3] else _WIDTHS
    return f"{found[1]}{found[3] or ''}" if int(found[2]) == usual[found[1]] else column_type


def literal(text: str) -> str:
    """A text as SQL; sessions of changeover are without NO_BACKSLASH_ESCAPES."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
