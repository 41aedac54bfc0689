"""Writes whose writer is gone or whose outcome is unknown: settled once they are proved over
(PROTOCOL 2.5, 2.6)."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from . import _engine

if TYPE_CHECKING:
    from .identity import Facts
    from .segments import OpenSegment

logger = logging.getLogger("django_cache_manager")

PROOF_INTERVAL_SECONDS: Final = 1.0
_BIRTH = b"birth"
_TRANSACTIONS = b"transactions\0"
_WRITES = b"writes\0"
_OURS = (_BIRTH, _WRITES)
_NOTE_BYTES = 640


def is_due(segment: OpenSegment) -> bool:
    return time.monotonic() - segment.proved_at >= PROOF_INTERVAL_SECONDS


def attend(segment: OpenSegment, facts: Facts, driver: Any) -> None:
    """Looks for writes that can be proved over, at most once a second a segment.

    Only in autocommit. Raises nothing: a database that doesn't answer tells so by the user's own
    statement.
    """
    if not is_due(segment) or not segment.proving.acquire(blocking=False):
        return
    try:
        segment.proved_at = time.monotonic()
        _settle_the_gone(segment, facts, driver)
    except Exception as error:
        logger.debug("writes in flight could not be looked at: %s", error)
    finally:
        segment.proving.release()


def _settle_the_gone(segment: OpenSegment, facts: Facts, driver: Any) -> None:
    slots = segment.engine.slots()
    running = {_name(slot) for slot in slots}
    doubtful = [
        slot
        for slot in slots
        if slot["session"] and (slot["state"] == "unknown" or not slot["owner_alive"])
    ]
    if not doubtful:
        return
    for slot in doubtful:
        if slot["session"] == _BIRTH:
            _note_birth(segment, facts, driver)
            segment.engine.settle(slot["ticket"], force=True)
        elif slot["session"].startswith(_WRITES) and running.isdisjoint(
            slot["session"].removeprefix(_WRITES).split(b",")
        ):
            segment.engine.settle(slot["ticket"])  # later than their commits
    sessions = {slot["session"] for slot in doubtful if not slot["session"].startswith(_OURS)}
    gone = facts.vendor.sessions_gone(driver, sessions)
    for slot in doubtful:
        if slot["session"] not in gone:
            continue
        if _is_of_database(slot) and not slot["session"].startswith(_TRANSACTIONS):
            outlast_writes(segment)  # perhaps it was a change of the schema
        if segment.engine.settle(slot["ticket"]):
            logger.info("a write of process %s is proved over; its cells are settled", slot["pid"])


def outlast_writes(segment: OpenSegment) -> None:
    """Keeps the database's cell marked until the writes that run now are over; before W3 of a
    change of the schema.

    They looked up what they write before the change, wait perhaps for its locks, and run under
    what it has made: a trigger, a foreign key that cascades (PROTOCOL 2.8). Raises SegmentError.
    """
    running = [_name(slot) for slot in segment.engine.slots() if not _is_of_database(slot)]
    _leave_notes(segment, _WRITES, running)


def _name(slot: dict[str, Any]) -> bytes:
    return b"%d" % slot["ticket"]


def _is_of_database(slot: dict[str, Any]) -> bool:
    (own,) = memoryview(_engine.DATABASE_CELL).cast("I")
    return own in memoryview(slot["cells"]).cast("I")


def _note_birth(segment: OpenSegment, facts: Facts, driver: Any) -> None:
    """PROTOCOL 2.6: the database's cell stays marked until every transaction open now has ended."""
    open_now = facts.vendor.open_transactions(driver)
    _leave_notes(segment, _TRANSACTIONS, open_now.split(b",") if open_now else [])


def _leave_notes(segment: OpenSegment, kind: bytes, names: list[bytes]) -> None:
    """Marks the database's cell, in the name of nobody, until all of `names` are gone."""
    note: list[bytes] = []
    for name in [*names, None]:
        if note and (name is None or sum(map(len, note)) + len(note) + len(name) > _NOTE_BYTES):
            ticket = segment.engine.begin_write(_engine.DATABASE_CELL, kind + b",".join(note))
            segment.engine.abandon_write(ticket)
            note = []
        if name is not None:
            note.append(name)
