"""raw(): cached where every table that it reads is known, and what Django returns in any case."""

import asyncio
import datetime
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import FieldDoesNotExist, SynchronousOnlyOperation
from django.db import DatabaseError, connection, models, transaction
from django.db.models.query import RawQuerySet
from django.db.models.sql import RawQuery

from observe import (
    assert_cached,
    assert_hit,
    assert_not_cached,
    assert_right,
    count_sql,
    uncached,
)
from settings import KIND
from testapp.actions import rename
from testapp.models import AllTypes, Author, Book, Plain, RankedAuthor, Tag
from testapp.shapes import Shout
from worker import OtherProcess

pytestmark = [pytest.mark.usefixtures("library"), pytest.mark.cached]

Change = Callable[..., None]
BY_ID = "SELECT * FROM testapp_author ORDER BY id"


def raw(sql: str, *args: Any, **kwargs: Any) -> Callable[[], list[Any]]:
    return lambda: list(Author.objects.raw(sql, *args, **kwargs))


CACHED: dict[str, Callable[[], list[Any]]] = {
    "all columns": raw(BY_ID),
    "some columns": raw("SELECT id, name FROM testapp_author ORDER BY id"),
    "columns in another order": raw("SELECT name, rank, id FROM testapp_author ORDER BY id"),
    "annotation": raw(
        "SELECT a.*, (SELECT count(*) FROM testapp_book b WHERE b.author_id = a.id) AS n"
        " FROM testapp_author a ORDER BY id"
    ),
    "join": raw(
        "SELECT a.id, a.name, c.name AS land FROM testapp_author a"
        " LEFT JOIN testapp_country c ON c.code = a.country_id ORDER BY a.id"
    ),
    "two columns of one name": raw(
        "SELECT a.id, a.name, c.name FROM testapp_author a"
        " JOIN testapp_country c ON c.code = a.country_id ORDER BY a.id"
    ),
    "with": raw(
        "WITH best AS (SELECT id, rank FROM testapp_author WHERE rank > 2)"
        " SELECT id, rank FROM best ORDER BY id"
    ),
    "parameters": raw("SELECT * FROM testapp_author WHERE rank > %s ORDER BY id", [2]),
    "parameters in a tuple": raw("SELECT * FROM testapp_author WHERE rank > %s", (4,)),
    "named parameters": raw(
        "SELECT * FROM testapp_author WHERE rank BETWEEN %(low)s AND %(high)s ORDER BY id",
        {"low": 1, "high": 3},
    ),
    "a percent sign": raw("SELECT * FROM testapp_author WHERE name LIKE 'B%%'", []),
    "no parameters at all": raw("SELECT * FROM testapp_author WHERE name LIKE 'B%'", None),
    "a date": raw(
        "SELECT * FROM testapp_author WHERE born < %s ORDER BY id", [datetime.date(1930, 1, 1)]
    ),
    "translations": raw(
        "SELECT id, name AS called, rank AS place FROM testapp_author ORDER BY id",
        translations={"called": "name", "nothing": "rank"},
    ),
    "no rows": raw("SELECT id FROM testapp_author WHERE rank > 99"),
    "a final semicolon": raw("SELECT id FROM testapp_author ORDER BY id;"),
    "converters": lambda: list(AllTypes.objects.raw("SELECT * FROM testapp_alltypes")),
    "a proxy": lambda: list(RankedAuthor.objects.raw(BY_ID)),
    "prefetch": lambda: list(Author.objects.raw(BY_ID).prefetch_related("books__tags")),
    "length": lambda: [len(Author.objects.raw(BY_ID)), bool(Author.objects.raw(BY_ID))],
    "one item": lambda: [Author.objects.raw(BY_ID)[2]],
    "columns": lambda: [columns_and_rows(Author.objects.raw(BY_ID))],
    "iterator": lambda: list(Author.objects.raw(BY_ID).iterator()),
    "using": lambda: list(Author.objects.raw(BY_ID).using("default")),
    "related manager": lambda: list(Author(pk=1).books.raw("SELECT * FROM testapp_book")),
}


def columns_and_rows(found: RawQuerySet) -> Any:
    rows = list(found)
    return found.columns, rows


@pytest.mark.parametrize("name", CACHED)
def test_is_cached_and_equals_djangos(name: str) -> None:
    AllTypes.objects.create(
        json={"a": [1]}, shout="loud", date=datetime.date(2020, 2, 3), decimal="1.5"
    )
    assert_cached(CACHED[name])


def test_columns_first_are_a_hit_too() -> None:
    def read() -> Any:
        found = Author.objects.raw("SELECT id, rank AS n FROM testapp_author ORDER BY id")
        return found.columns, [(author.pk, author.n) for author in found]

    assert_cached(read)


def test_values_have_their_types() -> None:
    AllTypes.objects.create(shout="loud", json={"a": 1}, moment=datetime.datetime.now(datetime.UTC))

    def read() -> AllTypes:
        return AllTypes.objects.raw("SELECT * FROM testapp_alltypes")[0]

    found = assert_cached(read)
    assert type(found.shout) is Shout
    assert found.json == {"a": 1}
    found.json["a"] = 2
    assert read().json == {"a": 1}


def test_deferred_fields_are_loaded_when_asked_for() -> None:
    sql = "SELECT id, name FROM testapp_author WHERE id = 2"

    def deferred() -> Any:
        author = Author.objects.raw(sql)[0]
        return sorted(author.get_deferred_fields()), author._state.adding, author._state.db

    assert assert_cached(deferred)[0] == ["born", "country_id", "email", "rank"]
    assert assert_cached(lambda: Author.objects.raw(sql)[0].rank) == 1


def test_missing_primary_key_is_djangos_own_error() -> None:
    def error() -> str:
        with pytest.raises(FieldDoesNotExist) as caught:
            list(Author.objects.raw("SELECT name FROM testapp_author"))
        return str(caught.value)

    assert error() == error() == "Raw query must include the primary key"


def test_each_write_is_seen(other_process: OtherProcess) -> None:
    read = CACHED["all columns"]
    assert_cached(read)
    Author.objects.filter(pk=1).update(name="changed here")
    assert assert_cached(read)[0].name == "changed here"
    other_process.call(rename, "changed there", 1)
    assert assert_cached(read)[0].name == "changed there"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE testapp_author SET name = 'raw' WHERE id = 1")
    assert assert_cached(read)[0].name == "raw"


def test_each_table_counts() -> None:
    read = CACHED["annotation"]
    assert [author.n for author in assert_cached(read)] == [3, 3, 2, 2, 0, 0]
    Book.objects.create(title="one more", author_id=6)
    assert [author.n for author in read()] == [3, 3, 2, 2, 0, 1]


def test_parameters_count_with_their_types() -> None:
    sql = "SELECT id, name, %s AS given FROM testapp_author WHERE id = 1"
    for value in (1, 2, True, 1.0):
        assert_right(lambda value=value: Author.objects.raw(sql, [value])[0].given)
    sql = "SELECT id, name FROM testapp_author WHERE rank > %(a)s AND rank < %(b)s ORDER BY id"

    def between(low: int, high: int) -> list[int]:
        return [author.pk for author in Author.objects.raw(sql, {"a": low, "b": high})]

    assert assert_cached(lambda: between(1, 4)) == [3, 4]
    assert between(0, 3) == [2, 3]


def test_own_writes_and_rollback() -> None:
    def names() -> list[str]:
        return [author.name for author in Author.objects.raw(BY_ID)][:1]

    before = assert_cached(names)
    with transaction.atomic():
        Author.objects.filter(pk=1).update(name="mine")
        assert names() == ["mine"]
        with count_sql() as log:
            assert names() == ["mine"]
        assert log.none()
        transaction.set_rollback(True)
    assert names() == before


def test_a_hit_raises_what_the_query_would_in_a_broken_transaction() -> None:
    read = CACHED["all columns"]
    read()
    with transaction.atomic():
        list(Tag.objects.nocache())
        assert_hit(read)
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            read()


def test_event_loop_is_refused_and_async_iteration_is_a_hit() -> None:
    read = CACHED["all columns"]
    read()

    async def on_the_loop() -> None:
        with pytest.raises(SynchronousOnlyOperation):
            read()

    asyncio.run(on_the_loop())

    async def iterated() -> list[Any]:
        return [author async for author in Author.objects.raw(BY_ID)]

    from asgiref.sync import async_to_sync

    assert_cached(lambda: async_to_sync(iterated)())


def test_rows_read_halfway_are_not_kept() -> None:
    rows = Author.objects.raw(BY_ID).iterator()
    next(rows)
    rows.close()
    with count_sql() as log:
        assert len(CACHED["all columns"]()) == 6
    assert log


def test_write_between_first_and_last_row_is_not_kept() -> None:
    rows = Author.objects.raw(BY_ID).iterator()
    next(rows)
    Tag.objects.create(label="between")
    list(rows)
    with count_sql() as log:
        CACHED["all columns"]()
    assert log


UNCACHED: dict[str, Callable[[], list[Any]]] = {
    "chance": raw("SELECT id, random() AS r FROM testapp_author"),
    "the time": raw("SELECT id, CURRENT_TIMESTAMP AS t FROM testapp_author"),
    "not a list": lambda: list(
        Author.objects.raw("SELECT * FROM testapp_author WHERE rank > %s", (n for n in [2]))
    ),
}
if KIND in ("postgresql", "psycopg2"):
    UNCACHED |= {
        "an unknown function": raw("SELECT id, clock_timestamp() AS t FROM testapp_author"),
        "the catalog": raw("SELECT oid AS id FROM pg_class"),
        "a lock": raw("SELECT * FROM testapp_author FOR UPDATE"),
        "a sample": raw("SELECT * FROM testapp_author TABLESAMPLE SYSTEM (100)"),
        "where a row lies": raw("SELECT id, ctid::text AS c FROM testapp_author"),
        "now in a literal": raw("SELECT * FROM testapp_author WHERE born < 'now'"),
        "now in a parameter": raw("SELECT * FROM testapp_author WHERE born < %s", ["today 10:00"]),
        "text cast to a date": raw(
            "SELECT id, name FROM testapp_author WHERE email::date IS NULL AND false"
        ),
        "text cast to a time": raw(
            "SELECT id FROM testapp_author WHERE false AND CAST(email AS timestamp) IS NULL"
        ),
        "the user": raw("SELECT id, current_user AS u FROM testapp_author"),
        "a write": raw("UPDATE testapp_author SET rank = rank RETURNING *"),
        "a plan": lambda: list(
            Tag.objects.raw("EXPLAIN SELECT * FROM testapp_tag", translations={"QUERY PLAN": "id"})
        ),
    }
else:
    UNCACHED |= {
        "an unknown function": raw("SELECT id, changes() AS t FROM testapp_author"),
        "the catalog": raw("SELECT rootpage AS id FROM sqlite_master"),
        "a pragma": raw("SELECT cid AS id FROM pragma_table_info('testapp_author')"),
        "where a row lies": raw("SELECT id, rowid AS r FROM testapp_author"),
    }
if KIND in ("postgresql", "psycopg2"):
    del UNCACHED["not a list"]


@pytest.mark.parametrize("name", UNCACHED)
def test_is_asked_each_time(name: str) -> None:
    with transaction.atomic():
        assert_not_cached(UNCACHED[name])
    assert_not_cached(UNCACHED[name]) if name != "a lock" else None


@pytest.mark.parametrize("name", UNCACHED)
def test_explain_says_why(name: str) -> None:
    from django_cache_manager.api import explain

    queryset = find_queryset(UNCACHED[name])
    found = explain(queryset)
    assert (found.cached, found.cacheable) == (False, False)
    assert found.reason


def find_queryset(read: Callable[[], list[Any]]) -> RawQuerySet:
    """The raw queryset that a read makes."""
    seen: list[RawQuerySet] = []
    original = RawQuerySet.iterator

    def iterator(self: RawQuerySet) -> Any:
        seen.append(self)
        return iter(())

    RawQuerySet.iterator = iterator  # type: ignore[method-assign]
    try:
        read()
    finally:
        RawQuerySet.iterator = original  # type: ignore[method-assign]
    return seen[0]


def test_explain_of_a_cached_one() -> None:
    from django_cache_manager.api import explain

    read = CACHED["annotation"]
    assert explain(find_queryset(read)).cacheable
    read()
    found = explain(find_queryset(read))
    assert found.cached
    assert found.dependencies == ("testapp_author", "testapp_book")


def test_unknown_table_is_djangos_own_error() -> None:
    for _ in range(2):
        with pytest.raises(DatabaseError):
            list(Author.objects.raw("SELECT * FROM testapp_nowhere"))


def test_model_decides(settings_of_cache: Change) -> None:
    read = lambda: list(Plain.objects.raw("SELECT * FROM testapp_plain ORDER BY id"))  # noqa: E731
    assert_not_cached(read)
    settings_of_cache(MODELS=["testapp.Plain"])
    assert_cached(read)
    assert_cached(lambda: list(Plain.objects.using("default").raw("SELECT * FROM testapp_plain")))
    settings_of_cache(MODELS=["*"], EXCLUDE=["testapp.Plain"])
    assert_not_cached(read)


def test_opting_out(settings_of_cache: Change) -> None:
    class Quiet(models.QuerySet):
        caching = False

    settings_of_cache(MODELS=["*"])
    assert_not_cached(lambda: list(Author.objects.nocache().raw(BY_ID)))
    assert_not_cached(lambda: list(Author.objects.nocache().raw(BY_ID).using("default")))
    assert_not_cached(lambda: list(Quiet(Plain).raw("SELECT * FROM testapp_plain")))
    with uncached():
        assert_not_cached(CACHED["all columns"])
    settings_of_cache(ENABLED=False)
    assert_not_cached(CACHED["all columns"])


def test_cursor_is_never_cached() -> None:
    def read() -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(BY_ID)
            return cursor.fetchall()

    assert_not_cached(read)


def test_queryset_looks_as_djangos() -> None:
    found = Author.objects.raw(BY_ID)
    assert isinstance(found.query, RawQuery)
    assert repr(found) == f"<RawQuerySet: {BY_ID}>"
    assert repr(found.query) == f"<RawQuery: {BY_ID}>"
    assert str(found.query) == BY_ID
    again = pickle.loads(pickle.dumps(found))
    assert [author.pk for author in again] == [1, 2, 3, 4, 5, 6]
    filtered = Author.objects.filter(rank=3).raw(BY_ID)  # what filter() did is lost, as in Django
    assert len(filtered) == 6


@pytest.mark.databases("postgresql")
def test_functions_of_the_database_are_not_trusted() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION tags_of(testapp_author) RETURNS bigint LANGUAGE sql STABLE"
            " AS 'SELECT count(*) FROM testapp_tag'"
        )
    try:
        for sql in (
            "SELECT a.id, a.tags_of AS n FROM testapp_author a",
            "SELECT a.id, tags_of(a) AS n FROM testapp_author a",
            'SELECT a.id, a."tags_of" AS n FROM testapp_author a',
        ):
            before = assert_not_cached(lambda sql=sql: Author.objects.raw(sql)[0].n)
            Tag.objects.create(label=f"one more {before}")
            assert Author.objects.raw(sql)[0].n == before + 1
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION tags_of(testapp_author)")


@pytest.mark.databases("postgresql")
def test_a_text_that_means_now_is_not_cached_in_a_queryset() -> None:
    from django.contrib.postgres.fields import ArrayField
    from django.db.models import DateField, FloatField, Value
    from django.db.models.functions import Cast

    assert_not_cached(lambda: list(Author.objects.filter(born__lt=Value("today"))))
    assert_not_cached(
        lambda: list(Author.objects.filter(pk__lt=0).annotate(day=Cast("email", DateField())))
    )
    assert_not_cached(lambda: list(Author.objects.annotate(d=Cast(Value("now"), DateField()))))
    assert_cached(lambda: list(Author.objects.annotate(d=Cast("born", DateField()))))
    numbers = Cast(Value([1.0, 0.5]), ArrayField(FloatField()))  # of no field of its own
    assert_not_cached(lambda: list(Author.objects.annotate(numbers=numbers)))
    assert_cached(lambda: list(Author.objects.filter(name="nowhere")))
