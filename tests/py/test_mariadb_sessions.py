"""Writes of MariaDB's sessions whose end nobody has seen, and those from before a segment (PROTOCOL
2.4, 2.5, 2.6): proved over with the PROCESS privilege, and without it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from in_flight import in_flight, look, settled, wait_for
from observe import assert_cached, assert_not_cached, assert_right
from proxy import Proxy
from servers import MariaDB
from testapp.actions import name_of, names, rename, sql
from testapp.models import Author
from worker import OtherError, OtherProcess

pytestmark = [
    pytest.mark.databases("mariadb"),
    pytest.mark.cached,
    pytest.mark.usefixtures("library"),
]

WITH_PROCESS, WITHOUT, ANOTHER = "tester", "limited", "second"


@pytest.fixture(scope="module", autouse=True)
def users(schema: None, mariadb_of_module: MariaDB) -> None:
    """Two who are shown their own sessions only."""
    for name in (WITHOUT, ANOTHER):
        mariadb_of_module.execute(f"CREATE USER {name}@'%'; GRANT ALL ON `qc\\_%`.* TO {name}@'%'")


@pytest.fixture(scope="module")
def mariadb_of_module(schema: None) -> MariaDB:
    import conftest

    assert conftest.mariadb is not None
    return conftest.mariadb


@contextlib.contextmanager
def connected_as(user: str) -> Iterator[None]:
    before = connection.settings_dict["USER"]
    connection.close()
    connection.settings_dict["USER"] = user
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["USER"] = before


@pytest.fixture
def writer(database: None, tmp_path: Path) -> Iterator[Callable[..., OtherProcess]]:
    """Starts a process that connects as a user, perhaps by another port."""
    started: list[OtherProcess] = []

    def start(user: str, port: int | None = None) -> OtherProcess:
        environment = {"QC_TEST_MARIADB_USER": user}
        if port is not None:
            environment["QC_TEST_MARIADB_PORT"] = str(port)
        started.append(OtherProcess(tmp_path / f"writer {len(started)}", environment))
        return started[-1]

    yield start
    for other in started:
        other.kill()


def waiting(server: MariaDB) -> str:
    """The session whose UPDATE waits."""
    return server.execute(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Query'"
        " AND INFO LIKE 'UPDATE%testapp_author%' AND ID <> CONNECTION_ID()"
    )


def uncached_and_right(expected: str) -> None:
    look()
    assert assert_not_cached(name_of) == expected
    assert assert_not_cached(names)[0] == expected


@pytest.mark.parametrize("user", [WITH_PROCESS, WITHOUT])
def test_killed_writer_whose_update_waits(
    user: str,
    writer: Callable[..., OtherProcess],
    locked: Callable[[], None],
    mariadb_server: MariaDB,
) -> None:
    """The server goes on, and commits what a dead process sent."""
    other = writer(user)
    with connected_as(user):
        assert assert_cached(name_of) == "Ánna"
        other.send(rename, "late")
        wait_for(lambda: waiting(mariadb_server))
        other.kill()
        for _ in range(3):
            uncached_and_right("Ánna")
        assert in_flight()
        locked()
        wait_for(lambda: name_of() == "late")
        settled()
        assert assert_cached(name_of, fresh=False) == "late"


def test_session_of_another_user_is_proved_over_only_with_the_privilege(
    writer: Callable[..., OtherProcess], locked: Callable[[], None], mariadb_server: MariaDB
) -> None:
    """What isn't shown may still be there."""
    other = writer(WITHOUT)
    other.send(rename, "late")
    wait_for(lambda: waiting(mariadb_server))
    other.kill()
    with connected_as(ANOTHER):
        uncached_and_right("Ánna")
        locked()
        wait_for(lambda: name_of() == "late")
        wait_for(lambda: not waiting(mariadb_server))
        for _ in range(3):
            uncached_and_right("late")
        assert in_flight()
    settled()
    assert assert_cached(name_of, fresh=False) == "late"


def test_killed_session_leaves_nothing_unproved(
    writer: Callable[..., OtherProcess], locked: Callable[[], None], mariadb_server: MariaDB
) -> None:
    other = writer(WITH_PROCESS)
    other.send(rename, "never")
    wait_for(lambda: waiting(mariadb_server))
    mariadb_server.execute(f"KILL {waiting(mariadb_server)}")
    with pytest.raises(OtherError, match="OperationalError"):
        other.receive()
    settled()
    assert assert_cached(name_of, fresh=False) == "Ánna"


def test_killed_statement_is_an_answer(
    writer: Callable[..., OtherProcess], locked: Callable[[], None], mariadb_server: MariaDB
) -> None:
    """The session goes on, so the outcome is known at once."""
    other = writer(WITH_PROCESS)
    other.send(rename, "never")
    wait_for(lambda: waiting(mariadb_server))
    mariadb_server.execute(f"KILL QUERY {waiting(mariadb_server)}")
    with pytest.raises(OtherError, match="interrupted"):
        other.receive()
    assert in_flight() == []
    assert assert_cached(name_of, fresh=False) == "Ánna"
    locked()
    other.call(rename, "after it")
    assert name_of() == "after it"


def test_connection_lost_in_an_autocommit_write_that_waits(
    writer: Callable[..., OtherProcess], locked: Callable[[], None], mariadb_server: MariaDB
) -> None:
    """The write commits long after its client was told of the loss."""
    proxy = Proxy(mariadb_server.port)
    try:
        other = writer(WITH_PROCESS, proxy.port)
        other.call(name_of)
        assert name_of() == "Ánna"
        proxy.cut(b"UPDATE", "after")
        with pytest.raises(OtherError):
            other.call(rename, "late")
        wait_for(lambda: waiting(mariadb_server))
        (slot,) = in_flight()
        assert (slot["state"], slot["owner_alive"]) == ("unknown", False)
        uncached_and_right("Ánna")
        assert in_flight()
        locked()
        wait_for(lambda: name_of() == "late")
        settled()
        assert assert_cached(name_of, fresh=False) == "late"
    finally:
        proxy.close()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_connection_lost_in_commit(
    moment: str, writer: Callable[..., OtherProcess], mariadb_server: MariaDB
) -> None:
    """Nobody told the writer whether it is committed."""
    settled()
    proxy = Proxy(mariadb_server.port)
    try:
        other = writer(WITH_PROCESS, proxy.port)
        other.call(name_of)
        assert name_of() == "Ánna"
        proxy.cut(b"COMMIT", moment)
        with pytest.raises(OtherError):
            other.call(rename_in_a_block, "perhaps")
        if moment == "after":
            wait_for(lambda: names_past_the_cache() == "perhaps")
        assert_right(name_of)
        assert_right(names)
        settled()
        assert_right(name_of)
        expected = "perhaps" if moment == "after" else "Ánna"
        assert assert_cached(names, fresh=False)[0] == expected
    finally:
        proxy.close()


def rename_in_a_block(name: str) -> None:
    with transaction.atomic():
        rename(name)


def names_past_the_cache() -> str:
    return Author.objects.nocache().get(pk=1).name


def test_server_killed_and_started_again(
    writer: Callable[..., OtherProcess], mariadb_server: MariaDB
) -> None:
    """Another start is another identity: what others still hold of the former one is retired."""
    from django_cache_manager.api import segment_of

    other = writer(WITH_PROCESS)
    assert_cached(names)
    other.call(names)
    segment = segment_of("default")
    assert segment is not None
    connection.close()  # a hit needs no connection
    mariadb_server.kill()
    assert names()[0] == "Ánna"
    mariadb_server.start()
    with pytest.raises(OtherError):
        other.call(rename, "into a dead connection")
    other.call(close_and_rename, "after it")
    assert not segment.engine.usable()
    assert names()[0] == name_of() == "after it"
    assert assert_cached(names)[0] == "after it"


def close_and_rename(name: str) -> None:
    connection.close()
    rename(name)


# --- a new segment --------------------------------------------------------------------------------


def past_django(user: str) -> Any:
    """A session that the package doesn't see."""
    import MySQLdb

    settings = connection.settings_dict
    return MySQLdb.connect(
        host=settings["HOST"], port=int(settings["PORT"]), user=user, database=settings["NAME"]
    )


def new_segment() -> None:
    """In the place of one that vanished."""
    from django_cache_manager.api import segment_of
    from django_cache_manager.segments import registry, segment_path

    segment = segment_of("default")
    assert segment is not None
    segment.engine.retire()
    segment_path(segment.facts).unlink()
    registry.forget()


@pytest.mark.parametrize("user", [WITH_PROCESS, WITHOUT])
def test_new_segment_distrusts_transactions_older_than_itself(user: str) -> None:
    settled()
    with connected_as(user):
        names()
        older = past_django(user)
        older.query("UPDATE testapp_author SET name = 'zombie' WHERE id = 1")
        new_segment()
        for _ in range(3):
            uncached_and_right("Ánna")
            time.sleep(0.15)  # asked more often, the server gives an old list
        assert in_flight()
        older.commit()
        if user == WITHOUT:  # who isn't told of transactions waits for the session's end
            uncached_and_right("zombie")
            older.close()
        settled()
        assert assert_cached(names, fresh=False)[0] == "zombie"
        with contextlib.suppress(Exception):
            older.close()


def test_new_segment_trusts_sessions_that_do_nothing() -> None:
    settled()
    names()
    idle = past_django(WITH_PROCESS)
    new_segment()
    names()
    settled()
    assert_cached(names, fresh=False)
    idle.close()


def test_list_of_transactions_that_is_an_old_one_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server makes the list anew only when nobody has read it for 0.1 s."""
    from django_cache_manager import mysql

    settled()
    names()
    with monkeypatch.context() as patch:
        # As if others read it all the time: the second list is the first one.
        first = mysql._transactions(connection.connection)
        patch.setattr(mysql, "_transactions", lambda driver: first)
        new_segment()
        for _ in range(3):
            uncached_and_right("Ánna")
        assert in_flight()
    settled()
    assert_cached(names, fresh=False)


def test_own_question_about_transactions_leaves_none_open() -> None:
    from django_cache_manager import _engine, mysql

    names()
    driver = connection.connection
    assert mysql._fresh_transactions(driver) is not None
    assert _engine.mysql_status(driver) & 3 == 2
    assert list(sql("SELECT @@tx_isolation") or ()) == [("READ-COMMITTED",)]


def test_operational_error_is_djangos_own(locked: Callable[[], None]) -> None:
    sql("SET innodb_lock_wait_timeout = 1")
    with pytest.raises(OperationalError, match="Lock wait timeout"):
        rename("waits")
    assert in_flight() == []
    locked()
    assert_cached(names)
