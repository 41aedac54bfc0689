"""L1: what it keeps, for how long, and how much."""

import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_cache_manager import _engine

Opener = Callable[..., _engine.Segment]
LIMIT = 1 << 20


class Value:
    """A value that can be watched."""


@pytest.fixture
def cells(segment: _engine.Segment) -> bytes:
    return segment.cells(["a"], True)


def write(segment: _engine.Segment, *tables: str) -> int:
    return segment.end_write(segment.begin_write(segment.cells(tables)))


def test_value_is_got_until_its_table_is_written(segment: _engine.Segment, cells: bytes) -> None:
    cache, value = _engine.LocalCache(LIMIT), Value()
    cache.put(b"key", segment, cells, segment.clock(), value, 100)
    assert cache.get(b"key", segment) is value
    write(segment, "b")
    assert cache.get(b"key", segment) is value
    ticket = segment.begin_write(segment.cells(["a"]))
    assert cache.get(b"key", segment) is None
    segment.end_write(ticket)
    assert cache.get(b"key", segment) is None


def test_value_no_longer_valid_is_dropped(segment: _engine.Segment, cells: bytes) -> None:
    cache, value = _engine.LocalCache(LIMIT), Value()
    cache.put(b"key", segment, cells, segment.clock(), value, 100)
    alive = weakref.ref(value)
    del value
    write(segment, "a")
    assert cache.get(b"key", segment) is None
    assert alive() is None
    assert (len(cache), cache.bytes) == (0, 0)


def test_limit_hides_a_value_and_leaves_it_to_others(
    segment: _engine.Segment, cells: bytes
) -> None:
    cache = _engine.LocalCache(LIMIT)
    limit = segment.clock()
    now = write(segment, "a")
    cache.put(b"key", segment, cells, now, "value", 100)
    assert cache.get(b"key", segment, limit) is None
    assert cache.get(b"key", segment, limit=limit) is None
    assert cache.get(b"key", segment, now) == "value"
    assert cache.get(b"key", segment) == "value"
    write(segment, "a")
    assert cache.get(b"key", segment, limit) is None
    assert len(cache) == 0


def test_value_belongs_to_its_segment(opener: Opener, segment: _engine.Segment) -> None:
    cache, beside = _engine.LocalCache(LIMIT), opener()
    cache.put(b"key", segment, segment.cells(["a"]), segment.clock(), "value", 100)
    assert cache.get(b"key", beside) is None
    assert cache.get(b"key", segment) == "value"


def test_unusable_segment_is_let_go_with_all_its_values(
    opener: Opener, segment: _engine.Segment, cells: bytes, tmp_path: Path
) -> None:
    cache = _engine.LocalCache(LIMIT)
    elsewhere = opener(at=str(tmp_path / "elsewhere"))
    cache.put(b"stays", elsewhere, b"", elsewhere.clock(), "stays", 100)
    for i in range(10):
        cache.put(b"key %d" % i, segment, cells, segment.clock(), "value", 100)
    held = sys.getrefcount(segment)
    segment.retire()
    successor = opener()
    assert cache.get(b"key 3", successor) is None
    assert len(cache) == 1
    assert sys.getrefcount(segment) == held - 10
    assert cache.get(b"stays", elsewhere) == "stays"


def test_values_keep_their_segment(opener: Opener) -> None:
    cache, segment = _engine.LocalCache(LIMIT), opener()
    cache.put(b"key", segment, segment.cells(["a"]), segment.clock(), "value", 100)
    before = sys.getrefcount(segment)
    cache.clear()
    assert sys.getrefcount(segment) == before - 1


def test_key_is_compared_whole(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(LIMIT)
    keys = [b"", b"\0", b"key", b"key\0", b"kez", b"k" * 1000, b"k" * 1001]
    for key in keys:
        cache.put(key, segment, cells, segment.clock(), key, 10)
    for key in keys:
        assert cache.get(bytes(bytearray(key)), segment) == key
    assert cache.get(b"absent", segment) is None


def test_put_replaces(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(LIMIT)
    cache.put(b"key", segment, cells, segment.clock(), "first", 100)
    size = cache.bytes
    cache.put(b"key", segment, cells, segment.clock(), "second", 100)
    assert cache.get(b"key", segment) == "second"
    assert (len(cache), cache.bytes) == (1, size)


def test_bytes_count_value_key_and_place(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(LIMIT)
    cache.put(b"k" * 1000, segment, cells, segment.clock(), "value", 5000)
    assert 6000 + len(cells) < cache.bytes < 6500
    cache.clear()
    assert (len(cache), cache.bytes) == (0, 0)


def test_bytes_never_exceed_the_limit(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(50_000)
    for i in range(2000):
        cache.put(b"key %d" % i, segment, cells, segment.clock(), i, i % 3000)
        if i % 3 == 0:
            cache.get(b"key %d" % (i - 1), segment)
        assert cache.bytes <= 50_000
    assert len(cache) > 5


def test_oldest_goes_first_and_what_was_hit_stays_once(
    segment: _engine.Segment, cells: bytes
) -> None:
    cache = _engine.LocalCache(20_000)
    alive: weakref.WeakValueDictionary[str, Value] = weakref.WeakValueDictionary()

    def put(name: str) -> None:
        alive[name] = value = Value()
        cache.put(name.encode(), segment, cells, segment.clock(), value, 4000)

    for name in "abcd":
        put(name)
    cache.get(b"a", segment)
    put("e")  # a was hit and goes round, b goes
    put("f")  # c goes
    assert set(alive) == {"a", "d", "e", "f"}
    put("g")  # d goes
    put("h")  # a has had its round: it is the oldest, and goes
    assert set(alive) == {"e", "f", "g", "h"}


def test_new_value_is_kept_when_all_others_were_hit(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(20_000)
    for name in (b"a", b"b", b"c", b"d"):
        cache.put(name, segment, cells, segment.clock(), name, 4000)
    for name in (b"a", b"b", b"c", b"d"):
        cache.get(name, segment)
    cache.put(b"new", segment, cells, segment.clock(), "new", 4000)
    assert cache.get(b"new", segment) == "new"


def test_value_over_a_quarter_is_not_kept(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(10_000)
    cache.put(b"key", segment, cells, segment.clock(), "old", 100)
    cache.put(b"key", segment, cells, segment.clock(), "large", 2500)
    assert cache.get(b"key", segment) is None
    assert len(cache) == 0
    cache.put(b"key", segment, cells, segment.clock(), "small", 2000)
    assert cache.get(b"key", segment) == "small"
    cache.put(b"key", segment, cells, segment.clock(), "huge", sys.maxsize)
    assert len(cache) == 0


def test_nothing_is_kept_in_no_room(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(0)
    cache.put(b"key", segment, cells, segment.clock(), "value", 0)
    assert cache.get(b"key", segment) is None
    assert len(cache) == 0


def test_limit_can_be_changed(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(LIMIT)
    for i in range(100):
        cache.put(b"key %d" % i, segment, cells, segment.clock(), i, 1000)
    cache.max_bytes = 20_000
    assert cache.max_bytes == 20_000
    assert 0 < cache.bytes <= 20_000
    assert cache.get(b"key 99", segment) == 99
    cache.max_bytes = 0
    assert len(cache) == 0
    for bad in (-1, 2**63):
        with pytest.raises(OverflowError):
            cache.max_bytes = bad
    with pytest.raises(TypeError):
        cache.max_bytes = "1"  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        del cache.max_bytes
    with pytest.raises(AttributeError):
        cache.bytes = 1  # type: ignore[misc]


def test_value_expires(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(LIMIT)
    cache.put(b"short", segment, cells, segment.clock(), "value", 10, 1)
    cache.put(b"long", segment, cells, segment.clock(), "value", 10, timeout_ms=3_600_000)
    until = time.monotonic() + 0.01
    while time.monotonic() < until:
        pass
    assert cache.get(b"short", segment) is None
    assert cache.get(b"long", segment) == "value"
    assert len(cache) == 1


def test_entry_without_cells_lasts_as_its_segment(segment: _engine.Segment) -> None:
    cache = _engine.LocalCache(LIMIT)
    cache.put(b"key", segment, b"", segment.clock(), "value", 10)
    assert cache.get(b"key", segment) == "value"
    segment.retire()
    assert cache.get(b"key", segment) is None


def test_value_that_comes_back_to_the_cache_when_it_goes(
    segment: _engine.Segment, cells: bytes
) -> None:
    """A finalizer may use the cache that is just dropping its object."""
    cache = _engine.LocalCache(20_000)
    seen: list[Any] = []

    class Returns:
        def __del__(self) -> None:
            seen.append(cache.get(b"key", segment))
            cache.put(b"returned", segment, cells, segment.clock(), "returned", 10)
            if len(seen) == 3:
                cache.clear()

    for i in range(50):
        cache.put(b"key %d" % i, segment, cells, segment.clock(), Returns(), 3000)
    write(segment, "a")
    for i in range(50):
        cache.get(b"key %d" % i, segment)
    cache.max_bytes = 100
    cache.clear()
    gc.collect()
    assert len(seen) == 50
    assert cache.bytes <= 20_000


def test_cycle_through_a_cache_is_collected(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(LIMIT)
    value = Value()
    value.cache = cache  # type: ignore[attr-defined]
    cache.put(b"key", segment, cells, segment.clock(), value, 10)
    alive = weakref.ref(value)
    held = sys.getrefcount(segment)
    del cache, value
    gc.collect()
    assert alive() is None
    assert sys.getrefcount(segment) == held - 1


def test_many_keys_are_all_found(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(100 << 20)
    now = segment.clock()
    for i in range(20_000):
        cache.put(b"key %d" % i, segment, cells, now, i, 10)
    assert len(cache) == 20_000
    assert all(cache.get(b"key %d" % i, segment) == i for i in range(20_000))


def test_bad_arguments_are_refused(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(LIMIT)
    odd = type("Odd", (bytes,), {})(b"key")
    for bad in ("key", None, bytearray(b"key"), odd):
        with pytest.raises(TypeError):
            cache.get(bad, segment)
        with pytest.raises(TypeError):
            cache.put(bad, segment, cells, 1, "value", 1)
    with pytest.raises(TypeError):
        cache.get(b"key", None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        cache.get(b"key")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        _engine.LocalCache()  # type: ignore[call-arg]
    with pytest.raises(OverflowError):
        _engine.LocalCache(-1)
    with pytest.raises(OverflowError):
        cache.put(b"key", segment, cells, 1, "value", -1)
    with pytest.raises(ValueError, match="32-bit"):
        cache.put(b"key", segment, b"123", 1, "value", 1)


def test_threads_share_a_cache(segment: _engine.Segment, cells: bytes) -> None:
    cache = _engine.LocalCache(30_000)
    wrong: list[Any] = []

    def work(number: int) -> None:
        for i in range(3000):
            key = b"key %d" % (i % 40)
            cache.put(key, segment, cells, segment.clock(), (key, [number]), 1000)
            found = cache.get(key, segment)
            if found is not None and found[0] != key:
                wrong.append(found)
            if i % 500 == 0:
                write(segment, "a")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.bytes <= 30_000
