"""Rules of the protocol that no other file is about. docs/consistency.md lists them all."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
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
    in_another_thread,
)
from test_command import run
from test_isolation import labels
from test_unknown_outcomes import slow_commit  # noqa: F401 - a fixture
from testapp.actions import add_tag, name_of, names, rename, sql
from testapp.models import Author, Book, Tag
from worker import OtherProcess

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library")]

postgresql = pytest.mark.databases("postgresql")


@postgresql
def test_new_segment_forgets_no_zombie(
    other_process: OtherProcess,
    postgresql_server: servers.PostgreSQL,
    locked: Callable[[], None],
) -> None:
    """A killed writer's mark is in the old segment, its UPDATE in the server (PROTOCOL 2.6)."""
    name_of()
    other_process.call(name_of)
    other_process.send(rename, "zombie")
    wait_for(lambda: waits_for_a_lock(postgresql_server))
    other_process.kill()
    other_process.pending = False
    run("clear", "--recreate", "--database", "default")
    for _ in range(3):
        look()
        assert assert_not_cached(name_of) == "Ánna"
    assert in_flight()
    locked()
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


@postgresql
def test_function_that_a_select_calls_may_write(other_process: OtherProcess) -> None:
    """The catalog says which functions can't (PROTOCOL 2.8)."""
    sql(
        "CREATE FUNCTION rename_all(text) RETURNS bigint LANGUAGE sql AS"
        " $$ WITH done AS (UPDATE testapp_author SET name = $1 RETURNING 1)"
        " SELECT count(*) FROM done $$"
    )
    try:
        name_of()
        other_process.call(name_of)
        assert sql("SELECT rename_all('by a function')") == [(6,)]
        assert name_of() == "by a function"
        assert other_process.call(name_of)[1] == "'by a function'"
        with transaction.atomic():
            sql("SELECT rename_all('in a block')")
            assert name_of() == "in a block"
            assert other_process.call(name_of)[1] == "'by a function'"
        assert other_process.call(name_of)[1] == "'in a block'"
    finally:
        sql("DROP FUNCTION rename_all(text)")


@pytest.mark.databases("sqlite-file")
@pytest.mark.parametrize(
    ("begin", "commit"),
    [
        ("BEGIN", "COMMIT"),
        ("BEGIN IMMEDIATE", "END TRANSACTION"),
        ("SAVEPOINT outermost", "RELEASE outermost"),
    ],
)
def test_what_commits_is_marked_while_it_does(begin: str, commit: str) -> None:
    """Not after: between the commit and its stamp others would be served older rows."""
    from django_cache_manager.api import segment_of

    segment = segment_of("default")
    assert segment is not None
    seen = []
    sql(begin)
    rename("committed")
    assert segment.engine.slots() == []
    connection.connection.set_trace_callback(lambda _: seen.append(segment.engine.slots()))
    sql(commit)
    connection.connection.set_trace_callback(None)
    assert all(seen)
    assert seen
    assert segment.engine.slots() == []
    assert assert_right(name_of) == "committed"


@postgresql
@pytest.mark.parametrize("commit", ["COMMIT", "COMMIT; BEGIN", "SELECT 1; COMMIT"])
def test_commit_by_sql_is_marked_while_it_runs(
    commit: str,
    other_process: OtherProcess,
    postgresql_server: servers.PostgreSQL,
    slow_commit: Callable[[], None],  # noqa: F811
) -> None:
    name_of()
    other_process.call(sql, "BEGIN")
    other_process.call(rename, "committed")
    assert assert_hit(name_of) == "Ánna"
    other_process.send(sql, commit)
    wait_for(lambda: waits_for_a_lock(postgresql_server))
    assert [slot["state"] for slot in in_flight()] == ["writing"]
    assert assert_not_cached(name_of) == "Ánna"
    slow_commit()
    other_process.receive()
    assert assert_right(name_of) == "committed"


def test_transaction_that_django_does_not_know_of_is_neither_hit_nor_filled() -> None:
    """BEGIN by SQL in autocommit (PROTOCOL 3.1)."""
    labels()
    assert_hit(labels)
    sql("BEGIN")
    assert_not_cached(labels)
    assert_not_cached(names)
    sql("ROLLBACK")
    assert_hit(labels)
    with count_sql() as log:
        names()
    assert log, "it was filled in the transaction"


@pytest.mark.databases("sqlite")
def test_no_hit_after_an_error_until_the_transaction_ends() -> None:
    """Some errors roll more back than their statement (PROTOCOL 4.3)."""
    labels()
    with transaction.atomic():
        labels()
        assert_hit(labels)
        with pytest.raises(DatabaseError):
            sql("INSERT INTO testapp_author SELECT * FROM testapp_author")
        assert_not_cached(labels)
    assert_hit(labels)


@postgresql
def test_private_result_of_the_overlay_falls_with_anothers_write(
    other_process: OtherProcess,
) -> None:
    """A join of a table that this transaction wrote with one that another writes (PROTOCOL 4.3)."""

    def joined() -> list[tuple[str, str]]:
        rows = Book.objects.filter(author__pk=1).order_by("pk")
        return list(rows.values_list("title", "author__name"))

    with transaction.atomic():
        Book.objects.filter(author__pk=1).update(title="mine")
        assert joined()[0] == ("mine", "Ánna")
        assert_hit(joined)
        other_process.call(rename, "theirs")
        assert assert_right(joined)[0] == ("mine", "theirs")


@pytest.fixture
def during(database: None) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Has something done when SQLite begins the next statement of the default connection, marked
    by then and not run."""

    def arm(work: Callable[[], None]) -> None:
        def begin(_: str) -> None:
            connection.connection.set_trace_callback(None)
            work()

        connection.connection.set_trace_callback(begin)

    yield arm
    connection.connection.set_trace_callback(None)


@pytest.mark.databases("sqlite-file")
@pytest.mark.parametrize("way", ["plain", "first of its text"])
def test_autocommit_write_is_marked_while_it_runs(
    way: str, during: Callable[[Callable[[], None]], None]
) -> None:
    from django_cache_manager.api import segment_of

    segment = segment_of("default")
    assert segment is not None
    seen: list[list[dict[str, Any]]] = []
    if way == "plain":
        rename("before")
    segment.proved_at = time.monotonic()
    name_of()
    during(lambda: seen.append(segment.engine.slots()))
    rename("marked")
    ((slot,),) = seen
    assert slot["cells"] == segment.engine.cells(["testapp_author"])
    assert segment.engine.slots() == []


@pytest.mark.databases("sqlite-wal")
@pytest.mark.parametrize("way", ["plain", "in a block"])
def test_write_whose_segment_vanishes_is_seen_in_the_next_one(
    way: str,
    other_process: OtherProcess,
    during: Callable[[Callable[[], None]], None],
) -> None:
    """With the lock file beside it, which would have kept others from making one (PROTOCOL section
    6)."""
    from django_cache_manager.api import segment_of

    segment = segment_of("default")
    assert segment is not None
    rename("before")
    other_process.call(name_of)

    def vanish() -> None:
        for path in Path(segment.engine.path).parent.glob(f"{Path(segment.engine.path).name}*"):
            path.unlink()
        other_process.call(name_of)
        wait_for(lambda: other_process.call(name_of) and not other_process.sql)

    segment.proved_at = time.monotonic()
    if way == "plain":
        during(vanish)
        rename("after")
    else:
        with transaction.atomic():
            rename("after")
            during(vanish)
    assert other_process.call(name_of)[1] == "'after'"
    assert assert_right(name_of) == "after"


@postgresql
@pytest.mark.parametrize(
    "change",
    [
        "DO $$ BEGIN PERFORM set_config('search_path', 'tenant, public', false); END $$",
        "DO $$ BEGIN CREATE TEMP TABLE testapp_author AS TABLE tenant.testapp_author; END $$",
        "SELECT tenant.enter()",
    ],
    ids=["settings", "temporary-table", "function"],
)
def test_session_changed_by_what_is_not_understood_is_asked_again(change: str) -> None:
    """A block or a function of the user's may set what SET is watched for (PROTOCOL section 5)."""
    sql("CREATE SCHEMA tenant")
    try:
        sql("CREATE TABLE tenant.testapp_author (LIKE public.testapp_author)")
        sql(
            "CREATE FUNCTION tenant.enter() RETURNS text LANGUAGE sql AS"
            " $$ SELECT set_config('search_path', 'tenant, public', false) $$"
        )
        with alias_of("tenant") as alias:
            assert len(Author.objects.using(alias)) == 6
            assert len(Author.objects.using(alias)) == 6
            with transaction.atomic(alias):
                sql(change, alias)
                for _ in range(2):
                    assert list(Author.objects.using(alias)) == []
            for _ in range(2):
                assert len(Author.objects.all()) == 6
                assert list(Author.objects.using(alias)) == []
        sql("UPDATE testapp_author SET rank = rank")
        with alias_of("tenant") as alias:
            assert len(Author.objects.using(alias)) == 6
            sql(change, alias)
            # Of the same alias: what its session tells is kept for this one too.
            in_another_thread(lambda: [len(Author.objects.using(alias)) for _ in range(4)])
            for _ in range(2):
                assert list(Author.objects.using(alias)) == []
                assert len(Author.objects.all()) == 6
    finally:
        sql("DROP SCHEMA tenant CASCADE")
