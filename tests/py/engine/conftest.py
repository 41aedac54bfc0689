"""The extension by itself: no Django, no database."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from other_process import Other
from segment_file import SIZES

from django_cache_manager import _engine

type_of_opener = Callable[..., _engine.Segment]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "database.segment")


@pytest.fixture
def opener(path: str) -> type_of_opener:
    """Opens the test's segment; sizes and other options may be given."""

    def open_it(identity: bytes = b"identity", at: str = path, **options: Any) -> _engine.Segment:
        return _engine.Segment.open(at, identity, **{**SIZES, **options})

    return open_it


@pytest.fixture
def segment(opener: type_of_opener) -> _engine.Segment:
    return opener()


@pytest.fixture
def other(path: str, segment: _engine.Segment) -> Iterator[Other]:
    """Another process that has the test's segment open, as `segment`."""
    process = Other(path, SIZES)
    yield process
    process.end()
