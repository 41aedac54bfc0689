"""Writes while segments vanish and others take their place."""

from pathlib import Path

import pytest
from django.db import OperationalError, connection

import servers
from testapp import trouble
from testapp.actions import name_of, names, rename
from worker import OtherProcess

pytestmark = [
    pytest.mark.cached,
    pytest.mark.databases("sqlite-file", "postgresql"),
    pytest.mark.usefixtures("library"),
]


def test_write_after_a_refusal_is_seen_by_who_has_a_segment_by_then(
    other_process: OtherProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is remembered, and yet the segment that another process has made since is marked."""
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


@pytest.mark.databases("postgresql")
def test_lost_connection_is_told_as_django_tells_it(postgresql_server: servers.PostgreSQL) -> None:
    """Also where the package's own questions, here of a new segment's birth, are the first to meet it."""
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
