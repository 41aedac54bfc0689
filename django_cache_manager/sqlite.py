"""SQLite: what its driver and its catalog tell."""

from __future__ import annotations

import itertools
import os
import weakref
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from . import _engine
from .catalog import Catalog, ascii_lower
from .identity import Facts, private_generation
from .isolation import Level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .isolation import Wish

_CASCADING = ("CASCADE", "SET NULL", "SET DEFAULT")

_CATALOG = """
SELECT m.type, m.name, m.tbl_name, m.sql, f."table", f.on_delete, f.on_update
FROM main.sqlite_master AS m
LEFT JOIN pragma_foreign_key_list(m.name) AS f ON m.type = 'table'
WHERE m.type IN ('table', 'view', 'trigger')
"""


_SESSION = b"process"
"""A file's writers: over when the process is, and `sessions_gone` says so."""

PROOF_WAIT_MS = 50
"""How long a proof waits for readers of the write-ahead log; writers wait with it."""


class _SharedMemory:
    """Named in-memory databases of this process: one lives as long as a connection to it does, and
    another made under its name later is another database (PROTOCOL section 5)."""

    def __init__(self) -> None:
        self._users: defaultdict[str, list[tuple[weakref.ref[Any], Any]]] = defaultdict(list)
        self._generations: dict[str, int] = {}
        self._count = itertools.count()

    def generation(self, name: str, connection: BaseDatabaseWrapper, driver: Any) -> int:
        users = [
            (ref, known)
            for ref, known in self._users[name]
            if (wrapper := ref()) is not None and wrapper.connection is known
        ]
        if not users or name not in self._generations:
            self._generations[name] = next(self._count)
        if not any(known is driver for _, known in users):
            users.append((weakref.ref(connection), driver))
        self._users[name] = users
        return self._generations[name]


def _names_of(identity: tuple[int, int, int, int]) -> tuple[bytes, bytes]:
    """The family and the generation of a database's file."""
    major, minor, inode, birth = identity
    return f"sqlite {major}:{minor} {inode}".encode(), f"born {birth}".encode()


class SQLite:
    """PROTOCOL's rules for SQLite.

    A transaction reads one snapshot; a process that is gone writes no more.
    """

    name = "sqlite"
    dialect = _engine.SQLITE
    born_marked = False
    drains = True
    configured_by_sql = False
    idle_attribute: str | None = "in_transaction"
    level_is_the_sessions = True

    def __init__(self) -> None:
        self._shared = _SharedMemory()
        self._private = itertools.count()

    def identify(self, connection: BaseDatabaseWrapper, driver: Any) -> Facts:
        rows = driver.execute("PRAGMA database_list").fetchall()
        path = next((row[2] for row in rows if row[1] == "main"), "")
        reason = self._why_prepared(driver, rows)
        if path and "vfs=" not in str(connection.settings_dict["NAME"]):
            facts = self._file_facts(path)
            return facts if reason is None else replace(facts, uncached=reason)
        name = _shared_name(str(connection.settings_dict["NAME"]))
        if name:
            number = self._shared.generation(name, connection, driver)
            family = f"sqlite memory {name}"
        else:
            number = next(self._private)
            family = f"sqlite private {id(self)}"
        (uncommitted,) = driver.execute("PRAGMA read_uncommitted").fetchone()
        return Facts(
            vendor=self,
            family=family.encode(errors="surrogatepass"),
            generation=private_generation() + b" %d" % number,
            private=True,
            uncached="PRAGMA read_uncommitted is on" if uncommitted else reason,
            level=Level.SNAPSHOT,
        )

    def _why_prepared(self, driver: Any, rows: list[Any]) -> str | None:
        """Why a new connection isn't cached by what its OPTIONS or a receiver made: `init_command`
        may attach a database, or hide a table behind a temporary one. `rows`: its databases."""
        if any(row[1] not in ("main", "temp") for row in rows):
            return "its connections begin with an attached database"
        if self.has_temporary(driver):
            return "its connections begin with temporary tables, views or triggers"
        return None

    def _file_facts(self, path: str) -> Facts:
        identity = _engine.file_identity(path)
        family, generation = _names_of(identity)
        *_, birth = identity
        reason = None if birth else "the file system tells no birth time of the database's file"
        return Facts(
            vendor=self,
            family=family,
            generation=generation,
            session=_SESSION,
            uncached=reason,
            path=path,
            level=Level.SNAPSHOT,
        )

    def peek(self, connection: BaseDatabaseWrapper) -> Facts | None:
        name = str(connection.settings_dict["NAME"])
        if not name or name.startswith("file:") or name == ":memory:":
            return None
        try:
            return self._file_facts(os.path.realpath(name))
        except OSError:
            return None

    def file_of(
        self, connection: BaseDatabaseWrapper, facts: Facts
    ) -> tuple[bytes | None, tuple[int, int, int, int] | None] | None:
        name = str(connection.settings_dict["NAME"])
        try:
            identity = _engine.file_identity(name)
        except (OSError, ValueError):
            return None
        is_it = _names_of(identity) == (facts.family, facts.generation)
        return (os.fsencode(name), identity) if is_it else None

    def supersedes(self, identity: bytes, other: bytes) -> bool:
        return False

    def in_transaction(self, driver: Any) -> bool:
        try:
            return bool(driver.in_transaction)
        except driver.Error:  # a closed connection has no transaction
            return False

    def will_begin(self, driver: Any) -> bool:
        return False

    def in_autocommit(self, driver: Any) -> bool:
        try:
            return not driver.in_transaction
        except driver.Error:  # a closed connection: the driver says so
            return False

    def next_level(self, driver: Any, default: Level) -> Level | None:
        return default

    def isolation_wish(self, sql: str) -> Wish | None:
        return None  # PRAGMA read_uncommitted

    def broken(self, driver: Any) -> bool:
        return False

    def pipelined(self, driver: Any) -> bool:
        return False

    def unfinished(self, driver: Any) -> bool:
        return False

    def closed(self, driver: Any) -> bool:
        try:
            driver.total_changes  # noqa: B018 - raises on a closed connection
        except driver.Error:
            return True
        return False

    def outcome_known(self, driver: Any, error: BaseException) -> bool:
        # Whatever was raised: a call of this library is over when it has come back.
        return True

    def read_catalog(self, driver: Any) -> Catalog:
        tables: set[str] = set()
        refused: dict[str, str] = {}
        cascades: defaultdict[str, set[str]] = defaultdict(set)
        triggered: dict[str, str] = {}
        for kind, name, of_table, sql, target, on_delete, on_update in driver.execute(_CATALOG):
            folded = ascii_lower(name)
            if kind == "view":
                refused[folded] = f"{name} is a view"
                triggered[folded] = f"{name} is a view"
            elif kind == "trigger":
                triggered[ascii_lower(of_table)] = f"{of_table} has the trigger {name}"
            elif (sql or "").lstrip()[:14].upper() == "CREATE VIRTUAL":
                refused[folded] = f"{name} is a virtual table"
                triggered[folded] = f"{name} is a virtual table"
            else:
                tables.add(folded)
                if on_delete in _CASCADING or on_update in _CASCADING:
                    cascades[ascii_lower(target)].add(folded)
        return Catalog(
            tables=frozenset(tables),
            refused=refused,
            cascades={table: frozenset(names) for table, names in cascades.items()},
            triggered=triggered,
        )

    def open_transactions(self, driver: Any) -> bytes | None:
        return None

    def lost(self, driver: Any, identity: bytes, note: str) -> bool:
        try:
            return bool(note) and self._file_facts(note).identity != identity
        except OSError:
            return True

    def sessions_gone(self, driver: Any, sessions: Iterable[bytes]) -> set[bytes]:
        """All of them, if nothing that the dead have written can come back (PROTOCOL 2.5).

        A commit that was in the write-ahead log when its process was killed, but not yet in the
        index that others go by, is seen by nobody until the next process opens the database alone
        and finds it in the log. A log that was emptied holds none.
        """
        (journal,) = driver.execute("PRAGMA main.journal_mode").fetchall()[0]
        return set() if journal == "wal" and not _empty_log(driver) else set(sessions)

    def has_temporary(self, driver: Any) -> bool:
        """Whether there are temporary tables, views or triggers: what a write touches can't be told
        then."""
        return driver.execute("SELECT 1 FROM sqlite_temp_master LIMIT 1").fetchone() is not None

    def attached(self, driver: Any) -> list[Facts]:
        """The files of ATTACHed databases: a write on this connection may be to one of them."""
        rows = driver.execute("PRAGMA database_list").fetchall()
        return [
            self._file_facts(path)
            for _, name, path in rows
            if path and name not in ("main", "temp")
        ]


def _empty_log(driver: Any) -> bool:
    """Takes the write-ahead log into the database's file, if nobody stands in the way for long.

    Readers that come meanwhile do without the log, so it is enough to wait for those there are.
    """
    (wait,) = driver.execute("PRAGMA busy_timeout").fetchall()[0]
    driver.execute(f"PRAGMA busy_timeout = {PROOF_WAIT_MS}").fetchall()
    try:
        (busy, frames, _) = driver.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchall()[0]
    finally:
        driver.execute(f"PRAGMA busy_timeout = {int(wait)}").fetchall()
    return (busy, frames) == (0, 0)


def _shared_name(name: str) -> str:
    """The name of a shared-cache in-memory database in an SQLite URI, or an empty string."""
    if not name.startswith("file:"):
        return ""
    parts = urlsplit(name)
    query = parse_qs(parts.query)
    if query.get("cache") == ["shared"]:
        return unquote(parts.path)
    return ""


SQLITE = SQLite()
