"""What can be told of the folder that LOCATION names before a segment is opened in it."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from django.conf import settings as django_settings

from . import conf

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORK_FILE_SYSTEMS: Final = frozenset(
    """
    nfs nfs4 cifs smb3 smbfs ncpfs ncp afs coda 9p ceph lustre beegfs gpfs ocfs2 gfs2 orangefs
    pvfs2 panfs fuse vboxsf vmhgfs prl_fs
    """.split()
)
"""As src/plat/file.c: where other machines may see the files, but not our locks and memory."""

MOUNTS: Final = "/proc/self/mountinfo"


def location_problems(settings: conf.Settings) -> list[conf.Problem]:
    """What would keep a segment from being opened in LOCATION, or make it unsafe or small."""
    unusable = _unusable(settings.location)
    if unusable is not None:
        return [unusable]
    return [*_sharing(settings), *_room(settings)]


def file_system(path: str, mounts: str) -> str | None:
    """The type of the file system that holds `path` ("tmpfs", "nfs4"); None: it can't be told."""
    try:
        lines = Path(mounts).read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    path = os.path.realpath(path)
    best, found = -1, None
    for line in lines:
        fields = line.split(" ")
        if "-" not in fields[6:-1]:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two mounts at one point the later one hides the other.
        if inside and len(point) >= best:
            best, found = len(point), fields[fields.index("-", 6) + 1]
    return found


def _problem(
    check: str, location: str, what: str, hint: str, is_error: bool = True
) -> conf.Problem:
    return conf.Problem(check, f"{conf.SETTING}['LOCATION'] ({location}) {what}.", hint, is_error)


def _unusable(location: str) -> conf.Problem | None:
    another = "Set LOCATION to another folder in memory that all processes share."
    try:
        found = Path(location).stat()
    except OSError as error:
        return _problem(
            "E004", location, f"can't be used: {error.strerror}", f"Create it, or: {another}"
        )
    if not stat.S_ISDIR(found.st_mode):
        return _problem("E004", location, "is not a folder", another)
    if not os.access(location, os.R_OK | os.W_OK | os.X_OK, effective_ids=_effective_ids()):
        hint = f"Let the user of this process write there (uid {os.geteuid()}), or: {another}"
        return _problem("E005", location, "can't be written to", hint)
    kind = file_system(location, MOUNTS)
    if kind is not None and kind.partition(".")[0] in NETWORK_FILE_SYSTEMS:
        hint = "Set LOCATION to a folder of this machine, such as /dev/shm."
        return _problem("E006", location, f"is on a network file system ({kind})", hint)
    return None


def _effective_ids() -> bool:
    return os.access in os.supports_effective_ids


def _sharing(settings: conf.Settings) -> Iterator[conf.Problem]:
    """Who else may get at the files."""
    folder = Path(settings.location).stat()
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        hint = "Take write permission from others (chmod o-w), or set the sticky bit (chmod +t)."
        what = "lets every user of the machine remove the files in it"
        yield _problem("W004", settings.location, what, hint, is_error=False)
    if settings.group == -1:
        return
    name = f"{conf.SETTING}['GROUP']"
    if os.geteuid() != 0 and settings.group not in {os.getegid(), *os.getgroups()}:
        message = f"{name}: this process's user is no member of group {settings.group}."
        hint = "Add the user to the group, or leave GROUP out."
        yield conf.Problem("W003", message, hint, is_error=False)
    if settings.mode != 0o660:
        message = f"{name} is of no use: MODE {settings.mode:#o} doesn't let the group write."
        yield conf.Problem(
            "W003", message, "Set MODE to 0o660, or leave GROUP out.", is_error=False
        )


def _room(settings: conf.Settings) -> Iterator[conf.Problem]:
    """Whether the segments fit in what is free or already held by our own files."""
    place = os.statvfs(settings.location)
    room = place.f_bavail * place.f_frsize + _held(settings.location)
    size = conf.segment_size(settings)
    name, free = f"{conf.SETTING}['SIZE']", _readable(room)
    hint = (
        "Make room there or set LOCATION elsewhere (in a container: a larger /dev/shm, "
        'docker run --shm-size, Compose shm_size, or a Kubernetes emptyDir of medium "Memory").'
    )
    if size > room:
        message = (
            f"{name}: {_readable(size)} don't fit in {settings.location}, where {free} are free."
        )
        yield conf.Problem("E007", message, f"Set SIZE to less. {hint}")
    elif settings.size is None and room < 2 * conf.DEFAULT_SIZE:
        message = (
            f"{settings.location} has little room ({free}): a new segment takes half of what is "
            f"free instead of {_readable(conf.DEFAULT_SIZE)}."
        )
        yield conf.Problem(
            "I001", message, f"Set SIZE, which silences this. {hint}", is_error=False
        )
    elif settings.size is not None and size * _database_count(settings) > room:
        message = (
            f"{name}: {_readable(size)} for each of {_database_count(settings)} databases don't "
            f"fit in {settings.location}, where {free} are free."
        )
        yield conf.Problem("W005", message, f"Set SIZE to less. {hint}", is_error=False)


def _held(location: str) -> int:
    """Bytes that files of this package take in `location`."""
    held = 0
    with os.scandir(location) as entries:
        for entry in entries:
            if entry.name.startswith(conf.FILE_PREFIX):
                try:
                    held += entry.stat(follow_symlinks=False).st_blocks * 512
                except OSError:  # gone meanwhile
                    continue
    return held


def _database_count(settings: conf.Settings) -> int:
    """How many databases will have a segment here; aliases of one database share theirs."""
    databases = set()
    for alias, options in getattr(django_settings, "DATABASES", {}).items():
        if options.get("ENGINE") and alias not in settings.replicas:
            databases.add(
                tuple(str(options.get(key, "")) for key in ("ENGINE", "NAME", "HOST", "PORT"))
            )
    return len(databases)


def _readable(size: int) -> str:
    """Bytes for people: one decimal of MiB at most."""
    return f"{size / conf.MIB:.1f}".removesuffix(".0") + "M"
