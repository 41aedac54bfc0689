"""A transaction's own writes are seen by its own connection only, and by all after its commit."""

from collections.abc import Iterator

import pytest
from django.db import (
    DatabaseError,
    IntegrityError,
    connection,
    connections,
    transaction,
)
from django.test import Client

import worker
from observe import assert_hit, assert_right, count_sql, invalidate_all, portable
from settings import PLAIN
from testapp.actions import (
    add_tag,
    author,
    commit,
    labels,
    name_of,
    names,
    rename,
    rename_by_sql,
    rollback,
    set_autocommit,
)
from testapp.models import Author, Book, Loan, Reader, Tag
from worker import OtherProcess, RollBack, names_there

pytestmark = pytest.mark.usefixtures("library")


def there(other: OtherProcess) -> str:
    """The name of author 1 as the other process reads it."""
    return eval(other.call(name_of)[1])


@pytest.fixture
def manual() -> Iterator[None]:
    """Autocommit off in this process; back on at the end."""
    set_autocommit(False)
    yield
    rollback()
    set_autocommit(True)


def test_commit_is_seen_by_all_and_not_before(other: OtherProcess) -> None:
    with transaction.atomic():
        rename("within")
        assert name_of() == "within"
        assert there(other) == "Ánna"
        assert names()[0] == "within"
        assert names_there(other)[0] == "Ánna"
    assert name_of() == "within"
    assert there(other) == "within"
    assert names_there(other)[0] == names()[0] == "within"


def test_other_process_keeps_its_hits_during_an_open_write(other: OtherProcess) -> None:
    with transaction.atomic():
        rename("within")
        assert there(other) == "Ánna"
        assert PLAIN or not other.sql


def test_rollback_leaves_no_trace(other: OtherProcess) -> None:
    with pytest.raises(RollBack), transaction.atomic():
        rename("never")
        assert name_of() == names()[0] == "never"
        raise RollBack
    assert name_of() == there(other) == "Ánna"
    assert names()[0] == names_there(other)[0] == "Ánna"


def test_set_rollback(other: OtherProcess) -> None:
    with transaction.atomic():
        rename("never")
        name_of()
        transaction.set_rollback(True)
    assert name_of() == there(other) == "Ánna"


def test_savepoint_rollback_drops_what_it_wrote(other: OtherProcess) -> None:
    with transaction.atomic():
        rename("outer")
        assert name_of() == "outer"
        with pytest.raises(RollBack), transaction.atomic():
            rename("inner")
            assert name_of() == "inner"
            raise RollBack
        assert name_of() == "outer"
        assert there(other) == "Ánna"
    assert name_of() == there(other) == "outer"


def test_savepoint_rollback_of_the_only_write(other: OtherProcess) -> None:
    with transaction.atomic():
        assert name_of() == "Ánna"
        with pytest.raises(RollBack), transaction.atomic():
            rename("inner")
            assert name_of() == "inner"
            raise RollBack
        assert name_of() == "Ánna"
    assert name_of() == there(other) == "Ánna"


def test_write_before_and_after_a_savepoint_rollback(other: OtherProcess) -> None:
    with transaction.atomic():
        with pytest.raises(RollBack), transaction.atomic():
            rename("lost")
            raise RollBack
        add_tag("kept")
        assert "kept" in labels()
    assert name_of() == there(other) == "Ánna"
    assert "kept" in labels()


def test_released_savepoint_keeps_its_write(other: OtherProcess) -> None:
    with transaction.atomic():
        with transaction.atomic():
            rename("inner")
        assert name_of() == "inner"
        assert there(other) == "Ánna"
    assert name_of() == there(other) == "inner"


def test_release_then_rollback_of_the_outer_block(other: OtherProcess) -> None:
    with pytest.raises(RollBack), transaction.atomic():
        with transaction.atomic():
            rename("inner")
        name_of()
        raise RollBack
    assert name_of() == there(other) == "Ánna"


def test_savepoints_by_hand(other: OtherProcess) -> None:
    with transaction.atomic():
        first = transaction.savepoint()
        rename("first")
        second = transaction.savepoint()
        rename("second")
        assert name_of() == "second"
        transaction.savepoint_rollback(second)
        assert name_of() == "first"
        transaction.savepoint_commit(second)
        transaction.savepoint_rollback(first)
        assert name_of() == "Ánna"
        rename("third")
        assert name_of() == "third"
    assert name_of() == there(other) == "third"


def test_nested_without_savepoint(other: OtherProcess) -> None:
    with transaction.atomic():
        with pytest.raises(RollBack), transaction.atomic(savepoint=False):
            rename("never")
            raise RollBack
        with pytest.raises(transaction.TransactionManagementError):
            name_of()
    assert name_of() == there(other) == "Ánna"


def test_durable(other: OtherProcess) -> None:
    with transaction.atomic(durable=True):
        rename("durable")
        assert there(other) == "Ánna"
    assert name_of() == there(other) == "durable"
    with transaction.atomic(), pytest.raises(RuntimeError), transaction.atomic(durable=True):
        pass


def test_error_breaks_the_block_for_hits_too() -> None:
    """A hit raises what the query would have raised."""
    names()
    with pytest.raises(transaction.TransactionManagementError), transaction.atomic():
        with pytest.raises(IntegrityError), transaction.atomic(savepoint=False):
            Tag.objects.bulk_create([Tag(label="roman")])
        names()
    assert_right(names)


def test_error_within_a_savepoint_goes_on(other: OtherProcess) -> None:
    with transaction.atomic():
        rename("kept")
        with pytest.raises(IntegrityError), transaction.atomic():
            rename("lost")
            Tag.objects.create(label="roman")
        assert name_of() == "kept"
    assert name_of() == there(other) == "kept"


def test_on_commit_sees_the_commit_settled(other: OtherProcess) -> None:
    seen: list[object] = []

    def look() -> None:
        seen.append((name_of(), names()[0], there(other), connection.in_atomic_block))

    with transaction.atomic():
        rename("committed")
        transaction.on_commit(look)
        assert not seen
    assert seen == [("committed", "committed", "committed", False)]


def test_on_commit_of_a_rolled_back_savepoint_is_not_run() -> None:
    seen: list[str] = []
    with transaction.atomic():
        with pytest.raises(RollBack), transaction.atomic():
            rename("never")
            transaction.on_commit(lambda: seen.append("never"))
            raise RollBack
        transaction.on_commit(lambda: seen.append(name_of()))
    assert seen == ["Ánna"]


def test_write_in_on_commit(other: OtherProcess) -> None:
    with transaction.atomic():
        rename("first")
        transaction.on_commit(lambda: rename("second"))
    assert name_of() == there(other) == "second"


def test_autocommit_off(other: OtherProcess, manual: None) -> None:
    assert name_of() == "Ánna"
    rename("by hand")
    assert name_of() == "by hand"
    assert there(other) == "Ánna"
    commit()
    assert name_of() == there(other) == "by hand"
    rename("undone")
    assert name_of() == "undone"
    rollback()
    assert name_of() == there(other) == "by hand"


def test_autocommit_on_again_commits(other: OtherProcess) -> None:
    set_autocommit(False)
    rename("by hand")
    commit()
    rename("by switch")
    assert name_of() == "by switch"
    assert there(other) == "by hand"
    rollback()
    set_autocommit(True)
    assert name_of() == there(other) == "by hand"


def test_autocommit_off_sees_commits_of_others(other: OtherProcess, manual: None) -> None:
    name_of()
    commit()
    other.call(rename, "theirs")
    assert name_of() == "theirs"


def test_atomic_with_autocommit_off(other: OtherProcess, manual: None) -> None:
    """The block is a savepoint. On SQLite, where no BEGIN came before it, its RELEASE commits."""
    with transaction.atomic():
        rename("in a block")
        assert name_of() == "in a block"
    assert name_of() == "in a block"
    assert there(other) == ("in a block" if connection.vendor == "sqlite" else "Ánna")
    commit()
    assert name_of() == there(other) == "in a block"


def test_closed_connection_rolls_back(other: OtherProcess, manual: None) -> None:
    rename("lost with the connection")
    assert name_of() == "lost with the connection"
    connection.close()
    assert name_of() == there(other) == "Ánna"


def test_connection_closed_in_a_block_is_opened_again(library: None) -> None:
    """The block's end is not undone by it: nothing is left to be rolled back."""
    Author.objects.get(pk=1)
    with transaction.atomic():
        connection.close()
    for _ in range(2):
        assert Author.objects.get(pk=1).name == "Ánna"


@pytest.fixture
def atomic_requests() -> Iterator[Client]:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield Client(raise_request_exception=False)
    connection.settings_dict["ATOMIC_REQUESTS"] = False


def test_atomic_requests_commit(atomic_requests: Client, other: OtherProcess) -> None:
    assert atomic_requests.get("/names/").json()["names"][0] == "Ánna"
    assert atomic_requests.get("/rename/").json()["names"][0] == "renamed"
    assert name_of() == there(other) == "renamed"
    assert atomic_requests.get("/names/").json()["names"][0] == "renamed"


def test_atomic_requests_roll_back(atomic_requests: Client, other: OtherProcess) -> None:
    assert atomic_requests.get("/rename-and-fail/").status_code == 500
    assert atomic_requests.get("/names/").json()["names"][0] == "Ánna"
    assert name_of() == there(other) == "Ánna"


def test_deferred_constraint_fails_at_commit(other: OtherProcess) -> None:
    loans = Loan.objects.count()
    with pytest.raises(IntegrityError), transaction.atomic():
        rename("never")
        Loan.objects.bulk_create([Loan(book_id=999, reader_id=1, due="2024-01-01")])
        assert Loan.objects.count() == loans + 1
        assert name_of() == "never"
    assert Loan.objects.count() == loans
    assert name_of() == there(other) == "Ánna"


def test_deferred_constraint_fails_in_autocommit() -> None:
    readers = Reader.objects.count()
    loans = Loan.objects.count()
    with pytest.raises(IntegrityError):
        Loan.objects.create(book_id=1, reader_id=999, due="2024-01-01")
    assert (Reader.objects.count(), Loan.objects.count()) == (readers, loans)
    assert_right(lambda: list(Loan.objects.order_by("pk")))


def test_failed_begin_is_harmless(other: OtherProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise DatabaseError("no transaction today")

    name = (
        "_start_transaction_under_autocommit" if connection.vendor == "sqlite" else "set_autocommit"
    )
    with monkeypatch.context() as patch:
        patch.setattr(connection, name, refuse)
        with pytest.raises(DatabaseError), transaction.atomic():
            rename("never")
    assert name_of() == there(other) == "Ánna"
    rename("afterwards")
    assert name_of() == there(other) == "afterwards"


def test_failed_commit_is_rolled_back(other: OtherProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's wrapper raises before the driver is asked: the outcome is known by the rollback."""

    def refuse() -> None:
        raise DatabaseError("no commit today")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "_commit", refuse)
        with pytest.raises(DatabaseError), transaction.atomic():
            rename("never")
    assert name_of() == there(other) == "Ánna"


def test_two_databases_are_apart(other: OtherProcess) -> None:
    Author.objects.using("other").create(pk=1, name="elsewhere")
    assert name_of(1, "other") == "elsewhere"
    assert name_of() == "Ánna"
    with transaction.atomic(), transaction.atomic(using="other"):
        rename("here")
        rename("elsewhere too", 1, "other")
        assert (name_of(), name_of(1, "other")) == ("here", "elsewhere too")
        assert other.call(name_of, 1, "other") == portable("elsewhere")
    assert (name_of(), name_of(1, "other")) == ("here", "elsewhere too")
    assert other.call(name_of, 1, "other") == portable("elsewhere too")


def test_commit_of_one_and_rollback_of_the_other_database(other: OtherProcess) -> None:
    Author.objects.using("other").create(pk=1, name="elsewhere")
    name_of(1, "other")
    with pytest.raises(RollBack), transaction.atomic(using="other"):
        rename("never", 1, "other")
        with transaction.atomic():
            rename("here")
        assert (name_of(), name_of(1, "other")) == ("here", "never")
        raise RollBack
    assert (name_of(), name_of(1, "other")) == ("here", "elsewhere")
    assert there(other) == "here"


@pytest.mark.databases("sqlite-wal", "postgresql")
def test_write_of_the_other_process_within_own_transaction(other: OtherProcess) -> None:
    """READ COMMITTED sees it at once, a SQLite snapshot after the block; the cache as the
    database.
    """
    with transaction.atomic():
        name_of()
        other.call(rename, "theirs")
        assert_right(name_of)
        assert_right(names)
    assert name_of() == "theirs"


def test_open_transaction_of_the_other_process(other: OtherProcess) -> None:
    other.call(worker.begin)
    other.call(rename, "theirs")
    assert there(other) == "theirs"
    assert name_of() == names()[0] == "Ánna"
    other.call(worker.end)
    assert name_of() == names()[0] == "theirs"


def test_rolled_back_transaction_of_the_other_process(other: OtherProcess) -> None:
    other.call(worker.begin)
    other.call(rename_by_sql, "never")
    assert there(other) == "never"
    assert name_of() == "Ánna"
    other.call(worker.end, False)
    assert name_of() == there(other) == names_there(other)[0] == "Ánna"


def test_killed_transaction_of_the_other_process(other: OtherProcess) -> None:
    other.call(worker.begin)
    other.call(rename, "never")
    other.call(name_of)
    other.kill()
    assert name_of() == names()[0] == "Ánna"
    assert there(other) == "Ánna"


@pytest.mark.cached
def test_read_in_a_clean_transaction_fills_for_all(other: OtherProcess) -> None:
    invalidate_all()
    with transaction.atomic():
        names()
        if connection.vendor == "postgresql":
            assert_hit(names)
    assert_hit(names)
    other.call(names)
    assert not other.sql


# --- the overlay: a connection's private cache of its own writes ----------------------------------


@pytest.mark.cached
def test_second_read_of_a_dirty_table_is_a_hit() -> None:
    with transaction.atomic():
        rename("dirty")
        assert name_of() == "dirty"
        assert assert_hit(name_of) == "dirty"
        author()
        assert assert_hit(author).name == "dirty"


@pytest.mark.cached
def test_overlay_is_private(other: OtherProcess) -> None:
    with transaction.atomic():
        rename("dirty")
        name_of()
        assert_hit(name_of)
        assert there(other) == "Ánna"
    with pytest.raises(RollBack), transaction.atomic():
        rename("dirtier")
        name_of()
        raise RollBack
    assert there(other) == name_of() == "dirty"


def test_own_write_drops_the_overlay() -> None:
    with transaction.atomic():
        for name in ("one", "two", "three"):
            rename(name)
            assert name_of() == name
            assert names()[0] == name


@pytest.mark.cached
def test_own_write_to_another_table_leaves_the_overlay() -> None:
    with transaction.atomic():
        rename("dirty")
        name_of()
        add_tag("another table")
        assert assert_hit(name_of) == "dirty"
        assert "another table" in labels()


def test_savepoint_rollback_drops_the_overlay() -> None:
    with transaction.atomic():
        rename("outer")
        with pytest.raises(RollBack), transaction.atomic():
            assert name_of() == "outer"
            rename("inner")
            assert (name_of(), names()[0]) == ("inner", "inner")
            raise RollBack
        with count_sql() as log:
            assert (name_of(), names()[0]) == ("outer", "outer")
        assert PLAIN or log


def test_overlay_of_a_join_falls_with_either_table() -> None:
    def read() -> list[tuple[str, str]]:
        return list(Book.objects.values_list("title", "author__name"))

    with transaction.atomic():
        rename("author of it")
        assert read()[0][1] == "author of it"
        Book.objects.filter(author=1).update(title="0 new title")
        assert read()[0] == ("0 new title", "author of it")
        rename("renamed again")
        assert read()[0] == ("0 new title", "renamed again")


def test_overlay_ends_with_the_transaction(other: OtherProcess) -> None:
    with transaction.atomic():
        rename("mine")
        name_of()
    other.call(rename, "theirs")
    assert name_of() == "theirs"
    assert connections["default"].in_atomic_block is False


@pytest.mark.cached
@pytest.mark.databases("postgresql", "mariadb")
def test_release_of_a_savepoint_leaves_other_tables_cached(manual: None) -> None:
    """Also of one that began the transaction: only on SQLite does it commit."""
    labels()
    rollback()
    with transaction.atomic():
        rename("nested")
    commit()
    assert_hit(labels)
    assert name_of() == "nested"


@pytest.mark.cached
def test_overlay_of_a_rolled_back_transaction_is_not_the_nexts(other: OtherProcess) -> None:
    with pytest.raises(RollBack), transaction.atomic():
        rename("rolled back")
        assert name_of() == assert_hit(name_of) == "rolled back"
        raise RollBack
    with transaction.atomic():
        assert "so that" not in labels()  # asked, so that there is a snapshot
        add_tag("so that there is an overlay")
        assert name_of() == "Ánna"


@pytest.mark.cached
@pytest.mark.databases("postgresql")
def test_overlay_falls_with_the_write_of_another(other: OtherProcess) -> None:
    with transaction.atomic():
        rename("mine")
        names()
        assert assert_hit(names)[0] == "mine"
        other.call(rename, "theirs", 2)
        assert names()[:2] == ["mine", "theirs"]
