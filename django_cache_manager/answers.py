"""Answers of traced querysets: from L1 by the trace alone, without a Query (TRACE.md).

What Django answers is remembered under the trace's key beside the result it came from, with the
same cells and time; the checks of a hit are those of reads.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db import connections

from . import _engine, conf, keys, policy, stores
from .captures import Captured, capturing, note
from .reads import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .traces import Trace

ITEMS, COUNT, EXISTS, ONE, FIRST, LAST = range(6)
"""Kinds of answers; of the last three there is one item."""

MISS: Final = object()


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
    if found is not MISS:
        return found
    with capturing() as captured:
        kept = queryset.__dict__.get("_is_private")
        queryset._is_private = True
        try:
            value = original(queryset, *args)
        finally:
            if kept is None:
                del queryset.__dict__["_is_private"]
    if len(captured) == 1 and captured[0] is not None:
        _remember(trace, kind, alias, captured[0], value)
    return value


def find(queryset: Any, trace: Trace, kind: int, alias: str) -> Any:
    """The answer, or MISS.

    Raises what the query would have raised (PROTOCOL 4.5).
    """
    if not conf.current().enabled or policy.uncached_depth.get():
        return MISS
    connection = connections[alias]
    place = place_of(connection)
    if place is None:
        return MISS
    state, facts, segment = place
    connection.validate_thread_sharing()
    connection.validate_no_broken_transaction()
    limit = state.hit_limit(connection, facts)
    if limit is None or state.dirty is None or state.dirty:
        return MISS
    try:
        key = keys.trace_key(connection, facts, kind, trace.shape.number, trace.values)
    except _engine.Unencodable:
        return MISS
    known: Answer | None = stores.find_answer(segment, key, limit)
    if known is None:
        return MISS
    note(Captured(facts, segment, known.cells, known.time, None, *known[1:4]))
    if known.items is None:
        return known.value
    items = known.items(queryset, alias, known.rows, known.copies)
    if kind == ITEMS:
        return items
    return items[0] if items else None


def _remember(trace: Trace, kind: int, alias: str, captured: Captured, value: Any) -> None:
    """Keeps an answer, unless it would have to be made anew each time."""
    rows, items = captured.rows, captured.items
    if kind in (COUNT, EXISTS):
        if type(value) not in (int, bool):
            return
        kept = Answer(value, None, False, None, captured.cells, captured.time)
    elif rows is None or items is None or (kind == ONE and len(rows) != 1):
        return
    else:
        kept = Answer(None, rows, captured.copies, items, captured.cells, captured.time)
    connection = connections[alias]
    try:
        key = keys.trace_key(connection, captured.facts, kind, trace.shape.number, trace.values)
    except _engine.Unencodable:
        return
    stores.keep_answer(captured.segment, key, captured.cells, captured.time, kept, rows or [])
