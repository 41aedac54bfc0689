"""MODELS and EXCLUDE: models without the manager are cached, however they are read."""

import contextvars
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import connection, models
from django.db.models import Count, Max, Q
from django.db.models.fields.related_descriptors import create_reverse_many_to_one_manager
from django.test.utils import isolate_apps

from in_flight import wait_for
from observe import (
    assert_cached,
    assert_hit,
    assert_not_cached,
    count_sql,
    invalidate_all,
    uncached,
)
from testapp.models import Author, Book, Plain, Reader, Tag
from testapp.reads import READS, cached

pytestmark = [pytest.mark.usefixtures("library"), pytest.mark.cached]

Change = Callable[..., None]


@pytest.fixture
def everything(settings_of_cache: Change) -> None:
    settings_of_cache(MODELS=["*"])


def plain_list() -> list[Plain]:
    return list(Plain.objects.order_by("pk"))


# --- which models -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "patterns", [["*"], ["testapp.*"], ["testapp.Plain"], ["auth.*", "testapp.Plain"]]
)
def test_named_model_is_cached(settings_of_cache: Change, patterns: list[str]) -> None:
    settings_of_cache(MODELS=patterns)
    assert_cached(plain_list)


@pytest.mark.parametrize(
    "patterns", [[], ["auth.*"], ["testapp.Author"], ["testapp.Author", "contenttypes.*"]]
)
def test_other_model_is_not_cached(settings_of_cache: Change, patterns: list[str]) -> None:
    settings_of_cache(MODELS=patterns)
    assert_not_cached(plain_list)
    assert_cached(lambda: list(Tag.objects.all()))


@pytest.mark.parametrize("excluded", [["testapp.Plain"], ["testapp.*"], ["*"]])
def test_exclude_wins(settings_of_cache: Change, excluded: list[str]) -> None:
    settings_of_cache(MODELS=["*", "testapp.Plain"], EXCLUDE=excluded)
    assert_not_cached(plain_list)


def test_exclude_leaves_other_models(settings_of_cache: Change) -> None:
    settings_of_cache(MODELS=["*"], EXCLUDE=["testapp.Plain"])
    assert_cached(lambda: list(Author.plain.order_by("pk")))
    assert_cached(lambda: list(User.objects.order_by("pk")))


def test_exclude_does_not_take_the_manager_away(settings_of_cache: Change) -> None:
    settings_of_cache(MODELS=["*"], EXCLUDE=["testapp.Reader"])
    assert_cached(lambda: list(Reader.objects.order_by("pk")))


def test_writes_to_an_excluded_model_are_seen(settings_of_cache: Change) -> None:
    settings_of_cache(MODELS=["*"], EXCLUDE=["testapp.Plain"])

    def titles() -> list[str]:
        return list(Book.objects.filter(plains__name="plain").values_list("title", flat=True))

    assert assert_cached(titles) == ["Book A"]
    Plain.objects.filter(pk=1).update(name="other")
    assert titles() == []


def test_changed_settings_hold_at_once(settings_of_cache: Change) -> None:
    settings_of_cache(MODELS=["testapp.Plain"])
    assert_cached(plain_list)
    settings_of_cache(MODELS=[])
    assert_not_cached(plain_list)
    settings_of_cache(MODELS=["testapp.*"])
    assert_cached(plain_list)


# --- every way to read --------------------------------------------------------------------------


def by_settings(manager: Any) -> models.QuerySet:
    """The manager's queryset as one that only the settings make cached."""
    queryset = manager.all()
    if queryset._query.__dict__.pop("caching", None) is None:
        pytest.fail("the manager's own querysets are not cached: nothing to take away")
    return queryset


def test_every_read(everything: None) -> None:
    wrong = {}
    for name, read in READS.items():
        try:
            answer = assert_cached(partial(read, by_settings))
            assert type(answer) is type(read(cached))
        except AssertionError as error:
            wrong[name] = str(error)
    assert not wrong


def test_extra_of_prefetching_alone_is_cached(everything: None) -> None:
    books = Book.objects.order_by("pk")
    assert_cached(lambda: list(books.prefetch_related("tags")))
    column = '"testapp_book"."pages"'
    for name, sql in (("mine", column), ("_prefetch_related_val_mine", f"({column})")):
        assert_not_cached(lambda name=name, sql=sql: list(books.extra(select={name: sql})))


def test_both_ways_share_what_is_stored(everything: None) -> None:
    assert_cached(lambda: list(Author.objects.order_by("pk")))
    assert_hit(lambda: list(Author.plain.order_by("pk")))


def test_without_the_manager(everything: None) -> None:
    assert_cached(lambda: Plain.objects.get(name="alone"))
    assert_cached(lambda: Plain.objects.select_related("book__author").get(pk=1))
    assert_cached(lambda: list(Plain.objects.prefetch_related("book__tags").order_by("pk")))
    assert_cached(lambda: Plain.objects.count())
    assert_cached(lambda: Plain.objects.filter(Q(name="x") | Q(book=1)).exists())
    assert_cached(lambda: Plain.objects.aggregate(Max("pk"), n=Count("book")))
    assert_cached(lambda: Plain.objects.in_bulk([1, 2]))
    assert_cached(lambda: list(Plain.objects.order_by("pk").iterator()))
    assert_cached(lambda: list(Plain.objects.values("book").annotate(n=Count("pk")).order_by("n")))
    assert_cached(lambda: list(Book.objects.get(pk=1).plains.all()))


def test_each_write_is_seen(everything: None) -> None:
    def names() -> list[str]:
        return list(Plain.objects.order_by("pk").values_list("name", flat=True))

    assert assert_cached(names) == ["plain", "alone"]
    plain = Plain.objects.create(name="new")
    assert assert_cached(names) == ["plain", "alone", "new"]
    plain.name = "saved"
    plain.save()
    assert assert_cached(names) == ["plain", "alone", "saved"]
    plain.delete()
    assert assert_cached(names) == ["plain", "alone"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE testapp_plain SET name = 'raw' WHERE id = 1")
    assert assert_cached(names) == ["raw", "alone"]


# --- managers and querysets of the model's own --------------------------------------------------


class NamedQuerySet(models.QuerySet):
    def named(self, name: str) -> "NamedQuerySet":
        return self.filter(name=name)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        found = super().get(*args, **kwargs)
        found.found_by = "NamedQuerySet"
        return found


class BoundManager(models.Manager.from_queryset(NamedQuerySet)):  # type: ignore[misc]
    """Shows only what has a book."""

    def get_queryset(self) -> models.QuerySet:
        return super().get_queryset().filter(book__isnull=False)


def of_plain(manager: Any) -> Any:
    manager.model = Plain
    return manager


def test_custom_manager_and_queryset(everything: None) -> None:
    manager = of_plain(BoundManager())
    assert len(assert_cached(lambda: list(manager.order_by("pk")))) == 1
    assert assert_cached(lambda: list(manager.named("alone"))) == []
    assert assert_cached(lambda: manager.named("plain").get()).found_by == "NamedQuerySet"
    assert type(manager.all()) is NamedQuerySet
    Plain.objects.filter(name="alone").update(book=2)
    assert len(manager.named("alone")) == 1


def test_queryset_as_manager(everything: None) -> None:
    manager = of_plain(NamedQuerySet.as_manager())
    assert assert_cached(lambda: manager.get(name="alone")).found_by == "NamedQuerySet"


def test_queryset_without_a_manager(everything: None) -> None:
    assert_cached(lambda: list(models.QuerySet(Plain).order_by("pk")))
    assert_cached(lambda: list(NamedQuerySet(Plain).named("plain")))


def test_base_manager_reads(everything: None) -> None:
    """Forward keys and refresh_from_db() go by `_base_manager`, which is Django's own here."""
    assert type(ContentType._base_manager) is models.Manager
    permission = Permission.objects.order_by("pk").first()
    assert permission is not None
    assert_cached(lambda: Permission(content_type_id=permission.content_type_id).content_type)

    def refreshed() -> str:
        plain = Plain(pk=1)
        plain.refresh_from_db()
        return plain.name

    assert assert_cached(refreshed) == "plain"
    Plain.objects.filter(pk=1).update(name="changed")
    assert refreshed() == "changed"


def test_table_behind_a_many_to_many_field(everything: None) -> None:
    through = Book.tags.through
    assert type(through._default_manager) is models.Manager
    before = assert_cached(lambda: through._default_manager.filter(book=1).count())
    Book.objects.get(pk=1).tags.clear()
    assert (before, through._default_manager.filter(book=1).count()) == (2, 0)


# --- Django's own apps --------------------------------------------------------------------------


@pytest.fixture
def clerk() -> User:
    clerks = Group.objects.create(name="clerks")
    user: User = get_user_model().objects.create_user("clerk", password="secret")
    user.groups.add(clerks)
    return user


def test_permissions(everything: None, clerk: User) -> None:
    def permissions() -> set[str]:
        user = User.objects.get(username="clerk")  # without the permissions it remembers
        return user.get_all_permissions()

    assert assert_cached(permissions) == set()
    add = Permission.objects.get(codename="add_group")
    Group.objects.get(name="clerks").permissions.add(add)
    assert assert_cached(permissions) == {"auth.add_group"}
    clerk.user_permissions.add(Permission.objects.get(codename="change_group"))
    assert assert_cached(permissions) == {"auth.add_group", "auth.change_group"}
    clerk.groups.clear()
    assert assert_cached(permissions) == {"auth.change_group"}
    User.objects.filter(pk=clerk.pk).update(is_active=False)
    assert permissions() == set()


def test_user_by_natural_key(everything: None, clerk: User) -> None:
    read = assert_cached(lambda: User.objects.get_by_natural_key("clerk"))
    assert read.check_password("secret")
    clerk.set_password("other")
    clerk.save()
    assert User.objects.get_by_natural_key("clerk").check_password("other")


def test_content_types_with_their_own_cache(everything: None) -> None:
    def lookup() -> ContentType:
        ContentType.objects.clear_cache()
        return ContentType.objects.get_for_model(Plain)

    known = assert_cached(lookup)
    assert ContentType.objects.get_for_id(known.pk) == known
    assert assert_cached(lambda: known.get_object_for_this_type(pk=1)) == Plain(pk=1)


@pytest.fixture
def store(database: None) -> Iterator[type[SessionStore]]:
    """Django's own session store on a table that exists for this test: the app isn't installed."""
    with isolate_apps("testapp"):

        class StoredSession(AbstractBaseSession):
            session_key = models.CharField(max_length=40, primary_key=True)

            class Meta:
                app_label = "testapp"
                db_table = "testapp_stored_session"

            @classmethod
            def get_session_store_class(cls) -> type[SessionStore]:
                return Store

    class Store(SessionStore):
        @classmethod
        def get_model_class(cls) -> type[AbstractBaseSession]:
            return StoredSession

    with connection.schema_editor() as editor:
        editor.create_model(StoredSession)
    yield Store
    with connection.schema_editor() as editor:
        editor.delete_model(StoredSession)


def test_sessions(store: type[SessionStore], everything: None) -> None:
    session = store()
    session["cart"] = [1]
    session.create()

    def cart() -> Any:
        return store(session.session_key).get("cart")

    # A lookup holds the present moment as a parameter: each is another query.
    assert assert_not_cached(cart) == [1]
    rows = store.get_model_class().objects.filter(session_key=session.session_key)
    assert assert_cached(rows.get).get_decoded() == {"cart": [1]}
    session["cart"] = [1, 2]
    session.save()
    assert cart() == [1, 2]
    assert assert_cached(rows.all().get).get_decoded() == {"cart": [1, 2]}
    session.flush()
    assert (cart(), rows.exists()) == (None, False)


# --- out again ----------------------------------------------------------------------------------


def test_queryset_that_opts_out(everything: None) -> None:
    queryset = Plain.objects.order_by("pk")
    list(queryset.all())
    queryset.query.caching = False
    assert_not_cached(lambda: list(queryset.all()))
    assert_not_cached(lambda: queryset.filter(pk=1).count())
    assert_hit(plain_list)


class QuietQuerySet(models.QuerySet):
    caching = False

    def alone(self) -> "QuietQuerySet":
        return self.filter(name="alone")


class QuietManager(models.Manager):
    caching = False


class LoudQuerySet(QuietQuerySet):
    caching = True


class QuietBoundManager(BoundManager):
    caching = False


def test_queryset_class_that_opts_out(everything: None) -> None:
    plain_list()
    for queryset in (QuietQuerySet(Plain), of_plain(QuietQuerySet.as_manager()).all()):
        assert_not_cached(lambda queryset=queryset: list(queryset.order_by("pk")))
        assert_not_cached(lambda queryset=queryset: queryset.alone().count())
        assert_not_cached(lambda queryset=queryset: queryset.all().aggregate(Max("pk")))
    assert_hit(plain_list)


def test_subclass_of_a_queryset_class_opts_in_again(everything: None) -> None:
    assert_cached(lambda: list(LoudQuerySet(Plain).alone()))


def test_caching_true_names_no_model(settings_of_cache: Change) -> None:
    settings_of_cache(MODELS=["testapp.Tag"])
    assert_not_cached(lambda: list(LoudQuerySet(Plain).alone()))


@pytest.mark.parametrize("kind", [QuietManager, QuietBoundManager])
def test_manager_class_that_opts_out(everything: None, kind: type[models.Manager]) -> None:
    plain_list()
    manager = of_plain(kind())
    assert_not_cached(lambda: list(manager.order_by("pk")))
    assert_not_cached(lambda: manager.using("default").filter(pk=1).exists())
    assert_not_cached(lambda: manager.get(pk=1))
    assert_hit(plain_list)


def test_related_manager_opts_out_with_its_class(everything: None) -> None:
    relation = Plain._meta.get_field("book").remote_field
    book = Book.objects.get(pk=1)
    quiet = create_reverse_many_to_one_manager(QuietManager, relation)(book)
    assert_not_cached(lambda: list(quiet.all()))
    assert_not_cached(lambda: quiet.count())
    assert_cached(lambda: list(book.plains.all()))


class QuietCachingQuerySet(type(Author.objects.all())):  # type: ignore[misc]
    caching = False


class QuietCacheManager(type(Tag.objects)):  # type: ignore[misc]
    caching = False


def test_caching_classes_may_opt_out() -> None:
    assert_not_cached(lambda: list(QuietCachingQuerySet(Author).order_by("pk")))
    manager = QuietCacheManager()
    manager.model = Tag
    assert_not_cached(lambda: list(manager.all()))
    with isolate_apps("testapp"):

        class Silent(models.Model):
            objects = QuietCacheManager()

            class Meta:
                app_label = "testapp"

        assert type(Silent._base_manager) is models.Manager


def test_explain_names_the_opt_out(everything: None) -> None:
    from django_cache_manager.api import explain

    assert "caching = False" in explain(QuietQuerySet(Plain).all()).reason


def test_methods_called_caching_are_no_opt_out(everything: None) -> None:
    class Odd(models.QuerySet):
        def caching(self) -> None:
            """Not ours."""

    assert_cached(lambda: list(Odd(Plain).order_by("pk")))


# --- options of a model -------------------------------------------------------------------------


def test_models_may_be_a_dict(settings_of_cache: Change) -> None:
    settings_of_cache(MODELS={"testapp.Plain": {}, "auth.*": {"TIMEOUT": 3600}})
    assert_cached(plain_list)
    assert_cached(lambda: list(User.objects.order_by("pk")))
    assert_not_cached(lambda: list(Author.plain.order_by("pk")))


SHORT, LONG = 0.2, 60


def is_hit(read: Callable[[], Any]) -> bool:
    with count_sql() as log:
        read()
    return log.none()


def expires(read: Callable[[], Any]) -> None:
    """A hit at first, and in the end no more."""
    wait_for(lambda: read() is not None and is_hit(read))
    wait_for(lambda: not is_hit(read))


def outlives(read: Callable[[], Any], short: Callable[[], Any]) -> None:
    """Still a hit when what was read after it has expired."""
    invalidate_all()
    read()
    expires(short)
    assert is_hit(read)


def plain_by_author() -> list[Any]:
    return list(Author.plain.order_by("pk"))


def test_timeout_of_a_model(settings_of_cache: Change) -> None:
    settings_of_cache(
        MODELS={"*": {}, "testapp.Plain": {"TIMEOUT": SHORT}, "testapp.Book": {"TIMEOUT": LONG}}
    )
    outlives(plain_by_author, plain_list)
    # The strictest of several models, and a model that has the manager.
    outlives(plain_by_author, lambda: list(Plain.objects.select_related("book").order_by("pk")))
    outlives(plain_by_author, lambda: list(Book.objects.filter(plains__name="plain")))


def test_timeout_of_the_closest_pattern(settings_of_cache: Change) -> None:
    settings_of_cache(
        TIMEOUT=SHORT,
        MODELS={"*": {}, "testapp.*": {"TIMEOUT": LONG}, "testapp.Tag": {"TIMEOUT": SHORT}},
    )
    outlives(plain_list, lambda: list(Tag.objects.all()))
    outlives(plain_list, lambda: list(User.objects.order_by("pk")))


def test_max_entry_of_a_model(settings_of_cache: Change) -> None:
    from django_cache_manager.api import explain

    settings_of_cache(MODELS={"*": {}, "testapp.Plain": {"MAX_ENTRY": "1K"}})
    assert_cached(plain_list)
    Plain.objects.bulk_create(Plain(name=f"{n:040}") for n in range(40))
    assert len(assert_not_cached(plain_list)) == 42
    assert "MAX_ENTRY (1024 bytes)" in explain(Plain.objects.order_by("pk")).reason
    assert_cached(lambda: Plain.objects.count())
    Tag.objects.bulk_create(Tag(label=f"{n:040}") for n in range(40))
    assert_cached(lambda: list(Tag.objects.all()))
    assert_not_cached(lambda: list(Plain.objects.values_list("name", "book__tags__label")))


def test_iterator_of_a_model(settings_of_cache: Change) -> None:
    settings_of_cache(MODELS={"*": {}, "testapp.Plain": {"ITERATOR": False}})
    plain_list()
    assert_not_cached(lambda: list(Plain.objects.order_by("pk").iterator()))
    assert_hit(plain_list)
    assert_not_cached(lambda: list(Book.objects.filter(plains__pk__gt=0).iterator()))
    assert_not_cached(
        lambda: list(Book.objects.filter(pk__in=Plain.objects.values("book")).iterator())
    )
    assert_cached(lambda: list(Book.objects.iterator()))


def test_iterator_of_a_model_with_the_manager(settings_of_cache: Change) -> None:
    assert_cached(lambda: list(Book.objects.iterator()))
    settings_of_cache(MODELS={"testapp.Book": {"ITERATOR": False}})
    assert_cached(lambda: list(Book.objects.all()))
    assert_not_cached(lambda: list(Book.objects.iterator()))
    assert_not_cached(lambda: list(Book.objects.values_list("title").iterator()))


def test_iterator_that_is_not_to_be_cached_is_not_kept(settings_of_cache: Change) -> None:
    settings_of_cache(MODELS={"*": {}, "testapp.Plain": {"ITERATOR": False}})
    list(Plain.objects.order_by("pk").iterator())
    with count_sql() as log:
        plain_list()
    assert log


def test_nocache_where_everything_is_cached(everything: None) -> None:
    list(Author.objects.order_by("pk"))
    assert_not_cached(lambda: list(Author.objects.nocache().order_by("pk")))
    assert_hit(lambda: list(Author.objects.order_by("pk")))


def test_uncached_reads_nothing_and_keeps_nothing(everything: None) -> None:
    with uncached():
        assert_not_cached(plain_list)
    with count_sql() as log:
        plain_list()
    assert log, "what was read inside uncached() was kept"
    Plain.objects.filter(pk=1).update(name="changed")
    with uncached():
        Plain.objects.filter(pk=2).update(name="inside")
    assert [plain.name for plain in plain_list()] == ["changed", "inside"]


def test_uncached_holds_for_its_context(everything: None) -> None:
    outside = contextvars.copy_context()
    plain_list()
    with uncached():
        assert_not_cached(plain_list)
        outside.run(lambda: assert_hit(plain_list))
    assert_hit(plain_list)
