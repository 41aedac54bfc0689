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
    doubtful = [
        slot
        for slot in segment.engine.slots()
        if slot["session"] and (slot["state"] == "unknown" or not slot["owner_alive"])
    ]
    if not doubtful:
        return
    for slot in doubtful:
        if slot["session"] == _BIRTH:
            _note_birth(segment, facts, driver)
            segment.engine.settle(slot["ticket"], force=True)
    sessions = {slot["session"] for slot in doubtful} - {_BIRTH}
    gone = facts.vendor.sessions_gone(driver, sessions)
    for slot in doubtful:
        if slot["session"] in gone and segment.engine.settle(slot["ticket"]):
            logger.info("a write of process %s is proved over; its cells are settled", slot["pid"])


def _note_birth(segment: OpenSegment, facts: Facts, driver: Any) -> None:
    """PROTOCOL 2.6: the database's cell stays marked until every transaction open now has ended."""
    open_now = facts.vendor.open_transactions(driver)
    transactions = open_now.split(b",") if open_now else []
    note: list[bytes] = []
    for transaction in [*transactions, None]:
        if note and (
            transaction is None or sum(map(len, note)) + len(note) + len(transaction) > _NOTE_BYTES
        ):
            ticket = segment.engine.begin_write(
                _engine.DATABASE_CELL, _TRANSACTIONS + b",".join(note)
            )
            segment.engine.abandon_write(ticket)
            note = []
        if transaction is not None:
            note.append(transaction)
