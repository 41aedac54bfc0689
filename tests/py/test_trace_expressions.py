"""Annotations, Q trees and expressions in traced calls: Django's answer, a key for each content."""

import datetime
import decimal
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db import models
from django.db.models import (
    Avg,
    Case,
    Count,
    ExpressionWrapper,
    F,
    Max,
    Min,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Concat, Floor, Length, Lower, Now, Round, Upper
from django.db.models.lookups import Exact
from django.test.utils import override_settings, register_lookup
from django.utils import timezone

from django_cache_manager import expressions
from observe import assert_cached, assert_hit, assert_right, portable
from testapp.models import Author, Book, Country, Tag

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library", "fresh_shapes")]


def is_traced(queryset: Any) -> bool:
    return queryset._trace is not None and "_query" not in vars(queryset)


READS: dict[str, Callable[[Any], Any]] = {
    "group by": lambda authors: authors.values("country").annotate(Count("id")).order_by("country"),
    "group by, named": lambda authors: authors.values("rank").annotate(n=Count("*")).order_by("-n"),
    "group by, tuples": lambda authors: (
        authors.values("rank").annotate(n=Sum("books__pages"), most=Max("pk")).values_list("n")
    ),
    "annotated": lambda authors: authors.annotate(n=Count("books")).order_by("pk"),
    "annotated and filtered": lambda authors: (
        authors.annotate(n=Count("books")).filter(n__gte=1, rank__gt=0).order_by("n", "pk")
    ),
    "alias": lambda authors: authors.alias(n=F("rank") + 1).filter(n=4).order_by("pk"),
    "distinct": lambda authors: authors.annotate(n=Count("books", distinct=True)).order_by("pk"),
    "condition": lambda authors: (
        authors.annotate(n=Count("books", filter=Q(books__pages__gt=1))).order_by("pk")
    ),
    "default": lambda authors: authors.annotate(n=Sum("books__pages", default=0)).order_by("pk"),
    "case": lambda authors: authors.annotate(
        high=Case(When(rank__gt=2, then=Value("yes")), default=Value("no"))
    ).order_by("pk"),
    "functions": lambda authors: authors.annotate(
        a=Coalesce(Lower("email"), Value("none")), b=Concat("name", Value("!"), Upper("name")),
        c=Length("name"), d=Round(F("rank") * 1.5, 1),
    ).order_by("pk"),
    "output field": lambda authors: authors.annotate(
        half=ExpressionWrapper(F("rank") / 2.0, output_field=models.FloatField())
    ).order_by("pk"),
    "either": lambda authors: authors.filter(Q(rank=3) | Q(name="Boris")).order_by("pk"),
    "neither": lambda authors: authors.exclude(Q(rank=3) | ~Q(name="Boris"), pk__gt=0),
    "list in a tree": lambda authors: authors.filter(Q(pk__in=[1, 2]) | Q(pk=3)).order_by("pk"),
    "compared to another field": lambda authors: authors.filter(rank__gt=F("pk")).order_by("pk"),
    "get by a tree": lambda authors: [authors.get(Q(pk=1) & Q(rank__gte=0))],
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
def test_answer_is_djangos_and_from_memory(name: str) -> None:
    read = READS[name]
    expected = [portable(each) for each in read(QuerySet(Author))]
    for _ in range(4):
        found = read(Author.objects.all())
        unbuilt = type(found) is list or is_traced(found)
        assert [portable(each) for each in found] == expected
    assert unbuilt
    assert_cached(lambda: list(read(Author.objects.all())))
    assert_hit(lambda: list(read(Author.objects.all())))


ALIKE: list[list[Callable[[Any], Any]]] = [
    [lambda a, v=v: a.annotate(x=Value(v)) for v in (1, True, 1.0, decimal.Decimal(1), "1", None)],
    [lambda a, v=v: a.annotate(x=Value(v)) for v in (0, False, 0.0, -0.0, "0", "")],
    [
        lambda a, v=v: a.annotate(x=Value(decimal.Decimal(v), models.DecimalField()))
        for v in ("1", "1.0", "1.00")
    ],
    [lambda a, v=v: a.annotate(x=F("rank") + v) for v in (1, True, 1.0)],
    [lambda a, v=v: a.filter(Q(rank=v)) for v in (1, True, 3, "3", 3.0)],
    [lambda a, v=v: a.annotate(x=Sum("rank", default=v)) for v in (None, 0, False)],
    [
        lambda a, v=v: a.annotate(x=v)
        for v in (
            Sum("rank"), Avg("rank"), Min("rank"), Max("rank"), Count("rank"), Count("pk"),
            Count("books"), Count("books", distinct=True), Count("books", filter=Q(pk=1)),
            Count("books", filter=Q(pk=2)), Count("books", filter=~Q(pk=1)),
            Count("books", filter=Q(pk=1) | Q(rank=3)), Count("books", filter=Q(pk=1, rank=3)),
        )
    ],
    [
        lambda a, v=v: a.annotate(x=ExpressionWrapper(F("rank") + 1, output_field=v))
        for v in (models.IntegerField(), models.FloatField(), models.CharField(max_length=9))
    ],
    [
        lambda a, v=v: a.filter(v)
        for v in (
            Q(rank=3) | Q(name="Boris"), Q(rank=3) & Q(name="Boris"), ~Q(rank=3, name="Boris"),
            ~(Q(rank=3) | Q(name="Boris")), Q(rank=3) | ~Q(name="Boris"), Q(rank=3) ^ Q(pk__gt=2),
            Q(Q(rank=3), name="Boris"), Q(), ~Q(), Q(pk__in=[1, 2]), Q(pk__in=(1,)),
        )
    ],
    [lambda a: a.annotate(x=Value(1)), lambda a: a.alias(x=Value(1))],
    [
        lambda a: a.annotate(x=F("rank") - F("pk")),
        lambda a: a.annotate(x=F("pk") - F("rank")),
        lambda a: a.annotate(x=F("pk") - (F("rank") - F("pk"))),
        lambda a: a.annotate(x=(F("pk") - F("rank")) - F("pk")),
    ],
]  # fmt: skip


def outcome(read: Callable[[Any], Any], start: Any) -> Any:
    """Portable items, or the error."""
    try:
        return [portable(each) for each in read(start.order_by("pk"))]
    except Exception as error:
        return [type(error).__qualname__, str(error)]


@pytest.mark.parametrize("alike", ALIKE)
def test_alike_are_not_taken_for_each_other(alike: list[Callable[[Any], Any]]) -> None:
    from django_cache_manager import _engine

    expected = [outcome(read, QuerySet(Author)) for read in alike]
    for _ in range(3):
        assert [outcome(read, Author.objects.all()) for read in alike] == expected
    by_key: dict[Any, str] = {}
    for read in alike:
        queryset = read(Author.objects.order_by("pk"))
        trace = queryset._trace
        try:
            sql = repr(queryset.query.sql_with_params())
        except FieldError:
            continue  # Django finds out when it compiles
        if trace is not None:
            key = _engine.encode_key((trace.shape.number, *trace.values))
            assert by_key.setdefault(key, sql) == sql


def test_expression_changed_after_the_call_changes_nothing() -> None:
    for _ in range(3):
        total, condition = Count("books"), Q(rank__gte=0)
        queryset = Author.objects.annotate(n=total).filter(condition).order_by("pk")
        expected = str(QuerySet(Author).annotate(n=Count("books")).filter(rank__gte=0)
                       .order_by("pk").query)  # fmt: skip
        total.distinct = True
        total.source_expressions[0].name = "friends"
        condition.children.append(("pk", 1))
        assert len(queryset) > 1
        assert str(queryset.query) == expected


def test_changed_expression_is_another() -> None:
    total = Count("books")
    for _ in range(3):
        for distinct in (False, True):
            total.distinct = distinct
            queryset = Author.objects.filter(friends__pk__gt=0).annotate(n=total).order_by("pk")
            plain = QuerySet(Author).filter(friends__pk__gt=0)
            plain = plain.annotate(n=Count("books", distinct=distinct)).order_by("pk")
            assert [each.n for each in queryset] == [each.n for each in plain]


def test_what_changes_by_itself_is_not_answered() -> None:
    for _ in range(3):
        queryset = Author.objects.annotate(at=Now())
        assert not is_traced(queryset)
        assert not is_traced(Author.objects.order_by("?"))
        first, second = (queryset.all().get(pk=1) for _ in range(2))
        assert first.at <= second.at


def test_expression_of_ones_own_class_is_built() -> None:
    class Mine(Count):
        pass

    class Tree(Q):
        pass

    for _ in range(3):
        assert not is_traced(Author.objects.annotate(n=Mine("books")))
        assert not is_traced(Author.objects.filter(Tree(pk=1)))
        odd = Count("books")
        odd.template = "%(function)s(%(expressions)s) + 1"  # type: ignore[misc]
        assert_right(lambda odd=odd: list(Author.objects.annotate(n=odd).order_by("pk")))


def test_errors_rise_where_django_raises_them() -> None:
    for _ in range(3):
        assert Author.objects.filter(Q(rank=3) | Q(pk=1))
        assert Author.objects.annotate(n=Count("books")).filter(n__gte=1)
        for call in (
            lambda a: a.annotate(Count("nothing")),
            lambda a: a.annotate(name=Count("books")),
            lambda a: a.annotate(n=Count("books")).filter(n__gte="x"),
            lambda a: a.annotate(n=Count("books")).filter(n__nothing=1),
            lambda a: a.annotate(F("rank") + 1),
            lambda a: a.annotate(n=1),
            lambda a: a.filter(Q(rank="x") | Q(pk=1)),
            lambda a: a.alias(n=Count("books")).values("n"),
        ):
            with pytest.raises((FieldError, TypeError, ValueError)) as expected:
                call(QuerySet(Author))
            with pytest.raises((FieldError, TypeError, ValueError)) as found:
                call(Author.objects)
            assert (type(found.value), str(found.value)) == (
                type(expected.value),
                str(expected.value),
            )


def test_annotation_goes_before_a_field_of_its_name() -> None:
    for _ in range(3):
        counted = Author.objects.values("country").annotate(name=Count("pk")).filter(name=2)
        plain = QuerySet(Author).values("country").annotate(name=Count("pk")).filter(name=2)
        assert list(counted.order_by("country")) == list(plain.order_by("country"))
        titles = Author.objects.values("country").annotate(name=Max("email")).filter(name="x")
        assert list(titles) == []


def test_ordering_that_a_related_model_gets_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> list[Any]:
        authors = Author.objects.exclude(country=None).order_by("country")
        return [author.country_id for author in authors]

    for _ in range(3):
        forward = read()
        last = Author.objects.order_by("country")
    assert is_traced(last)
    monkeypatch.setattr(Country._meta, "ordering", ["-code"])
    for _ in range(3):
        assert read() == forward[::-1]
    monkeypatch.setattr(Country._meta, "ordering", [])
    assert read() == forward


def test_transform_that_is_taken_back_was_there_at_the_call() -> None:
    for _ in range(3):
        with register_lookup(models.DecimalField, Floor):
            for _ in range(2):
                books = Book.objects.annotate(floor=F("price__floor")).order_by("pk")
                lower = Book.objects.filter(pages__gt=F("price__floor")).order_by("pk")
        assert [book.floor for book in books] == [book.price // 1 for book in books]
        assert list(lower) == [book for book in books if book.pages > book.floor]


def test_value_of_an_annotation_is_not_part_of_the_shape() -> None:
    from django_cache_manager import traces

    for n in range(3):
        list(Book.objects.annotate(x=Value(n)).filter(Q(pk=n) | Q(pages=n)))
    before = traces._count
    for n in range(50):
        found = Book.objects.annotate(x=Value(n)).filter(Q(pk=n) | Q(pages=n))
        assert [book.x for book in found] == [n] * len(found)
    assert traces._count == before
    assert Tag.objects.filter(Q(*[Q(pk=n) for n in range(400)]))._trace is None


def test_output_field_with_a_lookup_of_its_own() -> None:
    class Anything(Exact):
        def as_sql(self, compiler: Any, connection: Any) -> Any:
            return "1 = 1", []

    def matching(field: models.Field) -> int:
        raised = ExpressionWrapper(F("rank") + 100, output_field=field)
        return Author.objects.annotate(raised=raised).filter(raised=1).count()

    own = models.IntegerField()
    own.register_lookup(Anything, "exact")
    for _ in range(3):
        assert matching(models.IntegerField()) == 0
    for _ in range(3):
        assert matching(own) == Author.plain.count()
    assert matching(models.IntegerField()) == 0


@pytest.mark.databases("sqlite", "postgresql")  # MariaDB has to be told of time zones
def test_aggregate_over_an_hour_of_the_current_time_zone() -> None:
    noon = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.UTC)
    Book.objects.update(published=noon)

    def latest() -> Any:
        return Book.objects.aggregate(hour=models.Max("published__hour"))["hour"]

    for name, hour in (("UTC", 12), ("Asia/Tokyo", 21), ("America/New_York", 7), ("UTC", 12)):
        with timezone.override(name):
            assert [latest(), latest(), latest()] == [hour] * 3


@pytest.mark.databases("sqlite", "postgresql")  # MariaDB gives the text back
@pytest.mark.filterwarnings("ignore:.*received a naive datetime")
def test_moment_in_the_time_zone_of_the_settings() -> None:
    def read(text: str | None) -> list[Any]:
        moment = Value(text, output_field=models.DateTimeField())
        return list(Author.objects.annotate(x=moment).order_by("pk").values_list("pk", "x"))

    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        with override_settings(TIME_ZONE=zone):
            for _ in range(3):
                assert_right(lambda: read("2020-01-01 00:00:00"))
    assert_cached(lambda: read(None))


@pytest.mark.parametrize("name", ["self", "_connector", "_negated", "nothing", "args", "original"])
def test_condition_by_a_name_that_is_no_field(name: str) -> None:
    """A Q with one condition is asked as a keyword: the error is Django's for a Q."""
    condition = Q((name, 1))
    for _ in range(2):
        for call in (Author.objects.all().filter, Author.objects.all().get):
            with pytest.raises(FieldError, match=f"Cannot resolve keyword '{name}'"):
                call(condition)


def test_condition_is_a_keyword() -> None:
    """A forward foreign key asks so; the answer is the one of the keyword."""
    Author.objects.filter(pk=1).first()
    assert_hit(lambda: Author.objects.filter(pk=1).first())
    assert assert_hit(lambda: Author.objects.filter(Q(pk=1)).first()).pk == 1
    for condition in (Q(pk=1) | Q(pk=2), ~Q(pk=1), Q(pk=1, name="x"), Q(Q(pk=1))):
        assert_cached(lambda q=condition: list(Author.objects.filter(q).order_by("pk")))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((Q(pk=1),), {"name": "x"}),
        ((Q(pk=1), Q(pk=2)), {}),
        ((Q(pk=1, name="x"),), {}),
        ((Q(("pk", 1), _negated=True),), {}),
        ((Q(("pk", 1), _connector=Q.OR),), {}),
        ((Q(Q(pk=1)),), {}),
        ((Q(),), {}),
        ((1,), {}),
        ((), {"pk": 1}),
    ],
)
def test_what_is_no_keyword(args: Any, kwargs: Any) -> None:
    assert expressions.keywords_of(args, kwargs) is None


def test_more_than_a_condition_is_all_asked() -> None:
    for _ in range(3):
        assert not Author.objects.filter(Q(pk=1), name="x").exists()
        assert [each.pk for each in Author.objects.filter(Q(("pk", 1), _negated=True))] != [1]


def test_contains_looks_through_what_has_been_read() -> None:
    authors = Author.objects.all()
    assert authors.contains(Author(pk=1))
    authors._result_cache = []  # type: ignore[attr-defined]
    assert not authors.contains(Author(pk=1))
