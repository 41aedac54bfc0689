"""Files that are not as they should be: refused with a reason, or rebuilt where they are ours."""

import errno
import os
import random
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from segment_file import (
    BOOT_ID_AT,
    FROZEN_VERSION_AT,
    SIZES,
    STORE_FROM,
    STORE_VERSION_AT,
    change_constants,
    write_over,
)

from django_cache_manager import _engine

Opener = Callable[..., _engine.Segment]


def refusal(opener: Opener, **options: Any) -> _engine.SegmentError:
    with pytest.raises(_engine.SegmentError) as raised:
        opener(**options)
    return raised.value


def encode(*rows: tuple[Any, ...]) -> bytes:
    encoded = _engine.encode_rows(rows, 1 << 20)
    assert encoded is not None
    return encoded


@pytest.mark.parametrize(
    "content", [b"a text file of somebody's\n" * 10, b"\x7fELF" + b"\0" * 9000]
)
def test_foreign_file_is_left_alone(opener: Opener, path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    error = refusal(opener)
    assert error.status == "foreign"
    assert path in str(error)
    assert Path(path).read_bytes() == content


def test_symbolic_link_is_refused(opener: Opener, path: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    opener(at=str(target))
    Path(path).symlink_to(target)
    assert refusal(opener).status == "foreign"


def test_folder_in_the_place_of_the_file_is_refused(opener: Opener, path: str) -> None:
    Path(path).mkdir()
    assert refusal(opener).status in ("foreign", "system")


def test_segment_of_another_database_is_refused(opener: Opener) -> None:
    opener()
    assert refusal(opener, identity=b"another").status == "foreign"


def test_missing_folder_is_the_systems_refusal(opener: Opener, tmp_path: Path) -> None:
    error = refusal(opener, at=str(tmp_path / "missing" / "segment"))
    assert (error.status, error.errno) == ("system", errno.ENOENT)
    assert "missing" in str(error)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
def test_file_of_another_user_is_refused(opener: Opener, path: str) -> None:
    opener()
    os.chown(path, 12345, -1)
    assert refusal(opener).status == "foreign"


def test_no_room_is_an_error_at_once(path: str) -> None:
    """Not a SIGBUS later: the file is allocated in full when it is made."""
    program = (
        "import sys; from django_cache_manager import _engine\n"
        "try: _engine.Segment.open(sys.argv[1], b'identity', **eval(sys.argv[2]))\n"
        "except _engine.SegmentError as error: print(error.status, error.errno)\n"
    )

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    result = subprocess.run(
        [sys.executable, "-c", program, path, repr(SIZES)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd="/",
        capture_output=True,
        text=True,
        preexec_fn=little_room,
        check=True,
    )
    assert result.stdout.split() == ["system", str(errno.EFBIG)]
    assert not Path(path).exists()


@pytest.mark.parametrize("size", [0, 7, 100, 4095, 5000, (4 << 20) - 1])
def test_truncated_file_is_rebuilt(opener: Opener, path: str, size: int) -> None:
    first = opener().unique
    os.truncate(path, size)
    again = opener()
    assert again.created
    assert again.unique != first
    assert again.problems() == []


@pytest.mark.parametrize("at", [12, 20, 24, 32, 40, 56, 100, 130, 200, 1160])
def test_damaged_header_is_rebuilt(opener: Opener, path: str, at: int) -> None:
    opener()
    byte = Path(path).read_bytes()[at]
    write_over(path, at, bytes([byte ^ 0x55]))
    assert opener().created


def test_older_layout_is_rebuilt_and_a_newer_one_refused(opener: Opener, path: str) -> None:
    opener()
    change_constants(path, FROZEN_VERSION_AT, struct.pack("<II", 0, 0xFFFFFFFF))
    assert opener().created
    change_constants(path, FROZEN_VERSION_AT, struct.pack("<II", 2, 0xFFFFFFFD))
    assert refusal(opener).status == "version"


def test_segment_of_another_boot_is_rebuilt(opener: Opener, path: str) -> None:
    opener()
    change_constants(path, BOOT_ID_AT, b"another boot id!")
    assert opener().created


def test_segment_of_another_namespace_is_refused(opener: Opener, path: str) -> None:
    opener()
    change_constants(path, 64, struct.pack("<Q", 1))
    error = refusal(opener)
    assert error.status == "namespace"
    assert str(_engine.process_namespace()) in str(error)


def test_store_of_another_version_marks_and_neither_hits_nor_fills(
    opener: Opener, path: str
) -> None:
    first = opener()
    first.put(b"key", first.cells(["a"]), first.clock(), encode((1,)))
    change_constants(path, STORE_VERSION_AT, struct.pack("<I", 99))
    segment = opener()
    assert not segment.created
    assert segment.storable is False
    cells, now = segment.cells(["a"]), segment.clock()
    assert segment.get(b"key") is None
    assert segment.put(b"key", cells, now, encode((1,))) is False
    assert segment.clear() is False
    segment.end_write(segment.begin_write(cells))
    assert not segment.valid(cells, now)
    assert first.get(b"key") is None
    assert segment.stats()["entries"] == 0
    assert segment.stats()["store_version"] == 99


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_never_give_another_row(opener: Opener, path: str, seed: int) -> None:
    """In use, anywhere behind the header: a miss, a refusal, or what was stored."""
    chance = random.Random(seed)
    segment = opener()
    cells = segment.cells(["a"], True)
    stored = {b"key %d" % i: [(i, "x" * (i * 37 % 900), None)] for i in range(200)}
    for _ in range(15):
        for key, rows in stored.items():
            segment.put(key, cells, segment.clock(), encode(*rows))
        for _ in range(40):
            write_over(path, chance.randrange(STORE_FROM, segment.size), chance.randbytes(3))
        for key, rows in stored.items():
            found = segment.get(key)
            assert found is None or found[0] == rows
        with suppress(_engine.SegmentError):
            segment.end_write(segment.begin_write(cells))
        segment.problems()
        segment.stats()
        segment.slots()


@pytest.mark.parametrize("at", range(STORE_FROM, 4 << 20, (4 << 20) // 13))
def test_problems_are_named(opener: Opener, path: str, at: int) -> None:
    """Noise over a stretch of the file: verification ends, and names what it finds as text."""
    segment = opener()
    segment.put(b"key", segment.cells(["a"]), segment.clock(), encode((1,)))
    write_over(path, at, random.Random(at).randbytes(70_000)[: segment.size - at])
    assert all(isinstance(problem, str) and problem for problem in segment.problems())


def test_damaged_cells_are_found(opener: Opener, path: str) -> None:
    segment = opener()
    write_over(path, STORE_FROM + 8 * 5, b"\xff" * 8)
    problems = segment.problems()
    assert any("cell 5" in problem for problem in problems)
