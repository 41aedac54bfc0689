"""A write in autocommit to tables that are all known: by far the commonest.

W1..W3 as in `ConnectionState`, without what only other statements need. What has been found out of
a statement's text is remembered; whatever turns out to be out of the ordinary goes on there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from . import _engine, effects
from .brackets import Bracket, not_settled, settle_replaced
from .cursors import answer, await_the_rest
from .invalidation import announce
from .recovery import PROOF_INTERVAL_SECONDS
from .segments import registry
from .signals import post_invalidation

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.utils import CursorWrapper

    from .catalog import Catalog
    from .connection_state import ConnectionState
    from .segments import OpenSegment
    from .sessions import DriverSession

UNFIT: Final = object()
"""What `PlainWrite.run` returns when it can't be run so now; then it has not been run."""

MEMO_STATEMENTS: Final = 512
MEMO_LENGTH: Final = 4096

_PLAIN: Final = frozenset({_engine.WRITE, _engine.WRITE | _engine.RETURNING})
_monotonic = time.monotonic


class PlainWrite:
    """What a statement's text writes in one database, while its catalog says so."""

    __slots__ = ("catalog", "cells", "engine", "looked", "segment", "session", "tables")

    def __init__(
        self,
        segment: OpenSegment,
        catalog: Catalog,
        looked: int,
        session: bytes,
        tables: frozenset[str],
    ) -> None:
        self.segment = segment
        self.engine = segment.engine
        self.catalog = catalog
        self.looked = looked
        self.session = session
        self.tables = tables
        self.cells = segment.cells(tables, False)

    def run(self, state: ConnectionState, wrapper: CursorWrapper, call: Callable[[], Any]) -> Any:
        """The driver's answer, or UNFIT."""
        segment, vendor, driver, engine = self.segment, state.vendor, state.driver, self.engine
        if (
            segment.catalog is not self.catalog
            or _monotonic() - segment.proved_at >= PROOF_INTERVAL_SECONDS
            or state.pending
            or not vendor.in_autocommit(driver)
        ):
            return UNFIT
        try:
            ticket = engine.begin_write(self.cells, self.session)  # W1
        except _engine.SegmentError:
            return UNFIT  # it is retired: the other way finds or makes the next
        # After W1: a change of the schema that comes now sees this write (`outlast_writes`).
        if not engine.valid(_engine.DATABASE_CELL, self.looked):
            self._bracket(ticket).settle()
            return UNFIT
        state.sequence += 1
        try:
            result = call()  # W2
            if vendor.drains:
                state.drain(wrapper)
            elif vendor.unfinished(driver):
                await_the_rest(wrapper)
        except BaseException as error:
            state.failed(wrapper, self._bracket(ticket), self.tables, error)
            raise
        if vendor.in_transaction(driver):
            tables = effects.widened(self.tables, segment, self.looked)
            state.close_bracket(self._bracket(ticket), tables, False, 0, 0, None)
        else:
            try:
                engine.end_write(ticket)  # W3
            except _engine.SegmentError as error:
                not_settled(error)
                settle_replaced(segment, self.tables, False)
            else:
                # What took the place of a retired segment was made after W3, or it isn't linked.
                if not engine.linked():
                    settle_replaced(segment, self.tables, False)
            if post_invalidation.receivers:
                announce(state.alias, self.tables)
        return answer(wrapper, result)

    def _bracket(self, ticket: int) -> Bracket:
        return Bracket((self.segment, ticket, self.tables, False))


def plan(session: DriverSession, sql: str, scan: _engine.Scan) -> PlainWrite | None:
    """The way to run a statement plainly, or None: it writes more than some tables, or the catalog
    has to be read first."""
    if scan.flags not in _PLAIN or len(sql) > MEMO_LENGTH:
        return None
    if session.wild or session.attached or session.facts.private:
        return None
    segment = registry.find(session.facts)
    if segment is None:
        return None
    looked = segment.catalog_time  # no later than that of the catalog which is asked
    tables, catalog = segment.written(scan.writes), segment.catalog
    if not tables or catalog is None:
        return None
    return PlainWrite(segment, catalog, looked, session.facts.session, tables)
