"""Protocols with a part taken out, for the checker to find. Only a worker told so by its plan loads
this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_cache_manager import _engine, brackets, connection_state, reads

PROTOCOLS: dict[str, Callable[[], None]] = {}


def replace(owner: type, name: str, function: Callable[..., Any]) -> None:
    """A name that is gone would leave the protocol whole, and the checker nothing to find."""
    assert hasattr(owner, name), f"{owner.__name__} has no {name} any more"
    setattr(owner, name, function)


def protocol(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(take_out: Callable[[], None]) -> Callable[[], None]:
        PROTOCOLS[name] = take_out
        return take_out

    return register


@protocol("unmarked")
def _() -> None:
    """Writes are seen by nobody."""
    replace(brackets.Bracket, "mark", lambda self, *_, **__: None)


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

    replace(brackets.Bracket, "mark", note)
    replace(brackets.Bracket, "settle", both)


@protocol("settle-before-commit")
def _() -> None:
    """W3 before W2."""
    mark = brackets.Bracket.mark

    def at_once(self: Any, *what: Any, **more: Any) -> None:
        mark(self, *what, **more)
        self.settle()

    replace(brackets.Bracket, "mark", at_once)


@protocol("clock-after-query")
def _() -> None:
    """F1 after the rows were read."""
    keep = reads._Read._keep

    def late(self: Any, place: Any, sequence: int, time: int, rows: list[Any]) -> None:
        keep(self, place, sequence, place.segment.engine.clock(), rows)

    replace(reads._Read, "_keep", late)


@protocol("snapshot-ignored")
def _() -> None:
    """4.1: a snapshot transaction hits whatever is valid."""
    replace(
        connection_state.ConnectionState,
        "hit_limit",
        lambda self, connection, facts: _engine.NO_LIMIT,
    )


@protocol("own-writes-shared")
def _() -> None:
    """4.3: what a transaction reads of its own writes is stored for all."""
    replace(connection_state.ConnectionState, "is_dirty", lambda self, segment, cells: False)


@protocol("overlay-kept")
def _() -> None:
    """4.3: the private results outlive own writes and savepoint rollbacks."""
    from django_cache_manager.overlay import Overlay

    replace(Overlay, "drop", lambda self, cells: None)
    replace(Overlay, "clear", lambda self: None)


@protocol("sequence-ignored")
def _() -> None:
    """3.2: rows are stored whatever the connection did between first and last."""
    keep = reads._Read._keep

    def blind(self: Any, place: Any, sequence: int, time: int, rows: list[Any]) -> None:
        keep(self, place, place.state.sequence, time, rows)

    replace(reads._Read, "_keep", blind)


@protocol("unknown-settled")
def _() -> None:
    """2.4: a write of unknown outcome is settled at once. Needs `terminate` and the slow
    nemeses."""
    replace(
        connection_state.ConnectionState, "_keep_unknown", lambda self, bracket: bracket.settle()
    )


@protocol("dead-settled")
def _() -> None:
    """2.5: a dead process's session is taken to be gone. Needs `kill` and the slow nemeses."""
    from django_cache_manager.mysql import MySQL
    from django_cache_manager.postgresql import PostgreSQL

    for vendor in (MySQL, PostgreSQL):
        replace(vendor, "sessions_gone", lambda self, driver, sessions: set(sessions))


@protocol("returning-unread")
def _() -> None:
    """2.1: W3 follows execute(), though SQLite commits when the rows have been fetched."""
    replace(connection_state.ConnectionState, "drain", lambda self, wrapper: None)
