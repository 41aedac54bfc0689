"""Compiled writes: what their text depends on, and what is a parameter and nothing else."""

from __future__ import annotations

import datetime
import decimal
from operator import is_
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import conf
from .calls import PLAIN_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import Field, Model

MEMO_STATEMENTS: Final = 1024

_VALUES: Final = PLAIN_TYPES | {float, decimal.Decimal, datetime.datetime, datetime.time}
"""Types without methods of an expression or of a model."""

_EXPRESSIONS: Final = ("resolve_expression", "prepare_database_save", "as_sql")
_PLACEHOLDERS: Final = ("get_placeholder", "get_placeholder_sql")


class Columns(NamedTuple):
    """The columns of a table that a statement sets."""

    table: str
    fields: tuple[Field[Any, Any], ...]
    names: tuple[str | None, ...]

    @classmethod
    def of(cls, model: type[Model], fields: tuple[Field[Any, Any], ...]) -> Columns | None:
        """None where a field has a placeholder of its own."""
        if any(hasattr(field, name) for field in fields for name in _PLACEHOLDERS):
            return None
        return cls(model._meta.db_table, fields, tuple([field.column for field in fields]))

    def hold(self, model: type[Model], fields: tuple[Field[Any, Any], ...]) -> bool:
        """Whether the model is as it was."""
        return (
            self.table == model._meta.db_table
            and all(map(is_, self.fields, fields))
            and self.names == tuple([field.column for field in fields])
        )


def are_values(values: Iterable[Any]) -> bool:
    """Whether none is an expression or an instance."""
    return all(type(value) in _VALUES or _is_value(value) for value in values)


def _is_value(value: Any) -> bool:
    return not any(hasattr(value, name) for name in _EXPRESSIONS)


def same(ours: tuple[Any, ...] | None, djangos: tuple[Any, ...]) -> bool:
    """Whether parameters are equal, in their types too."""
    return ours == djangos and [*map(type, ours)] == [*map(type, djangos)]


class Originals(dict[tuple[type, str], Any]):
    """Methods of Django's compilers as they were when this package was imported."""

    def __init__(self, *methods: tuple[type, str]) -> None:
        super().__init__({(kind, name): vars(kind)[name] for kind, name in methods})

    def are_in_place(self) -> bool:
        return all(vars(kind)[name] is method for (kind, name), method in self.items())

    def are_of(self, compiler: Any) -> bool:
        """Whether a compiler is one of Django's, and nobody has changed it."""
        return type(compiler).__module__.startswith("django.db.") and self.are_in_place()


class Memo(dict[tuple[Any, ...], Any]):
    """Of compiled statements, None for what is compiled each time."""

    def __init__(self) -> None:
        super().__init__()
        conf.on_change(self.clear)

    def keep(self, identity: tuple[Any, ...], statement: Any) -> None:
        if len(self) >= MEMO_STATEMENTS:
            self.clear()
        self[identity] = statement
