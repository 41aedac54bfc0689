"""Answers of traced querysets: from L1 by the trace alone, without a Query (TRACE.md).

What Django answers is remembered under the trace's key beside the result it came from, with the
same cells and time; the checks of a hit are those of reads.py.
"""

from __future__ import annotations

import datetime
import decimal
import threading
import uuid
from asyncio import _get_running_loop
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import query
from django.db.models.query import MAX_GET_RESULTS, QuerySet
from django.db.utils import ConnectionRouter

from . import _engine, captures, conf, keys, policy, selects, standing, stores, traces
from .calls import PLAIN_TYPES
from .captures import Captured, capturing, note
from .keys import AGGREGATE, COUNT, EXISTS, ITEMS, LEVEL, ONE
from .reads import connection_of, place_of
from .traces import private

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.base import BaseDatabaseWrapper

    from ._engine import Trace
    from .row_plans import RowPlan

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
    plan: RowPlan | None = None
    """Of instances, what `items` makes them by."""
    prototypes: list[Any] | None = None
    """The engine's, which makes instances of the same rows again (ext/prototypes.c)."""

    @classmethod
    def of_rows(cls, captured: Captured, value: Any = None) -> Answer:
        rows, items = captured.rows, captured.items
        make_ready = getattr(items, "ready", None)
        if make_ready is not None and not captured.copies:
            rows, items = make_ready(rows)
        plan = getattr(items, "plan", None)
        made = rows, captured.copies, items, captured.cells, captured.time, plan
        return cls(value, *made, [None])


quick: Final = _engine.Answers(
    cache=stores.local_cache,
    miss=MISS,
    captures=captures.here,
    connections=connections,
    local_type=threading.local,
    running_loop=_get_running_loop,
    database=QuerySet.db,
    default_alias=DEFAULT_DB_ALIAS,
    router=router,
    db_for_read=ConnectionRouter.db_for_read,
    query_names=vars(query),
    filtering=traces.FILTER,
    plain=PLAIN_TYPES,
    kept=traces.KEPT,
    roots=traces.roots,
)
"""The same in the engine, where nothing asks for more than is plain; else NotImplemented."""


def answer(
    queryset: Any,
    trace: Trace | None,
    kind: int,
    original: Callable[[Any], Any],
    looked: Any = NotImplemented,
) -> Any:
    """What `original` would return; of ITEMS, the list of the queryset's items.

    `looked`: MISS where the engine has looked for the answer already.
    """
    if trace is None or (kind >= ONE and queryset._prefetch_related_lookups):
        return original(queryset)
    alias = quick.alias(queryset) or queryset.db
    found = find(queryset, trace, kind, alias) if looked is NotImplemented else looked
    return ask(queryset, trace, kind, alias, original) if found is MISS else found


def ask(queryset: Any, trace: Trace, kind: int, alias: str, original: Callable[[Any], Any]) -> Any:
    """What `original` returns, remembered for the next time.

    It is asked of a copy: its Query is shown to nobody, and it goes to the alias that the router
    has named, for asked again it may name another.
    """
    connection = connection_of(alias)
    with capturing() as captured:
        value = _sent(queryset, trace, kind, connection)
        is_new = value is MISS
        if is_new:
            value = original(private(queryset, trace, alias))
    if len(captured) == 1 and captured[0] is not None:
        # Reads within this one, by a receiver of a signal, may be compiled and not captured.
        if is_new and len(captured.compiled) == 1:
            selects.learn(trace, kind, connection, captured.compiled[0])
        _remember(trace, kind, alias, captured[0], value)
    return value


def _sent(queryset: Any, trace: Trace, kind: int, connection: BaseDatabaseWrapper) -> Any:
    """What a SELECT that is known gives; MISS: there is none, or Django has to see what it gives.

    Raises what the query raises.
    """
    if not conf.current().enabled or policy.uncached_depth.get():
        return MISS
    compiler = selects.known(trace, kind, connection)
    if compiler is None:
        return MISS
    if kind == EXISTS:
        return compiler.has_results()
    if kind in (COUNT, AGGREGATE):
        values = selects.first_row(compiler)
        return MISS if values is None else values["__count"] if kind == COUNT else values
    ready = selects.ready(queryset, trace, connection.alias, compiler)
    items = list(ready._iterable_class(ready))
    if kind == ITEMS:
        return items
    return _the_one(trace, items) if kind == ONE else items[0] if items else None


def _the_one(trace: Trace, items: list[Any]) -> Any:
    """What get() makes of its items, which are at most MAX_GET_RESULTS."""
    if len(items) == 1:
        return items[0]
    model: Any = trace.shape.model
    name = model._meta.object_name
    if not items:
        raise model.DoesNotExist(f"{name} matching query does not exist.")
    number = len(items) if len(items) < MAX_GET_RESULTS else f"more than {MAX_GET_RESULTS - 1}"
    raise model.MultipleObjectsReturned(
        f"get() returned more than one {name} -- it returned {number}!"
    )


def find(queryset: Any, trace: Trace, kind: int, alias: str) -> Any:
    """The answer, or MISS.

    Raises what the query would have raised (PROTOCOL 4.5).
    """
    found = quick.find(queryset, trace, kind, alias)
    if found is not NotImplemented:
        return found
    if not conf.current().enabled or policy.uncached_depth.get():
        return MISS
    connection = connection_of(alias)
    place = place_of(connection)
    if place is None:
        return MISS
    state, facts, segment = place
    limit = state.hit_limit(connection, facts)
    if limit is None or state.dirty is None or state.dirty:
        return MISS
    try:
        head = keys.trace_head(connection, facts)
        key = keys.trace_key(head, kind, trace.shape.number, trace.values)
    except _engine.Unencodable:
        return MISS
    standing.note(connection, state, facts, segment, head)
    known: Answer | None = stores.find_answer(segment, key, limit)
    if known is None:
        return MISS
    if captures.here.found is not None:
        note(Captured(facts, segment, known.cells, known.time, None, *known[1:4]))
    if known.items is None:
        return dict(known.value) if kind == AGGREGATE else known.value
    items = known.items(queryset, alias, known.rows, known.copies)
    if kind == ITEMS:
        return items
    if kind == LEVEL:
        return items, known.value
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
        kept = Answer.of_rows(captured)
    keep(trace, kind, alias, captured, kept)


def keep(
    trace: Trace, kind: int, alias: str, captured: Captured, kept: Answer, extra_bytes: int = 0
) -> None:
    """Remembers an answer that was made of what was captured."""
    connection = connection_of(alias)
    try:
        head = keys.trace_head(connection, captured.facts)
        key = keys.trace_key(head, kind, trace.shape.number, trace.values)
    except _engine.Unencodable:
        return
    size = extra_bytes
    if kept.rows is not None:
        size += _engine.footprint(captured.rows or [])
    if kept.rows is not captured.rows:  # these are kept beside
        size += sum(map(getsizeof, kept.rows or []))
    stores.keep_answer(captured.segment, key, captured.cells, captured.time, kept, size)
