"""The rules that are MariaDB's and MySQL's own, each on the real server (PROTOCOL 2.3, 2.4, 2.9,
4.3 and 5)."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.backends.mysql.base import DatabaseWrapper

from observe import (
    assert_cached,
    assert_hit,
    assert_not_cached,
    assert_right,
    invalidate_all,
    uncached,
)
from servers import MariaDB, free_port
from testapp.actions import labels, name_of, names, rename, sql
from testapp.models import Author
from testapp.mysql_writes import as_user
from worker import OtherProcess, names_there

pytestmark = [
    pytest.mark.databases("mariadb"),
    pytest.mark.cached,
    pytest.mark.usefixtures("library"),
]


def why(read: Any = None) -> str:
    """Why a read isn't cached, for a person."""
    from django_cache_manager.api import explain

    return explain(Author.objects.order_by("pk") if read is None else read).reason


@pytest.fixture
def option() -> Iterator[Callable[..., None]]:
    """Changes OPTIONS of the alias; the next statement connects anew."""
    options = connection.settings_dict["OPTIONS"]
    before = dict(options)

    def change(**changes: Any) -> None:
        connection.close()
        options.update(changes)

    yield change
    connection.close()
    options.clear()
    options.update(before)


@pytest.fixture
def globally(mariadb_server: MariaDB) -> Iterator[Callable[[str, object], None]]:
    """Sets a variable of the server for a test; the alias connects anew."""
    before: list[tuple[str, str]] = []

    def change(name: str, value: object) -> None:
        before.append((name, mariadb_server.execute(f"SELECT @@GLOBAL.{name}")))
        mariadb_server.execute(f"SET GLOBAL {name} = {value}")
        connection.close()

    yield change
    connection.close()
    for name, value in reversed(before):
        quoted = value if value.isdigit() else f"'{value}'"
        mariadb_server.execute(f"SET GLOBAL {name} = {quoted}")


# --- who is who -----------------------------------------------------------------------------------


def test_a_hit_sends_nothing_to_the_server(mariadb_server: MariaDB) -> None:
    names()
    (session,) = sql("SELECT CONNECTION_ID()")[0]
    question = f"SELECT QUERY_ID FROM information_schema.PROCESSLIST WHERE ID = {session}"
    before = mariadb_server.execute(question)
    assert_hit(names)  # which asks for the truth, too
    assert mariadb_server.execute(question) != before
    before = mariadb_server.execute(question)
    names()
    assert mariadb_server.execute(question) == before


def test_read_uncommitted_is_not_cached(option: Any) -> None:
    option(isolation_level="read uncommitted")
    assert_not_cached(names)
    assert why() == "the session's isolation level is READ-UNCOMMITTED"


@pytest.mark.parametrize("level", ["repeatable read", None])
def test_repeatable_read_is_cached_outside_of_transactions(
    level: str | None, option: Any, other: OtherProcess
) -> None:
    option(isolation_level=level)
    assert_cached(names)
    with transaction.atomic():
        assert_not_cached(names)
        assert_not_cached(labels)
    assert_hit(names)
    assert_hit(labels)  # what the transaction found is kept for others
    other.call(rename, "theirs")
    assert names()[0] == "theirs"


def test_repeatable_read_keeps_its_snapshot(option: Any, other: OtherProcess) -> None:
    option(isolation_level="repeatable read")
    names()
    with transaction.atomic():
        labels()
        other.call(rename, "theirs")
        assert assert_right(names)[0] == name_of() == "Ánna"
    assert names()[0] == name_of() == names_there(other)[0] == "theirs"


def test_snapshot_is_not_taken_by_a_write(option: Any, other: OtherProcess) -> None:
    """A hit after it would join two snapshots."""
    option(isolation_level="repeatable read")
    names()
    with transaction.atomic():
        sql("UPDATE testapp_tag SET label = 'mine' WHERE label = 'roman'")
        before = names()
        other.call(rename, "theirs")
        with uncached():
            assert names() == before
    assert names()[0] == "theirs"


def test_serializable_is_asked_each_time(option: Any, other: OtherProcess) -> None:
    option(isolation_level="serializable")
    assert_not_cached(names)
    with transaction.atomic():
        assert_not_cached(labels)
    rename("mine")
    assert names()[0] == names_there(other)[0] == "mine"


def test_level_of_the_server_is_not_guessed(option: Any, globally: Any) -> None:
    """Without a level in OPTIONS the server's own counts."""
    globally("tx_isolation", "'READ-COMMITTED'")
    option(isolation_level=None)
    assert_cached(names)
    globally("tx_isolation", "'SERIALIZABLE'")
    assert_not_cached(names)


def test_level_set_by_sql_turns_caching_off(other: OtherProcess) -> None:
    sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    with transaction.atomic():
        labels()
        other.call(rename, "theirs")
        assert names()[0] == "Ánna"
    assert names()[0] == "theirs"
    connection.close()
    assert_cached(names)


@pytest.mark.parametrize(
    ("name", "value"),
    [("innodb_flush_log_at_trx_commit", 2), ("innodb_flush_log_at_trx_commit", 0)],
)
def test_commits_that_a_crash_may_lose_are_not_cached(
    name: str, value: object, globally: Any
) -> None:
    globally(name, value)
    assert_not_cached(names)
    assert "a crash may lose commits" in why()


def test_read_only_server_is_not_cached(globally: Any) -> None:
    globally("read_only", 1)
    assert_not_cached(names)
    assert why() == "the server is read-only"


def test_replica_is_not_cached(mariadb_server: MariaDB) -> None:
    mariadb_server.execute("CHANGE MASTER TO MASTER_HOST = '127.0.0.9'")
    try:
        connection.close()
        assert_not_cached(names)
        assert why() == "the server is a replica"
    finally:
        mariadb_server.execute("RESET SLAVE ALL")
        connection.close()
    assert_cached(names)


def test_binary_log_that_a_crash_may_lose() -> None:
    server = MariaDB(options=["--log-bin=binlog", "--sync-binlog=0"])
    server.start()
    try:
        assert "sync_binlog is not 1" in uncached_on(server)
        server.execute("SET GLOBAL sync_binlog = 1")
        assert uncached_on(server) == "None"
    finally:
        server.remove()


def test_replica_is_told_without_a_privilege(mariadb_server: MariaDB) -> None:
    """While it runs, that is."""
    with as_user(mariadb_server, "unprivileged", "SELECT, TRIGGER ON qc_default.*"):
        assert_cached(names)
        mariadb_server.execute("CHANGE MASTER TO MASTER_HOST = '127.0.0.9'; START SLAVE SQL_THREAD")
        try:
            connection.close()
            assert_not_cached(names)
            assert why() == "the server is a replica"
        finally:
            mariadb_server.execute("STOP SLAVE; RESET SLAVE ALL")
            connection.close()


def test_server_that_does_not_say_whether_it_is_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    from django_cache_manager import mysql

    monkeypatch.setattr(mysql, "_REPLICA_OF_MARIADB", ("SHOW NOTHING", "SHOW LESS"))
    connection.close()
    assert_not_cached(names)
    assert "grant REPLICATION CLIENT" in why()
    monkeypatch.undo()
    connection.close()
    assert_cached(names)


def test_node_of_a_cluster_is_not_cached() -> None:
    libraries = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera/libgalera_smm.so")
    library = next(path for path in libraries if Path(path).is_file())
    options = ["wsrep-on=1", f"wsrep-provider={library}", "wsrep-cluster-address=gcomm://"]
    options += ["binlog-format=ROW", "log-bin=binlog", "sync-binlog=1"]
    options += [f"wsrep-provider-options=base_port={free_port()}", "wsrep-sst-method=skip"]
    server = MariaDB(options=[f"--{option}" for option in options])
    server.start()
    try:
        assert uncached_on(server) == "the server is a node of a Galera cluster"
    finally:
        server.remove()


def uncached_on(server: MariaDB) -> str:
    from django_cache_manager.connection_state import state_of

    settings = {**connection.settings_dict, "NAME": "", "PORT": str(server.port)}
    alias = DatabaseWrapper(settings, alias="logged")
    try:
        alias.ensure_connection()
        state = state_of(alias)
        assert state is not None and state.session is not None
        return str(state.session.facts.uncached)
    finally:
        alias.close()


@pytest.mark.parametrize("mode", ["ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ORACLE"])
def test_modes_that_change_the_grammar_are_not_cached(mode: str, option: Any) -> None:
    option(sql_mode=mode)
    assert_not_cached(names)
    assert why().startswith("sql_mode has ")


def joined() -> list[str]:
    """What it gives depends on group_concat_max_len."""
    query = "SELECT 1 AS id, GROUP_CONCAT(name ORDER BY id) AS name FROM testapp_author"
    return [author.name for author in Author.objects.raw(query)]


def test_settings_that_change_results_are_part_of_the_key(option: Any) -> None:
    (whole,) = assert_cached(joined)
    option(init_command="SET group_concat_max_len = 6")
    assert assert_cached(joined, fresh=False) == [whole[:5]]
    option(init_command="SET group_concat_max_len = 8")
    assert assert_cached(joined, fresh=False) == [whole[:7]]


def test_setting_changed_later_turns_caching_off(option: Any) -> None:
    (whole,) = assert_cached(joined)
    sql("SET group_concat_max_len = 6")
    assert assert_not_cached(joined) == [whole[:5]]


def test_proxy_between_is_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    from MySQLdb.connections import Connection

    monkeypatch.setattr(Connection, "thread_id", lambda self: 77, raising=False)
    connection.close()
    assert_not_cached(names)
    assert why() == "a proxy or pooler stands between"


def test_driver_that_hides_the_status_is_told_at_the_first_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from django_cache_manager import _engine
    from django_cache_manager.segments import SegmentUnavailable

    connection.close()
    with monkeypatch.context() as patch:
        patch.setattr(_engine, "mysql_status_proved", lambda driver: False)
        connection.ensure_connection()
    assert_not_cached(names)
    with pytest.raises(SegmentUnavailable, match="doesn't show whether a transaction is open"):
        rename("unseen")
    assert_right(names)


def test_status_word_is_found_only_in_a_driver_connection() -> None:
    from django_cache_manager import _engine

    connection.ensure_connection()
    assert _engine.mysql_status_proved(connection.connection)
    for stranger in (connection, object(), None):
        with pytest.raises(TypeError, match="shows no member of the client library"):
            _engine.mysql_status(stranger)


def test_status_word_follows_the_transaction() -> None:
    from django_cache_manager import _engine

    connection.ensure_connection()
    driver = connection.connection
    assert _engine.mysql_status(driver) & 3 == 2
    sql("BEGIN")
    assert _engine.mysql_status(driver) & 3 == 3
    sql("ROLLBACK")
    transaction.set_autocommit(False)
    assert _engine.mysql_status(driver) & 3 == 0
    with contextlib.suppress(DatabaseError):
        sql("SELECT id FROM testapp_author")
        assert _engine.mysql_status(driver) & 3 == 1
    transaction.rollback()
    transaction.set_autocommit(True)


def test_server_that_came_back_under_another_name(mariadb_server: MariaDB) -> None:
    """A container made anew has another host name: what others still know it by is retired."""
    from django_cache_manager import _engine
    from django_cache_manager.api import segment_of
    from django_cache_manager.identity import Facts
    from django_cache_manager.segments import registry, segment_path

    names()
    now = segment_of("default")
    assert now is not None
    facts = now.facts
    anchor = facts.family.partition(b"\n")[0]
    old = Facts(facts.vendor, anchor + b"\nformer 3306", b"started 5")
    elsewhere = Facts(facts.vendor, b"mysql 1 /other\nformer 3306", b"started 5")
    later = Facts(facts.vendor, anchor + b"\nlatter 3306", b"started 99999999999")
    segments = [registry.open(known) for known in (old, elsewhere, later)]
    registry.forget()
    invalidate_all()
    names()
    assert [segment.engine.usable() for segment in segments] == [False, True, True]
    for known in (elsewhere, later):
        _engine.Segment.inspect(str(segment_path(known))).retire()
        segment_path(known).unlink()
