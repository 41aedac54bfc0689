"""LOCATION and SIZE against the real file system."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_cache_manager import conf, location

MIB = 2**20


def checked(**setting: Any) -> list[conf.Problem]:
    with override_settings(DJANGO_CACHE_MANAGER=setting):
        return conf.problems()


@pytest.fixture
def small_room(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes that every file system says are free."""
    free = [64 * MIB]
    real = os.statvfs

    def statvfs(path: str) -> os.statvfs_result:
        values = list(real(path))
        values[1], values[4] = 4096, free[0] // 4096  # f_frsize, f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", statvfs)
    return free


def test_usable_folder_has_no_problem(tmp_path: Path) -> None:
    assert checked(LOCATION=tmp_path, SIZE="8M") == []
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_an_error_that_says_so(tmp_path: Path) -> None:
    (problem,) = checked(LOCATION=tmp_path / "missing")
    assert problem.id == "E004"
    assert "No such file" in problem.message
    assert "LOCATION" in problem.message
    assert "Create it" in problem.hint


def test_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (problem,) = checked(LOCATION=tmp_path / "file")
    assert (problem.id, "not a folder" in problem.message) == ("E004", True)


def test_name_too_long_is_an_error(tmp_path: Path) -> None:
    (problem,) = checked(LOCATION=tmp_path / ("x" * 300))
    assert problem.id == "E004"


def test_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    root = os.geteuid() == 0
    folder = Path("/etc") if root else tmp_path
    if root:  # who may write anywhere
        os.seteuid(65534)
    try:
        (problem,) = checked(LOCATION=folder)
    finally:
        if root:
            os.seteuid(0)
    assert problem.id == "E005"
    assert "uid" in problem.hint


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs", "fuse"])
def test_network_file_system_is_an_error(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"30 1 0:29 / {tmp_path} rw - {kind} server:/export rw\n")
    monkeypatch.setattr(location, "MOUNTS", str(mounts))
    (problem,) = checked(LOCATION=tmp_path)
    assert problem.id == "E006"
    assert kind in problem.message


MOUNTINFO = r"""
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
22 21 0:20 / /mnt rw shared:2 master:1 - xfs /dev/sdb rw
23 22 0:21 / /mnt/with\040space rw - nfs4 server:/a rw
24 21 0:22 / /srv rw - ext4 /dev/sdc rw
25 24 0:23 / /srv rw - cifs //server/share rw
broken line
""".lstrip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/home/x", "ext4"),
        ("/mnt", "xfs"),
        ("/mntx", "ext4"),
        ("/mnt/with space/deep", "nfs4"),
        ("/srv/x", "cifs"),
    ],
)
def test_file_system_is_that_of_the_nearest_mount(path: str, kind: str, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTINFO)
    assert location.file_system(path, str(mounts)) == kind


def test_file_system_follows_links(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/proc/self")
    assert location.file_system(str(link), location.MOUNTS) == "proc"


def test_unreadable_mount_table_is_not_an_error(tmp_path: Path) -> None:
    assert location.file_system("/", str(tmp_path / "missing")) is None


def test_size_past_what_is_free_is_an_error(tmp_path: Path, small_room: list[int]) -> None:
    (problem,) = checked(LOCATION=tmp_path, SIZE="80M")
    assert problem.id == "E007"
    assert "80M" in problem.message
    assert "64M" in problem.message
    assert "shm" in problem.hint


def test_what_our_own_files_hold_counts_as_free(tmp_path: Path, small_room: list[int]) -> None:
    with (tmp_path / f"{conf.FILE_PREFIX}sqlite-x.segment").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 24 * MIB)
    assert [p.id for p in checked(LOCATION=tmp_path, SIZE="80M")] == ["W005"]
    with (tmp_path / "other-file").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 24 * MIB)
    assert [p.id for p in checked(LOCATION=tmp_path, SIZE="90M")] == ["E007"]


def test_room_for_one_database_of_two_is_a_warning(tmp_path: Path, small_room: list[int]) -> None:
    (problem,) = checked(LOCATION=tmp_path, SIZE="40M")
    assert (problem.id, problem.is_error) == ("W005", False)
    assert "2 databases" in problem.message
    assert checked(LOCATION=tmp_path, SIZE="40M", REPLICAS=["other"]) == []
    assert checked(LOCATION=tmp_path, SIZE="32M") == []


def test_default_size_is_half_of_little_room_and_is_told(
    tmp_path: Path, small_room: list[int]
) -> None:
    small_room[0] = 40 * MIB
    with override_settings(DJANGO_CACHE_MANAGER={"LOCATION": str(tmp_path)}):
        assert conf.segment_size(conf.current()) == 20 * MIB
        (problem,) = conf.problems()
    assert (problem.id, problem.is_error) == ("I001", False)
    assert "40M" in problem.message
    assert "SIZE" in problem.hint


def test_default_size_with_enough_room_is_not_told(tmp_path: Path, small_room: list[int]) -> None:
    with override_settings(DJANGO_CACHE_MANAGER={"LOCATION": str(tmp_path)}):
        assert conf.segment_size(conf.current()) == 32 * MIB
        assert conf.problems() == []


def test_default_size_never_falls_below_what_a_segment_needs(
    tmp_path: Path, small_room: list[int]
) -> None:
    small_room[0] = 0
    with override_settings(DJANGO_CACHE_MANAGER={"LOCATION": str(tmp_path)}):
        settings = conf.current()
        size = conf.segment_size(settings)
        assert [problem.id for problem in conf.problems()] == ["E007"]
    assert conf.largest_entry(size, settings.cells, settings.slots) >= conf.LEAST_MAX_ENTRY


def test_default_size_of_a_missing_folder_is_the_full_one(tmp_path: Path) -> None:
    settings = conf.Settings(location=str(tmp_path / "missing"))
    assert conf.segment_size(settings) == 32 * MIB


def test_real_small_file_system_halves_the_default(tmp_path: Path) -> None:
    """A tmpfs of 24 MiB, as a container's /dev/shm may be, in a mount namespace of its own."""
    code = (
        "from django.conf import settings; settings.configure(DJANGO_CACHE_MANAGER={'LOCATION': "
        f"{str(tmp_path)!r}}}); from django_cache_manager import conf; "
        "print(conf.segment_size(conf.current()), *[p.id for p in conf.problems()])"
    )
    mount = f"mount -t tmpfs -o size=24m none {tmp_path} && exec {sys.executable} -c"
    if subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may make no mount namespace")
    run = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", f'{mount} "$0"', code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(conf.__file__).parents[1])},
    )
    assert run.stdout.split() == [str(12 * MIB), "I001"]


def test_folder_from_which_anyone_may_remove_is_a_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (problem,) = checked(LOCATION=tmp_path, SIZE="8M")
    assert (problem.id, problem.is_error) == ("W004", False)
    tmp_path.chmod(0o1777)
    assert checked(LOCATION=tmp_path, SIZE="8M") == []


def test_group_without_permission_for_it_is_a_warning(tmp_path: Path) -> None:
    group = os.getegid()
    (problem,) = checked(LOCATION=tmp_path, SIZE="8M", GROUP=group)
    assert (problem.id, problem.is_error) == ("W003", False)
    assert "MODE" in problem.hint
    assert checked(LOCATION=tmp_path, SIZE="8M", GROUP=group, MODE=0o660) == []


def test_group_that_the_user_is_no_member_of_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    (problem,) = checked(LOCATION=tmp_path, SIZE="8M", GROUP=4_000_000, MODE=0o660)
    assert (problem.id, "4000000" in problem.message) == ("W003", True)
