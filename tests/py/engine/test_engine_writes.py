"""Writes in flight through Python: tickets, unknown outcomes, the writes of the dead."""

import gc
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from other_process import Other, OtherError

from django_cache_manager import _engine

Opener = Callable[..., _engine.Segment]


def status_of(function: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(_engine.SegmentError) as raised:
        function(*arguments)
    return raised.value.status


def test_ticket_ends_once(segment: _engine.Segment) -> None:
    ticket = segment.begin_write(segment.cells(["a"]))
    segment.end_write(ticket)
    assert status_of(segment.end_write, ticket) == "argument"
    assert status_of(segment.abandon_write, ticket) == "argument"
    assert segment.usable()


@pytest.mark.parametrize("ticket", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_ticket_of_no_write_is_refused(segment: _engine.Segment, ticket: int) -> None:
    assert status_of(segment.end_write, ticket) == "argument"
    assert status_of(segment.abandon_write, ticket) == "argument"
    assert segment.settle(ticket) is False


def test_ticket_must_be_a_number(segment: _engine.Segment) -> None:
    for function in (segment.end_write, segment.abandon_write, segment.settle):
        with pytest.raises(TypeError):
            function("1")
        with pytest.raises(OverflowError):
            function(-1)


def test_write_needs_cells(segment: _engine.Segment) -> None:
    assert status_of(segment.begin_write, b"") == "argument"
    assert status_of(segment.begin_write, b"\xff\xff\xff\xff") == "argument"
    with pytest.raises(ValueError, match="32-bit"):
        segment.begin_write(b"123")
    assert status_of(segment.begin_write, segment.cells(["a"]), b"x" * 705) == "argument"
    assert segment.usable()


def test_several_writes_may_be_in_flight(segment: _engine.Segment) -> None:
    cells = segment.cells(["a"])
    tickets = [segment.begin_write(cells) for _ in range(5)]
    assert len(set(tickets)) == 5
    stamps = [segment.end_write(ticket) for ticket in tickets[:-1]]
    assert stamps == sorted(set(stamps))
    assert not segment.valid(cells, segment.clock())
    segment.end_write(tickets[-1])
    assert segment.valid(cells, segment.clock())


def test_slots_tell_what_is_in_flight(segment: _engine.Segment) -> None:
    assert segment.slots() == []
    cells = segment.cells(["a", "b"])
    ticket = segment.begin_write(cells, session=b"session")
    (slot,) = segment.slots()
    assert slot.pop("since_us") > 0
    assert slot == {
        "ticket": ticket,
        "state": "writing",
        "owner_alive": True,
        "pid": os.getpid(),
        "cells": cells,
        "session": b"session",
    }
    assert segment.stats()["slots_used"] == 1
    segment.end_write(ticket)
    assert segment.slots() == []


def test_last_write_of_a_table(segment: _engine.Segment) -> None:
    assert segment.last_write("a") is None
    assert segment.last_write(None) is None
    stamp = segment.end_write(segment.begin_write(segment.cells(["a"])))
    found = segment.last_write("a")
    assert found is not None
    assert found.pop("realtime_ms") > 1_700_000_000_000
    assert found == {"stamp": stamp, "writers": 0, "writes": 1, "pid": os.getpid()}
    segment.end_write(segment.begin_write(_engine.DATABASE_CELL))
    assert segment.last_write(None) is not None
    with pytest.raises(TypeError):
        segment.last_write(b"a")  # type: ignore[arg-type]


def test_no_free_slot_retires_the_segment(opener: Opener) -> None:
    segment = opener(slots=3)
    cells = segment.cells(["a"])
    for _ in range(3):
        segment.begin_write(cells)
    assert status_of(segment.begin_write, cells) == "full"
    assert not segment.usable()


def test_unknown_outcome_with_a_session_waits_for_its_proof(
    segment: _engine.Segment, other: Other
) -> None:
    cells = segment.cells(["a"])
    ticket = segment.begin_write(cells, b"session 7")
    segment.abandon_write(ticket)
    (slot,) = other("segment.slots()")
    assert (slot["state"], slot["session"]) == ("unknown", b"session 7")
    assert slot["owner_alive"] is False
    assert not segment.valid(cells, segment.clock())
    assert other(f"segment.settle({slot['ticket']})") is True
    assert other(f"segment.settle({slot['ticket']})") is False
    assert segment.valid(cells, segment.clock())


def test_any_later_reply_ends_a_write_of_unknown_outcome(segment: _engine.Segment) -> None:
    for session in (b"", b"session 7"):
        ticket = segment.begin_write(segment.cells(["a"]), session)
        segment.abandon_write(ticket)
        segment.end_write(ticket)
        assert segment.slots() == []


def test_write_in_flight_is_not_settled_by_others(segment: _engine.Segment, other: Other) -> None:
    other("ticket = segment.begin_write(segment.cells(['a']))")
    (slot,) = segment.slots()
    assert slot["pid"] == other.pid
    assert segment.settle(slot["ticket"]) is False
    assert not segment.valid(segment.cells(["a"]), segment.clock())
    assert segment.settle(slot["ticket"], force=True) is True
    assert segment.valid(segment.cells(["a"]), segment.clock())


def test_unknown_outcome_lasts_as_long_as_the_process(
    segment: _engine.Segment, other: Other
) -> None:
    """Even when nobody there holds the Segment any more: a close would look like its death."""
    other("ticket = segment.begin_write(segment.cells(['a']))")
    other("segment.abandon_write(ticket)")
    other("segment = None")
    (slot,) = segment.slots()
    assert (slot["state"], slot["owner_alive"]) == ("unknown", True)
    assert not segment.valid(segment.cells(["a"]), segment.clock())


def test_forgotten_write_stays_marked(segment: _engine.Segment, opener: Opener) -> None:
    beside = opener()
    beside.begin_write(beside.cells(["a"]))
    del beside
    gc.collect()
    (slot,) = segment.slots()
    assert slot["owner_alive"] is True
    assert not segment.valid(segment.cells(["a"]), segment.clock())


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_closed_segment_lets_its_descriptors_go(opener: Opener) -> None:
    opener()
    before = descriptors()
    for _ in range(20):
        segment = opener()
        segment.end_write(segment.begin_write(segment.cells(["a"])))
        ticket = segment.begin_write(segment.cells(["a"]), b"session")
        segment.abandon_write(ticket)
        segment.settle(ticket)
        del segment
    assert descriptors() == before


def test_write_of_a_killed_process_is_settled(segment: _engine.Segment, other: Other) -> None:
    cells = segment.cells(["a"])
    before = segment.clock()
    other("ticket = segment.begin_write(segment.cells(['a']))")
    other.kill()
    assert segment.slots() == []
    assert segment.valid(cells, segment.clock())
    assert not segment.valid(cells, before)
    assert segment.problems() == []


def test_write_of_a_killed_process_with_a_session_stays_marked(
    segment: _engine.Segment, other: Other
) -> None:
    other("ticket = segment.begin_write(segment.cells(['a']), b'session 7')")
    other.kill()
    (slot,) = segment.slots()
    assert (slot["owner_alive"], slot["session"]) == (False, b"session 7")
    assert not segment.valid(segment.cells(["a"]), segment.clock())
    assert segment.settle(slot["ticket"]) is True
    assert segment.valid(segment.cells(["a"]), segment.clock())


def test_other_process_sees_entries_and_writes(segment: _engine.Segment, other: Other) -> None:
    cells, now = segment.cells(["a"], True), segment.clock()
    assert other("segment.cells(['a'], True)") == cells
    encoded = _engine.encode_rows([(1, "é")], 1000)
    assert encoded is not None
    segment.put(b"key", cells, now, encoded)
    assert other("segment.get(b'key')") == ([(1, "é")], cells, now, len(encoded))
    stamp = other("segment.end_write(segment.begin_write(segment.cells(['a'])))")
    assert segment.clock() == stamp
    assert segment.get(b"key") is None
    assert other("segment.get(b'key')") is None


def test_ticket_of_another_process_is_refused(segment: _engine.Segment, other: Other) -> None:
    ticket = segment.begin_write(segment.cells(["a"]))
    with pytest.raises(OtherError, match="argument"):
        other(f"segment.end_write({ticket})")
    assert not segment.valid(segment.cells(["a"]), segment.clock())
    segment.end_write(ticket)


def in_child(function: Callable[[], bool]) -> None:
    """Runs in a forked child; fails unless it returned True."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if function() else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_child_of_a_fork_works_on_and_owns_nothing(segment: _engine.Segment) -> None:
    cells = segment.cells(["a"])
    ticket = segment.begin_write(cells)

    def child() -> bool:
        try:
            segment.end_write(ticket)
        except _engine.SegmentError as error:
            refused = error.status == "argument"
        own = segment.begin_write(segment.cells(["b"]))
        marked = len(segment.slots()) == 2
        segment.end_write(own)
        return refused and marked

    in_child(child)
    (slot,) = segment.slots()
    assert (slot["ticket"], slot["owner_alive"]) == (ticket, True)
    assert not segment.valid(cells, segment.clock())
    segment.end_write(ticket)
    assert segment.problems() == []


def test_write_of_a_child_falls_with_the_child(segment: _engine.Segment) -> None:
    def child() -> bool:
        segment.begin_write(segment.cells(["a"]))
        os.kill(os.getpid(), signal.SIGKILL)
        return True

    with pytest.raises(AssertionError):
        in_child(child)
    assert segment.slots() == []
    assert segment.valid(segment.cells(["a"]), segment.clock())


def test_threads_share_a_segment(segment: _engine.Segment) -> None:
    cells, encoded = segment.cells(["a"]), _engine.encode_rows([(1, "x" * 500)], 10_000)
    assert encoded is not None
    wrong: list[Any] = []

    def work(number: int) -> None:
        key = b"key %d" % (number % 3)
        for _ in range(300):
            now = segment.clock()
            segment.put(key, cells, now, encoded)
            found = segment.get(key)
            if found is not None and found[0] != [(1, "x" * 500)]:
                wrong.append(found)
            ticket = segment.begin_write(cells)
            if segment.valid(cells, segment.clock()):
                wrong.append("a hit while a write is in flight")
            segment.end_write(ticket)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert segment.slots() == []
    assert segment.problems() == []
    found = segment.last_write("a")
    assert found is not None
    assert (found["writes"], found["writers"]) == (2400, 0)
