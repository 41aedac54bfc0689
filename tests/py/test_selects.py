"""Reads of a known shape: Django's SQL and parameters, without building or compiling the Query."""

import contextlib
import datetime
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist
from django.db import DatabaseError, DataError, connection, connections, models, transaction
from django.db.models import Avg, Count, F, Q, Sum, Value
from django.db.models.functions import Coalesce
from django.db.models.signals import post_init
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from django_cache_manager import selects, statements, stores
from in_flight import settled
from observe import Statements, in_another_thread, invalidate_all, portable, sent_by, uncached
from testapp.fields import registry, tables
from testapp.managers import CacheManager
from testapp.models import AllTypes, Author, Book, Country, RankedAuthor, Tag

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library", "fresh_shapes")]


@pytest.fixture(autouse=True)
def reads_are_kept(library: None) -> None:
    """A test before may have left a write in doubt, or a segment that has just been born."""
    Author.objects.count()
    settled()


@pytest.fixture
def compilers() -> Iterator[mock.Mock]:
    """The compilers that Queries make."""
    with mock.patch.object(Query, "get_compiler", autospec=True) as get_compiler:
        get_compiler.side_effect = GET_COMPILER
        yield get_compiler


GET_COMPILER = Query.get_compiler

READS: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "get": (lambda v: Author.objects.get(pk=v), [1, 2, 3]),
    "get of nothing": (lambda v: Author.objects.filter(pk=v).first(), [1, 1001, 1002]),
    "foreign key": (lambda v: list(Author.objects.filter(country=v)), ["JP", "DE", "XX"]),
    "instance": (
        lambda v: list(Author.objects.filter(country=Country(code=v))),
        ["JP", "DE", "XX"],
    ),
    "over a relation": (
        lambda v: list(Book.objects.filter(author__country__name=v)),
        ["Deutschland", "日本", ""],
    ),
    "exclude many": (lambda v: list(Author.objects.exclude(books__pages=v)), [100, 7, 8]),
    "bounds": (lambda v: list(Author.objects.filter(rank__gte=v, rank__lt=v + 3)), [0, 1, -5]),
    "chain": (
        lambda v: list(Author.objects.filter(rank__gt=v).exclude(name=f"n{v}").order_by("-name")),
        [0, 1, 2],
    ),
    "contains": (lambda v: list(Author.objects.filter(name__contains=v)), ["a", "%", "_\\"]),
    "icontains": (lambda v: list(Author.objects.filter(name__icontains=v)), ["A", "%", "_\\"]),
    "startswith": (lambda v: list(Author.objects.filter(name__startswith=v)), ["A", "%", ""]),
    "istartswith": (lambda v: list(Author.objects.filter(name__istartswith=v)), ["a", "%", ""]),
    "endswith": (lambda v: list(Author.objects.filter(name__endswith=v)), ["a", "%", ""]),
    "iendswith": (lambda v: list(Author.objects.filter(name__iendswith=v)), ["A", "%", ""]),
    "iexact": (lambda v: list(Author.objects.filter(name__iexact=v)), ["a", "%", "_\\"]),
    "in": (lambda v: list(Author.objects.filter(pk__in=v)), [[1, 2], [3, 2], [7, 9]]),
    "in bulk": (lambda v: Author.objects.in_bulk(v), [[1, 2], [3, 2], [7, 9]]),
    "page": (lambda v: list(Author.objects.order_by("pk")[v : v + 2]), [0, 0, 1]),
    "values": (lambda v: list(Author.objects.filter(rank=v).values("name", "born")), [0, 1, 2]),
    "values_list": (lambda v: list(Author.objects.filter(rank=v).values_list("pk")), [0, 1, 2]),
    "named": (
        lambda v: list(Author.objects.filter(rank=v).values_list("pk", named=True)),
        [0, 1, 2],
    ),
    "flat": (
        lambda v: list(Author.objects.filter(rank=v).values_list("name", flat=True)),
        [0, 1, 2],
    ),
    "only": (lambda v: list(Author.objects.filter(rank=v).only("name")), [0, 1, 2]),
    "joined": (
        lambda v: list(Book.objects.filter(pages=v).select_related("author__country")),
        [100, 7, 8],
    ),
    "backwards": (
        lambda v: list(Author.objects.filter(rank=v).select_related("passport")),
        [0, 1, 2],
    ),
    "distinct": (lambda v: list(Author.objects.filter(books__pages=v).distinct()), [100, 7, 8]),
    "count": (lambda v: Author.objects.filter(rank=v).count(), [0, 1, 2]),
    "count of distinct": (
        lambda v: Author.objects.filter(books__pages=v).distinct().count(),
        [100, 7, 8],
    ),
    "count of a page": (lambda v: Author.objects.filter(rank__gte=v)[:2].count(), [0, 1, 2]),
    "exists": (lambda v: Author.objects.filter(rank=v).exists(), [0, 1, 77]),
    "first": (lambda v: Author.objects.filter(rank__gte=v).first(), [0, 1, 77]),
    "last": (lambda v: Author.objects.filter(rank__gte=v).last(), [0, 1, 77]),
    "aggregate": (
        lambda v: Book.objects.filter(pages__gte=v).aggregate(Sum("price"), n=Count("pk")),
        [0, 1, 10_000],
    ),
    "average": (lambda v: Book.objects.filter(pages__gte=v).aggregate(Avg("pages")), [0, 1, 9_999]),
    "group by": (
        lambda v: list(
            Author.objects.filter(rank__gte=v).values("country").annotate(n=Count("pk")).order_by()
        ),
        [0, 1, 2],
    ),
    "having": (
        lambda v: list(Author.objects.annotate(n=Count("books")).filter(n__gte=v).order_by("pk")),
        [0, 1, 2],
    ),
    "of a proxy": (lambda v: list(RankedAuthor.objects.filter(rank=v)), [0, 3, 4]),
    "related manager": (lambda v: list(Author(pk=v).books.all()), [1, 2, 3]),
    "many to many": (lambda v: list(Book(pk=v).tags.all()), [1, 2, 3]),
    "many to many filtered": (
        lambda v: list(Book(pk=v).tags.filter(label__gt=f"t{v}")),
        [1, 2, 3],
    ),
    "many to many twice": (
        lambda v: list(Tag.objects.filter(books__pk=v).filter(books__pages__gt=v + 50)),
        [1, 2, 3],
    ),
    "decimal": (
        lambda v: list(Book.objects.filter(price=v)),
        [Decimal("9.90"), Decimal("9.9"), Decimal("1E+1")],
    ),
    "date": (
        lambda v: list(Author.objects.filter(born__lte=datetime.date(v, 2, 28))),
        [1, 1984, 9999],
    ),
    "float": (lambda v: list(AllTypes.objects.filter(real__gt=v)), [0.5, -0.0, 1e300]),
    "uuid": (lambda v: list(AllTypes.objects.filter(uuid=uuid.UUID(int=v))), [0, 1, 2]),
    "duration": (
        lambda v: list(AllTypes.objects.filter(duration__gt=datetime.timedelta(days=v))),
        [0, 1, -1],
    ),
    "address": (lambda v: list(AllTypes.objects.filter(address=v)), ["1.2.3.4", "::1", ""]),
}


def sent(read: Callable[[], Any]) -> tuple[Any, Statements]:
    """What a read returns and sends with an empty cache."""
    invalidate_all()
    return sent_by(lambda: portable(read()))


def assert_as_djangos(read: Callable[[], Any], *, statements: int = 1) -> None:
    ours = sent(read)
    with uncached():
        theirs = sent(read)
    assert ours == theirs
    assert len(ours[1]) == statements


@pytest.mark.parametrize("name", READS)
def test_sends_what_django_sends(name: str, compilers: mock.Mock) -> None:
    read, (first, *others) = READS[name]
    read(first)
    for value in others:
        compilers.reset_mock()
        sent(lambda value=value: read(value))
        assert not compilers.called
        assert_as_djangos(lambda value=value: read(value))
        assert compilers.called


@pytest.mark.parametrize("name", READS)
def test_is_answered_without_a_query_the_second_time(name: str, compilers: mock.Mock) -> None:
    read, (value, *_) = READS[name]
    first = portable(read(value))
    compilers.reset_mock()
    again, statements = sent_by(lambda: portable(read(value)))
    assert again == first
    assert not statements
    assert not compilers.called


def test_a_number_out_of_range_has_no_statement() -> None:
    def read(rank: int) -> list[Author]:
        return list(Author.objects.filter(rank__lt=rank))

    read(2)
    assert_as_djangos(lambda: read(3))
    for rank in (-(2**80), 2**80):
        assert_as_djangos(lambda rank=rank: read(rank), statements=0 if rank < 0 else 1)
    list(Author.objects.filter(rank__in=[1, 2]))

    def outcome() -> str:
        try:
            return repr(list(Author.objects.filter(rank__in=[1, 2**80])))
        except (OverflowError, DataError) as error:
            return repr(error)

    ours = outcome()
    with uncached():
        assert outcome() == ours


def test_none_and_booleans_are_statements_of_their_own() -> None:
    for value in ("0@example.org", None, "2@example.org"):
        assert_as_djangos(lambda value=value: list(Author.objects.filter(email=value)))
    for flag in (True, False, None, False, True):
        assert_as_djangos(lambda flag=flag: list(AllTypes.objects.filter(boolean=flag)))
        if flag is not None:
            assert_as_djangos(lambda flag=flag: list(Author.objects.filter(email__isnull=flag)))


def test_values_that_are_equal_are_told_apart_later(compilers: mock.Mock) -> None:
    def read(rank: int, pk: int) -> list[Author]:
        return list(Author.objects.filter(rank__lt=rank).exclude(pk=pk))

    for _ in range(2):
        assert_as_djangos(lambda: read(2, 2))
    for rank, pk in ((3, 1), (1, 3), (2, 2)):
        assert_as_djangos(lambda rank=rank, pk=pk: read(rank, pk))
    compilers.reset_mock()
    sent(lambda: read(5, 4))
    assert not compilers.called


def test_values_that_are_equal_many_times_are_told_apart_later(compilers: mock.Mock) -> None:
    def read(rank: int, pk: int) -> list[Author]:
        return list(Author.objects.filter(rank__lt=rank).exclude(pk=pk))

    for value in range(selects.STATEMENTS_MAX + 5):
        read(value, value)
    read(2, 3)
    compilers.reset_mock()
    sent(lambda: read(5, 4))
    assert not compilers.called


def test_a_memo_that_was_full_has_room_for_a_shape_again(compilers: mock.Mock) -> None:
    def read(rank: int) -> list[Author]:
        return list(Author.objects.filter(Q(rank=rank, pk__gt=0)))

    for rank in range(selects.STATEMENTS_MAX + 5):
        read(rank)
    with mock.patch.object(statements, "MEMO_STATEMENTS", len(selects._statements)):
        Author.objects.filter(rank=1).count()  # empties it
    read(-1)
    compilers.reset_mock()
    sent(lambda: read(-1))
    assert not compilers.called


def test_lists_of_other_lengths_and_with_doubles() -> None:
    for keys in ([1, 2], [3, 2], [1, 1], [2, 1, 2], [1, 2, 3], [7, 1, 2], [5], [*range(100)]):
        assert_as_djangos(lambda keys=keys: list(Author.objects.filter(pk__in=keys)))


def test_values_of_expressions_are_part_of_the_statement() -> None:
    def read(fallback: Any) -> list[Any]:
        born = Coalesce(F("rank") * fallback, Value(fallback))
        return list(Author.objects.annotate(x=born).filter(rank__gt=1).values_list("x"))

    for fallback in (1, 2, 1.0, 2.5, 0.0, -0.0, 1, 2):
        assert_as_djangos(lambda fallback=fallback: read(fallback))
    for rank in (1, 2):
        condition = Q(rank=rank) | Q(name__startswith="B", rank__lt=rank + 2)
        assert_as_djangos(lambda condition=condition: list(Author.objects.filter(condition)))


def error_of(read: Callable[[], Any]) -> str:
    with pytest.raises((ObjectDoesNotExist, MultipleObjectsReturned)) as raised:
        read()
    return repr(raised.value)


@pytest.mark.parametrize("doubles", [0, 2, 20, 21, 25])
def test_get_of_none_or_of_several(doubles: int, compilers: mock.Mock) -> None:
    Author.objects.get(rank=1)
    Author.plain.bulk_create(Author(name="", rank=99) for _ in range(doubles))
    compilers.reset_mock()
    ours = error_of(lambda: Author.objects.get(rank=99))
    assert not compilers.called
    with uncached():
        assert error_of(lambda: Author.objects.get(rank=99)) == ours
    ours = error_of(lambda: Author.objects.all()[:30].get())
    with uncached():
        assert error_of(lambda: Author.objects.all()[:30].get()) == ours


def test_a_transaction_sees_its_own_writes(compilers: mock.Mock) -> None:
    Author.objects.get(pk=1)
    with transaction.atomic():
        Author.objects.filter(pk=2).update(name="changed")
        compilers.reset_mock()
        assert Author.objects.get(pk=2).name == "changed"
        assert not compilers.called
        transaction.set_rollback(True)
    assert Author.objects.get(pk=2).name == "Boris"


def test_a_thread_reads_by_its_own_connection() -> None:
    Author.objects.get(pk=1)
    seen: list[Any] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(context["connection"])
        return execute(sql, params, many, context)

    def read() -> tuple[str, Any]:
        try:
            with connection.execute_wrapper(note):
                return Author.objects.get(pk=2).name, connections["default"]
        finally:
            connection.close()

    name, own = in_another_thread(read)
    assert name == "Boris"
    assert {*map(id, seen)} == {id(own)}
    assert own is not connections["default"]


@pytest.mark.parametrize("name", ["as_sql", "compile", "pre_sql_setup"])
def test_a_changed_compiler_is_asked(name: str) -> None:
    Author.objects.get(pk=1)
    original = getattr(SQLCompiler, name)
    with mock.patch.object(SQLCompiler, name, autospec=True) as method:
        method.side_effect = original
        sent(lambda: Author.objects.get(pk=2))
        assert method.called
        sent(lambda: Author.objects.filter(rank=1).count())
        method.reset_mock()
        sent(lambda: Author.objects.filter(rank=2).count())
        assert method.called


def test_another_alias_has_its_own_statement(compilers: mock.Mock) -> None:
    Author.objects.get(pk=1)
    compilers.reset_mock()
    with contextlib.suppress(Author.DoesNotExist):
        Author.objects.using("other").get(pk=2)
    assert compilers.called


def test_a_renamed_table_is_compiled_again(compilers: mock.Mock) -> None:
    Tag.objects.get(pk=1)
    compilers.reset_mock()
    with mock.patch.object(Tag._meta, "db_table", "nowhere"), pytest.raises(DatabaseError):
        Tag.objects.get(pk=2)
    assert compilers.called
    connection.rollback()
    assert Tag.objects.get(pk=2).pk == 2


def test_a_read_that_is_not_cached_teaches_nothing(compilers: mock.Mock) -> None:
    for pk in (1, 2):
        compilers.reset_mock()
        with uncached():
            Author.objects.get(pk=pk)
        assert compilers.called
    compilers.reset_mock()
    sent(lambda: Author.objects.get(pk=3))
    assert compilers.called


def test_settings_forget_statements(settings: Any) -> None:
    Author.objects.get(pk=1)
    assert selects._statements
    settings.DJANGO_CACHE_MANAGER = {**settings.DJANGO_CACHE_MANAGER, "L1_SIZE": 1_000_000}
    assert not selects._statements


def test_a_number_that_the_text_leaves_out_is_not_taken_for_another() -> None:
    def read(pages: int) -> list[Book]:
        tree = Q(author_id__gt=-1, pk__gt=0)
        return list(Book.objects.filter(tree).filter(pages__gt=pages))

    read(-1)
    assert_as_djangos(lambda: read(100))


def test_addresses_written_in_two_ways() -> None:
    def read(*addresses: str) -> list[AllTypes]:
        return list(AllTypes.objects.filter(address__in=addresses))

    read("::1", "::2")
    assert_as_djangos(lambda: read("::3", "0:0:0:0:0:0:0:3"))


def test_an_instance_whose_key_is_a_text() -> None:
    def read(key: Any) -> list[Book]:
        return list(Book.objects.filter(author=Author(pk=key)))

    read(1)
    assert_as_djangos(lambda: read("2"))
    list(Author(pk=1).books.all())
    assert_as_djangos(lambda: list(Author(pk="2").books.all()))


def test_a_key_of_0() -> None:
    for pk in (1, 0, 2):
        assert_as_djangos(lambda pk=pk: Author.objects.filter(pk=pk).count())
        assert_as_djangos(lambda pk=pk: list(Book.objects.filter(author__in=[pk, 7])))


class OwnKeyField(models.CharField):
    """Of an application's own."""


class Owner(models.Model):
    code = OwnKeyField(max_length=5, primary_key=True)
    objects = CacheManager()

    class Meta:
        app_label = "testapp"
        apps = registry


class Owned(models.Model):
    owner = models.ForeignKey(Owner, models.CASCADE)
    objects = CacheManager()

    class Meta:
        app_label = "testapp"
        apps = registry


def test_an_instance_whose_key_is_a_field_of_ones_own() -> None:
    with tables(Owner, Owned):
        for code in "abc":
            Owner.objects.create(code=code)
            Owned.objects.create(owner_id=code)
        for code in "abc":
            assert_as_djangos(lambda code=code: list(Owned.objects.filter(owner=Owner(code))))


def test_a_read_within_a_read_is_not_taken_for_it() -> None:
    def look(instance: Any, **_: Any) -> None:
        next(Tag.objects.filter(pk=instance.pk).iterator())  # its rows aren't read to the end

    post_init.connect(look, sender=Author)
    try:
        Author.objects.get(pk=2)
        assert_as_djangos(lambda: Author.objects.get(pk=1), statements=2)
    finally:
        post_init.disconnect(look, sender=Author)


def test_long_texts_are_not_kept() -> None:
    selects._statements.clear()
    for n in range(3):
        list(AllTypes.objects.filter(Q(text=str(n) * selects.SIZE_MAX, pk__gt=0)))
    assert not selects._statements
    list(AllTypes.objects.filter(Q(text="short", pk__gt=0)))
    assert selects._statements


def test_ever_new_values_of_an_expression_push_out_nothing(compilers: mock.Mock) -> None:
    Author.objects.get(pk=1)
    for rank in range(2 * selects.STATEMENTS_MAX):
        list(Author.objects.filter(Q(rank=rank, pk__gt=0)))
    assert len(selects._statements) < selects.STATEMENTS_MAX + 8
    compilers.reset_mock()
    sent(lambda: Author.objects.get(pk=2))
    assert not compilers.called


def test_l1_holds_what_a_known_statement_reads_once() -> None:
    Author.objects.get(pk=1)
    before = stores.local_stats()["entries"]
    Author.objects.get(pk=2)
    assert stores.local_stats()["entries"] == before + 1
    with transaction.atomic():
        Tag.objects.create(label="written")  # no trace answers from now on
        Author.objects.get(pk=2)
        assert stores.local_stats()["entries"] == before + 2
