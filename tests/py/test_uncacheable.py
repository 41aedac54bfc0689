"""What can't be proved safe to cache goes to the database each time, and what explain() says of
it.
"""

import datetime
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from django.db import connection, models, transaction
from django.db.models import F, Func, OuterRef, Subquery, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now, Random, Upper
from django.db.models.lookups import Exact

from observe import assert_cached, assert_hit, assert_not_cached, assert_right, count_sql
from settings import PLAIN
from testapp.models import AllTypes, Author, Book, Node, Plain, Tag
from testapp.reads import READS, cached

pytestmark = [pytest.mark.usefixtures("library")]


class Unknown(Func):
    """An expression of the application's own: nothing is known of it."""

    function = "ABS"


class Fickle(models.Lookup):
    lookup_name = "fickle"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        left, params = self.process_lhs(compiler, connection)
        right, more = self.process_rhs(compiler, connection)
        return f"{left} = ({right})", [*params, *more]


class HiddenRead(models.Expression):
    """Reads a table that no join of the query names."""

    output_field = models.IntegerField()

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        return "(SELECT count(*) FROM testapp_tag)", []


UNCACHED: dict[str, Callable[[], models.QuerySet]] = {
    "order_by random": lambda: Author.objects.order_by("?"),
    "order_by random and more": lambda: Author.objects.order_by("rank", "?"),
    "order_by Random()": lambda: Author.objects.order_by(Random()),
    "now": lambda: Author.objects.annotate(now=Now()),
    "now in a filter": lambda: Book.objects.filter(published__lt=Now()),
    "now in a subquery": lambda: Author.objects.filter(
        books__in=Book.objects.filter(published__lt=Now())
    ),
    "raw sql": lambda: Author.objects.annotate(one=RawSQL("rank + %s", [1])),
    "raw sql deep in": lambda: Author.objects.filter(
        pk__in=Author.objects.annotate(one=RawSQL("1", [])).filter(one=1).values("pk")
    ),
    "extra select": lambda: Author.objects.extra(
        select={"n": "(SELECT count(*) FROM testapp_tag)"}
    ),
    "extra where": lambda: Author.objects.extra(where=["rank > %s"], params=[3]),
    "extra tables": lambda: Author.objects.extra(
        tables=["testapp_passport"], where=["owner_id = testapp_author.id"]
    ),
    "extra order": lambda: Author.objects.extra(order_by=["-rank"]),
    "unknown expression": lambda: Author.objects.annotate(n=Unknown("rank")),
    "unknown expression in order": lambda: Author.objects.order_by(Unknown("rank")),
    "unknown expression in a filter": lambda: Author.objects.filter(rank=Unknown(Value(-3))),
    "unknown expression in a subquery": lambda: Author.objects.annotate(
        n=Subquery(Node.objects.filter(weight=Unknown(OuterRef("rank"))).values("weight")[:1])
    ),
    "hidden read": lambda: Author.objects.annotate(n=HiddenRead()),
    "unknown lookup": lambda: Author.objects.filter(Fickle(F("rank"), Value(3))),
    "function in a template": lambda: Author.objects.annotate(
        n=Func(template="(SELECT count(*) FROM testapp_tag)", output_field=models.IntegerField())
    ),
    "function by name": lambda: Author.objects.annotate(
        n=Func(function="RANDOM", output_field=models.FloatField())
    ),
}


@pytest.mark.parametrize("name", UNCACHED)
def test_is_asked_each_time(name: str) -> None:
    assert_not_cached(lambda: list(UNCACHED[name]()))
    assert_not_cached(lambda: list(UNCACHED[name]()[:2]))


@pytest.mark.cached
@pytest.mark.parametrize("name", UNCACHED)
def test_explain_says_why(name: str) -> None:
    from django_cache_manager.api import explain

    list(UNCACHED[name]())
    found = explain(UNCACHED[name]())
    assert not found.cached
    assert not found.cacheable
    assert found.reason


def test_subclass_of_a_known_lookup_is_unknown() -> None:
    class Louder(Exact):
        def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
            return "EXISTS (SELECT 1 FROM testapp_tag)", []

    assert_not_cached(lambda: list(Author.objects.filter(Louder(F("rank"), Value(1)))))


def test_hidden_read_is_never_stale() -> None:
    def count() -> int:
        return Author.objects.annotate(n=HiddenRead()).values_list("n", flat=True)[0]

    before = count()
    Tag.objects.create(label="one more")
    assert count() == before + 1


@pytest.mark.databases("sqlite-file", "postgresql")
def test_now_moves_on() -> None:
    def now() -> datetime.datetime:
        return Author.objects.annotate(now=Now()).values_list("now", flat=True)[0]

    first = now()
    while (second := now()) == first:
        pass
    assert second > first


@pytest.mark.databases("postgresql")
def test_select_for_update_is_asked_each_time() -> None:
    with transaction.atomic():
        assert_not_cached(lambda: list(Author.objects.select_for_update().filter(rank=1)))
        assert_not_cached(lambda: Author.objects.select_for_update(of=("self",)).get(pk=1))


def test_query_explain_is_asked_each_time() -> None:
    assert_not_cached(lambda: Author.objects.filter(rank=1).explain())


def test_model_without_the_manager_is_not_cached() -> None:
    assert_not_cached(lambda: list(Plain.objects.all()))
    assert_not_cached(lambda: Plain.objects.count())
    assert_not_cached(lambda: list(Author.plain.all()))


@pytest.fixture
def large() -> int:
    """Rows of 16 MB in all, over MAX_ENTRY of the run's segments."""
    AllTypes.objects.bulk_create(AllTypes(text=f"{n:040000}") for n in range(400))
    return 400


def large_rows() -> Iterator[AllTypes]:
    return AllTypes.objects.order_by("pk").iterator(chunk_size=5)


def test_result_above_the_cap_is_not_stored(large: int) -> None:
    """Asked each time, right each time."""
    assert len(assert_not_cached(lambda: [row.text for row in large_rows()])) == large
    assert len(assert_not_cached(lambda: list(AllTypes.objects.order_by("pk")))) == large
    assert_cached(lambda: AllTypes.objects.count())


def test_iterator_above_the_cap_streams(large: int) -> None:
    """It never holds all the rows."""
    tracemalloc.start()
    try:
        assert sum(1 for _ in large_rows()) == large
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000


def test_iterator_left_early_is_not_stored() -> None:
    rows = Author.objects.order_by("pk").iterator(chunk_size=1)
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    assert len(list(Author.objects.order_by("pk").iterator(chunk_size=1))) == 6


def test_empty_result_is_a_hit() -> None:
    assert assert_cached(lambda: list(Author.objects.filter(rank=404))) == []
    assert assert_cached(lambda: Author.objects.filter(rank=404).first()) is None
    assert assert_cached(lambda: Author.objects.filter(rank=404).count()) == 0


def test_missing_row_is_a_hit_and_appears_when_written() -> None:
    def missing() -> bool:
        try:
            Author.objects.get(rank=404)
        except Author.DoesNotExist:
            return True
        return False

    assert assert_cached(missing)
    Author.objects.create(name="found", rank=404)
    assert not missing()


def test_two_rows_for_get_are_a_hit() -> None:
    def raised() -> str:
        try:
            Author.objects.get(rank__gt=0)
        except Author.MultipleObjectsReturned as error:
            return str(error)
        return ""

    assert "returned more than one" in assert_cached(raised)


def test_in_nothing_runs_no_sql() -> None:
    with count_sql() as log:
        assert list(Author.objects.filter(pk__in=[])) == []
        assert Author.objects.filter(pk__in=[]).count() == 0
        assert not Author.objects.filter(pk__in=[]).exists()
        assert Author.objects.filter(pk__in=[]).first() is None
        assert Author.objects.filter(pk__in=[]).aggregate(n=models.Count("pk")) == {"n": 0}
        assert Author.objects.none().count() == 0
        assert Author.objects.in_bulk([]) == {}
    assert not log


def test_in_nothing_succeeds_in_a_broken_transaction() -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        assert list(Author.objects.filter(pk__in=[])) == []
        with pytest.raises(transaction.TransactionManagementError):
            list(Author.objects.filter(pk=1))
        transaction.set_rollback(True)


def test_a_hit_raises_what_the_query_would_in_a_broken_transaction() -> None:
    READS["list"](cached)
    with transaction.atomic():
        list(Tag.objects.nocache())  # SQLite's snapshot is taken: from here on reads may be hits
        assert_hit(lambda: READS["list"](cached))
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            READS["list"](cached)
    assert_hit(lambda: READS["list"](cached))


def test_query_of_a_missing_table_is_djangos_own_error() -> None:
    from django.db.utils import OperationalError, ProgrammingError

    class Nowhere(models.Model):
        objects = type(Author.objects)()

        class Meta:
            app_label = "nowhere"
            managed = False

    for _ in range(2):
        with pytest.raises((OperationalError, ProgrammingError), match="nowhere_nowhere"):
            list(Nowhere.objects.all())
    assert_right(lambda: READS["list"](cached))


def test_wrong_thread_is_an_error_for_a_hit_too() -> None:
    """A connection handed to another thread without permission raises there as ever."""
    import threading

    from django.db import connections
    from django.db.utils import DatabaseError

    READS["list"](cached)
    wrapper = connections["default"]
    raised: list[BaseException] = []

    def read() -> None:
        connections["default"] = wrapper
        try:
            READS["list"](cached)
        except DatabaseError as error:
            raised.append(error)
        finally:
            del connections["default"]

    if wrapper.allow_thread_sharing:
        return
    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert len(raised) == 1
    assert PLAIN or connection.vendor


class TimeLimit(Exception):
    """As an application raises it from a signal's handler."""


@pytest.mark.cached
def test_time_limit_passes_through_the_look_at_a_query() -> None:
    queryset = Author.objects.annotate(loud=Upper("email")).order_by("pk")
    look = mock.patch("django_cache_manager.dependencies._children", side_effect=TimeLimit)
    with look, pytest.raises(TimeLimit):
        list(queryset.all())
    assert_cached(lambda: list(queryset.all()))


@pytest.mark.cached
def test_expression_that_fails_to_tell_its_parts(caplog: pytest.LogCaptureFixture) -> None:
    from django_cache_manager.api import explain

    failing = mock.Mock(side_effect=AttributeError("no parts"))
    queryset = Author.objects.annotate(loud=Upper("name")).order_by("pk")
    expected = list(Author.plain.order_by("pk").values_list(Upper("name"), flat=True))
    with mock.patch("django_cache_manager.dependencies._children", failing):
        for _ in range(2):
            assert [author.loud for author in queryset.all()] == expected
        assert_not_cached(lambda: list(queryset.all()))
        assert "no parts" in str(explain(queryset).reason)
    assert "its tables can't be told" in caplog.text
