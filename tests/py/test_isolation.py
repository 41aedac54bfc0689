"""Isolation levels, however they are asked for (PROTOCOL 3.3, 4.1, 4.2): what a transaction reads
from the cache is what it would read without.
"""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError, connections, transaction

import servers
from aliases import alias_of
from observe import (
    assert_cached,
    assert_hit,
    assert_not_cached,
    assert_right,
    count_sql,
    invalidate_all,
    uncached,
)
from settings import KIND
from testapp.actions import add_tag, name_of, names, rename, sql
from testapp.models import Author, Tag
from worker import OtherProcess, RollBack

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library")]

ROLE = "ALTER ROLE tester"
DATABASE = "ALTER DATABASE qc_default"
OF_SESSION = {
    "characteristics": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {}",
    "default": "SET default_transaction_isolation = '{}'",
}
WAYS = ["options", "role", "database", *OF_SESSION, "set transaction"]


@contextlib.contextmanager
def configured(server: servers.PostgreSQL, way: str, level: str) -> Iterator[str]:
    """An alias on which `way` has asked for the level, but for "set transaction"."""
    options = {}
    if way == "options":
        from django.db.backends.postgresql.psycopg_any import IsolationLevel

        options["isolation_level"] = IsolationLevel[level.replace(" ", "_")]
    whose = {"role": ROLE, "database": DATABASE}.get(way)
    if whose:
        server.execute(f"{whose} SET default_transaction_isolation = '{level.lower()}'")
    try:
        with alias_of("levelled", OPTIONS=options) as alias:
            connections[alias].ensure_connection()
            if way in OF_SESSION:
                sql(OF_SESSION[way].format(level), alias)
            yield alias
    finally:
        if whose:
            server.execute(f"{whose} RESET default_transaction_isolation")


@contextlib.contextmanager
def transaction_at(server: servers.PostgreSQL, way: str, level: str) -> Iterator[str]:
    with configured(server, way, level) as alias, transaction.atomic(alias):
        if way == "set transaction":
            sql(f"SET TRANSACTION ISOLATION LEVEL {level}", alias)
        assert connections[alias].in_atomic_block
        yield alias


def labels(alias: str = "default") -> list[str]:
    return list(Tag.objects.using(alias).values_list("label", flat=True))


def asks(read: Callable[[], object]) -> object:
    """One read that asks the database."""
    with count_sql() as log:
        answer = read()
    assert log
    return answer


# --- PostgreSQL -----------------------------------------------------------------------------------

postgresql = pytest.mark.databases("postgresql")


@postgresql
@pytest.mark.parametrize("way", WAYS)
def test_repeatable_read_hits_what_is_no_newer_than_its_snapshot(
    way: str, other_process: OtherProcess, postgresql_server: servers.PostgreSQL
) -> None:
    old = labels()
    assert name_of() == "Ánna"
    with transaction_at(postgresql_server, way, "REPEATABLE READ") as alias:
        assert asks(lambda: labels(alias)) == old, "a hit before the snapshot is taken joins two"
        assert assert_hit(lambda: name_of(1, alias)) == "Ánna"
        other_process.call(rename, "theirs")
        other_process.call(add_tag, "a new one")
        assert name_of() == "theirs"
        assert "a new one" in labels()
        for _ in range(2):
            assert assert_right(lambda: name_of(1, alias)) == "Ánna"
            assert assert_right(lambda: labels(alias)) == old
    assert assert_right(name_of) == "theirs"
    assert "a new one" in assert_right(labels)


@postgresql
@pytest.mark.parametrize("way", WAYS)
def test_repeatable_read_fills_for_all_under_its_snapshot(
    way: str, other_process: OtherProcess, postgresql_server: servers.PostgreSQL
) -> None:
    """Its rows hold for who reads now, unless they were written since."""
    invalidate_all()
    labels()
    with transaction_at(postgresql_server, way, "REPEATABLE READ") as alias:
        labels(alias)
        asks(lambda: name_of(2, alias))
        assert assert_hit(lambda: name_of(2)) == "Boris"
        other_process.call(rename, "theirs")
        assert name_of(1, alias) == "Ánna"
        assert asks(name_of) == "theirs"
        assert name_of(1, alias) == "Ánna"
    assert name_of() == "theirs"


@postgresql
@pytest.mark.parametrize("way", WAYS)
def test_serializable_asks_each_time_and_fills(
    way: str, postgresql_server: servers.PostgreSQL
) -> None:
    """A hit would take no predicate lock (PROTOCOL 4.2)."""
    invalidate_all()
    labels()
    with transaction_at(postgresql_server, way, "SERIALIZABLE") as alias:
        labels(alias)
        assert_not_cached(lambda: labels(alias))
        assert_not_cached(lambda: name_of(1, alias))
        assert assert_hit(name_of) == "Ánna"
        rename("own", 1, alias)
        assert assert_not_cached(lambda: name_of(1, alias)) == "own"
        assert name_of() == "Ánna"
    assert assert_right(name_of) == "own"


@postgresql
@pytest.mark.parametrize("level", ["READ UNCOMMITTED", "READ COMMITTED"])
@pytest.mark.parametrize("way", WAYS)
def test_read_committed_hits_at_once_and_sees_each_commit(
    way: str, level: str, other_process: OtherProcess, postgresql_server: servers.PostgreSQL
) -> None:
    name_of()
    with transaction_at(postgresql_server, way, level) as alias:
        assert assert_hit(lambda: name_of(1, alias)) == "Ánna"
        other_process.call(rename, "theirs")
        assert assert_right(lambda: name_of(1, alias)) == "theirs"


@postgresql
@pytest.mark.parametrize("way", WAYS[:-1])
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_autocommit_at_a_level(
    way: str, level: str, other_process: OtherProcess, postgresql_server: servers.PostgreSQL
) -> None:
    """Each statement is a transaction of its own. What OPTIONS asks for is in the drivers' BEGIN
    alone; psycopg2, asked in autocommit, would set the session's default."""
    of_session = way != "options"
    name_of()
    with configured(postgresql_server, way, level) as alias:
        for turn in range(2):
            shown = sql("SHOW transaction_isolation", alias)
            assert shown == [(level.lower() if of_session else "read committed",)]
            if level == "SERIALIZABLE" and (of_session or KIND == "psycopg2"):
                assert_not_cached(lambda: name_of(1, alias))
            else:
                name_of()
                assert_hit(lambda: name_of(1, alias))
            other_process.call(rename, f"theirs {turn}")
            assert assert_right(lambda: name_of(1, alias)) == f"theirs {turn}"
            assert assert_hit(name_of) == f"theirs {turn}"


def ranks(alias: str = "default") -> list[int]:
    rows = Author.objects.using(alias).filter(pk__in=[1, 2]).order_by("pk")
    return list(rows.values_list("rank", flat=True))


def set_rank(pk: int, rank: int, alias: str) -> None:
    Author.objects.using(alias).filter(pk=pk).update(rank=rank)


@postgresql
def test_anomaly_that_only_a_reader_shows_is_refused(
    postgresql_server: servers.PostgreSQL,
) -> None:
    """Fekete, O'Neil, O'Neil: a withdrawal that did not see the deposit, and a report that did. The
    report, an autocommit SELECT at SERIALIZABLE, must be the server's to see."""
    set_rank(1, 0, "default")
    set_rank(2, 0, "default")
    level = "SERIALIZABLE"
    with configured(postgresql_server, "default", level) as reporter, alias_of("payer") as payer:
        for alias in ("default", reporter, payer):  # so that rows are locked and not the table
            sql("SET enable_seqscan = off", alias)
            sql("SET enable_bitmapscan = off", alias)
        refused = pytest.raises(OperationalError, match="could not serialize")
        with refused, transaction.atomic(payer):
            sql(f"SET TRANSACTION ISOLATION LEVEL {level}", payer)
            assert ranks(payer) == [0, 0]
            with transaction.atomic():
                sql(f"SET TRANSACTION ISOLATION LEVEL {level}")
                set_rank(2, 20, "default")
            assert ranks() == [0, 20]
            assert ranks(reporter) == [0, 20]
            set_rank(1, -11, payer)
    assert assert_right(ranks) == [0, 20]


@postgresql
def test_borrowed_snapshot_is_of_any_age(other_process: OtherProcess) -> None:
    """SET TRANSACTION SNAPSHOT: neither hits nor fills until the transaction ends."""
    with alias_of("lender") as lender, transaction.atomic(lender):
        sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", lender)
        ((snapshot,),) = sql("SELECT pg_export_snapshot()", lender) or []
        other_process.call(rename, "theirs")
        assert name_of() == "theirs"
        with transaction.atomic():
            sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            assert asks(labels)
            for _ in range(2):
                assert asks(name_of) == "Ánna"
                assert asks(names)
        assert assert_right(names)[0] == "theirs"
        assert name_of() == other_process.call(name_of)[1].strip("'") == "theirs"
        assert assert_cached(name_of) == "theirs"


@postgresql
@pytest.mark.parametrize("chained", ["ROLLBACK AND CHAIN", "COMMIT AND CHAIN"])
def test_chained_transaction_has_a_snapshot_of_its_own(
    chained: str, other_process: OtherProcess
) -> None:
    """It keeps the level, and what was read before says nothing of its snapshot."""
    transaction.set_autocommit(False)
    try:
        sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        labels()
        assert_hit(labels)
        sql(chained)
        assert sql("SHOW transaction_isolation") == [("repeatable read",)]
        first = labels()
        other_process.call(add_tag, "a new one")
        name_of()
        with uncached():
            assert labels() == first
        assert_right(labels)
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert "a new one" in assert_right(labels)


@postgresql
def test_transaction_begun_by_the_statement_that_ends_another(
    other_process: OtherProcess, postgresql_server: servers.PostgreSQL
) -> None:
    """It has the session's level, not the one that the transaction before was set to."""
    with configured(postgresql_server, "characteristics", "REPEATABLE READ") as alias:
        transaction.set_autocommit(False, alias)
        sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", alias)
        labels(alias)
        sql("ROLLBACK; BEGIN", alias)
        assert sql("SHOW transaction_isolation", alias) == [("repeatable read",)]
        labels(alias)
        other_process.call(rename, "theirs")
        assert name_of() == "theirs"
        for _ in range(2):
            assert assert_right(lambda: name_of(1, alias)) == "Ánna"
        transaction.rollback(alias)


@postgresql
@pytest.mark.parametrize(
    "statement",
    [
        "SET LOCAL transaction_isolation TO 'repeatable read'",
        "SET LOCAL TRANSACTION /* which */ ISOLATION LEVEL REPEATABLE READ",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SET TRANSACTION ISOLATION LEVEL"
        " REPEATABLE READ",
    ],
)
def test_level_asked_for_in_a_way_that_is_not_understood(
    statement: str, other_process: OtherProcess
) -> None:
    """Uncached till the connection closes."""
    with alias_of("unsure") as alias:
        names()
        with transaction.atomic(alias):
            sql(statement, alias)
            assert sql("SHOW transaction_isolation", alias) == [("repeatable read",)]
            labels(alias)
            other_process.call(rename, "theirs")
            assert name_of() == "theirs"
            assert asks(lambda: name_of(1, alias)) == "Ánna"
            assert asks(lambda: name_of(1, alias)) == "Ánna"
        assert_not_cached(lambda: name_of(1, alias))
        connections[alias].close()
        assert assert_cached(lambda: name_of(1, alias)) == "theirs"


@postgresql
def test_level_of_the_session_set_in_a_transaction_that_is_rolled_back(
    other_process: OtherProcess,
) -> None:
    """The server takes it back, so it isn't what the session has afterwards."""
    with alias_of("undone") as alias:
        with pytest.raises(RollBack), transaction.atomic(alias):
            sql(OF_SESSION["characteristics"].format("REPEATABLE READ"), alias)
            raise RollBack
        with transaction.atomic(alias):
            assert sql("SHOW transaction_isolation", alias) == [("read committed",)]
            labels(alias)
            other_process.call(rename, "theirs")
            assert assert_right(lambda: name_of(1, alias)) == "theirs"


@postgresql
def test_modes_that_are_no_level_leave_it_alone(other_process: OtherProcess) -> None:
    with transaction.atomic():
        sql("SET TRANSACTION READ ONLY")
        labels()
        assert_hit(labels)
        other_process.call(rename, "theirs")
        assert assert_right(name_of) == "theirs"
    assert assert_cached(name_of) == "theirs"


@postgresql
def test_set_transaction_outside_a_transaction_does_nothing(other_process: OtherProcess) -> None:
    sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    assert assert_cached(name_of) == "Ánna"
    with transaction.atomic():
        assert assert_hit(name_of) == "Ánna"
        other_process.call(rename, "theirs")
        assert assert_right(name_of) == "theirs"


@postgresql
@pytest.mark.parametrize(
    "statement",
    [
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "begin transaction isolation level repeatable read, read write",
        "START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;",
    ],
)
def test_begin_with_a_level(statement: str, other_process: OtherProcess) -> None:
    """Raw: neither hit nor filled; and the next transaction is as ever."""
    sql(statement)
    labels()
    other_process.call(rename, "theirs")
    for _ in range(2):
        assert asks(name_of) == "Ánna"
    sql("COMMIT")
    assert assert_cached(name_of) == "theirs"
    with transaction.atomic():
        assert assert_hit(name_of) == "theirs"


@postgresql
def test_begin_with_a_level_inside_a_transaction(other_process: OtherProcess) -> None:
    """The server warns, and takes the level all the same."""
    name_of()
    with transaction.atomic():
        sql("SET LOCAL statement_timeout = '30s'")
        sql("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert sql("SHOW transaction_isolation") == [("repeatable read",)]
        labels()
        other_process.call(rename, "theirs")
        for _ in range(2):
            assert assert_right(name_of) == "Ánna"
    assert assert_right(name_of) == "theirs"


@postgresql
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_autocommit_off_at_a_level(
    level: str, other_process: OtherProcess, postgresql_server: servers.PostgreSQL
) -> None:
    """Each commit is followed by a transaction that begins with the next statement, a read too."""
    labels()
    name_of()
    from django.db.backends.postgresql.psycopg_any import IsolationLevel

    options = {"isolation_level": IsolationLevel[level.replace(" ", "_")]}
    with alias_of("manual", AUTOCOMMIT=False, OPTIONS=options) as alias:
        for turn in range(2):
            assert asks(lambda: labels(alias))
            expected = name_of()
            if level == "SERIALIZABLE":
                assert asks(lambda: name_of(1, alias)) == expected
            else:
                assert assert_hit(lambda: name_of(1, alias)) == expected
            other_process.call(rename, f"theirs {turn}")
            assert assert_right(lambda: name_of(1, alias)) == expected
            name_of()
            assert assert_right(lambda: name_of(1, alias)) == expected
            transaction.commit(alias)
        assert asks(lambda: name_of(1, alias)) == "theirs 1"
        transaction.rollback(alias)


@postgresql
def test_lost_update_is_refused_at_repeatable_read(
    other_process: OtherProcess, postgresql_server: servers.PostgreSQL
) -> None:
    """A hit within the snapshot must not hide the conflict from the server."""
    name_of()
    block = transaction_at(postgresql_server, "options", "REPEATABLE READ")
    with pytest.raises(OperationalError, match="could not serialize"), block as alias:
        labels(alias)
        read = assert_hit(lambda: name_of(1, alias))
        other_process.call(rename, "theirs")
        rename(f"{read}!", 1, alias)
    assert name_of() == "theirs"


# --- SQLite ---------------------------------------------------------------------------------------

MODES = ["DEFERRED", "IMMEDIATE", "EXCLUSIVE"]


@contextlib.contextmanager
def sqlite_mode(mode: str) -> Iterator[str]:
    settings = connections.databases["default"]
    options = {**settings.get("OPTIONS", {}), "transaction_mode": mode}
    with alias_of("mode", OPTIONS=options) as alias:
        yield alias


@pytest.mark.databases("sqlite-file")
@pytest.mark.parametrize("mode", MODES)
def test_sqlite_transaction_hits_when_it_has_its_snapshot(
    mode: str, other_process: OtherProcess
) -> None:
    """BEGIN DEFERRED takes none; the others do at once."""
    name_of()
    labels()
    with sqlite_mode(mode) as alias, transaction.atomic(alias):
        first = asks if mode == "DEFERRED" else assert_hit
        assert first(lambda: labels(alias)) == ["poetry", "roman", "наука"]
        assert assert_hit(lambda: name_of(1, alias)) == "Ánna"
        rename("own", 1, alias)
        assert name_of(1, alias) == "own"
        if not (mode == "EXCLUSIVE" and KIND == "sqlite-delete"):  # which keeps readers out
            assert other_process.call(name_of)[1] == "'Ánna'"
    assert other_process.call(name_of)[1] == "'own'"


@pytest.mark.databases("sqlite-wal")
def test_sqlite_deferred_transaction_begun_before_anothers_write(
    other_process: OtherProcess,
) -> None:
    """Its snapshot is its first read's, not its BEGIN's; what was valid at BEGIN isn't hit."""
    names()
    labels()
    with transaction.atomic():
        other_process.call(rename, "theirs")
        assert asks(labels)
        assert assert_right(names)[0] == "theirs"
        other_process.call(rename, "later")
        assert assert_right(names)[0] == "theirs"
        assert assert_right(name_of) == "theirs"
    assert assert_right(names)[0] == "later"


@pytest.mark.databases("sqlite-delete")
def test_sqlite_rollback_journal_keeps_writers_out_of_a_read_transaction(
    other_process: OtherProcess,
) -> None:
    from worker import OtherError

    names()
    other_process.call(sql, "PRAGMA busy_timeout = 50")
    with transaction.atomic():
        labels()
        assert assert_hit(names)[0] == "Ánna"
        with pytest.raises(OtherError, match="locked"):
            other_process.call(rename, "theirs")
        assert assert_right(names)[0] == "Ánna"
    other_process.call(rename, "theirs")
    assert assert_right(names)[0] == "theirs"


@pytest.mark.databases("memory")
def test_sqlite_connections_of_one_shared_memory(library: None) -> None:
    """They meet in one segment; another's open write is seen by nobody, its commit by all."""
    with alias_of("second") as alias:
        name_of()
        assert assert_hit(lambda: name_of(1, alias)) == "Ánna"
        with transaction.atomic(alias):
            rename("open", 1, alias)
            assert name_of(1, alias) == "open"
            with count_sql() as log:
                assert name_of() == "Ánna"
            assert log.none()
        assert assert_right(name_of) == assert_right(lambda: name_of(1, alias)) == "open"
        rename("first's")
        assert assert_right(lambda: name_of(1, alias)) == "first's"


@pytest.mark.databases("memory")
def test_sqlite_shared_memory_read_uncommitted() -> None:
    """Such a connection sees what another has not committed: it is kept to itself."""
    with alias_of("dirty") as alias, alias_of("writer") as writer:
        name_of()
        sql("PRAGMA read_uncommitted = 1", alias)
        with pytest.raises(RollBack), transaction.atomic(writer):
            rename("never", 1, writer)
            for _ in range(2):
                assert asks(lambda: name_of(1, alias)) == "never"
            assert name_of() == "Ánna"
            raise RollBack
        assert assert_right(name_of) == assert_right(lambda: name_of(1, alias)) == "Ánna"
        connections[alias].connection.close()
        connections[alias].connection = None
