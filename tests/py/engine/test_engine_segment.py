"""A segment through Python: its life, its cells, its entries."""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_cache_manager import _engine

Opener = Callable[..., _engine.Segment]


def encode(*rows: tuple[Any, ...]) -> bytes:
    encoded = _engine.encode_rows(rows, 1 << 20)
    assert encoded is not None
    return encoded


def write(segment: _engine.Segment, *tables: str) -> int:
    return segment.end_write(segment.begin_write(segment.cells(tables)))


def test_open_creates_once(opener: Opener, path: str) -> None:
    first = opener()
    second = opener()
    assert first.created is True
    assert second.created is False
    assert first.unique == second.unique
    assert len(first.unique) == 16
    assert first.path == path
    assert first.identity == b"identity"
    assert first.private is False
    assert first.storable is True
    assert (first.size, first.cells_count, first.max_entry) == (4 << 20, 1024, 256 << 10)


def test_path_may_be_a_path_object_of_any_name(opener: Opener, tmp_path: Path) -> None:
    name = os.fsdecode(b"odd \xff \xc3\xa9.segment")
    segment = opener(at=tmp_path / name)
    assert segment.path == str(tmp_path / name)
    with pytest.raises(_engine.SegmentError):
        opener(identity=b"another's", at=tmp_path / name)


def test_sizes_of_the_file_win(opener: Opener) -> None:
    opener()
    later = opener(size=8 << 20, cells=64, slots=8, max_entry=1 << 10)
    assert (later.size, later.cells_count, later.max_entry) == (4 << 20, 1024, 256 << 10)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_files_have_the_mode_asked_for(opener: Opener, path: str, mode: int) -> None:
    opener(mode=mode)
    for name in Path(path).parent.iterdir():
        assert stat.S_IMODE(name.stat().st_mode) == mode


def test_private_memory_is_seen_by_no_one() -> None:
    sizes = {"size": 4 << 20, "cells": 64, "slots": 4, "max_entry": 64 << 10}
    first = _engine.Segment.private_memory(**sizes)
    second = _engine.Segment.private_memory(**sizes)
    assert first.path is None
    assert first.private is True
    assert first.linked()
    assert first.usable()
    first.put(b"key", first.cells(["a"]), first.clock(), encode((1,)))
    assert first.get(b"key") is not None
    assert second.get(b"key") is None


def test_inspect_looks_and_changes_nothing(opener: Opener, path: str) -> None:
    with pytest.raises(_engine.SegmentError):
        _engine.Segment.inspect(path)
    assert not Path(path).exists()
    segment = opener()
    seen = _engine.Segment.inspect(path)
    assert seen.unique == segment.unique
    assert seen.identity == b"identity"
    assert seen.created is False
    with pytest.raises(_engine.SegmentError) as raised:
        seen.begin_write(seen.cells(["a"]))
    assert raised.value.status == "argument"
    assert segment.usable()


def test_segment_is_only_made_by_its_own_functions() -> None:
    with pytest.raises(TypeError):
        _engine.Segment()
    with pytest.raises(TypeError):
        type("Odd", (_engine.Segment,), {})
    with pytest.raises((AttributeError, TypeError)):
        _engine.Segment.open = None  # type: ignore[method-assign, assignment]


def test_retired_segment_answers_nothing_and_is_replaced(opener: Opener) -> None:
    segment, beside = opener(), opener()
    cells, now = segment.cells(["a"]), segment.clock()
    assert segment.put(b"key", cells, now, encode((1,)))
    segment.retire()
    for one in (segment, beside):
        assert not one.usable()
        assert not one.valid(cells, now)
        assert one.get(b"key") is None
        assert one.put(b"key", cells, now, encode((1,))) is False
    with pytest.raises(_engine.SegmentError) as raised:
        segment.begin_write(cells)
    assert raised.value.status == "retired"
    successor = opener()
    assert successor.created
    assert successor.unique != segment.unique
    assert successor.clock() >= now


def test_unlinked_segment_is_not_used(opener: Opener, path: str) -> None:
    segment = opener()
    segment.put(b"key", segment.cells(["a"]), segment.clock(), encode((1,)))
    assert segment.linked()
    assert segment.get(b"key") is not None
    Path(path).unlink()
    assert not segment.linked()
    deadline = time.monotonic() + 5
    while segment.usable() and time.monotonic() < deadline:
        pass  # looked at every 10 ms at most
    assert not segment.usable()
    assert segment.get(b"key") is None


def test_cells_are_ascending_and_distinct(segment: _engine.Segment) -> None:
    tables = [f"table_{i}" for i in range(300)]
    cells = memoryview(segment.cells(tables + tables[:10])).cast("I").tolist()
    assert cells == sorted(set(cells))
    assert 0 not in cells
    assert max(cells) < segment.cells_count
    assert segment.cells(iter(["b", "a"])) == segment.cells({"a", "b"}) == segment.cells(("a", "b"))
    assert segment.cells([]) == b""
    assert segment.cells([], True) == segment.cells((), database=True) == _engine.DATABASE_CELL
    both = memoryview(segment.cells(["a"], True)).cast("I").tolist()
    assert both[0] == 0
    assert both[1:] == memoryview(segment.cells(["a"])).cast("I").tolist()
    assert segment.cells(["tàblé"]) == segment.cells(["tàblé"]) != segment.cells(["table"])


@pytest.mark.parametrize("tables", ["name", None, 5, [b"name"], [None], ["a", 1]])
def test_cells_are_of_names(segment: _engine.Segment, tables: Any) -> None:
    with pytest.raises(TypeError):
        segment.cells(tables)


def test_write_makes_older_times_invalid(segment: _engine.Segment) -> None:
    a, b, both = (segment.cells(names) for names in (["a"], ["b"], ["a", "b"]))
    before = segment.clock()
    assert segment.valid(a, before)
    assert segment.valid(b"", before)
    ticket = segment.begin_write(a)
    assert not segment.valid(a, before)
    assert not segment.valid(both, before)
    assert segment.valid(b, before)
    assert not segment.valid(a, segment.clock())
    stamp = segment.end_write(ticket)
    assert stamp > before
    assert segment.clock() == stamp
    assert not segment.valid(a, before)
    assert segment.valid(a, stamp)
    assert segment.valid(a, stamp, _engine.NO_LIMIT)
    assert not segment.valid(a, stamp, before)
    assert not segment.valid(a, stamp, limit=before)
    assert segment.valid(b, stamp, before)


def test_cell_out_of_range_is_never_valid(segment: _engine.Segment) -> None:
    assert not segment.valid((1024).to_bytes(4, "little"), segment.clock())
    with pytest.raises(ValueError, match="32-bit"):
        segment.valid(b"12345", segment.clock())


def test_entry_is_got_until_its_table_is_written(segment: _engine.Segment) -> None:
    cells, now = segment.cells(["a"], True), segment.clock()
    rows = encode((1, "é", None), (2, "x", 2.5))
    assert segment.put(b"key", cells, now, rows)
    assert segment.get(b"key") == ([(1, "é", None), (2, "x", 2.5)], cells, now, len(rows))
    write(segment, "b")
    assert segment.get(b"key") is not None
    write(segment, "a")
    assert segment.get(b"key") is None


def test_database_cell_drops_what_depends_on_it(segment: _engine.Segment) -> None:
    segment.put(b"key", segment.cells(["a"], True), segment.clock(), encode((1,)))
    segment.end_write(segment.begin_write(_engine.DATABASE_CELL))
    assert segment.get(b"key") is None


def test_rows_overtaken_by_a_write_are_not_stored(segment: _engine.Segment) -> None:
    cells, before = segment.cells(["a"]), segment.clock()
    write(segment, "a")
    assert segment.put(b"key", cells, before, encode((1,))) is False
    assert segment.stats()["fills"] == 0


def test_limit_hides_an_entry_and_leaves_it_to_others(segment: _engine.Segment) -> None:
    limit = segment.clock()
    now = write(segment, "a")
    segment.put(b"key", segment.cells(["a"]), now, encode((1,)))
    assert segment.get(b"key", limit) is None
    assert segment.get(b"key", limit=limit) is None
    assert segment.get(b"key", now) is not None
    assert segment.get(b"key") is not None


def test_counts(segment: _engine.Segment) -> None:
    cells, now = segment.cells(["a"]), segment.clock()
    segment.get(b"key")
    segment.put(b"key", cells, now, encode((1,)))
    segment.get(b"key")
    segment.get(b"key")
    segment.get(b"other")
    segment.count_hit()
    write(segment, "b")
    stats = segment.stats()
    assert [stats[name] for name in ("hits", "misses", "fills", "writes")] == [3, 2, 1, 1]
    assert stats["entries"] == 1
    assert (stats["size"], stats["cells"], stats["slots"]) == (4 << 20, 1024, 16)
    assert stats["retired"] is False
    assert stats["private"] is False
    assert stats["clock"] == segment.clock()


def test_entry_expires(segment: _engine.Segment) -> None:
    cells, now = segment.cells(["a"]), segment.clock()
    for key, timeout_ms in ((b"long", 3_600_000), (b"short", 1), (b"huge", 2**64 - 1)):
        assert segment.put(key, cells, now, encode((1,)), timeout_ms)
    until = time.monotonic() + 0.01
    while time.monotonic() < until:
        pass
    assert segment.get(b"short") is None
    assert segment.get(b"long") is not None
    assert segment.get(b"huge") is not None


def test_too_large_an_entry_is_not_stored(segment: _engine.Segment) -> None:
    cells, now = segment.cells(["a"]), segment.clock()
    assert segment.put(b"key", cells, now, encode(("x" * segment.max_entry,))) is False
    assert segment.put(b"k" * segment.max_entry, cells, now, encode((1,))) is False
    assert segment.get(b"key") is None
    assert segment.put(b"key", cells, now, encode(("x" * (segment.max_entry // 2),)))
    assert segment.get(b"key") is not None


def test_entries_of_all_sizes_come_back(segment: _engine.Segment) -> None:
    """Large and small by turns: the room that a lookup keeps between calls is of either."""
    cells, now = segment.cells(["a"]), segment.clock()
    for size in (1, 100_000, 5, 250_000, 0, 70_000):
        assert segment.put(b"key", cells, now, encode(("x" * size,)))
        found = segment.get(b"key")
        assert found is not None
        assert found[0] == [("x" * size,)]


def test_what_is_no_rows_is_a_miss(segment: _engine.Segment) -> None:
    assert segment.put(b"key", segment.cells(["a"]), segment.clock(), b"\xff no rows")
    assert segment.get(b"key") is None
    assert segment.stats()["hits"] == 0
    assert segment.stats()["misses"] == 1


def test_clear_empties_the_store(segment: _engine.Segment) -> None:
    segment.put(b"key", segment.cells(["a"]), segment.clock(), encode((1,)))
    assert segment.clear() is True
    assert segment.get(b"key") is None
    assert segment.stats()["entries"] == 0


def test_sound_segment_has_no_problems(segment: _engine.Segment) -> None:
    segment.put(b"key", segment.cells(["a"]), segment.clock(), encode((1,)))
    write(segment, "a")
    assert segment.problems() == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"size": -1}, OverflowError),
        ({"size": 2**64}, OverflowError),
        ({"cells": 2**32}, OverflowError),
        ({"size": "4M"}, TypeError),
        ({"size": 4096.0}, TypeError),
        ({"identity": "text"}, TypeError),
        ({"at": 5}, TypeError),
        ({"at": "with\0null"}, ValueError),
        ({"unknown": 1}, TypeError),
        ({"size": 100}, _engine.SegmentError),
        ({"cells": 0}, _engine.SegmentError),
        ({"slots": 100_000}, _engine.SegmentError),
        ({"mode": 0o70000}, _engine.SegmentError),
        ({"identity": b"x" * 1025}, _engine.SegmentError),
    ],
)
def test_bad_arguments_are_refused(opener: Opener, path: str, options: Any, error: Any) -> None:
    with pytest.raises(error) as raised:
        opener(**options)
    if error is _engine.SegmentError:
        assert raised.value.status == "argument"
        assert raised.value.errno == 0
    assert not Path(path).exists()


def test_missing_and_doubled_arguments_are_refused(path: str, segment: _engine.Segment) -> None:
    with pytest.raises(TypeError, match="size"):
        _engine.Segment.open(path, b"identity")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="without a name"):
        _engine.Segment.open(path, b"identity", 1, 2, 3, 4)  # type: ignore[misc, call-arg]
    with pytest.raises(TypeError, match="two values"):
        segment.get(b"key", key=b"key")  # type: ignore[misc]
    with pytest.raises(TypeError):
        segment.get("key")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        segment.get(b"key", None)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        segment.get(b"key", -1)


def test_segment_error_made_in_python_has_its_attributes() -> None:
    error = _engine.SegmentError("why")
    assert error.status == ""
    assert error.errno == 0
    assert str(error) == "why"


def test_file_identity(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    about = file.stat()
    major, minor, inode, birth = _engine.file_identity(str(file))
    assert os.makedev(major, minor) == about.st_dev
    assert inode == about.st_ino
    assert birth == 0 or abs(birth - about.st_mtime_ns) < 10**9
    with pytest.raises(FileNotFoundError) as raised:
        _engine.file_identity(str(tmp_path / "missing"))
    assert raised.value.filename == str(tmp_path / "missing")


def test_process_namespace() -> None:
    assert _engine.process_namespace() == Path("/proc/self/ns/pid").stat().st_ino
