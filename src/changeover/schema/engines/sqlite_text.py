"""The text that made a table of SQLite, in its parts; and the same text after a change. SQLite changes a table by its text.

Only what is changed is touched: collations, STRICT, WITHOUT ROWID, AUTOINCREMENT and comments stay as they were written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from changeover.core.model import Edit
from changeover.schema.dialects.sqlite_lexicon import LEXICON
from changeover.schema.problems import ProblemError
from changeover.schema.tokens import Kind, Token, tokenize, upper

_TABLE_RULES = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"})
_RULES = frozenset(
    {"CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED", "AS"}
)


class Unreadable(ValueError):
    """A text that is not understood to its end."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One constraint of a column or of the table. `start` and `end` are offsets in the text, CONSTRAINT and name included.

    `what`: primary key, not null, null, unique, check, default, collate, foreign key, generated. `body`: what stands in its
    parentheses, the value of a default, the name of a collation. `named`: offsets of `CONSTRAINT name`, if it has one.
    """

    what: str
    start: int
    end: int
    name: str = ""
    named: tuple[int, int] | None = None
    body: str = ""
    columns: tuple[str, ...] = ()
    references: str = ""
    referred: tuple[str, ...] = ()
    on_update: str = ""
    on_delete: str = ""
    autoincrement: bool = False


@dataclass(frozen=True, slots=True)
class ColumnText:
    """A column's definition. `type_at`: offsets of its type; both the same where there is none."""

    name: str
    start: int
    end: int
    type_at: tuple[int, int]
    rules: tuple[Rule, ...]

    def rule(self, what: str) -> Rule | None:
        return next((r for r in self.rules if r.what == what), None)


@dataclass(frozen=True, slots=True)
class Item:
    """What stands between two commas: a column, or constraints of the table."""

    start: int
    end: int
    column: ColumnText | None
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """A `CREATE TABLE` in its parts."""

    sql: str
    items: tuple[Item, ...]
    options: frozenset[str]  # STRICT, ROWID (WITHOUT ROWID)

    @property
    def columns(self) -> tuple[ColumnText, ...]:
        return tuple(i.column for i in self.items if i.column is not None)

    def column(self, name: str) -> ColumnText | None:
        return next((c for c in self.columns if same(c.name, name)), None)

    def text(self, column: ColumnText) -> str:
        return self.sql[column.start : column.end]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every constraint, in the order of the text; those of a column name it."""
        return tuple(r for i in self.items for r in i.rules)

    def named(self, table: str) -> tuple[tuple[str, Rule], ...]:
        """The checks, unique and foreign keys with their names; those without get one: `fk_orders_user_id`."""
        found: list[tuple[str, Rule]] = []
        for rule in self.rules:
            short = {"unique": "uq", "foreign key": "fk", "check": "ck"}.get(rule.what)
            if short is not None:
                number = sum(1 for _, r in found if r.what == "check")
                words = str(number) if rule.what == "check" else "_".join(rule.columns)
                found.append((rule.name or f"{short}_{table}_{words}", rule))
        return tuple(found)

    @property
    def primary_key(self) -> tuple[str, ...]:
        return next((r.columns for r in self.rules if r.what == "primary key"), ())

    @property
    def without_rowid(self) -> bool:
        return "ROWID" in self.options

    @property
    def strict(self) -> bool:
        return "STRICT" in self.options

    @property
    def autoincrement(self) -> bool:
        return any(r.autoincrement for r in self.rules)

    @property
    def rowid(self) -> str:
        """The name of the number that SQLite gives each row; "" where there is none or every name is taken.

        A column that is INTEGER PRIMARY KEY is that number, under its own name.
        """
        if self.without_rowid:
            return ""
        alias = next((c.name for c in self.columns if self._is_rowid(c)), "")
        taken = {c.name.lower() for c in self.columns}
        return alias or next((n for n in ("rowid", "_rowid_", "oid") if n not in taken), "")

    def _is_rowid(self, column: ColumnText) -> bool:
        type_ = self.sql[slice(*column.type_at)]
        return type_.lower() == "integer" and [c.lower() for c in self.primary_key] == [column.name.lower()]


def same(one: str, two: str) -> bool:
    """Names of SQLite are compared without their case, in ASCII."""
    return upper(one) == upper(two)


def parsed(sql: str) -> Made:
    """The parts of a CREATE TABLE. Raises Unreadable."""
    try:
        tokens, _ = tokenize(sql, LEXICON)
    except ProblemError as error:
        raise Unreadable(error.problem.reason) from None
    opening = next((n for n, t in enumerate(tokens) if t.text == "(" and t.kind is Kind.MARK), None)
    if opening is None or [t.word for t in tokens[:2]] != ["CREATE", "TABLE"]:
        raise Unreadable("this is no table with columns")
    closing = _closing(tokens, opening)
    items = tuple(_item(sql, part) for part in _parts(tokens[opening + 1 : closing]))
    options = frozenset(t.word for t in tokens[closing + 1 :] if t.word in ("STRICT", "ROWID"))
    return Made(sql, items, options)


def _closing(tokens: Sequence[Token], opening: int) -> int:
    depth = 0
    for at in range(opening, len(tokens)):
        if tokens[at].kind is Kind.MARK and tokens[at].text in "()":
            depth += 1 if tokens[at].text == "(" else -1
            if depth == 0:
                return at
    raise Unreadable("a parenthesis is not closed")


def _parts(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Split at the commas outside parentheses."""
    depth, begin = 0, 0
    for at, token in enumerate(tokens):
        if token.kind is not Kind.MARK:
            continue
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            yield tokens[begin:at]
            begin = at + 1
    yield tokens[begin:]


def _item(sql: str, tokens: Sequence[Token]) -> Item:
    if not tokens:
        raise Unreadable("there is nothing between two commas")
    start, end = tokens[0].start, tokens[-1].end
    if tokens[0].word in _TABLE_RULES:
        return Item(start, end, None, tuple(_rules(sql, tokens, 0, "")))
    at = 1
    while at < len(tokens) and tokens[at].word not in _RULES:
        at = _closing(tokens, at) + 1 if tokens[at].text == "(" else at + 1
    name = tokens[0].value
    type_at = (tokens[1].start, tokens[at - 1].end) if at > 1 else (tokens[0].end, tokens[0].end)
    rules = tuple(_rules(sql, tokens, at, name))
    return Item(start, end, ColumnText(name, start, end, type_at, rules), rules)


def _rules(sql: str, tokens: Sequence[Token], at: int, column: str) -> Iterator[Rule]:
    while at < len(tokens):
        reader = _Reader(sql, tokens, at)
        yield reader.rule(column)
        at = reader.at


class _Reader:
    """Reads one constraint."""

    def __init__(self, sql: str, tokens: Sequence[Token], at: int) -> None:
        self.sql = sql
        self.tokens = tokens
        self.at = at

    def word(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].word if at < len(self.tokens) else ""

    def mark(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def take(self) -> Token:
        if self.at >= len(self.tokens):
            raise Unreadable("the definition ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def need(self, *words: str) -> None:
        for word in words:
            if self.take().word != word:
                raise Unreadable(f"expected {word}")

    def group(self) -> str:
        """What stands in the parentheses that come."""
        if self.mark() != "(":
            raise Unreadable("expected a parenthesis")
        closing = _closing(self.tokens, self.at)
        text = self.sql[self.tokens[self.at].end : self.tokens[closing].start].strip()
        self.at = closing + 1
        return text

    def names(self) -> tuple[str, ...]:
        """The first word of each part of the parentheses that come."""
        closing = _closing(self.tokens, self.at)
        found = tuple(part[0].value for part in _parts(self.tokens[self.at + 1 : closing]) if part)
        self.at = closing + 1
        return found

    def rule(self, column: str) -> Rule:
        start, name, named = self.tokens[self.at].start, "", None
        if self.word() == "CONSTRAINT":
            self.take()
            token = self.take()
            name, named = token.value, (start, token.end)
        found = self._body(self.take(), (column,) if column else ())
        return replace(found, start=start, end=self.tokens[self.at - 1].end, name=name, named=named)

    def _body(self, first: Token, columns: tuple[str, ...]) -> Rule:
        """The constraint without its place and name."""
        match first.word:
            case "PRIMARY":
                self.need("KEY")
                columns = self.names() if self.mark() == "(" else columns
                if self.word() in ("ASC", "DESC"):
                    self.take()
                self._conflict()
                auto = self.word() == "AUTOINCREMENT"
                if auto:
                    self.take()
                return Rule("primary key", 0, 0, columns=columns, autoincrement=auto)
            case "NOT":
                self.need("NULL")
                self._conflict()
                return Rule("not null", 0, 0, columns=columns)
            case "NULL":
                self._conflict()
                return Rule("null", 0, 0, columns=columns)
            case "UNIQUE":
                columns = self.names() if self.mark() == "(" else columns
                self._conflict()
                return Rule("unique", 0, 0, columns=columns)
            case "CHECK":
                body = self.group()
                self._conflict()
                return Rule("check", 0, 0, columns=columns, body=body)
            case "DEFAULT":
                return Rule("default", 0, 0, columns=columns, body=self._value())
            case "COLLATE":
                return Rule("collate", 0, 0, columns=columns, body=self.take().value)
            case "REFERENCES":
                return self._target(columns)
            case "FOREIGN":
                self.need("KEY")
                columns = self.names()
                self.need("REFERENCES")
                return self._target(columns)
            case "GENERATED" | "AS":
                if first.word == "GENERATED":
                    self.need("ALWAYS", "AS")
                body = self.group()
                if self.word() in ("STORED", "VIRTUAL"):
                    self.take()
                return Rule("generated", 0, 0, columns=columns, body=body)
            case _:
                raise Unreadable(f"{first.text} is not known here")

    def _conflict(self) -> None:
        if self.word() == "ON" and self.word(1) == "CONFLICT":
            self.at += 3

    def _value(self) -> str:
        if self.mark() == "(":
            return f"({self.group()})"
        first = self.take()
        last = self.take() if first.text in ("+", "-") else first
        return self.sql[first.start : last.end]

    def _target(self, columns: tuple[str, ...]) -> Rule:
        table = self.take().value
        referred = self.names() if self.mark() == "(" else ()
        found = Rule("foreign key", 0, 0, columns=columns, references=table, referred=referred)
        while True:
            if self.word() == "ON" and self.word(1) in ("UPDATE", "DELETE"):
                self.take()
                verb = self.take().word
                act = self.take().word
                act += f" {self.take().word}" if act in ("SET", "NO") else ""
                act = "" if act == "NO ACTION" else act
                found = replace(found, on_update=act) if verb == "UPDATE" else replace(found, on_delete=act)
            elif self.word() == "MATCH":
                self.at += 2
            elif self.word() == "DEFERRABLE" or (self.word() == "NOT" and self.word(1) == "DEFERRABLE"):
                self.at += 1 + (self.word() == "NOT")
                if self.word() == "INITIALLY":
                    self.at += 2
            else:
                return found


# the same text after a change ------------------------------------------------------------------------------------


def edited(sql: str, table: str, edits: Sequence[Edit]) -> str:
    """The text after these edits, one after the other; what is so already stays. Raises Unreadable."""
    for edit in edits:
        sql = _edited(parsed(sql), table, edit)
    return sql


def _edited(made: Made, table: str, edit: Edit) -> str:
    match edit.what:
        case "constraint":
            return _put(made.sql, made.items[-1].end, f", {edit.text}")
        case "no_constraint" | "constraint_name" | "check":
            rule = next((r for name, r in made.named(table) if same(name, edit.name)), None)
            if rule is None:
                return made.sql
            if edit.what == "check":
                return _checking(made, rule, edit.text)
            return _without_rule(made, rule) if edit.what == "no_constraint" else _renamed(made, rule, edit.text)
        case "no_column":
            return _without_column(made, edit.name)
        case _:
            column = made.column(edit.name)
            if column is None:
                raise Unreadable(f"there is no column {edit.name}")
            return _with_column(made, column, edit)


def _with_column(made: Made, column: ColumnText, edit: Edit) -> str:
    sql = made.sql
    match edit.what:
        case "column":
            return sql[: column.start] + edit.text + sql[column.end :]
        case "type":
            begin, end = column.type_at
            return f"{sql[:begin]}{'' if begin < end else ' '}{edit.text}{sql[end:]}"
        case "not_null":
            if column.rule("not null"):
                return sql
            bare = _cut(sql, column.rule("null"))
            return _put(bare, column.end - (len(sql) - len(bare)), " NOT NULL")
        case "nullable":
            return _cut(sql, column.rule("not null"))
        case "no_default":
            return _cut(sql, column.rule("default"))
        case "default":
            known = column.rule("default")
            if known is None:
                return _put(sql, column.end, f" DEFAULT {edit.text}")
            return f"{sql[: known.start]}DEFAULT {edit.text}{sql[known.end :]}"
        case _:
            raise Unreadable(f"no such edit: {edit.what}")


def _put(sql: str, at: int, text: str) -> str:
    return sql[:at] + text + sql[at:]


def _cut(sql: str, rule: Rule | None) -> str:
    """Without the constraint and the space before it."""
    if rule is None:
        return sql
    return sql[: rule.start].rstrip() + sql[rule.end :]


def _without_rule(made: Made, rule: Rule) -> str:
    item = next(i for i in made.items if rule in i.rules)
    if item.column is None and item.rules == (rule,):
        return _without_item(made, item)
    if item.column is None and item.rules[0] == rule:
        return made.sql[: rule.start] + made.sql[item.rules[1].start :]
    return _cut(made.sql, rule)


def _checking(made: Made, rule: Rule, condition: str) -> str:
    """The check with another condition."""
    begin = made.sql.index("(", rule.named[1] if rule.named else rule.start) + 1
    end = made.sql.index(rule.body, begin)
    return made.sql[:end] + condition + made.sql[end + len(rule.body) :]


def _renamed(made: Made, rule: Rule, name: str) -> str:
    """The constraint under another name, as SQL; "": under none."""
    sql = made.sql
    if rule.named is None:
        return _put(sql, rule.start, f"CONSTRAINT {name} ") if name else sql
    begin, end = rule.named
    if name:
        return f"{sql[:begin]}CONSTRAINT {name}{sql[end:]}"
    return sql[:begin] + sql[end:].lstrip()


def _without_item(made: Made, item: Item) -> str:
    number = made.items.index(item)
    if number:
        return made.sql[: made.items[number - 1].end] + made.sql[item.end :]
    if len(made.items) == 1:
        raise Unreadable("nothing of the table would be left")
    return made.sql[: item.start] + made.sql[made.items[1].start :]


def _without_column(made: Made, name: str) -> str:
    """The column goes with every constraint of the table that is on it."""
    column = made.column(name)
    if column is None:
        return made.sql
    for item in made.items:
        for rule in item.rules if item.column is None else ():
            if any(same(c, name) for c in rule.columns) or (rule.what == "check" and mentions(rule.body, name)):
                return _without_column(parsed(_without_rule(made, rule)), name)
    item = next(i for i in made.items if i.column is column)
    return _without_item(made, item)


def mentions(sql: str, name: str) -> bool:
    """Whether the SQL text has the name as a word. Raises Unreadable."""
    try:
        tokens, _ = tokenize(sql, LEXICON)
    except ProblemError as error:
        raise Unreadable(error.problem.reason) from None
    return any(t.kind in (Kind.WORD, Kind.QUOTED) and same(t.value, name) for t in tokens)


def labels_of(rule: Rule, column: str) -> tuple[str, ...]:
    """The texts that a check lets the column have, when it says nothing else: `mood IN ('sad', 'ok')`."""
    if rule.what != "check":
        return ()
    tokens, _ = tokenize(rule.body, LEXICON)
    head, listing = tokens[:3], tokens[3:]
    if len(head) < 3 or not same(head[0].value, column) or head[1].word != "IN" or head[2].text != "(":
        return ()
    if len(listing) % 2 or any(
        t.text != ("," if n + 1 < len(listing) else ")") for n, t in enumerate(listing) if n % 2
    ):
        return ()
    texts = listing[::2]
    return tuple(t.value for t in texts) if all(t.kind is Kind.STRING for t in texts) else ()


def indexed(sql: str, column: str) -> bool:
    """Whether the text of an index has the column among its columns, expressions or conditions."""
    return mentions(sql[columns_at(sql) :], column)


def columns_at(sql: str) -> int:
    """Where the columns of an index begin: at the first parenthesis behind ON and its table. Raises Unreadable."""
    tokens, _ = tokenize(sql, LEXICON)
    at = next((n for n, t in enumerate(tokens) if t.word == "ON"), len(tokens))
    opening = next((t for t in tokens[at:] if t.text == "(" and t.kind is Kind.MARK), None)
    if opening is None:
        raise Unreadable("this is no index")
    return opening.start


def alike(one: str, two: str) -> bool:
    """Whether two texts differ by spaces and comments only. Raises Unreadable."""
    return _words(one) == _words(two)


def _words(sql: str) -> list[str]:
    try:
        return [t.text for t in tokenize(sql, LEXICON)[0]]
    except ProblemError as error:
        raise Unreadable(error.problem.reason) from None
