"""A read at the compiler: taken from the cache, or run and stored (PROTOCOL sections 3 and 4)."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from _thread import get_ident
from asyncio import _get_running_loop
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import EmptyResultSet, FieldError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql.constants import MULTI, SINGLE
from django.utils.asyncio import async_unsafe

from . import _engine, captures, conf, keys, policy, stores
from .connection_state import ConnectionState, state_of
from .dependencies import Dependencies, Uncacheable, names_the_moment, read_dependencies
from .results import Hit, Result, own_rows, reading_of
from .segments import OpenSegment, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from django.db.models.sql.compiler import SQLCompiler

    from .identity import Facts

logger = logging.getLogger("django_cache_manager")

MEMO_STATEMENTS: Final = 2048
MEMO_SQL_LENGTH: Final = 4096

_judged: dict[tuple[int, bool, str], Dependencies | Uncacheable] = {}
"""Dialect, raw() or not, SQL text -> the tables it reads, or why it isn't cached.

The text decides both.
"""

_unstorable: dict[bytes, str] = {}
"""Key -> why its rows could not be stored, for explain()."""


def _note_unstorable(key: bytes, reason: str) -> None:
    if len(_unstorable) >= MEMO_STATEMENTS:
        _unstorable.clear()
    _unstorable[key] = reason


def forget_judgements() -> None:
    _judged.clear()
    _unstorable.clear()


conf.on_change(forget_judgements)


def execute_sql(
    original: Callable[..., Any],
    compiler: SQLCompiler,
    result_type: str,
    chunked_fetch: bool,
    chunk_size: int,
) -> Any:
    """Like SQLCompiler.execute_sql.

    A hit with several rows is a `Hit`, a list of one chunk.
    """
    query = compiler.query
    if result_type not in (MULTI, SINGLE) or not policy.wants(query):
        return original(compiler, result_type, chunked_fetch, chunk_size)
    if query.select_for_update or query.explain_info or stores.keeps_nothing():
        return original(compiler, result_type, chunked_fetch, chunk_size)
    try:
        sql, params = compiler.as_sql()
        if not sql:
            raise EmptyResultSet
    except EmptyResultSet:
        return iter([]) if result_type == MULTI else None
    captures.note_compiled(compiler, sql, params)
    read = _Read(compiler, sql, params, result_type, chunked_fetch)

    def run() -> Any:
        with _compiled(compiler, sql, params):
            return original(compiler, result_type, chunked_fetch, chunk_size)

    if chunked_fetch and policy.has_terms() and not read.wants_iterator():
        return run()
    return read.answer(run)


@contextlib.contextmanager
def _compiled(compiler: SQLCompiler, sql: str, params: Sequence[Any]) -> Iterator[None]:
    """Lets Django's execute_sql use what has been compiled already, instead of compiling it
    again."""
    if "as_sql" in compiler.__dict__:
        yield
        return
    compiler.__dict__["as_sql"] = lambda *_, **__: (sql, params)
    try:
        yield
    finally:
        del compiler.__dict__["as_sql"]


def _nothing() -> None:
    """Nothing."""


_refuse_event_loop = async_unsafe(_nothing)
"""Raises what a cursor would on an event loop (PROTOCOL 4.5): so a lookup is always made on the
thread whose connection it concerns, and sees its transaction (PROTOCOL 4.4)."""


ENSURE_CONNECTION = BaseDatabaseWrapper.ensure_connection


@dataclass(slots=True)
class _Place:
    """Where a read may be answered from, found before F1."""

    state: ConnectionState
    facts: Facts
    segment: OpenSegment
    key: bytes


def connection_of(alias: str) -> BaseDatabaseWrapper:
    """`connections[alias]`, at a third of its cost where no event loop runs: asgiref finds that out
    by an exception."""
    if _get_running_loop() is None:
        storage = connections._connections.__dict__.get("_storage")
        if type(storage) is threading.local:
            found: BaseDatabaseWrapper | None = getattr(storage, alias, None)
            if found is not None:
                return found
    return connections[alias]


def place_of(
    connection: BaseDatabaseWrapper,
) -> tuple[ConnectionState, Facts, OpenSegment] | None:
    """Where a read of this connection may be answered from; None: only by the database.

    Raises what the query would have raised before it was sent (PROTOCOL 4.5).
    """
    if "cursor" in connection.__dict__:
        return None  # a test case forbids queries here
    if _get_running_loop() is not None:
        _refuse_event_loop()
    if type(connection).ensure_connection is not ENSURE_CONNECTION:
        connection.ensure_connection()  # a test runner that forbids databases has patched it
    state = state_of(connection)
    if state is None:
        return None
    facts = state.facts(connection)
    if facts is None and connection.connection is None and not connection.in_atomic_block:
        connection.ensure_connection()
        facts = state.facts(connection)
    if facts is None or state.off_reason() is not None or facts.uncached is not None:
        return None
    try:
        segment = registry.find(facts) or registry.open(facts)
    except _engine.SegmentError:
        return None
    if connection._thread_ident != get_ident():
        connection.validate_thread_sharing()
    if connection.needs_rollback and connection.connection is not None:
        connection.validate_no_broken_transaction()
    return state, facts, segment


class _Read:
    """One execution of one compiled query."""

    __slots__ = ("chunked", "compiler", "connection", "params", "result_type", "sql")

    def __init__(
        self,
        compiler: SQLCompiler,
        sql: str,
        params: Sequence[Any],
        result_type: str,
        chunked: bool,
    ) -> None:
        self.compiler = compiler
        self.connection: BaseDatabaseWrapper = compiler.connection
        self.sql = sql
        self.params = params
        self.result_type = result_type
        self.chunked = chunked and self.connection.features.can_use_chunked_reads

    def wants_iterator(self) -> bool:
        """Whether the ITERATOR option of the models that are read lets iterator() be cached."""
        state = state_of(self.connection)
        if state is None:
            return False
        try:
            tables = self.judged(state.vendor.dialect).tables
        except Uncacheable:
            return False
        return policy.terms_of(tables).iterator

    def answer(self, run: Callable[[], Any]) -> Any:
        connection = self.connection
        place = self._place()
        if place is not None:
            found = self._find(place)
            if found is not None:
                return self._hand_out(found)
            if connection.connection is None:
                connection.ensure_connection()
                place = self._place()
        if place is None:
            captures.note(None)  # before its rows are made instances, which may read by themselves
            return run()
        return self._run_and_keep(place, run)

    def _place(self) -> _Place | None:
        found = place_of(self.connection)
        if found is None:
            return None
        try:
            return _Place(*found, self.key(found[1]))
        except _engine.Unencodable:
            return None

    def key(self, facts: Facts) -> bytes:
        """Raises `_engine.Unencodable`."""
        compiler = self.compiler
        if self.result_type == SINGLE:
            kind, columns = keys.KIND_FIRST_ROW, compiler.col_count
        else:
            kind = keys.KIND_ROWS
            columns = compiler.col_count if compiler.has_extra_select else None
        return keys.sql_key(self.connection, facts, self.sql, self.params, kind, columns)

    def judged(self, dialect: int) -> Dependencies:
        """Raises Uncacheable."""
        return judge(self.sql, dialect, False, partial(read_dependencies, self.compiler))

    def _goes_to_l1(self) -> bool:
        """Whether L1 keeps a result by its SQL: not if it has the answer by a trace."""
        reading = reading_of(self.compiler)
        return reading is None or not reading.is_remembered() or policy.least_timeout() is not None

    @staticmethod
    def _own(place: _Place) -> bool:
        return place.state.dirty is None or bool(place.state.dirty)

    def _find(self, place: _Place) -> Result | None:
        state, segment = place.state, place.segment
        limit = state.hit_limit(self.connection, place.facts)
        if limit is None:
            return None
        if not self._own(place):
            found = stores.find(segment, place.key, limit, self._goes_to_l1())  # Hit
            if found is not None:
                captures.note_result(place.facts, segment, found)
            return found
        captures.note(None)
        own = state.overlay.get(place.key)
        if (
            own is not None
            and segment.usable()
            and segment.engine.valid(own.cells, own.time, limit)  # Hit: the shared check too
        ):
            segment.engine.count_hit()
            return own
        if state.dirty is None:
            return None
        found = stores.find(segment, place.key, limit)
        if found is None or state.is_dirty(segment, found.cells):
            return None
        return found

    def _hand_out(self, result: Result) -> Any:
        if self.result_type == MULTI:
            return Hit(result)
        return own_rows(result)[0] if result.rows else None

    def _run_and_keep(self, place: _Place, run: Callable[[], Any]) -> Any:
        state, segment = place.state, place.segment
        state.look_round(segment)
        time = state.fill_time(self.connection, segment)  # F1
        if time is None:
            captures.note(None)
            return run()
        sequence = state.sequence
        rows = run()
        if self.result_type == SINGLE:
            self._keep(place, sequence, time, [rows] if rows else [])
            return rows
        if self.chunked:
            return self._collect(place, sequence, time, rows)
        result = self._keep(place, sequence, time, list(chain.from_iterable(rows)))
        if result is None:
            captures.note(None)
            return rows
        return Hit(result)

    def _collect(
        self, place: _Place, sequence: int, time: int, chunks: Iterable[list[Any]]
    ) -> Iterator[list[Any]]:
        """Passes an iterator()'s chunks on, and stores them after the last one if they are within
        the cap."""
        kept: list[Any] | None = []  # changed in place: rebuilt for each chunk it took minutes
        room = place.segment.engine.max_entry
        for chunk in chunks:
            if kept is not None:
                room -= _engine.footprint(chunk) // 4  # an encoded value takes no less
                if room < 0:
                    kept = None
                else:
                    kept += chunk
            yield chunk
        if kept is not None:
            self._keep(place, sequence, time, kept)

    def _keep(self, place: _Place, sequence: int, time: int, rows: list[Any]) -> Result | None:
        """F3, if nothing of this connection came between first and last row (PROTOCOL 3.2).

        Returns what was kept.
        """
        state, segment = place.state, place.segment
        session = state.session
        if (
            state.sequence != sequence
            or session is None
            or session.facts.identity != place.facts.identity
        ):
            return None
        try:
            tables = self.tables(state, segment)
            cells = segment.engine.cells(tables, True)
            terms = policy.terms_of(tables)
            max_entry = min(terms.max_entry, segment.engine.max_entry)
            encoded = _engine.encode_rows(rows, max_entry)
        except (Uncacheable, _engine.Unencodable) as refusal:
            logger.debug("not cached: %s", refusal)
            if isinstance(refusal, _engine.Unencodable):
                _note_unstorable(place.key, f"a row holds {refusal}")
            return None
        if encoded is None:
            _note_unstorable(place.key, f"its rows are more than MAX_ENTRY ({max_entry} bytes)")
            return None
        if not segment.engine.valid(cells, time):  # F2
            return None
        result = Result(rows, cells, time, len(encoded))
        result.rows = own_rows(result)  # the caller may change the lists in those that it gets
        if self._own(place) and state.is_dirty(segment, cells):
            if result.keepable and not state.errored:
                state.overlay.put(place.key, result)  # F3, for this transaction alone
        else:
            local = self._own(place) or self._goes_to_l1()
            stores.keep(segment, place.key, result, encoded, terms.timeout, local)  # F3
            captures.note_result(place.facts, segment, result)
        return result

    def tables(self, state: ConnectionState, segment: OpenSegment) -> frozenset[str]:
        """What the rows depend on, views replaced by what VIEWS says of them.

        Raises Uncacheable.
        """
        catalog = segment.current_catalog()
        if catalog is None:
            raise Uncacheable("the database's catalog is being changed, or not read yet")
        if state.vendor.dialect == _engine.POSTGRESQL and names_the_moment(self.params):
            raise Uncacheable("PostgreSQL may take a parameter for a time that moves, as 'now'")
        declared = conf.current().views
        found: set[str] = set()
        read = self.judged(state.vendor.dialect)
        own = read.functions & (catalog.suspect_functions or frozenset())
        if own - conf.current().functions:
            # A user's function may bear the name of one of the system's.
            raise Uncacheable(f"it calls the function {min(own)}, which this database defines")
        for table in read.tables:
            if table in catalog.tables:
                found.add(table)
            elif table in declared:
                found.update((table, *declared[table]))
            else:
                raise Uncacheable(catalog.refused.get(table, f"{table} is no table of the catalog"))
        return frozenset(found)


_DEFECTS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    FieldError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What an expression's own methods may raise when they are looked into; its query may be sound."""


def judge(
    sql: str, dialect: int, raw: bool, look: Callable[[str, int], Dependencies]
) -> Dependencies:
    """What a statement reads, remembered by its text.

    Raises Uncacheable.
    """
    known = _judged.get((dialect, raw, sql))
    if known is None:
        try:
            known = look(sql, dialect)
        except Uncacheable as refusal:
            known = refusal
        except _DEFECTS as error:
            logger.warning("a query is not cached, for its tables can't be told", exc_info=True)
            known = Uncacheable(f"its tables can't be told: {error!r}")
        if len(_judged) >= MEMO_STATEMENTS:
            _judged.clear()
        if len(sql) <= MEMO_SQL_LENGTH:
            _judged[dialect, raw, sql] = known
    if isinstance(known, Uncacheable):
        raise Uncacheable(*known.args)
    return known


def nothing_found(sql: str) -> dict[str, Any]:
    """The parts of api.Explanation for a statement of which nothing is known."""
    return {
        "cached": False,
        "cacheable": False,
        "reason": "",
        "key": "",
        "sql": sql,
        "dependencies": (),
        "clashes": (),
        "stamp": None,
        "size": None,
    }


def explain_read(
    compiler: SQLCompiler, sql: str, params: Sequence[Any], result_type: str
) -> dict[str, Any]:
    """The parts of api.Explanation for a compiled query."""
    return explain_statement(_Read(compiler, sql, params, result_type, False), compiler.query)


def explain_statement(read: _Read, query: Any) -> dict[str, Any]:
    """The parts of api.Explanation for the statement that `query` stands for."""
    found = nothing_found(read.sql)
    refusal = policy.why_not(query)
    if refusal is None and stores.keeps_nothing():
        refusal = "the cache backend keeps nothing"
    state = state_of(read.connection)
    if state is None:
        return {**found, "reason": f"{read.connection.vendor} is not supported"}
    read.connection.ensure_connection()
    facts = state.facts(read.connection)
    if facts is None:
        return {**found, "reason": "the connection is in a transaction that began unseen"}
    refusal = refusal or state.off_reason() or facts.uncached
    try:
        segment = registry.open(facts)
        driver = read.connection.connection
        if not state.vendor.in_transaction(driver):
            segment.read_catalog(driver)
        tables = read.tables(state, segment)
        found["dependencies"] = tuple(sorted(tables))
        found["clashes"] = segment.clashes(tables)
        key = read.key(facts)
    except (Uncacheable, _engine.Unencodable, _engine.SegmentError) as error:
        return {**found, "reason": refusal or str(error)}
    found["key"] = hashlib.sha256(key).hexdigest()[:32]
    if refusal is not None:
        return {**found, "reason": refusal}
    result = read._find(_Place(state, facts, segment, key))
    if result is None:
        return {
            **found,
            "cacheable": True,
            "reason": _unstorable.get(key, "its rows have not been read since they changed"),
        }
    return {
        **found,
        "cached": True,
        "cacheable": True,
        "stamp": result.time,
        "size": result.size,
    }
