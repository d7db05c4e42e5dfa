"""The operations: what a developer says, each a value whose phases stand side by side. One file per kind of thing."""

from __future__ import annotations

from collections.abc import Mapping

from changeover.schema.operations.columns import AddColumn, DropColumn, DropNotNull, SetDefault, SetNotNull
from changeover.schema.operations.derived import ChangeType, MergeColumns, RenameColumn, SplitColumn
from changeover.schema.operations.operation import At, Operation
from changeover.schema.operations.rules import (
    AddCheck,
    AddEnumValue,
    AddForeignKey,
    AddIndex,
    AddUnique,
    DropConstraint,
    DropIndex,
)
from changeover.schema.operations.sql import Sql
from changeover.schema.operations.tables import CreateTable, DropTable, RenameTable

OPERATIONS: Mapping[str, type[Operation]] = {
    o.kind: o
    for o in (
        CreateTable,
        RenameTable,
        DropTable,
        AddColumn,
        DropColumn,
        RenameColumn,
        ChangeType,
        SplitColumn,
        MergeColumns,
        SetNotNull,
        DropNotNull,
        SetDefault,
        AddUnique,
        AddCheck,
        AddForeignKey,
        DropConstraint,
        AddIndex,
        DropIndex,
        AddEnumValue,
        Sql,
    )
}

__all__ = ["OPERATIONS", "At", "Operation"]
