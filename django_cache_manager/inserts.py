"""The INSERT of one row, as `Model.save()` and `create()` send it: compiled once for its columns.

Django's SQLInsertCompiler.as_sql() stands for the text, the fields' own methods for the parameters,
as there. An expression, a field with a placeholder of its own, several rows and what is to be done
on a conflict are compiled each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db.models.sql.compiler import SQLInsertCompiler

from . import policy
from .cache_manager import is_caching
from .statements import Columns, Memo, Originals, are_values, same

if TYPE_CHECKING:
    from collections.abc import Callable

    Sql = list[tuple[str, tuple[Any, ...]]]

_DJANGOS: Final = Originals(
    (SQLInsertCompiler, "field_as_sql"),
    (SQLInsertCompiler, "prepare_value"),
    (SQLInsertCompiler, "pre_save_val"),
    (SQLInsertCompiler, "assemble_as_sql"),
)


class Statement(NamedTuple):
    """An INSERT, and what it was made of."""

    text: str
    columns: Columns


_statements = Memo()


def as_sql(original: Callable[[Any], Sql], compiler: Any) -> Sql:
    """What `original` returns: texts and parameters.

    Raises what the fields raise.
    """
    query = compiler.query
    if len(query.objs) != 1 or query.raw or query.on_conflict is not None:
        return original(compiler)
    model, fields = query.model, tuple(query.fields)
    if not policy.selects(model) and not is_caching(model._default_manager):
        return original(compiler)
    identity = (
        model,
        compiler.connection.alias,  # MySQL's and MariaDB's classes are the same, their SQL isn't
        type(compiler.connection),
        *[field.attname for field in fields],
        None,
        *[field.column for field in compiler.returning_fields or ()],
    )
    values: list[Any] = []
    if identity not in _statements:
        found = _compiled(original, compiler, values)
        _statements.keep(identity, _learnt(compiler, fields, values, found))
        return found
    known: Statement | None = _statements[identity]
    if known is None or not known.columns.hold(model, fields):
        return original(compiler)
    parameters = _parameters(compiler, fields, values)
    if parameters is None:
        return _compiled(original, compiler, values)
    return [(known.text, parameters)]


def _parameters(compiler: Any, fields: Any, values: list[Any]) -> tuple[Any, ...] | None:
    """The row's, with the values that they were made of; None if one of those is an expression."""
    (row,) = compiler.query.objs
    parameters = []
    for field in fields:
        values.append(field.pre_save(row, add=True))
        if not are_values(values[-1:]):
            return None
        parameters.append(field.get_db_prep_save(values[-1], connection=compiler.connection))
    return tuple(parameters) if are_values(parameters) else None


def _compiled(original: Callable[[Any], Sql], compiler: Any, values: list[Any]) -> Sql:
    """By Django, which asks the fields for those values only that are still missing."""
    known = iter(values.copy())

    def pre_save_val(field: Any, row: Any) -> Any:
        try:
            return next(known)
        except StopIteration:
            values.append(field.pre_save(row, add=True))
        return values[-1]

    compiler.pre_save_val = pre_save_val
    try:
        return original(compiler)
    finally:
        del compiler.pre_save_val


def _learnt(compiler: Any, fields: Any, values: list[Any], found: Sql) -> Statement | None:
    columns = Columns.of(compiler.query.model, fields)
    if columns is None or not _DJANGOS.are_of(compiler) or not are_values(values):
        return None
    expected = tuple(
        field.get_db_prep_save(value, connection=compiler.connection)
        for field, value in zip(fields, values, strict=True)
    )
    ((text, parameters),) = found
    if not same(expected, parameters):
        return None
    return Statement(text, columns)
