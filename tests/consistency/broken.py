"""Protocols with a part taken out, for the checker to find. Only a worker told so by its plan loads
this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_cache_manager import _engine, brackets, connection_state, reads

PROTOCOLS: dict[str, Callable[[], None]] = {}


def protocol(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(take_out: Callable[[], None]) -> Callable[[], None]:
        PROTOCOLS[name] = take_out
        return take_out

    return register


@protocol("unmarked")
def _() -> None:
    """Writes are seen by nobody."""
    brackets.Bracket.mark = lambda self, *_, **__: None  # type: ignore[method-assign]


@protocol("mark-after-commit")
def _() -> None:
    """W1 after W2, right before W3."""
    mark, settle = brackets.Bracket.mark, brackets.Bracket.settle
    later: dict[int, Any] = {}

    def note(self: Any, *what: Any, **more: Any) -> None:
        later[id(self)] = what, more

    def both(self: Any) -> None:
        if id(self) in later:
            what, more = later.pop(id(self))
            mark(self, *what, **more)
        settle(self)

    brackets.Bracket.mark = note  # type: ignore[method-assign]
    brackets.Bracket.settle = both  # type: ignore[method-assign]


@protocol("settle-before-commit")
def _() -> None:
    """W3 before W2."""
    mark = brackets.Bracket.mark

    def at_once(self: Any, *what: Any, **more: Any) -> None:
        mark(self, *what, **more)
        self.settle()

    brackets.Bracket.mark = at_once  # type: ignore[method-assign]


@protocol("clock-after-query")
def _() -> None:
    """F1 after the rows were read."""
    keep = reads._Read._keep

    def late(self: Any, place: Any, sequence: int, time: int, rows: list[Any]) -> None:
        keep(self, place, sequence, place.segment.engine.clock(), rows)

    reads._Read._keep = late  # type: ignore[method-assign]


@protocol("snapshot-ignored")
def _() -> None:
    """4.1: a snapshot transaction hits whatever is valid."""
    connection_state.ConnectionState.hit_limit = (  # type: ignore[method-assign]
        lambda self, connection, facts: _engine.NO_LIMIT
    )


@protocol("own-writes-shared")
def _() -> None:
    """4.3: what a transaction reads of its own writes is stored for all."""
    connection_state.ConnectionState.is_dirty = (  # type: ignore[method-assign]
        lambda self, segment, cells: False
    )


@protocol("overlay-kept")
def _() -> None:
    """4.3: the private results outlive own writes and savepoint rollbacks."""
    from django_cache_manager.overlay import Overlay

    Overlay.drop = lambda self, cells: None  # type: ignore[method-assign]
    Overlay.clear = lambda self: None  # type: ignore[method-assign]


@protocol("sequence-ignored")
def _() -> None:
    """3.2: rows are stored whatever the connection did between first and last."""
    keep = reads._Read._keep

    def blind(self: Any, place: Any, sequence: int, time: int, rows: list[Any]) -> None:
        keep(self, place, place.state.sequence, time, rows)

    reads._Read._keep = blind  # type: ignore[method-assign]


@protocol("unknown-settled")
def _() -> None:
    """2.4: a write of unknown outcome is settled at once. Needs `terminate` and the slow
    nemeses."""
    connection_state.ConnectionState._keep_unknown = (  # type: ignore[method-assign]
        lambda self, bracket: bracket.settle()
    )


@protocol("dead-settled")
def _() -> None:
    """2.5: a dead process's session is taken to be gone. Needs `kill` and the slow nemeses."""
    from django_cache_manager.mysql import MySQL
    from django_cache_manager.postgresql import PostgreSQL

    for vendor in (MySQL, PostgreSQL):
        vendor.sessions_gone = lambda self, driver, sessions: set(sessions)  # type: ignore[method-assign]


@protocol("returning-unread")
def _() -> None:
    """2.1: W3 follows execute(), though SQLite commits when the rows have been fetched."""
    connection_state.ConnectionState._drain = lambda self, wrapper: None  # type: ignore[method-assign]
