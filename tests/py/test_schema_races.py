"""A trigger that appears while a write waits for the lock of the transaction that makes it.

The write's tables were looked up before there was a trigger; it runs after, and fires it.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from django.db import connection, connections, transaction

import worker
from django_cache_manager import plain_writes
from django_cache_manager.brackets import Bracket
from django_cache_manager.connection_state import ConnectionState
from in_flight import in_flight, look, settled, wait_for
from observe import assert_hit, assert_right
from settings import KIND
from testapp.actions import name_of, sql
from testapp.models import Tag
from worker import Killed, OtherProcess

pytestmark = [pytest.mark.cached, pytest.mark.databases("sqlite-wal", "postgresql")]

SQLITE = KIND == "sqlite"
WAIT_SECONDS = 20


def relabel() -> None:
    assert Tag.objects.filter(label="roman").update(label="roman") == 1


def make_trigger(waits: bool = True) -> None:
    """If it waits before it writes, then on SQLite in a function that the writer's connection has,
    on PostgreSQL for a lock that the test has."""
    write = "UPDATE testapp_author SET name = 'triggered' WHERE id = 1;"
    if SQLITE:
        wait = "SELECT wait_here();" if waits else ""
        sql(f"CREATE TRIGGER loud AFTER UPDATE ON testapp_tag BEGIN {wait} {write} END")
    else:
        wait = "PERFORM pg_advisory_xact_lock(5);" if waits else ""
        body = f"BEGIN {wait} {write} RETURN NULL; END"
        sql(f"CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
        sql("CREATE TRIGGER loud AFTER UPDATE ON testapp_tag EXECUTE FUNCTION loud()")


def drop_trigger() -> None:
    sql("DROP TRIGGER IF EXISTS loud" + ("" if SQLITE else " ON testapp_tag"))
    if not SQLITE:
        sql("DROP FUNCTION IF EXISTS loud")


def commit_and_die() -> None:
    """Before others are shown that it has committed."""

    def die(bracket: Bracket) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(Bracket, "settle", die):
        worker.end()


class Writer:
    """A thread with a connection, whose UPDATE of a tag stops in the trigger until `release`."""

    def __init__(self) -> None:
        self.inside, self.go = threading.Event(), threading.Event()
        self.pool = ThreadPoolExecutor(1)
        self.pool.submit(self.prepare).result(WAIT_SECONDS)

    def prepare(self) -> None:
        for _ in range(2):  # what it writes is remembered
            relabel()
        if SQLITE:
            connection.connection.create_function("wait_here", 0, self.wait_here)

    def wait_here(self) -> int:
        self.inside.set()
        return int(self.go.wait(WAIT_SECONDS))

    def start(self, write: Callable[[], None]) -> Future[None]:
        return self.pool.submit(write)

    def close(self) -> None:
        self.release()
        self.pool.submit(connections.close_all).result(WAIT_SECONDS)
        self.pool.shutdown()

    def wait_until_inside(self) -> None:
        if SQLITE:
            assert self.inside.wait(WAIT_SECONDS)
        else:
            wait_for(
                lambda: sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            )

    def release(self) -> None:
        self.go.set()
        if not SQLITE:
            sql("SELECT pg_advisory_unlock_all()")


@pytest.fixture
def writer(library: None) -> Iterator[Writer]:
    name_of()
    if not SQLITE:
        sql("SELECT pg_advisory_lock(5)")
    made = Writer()
    try:
        yield made
    finally:
        made.close()
    drop_trigger()


def waits_for_the_maker() -> None:
    """Nothing shows a waiting writer of SQLite; PostgreSQL's stands in a table."""
    if SQLITE:
        threading.Event().wait(0.2)
    else:
        wait_for(lambda: sql("SELECT 1 FROM pg_locks WHERE locktype = 'relation' AND NOT granted"))


def waiting_write(writer: Writer, maker: OtherProcess) -> Future[None]:
    """One that waits for a transaction which has made a trigger."""
    maker.call(worker.begin)
    maker.call(make_trigger)
    written = writer.start(relabel)
    wait_for(in_flight)  # it is marked
    waits_for_the_maker()
    return written


def test_trigger_made_while_a_write_waits_is_part_of_it(
    writer: Writer, other_process: OtherProcess
) -> None:
    written = waiting_write(writer, other_process)
    other_process.call(worker.end)
    writer.wait_until_inside()
    for _ in range(2):
        assert eval(other_process.call(name_of)[1]) == "Ánna"
    writer.release()
    written.result(WAIT_SECONDS)
    assert eval(other_process.call(name_of)[1]) == "triggered"
    assert assert_right(name_of) == "triggered"
    settled()  # and the database is cached again
    name_of()
    assert assert_hit(name_of) == "triggered"


def test_trigger_whose_maker_is_killed_is_part_of_a_write_that_waits(
    writer: Writer, other_process: OtherProcess
) -> None:
    written = waiting_write(writer, other_process)
    maker = other_process.pid
    with pytest.raises(Killed):
        other_process.call(commit_and_die)
    other_process.stop()
    writer.wait_until_inside()
    if not SQLITE:  # there the log can't be emptied while the other writes
        wait_for(lambda: look() or maker not in [slot["pid"] for slot in in_flight()])
    for _ in range(2):
        assert name_of() == "Ánna"
    writer.release()
    written.result(WAIT_SECONDS)
    assert name_of() == "triggered"


def test_trigger_made_while_a_transaction_waits_is_part_of_it(
    writer: Writer, other_process: OtherProcess
) -> None:
    wrote, commit = threading.Event(), threading.Event()

    def in_a_transaction() -> None:
        with transaction.atomic():
            relabel()
            wrote.set()
            assert commit.wait(WAIT_SECONDS)

    other_process.call(worker.begin)
    other_process.call(make_trigger)
    written = writer.start(in_a_transaction)
    waits_for_the_maker()
    other_process.call(worker.end)
    writer.release()
    assert wrote.wait(WAIT_SECONDS)
    for _ in range(2):
        assert eval(other_process.call(name_of)[1]) == "Ánna"
    commit.set()
    written.result(WAIT_SECONDS)
    assert eval(other_process.call(name_of)[1]) == "triggered"
    assert assert_right(name_of) == "triggered"


@pytest.fixture
def made_meanwhile(library: None, other_process: OtherProcess) -> Iterator[Callable[[], None]]:
    """What another process does between a write's look at the catalog and its mark."""
    done: list[str] = []

    def make() -> None:
        if not done:
            done.append("")
            other_process.call(make_trigger, False)
            for _ in range(2):
                assert eval(other_process.call(name_of)[1]) == "Ánna"

    relabel()
    relabel()
    yield make
    assert done
    assert eval(other_process.call(name_of)[1]) == "triggered"
    assert assert_right(name_of) == "triggered"
    drop_trigger()


def test_trigger_made_before_a_remembered_write_is_marked(
    made_meanwhile: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def moment() -> float:
        made_meanwhile()
        return time.monotonic()

    monkeypatch.setattr(plain_writes, "_monotonic", moment)
    relabel()


def test_trigger_made_before_a_write_is_marked(
    made_meanwhile: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mark(state: ConnectionState, *arguments: Any) -> Bracket:
        made_meanwhile()
        return original(state, *arguments)

    original = ConnectionState.mark
    monkeypatch.setattr(ConnectionState, "mark", mark)
    sql(f"UPDATE testapp_tag SET label = label /* {'long' * plain_writes.MEMO_LENGTH} */")
