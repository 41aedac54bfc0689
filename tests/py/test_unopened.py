"""Hits of a connection that isn't open, as Django leaves it after each request: they need none, and
lead where it would lead by now."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings

from django_cache_manager import sessions
from observe import in_another_thread, uncached
from test_standing import by_the_engine, changed, state, wrapper
from testapp.actions import rename_by_sql
from testapp.models import Author
from worker import OtherProcess

pytestmark = [
    pytest.mark.cached,
    # A private database, in memory, has no standing.
    pytest.mark.databases("sqlite-file", "postgresql", "mariadb"),
]


@pytest.fixture(autouse=True)
def _closed(library: None) -> Iterator[None]:
    """The connection has been closed, and two reads have been hits since."""
    Author.objects.get(pk=1)
    connection.close()
    for _ in range(2):
        Author.objects.get(pk=1)
    assert wrapper().connection is None
    assert stands()
    yield
    connection.close()


def stands(own: Any = None) -> bool:
    own = own or wrapper()
    known: Any = vars(own).get("_cache_manager_unopened")
    return known is not None and known.holds(own)


def test_hit_is_the_engines_and_opens_nothing() -> None:
    with by_the_engine():
        assert Author.objects.get(pk=1).name == "Ánna"
        assert Author.objects.all().get(pk=1).name == "Ánna"
    assert wrapper().connection is None


def test_write_of_another_process_is_seen(other_process: OtherProcess) -> None:
    other_process.call(rename_by_sql, "theirs")
    assert Author.objects.get(pk=1).name == "theirs"


def setting(name: str, value: Any) -> Callable[[], Any]:
    return lambda: changed_item(wrapper().settings_dict, name, value)


class changed_item:
    """An item of a dict that has another value for a while."""

    def __init__(self, owner: dict[str, Any], name: str, value: Any) -> None:
        self.owner, self.name, self.value = owner, name, value

    def __enter__(self) -> None:
        self.before = dict(self.owner)
        self.owner[self.name] = self.value

    def __exit__(self, *_: object) -> None:
        self.owner.clear()
        self.owner.update(self.before)


CHANGES: dict[str, Callable[[], Any]] = {
    "a transaction": lambda: changed(wrapper(), "in_atomic_block", True),
    "a transaction that is broken": lambda: changed(wrapper(), "needs_rollback", True),
    "an error": lambda: changed(state(), "errored", True),
    "tables that were written": lambda: changed(state(), "dirty", {"testapp_author"}),
    "another name": setting("NAME", "another"),
    "another host": setting("HOST", "another"),
    "another port": setting("PORT", "1"),
    "another user": setting("USER", "another"),
    "without autocommit": setting("AUTOCOMMIT", False),
    "an option": lambda: changed_item(wrapper().settings_dict["OPTIONS"], "timeout", 77),
    "other facts": lambda: changed_item(
        sessions._last_known, sessions.known_by(wrapper())[1], object()
    ),
    "queries forbidden": lambda: changed(wrapper(), "cursor", None),
    "another time zone": lambda: changed(wrapper(), "timezone_name", "Europe/" + "Vienna"),
    "a tenant": lambda: changed(wrapper(), "schema_name", "tenant"),
    "uncached": uncached,
    "ENABLED": lambda: override_settings(DJANGO_CACHE_MANAGER={"ENABLED": False}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_unopened_ends_with(name: str) -> None:
    with CHANGES[name]():
        assert not stands()
    Author.objects.get(pk=1)
    assert stands()


def test_is_of_its_thread() -> None:
    own = wrapper()
    assert not in_another_thread(lambda: stands(own))


def test_in_a_block_it_is_opened_and_asked() -> None:
    with transaction.atomic():
        assert Author.objects.get(pk=1).name == "Ánna"
        assert wrapper().connection is not None


@pytest.mark.parametrize("options", [{"pool": True}, {"nested": []}])
def test_options_that_can_not_be_compared(options: dict[str, Any]) -> None:
    """What is in a list may change."""
    del vars(wrapper())["_cache_manager_unopened"]
    with changed_item(wrapper().settings_dict, "OPTIONS", options):
        known, key = sessions.known_by(wrapper())
        with changed_item(known, key, next(iter(known.values()))):  # type: ignore[arg-type]
            Author.objects.get(pk=1)
    assert "_cache_manager_unopened" not in vars(wrapper())


@pytest.mark.databases("sqlite-file")
def test_file_that_came_while_it_was_looked_at() -> None:
    """What was found is of the file before."""
    known, key = sessions.known_by(wrapper())
    facts = known[key]
    assert facts.vendor.file_of(wrapper(), facts) is not None
    for change in ({"family": b"sqlite 0:0 1"}, {"generation": b"born 1"}):
        assert facts.vendor.file_of(wrapper(), replace(facts, **change)) is None
    with changed_item(wrapper().settings_dict, "NAME", "/nowhere/at/all"):
        assert facts.vendor.file_of(wrapper(), facts) is None


@pytest.mark.databases("sqlite-file")
def test_ends_with_the_file_that_it_would_open(tmp_path: Path) -> None:
    """A backup that was put in its place, while no connection is open."""
    path = Path(wrapper().settings_dict["NAME"])
    beside = path.with_name("beside.sqlite3")
    shutil.copyfile(path, beside)
    with sqlite3.connect(beside) as backup:
        backup.execute("UPDATE testapp_author SET name = 'restored' WHERE id = 1")
    backup.close()
    original = path.with_name("original.sqlite3")
    os.link(path, original)
    beside.replace(path)
    try:
        assert Author.objects.get(pk=1).name == "restored"
    finally:
        connection.close()
        original.replace(path)
    assert Author.objects.get(pk=1).name == "Ánna"
