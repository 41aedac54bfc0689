"""CacheManager and CachingQuerySet compose as Django's own do; which managers cache and which
don't.
"""

import re
from collections.abc import Callable

import pytest
from django.db import connection, models
from django.db.migrations.state import ModelState

from observe import assert_cached, assert_hit, assert_not_cached, assert_right, count_sql, uncached
from settings import PLAIN
from testapp.evolving.models import Gauge, GaugeManager
from testapp.managers import CacheManager, CachingQuerySet
from testapp.models import Author, Book, Plain, RankedAuthor, Reader, Shelf, Tag
from testapp.reads import READS, cached

pytestmark = pytest.mark.usefixtures("library")


def test_from_queryset_has_both_sets_of_methods() -> None:
    assert_cached(lambda: list(Shelf.objects.named("a").order_by("pk")))
    assert_cached(lambda: list(Shelf.objects.tall().order_by("pk")))
    assert_cached(lambda: list(Shelf.objects.tall().named("b").order_by("pk")))
    assert Shelf.objects.names() == ["a0", "a2", "b1", "b3"]
    assert not hasattr(Shelf.objects, "_private")
    assert isinstance(Shelf.objects, CacheManager)


def test_from_queryset_of_a_plain_queryset_caches() -> None:
    """The class of the manager says it: CacheManager.from_queryset(any queryset)."""

    class Old(models.QuerySet):
        def high(self) -> "Old":
            return self.filter(height__gt=70)

    manager = CacheManager.from_queryset(Old)()
    manager.model = Shelf
    assert_right(lambda: list(manager.high().order_by("pk")))
    assert len(manager.high()) == 3


def test_as_manager() -> None:
    assert Shelf.by_queryset.names() == ["a0", "a2", "b1", "b3"]
    assert_cached(lambda: list(Shelf.by_queryset.named("a").order_by("pk")))
    assert type(Shelf.by_queryset.all()).__name__ == "ShelfQuerySet"


def test_plain_manager_of_a_cached_model_goes_round() -> None:
    assert_not_cached(lambda: list(Shelf.plain.order_by("pk")))


def test_managers_see_each_others_writes() -> None:
    assert len(Shelf.objects.named("a")) == len(Shelf.by_queryset.named("a")) == 2
    Shelf.plain.create(name="a8")
    assert len(Shelf.objects.named("a")) == len(Shelf.by_queryset.named("a")) == 3


def test_subclass_with_its_own_get_queryset() -> None:
    assert_cached(lambda: list(RankedAuthor.objects.all()))
    assert_cached(lambda: RankedAuthor.objects.count())
    Author.objects.filter(pk=1).update(rank=9)
    assert RankedAuthor.objects.count() == 4


def test_subclass_that_overrides_get_is_called() -> None:
    calls: list[str] = []

    class Asked(CachingQuerySet):
        def get(self, *args: object, **kwargs: object) -> models.Model:
            calls.append("get")
            return super().get(*args, **kwargs)

        def filter(self, *args: object, **kwargs: object) -> models.QuerySet:
            calls.append("filter")
            return super().filter(*args, **kwargs)

    manager = CacheManager.from_queryset(Asked)()
    manager.model = Author
    for _ in range(2):
        calls.clear()
        manager.get(pk=1)
        manager.filter(pk=1).get()
        # get() filters by itself.
        assert calls == ["get", "filter", "filter", "get", "filter"]


def test_nocache_is_a_copy() -> None:
    queryset = Author.objects.order_by("pk")
    list(queryset.all())
    plain = queryset.nocache()
    for _ in range(2):
        with count_sql() as log:
            list(plain.filter(rank__gt=1).exclude(rank=3).all())
        assert log
    assert_hit(lambda: list(queryset.all()))


def test_nocache_reads_do_not_fill() -> None:
    list(Author.objects.nocache().filter(rank=5))
    with count_sql() as log:
        list(Author.objects.filter(rank=5))
    assert log


def test_nocache_writes_are_seen() -> None:
    READS["list"](cached)
    Author.objects.nocache().filter(pk=1).update(name="seen")
    assert READS["list"](cached)[0].name == "seen"


def test_forward_key_goes_by_the_base_manager() -> None:
    book = Book.objects.get(pk=1)
    assert_cached(lambda: Book(author_id=book.author_id).author)


def test_base_manager_is_not_filtered() -> None:
    """The default manager's own get_queryset() never reaches foreign keys or refresh."""
    assert RankedAuthor.objects.filter(rank=0).count() == 0
    assert RankedAuthor._base_manager.get(rank=0).name == "Ánna"
    author = RankedAuthor(pk=1)
    author.refresh_from_db()
    assert author.name == "Ánna"


def test_related_managers_of_a_model_without_the_manager() -> None:
    """Plain has no CacheManager: its related manager neither."""
    book = Book.objects.get(pk=1)
    assert_not_cached(lambda: list(book.plains.all()))
    assert_cached(lambda: list(Tag.objects.get(pk=1).books.all()))


@pytest.mark.cached
def test_models_setting_caches_without_a_manager(settings_of_cache: Callable[..., None]) -> None:
    settings_of_cache(MODELS=["testapp.Plain", "auth.*"])
    assert_cached(lambda: list(Plain.objects.order_by("pk")))
    assert_cached(lambda: Plain.objects.select_related("book").get(pk=1))
    assert_cached(lambda: list(Book.objects.get(pk=1).plains.all()))
    Plain.objects.filter(pk=1).update(name="changed")
    assert Plain.objects.get(pk=1).name == "changed"


@pytest.mark.cached
def test_models_setting_of_everything_and_exclude(settings_of_cache: Callable[..., None]) -> None:
    settings_of_cache(MODELS=["*"], EXCLUDE=["testapp.Reader"])
    assert_cached(lambda: list(Plain.objects.order_by("pk")))
    assert_cached(lambda: list(Author.plain.order_by("pk")))
    assert_cached(lambda: list(Reader.objects.order_by("pk")))


@pytest.mark.cached
def test_enabled_false_restores_every_count(settings_of_cache: Callable[..., None]) -> None:
    with uncached(), count_sql() as expected:
        for read in READS.values():
            read(cached)
    for read in READS.values():
        read(cached)
    settings_of_cache(ENABLED=False)
    for _ in range(2):
        with count_sql() as log:
            for read in READS.values():
                read(cached)
        assert without_cursor_names(log) == without_cursor_names(expected)


def without_cursor_names(log: list[str]) -> list[str]:
    """PostgreSQL's server-side cursors are numbered."""
    return [re.sub(r"_django_curs_\w+", "cursor", sql) for sql in log]


@pytest.mark.cached
def test_writes_while_disabled_are_marked(settings_of_cache: Callable[..., None]) -> None:
    from django.test import override_settings

    READS["list"](cached)
    with override_settings(DJANGO_CACHE_MANAGER={**django_settings(), "ENABLED": False}):
        Author.objects.filter(pk=1).update(name="while disabled")
    assert READS["list"](cached)[0].name == "while disabled"


def django_settings() -> dict[str, object]:
    from django.conf import settings

    return settings.DJANGO_CACHE_MANAGER


def test_use_in_migrations_is_deconstructed_as_django_does() -> None:
    state = ModelState.from_model(Gauge)
    (name, manager), *_ = state.managers
    assert (name, type(manager)) == ("objects", GaugeManager)
    assert ModelState.from_model(Author).managers == []
    assert CacheManager.use_in_migrations is False
    path = "testapp.evolving.models.GaugeManager"
    assert Gauge.objects.deconstruct() == (False, path, None, (), {})


def test_manager_in_the_admin_and_forms_is_a_manager() -> None:
    assert isinstance(Author.objects, models.Manager)
    assert issubclass(CachingQuerySet, models.QuerySet)
    assert Author._default_manager is Author.objects or Author._default_manager == Author.objects
    assert [manager.name for manager in Author._meta.managers] == ["objects", "plain"]
    assert Author.objects != Author.plain


def test_manager_is_not_reached_from_instances() -> None:
    with pytest.raises(AttributeError, match="isn't accessible"):
        _ = Author.objects.get(pk=1).objects


@pytest.mark.usefixtures("routed")
def test_routed_reads_and_writes() -> None:
    from testapp.router import TestRouter

    Author.objects.using("other").create(pk=1, name="elsewhere")
    assert Author.objects.get(pk=1).name == "Ánna"
    TestRouter.reads["testapp.Author"] = "other"
    read = assert_cached(lambda: Author.objects.get(pk=1))
    assert (read.name, read._state.db) == ("elsewhere", "other")
    TestRouter.writes["testapp.Author"] = "other"
    Author.objects.filter(pk=1).update(name="written there")
    assert Author.objects.get(pk=1).name == "written there"
    TestRouter.reads.clear()
    assert Author.objects.get(pk=1).name == "Ánna"
    assert connection.alias == "default"


def test_two_aliases_of_one_database_share_and_see() -> None:
    from django.db import connections

    if connection.settings_dict["NAME"] == ":memory:":
        return
    connections.databases["twin"] = {**connections["default"].settings_dict, "TEST": {}}
    try:
        assert Author.objects.get(pk=1).name == "Ánna"
        twin = Author.objects.using("twin").get(pk=1)
        assert twin._state.db == "twin"
        with count_sql() as log:
            assert Author.objects.using("twin").get(pk=1)._state.db == "twin"
        assert log.none()
        Author.objects.using("twin").filter(pk=1).update(name="by the twin")
        assert Author.objects.get(pk=1).name == "by the twin"
        Author.objects.filter(pk=1).update(name="by default")
        assert Author.objects.using("twin").get(pk=1).name == "by default"
    finally:
        connections["twin"].close()
        del connections["twin"]
        del connections.databases["twin"]
    assert PLAIN or Author.objects.count() == 6
