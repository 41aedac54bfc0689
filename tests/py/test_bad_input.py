"""Segments that can't be had or are damaged, processes that die or fork: a wrong row never, a
crash never.
"""

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections
from django.db.utils import OperationalError, ProgrammingError

from observe import assert_right, portable
from testapp import trouble
from testapp.actions import name_of, names, rename
from testapp.models import Author
from worker import OtherError, OtherProcess

pytestmark = [
    pytest.mark.cached,
    pytest.mark.databases("sqlite-file", "postgresql"),
    pytest.mark.usefixtures("library"),
]
Fresh = Callable[..., OtherProcess]


@pytest.fixture
def fresh(database: None, tmp_path: Path) -> Iterator[Fresh]:
    """Starts a process with its own DJANGO_CACHE_MANAGER keys, by default its own LOCATION."""
    started: list[OtherProcess] = []

    def start(*, file_limit: int | None = None, **keys: object) -> OtherProcess:
        location = tmp_path / "segments"
        location.mkdir(exist_ok=True)
        settings = json.dumps({"LOCATION": str(location), **keys})
        environment = {"QC_TEST_MANAGER": settings}
        if file_limit is not None:
            environment["QC_TEST_FILE_LIMIT"] = str(file_limit)
        other = OtherProcess(tmp_path / f"log{len(started)}", environment)
        started.append(other)
        return other

    yield start
    for other in started:
        other.kill() if other.pending else other.stop()


def refused_write(other: OtherProcess) -> str:
    """Reads are right, a write raises; its message is returned. The row stays as it was."""
    assert other.call(trouble.right) == portable(True)
    with pytest.raises(OtherError) as caught:
        other.call(rename, "never")
    assert other.call(trouble.right) == portable(True)
    assert other.call(name_of) == portable("Ánna")
    return caught.value.message


def write_or_refusal(other: OtherProcess, name: str) -> str:
    """The message of a write that was refused; empty for one that went through."""
    try:
        other.call(rename, name)
    except OtherError as error:
        assert other.call(name_of) == portable("Ánna")
        return error.message
    assert other.call(name_of) == portable(name)
    return ""


def names_the_cure(message: str) -> bool:
    return "LOCATION" in message or "SIZE" in message


def test_location_missing(fresh: Fresh, tmp_path: Path) -> None:
    other = fresh(LOCATION=str(tmp_path / "no" / "such"))
    assert names_the_cure(refused_write(other))
    assert any("LOCATION" in check for check in json.dumps(other.call(trouble.checks)).split("\n"))


def test_location_is_a_file(fresh: Fresh, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert names_the_cure(refused_write(fresh(LOCATION=str(tmp_path / "file"))))


def test_location_is_not_writable(fresh: Fresh) -> None:
    """Nobody can make files there, root included."""
    assert names_the_cure(refused_write(fresh(LOCATION="/proc")))


def test_location_without_room(fresh: Fresh) -> None:
    """The folder can be locked, so no other process has a segment: the write may go on, and says
    why.
    """
    other = fresh(file_limit=2_000_000)
    assert other.call(trouble.right) == portable(True)
    other.call(rename, "without room")
    assert other.call(trouble.right) == portable(True)
    assert other.call(name_of) == portable("without room")
    assert names_the_cure(other.log.read_text())


def test_unseen_writes_go_on_without_a_segment(fresh: Fresh, tmp_path: Path) -> None:
    other = fresh(LOCATION=str(tmp_path / "no" / "such"), UNSEEN_WRITES=True)
    other.call(rename, "unseen")
    assert other.call(trouble.right) == portable(True)
    assert other.call(name_of) == portable("unseen")


def test_wrong_settings_read_on_and_refuse_to_write(fresh: Fresh) -> None:
    """A bad LOCATION is no folder at all: nobody may write unseen."""
    assert names_the_cure(refused_write(fresh(LOCATION="relative/path")))


def test_bad_size_writes_on(fresh: Fresh) -> None:
    other = fresh(SIZE="minus one")
    assert other.call(trouble.right) == portable(True)
    assert other.call(trouble.hits) == portable(False)
    other.call(rename, "with a bad size")
    assert other.call(trouble.right) == portable(True)
    assert any("SIZE" in check[1] for check in other.call(trouble.checks)[2])


def made_segment(fresh: Fresh) -> Path:
    """The path of a segment that a process made and left."""
    other = fresh()
    assert other.call(trouble.right) == portable(True)
    path = Path(eval(other.call(trouble.segment_path)[1]))
    other.stop()
    assert path.stat().st_mode & 0o777 == 0o600
    return path


def as_symlink(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_foreign(path: Path) -> None:
    path.write_bytes(b"the diary of somebody else\n" * 1000)


def as_another_users(path: Path) -> None:
    os.chown(path, 65534, 65534)


REFUSED = {function.__name__: function for function in (as_symlink, as_folder, as_foreign)}


@pytest.mark.parametrize("name", REFUSED)
def test_file_that_is_not_ours_is_left_alone(name: str, fresh: Fresh) -> None:
    path = made_segment(fresh)
    REFUSED[name](path)
    before = path.read_bytes() if path.is_file() else None
    assert str(path) in refused_write(fresh()) or names_the_cure(refused_write(fresh()))
    assert before is None or path.read_bytes() == before


@pytest.mark.root
def test_file_of_another_user_is_left_alone(fresh: Fresh) -> None:
    path = made_segment(fresh)
    as_another_users(path)
    refused_write(fresh())
    assert path.stat().st_uid == 65534


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def cut_header(path: Path) -> None:
    os.truncate(path, 100)


def damaged_everywhere(path: Path) -> None:
    """Garbage after the first page: the header says it is ours."""
    data = bytearray(path.read_bytes())
    random.seed(7)
    data[4096:] = random.randbytes(len(data) - 4096)
    path.write_bytes(data)


def damaged_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(64, 2048, 7):
        data[place] ^= 0x55
    path.write_bytes(data)


DAMAGE = {
    function.__name__: function
    for function in (truncated, emptied, cut_header, damaged_everywhere, damaged_header)
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_file_is_rebuilt_or_refused(name: str, fresh: Fresh) -> None:
    path = made_segment(fresh)
    DAMAGE[name](path)
    one, two = fresh(), fresh()
    for other in (one, two):
        assert other.call(trouble.right) == portable(True)
    refusal = write_or_refusal(one, "after the damage")
    assert not refusal or names_the_cure(refusal) or str(path) in refusal
    for other in (one, two):
        assert other.call(trouble.right) == portable(True)


@pytest.mark.parametrize("seed", range(4))
def test_bytes_flipped_while_running(seed: int, fresh: Fresh) -> None:
    """No crash and no wrong row: a miss, a rebuild, or an error that names the cure."""
    one = fresh()
    one.call(trouble.right)
    path = Path(eval(one.call(trouble.segment_path)[1]))
    chance = random.Random(seed)
    size = path.stat().st_size
    for _ in range(15):
        with open(path, "r+b") as file:
            for _ in range(400):
                place = chance.randrange(size) if seed % 2 else chance.randrange(4096, 65536 * 12)
                file.seek(place)
                byte = file.read(1)[0]
                file.seek(place)
                file.write(bytes([byte ^ (1 << chance.randrange(8))]))
        assert one.call(trouble.right) == portable(True)


def test_segment_removed_while_running(fresh: Fresh) -> None:
    one, two = fresh(), fresh()
    one.call(trouble.right)
    two.call(trouble.right)
    path = Path(eval(one.call(trouble.segment_path)[1]))
    path.unlink()
    one.call(rename, "first after it")
    assert two.call(names) == one.call(names) == portable(names())
    two.call(rename, "second after it")
    assert one.call(name_of) == portable("second after it")


def test_location_removed_while_running(fresh: Fresh) -> None:
    one = fresh()
    one.call(trouble.right)
    path = Path(eval(one.call(trouble.segment_path)[1]))
    shutil.rmtree(path.parent)
    assert one.call(trouble.right) == portable(True)
    refusal = write_or_refusal(one, "without a folder")
    assert not refusal or names_the_cure(refusal)
    assert one.call(trouble.right) == portable(True)


def test_processes_with_other_sizes_share_one_segment(fresh: Fresh) -> None:
    one, two = fresh(SIZE="16M"), fresh(SIZE="12M")
    first = one.call(trouble.segment_path)
    assert two.call(trouble.segment_path) == first
    deadline = time.monotonic() + 20
    one.call(names)
    while one.call(names) and one.sql:
        # A new segment of a server distrusts transactions that are older than itself.
        assert time.monotonic() < deadline
    two.call(names)
    assert not two.sql
    two.call(rename, "by the smaller")
    assert one.call(name_of) == portable("by the smaller")
    two.stop()
    warnings = [line for line in two.log.read_text().splitlines() if str(12 << 20) in line]
    assert len(warnings) == 1, two.log.read_text()
    assert str(16 << 20) in warnings[0]


@pytest.mark.parametrize("pause", range(6))
def test_killed_writer_leaves_no_wrong_row(pause: int, other_process: OtherProcess) -> None:
    other_process.call(names)
    other_process.send(trouble.rename_forever)
    before = names()
    while names() == before:
        pass
    for _ in range(pause * 20):
        names()
    other_process.kill()
    other_process.pending = False
    for _ in range(3):
        assert_right(names)
    rename("after the kill")
    assert names()[0] == "after the kill"
    assert other_process.call(name_of) == portable("after the kill")


def test_readers_see_a_busy_writer_move_forward(other_process: OtherProcess) -> None:
    """Each author's name only ever gets later: no read goes back."""
    other_process.send(trouble.rename_often, 200)
    latest = dict.fromkeys(range(1, 7), -1)
    while min(latest.values()) < 190:
        for author in Author.objects.order_by("pk"):
            turn = int(author.name[5:]) if author.name.startswith("turn ") else -1
            assert turn >= latest[author.pk]
            latest[author.pk] = turn
    other_process.receive()
    assert_right(names)


def test_child_of_a_fork_writes_and_is_seen(other_process: OtherProcess) -> None:
    names()
    expected = portable(["Ánna", "by the child", 0])
    assert other_process.call(trouble.rename_in_a_child, "by the child") == expected
    assert name_of() == "by the child"


def test_fork_during_a_write_leaves_it_alone(other_process: OtherProcess) -> None:
    names()
    found = other_process.call(trouble.fork_with_an_open_write, "across a fork")
    assert found == portable(["across a fork", True])
    assert name_of() == "across a fork"


def test_threads_read_and_write_at_once(other_process: OtherProcess) -> None:
    assert other_process.call(trouble.in_threads, 4) == portable(True)
    assert_right(names)


def test_database_that_is_down_is_djangos_own_error(tmp_path: Path) -> None:
    settings = connections["default"].settings_dict
    if connections["default"].vendor == "sqlite":
        changed = {**settings, "NAME": str(tmp_path / "no" / "such" / "file")}
    else:
        changed = {**settings, "NAME": "no_such_database"}
    connections.databases["down"] = changed
    try:
        for _ in range(2):
            with pytest.raises(OperationalError):
                list(Author.objects.using("down"))
            with pytest.raises(OperationalError):
                Author.objects.using("down").create(name="nobody")
    finally:
        connections["down"].close()
        del connections["down"]
        del connections.databases["down"]


def test_table_that_is_missing_is_djangos_own_error(tmp_path: Path) -> None:
    from testapp.actions import sql

    sql("ALTER TABLE testapp_passport RENAME TO hidden")
    try:
        for _ in range(2):
            with pytest.raises((OperationalError, ProgrammingError), match="testapp_passport"):
                list(Author.objects.select_related("passport"))
    finally:
        sql("ALTER TABLE hidden RENAME TO testapp_passport")
    assert_right(lambda: list(Author.objects.select_related("passport").order_by("pk")))
