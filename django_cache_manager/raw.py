"""raw(): its rows are cached where the scanner can name every table that the statement reads."""

from __future__ import annotations

import logging
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from django.db import connections
from django.db.models.sql import RawQuery

from . import _engine, conf, keys, policy, stores
from .connection_state import state_of
from .dependencies import (
    Dependencies,
    Uncacheable,
    raw_dependencies,
    sql_words,
)
from .reads import _Read, explain_statement, judge, nothing_found
from .results import own_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from django.db.models import Model, QuerySet

    from .connection_state import ConnectionState
    from .identity import Facts
    from .reads import _Place
    from .results import Result
    from .segments import OpenSegment

logger = logging.getLogger("django_cache_manager")


class CachedRawQuery(RawQuery):
    """A RawQuery that knows its model, so that MODELS and EXCLUDE can be asked."""

    model: type[Model]
    caching: bool
    cursor: Any

    @classmethod
    def of(cls, query: RawQuery, queryset: QuerySet[Any]) -> CachedRawQuery:
        """The query that a queryset's raw() made, as one of this class."""
        found = cls(query.sql, query.using, query.params)
        found.model = queryset.model
        caching = queryset._query.__dict__.get("caching")
        if caching is not None:
            found.caching = caching
        return found

    def clone(self, using: str) -> CachedRawQuery:
        found = type(self)(self.sql, using, self.params)
        for name in ("model", "caching"):
            if name in self.__dict__:
                setattr(found, name, self.__dict__[name])
        return found

    def _execute_query(self) -> None:
        run = super()._execute_query
        read = RawRead.of(self) if policy.wants(self) and not stores.keeps_nothing() else None
        if read is None or read.refusal() is not None:
            run()
        else:
            self.cursor = None  # one that was asked for its columns alone: it would pin a snapshot
            read.answer(run)

    def __reduce__(self) -> tuple[Any, ...]:
        return RawQuery, (self.sql, self.using, self.params)  # loaded without the package, too

    def __repr__(self) -> str:
        return f"<{RawQuery.__name__}: {self}>"


class StoredCursor:
    """Stands for the cursor of a raw query that was a hit."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.description: Final = [(name, *[None] * 6) for name in rows[0]]
        self._rows = iter(rows[1:])

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def close(self) -> None:
        self._rows = iter(())


class _KeepingCursor:
    """The cursor of a raw query whose rows are kept if they are read to the last one."""

    def __init__(
        self, cursor: Any, keep: Callable[[list[tuple[Any, ...]]], None], room: int
    ) -> None:
        self._cursor = cursor
        self._keep = keep
        self._room = room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __iter__(self) -> Iterator[Any]:
        room = self._room
        kept: list[Any] | None = [tuple(column[0] for column in self._cursor.description)]
        for row in self._cursor:
            if kept is not None:
                room -= _engine.footprint([row]) // 4  # an encoded value takes no less
                if room < 0:
                    kept = None
                else:
                    kept.append(row)
            yield row
        if kept is not None:
            self._keep(kept)


class RawRead(_Read):
    """One execution of a raw query. The first of its rows are the names of the columns."""

    __slots__ = ("kind", "query")

    def __init__(self, query: CachedRawQuery, kind: str, params: Sequence[Any]) -> None:
        self.query = query
        self.kind = kind
        self.params = params
        self.sql = query.sql
        self.connection = connections[query.using]

    def _goes_to_l1(self) -> bool:
        """No trace has what it reads."""
        return True

    @classmethod
    def of(cls, query: CachedRawQuery) -> RawRead | None:
        """None where the SQL or the parameters are of a type that may mean anything."""
        given = query.params
        adapt = connections[query.using].ops.adapt_unknown_value
        if type(query.sql) is not str:
            return None
        try:
            if given is None:
                return cls(query, "none", ())
            if type(given) is dict:
                named = ((name, adapt(value)) for name, value in given.items())
                return cls(query, "dict", tuple(chain.from_iterable(named)))
            if type(given) in (tuple, list):
                return cls(query, "tuple", tuple(map(adapt, given)))
        except Exception:  # the query will raise it
            logger.debug("raw(): its parameters can't be adapted", exc_info=True)
        return None

    def refusal(self) -> str | None:
        """Why the statement is never cached, as far as its text and parameters tell."""
        state = state_of(self.connection)
        if state is None:
            return f"{self.connection.vendor} is not supported"
        try:
            self.judged(state.vendor.dialect)
        except Uncacheable as refusal:
            return str(refusal)
        return None

    def key(self, facts: Facts) -> bytes:
        """Raises `_engine.Unencodable`."""
        params = (self.kind, *self.params)
        return keys.sql_key(self.connection, facts, self.sql, params, keys.KIND_RAW, None)

    def judged(self, dialect: int) -> Dependencies:
        return judge(self.sql, dialect, True, raw_dependencies)

    def tables(self, state: ConnectionState, segment: OpenSegment) -> frozenset[str]:
        """Also refuses what may call a function of the database's own: `alias.name` does."""
        tables = super().tables(state, segment)
        catalog = segment.current_catalog()
        if catalog is None:
            raise Uncacheable("the database's catalog is being changed")
        own = (catalog.suspect_functions or frozenset()) - conf.current().functions
        text = self.sql.lower()
        named = own.intersection(sql_words(self.sql)) or {
            name for name in own if not name.isidentifier() and name in text
        }
        if named:
            raise Uncacheable(f"it says {min(named)}, a function of which little is known")
        return tables

    def _hand_out(self, result: Result) -> None:
        self.query.cursor = StoredCursor(own_rows(result))

    def _run_and_keep(self, place: _Place, run: Callable[[], Any]) -> None:
        state, segment = place.state, place.segment
        state.look_round(segment)
        time = state.fill_time(self.connection, segment)  # F1
        sequence = state.sequence
        run()
        if time is None or self.query.cursor.description is None:
            return

        def keep(rows: list[tuple[Any, ...]]) -> None:
            self._keep(place, sequence, time, rows)

        self.query.cursor = _KeepingCursor(self.query.cursor, keep, segment.engine.max_entry)


def explain_raw(query: RawQuery) -> dict[str, Any]:
    """The parts of api.Explanation for a raw query."""
    if not isinstance(query, CachedRawQuery):
        return {**nothing_found(query.sql), "reason": "it was not made by a manager's raw()"}
    read = RawRead.of(query)
    if read is None:
        refused: str | None = "its SQL or its parameters are of a type that is not known"
        found = explain_statement(RawRead(query, "none", ()), query)
    else:
        refused = read.refusal()
        found = explain_statement(read, query)
    if refused is not None:
        found |= {"cached": False, "cacheable": False, "reason": found["reason"] or refused}
    return found
