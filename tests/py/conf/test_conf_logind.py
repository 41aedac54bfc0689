"""When systemd-logind clears /dev/shm, told from its files under a root of our own."""

import os
import pwd
from pathlib import Path

import pytest

from django_cache_manager import logind

USER = 1000
MAIN = "etc/systemd/logind.conf"


def write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine that systemd runs, as built upstream."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    write(tmp_path, MAIN, "[Login]\n#RemoveIPC=yes\n")
    return tmp_path


def test_ordinary_user_loses_files(root: Path) -> None:
    assert logind.removes_shared_memory(root, USER)


def test_machine_without_the_file_has_the_built_in_default(root: Path) -> None:
    (root / MAIN).unlink()
    assert logind.removes_shared_memory(root, USER)


def test_system_user_keeps_files(root: Path) -> None:
    assert not logind.removes_shared_memory(root, 999)
    assert not logind.removes_shared_memory(root, 0)


def test_machine_without_systemd_keeps_files(root: Path) -> None:
    (root / "run/systemd/system").rmdir()
    assert not logind.removes_shared_memory(root, USER)


def test_lingering_user_keeps_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("anna", "x", USER, USER, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda user: entry)
    assert logind.removes_shared_memory(root, USER)
    write(root, "var/lib/systemd/linger/anna", "")
    assert not logind.removes_shared_memory(root, USER)


def test_user_without_a_name_is_no_error(root: Path) -> None:
    assert logind.removes_shared_memory(root, 3_999_999_999)


def test_default_user_is_this_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: USER)
    assert logind.removes_shared_memory(root)
    monkeypatch.setattr(os, "geteuid", lambda: 33)
    assert not logind.removes_shared_memory(root)


@pytest.mark.parametrize(
    ("line", "removes"),
    [
        ("RemoveIPC=no", False),
        ("RemoveIPC = off ", False),
        ("RemoveIPC=0", False),
        ("RemoveIPC=False", False),
        ("RemoveIPC=yes", True),
        ("#RemoveIPC=no", False),
        ("# RemoveIPC=no", False),
        ("#RemoveIPC=no\nRemoveIPC=yes", True),
        ("RemoveIPC=no\n#RemoveIPC=yes", False),
        ("RemoveIPC=no\nRemoveIPC=yes", True),
        ("RemoveIPC=nonsense", True),
        ("RemoveIPCs=no", True),
    ],
)
def test_main_file_decides(line: str, removes: bool, root: Path) -> None:
    write(root, MAIN, f"[Login]\n{line}\n")
    assert logind.removes_shared_memory(root, USER) is removes


def test_drop_in_overrides_the_main_file(root: Path) -> None:
    write(root, MAIN, "RemoveIPC=yes\n")
    write(root, "usr/lib/systemd/logind.conf.d/50-ipc.conf", "RemoveIPC=no\n")
    assert not logind.removes_shared_memory(root, USER)
    write(root, "run/systemd/logind.conf.d/60-ipc.conf", "RemoveIPC=yes\n")
    assert logind.removes_shared_memory(root, USER)


def test_drop_in_in_etc_hides_one_of_the_same_name(root: Path) -> None:
    write(root, "usr/lib/systemd/logind.conf.d/50-ipc.conf", "RemoveIPC=no\n")
    write(root, "etc/systemd/logind.conf.d/50-ipc.conf", "#RemoveIPC=no\n")
    assert logind.removes_shared_memory(root, USER)


def test_vendor_file_counts_where_etc_has_none(root: Path) -> None:
    (root / MAIN).unlink()
    write(root, "usr/lib/systemd/logind.conf", "#RemoveIPC=no\n")
    assert not logind.removes_shared_memory(root, USER)


def test_unreadable_drop_in_is_no_error(root: Path) -> None:
    (root / "etc/systemd/logind.conf.d/10-folder.conf").mkdir(parents=True)
    assert logind.removes_shared_memory(root, USER)
