"""Unopened: a connection that isn't open leads where it did, while nothing of it has changed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from traced_world import MISS, World

from django_cache_manager import _engine


@pytest.fixture
def world() -> World:
    world = World()
    world.remember(_engine.ONE, 5)
    world.close()
    return world


def test_hit_of_a_connection_that_is_not_open(world: World) -> None:
    assert world.get(pk=5) == "the value"
    assert world.ask(pk=5) == "the value"
    assert world.get(pk=6) is MISS


def test_both_are_remembered() -> None:
    """What is known of the time when it is open, and of that when it isn't."""
    world = World()
    world.remember(_engine.ONE, 5)
    session = world.state.session
    for _ in range(2):
        assert world.get(pk=5) == "the value"
        world.close()
        assert world.get(pk=5) == "the value"
        world.state.session = session
        world.state.driver = world.connection.connection = world.driver


class Other:
    def __eq__(self, other: object) -> bool:
        raise LookupError("of its own")

    __hash__ = None  # type: ignore[assignment]


CHANGES: dict[str, Callable[[World], Any]] = {
    "a block": lambda world: setattr(world.connection, "in_atomic_block", True),
    "it is open": lambda world: setattr(world.connection, "connection", world.driver),
    "the state's driver": lambda world: setattr(world.state, "driver", world.driver),
    "a session": lambda world: setattr(world.state, "session", object()),
    "an error": lambda world: setattr(world.state, "errored", True),
    "writes": lambda world: setattr(world.state, "dirty", {"item"}),
    "other settings": lambda world: setattr(
        world.connection, "settings_dict", dict(world.connection.settings_dict)
    ),
    "another name": lambda world: world.connection.settings_dict.update(NAME="other"),
    "no name": lambda world: world.connection.settings_dict.pop("NAME"),
    "another option": lambda world: world.connection.settings_dict["OPTIONS"].update(timeout=6),
    "one more option": lambda world: world.connection.settings_dict["OPTIONS"].update(more=1),
    "no options": lambda world: world.connection.settings_dict.pop("OPTIONS"),
    "other facts": lambda world: world.last_known.update(key=object()),
    "no facts": lambda world: world.last_known.clear(),
    "another thread's": lambda world: setattr(world.connection, "_thread_ident", 1),
    "queries forbidden": lambda world: setattr(world.connection, "cursor", None),
}


@pytest.mark.parametrize("name", CHANGES)
def test_ends_with(world: World, name: str) -> None:
    CHANGES[name](world)
    assert world.get(pk=5) is NotImplemented


def test_options_that_fail_to_compare(world: World) -> None:
    world.connection.settings_dict["OPTIONS"]["timeout"] = Other()
    with pytest.raises(LookupError, match="of its own"):
        world.get(pk=5)


def close_with_file(world: World, path: Path) -> None:
    name = os.fsencode(path)
    unopened = world.unopened(path=name, file=_engine.file_identity(str(path)))
    standing = world.standing(driver=None, session=None, unopened=unopened)
    vars(world.connection)["_cache_manager_unopened"] = standing


def test_another_file_in_its_place(world: World, tmp_path: Path) -> None:
    path = tmp_path / "database"
    path.write_bytes(b"1")
    close_with_file(world, path)
    assert world.get(pk=5) == "the value"
    path.write_bytes(b"2")  # the same file
    assert world.get(pk=5) == "the value"
    other = tmp_path / "other"
    other.write_bytes(b"1")
    other.rename(path)
    assert world.get(pk=5) is NotImplemented
    path.unlink()
    assert world.get(pk=5) is NotImplemented


@pytest.mark.parametrize("place", range(4))
def test_each_part_of_a_files_identity(world: World, tmp_path: Path, place: int) -> None:
    """Its number alone is used again."""
    path = tmp_path / "database"
    path.write_bytes(b"1")
    parts = list(_engine.file_identity(str(path)))
    parts[place] += 1
    unopened = world.unopened(path=os.fsencode(path), file=tuple(parts))
    standing = world.standing(driver=None, session=None, unopened=unopened)
    vars(world.connection)["_cache_manager_unopened"] = standing
    assert world.get(pk=5) is NotImplemented


def test_bad_arguments(world: World) -> None:
    for changes in (
        *({name: None} for name in ("settings", "wanted", "options", "last_known")),
        {"path": "text", "file": (1, 2, 3, 4)},
        {"path": b"path", "file": None},
        {"path": b"path", "file": (1, 2)},
        {"path": b"path", "file": ("1", 2, 3, 4)},
    ):
        with pytest.raises(TypeError):
            world.unopened(**changes)
    for arguments in (
        {"driver": None, "unopened": None},
        {"driver": object(), "unopened": world.unopened()},
        {"driver": None, "unopened": object()},
    ):
        with pytest.raises(TypeError, match="unopened"):
            world.standing(**arguments)
