"""The SELECT of a trace: compiled once for a shape, and sent with other values by the reads after.

What Django has compiled for one read of a shape is kept, if each value that a lookup compares to is
found among the parameters once, as its field prepares it: there the next read puts its own. Values
that the text may depend on (those of slices, expressions, booleans, the length of a list) tell
statements apart. Integers out of their column's range have another text, if any, and are compiled.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db.models.sql.compiler import SQLAggregateCompiler, SQLCompiler
from django.db.models.sql.constants import SINGLE

from .calls import PLAIN_TYPES
from .iterables import Prepared
from .keys import AGGREGATE, COUNT, EXISTS, ITEMS, uses_time_zones
from .results import Reading
from .statements import Memo, Originals
from .traces import private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

    from ._engine import Trace
    from .calls import Compared
    from .captures import Compiled
    from .traces import Shape

READINGS_MAX: Final = 256
"""Of statements, for each connection."""

_READINGS: Final = "_cache_manager_readings"

LIST_MAX: Final = 64
"""Values of an `in` lookup whose statement is kept: each number of them is another text."""

STATEMENTS_MAX: Final = 2 * LIST_MAX
"""Of one shape, with other values that its text may depend on."""

SIZE_MAX: Final = 16384
"""Characters of a statement that is kept, and of the texts among its parameters."""

_DJANGOS: Final = Originals(
    (SQLCompiler, "as_sql"),
    (SQLCompiler, "compile"),
    (SQLCompiler, "pre_sql_setup"),
    (SQLAggregateCompiler, "as_sql"),
)


class Statement(NamedTuple):
    """A SELECT, and the compiler that Django has made it with."""

    compiler: type[SQLCompiler]
    attributes: dict[str, Any]
    """The compiler's, without its connection."""
    text: str
    """Of a page, without its bounds."""
    parameters: list[Any]
    places: tuple[int, ...]
    """Of the values, in their order, among the parameters."""
    kind: Callable[[list[Any]], Any]
    """What the parameters come in."""
    table: str
    ranges: tuple[tuple[int | None, int | None], ...]
    """Of each value's column, where it is a number's."""


class _Statements(Memo):
    """By identity, of each shape no more than STATEMENTS_MAX: those with ever new values in a Q
    don't push out all others."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        super().__init__()

    def has_room(self, shape: Shape) -> bool:
        return self._counts[shape.number] < STATEMENTS_MAX

    def keep(self, identity: tuple[Any, ...], statement: Statement | None) -> None:
        super().keep(identity, statement)
        self._counts[identity[0]] += 1

    def clear(self) -> None:
        super().clear()
        self._counts.clear()


_statements = _Statements()


def known(trace: Trace, kind: int, connection: BaseDatabaseWrapper) -> SQLCompiler | None:
    """A compiler that has compiled a trace's SELECT; None: Django has to.

    `kind` is one of keys.py: what is asked of one chain differs in its text.
    """
    identity = _identity(trace, kind, connection)
    statement: Statement | None = None if identity is None else _statements.get(identity)
    if statement is None or not _holds(statement, trace):
        return None
    parameters = statement.parameters.copy()
    prepared = _prepared(trace, connection)
    for place, value in zip(statement.places, prepared, strict=True):
        parameters[place] = value
    text, page = statement.text, _page(trace, kind)
    if page is not None:
        text += " " + connection.ops.limit_offset_sql(*page)
    made = text, statement.kind(parameters)
    compiler: SQLCompiler = object.__new__(statement.compiler)
    compiler.__dict__ = {
        **statement.attributes,
        "connection": connection,
        "as_sql": lambda *_, **__: made,
    }
    if kind not in (COUNT, EXISTS, AGGREGATE):
        compiler.__dict__["reading"] = _reading(statement, compiler)
    return compiler


def ready(queryset: Any, trace: Trace, alias: str, compiler: SQLCompiler) -> Any:
    """A queryset whose Query has been compiled, for Django's iterable classes."""
    copy = private(queryset, trace, alias)
    query = compiler.query
    caching = query.__dict__.get("caching")
    copy.__dict__["_query"] = Prepared(
        query, get_compiler=lambda *_, **__: compiler, caching=caching
    )
    return copy


def first_row(compiler: SQLCompiler) -> dict[str, Any] | None:
    """The values of an aggregation, by name, as Query.get_aggregation() returns them; None: the
    database has returned no row."""
    row = compiler.execute_sql(SINGLE)
    if row is None:
        return None
    annotations = compiler.query.annotation_select
    converters = compiler.get_converters(annotations.values())
    (values,) = compiler.apply_converters((row,), converters)
    return dict(zip(annotations, values, strict=True))


def learn(trace: Trace, kind: int, connection: BaseDatabaseWrapper, compiled: Compiled) -> None:
    """Keeps what Django has compiled for a trace."""
    identity = _identity(trace, kind, connection)
    if identity is None or identity in _statements or not _statements.has_room(trace.shape):
        return
    compiler, text, parameters = compiled
    if not _DJANGOS.are_of(compiler):
        _statements.keep(identity, None)
        return
    if len(text) + sum([len(each) for each in parameters if isinstance(each, str)]) > SIZE_MAX:
        return
    places = []
    for value in _prepared(trace, connection):
        found = [
            n for n, each in enumerate(parameters) if type(each) is type(value) and each == value
        ]
        if len(found) != 1 or found[0] in places:
            # Of two that are equal it can't be told which is which, but of the next values it may.
            return
        places.append(found[0])
    page = _page(trace, kind)
    if page is not None:
        end = " " + connection.ops.limit_offset_sql(*page)
        if not text.endswith(end):
            return
        text = text.removesuffix(end)
    attributes = {**vars(compiler)}
    del attributes["connection"]
    attributes.pop("as_sql", None)
    statement = Statement(
        type(compiler),
        attributes,
        text,
        list(parameters),
        tuple(places),
        type(parameters),
        trace.shape.model._meta.db_table,
        tuple([_range(each, connection) for each in trace.shape.compared]),
    )
    if _holds(statement, trace):
        # What a number out of its column's range is compared to is no part of the text: such a
        # value among the parameters is another's.
        _statements.keep(identity, statement)


def _reading(statement: Statement, compiler: SQLCompiler) -> Reading:
    """Converters are of a connection."""
    known = compiler.connection.__dict__.setdefault(_READINGS, {})
    found: tuple[Statement, Reading] | None = known.get(id(statement))
    if found is None:
        if len(known) >= READINGS_MAX:
            known.clear()
        found = known[id(statement)] = statement, Reading(compiler)
    return found[1]


def _identity(trace: Trace, kind: int, connection: BaseDatabaseWrapper) -> tuple[Any, ...] | None:
    """What tells one text from another, the shape's number first; None: it isn't kept."""
    shape, values = trace.shape, trace.values
    fixed: list[Any] = []
    page = _page(trace, kind)
    told = shape.compared if page is None else shape.compared[:-2]
    for compared, value in zip(told, values, strict=False):
        if compared is None:
            if type(value) not in PLAIN_TYPES:
                return None  # equal ones may be written in two ways: 1.0 and 1.00
            fixed.append(value)
        elif compared.is_list:
            if len(value) > LIST_MAX or len({*value}) != len(value):
                return None  # Django leaves out doubles
            fixed.append(len(value))
    # Those of an aggregate() are its names.
    more = values[len(shape.compared) :]
    return (
        shape.number,
        uses_time_zones(),  # MySQL's converters differ
        kind,
        page is None,
        connection.alias,
        type(connection),
        *fixed,
        None,
        *more,
    )


def _page(trace: Trace, kind: int) -> tuple[int, int] | None:
    """The bounds of a chain that ends with its only slice, where the text does too."""
    if not trace.shape.is_page or kind != ITEMS:
        return None
    low, high = trace.values[-2] or 0, trace.values[-1]
    return None if high is None or low >= high else (low, high)


def _prepared(trace: Trace, connection: BaseDatabaseWrapper) -> Iterator[Any]:
    for compared, value in zip(trace.shape.compared, trace.values, strict=False):
        if compared is not None:
            yield from compared.prepared(value, connection)


def _holds(statement: Statement, trace: Trace) -> bool:
    if statement.table != trace.shape.model._meta.db_table or not _DJANGOS.are_in_place():
        return False
    for (least, greatest), value in zip(statement.ranges, trace.values, strict=False):
        for each in value if type(value) is tuple else (value,):
            if (least is not None and each < least) or (greatest is not None and each > greatest):
                return False
    return True


def _range(
    compared: Compared | None, connection: BaseDatabaseWrapper
) -> tuple[int | None, int | None]:
    if compared is None or not compared.is_integer:
        return None, None
    least, greatest = connection.ops.integer_field_range(compared.field.get_internal_type())
    return least, greatest
