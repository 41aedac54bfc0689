"""Every way to read a model is answered from the cache the second time, equal to Django's."""

import pytest

from observe import assert_cached, assert_hit, count_sql, portable
from testapp.models import Book
from testapp.reads import POSTGRESQL_READS, READS, cached, nocache

pytestmark = pytest.mark.usefixtures("library")


@pytest.mark.parametrize("name", READS)
def test_second_read_runs_no_sql_and_equals_django(name: str) -> None:
    assert_cached(lambda: READS[name](cached))


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("name", POSTGRESQL_READS)
def test_second_read_runs_no_sql_on_postgresql(name: str) -> None:
    assert_cached(lambda: POSTGRESQL_READS[name](cached))


@pytest.mark.parametrize("name", READS)
def test_nocache_asks_the_database_and_gives_the_same(name: str) -> None:
    before = portable(READS[name](cached))
    with count_sql() as log:
        assert portable(READS[name](nocache)) == before
    assert log


def test_iterator_with_prefetch() -> None:
    """SQLite stores nothing of the prefetches while the outer SELECT is unfinished; the next run
    does.
    """

    def read() -> list[Book]:
        return list(Book.objects.prefetch_related("tags").iterator(chunk_size=3))

    first = portable(read())
    assert portable(read()) == first
    assert portable(assert_hit(read)) == first
