"""Rules of the protocol that no other file is about. docs/consistency.md lists them all."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction

import servers
from observe import assert_cached, assert_hit, assert_not_cached, assert_right
from test_command import run
from test_isolation import labels
from test_poolers import alias_of
from test_unknown_outcomes import in_flight, look, settled, wait_for, waits_for_a_lock
from testapp.actions import add_tag, name_of, names, rename, sql
from testapp.models import Author, Tag
from worker import OtherProcess

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library")]

postgresql = pytest.mark.databases("postgresql")


@pytest.fixture
def locked_row(database: None) -> Iterator[Callable[[], None]]:
    """Keeps the first author's row locked; called, it lets go."""
    with alias_of("locker") as locker:
        transaction.set_autocommit(False, locker)
        Author.objects.using(locker).select_for_update().get(pk=1)
        yield lambda: transaction.rollback(locker)
        transaction.rollback(locker)
    settled()


@postgresql
def test_new_segment_forgets_no_zombie(
    other_process: OtherProcess,
    postgresql_server: servers.PostgreSQL,
    locked_row: Callable[[], None],
) -> None:
    """A killed writer's mark is in the old segment, its UPDATE in the server (PROTOCOL 2.6)."""
    name_of()
    other_process.call(name_of)
    other_process.send(rename, "zombie")
    wait_for(lambda: waits_for_a_lock(postgresql_server))
    other_process.kill()
    other_process.pending = False
    run("clear", "--recreate", "--database", "default")
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:  # time enough to look for what is over
        look()
        assert assert_not_cached(name_of) == "Ánna"
    assert in_flight()
    locked_row()
    wait_for(lambda: name_of() == "zombie")
    settled()
    name_of()
    assert assert_hit(name_of) == "zombie"


def test_write_is_seen_below_what_wraps_statements(other_process: OtherProcess) -> None:
    """A user's execute_wrapper may change the SQL, and its end pops whatever is the last of them
    (PROTOCOL 2.7)."""

    def to_authors(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        return execute(sql.replace("testapp_nothing", "testapp_author"), params, many, context)

    def plain(execute: Any, *args: Any) -> Any:
        return execute(*args)

    name_of()
    other_process.call(name_of)
    with connection.execute_wrapper(to_authors):
        connection.execute_wrappers.append(plain)
        sql("UPDATE testapp_nothing SET name = 'wrapped' WHERE id = 1")
    connection.execute_wrappers.clear()
    assert name_of() == "wrapped"
    assert other_process.call(name_of)[1] == "'wrapped'"
    rename("after it")
    assert name_of() == "after it"
    assert other_process.call(name_of)[1] == "'after it'"


@pytest.fixture
def copied_server(
    postgresql_server: servers.PostgreSQL, database: None
) -> Iterator[servers.PostgreSQL]:
    """A standby made by pg_basebackup, on the same machine."""
    copy = servers.PostgreSQL()
    program = servers.find_program(
        "pg_basebackup", "postgresql-15", [str(Path(copy.program).parent)]
    )
    account = copy.account()
    if account:
        os.chown(copy.folder, account["user"], account["group"])  # type: ignore[arg-type]
    address = ["-h", "127.0.0.1", "-p", str(postgresql_server.port), "-U", "tester"]
    subprocess.run(
        [program, *address, "-D", str(copy.folder / "data"), "-R", "-c", "fast", "--no-sync"],
        check=True,
        cwd=copy.folder,
        **account,  # type: ignore[call-overload]
    )
    copy.start()
    yield copy
    copy.remove()


@postgresql
def test_standby_is_not_cached_and_its_copy_is_another_database(
    copied_server: servers.PostgreSQL, other_process: OtherProcess
) -> None:
    """A standby lags (PROTOCOL 3.1); promoted, it has the system identifier and the OIDs of the
    server it was copied from (PROTOCOL section 5)."""
    from django_cache_manager import segments
    from django_cache_manager.api import segment_of

    name_of()
    with alias_of("copy", PORT=str(copied_server.port)) as copy:
        wait_for(lambda: name_of(1, copy) == "Ánna")
        assert assert_not_cached(lambda: name_of(1, copy)) == "Ánna"
        rename("origin's")
        wait_for(lambda: name_of(1, copy) == "origin's")
        connections[copy].close()
        copied_server.execute("SELECT pg_promote()")
        before = set(segments.files())
        for turn in range(2):
            rename(f"copy's {turn}", 1, copy)
            assert assert_right(lambda: name_of(1, copy)) == f"copy's {turn}"
            rename(f"origin's {turn}")
            assert assert_right(name_of) == f"origin's {turn}"
            assert assert_right(lambda: name_of(1, copy)) == f"copy's {turn}"
            assert other_process.call(name_of)[1] == f'"origin\'s {turn}"'
    # As long as the younger one's segment is there, the older server is taken for what it was.
    (path,) = set(segments.files()) - before
    assert segments.retire_file(path)
    wait_for(lambda: name_of() and segment_of("default") is not None)
    settled()


@postgresql
@pytest.mark.parametrize(
    "setting", ["synchronous_commit = off", "session_replication_role = replica"]
)
def test_role_whose_sessions_may_lose_or_hide_writes_is_not_cached(
    setting: str, postgresql_server: servers.PostgreSQL, other_process: OtherProcess
) -> None:
    """A crash may take a commit back; a replica's session fires no triggers."""
    postgresql_server.execute(f"ALTER ROLE tester SET {setting}")
    try:
        name_of()
        with alias_of("lossy") as lossy:
            assert_not_cached(lambda: name_of(1, lossy))
            rename("lossy", 1, lossy)
            assert assert_right(name_of) == "lossy"
    finally:
        postgresql_server.execute(f"ALTER ROLE tester RESET {setting.split(maxsplit=1)[0]}")
    connection.close()
    assert assert_cached(name_of) == "lossy"


def test_alias_named_in_replicas_is_not_cached(settings_of_cache: Callable[..., None]) -> None:
    with alias_of("lagging") as lagging:
        settings_of_cache(REPLICAS=["lagging"])
        name_of()
        assert_not_cached(lambda: name_of(1, lagging))
        rename("through it", 1, lagging)
        assert assert_right(name_of) == "through it"


@postgresql
def test_role_and_setting_of_the_session_are_not_guessed(
    postgresql_server: servers.PostgreSQL,
) -> None:
    """SET of a name that isn't known: uncached until the connection closes (PROTOCOL section 5)."""
    with alias_of("tenant") as tenant:
        assert_cached(lambda: name_of(1, tenant))
        sql("SET app.tenant = '7'", tenant)
        assert_not_cached(lambda: name_of(1, tenant))
        connections[tenant].close()
        assert_cached(lambda: name_of(1, tenant))


@postgresql
def test_question_of_our_own_never_joins_a_users_transaction(
    other_process: OtherProcess,
) -> None:
    """It would fix the snapshot: a catalog that must be read again is read afterwards (PROTOCOL
    section 5)."""
    with transaction.atomic():
        sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other_process.call(sql, "CREATE TABLE passing (id integer)")
        other_process.call(add_tag, "before the snapshot")
        assert "before the snapshot" in labels()
        other_process.call(add_tag, "after it")
        assert "after it" not in assert_right(labels)
    sql("DROP TABLE passing")
    assert "after it" in assert_right(labels)


def test_fill_that_a_write_overtakes_is_not_kept(
    other_process: OtherProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows' time is the clock's before they were asked for (PROTOCOL F1)."""
    from django_cache_manager.reads import _Read

    keep = _Read._keep

    def late(self: Any, *args: Any) -> None:
        other_process.call(rename, "theirs")
        keep(self, *args)

    other_process.call(names)
    Tag.objects.count()
    with monkeypatch.context() as patch:
        patch.setattr(_Read, "_keep", late)
        assert name_of() == "Ánna"
    assert assert_right(name_of) == "theirs"
