"""The engine's plans refuse what from_db() alone can do: classes, fields and receivers that could
tell are left to Django, whenever they came to be.
"""

import itertools
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from django.db import models, router
from django.db.models import Value
from django.db.models.fields.files import FileDescriptor
from django.db.models.fields.mixins import FieldCacheMixin
from django.db.models.fields.related_descriptors import (
    ForeignKeyDeferredAttribute,
    ForwardManyToOneDescriptor,
)
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import ModelSignal, post_init, pre_init
from django.test.utils import isolate_apps, override_settings

from django_cache_manager import row_plans
from observe import assert_hit, assert_same, count_sql, difference, uncached
from testapp.managers import CacheManager
from testapp.models import AllTypes, Author, Country, Enrolment
from testapp.router import TestRouter

pytestmark = [pytest.mark.usefixtures("library", "made"), pytest.mark.cached]


# --- what can be told apart is made by from_db() ------------------------------------------------


def countries() -> list[Country]:
    return list(Country.objects.order_by("pk"))


def watched(calls: list[Any], original: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return original(*args, **kwargs)

    return call


@pytest.mark.parametrize("owner", [models.Model, Country])
def test_patched_init_is_called(made: list[int], owner: type[models.Model]) -> None:
    assert_same(countries)
    calls: list[Any] = []
    with mock.patch.object(owner, "__init__", watched(calls, models.Model.__init__)):
        assert len(assert_hit(countries)) == 3
    assert len(calls) == 6  # the hit's, and those that it is compared with
    made.clear()
    assert_same(countries)
    assert len(calls) == 6


def test_patched_from_db_is_called(made: list[int]) -> None:
    assert_same(countries)
    calls: list[Any] = []
    watching = watched(calls, vars(models.Model)["from_db"].__func__)

    def plainly(cls: type, db: str, names: Any, values: Any) -> Any:
        return watching(cls, db, names, values)

    for owner, patch in itertools.product((Country, models.Model), (watching, plainly)):
        calls.clear()
        with mock.patch.object(owner, "from_db", classmethod(patch)):
            assert_hit(countries)
        assert len(calls) == 6
    assert_same(countries)


def test_patched_setattr_and_descriptors_are_called() -> None:
    def read() -> list[Author]:
        return list(Author.objects.order_by("pk"))

    assert_same(read)
    calls: list[Any] = []
    with mock.patch.object(Author, "__setattr__", watched(calls, object.__setattr__), create=True):
        assert_hit(read)
    assert len(calls) == 2 * 6 * 7  # two reads of six instances: _state and six fields
    calls.clear()
    with mock.patch.object(
        DeferredAttribute, "__set__", watched(calls, lambda *_: None), create=True
    ):
        read()
    assert calls
    assert_same(read)


@pytest.mark.parametrize("kind", [ForeignKeyDeferredAttribute, FileDescriptor])
def test_patched_descriptor_is_called(kind: type) -> None:
    AllTypes.objects.create(file="a.txt")

    def read() -> list[Any]:
        return [*Author.objects.order_by("pk"), *AllTypes.objects.all()]

    assert_same(read)
    calls: list[Any] = []
    patched = watched(calls, vars(kind)["__set__"])
    with mock.patch.object(kind, "__set__", lambda *args: patched(*args)):
        read()
    assert len(calls) == (6 if kind is ForeignKeyDeferredAttribute else 1)
    assert_same(read)


@pytest.mark.parametrize("owner", [FieldCacheMixin, models.ForeignKey])
@pytest.mark.parametrize("name", ["is_cached", "set_cached_value"])
def test_patched_cache_of_a_relation_is_asked(owner: type, name: str) -> None:
    def read() -> list[Author]:
        return list(Author.objects.select_related("country").order_by("pk"))

    assert_same(read)
    calls: list[Any] = []
    patched = watched(calls, vars(FieldCacheMixin)[name])
    with mock.patch.object(owner, name, lambda *args: patched(*args)):
        read()
    assert len(calls) >= 5
    assert_same(read)


def test_new_fields_change_nothing(made: list[int]) -> None:
    """Each counts itself in a class attribute of Field."""
    assert_same(countries)
    from django_cache_manager import row_plans

    plans = [plan.native for plan in row_plans._plans.values()]
    for _ in range(3000):
        models.CharField()
    assert_same(countries)
    assert [plan.native for plan in row_plans._plans.values()] == plans
    assert -1 not in made


def test_patched_model_state_is_used() -> None:
    from django.db.models import base

    class State(base.ModelState):
        def __init__(self) -> None:
            self.own = True

    assert_same(countries)
    with mock.patch.object(base, "ModelState", State):
        assert [country._state.own for country in countries()] == [True, True, True]
    assert {type(country._state) for country in countries()} == {base.ModelState}


@pytest.mark.parametrize("signal", [pre_init, post_init])
@pytest.mark.parametrize("sender", [Country, None])
def test_receiver_that_connects_later_is_called(made: list[int], signal: Any, sender: Any) -> None:
    assert_same(countries)
    heard: list[Any] = []

    def receiver(sender: Any, **kwargs: Any) -> None:
        if sender is Country:
            heard.append(kwargs)

    signal.connect(receiver, sender=sender)
    try:
        countries()
        assert len(heard) == 3
    finally:
        signal.disconnect(receiver, sender=sender)
    countries()
    assert len(heard) == 3


def test_receiver_of_another_model_stops_nothing(made: list[int]) -> None:
    def receiver(**kwargs: Any) -> None:
        raise AssertionError(kwargs)

    post_init.connect(receiver, sender=Enrolment)
    try:
        assert_same(countries)
        assert -1 not in made
    finally:
        post_init.disconnect(receiver, sender=Enrolment)


def test_receiver_of_a_related_model_is_called() -> None:
    def read() -> list[Author]:
        return list(Author.objects.select_related("country").order_by("pk"))

    assert_same(read)
    heard: list[Any] = []

    def receiver(**kwargs: Any) -> None:
        heard.append(kwargs["instance"])

    post_init.connect(receiver, sender=Country)
    try:
        read()
        assert len(heard) == 5
    finally:
        post_init.disconnect(receiver, sender=Country)


def test_signal_patched_to_be_sent_is_sent() -> None:
    assert_same(countries)
    with mock.patch.object(post_init, "send") as send:
        countries()
    assert send.call_count == 3
    with mock.patch.object(ModelSignal, "send") as send:
        countries()
    assert send.call_count == 6


def unusual(**extra: Any) -> type[models.Model]:
    """A model over Country's table, with attributes of its own."""
    meta = type(
        "Meta", (), {"app_label": "testapp", "db_table": "testapp_country", "managed": False}
    )
    fields = {
        "code": models.CharField(max_length=2, primary_key=True),
        "name": models.CharField(max_length=80),
        "objects": CacheManager(),
        "Meta": meta,
        "__module__": __name__,
        **extra,
    }
    bases = fields.pop("bases", (models.Model,))
    made: type[models.Model] = fields.pop("metaclass", type(models.Model))("Unusual", bases, fields)
    return made


class Loud:
    """A mixin that comes after Model."""

    def __init__(self) -> None:
        self.loud = True


class Shouting(models.CharField):
    class Descriptor(DeferredAttribute):
        def __set__(self, instance: Any, value: str) -> None:
            instance.__dict__[self.field.attname] = value.upper()

    descriptor_class = Descriptor


class Hidden:
    """In the place of `_state`."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else vars(instance)["hidden"]

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)["hidden"] = value


class Caller(type(models.Model)):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__call__(*args, **kwargs)
        instance.called = True
        return instance


def set_slowly(self: Any, name: str, value: Any) -> None:
    self.__dict__[name] = value if name == "_state" else f"set {value}"


def read_slowly(self: Any, name: str) -> Any:
    return object.__getattribute__(self, name)


def init_more(self: Any, *args: Any, **kwargs: Any) -> None:
    models.Model.__init__(self, *args, **kwargs)
    self.more = "more"


@isolate_apps("testapp")
@pytest.mark.parametrize(
    "extra",
    [
        {"__init__": init_more},
        {"__setattr__": set_slowly},
        {"__getattribute__": read_slowly},
        {"__new__": lambda cls, *args, **kwargs: object.__new__(cls)},
        {"bases": (models.Model, Loud)},
        {"name": Shouting(max_length=80)},
        {"_state": Hidden()},
        {"metaclass": Caller},
        {"from_db": classmethod(lambda cls, db, names, values, **_: cls(*map(str.upper, values)))},
    ],
    ids=lambda extra: next(iter(extra)),
)
def test_unusual_class_is_left_to_django(made: list[int], extra: dict[str, Any]) -> None:
    model = unusual(**extra)

    def read() -> list[dict[str, Any]]:
        return [
            {**vars(each), "_state": vars(each._state)}
            for each in model._default_manager.order_by("pk")
        ]

    read()
    with uncached():
        truth = read()
    with count_sql() as log:
        found = read()
    assert not log
    assert difference(found, truth) is None
    assert set(made) == {-1}


def test_order_that_from_db_would_take_otherwise_is_left_to_django() -> None:
    from django_cache_manager import row_plans

    compiler = Country.objects.all().query.get_compiler("default")
    compiler.as_sql()
    assert row_plans.plan_of(compiler).native is not None
    compiler.select = compiler.select[::-1]
    assert row_plans.plan_of(compiler).native is None


@isolate_apps("testapp")
def test_annotation_that_meets_a_property_is_set_by_it(made: list[int]) -> None:
    values: list[Any] = []
    model = unusual(
        echo=property(lambda self: values[-1], lambda self, value: values.append(value))
    )

    def read() -> Any:
        return model._default_manager.annotate(echo=Value("set")).get(pk="DE")

    read()
    values.clear()
    assert "echo" not in vars(read())
    assert values == ["set"]
    assert set(made) == {-1}


# --- known related objects ----------------------------------------------------------------------


def of_germany() -> tuple[Country, list[Author]]:
    country = Country.objects.get(pk="DE")
    return country, list(country.authors.order_by("pk"))


@pytest.fixture
def many_authors(library: None) -> None:
    Author.objects.bulk_create(Author(name=f"{n}", country_id="DE") for n in range(8))


@pytest.mark.parametrize("routers", [[], ["testapp.router.TestRouter"]])
@pytest.mark.usefixtures("many_authors")
def test_known_objects_are_set_as_django_sets_them(routers: list[str]) -> None:
    with override_settings(DATABASE_ROUTERS=routers):
        country, authors = assert_same(of_germany)
        assert len(authors) == 10
        assert all(author.country is country for author in authors)


@pytest.mark.usefixtures("many_authors")
def test_known_objects_are_left_where_others_have_a_say() -> None:
    """A patched descriptor, router or cache, and an object of another database."""
    calls: list[Any] = []

    def counted(owner: Any, name: str) -> Any:
        patched = watched(calls, getattr(owner, name))
        return mock.patch.object(owner, name, lambda *args, **kwargs: patched(*args, **kwargs))

    with override_settings(DATABASE_ROUTERS=[]):
        assert_same(of_germany)
        for owner, name in (
            (ForwardManyToOneDescriptor, "__set__"),
            (ForeignKeyDeferredAttribute, "__set__"),
            (models.ForeignKey, "set_cached_value"),
            (type(router), "allow_relation"),
            (router, "allow_relation"),
        ):
            for _ in range(row_plans.RETRY_AFTER + 3):
                of_germany()
            with mock.patch.object(row_plans, "_set_known", side_effect=AssertionError(name)):
                of_germany()
            calls.clear()
            with counted(owner, name):
                of_germany()
            assert len(calls) >= 10, name
        country = Country.objects.get(pk="DE")
        authors = country.authors.using("default").order_by("pk")
        country._state.db = "other"
        with pytest.raises(ValueError, match="router"):
            list(authors)
    with (
        override_settings(DATABASE_ROUTERS=["testapp.router.TestRouter"]),
        counted(TestRouter, "allow_relation"),
    ):
        calls.clear()
        of_germany()
        assert len(calls) == 10


@pytest.mark.usefixtures("many_authors")
def test_known_objects_of_one_to_one_and_deferred_keys(made: list[int]) -> None:
    with override_settings(DATABASE_ROUTERS=[]):
        assert_same(lambda: list(Country.objects.get(pk="DE").authors.defer("country")))
        assert_same(lambda: list(Country.objects.get(pk="DE").authors.select_related("country")))
        either = Country.objects.get(pk="DE").authors.all()

        def read() -> list[Author]:
            return list((either | Country.objects.get(pk="JP").authors.all()).order_by("pk"))

        assert_same(read)
