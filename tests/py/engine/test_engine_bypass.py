"""A write while no segment can be had: nobody makes one meanwhile."""

from collections.abc import Callable
from pathlib import Path

import pytest

from django_cache_manager import _engine

Opener = Callable[..., _engine.Segment]


def test_no_segment_is_made_while_it_is_held(opener: Opener, path: str) -> None:
    with _engine.Bypass(path):
        with pytest.raises(_engine.SegmentError) as raised:
            opener()
        assert raised.value.status == "busy"
        assert not Path(path).exists()
    assert opener().created


def test_several_may_be_held(path: str, opener: Opener) -> None:
    first, second = _engine.Bypass(path), _engine.Bypass(path, mode=0o600, group=-1)
    first.close()
    with pytest.raises(_engine.SegmentError):
        opener()
    second.close()
    second.close()
    assert opener().created


def test_forgotten_one_ends(path: str, opener: Opener) -> None:
    _engine.Bypass(path)
    assert opener().created


def test_second_init_holds_on(path: str, opener: Opener) -> None:
    bypass = _engine.Bypass(path)
    bypass.__init__(path)  # type: ignore[misc]
    with pytest.raises(_engine.SegmentError):
        opener()
    bypass.close()
    assert opener().created


def test_ends_when_the_block_raises(path: str, opener: Opener) -> None:
    with pytest.raises(LookupError), _engine.Bypass(path):
        raise LookupError
    assert opener().created


def test_usable_segment_is_to_be_opened_instead(path: str, opener: Opener) -> None:
    segment = opener()
    with pytest.raises(_engine.SegmentError) as raised:
        _engine.Bypass(path)
    assert raised.value.status == "argument"
    segment.retire()
    _engine.Bypass(path).close()


def test_bad_arguments_are_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        _engine.Bypass()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        _engine.Bypass(path, 0o600)  # type: ignore[misc]
    with pytest.raises(OverflowError):
        _engine.Bypass(path, mode=-1)
    with pytest.raises(_engine.SegmentError) as raised:
        _engine.Bypass(str(tmp_path / "missing" / "segment"))
    assert raised.value.status == "system"
