"""Routers, replicas and shards: an answer is its own database's, whoever chose it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, connections
from django.test import override_settings

from observe import assert_cached, assert_hit, assert_not_cached, assert_right, count_sql
from testapp.models import Author, Book, Plain, Tag
from testapp.router import TestRouter

pytestmark = [pytest.mark.usefixtures("library", "routed"), pytest.mark.cached]

Change = Callable[..., None]


def names(alias: str | None = None) -> list[str]:
    return list(Author.objects.using(alias).order_by("pk").values_list("name", flat=True))


def routed(label: str, reads: str, writes: str = "default") -> None:
    TestRouter.reads[label] = reads
    TestRouter.writes[label] = writes


# --- a replica ----------------------------------------------------------------------------------


def replicate() -> None:
    """`other` gets what `default` has, outside Django's sight: by the driver's own connection."""
    rows = list(Author.objects.using("default").nocache().values_list("id", "name", "rank"))
    connections["other"].ensure_connection()
    driver = connections["other"].connection
    mark = "?" if connection.vendor == "sqlite" else "%s"
    cursor = driver.cursor()
    cursor.execute("DELETE FROM testapp_author")
    for row in rows:
        cursor.execute(
            f"INSERT INTO testapp_author (id, name, rank) VALUES ({mark}, {mark}, {mark})", row
        )
    cursor.close()


def test_declared_replica_is_never_cached(settings_of_cache: Change) -> None:
    settings_of_cache(REPLICAS=["other"])
    routed("testapp.Author", reads="other")
    replicate()
    before = assert_not_cached(names)
    Author.objects.filter(pk=1).update(name="written")
    assert names() == before  # it lags behind, as without the cache
    replicate()
    assert names()[0] == "written"
    assert_cached(lambda: names("default"))
    assert_not_cached(lambda: Author.objects.raw("SELECT * FROM testapp_author ORDER BY id")[0])


def test_explain_names_the_replica(settings_of_cache: Change) -> None:
    from django_cache_manager.api import explain

    settings_of_cache(REPLICAS=["other"])
    assert explain(Author.objects.using("other")).reason == "the alias is in REPLICAS"


def test_reads_for_a_write_go_where_the_write_goes(settings_of_cache: Change) -> None:
    """get_or_create() and its like set `_for_write`: the lagging replica must not answer them."""
    settings_of_cache(REPLICAS=["other"])
    routed("testapp.Author", reads="other")
    replicate()
    made, created = Author.objects.get_or_create(name="new", rank=9)
    assert created
    again, created = Author.objects.get_or_create(name="new", rank=9)
    assert (again, created) == (made, False)
    assert not Author.objects.filter(name="new").exists()
    changed, _ = Author.objects.update_or_create(name="new", defaults={"rank": 10})
    assert changed._state.db == "default"
    assert Author.objects.using("default").get(name="new").rank == 10


def test_undeclared_second_database_is_cached_as_its_own() -> None:
    routed("testapp.Author", reads="other", writes="other")
    Author.objects.create(pk=1, name="there")
    assert assert_cached(names) == ["there"]
    assert assert_cached(lambda: names("default"))[0] == "Ánna"
    names()
    Author.objects.using("default").filter(pk=1).update(name="here")
    assert assert_hit(names) == ["there"]
    Author.objects.filter(pk=1).update(name="changed there")
    assert (names(), names("default")[0]) == (["changed there"], "here")


# --- a mirror, as TEST MIRROR makes it ----------------------------------------------------------


@pytest.fixture
def mirror(library: None) -> Iterator[str]:
    if connection.settings_dict["NAME"] == ":memory:":
        pytest.fail("the run's database can't be mirrored")
    settings = connections["default"].settings_dict
    connections.databases["mirror"] = {**settings, "NAME": "replaced", "TEST": {**settings["TEST"]}}
    made = connections["mirror"]
    made.creation.set_as_test_mirror(settings)
    yield "mirror"
    made.close()
    del connections["mirror"], connections.databases["mirror"]


def test_mirror_sees_each_write_of_the_mirrored(mirror: str) -> None:
    routed("testapp.Author", reads=mirror)
    assert assert_right(names)[0] == "Ánna"
    assert Author.objects.get(pk=1)._state.db == mirror
    with count_sql() as log:
        assert names()[0] == "Ánna"
    assert log.none()
    Author.objects.filter(pk=1).update(name="written")
    assert names()[0] == "written"
    author = Author.objects.get(pk=1)
    author.name = "saved"
    author.save(using="default")
    assert (names()[0], names("default")[0]) == ("saved", "saved")


# --- shards -------------------------------------------------------------------------------------


class ShardRouter:
    """By the instance at hand: what belongs to an author is where the author is."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        instance = hints.get("instance")
        if instance is None or model._meta.label != "testapp.Book":
            return None
        return "other" if instance.pk % 2 else "default"

    db_for_write = db_for_read

    def allow_relation(self, *_: Any, **__: Any) -> bool:
        return True


@pytest.fixture
def shards(library: None, routed: None) -> Iterator[None]:
    Author.objects.using("other").bulk_create(Author(pk=pk, name=f"shard {pk}") for pk in (1, 2))
    Book.objects.using("other").create(title="on the other shard", author_id=1)
    with override_settings(DATABASE_ROUTERS=[ShardRouter()]):
        yield


@pytest.mark.usefixtures("shards")
def test_hints_decide_about_the_shard() -> None:
    def titles(pk: int) -> list[str]:
        return [book.title for book in Author(pk=pk).books.all()]

    assert assert_cached(lambda: titles(1)) == ["on the other shard"]
    assert assert_cached(lambda: titles(2)) == ["Book B", "Book F", "Book J"]
    Author(pk=1).books.create(title="second")
    assert titles(1) == ["on the other shard", "second"]
    assert Book.objects.using("default").filter(title="second").count() == 0
    Book.objects.using("default").filter(author=2).delete()
    assert titles(2) == []
    assert len(titles(1)) == 2


@pytest.mark.usefixtures("shards")
def test_using_decides_for_everything_that_follows() -> None:
    def read(alias: str) -> Any:
        books = Book.objects.using(alias).select_related("author").prefetch_related("tags")
        return [(book._state.db, book.author._state.db, book.author.name) for book in books]

    assert assert_cached(lambda: read("other")) == [("other", "other", "shard 1")]
    assert len(assert_cached(lambda: read("default"))) == 10
    Author.objects.using("other").filter(pk=1).update(name="changed")
    assert read("other") == [("other", "other", "changed")]


def test_models_by_settings_follow_the_router_too(settings_of_cache: Change) -> None:
    settings_of_cache(MODELS=["*"])
    Plain.objects.using("other").create(pk=1, name="there")
    routed("testapp.Plain", reads="other", writes="other")
    assert assert_cached(lambda: [plain.name for plain in Plain.objects.all()]) == ["there"]
    routed("testapp.Plain", reads="default")
    assert len(assert_right(lambda: list(Plain.objects.all()))) == 2
    with count_sql() as log:
        list(Tag.objects.using("other").all())
    assert log
