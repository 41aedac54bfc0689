"""Levels of prefetch_related() from memory: Django's own result, without a Query or SQL."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import models, transaction
from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django.db.models.sql.compiler import SQLCompiler
from django.test import override_settings

from observe import assert_right, difference, uncached
from testapp.models import (
    Author,
    Book,
    Country,
    Loan,
    Node,
    Passport,
    Place,
    RankedAuthor,
    Tag,
)

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library", "fresh_shapes")]


@contextlib.contextmanager
def compiled() -> Iterator[list[str]]:
    """The queries that are compiled in the block, or asked for."""
    found: list[str] = []
    original = SQLCompiler.execute_sql

    def execute_sql(self: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(str(self.query))
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SQLCompiler, "execute_sql", execute_sql)
        yield found


@contextlib.contextmanager
def djangos() -> Iterator[None]:
    """The truth: neither cached nor traced."""
    from django_cache_manager import traces

    with uncached(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(traces, "root", lambda *_: None)
        yield


@pytest.fixture(params=[0, 1])
def routers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where there is one, Django asks it for each instance."""
    with override_settings(DATABASE_ROUTERS=[Silent()] * request.param):
        yield


class Silent:
    def db_for_read(self, model: type[models.Model], **hints: Any) -> None:
        assert "instance" not in hints or isinstance(hints["instance"], models.Model)


def books() -> QuerySet[Book]:
    return Book.objects.order_by("pk")


def authors() -> QuerySet[Author]:
    return Author.objects.order_by("pk")


READS: dict[str, Callable[[], Any]] = {
    "many to many": lambda: books().prefetch_related("tags"),
    "many to many, reverse": lambda: Tag.objects.prefetch_related("books"),
    "many to many, symmetrical": lambda: authors().prefetch_related("friends"),
    "many to many, through": lambda: books().prefetch_related("readers"),
    "foreign key": lambda: books().prefetch_related("author"),
    "foreign key, nullable": lambda: books().prefetch_related("editor"),
    "foreign key, to text": lambda: authors().prefetch_related("country"),
    "foreign key, reverse": lambda: authors().prefetch_related("books"),
    "foreign key, reverse, of text": lambda: Country.objects.prefetch_related("authors"),
    "foreign key to itself": lambda: Node.objects.prefetch_related("children", "parent"),
    "one to one": lambda: Passport.objects.prefetch_related("owner"),
    "one to one, reverse": lambda: authors().prefetch_related("passport"),
    "parent": lambda: Place.objects.prefetch_related("restaurant__diner"),
    "two of one model": lambda: authors().prefetch_related("books", "edited"),
    "two of them": lambda: books().prefetch_related("tags", "author"),
    "deeper": lambda: authors().prefetch_related("books__tags__books", "country__authors"),
    "through a joined one": lambda: (
        books().select_related("author").prefetch_related("author__books")
    ),
    "own manager": lambda: RankedAuthor.objects.prefetch_related("books"),
    "plain Prefetch": lambda: books().prefetch_related(Prefetch("tags")),
    "into": lambda: books().prefetch_related(
        Prefetch("tags", to_attr="labels"), Prefetch("editor", to_attr="other")
    ),
    "queryset": lambda: books().prefetch_related(
        Prefetch("tags", Tag.objects.filter(label__gt="a"))
    ),
    "queryset, reverse": lambda: authors().prefetch_related(
        Prefetch("books", Book.objects.filter(pages__gt=1).select_related("editor"))
    ),
    "queryset, into": lambda: authors().prefetch_related(
        Prefetch("books", Book.objects.order_by("-pk"), to_attr="latest"),
        Prefetch("latest__tags", Tag.objects.order_by("-label"), to_attr="labels"),
    ),
    "queryset, one": lambda: books().prefetch_related(
        Prefetch("author", Author.objects.filter(rank__gt=0))
    ),
    "queryset with a prefetch": lambda: authors().prefetch_related(
        Prefetch("books", Book.objects.prefetch_related("tags", "editor"))
    ),
    "queryset with a join of many": lambda: authors().prefetch_related(
        Prefetch("passport", Passport.objects.filter(owner__books__pages__gt=0))
    ),
    "sliced queryset": lambda: authors().prefetch_related(
        Prefetch("books", Book.objects.order_by("pk")[:1], to_attr="earliest")
    ),
    "queryset of an instance": lambda: authors().prefetch_related(
        Prefetch("books", Author.objects.get(pk=1).books.all())
    ),
    "undone": lambda: books().prefetch_related("tags").prefetch_related(None),
    "none": lambda: Book.objects.filter(pk=-1).prefetch_related("tags"),
}


@pytest.mark.usefixtures("routers")
@pytest.mark.parametrize("name", READS)
def test_prefetch_is_djangos(name: str) -> None:
    """To the querysets that are left on the instances, and what these would ask."""
    with djangos():
        truth = list(READS[name]())
    for _ in range(4):
        with compiled() as queries:
            found = list(READS[name]())
        assert difference(found, truth) is None
    assert not queries, "a hit has asked a compiler"
    assert difference(found, list(READS[name]())) is None, "two hits share something"


@pytest.mark.parametrize("name", ["get", "first", "getitem"])
def test_one_item_with_its_prefetches(name: str) -> None:
    def read() -> Any:
        prefetched = books().prefetch_related("tags", "author__books")
        match name:
            case "get":
                return prefetched.get(pk=2)
            case "first":
                return prefetched.first()
        return prefetched[1]

    with djangos():
        truth = read()
    for _ in range(4):
        assert difference(read(), truth) is None


def test_what_is_filtered_next_goes_over_djangos_joins() -> None:
    def read() -> Any:
        (tag,) = Tag.objects.filter(label="red").prefetch_related("books")
        direct = Tag.objects.get(label="red").books
        return [
            str(queryset.query)
            for related in (tag.books, direct)
            for queryset in (
                related.all(),
                related.filter(tags__label__gt="a"),
                related.all().filter(tags__label__gt="a"),
                related.filter(pages__gt=1).filter(tags__label__gt="a"),
                related.exclude(tags__label="b"),
            )
        ]

    Tag.objects.get_or_create(label="red")
    with djangos():
        truth = read()
    for _ in range(4):
        assert read() == truth


def test_related_reads_of_many_to_many_need_no_query() -> None:
    book = Book.objects.get(pk=1)
    for _ in range(3):
        with compiled() as queries:
            assert_right(lambda: list(book.tags.all()))
            read = list(book.tags.filter(label__gt="a")), book.tags.count()
        assert read
    assert len(queries) == 1, "only the uncached read"


def test_instances_of_one_value_share_their_list_as_ever() -> None:
    for _ in range(4):
        for to_attr in (None, "found"):
            twins = [Author.objects.get(pk=1), Author.objects.get(pk=1), Author.objects.get(pk=2)]
            prefetch_related_objects(twins, Prefetch("books", to_attr=to_attr))
            one, two, three = [
                getattr(each, "found", None) or each.books.all()._result_cache for each in twins
            ]
            assert one is two is not three
            assert [book.author for book in one if book.author is not twins[1]] == []


def test_other_instances_are_other_levels() -> None:
    for _ in range(3):
        for pks in ([1, 2], [2, 1], [1], [1, 2, 3]):
            found = [Author.objects.get(pk=pk) for pk in pks]
            prefetch_related_objects(found, "books")
            for author in found:
                expected = QuerySet(Book).filter(author=author.pk).order_by("title", "pk")
                assert [book.pk for book in author.books.all()] == [book.pk for book in expected]


def test_own_uncommitted_write_is_seen_by_a_prefetch() -> None:
    def labels() -> list[list[str]]:
        return [[tag.label for tag in book.tags.all()] for book in books().prefetch_related("tags")]

    for _ in range(4):
        before = labels()
    with transaction.atomic():
        Book.objects.get(pk=1).tags.clear()
        assert labels()[0] == []
        transaction.set_rollback(True)
    assert labels() == before
    Book.objects.get(pk=1).tags.clear()
    assert labels()[0] == []


def test_name_of_a_field_is_refused_on_a_hit_too() -> None:
    for to_attr in ("found", "passport") * 4:
        lonely = Author.objects.filter(passport=None).order_by("pk")
        read = lonely.prefetch_related(Prefetch("books", to_attr=to_attr))
        if to_attr == "passport":
            with pytest.raises(ValueError, match="conflicts with a field"):
                list(read)
        else:
            list(read)


def test_deferred_key_is_fetched_as_ever() -> None:
    for _ in range(4):
        assert_right(lambda: list(books().only("title").prefetch_related("author")))
        assert_right(
            lambda: list(authors().prefetch_related(Prefetch("books", Book.objects.only("title"))))
        )


class Elsewhere:
    """Reads books from the one or the other database, as it likes."""

    alias = "default"

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        if model is Book:
            self.alias = "other" if self.alias == "default" else "default"
            return self.alias
        return None


def test_router_that_changes_its_mind_is_believed() -> None:
    """Asked again for the query, it names another database than the one that was looked in."""
    Author.objects.using("other").create(pk=1, name="there")
    Book.objects.using("other").create(title="there", author_id=1)
    with override_settings(DATABASE_ROUTERS=[Elsewhere()]):
        for _ in range(8):
            author = Author.objects.using("default").get(pk=1)
            prefetch_related_objects([author], Prefetch("books", to_attr="found"))
            for book in author.found:
                assert (book.title == "there") is (book._state.db == "other")
    author = Author.objects.using("default").get(pk=1)
    prefetch_related_objects([author], "books")
    assert "there" not in [book.title for book in author.books.all()]


def test_manager_without_caching_is_asked_each_time() -> None:
    loans = Loan.objects.order_by("pk").prefetch_related(Prefetch("reader"))
    for _ in range(3):
        assert_right(lambda: list(loans.all()))
    plain = Author.plain.order_by("pk").prefetch_related(Prefetch("books", QuerySet(Book)))
    with compiled() as queries:
        list(plain.all())
        list(plain.all())
    assert len(queries) == 4


def test_key_of_ones_own_class_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it sends to the database may depend on more than its value."""
    from django_cache_manager import prefetches

    class Moody(models.CharField):
        hides = False

        def get_prep_value(self, value: Any) -> Any:
            return "??" if Moody.hides else super().get_prep_value(value)

    monkeypatch.setattr(Country._meta.get_field("code"), "__class__", Moody)
    prefetches._relations.clear()
    try:
        for hides in (False, True) * 4:
            countries = [Country(pk="DE"), Country(pk="JP")]
            Moody.hides = hides
            prefetch_related_objects(countries, "authors")
            assert bool(countries[0].authors.all()) is not hides
    finally:
        prefetches._relations.clear()
