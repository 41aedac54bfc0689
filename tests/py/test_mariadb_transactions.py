"""Transactions of MariaDB and MySQL: what commits without being asked, and what errors leave of
them (PROTOCOL 2.1 to 2.4, 4.3)."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from observe import assert_right
from testapp.actions import commit, labels, name_of, names, rename, set_autocommit, sql
from worker import OtherProcess, names_there

pytestmark = [
    pytest.mark.databases("mariadb"),
    pytest.mark.cached,
    pytest.mark.usefixtures("library"),
]


# --- transactions ---------------------------------------------------------------------------------


def test_raw_begin_and_commit(other: OtherProcess) -> None:
    sql("BEGIN")
    rename("in a raw transaction")
    assert name_of() == "in a raw transaction"
    assert names_there(other)[0] == "Ánna"
    sql("COMMIT")
    assert name_of() == names()[0] == names_there(other)[0] == "in a raw transaction"


COMMITTING = (
    "BEGIN",
    "START TRANSACTION",
    "LOCK TABLES testapp_country READ",
    "FLUSH TABLES",
    "ANALYZE TABLE testapp_country",
    "OPTIMIZE TABLE testapp_country",
    "CREATE TABLE made (id int)",
    "CREATE TABLE testapp_author (id int)",
    "DROP TABLE IF EXISTS made",
    "CREATE INDEX made ON testapp_country (name)",
    "DROP INDEX made ON testapp_country",
    "ALTER TABLE testapp_country COMMENT = 'altered'",
    "ALTER TABLE missing COMMENT = 'altered'",
    "TRUNCATE testapp_loan",
    "CREATE OR REPLACE VIEW made AS SELECT 1",
    "DROP VIEW made",
    "CREATE OR REPLACE USER made",
    "GRANT SELECT ON *.* TO made",
    "SET PASSWORD FOR made = ''",
    "SET DEFAULT ROLE NONE FOR made",
    "DROP USER made",
    "COMMIT AND CHAIN",
    "EXECUTE IMMEDIATE 'FLUSH TABLES'",
    "/*! FLUSH TABLES */",
    "SET STATEMENT max_statement_time = 9 FOR FLUSH TABLES",
)


def open_block(name: str) -> None:
    transaction.set_autocommit(False)
    rename(name)


def close_block() -> None:
    """The transaction may be over already."""
    transaction.rollback()
    sql("UNLOCK TABLES")
    transaction.set_autocommit(True)


@contextlib.contextmanager
def marks_at_each_query() -> Iterator[list[bool]]:
    """Whether no entry about authors held when a statement was sent."""
    from MySQLdb.connections import Connection

    from django_cache_manager.api import segment_of

    segment = segment_of("default")
    assert segment is not None
    engine, cells = segment.engine, segment.cells(frozenset(("testapp_author",)), True)
    marked: list[bool] = []
    query = Connection.query

    def watched(driver: Any, text: bytes) -> Any:
        marked.append(not engine.valid(cells, engine.clock()))
        return query(driver, text)

    Connection.query = watched
    try:
        yield marked
    finally:
        Connection.query = query


@pytest.mark.parametrize("statement", COMMITTING)
def test_statement_that_commits_is_bracketed(statement: str, other: OtherProcess) -> None:
    """PROTOCOL 2.3: while it runs everything is marked, and afterwards all that was dirty is
    stamped."""
    open_block("committed early")
    try:
        assert names_there(other)[0] == "Ánna"
        with marks_at_each_query() as marked, contextlib.suppress(DatabaseError):
            sql(statement)
        assert marked[0]
        assert names_there(other)[0] == "committed early"
    finally:
        close_block()
    assert names()[0] == names_there(other)[0] == "committed early"


def test_commit_that_nobody_foresaw_is_stamped_all_the_same(
    other: OtherProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_cache_manager.connection_state import ConnectionState

    monkeypatch.setattr(ConnectionState, "_may_commit", lambda *_: False)
    open_block("committed early")
    try:
        assert names_there(other)[0] == "Ánna"
        sql("FLUSH TABLES")
        assert names_there(other)[0] == "committed early"
    finally:
        close_block()


def test_autocommit_set_by_sql(other: OtherProcess) -> None:
    sql("SET autocommit = 0")
    try:
        rename("not yet")
        assert names_there(other)[0] == "Ánna"
        sql("SET autocommit = 1")
        assert names()[0] == names_there(other)[0] == "not yet"
    finally:
        sql("SET autocommit = 1")


def test_answers_to_several_statements_come_in_order(other: OtherProcess) -> None:
    """PROTOCOL 2.1: all of them are over when execute() returns."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1; UPDATE testapp_author SET name = 'several'; SELECT 2 UNION SELECT 3"
        )
        assert names_there(other)[0] == "several"
        assert cursor.fetchall() == [(1,)]
        assert cursor.nextset() == 1
        assert (cursor.description, cursor.rowcount) == (None, 6)
        assert cursor.nextset() == 1
        assert (cursor.fetchone(), cursor.fetchall()) == ((2,), [(3,)])
        assert cursor.nextset() is None
    assert names()[0] == "several"


def test_slow_second_statement_is_within_the_bracket(other: OtherProcess) -> None:
    from django_cache_manager.api import segment_of

    segment = segment_of("default")
    assert segment is not None
    sql("UPDATE testapp_tag SET label = label; UPDATE testapp_author SET name = SLEEP(0.2)")
    assert not [slot for slot in segment.engine.slots() if slot["owner_alive"]]
    assert names()[0] == names_there(other)[0] == "0"


# --- errors ---------------------------------------------------------------------------------------


def hold_more() -> None:
    """One side of a deadlock, with more rows changed than the other has."""
    transaction.set_autocommit(False)
    for _ in range(3):
        sql("UPDATE testapp_book SET title = CONCAT(title, '!')")
    rename("theirs", 2)


def deadlock(other: OtherProcess) -> None:
    """Ours, which has the first author, is the victim: it changed fewer rows."""
    other.call(hold_more)
    other.send(rename, "theirs", 1)
    deadline = time.monotonic() + 20
    while not sql("SELECT 1 FROM information_schema.INNODB_TRX WHERE TRX_STATE = 'LOCK WAIT'"):
        assert time.monotonic() < deadline
        time.sleep(0.15)  # asked more often, the server gives an old list
    with pytest.raises(OperationalError, match="Deadlock"):
        sql("SELECT * FROM testapp_author WHERE id = 2 FOR UPDATE")
    other.receive()
    other.call(commit)
    other.call(set_autocommit, True)


def test_deadlock_rolls_all_back(other: OtherProcess) -> None:
    """PROTOCOL 4.3: what the transaction's own reads saw of it is gone."""
    transaction.set_autocommit(False)
    try:
        rename("mine")
        sql("UPDATE testapp_tag SET label = CONCAT('my ', label)")
        assert names()[0] == name_of() == "mine"
        assert labels() == ["my poetry", "my roman", "my наука"]
        deadlock(other)
        assert labels() == ["poetry", "roman", "наука"]
        assert names()[0] == name_of() == "theirs"
        assert_right(names)
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert names()[0] == names_there(other)[0] == "theirs"


def test_write_after_a_deadlock_in_a_raw_transaction(other: OtherProcess) -> None:
    """The error ended it without saying so: the next write commits at once."""
    sql("BEGIN")
    rename("mine")
    deadlock(other)
    assert names_there(other)[0] == "theirs"
    with marks_at_each_query() as marked:
        rename("committed at once")
    assert marked[0]
    assert names()[0] == names_there(other)[0] == "committed at once"


def hold(pk: int) -> None:
    transaction.set_autocommit(False)
    rename("held", pk)


def let_go() -> None:
    transaction.rollback()
    transaction.set_autocommit(True)


def test_lock_timeout_keeps_the_transaction(other: OtherProcess) -> None:
    sql("SET innodb_lock_wait_timeout = 1")
    other.call(hold, 2)
    try:
        with transaction.atomic():
            rename("mine")
            with pytest.raises(OperationalError, match="Lock wait timeout"):
                sql("UPDATE testapp_author SET name = 'waits' WHERE id = 2")
            assert names()[0] == "mine"
    finally:
        other.call(let_go)
    assert names()[:2] == names_there(other)[:2] == ["mine", "Boris"]


def test_error_within_a_savepoint(other: OtherProcess) -> None:
    with transaction.atomic():
        rename("outer")
        with pytest.raises(DatabaseError), transaction.atomic():
            rename("inner", 2)
            assert names()[:2] == ["outer", "inner"]
            sql("UPDATE testapp_country SET code = 'too long for it'")
        assert names()[:2] == ["outer", "Boris"]
    assert names()[:2] == names_there(other)[:2] == ["outer", "Boris"]
