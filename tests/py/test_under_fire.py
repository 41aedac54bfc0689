"""The segment's own life while it is worked on: too few slots, one cell for many tables, thousands
of tables, replaced all the time, a process stopped, forks (PROTOCOL sections 1 and 6).
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections, transaction

from in_flight import wait_for
from observe import assert_hit, assert_right, uncached
from test_isolation import labels
from testapp import trouble
from testapp.actions import name_of, names, rename, sql
from worker import OtherProcess

pytestmark = [
    pytest.mark.cached,
    pytest.mark.databases("sqlite-file", "postgresql"),
    pytest.mark.usefixtures("library"),
]
SECONDS = 2.0


@pytest.fixture
def small(database: None, tmp_path: Path) -> Iterator[Callable[..., list[OtherProcess]]]:
    """Starts processes that share a segment of their own, with these settings."""
    started: list[OtherProcess] = []

    def start(count: int, **keys: object) -> list[OtherProcess]:
        location = tmp_path / "segments"
        location.mkdir(exist_ok=True)
        settings = json.dumps({"LOCATION": str(location), **keys})
        for number in range(count):
            other = OtherProcess(tmp_path / f"log{number}", {"QC_TEST_MANAGER": settings})
            started.append(other)
        return started

    yield start
    for other in started:
        other.kill()


def rename_and_read(seconds: float, pk: int) -> int:
    """Writes its own author and reads it, again and again; how often. Raises if a read is wrong."""
    turns = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        rename(f"{pk} turn {turns}", pk)
        for _ in range(2):
            assert name_of(pk) == f"{pk} turn {turns}", turns
        turns += 1
    return turns


def read_forward(seconds: float, pk: int) -> int:
    """Reads another process's author: its turns only rise."""
    last = reads = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        turn = int((name_of(pk).split() or ["-1"])[-1]) if " turn " in name_of(pk) else 0
        assert turn >= last, (turn, last)
        last = turn
        reads += 1
    return reads


def hold_writes(seconds: float) -> int:
    """Threads that keep transactions' commits marked as long as they can: more than there are
    slots."""
    from django_cache_manager.connection_state import state_of

    name_of()
    state = state_of(connections["default"])
    assert state is not None and state.session is not None
    brackets = [state.mark(state.session, frozenset({"testapp_tag"})) for _ in range(6)]
    time.sleep(seconds)
    for bracket in brackets:
        bracket.settle()
    return len(brackets)


def test_too_few_slots_cost_hits_and_no_wrong_row(
    small: Callable[..., list[OtherProcess]],
) -> None:
    """No free slot retires the segment; writes go on, marked in the next one."""
    writer, reader, holder = small(3, SLOTS=4)
    for other in (writer, reader, holder):
        other.call(name_of)
    writer.send(rename_and_read, SECONDS, 1)
    reader.send(read_forward, SECONDS, 1)
    for _ in range(3):
        holder.call(hold_writes, 0.2)
    assert int(writer.receive()[1]) > 10
    assert int(reader.receive()[1]) > 10
    assert reader.call(names) == writer.call(names)


def test_tables_of_one_cell_cost_a_miss_and_no_wrong_row(
    small: Callable[..., list[OtherProcess]],
) -> None:
    """With few cells many tables share one with others."""
    first, second = small(2, CELLS=64)
    found = first.call(clashing_table)
    assert found[0] == "str", "no table's name clashes: the test proves nothing"
    table = eval(found[1])
    wait_for(lambda: first.call(name_of) and not first.sql)
    second.call(sql, f'CREATE TABLE "{table}" (id integer)')
    try:
        wait_for(lambda: first.call(name_of) and not first.sql)
        second.call(sql, f'INSERT INTO "{table}" VALUES (1)')
        first.call(name_of)
        assert first.sql, "its cell was written"
        second.call(rename, "theirs")
        assert first.call(name_of)[1] == "'theirs'"
    finally:
        second.call(sql, f'DROP TABLE "{table}"')


def clashing_table() -> str | None:
    """A name whose cell is that of the authors' table."""
    from django_cache_manager.api import segment_of

    segment = segment_of("default")
    assert segment is not None
    own = segment.engine.cells(["testapp_author"])
    names = (f"clash_{number}" for number in range(100_000))
    return next((name for name in names if segment.engine.cells([name]) == own), None)


def many_tables(count: int) -> None:
    with transaction.atomic():
        for number in range(count):
            sql(f"CREATE TABLE many_{number} (id integer)")


def no_many_tables(count: int) -> None:
    for start in range(0, count, 1000):
        with transaction.atomic():  # a transaction has room for so many locks only
            for number in range(start, min(count, start + 1000)):
                sql(f"DROP TABLE IF EXISTS many_{number}")


@pytest.mark.databases("sqlite")
def test_ten_thousand_tables(other_process: OtherProcess) -> None:
    """The catalog holds them all, their cells are few, and a write to one leaves the others' rows
    unless their cell is its own."""
    from django_cache_manager.api import segment_of

    many_tables(10_000)
    try:
        name_of()
        assert_hit(name_of)
        segment = segment_of("default")
        assert segment is not None
        catalog = segment.current_catalog()
        assert catalog is not None
        assert len(catalog.tables) > 10_000
        own = segment.engine.cells(["testapp_author"])
        apart = next(n for n in range(10_000) if segment.engine.cells([f"many_{n}"]) != own)
        other_process.call(sql, f"INSERT INTO many_{apart} VALUES (1)")
        assert_hit(name_of)
        other_process.call(rename, "theirs")
        assert assert_right(name_of) == "theirs"
    finally:
        no_many_tables(10_000)


def test_segment_replaced_again_and_again(small: Callable[..., list[OtherProcess]]) -> None:
    """Removed, retired or overwritten while a process writes and another reads."""
    writer, reader, third = small(3)
    path = Path(eval(third.call(trouble.segment_path)[1]))
    for other in (writer, reader):
        other.call(name_of)
    writer.send(rename_and_read, SECONDS, 1)
    reader.send(read_forward, SECONDS, 1)
    deadline = time.monotonic() + SECONDS - 0.2
    turn = 0
    while time.monotonic() < deadline:
        if path.exists():
            if turn % 3 == 0:
                path.unlink(missing_ok=True)
            elif turn % 3 == 1:
                third.call(retire)
            else:
                spare = path.with_suffix(".spare")
                spare.write_bytes(b"\0" * 4096)
                spare.rename(path)
        turn += 1
        time.sleep(0.05)
    assert turn > 5
    assert int(writer.receive()[1]) > 10
    assert int(reader.receive()[1]) > 10
    path.unlink(missing_ok=True)
    assert reader.call(names) == writer.call(names)


def retire() -> None:
    from django_cache_manager.api import segment_of

    segment = segment_of("default")
    if segment is not None:
        segment.engine.retire()


def commit_when_told(folder: str) -> None:
    """Marks, and stops in the middle of its write until it is told to go on."""
    from django_cache_manager.connection_state import ConnectionState

    settle = ConnectionState.close_bracket
    commits = Path(folder, "commits")

    def stop_first(self: ConnectionState, *args: object, **kwargs: object) -> None:
        if commits.exists():
            commits.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        settle(self, *args, **kwargs)  # type: ignore[arg-type]

    ConnectionState.close_bracket = stop_first  # type: ignore[method-assign]
    try:
        with transaction.atomic():
            rename("stopped")
            commits.touch()
    finally:
        ConnectionState.close_bracket = settle  # type: ignore[method-assign]


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_writer_stopped_in_its_write_blocks_no_reader_and_no_writer(
    other_process: OtherProcess, tmp_path: Path
) -> None:
    """It is marked, and lives: its table is read from the database until it goes on."""
    name_of()
    labels()
    other_process.call(name_of)
    other_process.send(commit_when_told, str(tmp_path))
    deadline = time.monotonic() + 10
    while not is_stopped(other_process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        began = time.monotonic()
        for _ in range(3):
            with uncached():
                truth = name_of()
            assert name_of() == truth
            labels()
        rename("beside it", 2)
        assert_hit(labels)
        assert time.monotonic() < began + 2
    finally:
        os.kill(other_process.pid, signal.SIGCONT)
    other_process.receive()
    assert assert_right(name_of) == "stopped"


def storm(children: int) -> int:
    """Forks children that write and read on connections of their own, and forks from within them;
    how many failed."""
    pids = []
    for number in range(children):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                connections["default"].connection = None
                pk = 1 + number % 6
                grandchild = os.fork()
                connections["default"].connection = None
                for turn in range(5):
                    rename(f"{os.getpid()} {turn}", pk)
                    name_of(pk)
                if grandchild:
                    _, inner = os.waitpid(grandchild, 0)
                    status = inner
                else:
                    status = 0
            finally:
                os._exit(1 if status else 0)
        pids.append(pid)
    return sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)


def test_storm_of_forks(other_process: OtherProcess) -> None:
    """Each child is a process of its own to the segment; what they wrote is seen by all."""
    names()
    assert other_process.call(storm, 8) == ["int", "0"]
    with uncached():
        truth = names()
    assert names() == truth
    with uncached():
        assert other_process.call(names) == ["list", [], [["str", repr(name)] for name in truth]]
    assert other_process.call(names) == ["list", [], [["str", repr(name)] for name in truth]]


def test_threads_read_on_while_the_segment_is_replaced(
    small: Callable[..., list[OtherProcess]],
) -> None:
    (other,) = small(1)
    assert other.call(threads_under_replacement, 4, SECONDS) == ["list", [], []]


def threads_under_replacement(count: int, seconds: float) -> list[str]:
    """What went wrong in threads that write and read while this one retires their segment."""
    wrong: list[str] = []

    def work(pk: int) -> None:
        try:
            rename_and_read(seconds, pk)
        except BaseException as error:
            wrong.append(repr(error))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(1 + number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        retire()
        time.sleep(0.03)
    for thread in threads:
        thread.join()
    return wrong
