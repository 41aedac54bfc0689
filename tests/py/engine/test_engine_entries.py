"""Entries as one string of bytes, for a Django cache backend."""

from typing import Any

import pytest
from closed_set import row_sets
from exact import same
from hypothesis import given, settings
from hypothesis import strategies as st

from django_cache_manager import _engine

CELLS = b"".join(number.to_bytes(4, "little") for number in (0, 7, 65000))


def packed(rows: Any, key: bytes = b"key", cells: bytes = CELLS, time: int = 12345) -> bytes:
    encoded = _engine.encode_rows(rows, 1 << 20)
    assert encoded is not None
    return _engine.pack_entry(key, cells, time, encoded)


@given(row_sets(), st.binary(), st.integers(0, 2**64 - 1))
@settings(max_examples=30, deadline=None)
def test_entry_comes_back_as_it_was(rows: Any, key: bytes, time: int) -> None:
    found = _engine.unpack_entry(packed(rows, key, time=time), key)
    assert found is not None
    assert same(found[0], rows)
    assert found[1:3] == (CELLS, time)
    assert found[3] == len(_engine.encode_rows(rows, 1 << 20) or b"")


@pytest.mark.parametrize("key", [b"", b"ke", b"keys", b"kez", b"\0key"])
def test_entry_of_another_key_is_a_miss(key: bytes) -> None:
    assert _engine.unpack_entry(packed([(1,)]), key) is None


def test_every_changed_bit_is_a_miss() -> None:
    entry = packed([(1, "text"), (2, None)])
    for bit in range(len(entry) * 8):
        damaged = bytearray(entry)
        damaged[bit // 8] ^= 1 << bit % 8
        assert _engine.unpack_entry(bytes(damaged), b"key") is None


def test_every_cut_and_any_addition_is_a_miss() -> None:
    entry = packed([(1, "text")])
    for cut in range(len(entry)):
        assert _engine.unpack_entry(entry[:cut], b"key") is None
    assert _engine.unpack_entry(entry + b"\0", b"key") is None


@given(st.binary(max_size=100))
def test_any_bytes_are_a_miss(noise: bytes) -> None:
    assert _engine.unpack_entry(noise, b"key") is None


def test_rows_that_are_none_are_a_miss() -> None:
    """A backend may hold what an engine of another format version packed."""
    assert _engine.unpack_entry(_engine.pack_entry(b"key", CELLS, 1, b"\xff\x01"), b"key") is None
    assert _engine.unpack_entry(_engine.pack_entry(b"key", CELLS, 1, b""), b"key") is None


def test_cells_must_be_whole_numbers_and_not_too_many() -> None:
    with pytest.raises(ValueError, match="32-bit"):
        _engine.pack_entry(b"key", b"123", 1, b"")
    with pytest.raises(_engine.Unencodable):
        _engine.pack_entry(b"key", b"\0" * 4 * 4097, 1, b"")
    assert _engine.unpack_entry(packed([], cells=b"\1\0\0\0" * 4096), b"key") is not None


def test_arguments_are_checked() -> None:
    with pytest.raises(TypeError):
        _engine.pack_entry("key", CELLS, 1, b"")  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        _engine.pack_entry(b"key", CELLS, -1, b"")
    with pytest.raises(TypeError):
        _engine.unpack_entry(None, b"key")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _engine.unpack_entry(b"", b"key", extra=1)  # type: ignore[call-arg]
