"""Writes whose end nobody has seen (PROTOCOL 2.4, 2.5): what they wrote is read from the database
until they are proved over. No reader waits for that, and the operator is told who it is.
"""

import asyncio
import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection, connections, transaction

import servers
from aliases import alias_of
from in_flight import in_flight, look, settled, wait_for, waits_for_a_lock
from observe import assert_hit, assert_not_cached, assert_right
from proxy import Proxy
from testapp.actions import name_of, names, rename, sql
from testapp.models import Author, Tag
from worker import OtherError, OtherProcess

pytestmark = [
    pytest.mark.cached,
    pytest.mark.databases("postgresql"),
    pytest.mark.usefixtures("library"),
]

PROMPT_SECONDS = 2.0
"""A read that takes longer has waited for something."""


@pytest.fixture
def proxy(postgresql_server: servers.PostgreSQL) -> Iterator[Proxy]:
    between = Proxy(postgresql_server.port)
    yield between
    between.close()


@pytest.fixture
def writer(proxy: Proxy, database: None, tmp_path: Path) -> Iterator[OtherProcess]:
    """A process that reaches the server through the proxy."""
    other = OtherProcess(tmp_path / "writer", {"QC_TEST_PG_PORT": str(proxy.port)})
    yield other
    other.kill()


def reads_are_prompt_and_uncached(expected: str) -> None:
    """What the database says, at once, each time asked anew."""
    look()
    began = time.monotonic()
    assert assert_not_cached(name_of) == expected
    assert assert_not_cached(names)[0] == expected
    assert time.monotonic() < began + PROMPT_SECONDS


def lost(writer: OtherProcess) -> None:
    with pytest.raises(OtherError) as raised:
        writer.receive()
    assert {"OperationalError", "InterfaceError"} & set(raised.value.names)


def test_connection_lost_in_an_autocommit_write_that_waits(
    writer: OtherProcess,
    proxy: Proxy,
    locked: Callable[[], None],
    postgresql_server: servers.PostgreSQL,
) -> None:
    """The server goes on: the write commits long after its client was told of the loss."""
    assert name_of() == "Ánna"
    writer.call(name_of)
    proxy.cut(b"UPDATE", "after")
    writer.send(rename, "late")
    lost(writer)
    wait_for(lambda: waits_for_a_lock(postgresql_server))
    (slot,) = in_flight()
    assert (slot["state"], slot["owner_alive"]) == ("unknown", False)
    reads_are_prompt_and_uncached("Ánna")
    assert in_flight()
    locked()
    wait_for(lambda: name_of() == "late")
    assert names()[0] == "late"
    settled()
    name_of()
    assert assert_hit(name_of) == "late"


@pytest.mark.parametrize("place", ["before", "after"])
def test_connection_lost_at_an_autocommit_write(
    place: Any, writer: OtherProcess, proxy: Proxy
) -> None:
    """Nobody can tell whether the server had it; readers see what came of it."""
    name_of()
    writer.call(name_of)
    proxy.cut(b"UPDATE", place)
    writer.send(rename, "lost")
    lost(writer)
    assert proxy.cuts == 1
    wait_for(lambda: name_of() == ("lost" if place == "after" else "Ánna"))
    settled()
    assert_right(name_of)
    assert assert_hit(name_of) == ("lost" if place == "after" else "Ánna")
    writer.call(rename_on_a_new_connection, "again")
    assert assert_right(name_of) == "again"


def rename_on_a_new_connection(name: str) -> None:
    """In the writer: Django's usual end of a request, and another write."""
    connection.close()
    rename(name)


@pytest.mark.parametrize("place", ["before", "after"])
def test_connection_lost_at_commit(place: Any, writer: OtherProcess, proxy: Proxy) -> None:
    name_of()
    writer.call(name_of)
    proxy.cut(b"COMMIT", place)
    writer.send(rename_in_a_block, "lost")
    lost(writer)
    assert proxy.cuts == 1
    wait_for(lambda: name_of() == ("lost" if place == "after" else "Ánna"))
    settled()
    assert_right(name_of)
    assert assert_hit(name_of) == ("lost" if place == "after" else "Ánna")


def rename_in_a_block(name: str) -> None:
    with transaction.atomic():
        rename(name)


@pytest.fixture
def slow_commit(database: None) -> Iterator[Callable[[], None]]:
    """Commits of authors wait until what is returned is called."""
    sql(
        "CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock_shared(4); RETURN NULL; END $$"
    )
    sql(
        "CREATE CONSTRAINT TRIGGER wait_at_commit AFTER UPDATE ON testapp_author"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_commit()"
    )
    sql("SELECT pg_advisory_lock(4)")
    yield lambda: sql("SELECT pg_advisory_unlock_all()") and None
    sql("SELECT pg_advisory_unlock_all()")
    settled()
    sql("DROP FUNCTION wait_at_commit() CASCADE")


def test_connection_lost_in_a_commit_that_takes_its_time(
    writer: OtherProcess,
    proxy: Proxy,
    slow_commit: Callable[[], None],
    postgresql_server: servers.PostgreSQL,
) -> None:
    settled()
    name_of()
    writer.call(name_of)
    proxy.cut(b"COMMIT", "after")
    writer.send(rename_in_a_block, "late")
    lost(writer)
    wait_for(lambda: waits_for_a_lock(postgresql_server))
    reads_are_prompt_and_uncached("Ánna")
    assert [slot["state"] for slot in in_flight()] == ["unknown"]
    slow_commit()
    wait_for(lambda: name_of() == "late")
    assert names()[0] == "late"
    settled()
    assert_right(names)


def test_commit_that_takes_its_time_is_marked_until_it_is_over(
    other_process: OtherProcess,
    slow_commit: Callable[[], None],
    postgresql_server: servers.PostgreSQL,
) -> None:
    settled()
    name_of()
    other_process.send(rename_in_a_block, "late")
    wait_for(lambda: waits_for_a_lock(postgresql_server))
    reads_are_prompt_and_uncached("Ánna")
    slow_commit()
    other_process.receive()
    assert name_of() == names()[0] == "late"


def test_writer_killed_while_its_update_waits(
    other_process: OtherProcess,
    locked: Callable[[], None],
    postgresql_server: servers.PostgreSQL,
) -> None:
    """No timer unmarks: its UPDATE lives on in the server and commits in the end."""
    name_of()
    other_process.call(name_of)
    other_process.send(rename, "zombie")
    wait_for(lambda: waits_for_a_lock(postgresql_server))
    other_process.kill()
    other_process.pending = False
    for _ in range(3):  # each looks for what is over
        reads_are_prompt_and_uncached("Ánna")
    (slot,) = in_flight()
    assert (slot["state"], slot["owner_alive"]) == ("writing", False)
    locked()
    wait_for(lambda: name_of() == "zombie")
    assert names()[0] == "zombie"
    settled()
    name_of()
    assert assert_hit(name_of) == "zombie"


def test_terminated_session_of_a_waiting_write(
    other_process: OtherProcess,
    locked: Callable[[], None],
    postgresql_server: servers.PostgreSQL,
) -> None:
    """FATAL is an answer, and the end: proved over by the session's absence."""
    name_of()
    other_process.call(name_of)
    other_process.send(rename, "never")
    wait_for(lambda: waits_for_a_lock(postgresql_server))
    postgresql_server.execute(
        f"SELECT pg_terminate_backend({waits_for_a_lock(postgresql_server)}, 5000)"
    )
    lost(other_process)
    settled()
    name_of()
    assert assert_hit(name_of) == "Ánna"


@pytest.mark.parametrize("how", ["pg_cancel_backend", "statement_timeout"])
def test_cancelled_statement_is_an_answer(
    how: str,
    other_process: OtherProcess,
    locked: Callable[[], None],
    postgresql_server: servers.PostgreSQL,
) -> None:
    """The server reports an error and the connection lives: nothing was written, and no cell stays
    marked."""
    name_of()
    other_process.call(name_of)
    if how == "statement_timeout":
        other_process.call(sql, "SET statement_timeout = '100ms'")
    other_process.send(rename, "never")
    if how == "pg_cancel_backend":
        wait_for(lambda: waits_for_a_lock(postgresql_server))
        postgresql_server.execute(
            f"SELECT pg_cancel_backend({waits_for_a_lock(postgresql_server)})"
        )
    lost(other_process)
    assert in_flight() == []
    name_of()
    assert assert_hit(name_of) == "Ánna"
    other_process.call(sql, "RESET statement_timeout")


def test_cancelled_task_goes_on_writing(
    locked: Callable[[], None], postgresql_server: servers.PostgreSQL
) -> None:
    """asyncio gives up waiting; the thread, and the server, don't."""
    name_of()
    gave_up = threading.Event()

    def run() -> None:
        async def give_up() -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(Author.objects.filter(pk=1).aupdate(name="cancelled"), 0.3)
            gave_up.set()

        try:
            asyncio.run(give_up())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: waits_for_a_lock(postgresql_server))
    assert gave_up.wait(20)
    reads_are_prompt_and_uncached("Ánna")
    assert len(in_flight()) == 1
    locked()
    thread.join()
    wait_for(lambda: name_of() == "cancelled")
    assert names()[0] == "cancelled"
    settled()


def interrupted_rename(name: str) -> str:
    """In the other process: a signal's handler raises while the driver waits for the answer."""
    import signal

    def ring(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        rename(name)
    except KeyboardInterrupt:
        return "interrupted"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return "not interrupted"


@pytest.mark.databases("psycopg3")
def test_interrupted_write_that_waits(
    other_process: OtherProcess,
    locked: Callable[[], None],
    postgresql_server: servers.PostgreSQL,
) -> None:
    """KeyboardInterrupt says nothing of the server's end of it. psycopg2 comes back from libpq with
    the answer only."""
    name_of()
    other_process.call(name_of)
    other_process.send(interrupted_rename, "interrupted")
    assert other_process.receive() == ["str", "'interrupted'"]
    assert [slot["state"] for slot in in_flight()] == ["unknown"]
    reads_are_prompt_and_uncached("Ánna")
    locked()
    look()
    assert in_flight(), "the session lives and has not answered: what proves its write over?"
    other_process.call(name_of)
    assert in_flight() == []
    name_of()
    assert assert_hit(name_of) == "Ánna"


def test_operator_sees_and_clears_an_unknown_write(
    other_process: OtherProcess,
    locked: Callable[[], None],
    postgresql_server: servers.PostgreSQL,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`cachemanager stats` and `qcache stat` tell who; `clear --marks` settles."""
    from django_cache_manager.api import segment_of

    name_of()
    other_process.call(name_of)
    other_process.send(rename, "zombie")
    wait_for(lambda: waits_for_a_lock(postgresql_server))
    backend = waits_for_a_lock(postgresql_server)
    pid = other_process.pid
    other_process.kill()
    other_process.pending = False
    call_command("cachemanager", "stats", "--database", "default")
    text = capsys.readouterr().out
    assert f"process {pid} (gone)" in text
    assert f"session tester {backend} " in text
    segment = segment_of("default")
    assert segment is not None
    program = Path(__file__).parents[2] / ".build/engine/cli/qcache"
    text = subprocess.run(
        [program, "stat", segment.engine.path], check=True, capture_output=True, text=True
    ).stdout
    assert str(pid) in text
    assert f"tester {backend} " in text.replace("\\0", " ").replace("\\x00", " ")
    call_command("cachemanager", "clear", "--marks", "--database", "default")
    assert in_flight() == []
    name_of()
    assert_hit(name_of)
    postgresql_server.execute(f"SELECT pg_terminate_backend({backend}, 5000)")


@pytest.fixture
def private_server(database: None) -> Iterator[servers.PostgreSQL]:
    """A server that a test may kill, with a tag of its own, reached as "private"."""
    server = servers.PostgreSQL()
    try:
        server.start()
        with alias_of("private", PORT=str(server.port), NAME="postgres"):
            with connections["private"].schema_editor() as editor:
                editor.create_model(Tag)
            Tag.objects.using("private").create(pk=1, label="first")
            yield server
    finally:
        server.remove()


def kill_whole_server(server: servers.PostgreSQL) -> None:
    """SIGKILL for the postmaster; its children end when they miss it."""
    server.kill()
    wait_for(lambda: not any(map(Path.exists, children_of_shared_memory(server))))


def children_of_shared_memory(server: servers.PostgreSQL) -> list[Path]:
    """What of /proc belongs to processes that still work in the server's data."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "cwd").readlink() == server.folder / "data":
                found.append(folder)
    return found


def label_of() -> str:
    return Tag.objects.using("private").values_list("label", flat=True).get(pk=1)


def label(text: str, alias: str = "private") -> None:
    assert Tag.objects.using(alias).filter(pk=1).update(label=text) == 1


def test_server_killed_and_restarted_during_a_write(private_server: servers.PostgreSQL) -> None:
    """What was acknowledged is there, what was not is rolled back: the cache says the same."""
    assert label_of() == "first"
    label("second")
    assert label_of() == "second"
    connections.databases["rival"] = connections.databases["private"]
    failed: list[BaseException] = []

    def write() -> None:
        try:
            label("never", "rival")
        except DatabaseError as error:
            failed.append(error)
        finally:
            connections["rival"].close()

    with pytest.raises(OperationalError), transaction.atomic("private"):
        Tag.objects.using("private").select_for_update().get(pk=1)
        thread = threading.Thread(target=write)
        thread.start()
        wait_for(lambda: waits_for_a_lock(private_server))
        kill_whole_server(private_server)
        thread.join()
        assert failed
        label_of()
        raise AssertionError("it was answered from the cache in a transaction that is lost")
    private_server.start()
    connections["private"].close()
    for _ in range(2):
        assert assert_right(label_of) == "second"
    label("third")
    assert assert_right(label_of) == "third"
    del connections.databases["rival"]
