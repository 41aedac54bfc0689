"""What a connection's last look has found is used only while nothing of it has changed."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max
from django.test import override_settings

from django_cache_manager import answers
from django_cache_manager.api import segment_of
from django_cache_manager.connection_state import state_of
from django_cache_manager.isolation import Level
from observe import in_another_thread, uncached
from settings import KIND
from testapp.models import Author, Book

pytestmark = [
    pytest.mark.cached,
    pytest.mark.usefixtures("library"),
    # A private database, in memory, has no standing.
    pytest.mark.databases("sqlite-file", "postgresql", "mariadb"),
]


def wrapper() -> BaseDatabaseWrapper:
    return connection._connections["default"]  # type: ignore[attr-defined]


@contextlib.contextmanager
def changed(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute that has another value for a while; mock can't do it in slots."""
    known = not hasattr(owner, "__dict__") or name in vars(owner)
    before = getattr(owner, name) if known else None
    setattr(owner, name, value)
    try:
        yield
    finally:
        if known:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def state() -> Any:
    return state_of(wrapper())


CHANGES: dict[str, Callable[[], Any]] = {
    "a transaction": lambda: in_a_block(),
    "a transaction that has read": lambda: transaction.atomic(),
    "without autocommit": lambda: without_autocommit(),
    "a transaction that is broken": lambda: changed(wrapper(), "needs_rollback", True),
    "an error": lambda: changed(state(), "errored", True),
    "tables that were written": lambda: changed(state(), "dirty", {"testapp_author"}),
    "any table may be written": lambda: changed(state(), "dirty", None),
    "a session in doubt": lambda: changed(state().session, "doubtful", True),
    "a session that is off": lambda: changed(state().session, "off", "it is"),
    "another session": lambda: changed(state(), "session", dataclasses.replace(state().session)),
    "no session": lambda: changed(state(), "session", None),
    "another level": lambda: changed(state().session, "level", Level.SERIALIZABLE),
    "another driver's connection": lambda: changed(wrapper(), "connection", object()),
    "a driver's connection not met": lambda: changed(state(), "driver", object()),
    "queries forbidden": lambda: changed(wrapper(), "cursor", None),
    "connections forbidden": lambda: changed(type(wrapper()), "ensure_connection", mock.Mock()),
    "connections forbidden to all": lambda: changed(
        BaseDatabaseWrapper, "ensure_connection", mock.Mock()
    ),
    "another time zone": lambda: changed(wrapper(), "timezone_name", "Europe/" + "Vienna"),
    "a tenant": lambda: changed(wrapper(), "schema_name", "tenant"),
    "another USE_TZ": lambda: override_settings(USE_TZ=False),
    "uncached": uncached,
    "ENABLED": lambda: override_settings(DJANGO_CACHE_MANAGER={"ENABLED": False}),
}


@contextlib.contextmanager
def in_a_block() -> Iterator[None]:
    with transaction.atomic():
        begin()
        yield


@contextlib.contextmanager
def without_autocommit() -> Iterator[None]:
    transaction.set_autocommit(False)
    try:
        begin()
        yield
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def stands(own: BaseDatabaseWrapper | None = None) -> bool:
    own = own or wrapper()
    known: Any = vars(own).get("_cache_manager_standing")
    return known is not None and known.holds(own)


@pytest.mark.parametrize("name", CHANGES)
def test_ends_with(name: str) -> None:
    Author.objects.count()
    assert stands()
    with CHANGES[name]():
        assert not stands()
    Author.objects.count()
    assert stands()


def begin() -> None:
    """By a write, for SQLite's transactions are deferred."""
    Author.objects.filter(pk=1).update(rank=1)


def test_is_of_its_thread() -> None:
    Author.objects.count()
    own = wrapper()
    assert own._thread_ident == threading.get_ident()  # type: ignore[attr-defined]
    assert not in_another_thread(lambda: stands(own))


def test_ends_with_its_connection() -> None:
    Author.objects.count()
    connection.close()
    assert not stands()
    Author.objects.count()
    assert not stands()  # it was answered without a connection
    connection.ensure_connection()
    Author.objects.count()
    assert stands()


@pytest.mark.databases("postgresql")
def test_drivers_level_is_asked_each_time() -> None:
    Author.objects.count()
    driver: Any = wrapper().connection
    before = driver.isolation_level
    driver.isolation_level = 3  # SERIALIZABLE
    try:
        assert stands() == (KIND == "postgresql")  # psycopg 3 names it in its BEGIN alone
    finally:
        driver.isolation_level = before


def test_answers_are_those_of_a_look_round() -> None:
    """A hit with a standing makes the key that a look round has made."""
    Author.objects.get(pk=1)
    assert stands()
    with mock.patch.dict(vars(wrapper())):
        del vars(wrapper())["_cache_manager_standing"]
        with mock.patch.object(answers, "ask", side_effect=AssertionError("another key")):
            looked = Author.objects.get(pk=1)
    with connection.execute_wrapper(lambda *_: pytest.fail("it was asked")):
        assert Author.objects.get(pk=1) == looked


def test_ends_with_its_segment() -> None:
    """Another process has put a new segment in its place: reads are hits again."""
    Author.objects.get(pk=1)
    segment = segment_of("default")
    assert segment is not None
    segment.engine.retire()
    for _ in range(2):
        Author.objects.get(pk=1)
    with by_the_engine():
        Author.objects.get(pk=1)
    assert segment_of("default") is not segment


@contextlib.contextmanager
def by_the_engine() -> Iterator[None]:
    """Python isn't asked for an answer."""
    asked = AssertionError("not by the engine")
    with (
        mock.patch.object(answers, "find", side_effect=asked),
        mock.patch.object(answers, "ask", side_effect=asked),
    ):
        yield


READS: dict[str, Callable[[], Any]] = {
    "get": lambda: Author.objects.get(pk=1),
    "get of a queryset": lambda: Author.objects.all().get(pk=1),
    "filter, get": lambda: Author.objects.filter(pk=1).get(),
    "filter, filter": lambda: list(Author.objects.filter(pk=1).filter(name="?")),
    "exclude": lambda: list(Author.objects.exclude(name="?")),
    "count": lambda: Author.objects.filter(pk=1).count(),
    "exists": lambda: Author.objects.filter(pk=1).exists(),
    "first": lambda: Author.objects.filter(pk=1).first(),
    "last": lambda: Author.objects.order_by("pk").last(),
    "slice": lambda: list(Author.objects.order_by("-name")[:5]),
    "values": lambda: list(Author.objects.values_list("name", flat=True)),
    "select_related": lambda: Author.objects.select_related("country").get(pk=1),
    "using": lambda: Author.objects.using("default").get(pk=1),
    "contains": lambda: Author.objects.contains(Author(pk=1)),
    "in_bulk": lambda: Author.objects.in_bulk([1, 2]),
    "forward key": lambda: Book(author_id=1).author,
    "aggregate": lambda: Author.objects.aggregate(Max("rank")),
    "another manager": lambda: Author._base_manager.get(pk=1),
}


@pytest.mark.parametrize("name", READS)
def test_hit_is_the_engines(name: str) -> None:
    read = READS[name]
    for _ in range(3):
        read()
    hits = stats()["hits"]
    with contextlib.nullcontext() if name == "aggregate" else by_the_engine():
        found = read()
    assert stats()["hits"] == hits + 1
    with uncached():
        assert read() == found


def stats() -> Any:
    segment = segment_of("default")
    assert segment is not None
    return segment.engine.stats()
