"""The UPDATE of rows by primary key: compiled once for a shape and the columns that it sets.

Its text depends on the columns, and on which of the values are None. What Django has compiled the
first time is kept if its parameters are just what the fields make of the values, in their order,
and the primary key's. Whatever isn't exactly so is compiled each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.core.exceptions import EmptyResultSet, FieldDoesNotExist
from django.db.models import F, IntegerField, Value, sql
from django.db.models.expressions import CombinedExpression
from django.db.models.sql.compiler import SQLUpdateCompiler

from . import traces
from .calls import PK_TYPES, target
from .reads import connection_of
from .statements import Columns, Memo, Originals, are_values, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Field, Model

    from ._engine import Trace

    Values = Sequence[tuple[Field[Any, Any], type[Model] | None, Any]]
    Sql = tuple[str, tuple[Any, ...]]

_DJANGOS: Final = Originals(
    (SQLUpdateCompiler, "as_sql"),
    (SQLUpdateCompiler, "execute_sql"),
    (SQLUpdateCompiler, "pre_sql_setup"),
)


class Statement(NamedTuple):
    """An UPDATE by primary key, and what it was made of."""

    text: str
    columns: Columns
    key: Field[Any, Any]
    nulls: bool
    """Whether None is a parameter, as since Django 6.1."""
    least: int
    greatest: int


_statements = Memo()


class Count(NamedTuple):
    """What an expression counts: a field by its name, how, and by how much."""

    name: str
    connector: str
    number: int


_MADE_OF: Final = "_constructor_args"
_CONNECTORS: Final = frozenset({F.ADD, F.SUB, F.MUL})
_INTEGER: Final[Any] = IntegerField()
"""The field that Django takes a plain int to be of."""


def count_of(expression: Any) -> Count | None:
    """Of `F(name) + number` and its like, exactly."""
    own: dict[str, Any] = vars(expression) if type(expression) is CombinedExpression else {}
    left: Any = own.get("lhs")
    right: Any = own.get("rhs")
    connector: Any = own.get("connector")
    if (
        type(left) is not F
        or type(right) is not Value
        or connector not in _CONNECTORS
        or own.keys() - {_MADE_OF, "lhs", "rhs", "connector"}
        or vars(left).keys() - {_MADE_OF, "name"}
        or vars(right).keys() - {_MADE_OF, "value"}
        or type(left.name) is not str
        or type(right.value) is not int
    ):
        return None
    return Count(left.name, connector, right.value)


def go_by_key(trace: Trace, values: Iterable[Any]) -> bool:
    """Whether a primary key says which rows, and each of the values set is one, or a counter."""
    if len(trace.calls) != 1:
        return False
    _, args, names = trace.calls[0]
    if args or [*names] != ["pk"] or type(trace.values[0]) not in PK_TYPES:
        return False
    return are_values(
        [
            value
            for value in values
            if type(value) is not CombinedExpression or count_of(value) is None
        ]
    )


def update(alias: str, trace: Trace, values: Values) -> int | None:
    """The number of rows, as `QuerySet._update()` returns it; None: not done, it is Django's to do.

    Of what `go_by_key`. Raises what the fields and the database raise.
    """
    connection = connection_of(alias)
    made = _made(connection, trace, values)
    if made is None:
        return None
    cursor = connection.cursor()
    try:
        cursor.execute(*made)
        rows: int = cursor.rowcount
        return rows
    finally:
        cursor.close()


def assigned(trace: Trace, names: dict[str, Any]) -> Values | None:
    """What `QuerySet.update()` is given, as `_update()` is; None where Django may refuse a field,
    and where its column is another table's."""
    values = []
    for name, value in names.items():
        field = _own_field(trace.shape.model, name)
        if field is None:
            return None
        values.append((field, None, value))
    return values


def _own_field(model: type[Model], name: str) -> Any:
    """A field with a column of the model's own table, or None."""
    options = model._meta
    try:
        field: Any = options.get_field(name)
    except FieldDoesNotExist:
        return None
    own = field.model._meta.concrete_model is options.concrete_model
    return field if own and field.concrete and not field.many_to_many else None


def _made(connection: BaseDatabaseWrapper, trace: Trace, values: Values) -> Sql | None:
    """Text and parameters."""
    fields = tuple([field for field, _, _ in values])
    kinds: list[Any] = [value is None for _, _, value in values]
    for place, (_, _, value) in enumerate(values):
        if type(value) is CombinedExpression:
            count = count_of(value)
            counted = None if count is None else _own_field(trace.shape.model, count.name)
            if count is None or counted is None:
                return None
            fields += (counted,)
            kinds[place] = count[:2]
    identity = (
        trace.shape.number,
        type(connection),
        *[field.attname for field in fields],
        *kinds,
    )
    if identity in _statements:
        known: Statement | None = _statements[identity]
        if known is None or not _holds(known, trace, fields):
            return None
        parameters = _parameters(connection, known.key, known.nulls, trace, values)
        return None if parameters is None else (known.text, parameters)
    compiled = _compiled(connection, trace, values)
    learnt = None if compiled is None else _learnt(connection, trace, values, fields, *compiled)
    _statements.keep(identity, learnt)
    return compiled


def _holds(statement: Statement, trace: Trace, fields: tuple[Field[Any, Any], ...]) -> bool:
    """Whether the model is as it was; an integer out of range has no UPDATE."""
    value = trace.values[0]
    fits = type(value) is not int or statement.least <= value <= statement.greatest
    return fits and statement.columns.hold(trace.shape.model, fields)


def _parameters(
    connection: BaseDatabaseWrapper,
    key: Field[Any, Any],
    nulls: bool,
    trace: Trace,
    values: Values,
) -> tuple[Any, ...] | None:
    """None where the text depends on what a field makes of its value."""
    parameters = []
    for field, _, value in values:
        if type(value) is CombinedExpression and (count := count_of(value)) is not None:
            parameters.append(_INTEGER.get_db_prep_save(count.number, connection))
            continue
        prepared = field.get_db_prep_save(value, connection)
        if (prepared is None) is not (value is None):
            return None
        if nulls or prepared is not None:
            parameters.append(prepared)
    if not are_values(parameters):
        return None
    return (*parameters, key.get_db_prep_value(trace.values[0], connection))


def _compiled(connection: BaseDatabaseWrapper, trace: Trace, values: Values) -> Sql | None:
    """Text and parameters as Django makes them, unless it isn't Django that does."""
    query: Any = traces.build(trace).chain(sql.UpdateQuery)
    query.add_update_fields(values)
    compiler = query.get_compiler(connection=connection)
    if not _DJANGOS.are_of(compiler):
        return None
    try:
        text, parameters = compiler.as_sql()
    except EmptyResultSet:
        return None
    return (text, parameters) if text else None


def _learnt(
    connection: BaseDatabaseWrapper,
    trace: Trace,
    values: Values,
    fields: tuple[Field[Any, Any], ...],
    text: str,
    parameters: tuple[Any, ...],
) -> Statement | None:
    model = trace.shape.model
    columns = Columns.of(model, fields)
    key: Field[Any, Any] = target(model._meta.pk)
    nulls = len(parameters) == len(values) + 1
    expected = _parameters(connection, key, nulls, trace, values)
    if columns is None or not same(expected, parameters):
        return None
    least, greatest = 0, 0
    if type(trace.values[0]) is int:
        least, greatest = connection.ops.integer_field_range(key.get_internal_type())
    return Statement(text, columns, key, nulls, least, greatest)
