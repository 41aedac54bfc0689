"""Whether systemd-logind removes this user's files from /dev/shm when the user's last session ends.

logind.conf(5), RemoveIPC: not for system users, and not while the user lingers.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

FIRST_USER: Final = 1000
"""The first number of ordinary users, which system users are below (SYS_UID_MAX + 1)."""

_FOLDERS: Final = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
_BOOLEAN: Final = {
    **dict.fromkeys(("1", "yes", "y", "true", "t", "on"), True),
    **dict.fromkeys(("0", "no", "n", "false", "f", "off"), False),
}
_LINE: Final = re.compile(r"\s*([#;]?)\s*RemoveIPC\s*=\s*(\w*)\s*")


def removes_shared_memory(root: Path = Path("/"), user: int | None = None) -> bool:
    """Whether files of `user` (default: this process's) in /dev/shm go when the user logs out."""
    user = os.geteuid() if user is None else user
    if user < FIRST_USER or not (root / "run/systemd/system").is_dir():
        return False
    return not _lingers(root, user) and _remove_ipc(root)


def _lingers(root: Path, user: int) -> bool:
    try:
        import pwd

        name = pwd.getpwuid(user).pw_name
    except (ImportError, KeyError):
        return False
    return (root / "var/lib/systemd/linger" / name).exists()


def _remove_ipc(root: Path) -> bool:
    """The effective RemoveIPC: the main file, then drop-ins by name, the last one that sets it.

    A line commented out in the main file shows what was chosen when systemd was built: "yes" unless
    the distribution changed it.
    """
    main = _first(root, "systemd/logind.conf")
    removes = True
    for is_comment, value in () if main is None else _lines(main):
        if is_comment:
            removes = _BOOLEAN.get(value, removes)
    for file in ([] if main is None else [main]) + _drop_ins(root):
        for is_comment, value in _lines(file):
            if not is_comment:
                removes = _BOOLEAN.get(value, removes)
    return removes


def _first(root: Path, name: str) -> Path | None:
    files = (root / folder / name for folder in _FOLDERS)
    return next((file for file in files if file.is_file()), None)


def _drop_ins(root: Path) -> list[Path]:
    """By name, whatever the folder; of two with one name the folder that comes first wins."""
    found: dict[str, Path] = {}
    for folder in _FOLDERS:
        for file in (root / folder / "systemd/logind.conf.d").glob("*.conf"):
            found.setdefault(file.name, file)
    return [found[name] for name in sorted(found)]


def _lines(file: Path) -> list[tuple[bool, str]]:
    """The lines about RemoveIPC: whether it is commented out, and the value in lower case."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return []
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return [(bool(line[1]), line[2].lower()) for line in found if line]
