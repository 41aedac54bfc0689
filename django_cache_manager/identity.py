"""Who is who: what a driver's connection is connected to, told by the server (PROTOCOL section
5)."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from .conf import FILE_PREFIX
from .isolation import Level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .catalog import Catalog
    from .isolation import Wish


@dataclass(frozen=True, slots=True)
class Facts:
    """What was learnt of one connection.

    `family` and `generation` together are the database's identity: a restarted server or a file put
    in another's place keeps the family and changes the generation.
    """

    vendor: Vendor
    family: bytes
    generation: bytes
    user: str = ""
    session: bytes = b""
    """Who can prove a write of this connection over; empty: it is over when the process is."""

    uncached: str | None = None
    """Why nothing may be hit or filled on this connection, or None."""

    private: bool = False
    """No other process can see the database: its segment lies in private memory."""

    path: str = ""
    """The database's file, for an identity that can be looked at without a connection."""

    scope: bytes = b""
    """Whose eyes the catalog is read with, where they differ."""

    level: Level = Level.CURRENT
    """The isolation level of a new session's transactions."""

    identity: bytes = field(init=False)
    place: bytes = field(init=False)
    """Connections with one place share an open segment and its catalog."""

    def __post_init__(self) -> None:
        identity = self.family + b"\0" + self.generation
        object.__setattr__(self, "identity", identity)
        object.__setattr__(self, "place", identity + b"\0" + self.scope)

    def file_stem(self) -> str:
        """The segment's file name without ending: siblings of one family share its first half."""
        return f"{self.family_stem()}-{_digest(self.generation)}"

    def family_stem(self) -> str:
        return f"{FILE_PREFIX}{self.vendor.name}-{_digest(self.family)}"


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()[:16]


class Vendor(Protocol):
    """What differs between database systems.

    One stateless object each.
    """

    name: str
    dialect: int
    """The dialect of `_engine.scan`."""
    born_marked: bool
    """Whether a new segment must distrust transactions older than itself (PROTOCOL 2.6)."""

    drains: bool
    """Whether a writing statement may be unfinished until its rows are fetched (PROTOCOL 2.1)."""

    configured_by_sql: bool
    """Whether Django sets a new connection up by SQL: then it is met when that is done."""

    idle_attribute: str | None
    """The driver's attribute that is False exactly when `in_autocommit` is true; None: there is
    none."""

    level_is_the_sessions: bool
    """Whether `next_level` is always its `default`."""

    def identify(self, connection: BaseDatabaseWrapper, driver: Any) -> Facts: ...

    def peek(self, connection: BaseDatabaseWrapper) -> Facts | None:
        """Facts for a closed connection, as far as they can be had without opening it."""

    def file_of(
        self, connection: BaseDatabaseWrapper, facts: Facts
    ) -> tuple[bytes | None, tuple[int, int, int, int] | None] | None:
        """The path of a database's file and its identity, if they are those of the facts; two None:
        it is none of a file."""

    def supersedes(self, identity: bytes, other: bytes) -> bool:
        """Whether a database is another's successor though its family is another."""

    def in_transaction(self, driver: Any) -> bool: ...

    def will_begin(self, driver: Any) -> bool:
        """Whether the driver sends BEGIN of its own before the next statement of any kind."""

    def in_autocommit(self, driver: Any) -> bool:
        """Whether the next statement commits when it has run: no transaction, no BEGIN to come, no
        pipeline."""

    def next_level(self, driver: Any, default: Level) -> Level | None:
        """Of the next transaction, statements in autocommit included; `default` is the session's.

        None: not sure.
        """

    def isolation_wish(self, sql: str) -> Wish | None:
        """What a statement asks of isolation levels; None: not sure."""

    def broken(self, driver: Any) -> bool:
        """Whether the next statement is bound to fail."""

    def pipelined(self, driver: Any) -> bool:
        """Whether statements are sent without waiting for their answers."""

    def unfinished(self, driver: Any) -> bool:
        """Whether statements of the same string are still to be answered."""

    def outcome_known(self, driver: Any, error: BaseException) -> bool:
        """PROTOCOL 2.4."""

    def closed(self, driver: Any) -> bool: ...

    def read_catalog(self, driver: Any) -> Catalog: ...

    def open_transactions(self, driver: Any) -> bytes | None:
        """Transactions open now, for a new segment's birth note; None where there is none."""

    def lost(self, driver: Any, identity: bytes, note: str) -> bool:
        """Whether a segment's database no longer exists.

        `driver` is a connection to the same server.
        """

    def sessions_gone(self, driver: Any, sessions: Iterable[bytes]) -> set[bytes]:
        """Those of the slots' session texts whose write is proved over."""


_SUPPORTED: Final = ("sqlite", "postgresql", "mysql")


def vendor_of(connection: BaseDatabaseWrapper) -> Vendor | None:
    """The vendor's knowledge, chosen by `vendor`, not by ENGINE; None: not supported, uncached."""
    return vendor_named(connection.vendor) if connection.vendor in _SUPPORTED else None


def vendor_named(name: str) -> Vendor:
    if name == "sqlite":
        from .sqlite import SQLITE

        return SQLITE
    if name == "mysql":
        from .mysql import MYSQL

        return MYSQL
    from .postgresql import POSTGRESQL

    return POSTGRESQL


def private_generation() -> bytes:
    """A generation for what lives in this process only."""
    return f"pid {os.getpid()}".encode()
