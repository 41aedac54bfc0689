"""Writes while segments vanish and others take their place."""

from pathlib import Path

import pytest

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
    for _ in range(2):
        other_process.call(name_of)
    assert not other_process.sql, "the other process has a segment and the name in it"
    rename("seen")
    assert eval(other_process.call(name_of)[1]) == "seen"
