"""What a transaction's reads see, and so what of the cache may answer them (PROTOCOL 3.3, 4.1,
4.2).

The level belongs to a session and to a transaction, never to a kind of database: it comes from the
server's settings, a role's or a database's, from OPTIONS, from the driver's attribute and from SQL.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import _engine

if TYPE_CHECKING:
    from .sessions import DriverSession

LOSES_CACHE: Final = _engine.SESSION | _engine.TEMP | _engine.ISOLATION
"""Statements after which a session isn't cached any more, unless `asked` knows better."""


class Level(enum.Enum):
    """What reads see."""

    CURRENT = "what is committed at each statement's start"
    """READ COMMITTED; PostgreSQL's READ UNCOMMITTED is the same."""

    SNAPSHOT = "what was committed at the transaction's first read"
    """REPEATABLE READ; SQLite's transactions."""

    LATE_SNAPSHOT = "what was committed at some read of the transaction, which one can't be told"
    """MySQL's REPEATABLE READ: neither a write nor every SELECT takes the snapshot there."""

    SERIALIZABLE = "a snapshot, and the server has to know of every read"


MYSQL_LEVELS: Final = {
    "READ-COMMITTED": Level.CURRENT,
    "REPEATABLE-READ": Level.LATE_SNAPSHOT,
    "SERIALIZABLE": Level.SERIALIZABLE,
}
ALONE: Final = frozenset({Level.CURRENT, Level.SNAPSHOT, Level.LATE_SNAPSHOT})
"""Where a SELECT in autocommit may be answered by whatever holds now."""

POSTGRESQL_LEVELS: Final = {
    "read uncommitted": Level.CURRENT,
    "read committed": Level.CURRENT,
    "repeatable read": Level.SNAPSHOT,
    "serializable": Level.SERIALIZABLE,
}


class TransactionView:
    """What the reads of a connection's open transaction see."""

    __slots__ = ("answered", "level", "time")

    def __init__(self) -> None:
        self.ended()

    def began(self, level: Level | None, time: int | None) -> None:
        """`time` is the clock before whatever made the driver send BEGIN (PROTOCOL 3.3)."""
        self.level = level
        self.time = time
        self.answered = False
        """Whether the database has answered a SELECT of this transaction: before, it has no
        snapshot (PROTOCOL 4.1)."""

    def ended(self) -> None:
        self.began(None, None)

    def went_on(self, flags: int) -> None:
        """A statement has left a transaction open. COMMIT AND CHAIN, or ROLLBACK; BEGIN: another
        one, begun unseen."""
        if flags & (_engine.BEGIN | _engine.COMMIT | _engine.ROLLBACK):
            self.level = None

    def hit_limit(self) -> int | None:
        """The latest stamp that a hit's cells may have; None: no hit."""
        if self.level is Level.CURRENT:
            return _engine.NO_LIMIT
        # PROTOCOL 4.2: a hit takes no predicate lock, so none when serializable.
        return self.time if self.level is Level.SNAPSHOT and self.answered else None

    def fill_time(self, now: int) -> int | None:
        """The clock to store a read under; None: don't store."""
        if self.level is Level.CURRENT:
            return now
        return None if self.level is None else self.time  # PROTOCOL 3.3


@dataclass(frozen=True, slots=True)
class Wish:
    """What a statement changes of isolation levels."""

    of_session: bool
    """Of transactions to come, or of the open one."""

    level: Level | None
    """None: as it is."""

    borrowed: bool = False
    """SET TRANSACTION SNAPSHOT: the snapshot is another transaction's, and of any age."""


def asked(session: DriverSession, driver: Any, text: str, flags: int) -> Wish | None:
    """What a statement of `LOSES_CACHE` asks of isolation levels, if that is certain and all that
    it asks.

    Otherwise the session isn't cached any more.
    """
    vendor = session.facts.vendor
    wish = None
    if not flags & (LOSES_CACHE & ~_engine.ISOLATION):
        wish = vendor.isolation_wish(text)
    if wish is not None and not wish.of_session:
        return wish
    if wish is None or vendor.in_transaction(driver) or vendor.will_begin(driver):
        # Also what is set for the session in a transaction: its rollback undoes it.
        session.off = "a statement changed what its queries mean; it is uncached until it closes"
        session.wild = session.wild or bool(flags & _engine.TEMP)
        return None
    return wish


def changed(session: DriverSession, driver: Any, view: TransactionView, wish: Wish) -> None:
    """After the statement."""
    if wish.of_session:
        session.level = wish.level or session.level
    elif wish.borrowed:
        view.level = None  # PROTOCOL 3.1: a snapshot of any age
    elif wish.level is not None and session.facts.vendor.in_transaction(driver):
        view.level = wish.level  # else the server has warned that it did nothing


_WHOSE: Final = (
    (re.compile(r"SET SESSION CHARACTERISTICS AS TRANSACTION (.*)"), True),
    (re.compile(r"SET (?:LOCAL )?TRANSACTION (.*)"), False),
    (re.compile(r"BEGIN(?: WORK| TRANSACTION)?((?: .*)?)"), False),
    (re.compile(r"START TRANSACTION((?: .*)?)"), False),
)
_SETTING: Final = re.compile(
    r"SET (?:SESSION )?DEFAULT_TRANSACTION_ISOLATION (?:TO|=) '([A-Z ]+)'", re.ASCII
)
_SNAPSHOT: Final = re.compile(r"SNAPSHOT '[0-9A-F-]+'", re.ASCII)
_MODE: Final = re.compile(
    r" ?,? ?(?:ISOLATION LEVEL (READ UNCOMMITTED|READ COMMITTED|REPEATABLE READ|SERIALIZABLE)"
    r"|READ ONLY|READ WRITE|(?:NOT )?DEFERRABLE)(?= |,|$)"
)


def postgresql_wish(sql: str) -> Wish | None:
    """What one whole statement asks for; None: that isn't certain."""
    text = " ".join(sql.replace("=", " = ").split()).upper().removesuffix(";").rstrip()
    if setting := _SETTING.fullmatch(text):
        level = POSTGRESQL_LEVELS.get(setting[1].lower())
        return None if level is None else Wish(True, level)
    for pattern, of_session in _WHOSE:
        if found := pattern.fullmatch(text):
            if not of_session and _SNAPSHOT.fullmatch(found[1]):
                return Wish(False, None, borrowed=True)
            return _modes(found[1], of_session)
    return None


def _modes(text: str, of_session: bool) -> Wish | None:
    levels: list[str] = []
    place = 0
    while place < len(text):
        mode = _MODE.match(text, place)
        if mode is None:
            return None
        levels += [mode[1]] if mode[1] else []
        place = mode.end()
    if len(levels) > 1:
        return None
    return Wish(of_session, POSTGRESQL_LEVELS[levels[0].lower()] if levels else None)
