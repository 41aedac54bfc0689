"""The segments this process has open: one a database, found by the database's identity."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ImproperlyConfigured

from . import _engine, conf
from .identity import vendor_named

if TYPE_CHECKING:
    from .catalog import Catalog
    from .identity import Facts

logger = logging.getLogger("django_cache_manager")

_SUFFIX = ".segment"
_NOTE = ".database"
_RETRY_SECONDS = 1.0
MEMO_SETS: Final = 1024

_CURES = {
    "system": "Make DJANGO_CACHE_MANAGER['LOCATION'] a folder that this user may write to, "
    "with room for SIZE",
    "foreign": "Remove that file, or point DJANGO_CACHE_MANAGER['LOCATION'] at a folder of your "
    "own",
    "namespace": "Let all containers that use this database share LOCATION and the PID namespace, "
    "or give each its own LOCATION only if just one of them writes",
    "unsupported": "Point DJANGO_CACHE_MANAGER['LOCATION'] at a local folder such as /dev/shm",
    "argument": "Raise DJANGO_CACHE_MANAGER['SIZE'], or lower MAX_ENTRY, CELLS or SLOTS",
}


class SegmentUnavailable(ImproperlyConfigured):
    """A write was refused because no segment can be opened to mark it in: other processes would go
    on serving rows from before it.

    The message names the setting and the cure.
    """


class OpenSegment:
    """A segment and what this process knows about its database.

    Threads share it. `catalog` is what was read at clock value `catalog_time`; it holds while the
    database's cell is no later.
    """

    __slots__ = (
        "__weakref__",
        "_cells",
        "catalog",
        "catalog_time",
        "engine",
        "facts",
        "pid",
        "proved_at",
        "proving",
    )

    def __init__(self, engine: _engine.Segment, facts: Facts) -> None:
        self.engine = engine
        self.facts = facts
        self.pid = os.getpid()
        self._cells: dict[tuple[frozenset[str], bool], bytes] = {}
        self.catalog: Catalog | None = None
        self.catalog_time = 0
        self.proved_at = 0.0
        self.proving = threading.Lock()

    def usable(self) -> bool:
        return self.engine.usable() and (not self.facts.private or self.pid == os.getpid())

    def current_catalog(self) -> Catalog | None:
        if self.catalog is not None and self.engine.valid(_engine.DATABASE_CELL, self.catalog_time):
            return self.catalog
        return None

    def cells(self, tables: frozenset[str], database: bool) -> bytes:
        """The cells of a set of tables, remembered."""
        found = self._cells.get((tables, database))
        if found is None:
            found = self.engine.cells(tables, database)
            if len(self._cells) >= MEMO_SETS:
                self._cells.clear()
            self._cells[tables, database] = found
        return found

    def written(self, writes: tuple[str, ...]) -> frozenset[str] | None:
        """All tables that a write to these may change, remembered; None: may be any."""
        catalog = self.current_catalog()
        if catalog is None:
            return None
        memo = catalog.closures
        try:
            return memo[writes]
        except KeyError:
            found = catalog.closure(writes, conf.current().triggers)
        if len(memo) >= MEMO_SETS:
            memo.clear()
        memo[writes] = found
        return found

    def clashes(self, tables: frozenset[str]) -> tuple[str, ...]:
        """Other tables of the database whose cells are among those of `tables`."""
        catalog = self.current_catalog()
        if catalog is None:
            return ()
        own = set(memoryview(self.engine.cells(tables)).cast("I"))
        return tuple(
            sorted(
                other
                for other in catalog.tables - tables
                if not own.isdisjoint(memoryview(self.engine.cells((other,))).cast("I"))
            )
        )

    def read_catalog(self, driver: Any) -> Catalog | None:
        """Reads it if it isn't known.

        Only in autocommit: inside a user's transaction it would fix the snapshot.
        """
        known = self.current_catalog()
        if known is not None:
            return known
        at = self.engine.clock()
        try:
            catalog = self.facts.vendor.read_catalog(driver)
        except Exception as error:
            logger.debug("the catalog could not be read: %s", error)
            return None
        self.catalog, self.catalog_time = catalog, at
        return self.current_catalog()


class _Registry:
    def __init__(self) -> None:
        self._open: dict[bytes, OpenSegment] = {}
        self._refused: dict[bytes, tuple[float, _engine.SegmentError]] = {}
        self._had: set[bytes] = set()
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self._lock = threading.Lock()

    def find(self, facts: Facts) -> OpenSegment | None:
        """The open, usable segment of a database, without opening one."""
        found = self._open.get(facts.place)
        return found if found is not None and found.usable() else None

    def open(self, facts: Facts) -> OpenSegment:
        """Raises `_engine.SegmentError`; asked again within a second it repeats the last
        refusal."""
        found = self.find(facts)
        if found is not None:
            return found
        if not facts.family:
            raise _engine.SegmentError(facts.uncached)  # nobody knows which database it is
        with self._lock:
            found = self.find(facts)
            if found is not None:
                return found
            refused = self._refused.get(facts.place)
            if refused is not None and time.monotonic() < refused[0]:
                raise refused[1]
            try:
                found = OpenSegment(_create(facts), facts)
            except _engine.SegmentError as error:
                self._refused[facts.place] = (time.monotonic() + _RETRY_SECONDS, error)
                if refused is None:
                    logger.warning("%s", explain_refusal(error))
                raise
            self._refused.pop(facts.place, None)
            self._drop_siblings(facts)
            self._open[facts.place] = found
            self._had.add(facts.identity)
            return found

    def reconsider(self, facts: Facts) -> None:
        """Forgets a refusal: the next `open` tries anew."""
        with self._lock:
            self._refused.pop(facts.place, None)

    def _drop_siblings(self, facts: Facts) -> None:
        for place, known in list(self._open.items()):
            if known.facts.family == facts.family and known.facts.identity != facts.identity:
                known.engine.retire()
                del self._open[place]

    def had(self, facts: Facts) -> bool:
        """Whether this process has had the database's segment open: then a write doesn't fail by
        the cache."""
        return facts.identity in self._had

    def drop(self, segment: OpenSegment) -> None:
        with self._lock:
            segment.catalog = None  # nor by what remembers it
            if self._open.get(segment.facts.place) is segment:
                del self._open[segment.facts.place]

    def forget(self) -> None:
        """After a change of settings: everything is opened anew.

        What is marked stays marked in the file.
        """
        with self._lock:
            for segment in self._open.values():
                segment.catalog = None  # what remembers it is to look for the new one
            self._open.clear()
            self._refused.clear()
            self._had.clear()

    def all(self) -> list[OpenSegment]:
        return list(self._open.values())


registry = _Registry()


def segment_path(facts: Facts) -> Path:
    return Path(conf.current().location) / (facts.file_stem() + _SUFFIX)


def files(vendor: str = "*") -> list[Path]:
    """The segment files in LOCATION, of every database."""
    return sorted(Path(conf.current().location).glob(f"{conf.FILE_PREFIX}{vendor}-*{_SUFFIX}"))


def _create(facts: Facts) -> _engine.Segment:
    settings = conf.current()
    size = conf.segment_size(settings)
    max_entry = conf.max_entry_size(settings, size)
    if facts.private:
        return _engine.Segment.private_memory(
            size=size, cells=settings.cells, slots=settings.slots, max_entry=max_entry
        )
    path = segment_path(facts)
    _retire_older(path, facts)
    engine = _engine.Segment.open(
        str(path),
        facts.identity,
        size=size,
        cells=settings.cells,
        slots=settings.slots,
        max_entry=max_entry,
        mode=settings.mode,
        group=settings.group,
        born_marked=facts.vendor.born_marked,
    )
    if engine.created:
        _write_note(path, facts)
        retire_lost("sqlite", None)
    elif settings.size is not None and engine.size != settings.size:
        logger.warning(
            "the segment %s has %d bytes and DJANGO_CACHE_MANAGER['SIZE'] asks for %d: the "
            "segment's size is used; "
            "`manage.py cachemanager clear --recreate` applies the new one",
            path,
            engine.size,
            settings.size,
        )
    return engine


def _retire_older(path: Path, facts: Facts) -> None:
    """Retires segments of the same database from before its server restarted, or its file was
    replaced (PROTOCOL 5).

    Whoever opens a segment does so before its first use, for the one who made it may have died
    before. Raises SegmentError when there is a newer one: then what is known here is out of date.
    """
    own = _beginning(facts.identity)
    for relative in path.parent.glob(f"{facts.family_stem()}-*{_SUFFIX}"):
        if relative == path:
            continue
        try:
            theirs = _beginning(_engine.Segment.inspect(str(relative)).identity)
        except (_engine.SegmentError, ValueError):
            continue
        if theirs > own:
            raise _engine.SegmentError(f"{relative} is the segment of the same database, restarted")
        retire_file(relative)
    for other in files(facts.vendor.name):
        with contextlib.suppress(_engine.SegmentError, ValueError):
            theirs_all = _engine.Segment.inspect(str(other)).identity
            if facts.vendor.supersedes(facts.identity, theirs_all):
                retire_file(other)


def _beginning(identity: bytes) -> float:
    """When the database of an identity began: its server's start, or its file's birth."""
    return float(identity.rpartition(b" ")[2])


def _write_note(path: Path, facts: Facts) -> None:
    """Leaves the database's path beside its segment, so that a segment without a database can be
    found."""
    if facts.path:
        with contextlib.suppress(OSError):
            note = os.open(
                path.with_suffix(_NOTE),
                os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW,
                0o600,
            )
            with open(note, "w", encoding="utf-8", errors="surrogateescape") as out:
                out.write(facts.path)


def retire_lost(vendor_name: str, driver: Any) -> None:
    """Removes segments of databases that no longer exist, so that none is left behind by dropped
    test databases."""
    vendor = vendor_named(vendor_name)
    for path in files(vendor_name):
        try:
            note = path.with_suffix(_NOTE).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            note = ""
        try:
            identity = _engine.Segment.inspect(str(path)).identity
        except _engine.SegmentError:
            continue
        if vendor.lost(driver, identity, note):
            retire_file(path)


def retire_at(path: Path) -> bool:
    """Nobody hits the segment there any more, and the next to open it makes another in its place.

    False when there is none, or none of ours.
    """
    try:
        _engine.Segment.inspect(str(path)).retire()
    except _engine.SegmentError:
        return False
    return True


def retire_file(path: Path) -> bool:
    """Retires and removes one segment; False when it isn't ours to touch."""
    try:
        if not retire_at(path):
            return False
        path.unlink()
    except OSError:
        return False
    for leftover in (path.with_name(path.name + ".lock"), path.with_suffix(_NOTE)):
        with contextlib.suppress(OSError):
            leftover.unlink()
    return True


def explain_refusal(error: _engine.SegmentError) -> str:
    cure = _CURES.get(error.status, "See docs/settings.md, LOCATION")
    return f"django-cache-manager can't open its segment: {error}. {cure}."


def unseen_write_error(error: _engine.SegmentError) -> SegmentUnavailable:
    """What a write raises that can't be marked anywhere (PROTOCOL section 6)."""
    return SegmentUnavailable(
        f"{explain_refusal(error)} Without it a write can't be shown to other processes, which "
        "would serve stale rows, so it was not run. "
        "DJANGO_CACHE_MANAGER['UNSEEN_WRITES'] = True lets it run all the same."
    )


conf.on_change(registry.forget)
