"""MariaDB and MySQL: names, texts and definitions as SQL."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from changeover.core.catalogue import Column, Constraint, Index, Rule
from changeover.schema.engines.engine import Cannot

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART = re.compile(
    r"`(?:[^`]|``)+`((?:\(\d+\))?(?: DESC)?)"
)  # of a definition as the catalogue gives it: `name`(10) DESC
_CONSTANT = re.compile(r"\(.*\)|[+-]?[\d.]+|[bx]?'(?:[^']|'')*'|true|false|null", re.IGNORECASE | re.DOTALL)
_ORDINARY = ("", "BTREE", "UNIQUE")


def quote(name: str) -> str:
    """The name as SQL: in backticks where it must be."""
    if _PLAIN.fullmatch(name) and name.lower() not in _reserved():
        return name
    return "`" + name.replace("`", "``") + "`"


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    """Reserved by either of the two servers."""
    from sqlalchemy.dialects.mysql.reserved_words import RESERVED_WORDS_MARIADB, RESERVED_WORDS_MYSQL

    return frozenset(RESERVED_WORDS_MARIADB) | frozenset(RESERVED_WORDS_MYSQL)


def text(value: str) -> str:
    """A text in quotes, whatever NO_BACKSLASH_ESCAPES says: sessions of changeover are without it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def names(of: Iterable[str]) -> str:
    return ", ".join(quote(name) for name in of)


def definition(column: Column) -> str:
    """The whole of it, as ADD and MODIFY want it: what MODIFY leaves out is lost."""
    words = [quote(column.name), column.type]
    if column.collation:
        words.append(f"COLLATE {column.collation}")
    words.append("NULL" if column.nullable else "NOT NULL")
    if column.default is not None:
        words.append(f"DEFAULT {column.default}")
    if column.identity:
        words.append("AUTO_INCREMENT")
    if column.extra:
        words.append(column.extra)
    return " ".join(words)


def default(value: str) -> str:
    """As SET DEFAULT wants it: an expression in parentheses, a constant without."""
    return value if _CONSTANT.fullmatch(value) else f"({value})"


def is_ordinary(index: Index) -> bool:
    """A B-tree on columns, which can be made again on another column: not FULLTEXT, SPATIAL, or on expressions."""
    return bool(index.columns) and index.definition.partition(" (")[0] in _ORDINARY


def parts(of: Index | Constraint, only: Collection[str] | None = None) -> str:
    """The columns of an index with the lengths of their prefixes, which go by position. `only`: these columns."""
    tails = [found[1] for found in _PART.finditer(of.definition)]
    tails = tails if len(tails) == len(of.columns) else [""] * len(of.columns)
    shown = zip(of.columns, tails, strict=True)
    return ", ".join(quote(column) + tail for column, tail in shown if only is None or column in only)


def rule(constraint: Constraint) -> str:
    """What a constraint demands, without its name."""
    match constraint.rule:
        case Rule.UNIQUE:
            return f"UNIQUE ({parts(constraint)})"
        case Rule.CHECK:
            return f"CHECK ({constraint.definition})"
        case Rule.FOREIGN_KEY:
            acts = "".join(
                f" ON {verb} {what}"
                for verb, what in (("UPDATE", constraint.on_update), ("DELETE", constraint.on_delete))
                if what
            )
            return (
                f"FOREIGN KEY ({names(constraint.columns)}) REFERENCES {quote(constraint.references)} "
                f"({names(constraint.referred)}){acts}"
            )
        case _:
            raise Cannot(f"a constraint like {constraint.name} cannot be made here")


def named_rule(constraint: Constraint) -> str:
    return f"CONSTRAINT {quote(constraint.name)} {rule(constraint)}"
