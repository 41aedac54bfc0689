"""Answers of traced querysets: from L1 by the trace alone, without a Query (TRACE.md).

What Django answers is remembered under the trace's key beside the result it came from, with the
same cells and time; the checks of a hit are those of reads.py.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import uuid
from _thread import get_ident
from asyncio import _get_running_loop
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from . import _engine, conf, keys, policy, stores
from .captures import Captured, capturing, is_listened_to, note
from .connection_state import STATE_ATTRIBUTE
from .isolation import Level
from .reads import ENSURE_CONNECTION, connection_of, place_of
from .segments import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .identity import Facts
    from .segments import OpenSegment
    from .traces import Trace

ITEMS, COUNT, EXISTS, AGGREGATE, ONE, FIRST, LAST = range(7)
"""Kinds of answers; of the last three there is one item."""

MISS: Final = object()

_IMMUTABLE: Final = frozenset(
    {
        bool,
        int,
        float,
        str,
        type(None),
        decimal.Decimal,
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
        uuid.UUID,
    }
)
"""Values that are handed out as they are."""


class Answer(NamedTuple):
    """What is remembered: a value, or rows and what makes items of them."""

    value: Any
    rows: list[Any] | None
    copies: bool
    items: Callable[..., list[Any]] | None
    cells: bytes
    time: int


def answer(
    queryset: Any, trace: Trace | None, kind: int, original: Callable[..., Any], *args: Any
) -> Any:
    """What `original` would return; of ITEMS, the list of the queryset's items."""
    if trace is None or (kind >= ONE and trace.shape.prefetches):
        return original(queryset, *args)
    alias = queryset.db
    found = find(queryset, trace, kind, alias)
    return ask(queryset, trace, kind, alias, original, *args) if found is MISS else found


def ask(
    queryset: Any, trace: Trace, kind: int, alias: str, original: Callable[..., Any], *args: Any
) -> Any:
    """What `original` returns, remembered for the next time."""
    with capturing() as captured, _as_asked(queryset, alias):
        value = original(queryset, *args)
    if len(captured) == 1 and captured[0] is not None:
        _remember(trace, kind, alias, captured[0], value)
    return value


_Place: TypeAlias = "tuple[Facts, OpenSegment, int]"


def _at_rest(connection: BaseDatabaseWrapper) -> _Place | None:
    """Where the commonest read may be answered from: of a connection that is open, and outside of
    any transaction.

    It says what `_any_place` would say, in a tenth of its steps, or None.
    """
    attributes = connection.__dict__
    state, driver = attributes.get(STATE_ATTRIBUTE), attributes["connection"]
    if (
        state is None
        or driver is None
        or driver is not state.driver
        or state.errored
        or state.dirty is None
        or state.dirty
        or state.configures_cursors
        or attributes["in_atomic_block"]
        or attributes["needs_rollback"]
        or not attributes["autocommit"]
        or attributes["_thread_ident"] != get_ident()
        or "cursor" in attributes
        or type(connection).ensure_connection is not ENSURE_CONNECTION
        or _get_running_loop() is not None
        or state.alias in conf.current().replicas
    ):
        return None
    session, vendor = state.session, state.vendor
    if session is None or session.off is not None or not vendor.in_autocommit(driver):
        return None
    facts: Facts = session.facts
    level = vendor.next_level(driver, session.level)
    if facts.uncached is not None or (level is not Level.CURRENT and level is not Level.SNAPSHOT):
        return None
    segment = registry.find(facts)
    return None if segment is None else (facts, segment, _engine.NO_LIMIT)


def _any_place(connection: BaseDatabaseWrapper) -> _Place | None:
    """Raises what a query would have raised (PROTOCOL 4.5)."""
    place = place_of(connection)
    if place is None:
        return None
    state, facts, segment = place
    connection.validate_thread_sharing()
    connection.validate_no_broken_transaction()
    limit = state.hit_limit(connection, facts)
    if limit is None or state.dirty is None or state.dirty:
        return None
    return facts, segment, limit


@contextlib.contextmanager
def _as_asked(queryset: Any, alias: str) -> Iterator[None]:
    """Within, Django's own code shows the Query to nobody, and goes to the alias that the router
    has named: asked again it may name another."""
    before, attributes = queryset._db, queryset.__dict__
    private = "_is_private" in attributes
    attributes["_db"], attributes["_is_private"] = alias, True
    try:
        yield
    finally:
        attributes["_db"] = before
        if not private:
            attributes.pop("_is_private", None)


def find(queryset: Any, trace: Trace, kind: int, alias: str) -> Any:
    """The answer, or MISS.

    Raises what the query would have raised (PROTOCOL 4.5).
    """
    if not conf.current().enabled or policy.uncached_depth.get():
        return MISS
    connection = connection_of(alias)
    place = _at_rest(connection) or _any_place(connection)
    if place is None:
        return MISS
    facts, segment, limit = place
    try:
        key = keys.trace_key(connection, facts, kind, trace.shape.number, trace.values)
    except _engine.Unencodable:
        return MISS
    known: Answer | None = stores.find_answer(segment, key, limit)
    if known is None:
        return MISS
    if is_listened_to():
        note(Captured(facts, segment, known.cells, known.time, None, *known[1:4]))
    if known.items is None:
        return dict(known.value) if kind == AGGREGATE else known.value
    items = known.items(queryset, alias, known.rows, known.copies)
    if kind == ITEMS:
        return items
    return items[0] if items else None


def _remember(trace: Trace, kind: int, alias: str, captured: Captured, value: Any) -> None:
    """Keeps an answer, unless it would have to be made anew each time."""
    rows, items = captured.rows, captured.items
    if kind in (COUNT, EXISTS, AGGREGATE):
        values = value.values() if kind == AGGREGATE else (value,)
        if not _IMMUTABLE.issuperset(map(type, values)):
            return
        value = dict(value) if kind == AGGREGATE else value
        kept = Answer(value, None, False, None, captured.cells, captured.time)
    elif rows is None or items is None or (kind == ONE and len(rows) != 1):
        return
    else:
        kept = Answer(None, rows, captured.copies, items, captured.cells, captured.time)
    connection = connection_of(alias)
    try:
        key = keys.trace_key(connection, captured.facts, kind, trace.shape.number, trace.values)
    except _engine.Unencodable:
        return
    stores.keep_answer(captured.segment, key, captured.cells, captured.time, kept, rows or [])
