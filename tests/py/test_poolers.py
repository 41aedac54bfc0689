"""What stands between Django and PostgreSQL, or shares its connections: PgBouncer, psycopg's pool
and pipelines, persistent connections, two aliases, a socket beside TCP, prepared transactions.
"""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, transaction

import servers
from aliases import alias_of
from in_flight import in_flight, look, settled, wait_for, waits_for_a_lock
from observe import (
    assert_cached,
    assert_hit,
    assert_not_cached,
    assert_right,
    count_sql,
    portable,
    uncached,
)
from testapp.actions import name_of, names, rename, set_autocommit, sql
from testapp.models import Author
from worker import OtherProcess, RollBack

pytestmark = [
    pytest.mark.cached,
    pytest.mark.databases("postgresql"),
    pytest.mark.usefixtures("library"),
]


@pytest.fixture(scope="session", params=["session", "transaction"])
def pooler(request: pytest.FixtureRequest, schema: None) -> Iterator[servers.PgBouncer]:
    from conftest import postgresql

    assert postgresql is not None
    server = servers.PgBouncer(postgresql, request.param)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def pooled(pooler: servers.PgBouncer, database: None) -> Iterator[str]:
    with alias_of(
        "pooled", PORT=str(pooler.port), DISABLE_SERVER_SIDE_CURSORS=True, CONN_MAX_AGE=None
    ) as name:
        yield name


@pytest.fixture
def pooled_process(
    pooler: servers.PgBouncer, database: None, tmp_path: Path
) -> Iterator[OtherProcess]:
    """A process whose only way to the server is the pooler."""
    other = OtherProcess(tmp_path / "pooled", {"QC_TEST_PG_PORT": str(pooler.port)})
    yield other
    other.kill()


# --- PgBouncer ----------------------------------------------------------------------------------


def test_write_through_a_pooler_is_seen_by_who_has_the_rows_cached(
    pooled: str, other_process: OtherProcess, pooled_process: OtherProcess
) -> None:
    for turn in range(3):
        names()
        other_process.call(names)
        assert_hit(names)
        pooled_process.call(rename, f"pooled {turn}")
        assert names()[0] == name_of() == name_of(1, pooled) == f"pooled {turn}"
        assert other_process.call(name_of)[1] == f"'pooled {turn}'"
        rename(f"direct {turn}")
        assert name_of(1, pooled) == f"direct {turn}"
        assert pooled_process.call(name_of)[1] == f"'direct {turn}'"


def test_transaction_through_a_pooler(pooled: str, other_process: OtherProcess) -> None:
    name_of()
    with transaction.atomic(pooled):
        rename("pooled", 1, pooled)
        assert name_of(1, pooled) == "pooled"
        assert assert_hit(name_of) == "Ánna"
        assert other_process.call(name_of)[1] == "'Ánna'"
    assert name_of() == "pooled"
    assert other_process.call(name_of)[1] == "'pooled'"
    with pytest.raises(RollBack), transaction.atomic(pooled):
        rename("never", 1, pooled)
        name_of(1, pooled)
        raise RollBack
    assert name_of() == name_of(1, pooled) == "pooled"


def test_reads_through_a_pooler_are_the_databases(pooled: str) -> None:
    """Its sessions may be set up by others, so nothing is known of how they read."""
    from django_cache_manager.api import explain

    name_of()
    assert_not_cached(lambda: name_of(1, pooled))
    explanation = explain(Author.objects.using(pooled).all())
    assert not explanation.cached
    assert "pooler" in explanation.reason


def clear_marks() -> None:
    call_command("cachemanager", "clear", "--marks", "--database", "default", stdout=StringIO())


@pytest.mark.parametrize("pooler", ["transaction"], indirect=True)
def test_write_on_another_session_than_its_process_was_told_of(
    pooler: servers.PgBouncer,
    pooled: str,
    pooled_process: OtherProcess,
    postgresql_server: servers.PostgreSQL,
) -> None:
    """The end of the session that a pooler once gave a process proves none of its writes over."""
    (told,) = pooled_process.call(sql, "SELECT pg_backend_pid()")[2][0][2]
    name_of()
    with transaction.atomic():
        Author.objects.select_for_update().get(pk=1)
        with pytest.raises(DatabaseError), transaction.atomic(pooled):
            assert sql("SELECT pg_backend_pid()", pooled) == [(eval(told[1]),)]
            pooled_process.send(rename, "zombie")
            wait_for(lambda: waits_for_a_lock(postgresql_server))
            pooled_process.kill()
            pooled_process.pending = False
            postgresql_server.execute(f"SELECT pg_terminate_backend({told[1]}, 5000)")
            sql("SELECT 1", pooled)
        assert waits_for_a_lock(postgresql_server)
        with alias_of("reader") as reader:
            connections[reader].ensure_connection()
            for _ in range(3):
                look(reader)
                assert name_of(1, reader) == "Ánna"
            (slot,) = in_flight()
            assert slot["session"].startswith(b"pooled")
    wait_for(lambda: name_of() == "zombie")
    assert names()[0] == "zombie"
    clear_marks()
    name_of()
    assert assert_hit(name_of) == "zombie"


def test_write_through_a_pooler_that_answers_again_is_over(
    pooled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies come in order, whatever session they are from."""
    from django_cache_manager.postgresql import PostgreSQL

    name_of(1, pooled)
    with monkeypatch.context() as patch:
        patch.setattr(PostgreSQL, "outcome_known", lambda *_: False)
        with pytest.raises(DatabaseError):
            sql("UPDATE testapp_author SET name = no_such_column", pooled)
    assert [slot["state"] for slot in in_flight()] == ["unknown"]
    name_of(1, pooled)
    assert in_flight() == []


# --- the driver's pool, and connections that outlive requests -------------------------------------


@pytest.fixture
def driver_pool(database: None) -> Iterator[str]:
    with alias_of("pool", OPTIONS={"pool": {"min_size": 1, "max_size": 1}}) as name:
        yield name


def give_back(alias: str) -> int:
    """As the end of a request does; which session it was."""
    pid: int = connections[alias].connection.info.backend_pid
    connections[alias].close()
    return pid


@pytest.mark.databases("psycopg3")
def test_connection_of_the_drivers_pool(driver_pool: str, other_process: OtherProcess) -> None:
    pids = set()
    for turn in range(3):
        assert_cached(names)
        other_process.call(names)
        rename(f"pool {turn}", 1, driver_pool)
        assert names()[0] == f"pool {turn}"
        assert other_process.call(name_of)[1] == f"'pool {turn}'"
        pids.add(give_back(driver_pool))
        assert assert_cached(lambda: name_of(1, driver_pool)) == f"pool {turn}"
        connections[driver_pool].ensure_connection()
        pids.add(give_back(driver_pool))
    assert len(pids) == 1, "the pool handed out new connections each time: it proves nothing"


@pytest.mark.databases("psycopg3")
def test_temporary_table_of_a_pooled_connection_hides_in_other_hands_too(
    driver_pool: str,
) -> None:
    """What a session was made is the connection's, not the wrapper's that made it so."""
    names()
    name_of(1, driver_pool)
    sql("CREATE TEMP TABLE testapp_author (LIKE public.testapp_author)", driver_pool)
    pid = give_back(driver_pool)
    with pytest.raises(Author.DoesNotExist):
        name_of(1, driver_pool)
    assert connections[driver_pool].connection.info.backend_pid == pid
    assert len(names()) == 6


@pytest.mark.databases("psycopg3")
def test_open_transaction_given_back_to_the_pool_is_rolled_back(
    driver_pool: str, other_process: OtherProcess
) -> None:
    name_of()
    other_process.call(name_of)
    transaction.set_autocommit(False, driver_pool)
    rename("never", 1, driver_pool)
    assert name_of(1, driver_pool) == "never"
    give_back(driver_pool)
    assert name_of(1, driver_pool) == name_of() == "Ánna"
    assert assert_hit(name_of) == "Ánna"


@pytest.mark.parametrize("age", [0, None])
def test_connection_kept_between_requests(age: int | None, other_process: OtherProcess) -> None:
    with alias_of("kept", CONN_MAX_AGE=age, CONN_HEALTH_CHECKS=True) as name:
        for turn in range(3):
            other_process.call(name_of)
            assert assert_cached(lambda: name_of(1, name))
            rename(f"turn {turn}", 1, name)
            connections[name].close_if_unusable_or_obsolete()
            assert (connections[name].connection is None) == (age == 0)
            other_process.call(rename, f"theirs {turn}")
            assert name_of(1, name) == name_of() == f"theirs {turn}"


# --- ways to one database -------------------------------------------------------------------------


def test_two_aliases_of_one_database_share_what_is_cached(other_process: OtherProcess) -> None:
    with alias_of("second") as name:
        assert_cached(name_of)
        with count_sql() as log:
            assert name_of(1, name) == "Ánna"
        connections[name].ensure_connection()
        with count_sql() as log:
            assert Author.objects.using(name).get(pk=1)._state.db == name
            assert Author.objects.get(pk=1)._state.db == "default"
            assert Author.objects.using(name).get(pk=1)._state.db == name
        assert len(log) == 1
        with transaction.atomic(name):
            rename("open", 1, name)
            assert assert_hit(name_of) == "Ánna"
            assert name_of(1, name) == "open"
        assert name_of() == name_of(1, name) == "open"
        rename("first's")
        assert name_of(1, name) == other_process.call(name_of)[1].strip("'\"") == "first's"


def test_socket_and_tcp_are_one_database(
    postgresql_server: servers.PostgreSQL, other_process: OtherProcess
) -> None:
    with alias_of("socket", HOST=str(postgresql_server.folder)) as name:
        postgresql_server.folder.chmod(0o755)
        name_of(1, name)
        assert_hit(lambda: name_of(1, name))
        other_process.call(name_of)
        rename("by the socket", 1, name)
        assert name_of() == "by the socket"
        assert other_process.call(name_of)[1] == "'by the socket'"
        rename("by TCP")
        assert name_of(1, name) == "by TCP"


def test_threads_on_connections_of_their_own(other_process: OtherProcess) -> None:
    from testapp.trouble import in_threads

    other_process.call(names)
    assert in_threads(6)
    with uncached():
        truth = names()
    assert other_process.call(names) == portable(truth)


# --- statements sent ahead, rows streamed in, commits in two phases -------------------------------


@pytest.mark.databases("psycopg3")
def test_pipeline_marks_until_its_sync(other_process: OtherProcess) -> None:
    """What was sent may have committed before anybody here was told."""
    name_of()
    other_process.call(name_of)
    with connection.connection.pipeline():
        rename_by_cursor("piped")
        assert in_flight_from(other_process)
        other_process.call(name_of)
        assert other_process.sql
    name_of()
    assert in_flight() == []
    assert name_of() == "piped"
    assert other_process.call(name_of)[1] == "'piped'"


def rename_by_cursor(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE testapp_author SET name = %s WHERE id = 1", [name])


def in_flight_from(other: OtherProcess) -> bool:
    answer = other.call(in_flight)
    return bool(answer[2])


@pytest.mark.databases("psycopg3")
def test_pipeline_with_an_error_rolls_back_what_came_before(other_process: OtherProcess) -> None:
    """One implicit transaction, told of at the sync."""
    name_of()
    other_process.call(name_of)
    with pytest.raises(Exception, match="division"), connection.connection.pipeline():
        rename_by_cursor("never")
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
    assert name_of() == "Ánna"
    assert other_process.call(name_of)[1] == "'Ánna'"
    settled()
    assert_right(names)


@pytest.mark.databases("psycopg3")
def test_pipeline_in_a_transaction(other_process: OtherProcess) -> None:
    name_of()
    other_process.call(name_of)
    with transaction.atomic():
        with connection.connection.pipeline():
            rename_by_cursor("piped")
        assert name_of() == "piped"
        assert other_process.call(name_of)[1] == "'Ánna'"
    assert name_of() == "piped"
    assert other_process.call(name_of)[1] == "'piped'"


@pytest.mark.databases("psycopg3")
def test_copy_that_is_under_way_marks(other_process: OtherProcess) -> None:
    """The bracket spans the with-block: rows commit at its end."""
    names()
    other_process.call(names)
    with connection.cursor() as cursor:
        with cursor.copy("COPY testapp_author (name, rank) FROM STDIN") as copy:
            copy.write("copied\t70\n")
            other_process.call(names)
            assert other_process.sql
        assert in_flight() == []
    assert names()[-1] == "copied"
    assert "copied" in repr(other_process.call(names))


def test_prepared_transaction_committed_by_another_process(other_process: OtherProcess) -> None:
    """Neither the session that wrote nor its process is there any more when it commits."""
    name_of()
    other_process.call(name_of)
    other_process.call(set_autocommit, False)
    other_process.call(rename, "prepared")
    other_process.call(sql, "PREPARE TRANSACTION 'theirs'")
    other_process.kill()
    try:
        assert name_of() == "Ánna"
        settled()
        assert assert_right(name_of) == "Ánna"
        other_process.call(name_of)
    finally:
        sql("COMMIT PREPARED 'theirs'")
    assert name_of() == names()[0] == "prepared"
    assert other_process.call(name_of)[1] == "'prepared'"


def test_prepared_transaction_rolled_back(other_process: OtherProcess) -> None:
    transaction.set_autocommit(False)
    rename("prepared")
    sql("PREPARE TRANSACTION 'mine'")
    transaction.rollback()
    transaction.set_autocommit(True)
    other_process.call(name_of)
    sql("ROLLBACK PREPARED 'mine'")
    assert name_of() == names()[0] == "Ánna"
    assert other_process.call(name_of)[1] == "'Ánna'"
