"""manage.py cachemanager stats | clear | explain | verify, and dbshell."""

import io
import re
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from observe import count_sql
from testapp.actions import names, rename
from testapp.models import Author
from worker import OtherProcess

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library")]


def run(*arguments: str, **options: Any) -> str:
    output = io.StringIO()
    call_command("cachemanager", *arguments, stdout=output, no_color=True, **options)
    return output.getvalue()


def test_stats() -> None:
    names()
    text = run("stats")
    assert "default" in text and "other" in text
    assert "hits" in text and "entries" in text
    assert "other" not in run("stats", "--database", "default").splitlines()


def test_clear_drops_everything(other_process: OtherProcess) -> None:
    names()
    other_process.call(names)
    run("clear")
    with count_sql() as log:
        names()
    assert log
    run("clear")
    other_process.call(names)
    assert other_process.sql


def test_clear_of_one_database() -> None:
    names()
    run("clear", "--database", "other")
    with count_sql() as log:
        names()
    assert not log


def wait_for_a_hit() -> None:
    """A server's new segment serves nothing until no transaction older than it is open there."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with count_sql() as log:
            names()
        if not log:
            return
    pytest.fail("no hit in 15 seconds")


@pytest.mark.databases("sqlite-file", "postgresql")
def test_clear_recreate_makes_a_new_segment(other_process: OtherProcess) -> None:
    from django_cache_manager.api import segment_of

    names()
    other_process.call(names)
    before = segment_of("default").engine.unique
    run("clear", "--recreate", "--database", "default")
    wait_for_a_hit()
    assert segment_of("default").engine.unique != before
    rename("in the new one")
    other_process.call(names)
    assert other_process.call(names) == ["list", [], [["str", repr(name)] for name in names()]]
    other_process.call(rename, "by the other")
    assert names()[0] == "by the other"


def test_verify_is_clean() -> None:
    names()
    text = run("verify")
    assert text.count("sound") == 2


@pytest.mark.databases("sqlite-file", "postgresql")
def test_verify_finds_damage() -> None:
    """Bytes flipped in the store of the segment's file: a finding and an exit status."""
    from django_cache_manager.api import segment_of

    for rank in range(40):
        list(Author.objects.filter(rank__lt=rank))
    path = Path(segment_of("default").engine.path)
    with open(path, "r+b") as file:
        places = [found.start() for found in re.finditer("Ánna".encode(), file.read())]
        assert places
        for place in places:
            file.seek(place)
            file.write(b"\xff\xff\xff")
    with pytest.raises(CommandError, match="damaged"):
        run("verify", "--database", "default")
    run("clear", "--recreate", "--database", "default")
    assert names()
    assert "sound" in run("verify", "--database", "default")


def test_explain() -> None:
    text = run("explain", "testapp.Author", "rank__gt=1")
    assert "SELECT" in text and "not cached" in text
    list(Author.objects.filter(rank__gt="1"))
    assert "testapp_author" in run("explain", "testapp.Author", "rank__gt=1")


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "testapp.NoSuch"],
        ["explain", "nonsense"],
        ["explain", "testapp.Author", "no_field=1"],
        ["explain", "testapp.Author", "rank=text"],
        ["explain", "testapp.Author", "no equals sign"],
        ["stats", "--database", "nowhere"],
        ["unknown"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_command_errors(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        run(*arguments)


@pytest.mark.databases("sqlite-file", "postgresql")
def test_dbshell_ends_with_an_invalidation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was typed there is seen when it ends: the client is a stand-in that writes past us."""
    from django.db import connection
    from django.db.backends.base.client import BaseDatabaseClient

    def runshell(self: BaseDatabaseClient, parameters: list[str]) -> None:
        connection.ensure_connection()
        cursor = connection.connection.cursor()
        cursor.execute("UPDATE testapp_author SET name = 'typed in the shell' WHERE id = 1")
        cursor.close()

    names()
    monkeypatch.setattr(BaseDatabaseClient, "runshell", runshell)
    call_command("dbshell")
    assert names()[0] == "typed in the shell"
