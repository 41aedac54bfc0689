"""The bracket of one write: W1 in every segment that it concerns, W3 when its outcome is known."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeAlias

from . import _engine, conf
from .recovery import outlast_writes
from .segments import registry, retire_at, segment_path, unseen_write_error

if TYPE_CHECKING:
    from .identity import Facts
    from .segments import OpenSegment

logger = logging.getLogger("django_cache_manager")

_ATTEMPTS = 3
_PATIENCE_SECONDS = 1.0
"""How long segments may be replaced under a write that is to be marked."""

Mark: TypeAlias = "tuple[OpenSegment, int, frozenset[str], bool]"
"""A segment, the ticket of a write in it, the tables, and whether the database's cell too."""


class Bracket:
    """Made empty; `mark` is W1, `settle` is W3.

    Not shared between threads.
    """

    __slots__ = ("_abandoned", "_bypasses", "_marks", "_unseen", "of_schema")

    def __init__(self, *marks: Mark) -> None:
        """`marks`: what has been marked already."""
        self.of_schema = False
        """Whether it may change what a write to a table touches besides it."""
        self._abandoned = False
        self._marks: list[Mark] = [*marks]
        self._bypasses: list[_engine.Bypass] = []
        self._unseen: list[tuple[Facts, frozenset[str], bool]] = []

    def mark(self, facts: Facts, tables: frozenset[str], database: bool) -> None:
        """W1.

        Where no segment can be marked, none that could serve older rows is left or made until
        `settle`. Raises SegmentUnavailable when neither can be had (PROTOCOL 6).
        """
        if not facts.family:
            if not conf.current().unseen_writes:
                raise unseen_write_error(_engine.SegmentError(facts.uncached))
            return
        refusal: _engine.SegmentError | None = None
        began, failures = time.monotonic(), 0
        while failures < _ATTEMPTS:
            try:
                segment = registry.open(facts)
            except _engine.SegmentError as error:
                if self._bypass(facts):
                    return
                # Somebody makes one, or has: what refused us, perhaps a second ago, holds no more.
                registry.reconsider(facts)
                refusal = error
                failures += 1
                continue
            try:
                cells = segment.cells(tables, database)
                ticket = segment.engine.begin_write(cells, facts.session)  # W1
            except _engine.SegmentError as error:
                # Gone or retired: nobody hits it any more, so the next one is marked instead.
                logger.info("a segment was retired: %s", error)
                registry.drop(segment)
                failures += time.monotonic() > began + _PATIENCE_SECONDS
                continue
            self._marks.append((segment, ticket, tables, database))
            return
        if not self._bypass(facts):
            self._run_unseen(facts, tables, database, refusal)

    def _run_unseen(
        self,
        facts: Facts,
        tables: frozenset[str],
        database: bool,
        refusal: _engine.SegmentError | None,
    ) -> None:
        """Lets a write run that can neither be marked nor kept from being missed, where that is
        allowed: `settle` stamps what is there by then."""
        being_made = refusal is None or refusal.status == "busy"
        error = refusal or _engine.SegmentError(f"{segment_path(facts)} is replaced all the time")
        if not conf.current().unseen_writes and (being_made or not registry.had(facts)):
            # While others use or make a segment they would serve rows from before this write.
            raise unseen_write_error(error) from refusal
        logger.warning("a write can't be marked: %s", error)
        self._unseen.append((facts, tables, database))

    def _bypass(self, facts: Facts) -> bool:
        if facts.private:
            return True
        settings = conf.current()
        try:
            self._bypasses.append(
                _engine.Bypass(str(segment_path(facts)), mode=settings.mode, group=settings.group)
            )
        except _engine.SegmentError:
            return False
        return True

    def settle(self) -> None:
        """W3.

        In a segment that was replaced meanwhile, the new one is stamped too before this returns
        (PROTOCOL 6).
        """
        for segment, ticket, tables, database in self._marks:
            if database and self.of_schema:
                _outlast_writes(segment)
            settle_mark(segment, ticket, tables, database, self._abandoned)
        self._marks.clear()
        for bypass in self._bypasses:
            bypass.close()
        self._bypasses.clear()
        for facts, tables, database in self._unseen:
            _stamp(facts, tables, database)
        self._unseen.clear()

    def abandon(self) -> None:
        """An unknown outcome: the cells stay marked; `settle` may still follow."""
        self._abandoned = True
        for segment, ticket, _, _ in self._marks:
            if segment.facts.vendor.drains:
                continue  # it may go on as long as this process lives, which keeps its slot
            try:
                segment.engine.abandon_write(ticket)
            except _engine.SegmentError:
                segment.engine.retire()


def _outlast_writes(segment: OpenSegment) -> None:
    try:
        outlast_writes(segment)
    except _engine.SegmentError as error:
        logger.warning("a segment had no room for a note, so it is retired: %s", error)
        segment.engine.retire()


def settle_mark(
    segment: OpenSegment,
    ticket: int,
    tables: frozenset[str],
    database: bool,
    abandoned: bool = False,
) -> None:
    """W3 in one segment, and in the one that took its place meanwhile (PROTOCOL 6)."""
    engine = segment.engine
    try:
        if abandoned and not segment.facts.vendor.drains:
            engine.settle(ticket)  # somebody else may have proved it over before us
        else:
            engine.end_write(ticket)  # W3
    except _engine.SegmentError as error:
        not_settled(error)
    if not segment.usable() or not engine.linked():
        settle_replaced(segment, tables, database)


def not_settled(error: _engine.SegmentError) -> None:
    """The engine has retired the segment."""
    logger.warning("a write could not be settled, so its segment was retired: %s", error)


def settle_replaced(segment: OpenSegment, tables: frozenset[str], database: bool) -> None:
    """W3 in the segment that took this one's place."""
    registry.drop(segment)
    _stamp(segment.facts, tables, database)


def _stamp(facts: Facts, tables: frozenset[str], database: bool) -> None:
    """Makes what a write has changed fall in the segment that is there now, or all of it."""
    if facts.private:
        return
    registry.reconsider(facts)
    try:
        segment = registry.open(facts)
        ticket = segment.engine.begin_write(segment.engine.cells(tables, database), facts.session)
        segment.engine.end_write(ticket)
    except _engine.SegmentError as error:
        logger.warning("a replaced segment could not be stamped, so it is retired: %s", error)
        retire_at(segment_path(facts))
