"""Writes while segments vanish and others take their place."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.db import OperationalError, connection

import servers
from testapp import trouble
from testapp.actions import name_of, names, rename
from worker import OtherProcess

if TYPE_CHECKING:
    from django_cache_manager.identity import Facts

pytestmark = [
    pytest.mark.cached,
    pytest.mark.databases("sqlite-file", "postgresql"),
    pytest.mark.usefixtures("library"),
]


def test_write_after_a_refusal_is_seen_by_who_has_a_segment_by_then(
    other_process: OtherProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is remembered, and yet the segment made since is marked."""
    from django_cache_manager import _engine, segments

    monkeypatch.setattr(segments, "_RETRY_SECONDS", 60.0)
    names()
    path = trouble.segment_path()
    assert path is not None
    Path(path).unlink()
    with _engine.Bypass(path):
        while trouble.segment_path() is not None:
            pass
    other_process.call(name_of)
    while other_process.sql:  # until the other process has a segment, and the name in it
        other_process.call(name_of)
    rename("seen")
    assert eval(other_process.call(name_of)[1]) == "seen"


@pytest.fixture
def generations(settings_of_cache: Callable[..., None], tmp_path: Path) -> Callable[[int], "Facts"]:
    """Facts of one database, whose server has started again and again."""
    from django_cache_manager.identity import Facts
    from django_cache_manager.postgresql import POSTGRESQL

    settings_of_cache(LOCATION=str(tmp_path))
    return lambda start: Facts(POSTGRESQL, b"postgresql 1 2 three", b"started %d.5" % start)


def test_segment_of_before_a_restart_is_retired_by_whoever_opens_the_new_one(
    generations: Callable[[int], "Facts"],
) -> None:
    """The one who made the new one may have been killed before it came to that."""
    from django_cache_manager import _engine, segments

    old, new = generations(99), generations(100)
    before, _ = (
        _engine.Segment.open(
            str(segments.segment_path(facts)),
            facts.identity,
            size=2 << 20,
            cells=64,
            slots=8,
            max_entry=4096,
        )
        for facts in (old, new)
    )
    assert before.usable()
    assert segments.registry.open(new).engine.usable()
    assert not before.usable()


def test_restarted_server_is_not_taken_for_the_old_one(
    generations: Callable[[int], "Facts"],
) -> None:
    """A process that has not connected since makes no segment and touches none."""
    from django_cache_manager import _engine, segments

    old, new = generations(99), generations(100)
    engine = segments.registry.open(new).engine
    with pytest.raises(_engine.SegmentError):
        segments.registry.open(old)
    assert engine.usable()
    assert not segments.segment_path(old).exists()


@pytest.mark.databases("postgresql")
def test_lost_connection_is_told_as_django_tells_it(postgresql_server: servers.PostgreSQL) -> None:
    """Also where the package's own question, here of a segment's birth, meets it first."""
    names()
    path = trouble.segment_path()
    assert path is not None
    born = Path(path).stat().st_ino
    Path(path).unlink()
    while not Path(path).exists() or Path(path).stat().st_ino == born:
        trouble.segment_path()
    pid = connection.connection.info.backend_pid
    postgresql_server.execute(f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(OperationalError):
        names()
