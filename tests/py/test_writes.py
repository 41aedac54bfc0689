"""Every way to write makes the next read right, in the process that wrote and in every other."""

import pytest

from observe import assert_right, count_sql, portable, uncached
from settings import PLAIN
from testapp.mysql_writes import MYSQL_WRITES
from testapp.reads import SURVEY, survey
from testapp.writes import POSTGRESQL_WRITES, SQLITE_WRITES, WRITES, write
from worker import OtherProcess

pytestmark = pytest.mark.usefixtures("library")


def truth() -> object:
    with uncached():
        return portable(survey())


def fill(other: OtherProcess) -> object:
    """Everything cached in both processes; returns what was read."""
    before = portable(survey())
    with count_sql() as log:
        survey()
    assert log.none(), f"not cached: {list(log)}"
    assert other.call(survey) == before
    other.call(survey)
    assert PLAIN or not other.sql, f"not cached there: {other.sql}"
    return before


def check_write_here(name: str, other: OtherProcess) -> None:
    before = fill(other)
    write(name)
    here = portable(survey())
    there = other.call(survey)
    now = truth()
    assert now != before, "the write changed nothing that is read"
    assert here == now
    assert there == now


@pytest.mark.parametrize("name", WRITES)
def test_write_is_seen_here_and_there(name: str, other_process: OtherProcess) -> None:
    check_write_here(name, other_process)


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("name", POSTGRESQL_WRITES)
def test_postgresql_write_is_seen(name: str, other_process: OtherProcess) -> None:
    check_write_here(name, other_process)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("name", SQLITE_WRITES)
def test_sqlite_write_is_seen(name: str, other_process: OtherProcess) -> None:
    check_write_here(name, other_process)


@pytest.mark.databases("mariadb")
@pytest.mark.parametrize("name", MYSQL_WRITES)
def test_mysql_write_is_seen(name: str, other_process: OtherProcess) -> None:
    check_write_here(name, other_process)


@pytest.mark.parametrize("name", ["save", "delete_cascades", "many_set", "raw_update", "loaddata"])
def test_write_of_the_other_process_is_seen_here(name: str, other_process: OtherProcess) -> None:
    before = fill(other_process)
    other_process.call(write, name)
    now = truth()
    assert now != before
    assert portable(survey()) == now
    assert other_process.call(survey) == now


@pytest.mark.parametrize("name", WRITES)
def test_write_is_seen_by_its_own_process(name: str) -> None:
    """Without another process: also on a database in memory."""
    before = portable(survey())
    survey()
    write(name)
    assert portable(survey()) == truth() != before


@pytest.mark.cached
def test_entry_filled_here_is_hit_in_the_other_process(other_process: OtherProcess) -> None:
    before = portable(survey())
    assert other_process.call(survey) == before
    # ContentType has no CacheManager: its own cache of this process was empty.
    assert not [sql for sql in other_process.sql if "django_content_type" not in sql]


@pytest.mark.cached
def test_write_leaves_entries_of_other_tables(other_process: OtherProcess) -> None:
    from testapp.reads import READS, cached

    READS["self"](cached)
    write("update")
    with count_sql() as log:
        READS["self"](cached)
    assert not log
    assert "self" in SURVEY


def test_write_of_no_row_is_harmless() -> None:
    from testapp.models import Author

    survey()
    assert Author.objects.filter(pk=99).update(name="nobody") == 0
    assert_right(survey)


def test_write_that_fails_is_harmless() -> None:
    from django.db import IntegrityError

    from testapp.models import Tag

    survey()
    with pytest.raises(IntegrityError):
        Tag.objects.create(label="roman")
    assert_right(survey)
