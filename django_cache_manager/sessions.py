"""What is known of the driver's connections, each until it closes (PROTOCOL section 5)."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from . import _engine
from .identity import Facts, Vendor
from .scan_flags import READ_ONLY

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .isolation import Level

ASK_AGAIN_SECONDS: Final = 1.0
"""How long a server that didn't tell what it is isn't asked again."""

_UNABLE: Final = (_engine.SegmentError, OSError, LookupError, TypeError, ValueError)
"""What asking may fail with, beside the driver's errors. A time limit that the application raises
from a signal is not ours to swallow."""

logger = logging.getLogger("django_cache_manager")


@dataclass(slots=True)
class DriverSession:
    """One connection object of the driver; pools hand it round."""

    facts: Facts
    off: str | None = None
    """Why caching is off on it for good."""
    wild: bool = False
    """Temporary triggers may make a write to one table a write to any."""
    attached: list[Facts] = field(default_factory=list)
    asked_at: float = field(default_factory=time.monotonic)
    doubtful: bool = False
    """Whether a statement that isn't understood may have set it up otherwise since it was asked."""
    asked_again: bool = False
    settings: tuple[str, str] = ("", "")
    """Of the alias that it was opened for."""
    level: Level = field(init=False)
    """Of the transactions to come, unless the driver or SQL asks for another."""

    def __post_init__(self) -> None:
        self.level = self.facts.level

    def why_off(self) -> str | None:
        """Why it isn't cached now, beside what it told."""
        doubt = "a statement that isn't understood may have changed what its queries mean"
        return self.off or (doubt if self.doubtful else None)

    def is_changed(self) -> bool:
        """Whether it isn't any more what the server told of it."""
        changed = self.level is not self.facts.level or self.asked_again
        return changed or self.why_off() is not None

    def doubt(self, flags: int) -> None:
        """A block, a procedure or a function of the user's may SET what it likes."""
        if flags & _engine.UNKNOWN or not flags & ~READ_ONLY:
            self.doubtful = self.doubtful or not self.facts.vendor.drains

    def is_known(self, driver: Any) -> bool:
        """A server that didn't tell is asked again, now and then; one that may have been told
        otherwise, at once."""
        if self.doubtful:
            return self.facts.vendor.pipelined(driver)
        return bool(self.facts.family) or self.is_recent()

    def is_recent(self) -> bool:
        return time.monotonic() < self.asked_at + ASK_AGAIN_SECONDS


_sessions: weakref.WeakKeyDictionary[Any, DriverSession] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _forked() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forked)
_last_known: dict[tuple[str, str], Facts] = {}


def session_of(vendor: Vendor, connection: BaseDatabaseWrapper, driver: Any) -> DriverSession:
    """The session of a driver's connection, asking the server when it is new."""
    session = None
    # SQLite's connections can't be keys, and aren't pooled.
    with contextlib.suppress(TypeError):
        session = _sessions.get(driver)
    if session is None or session.doubtful:
        known, session = session, _identify(vendor, connection, driver)
        if not session.facts.family:
            return session
        if known is not None:
            session.off, session.wild, session.attached = known.off, known.wild, known.attached
            session.asked_again = True
        session.settings = _settings_key(connection)
        with contextlib.suppress(TypeError), _lock:
            _sessions[driver] = session
    if not session.asked_again:  # what was made of one session is no other's
        _last_known[_settings_key(connection)] = session.facts
    return session


def _identify(vendor: Vendor, connection: BaseDatabaseWrapper, driver: Any) -> DriverSession:
    in_transaction = vendor.in_transaction(driver)
    try:
        session = DriverSession(vendor.identify(connection, driver))
        if vendor.drains and session.facts.uncached is not None:
            # SQLite, whose OPTIONS may have prepared it
            session.attached = vendor.attached(driver)  # type: ignore[attr-defined]
            session.wild = vendor.has_temporary(driver)  # type: ignore[attr-defined]
        return session
    except (connection.Database.Error, *_UNABLE) as error:
        logger.warning(
            "the database %r didn't tell what it is, so it is not cached: %s",
            connection.alias,
            error,
        )
        reason = f"it didn't tell what it is: {error}"
        return DriverSession(Facts(vendor, b"", b"", uncached=reason))
    finally:
        if vendor.in_transaction(driver) and not in_transaction:
            driver.rollback()  # with autocommit off our own question opened one


def last_known(connection: BaseDatabaseWrapper) -> Facts | None:
    """What connections with these settings were told last; None: the next may be another's."""
    key = _settings_key(connection)
    if connection.settings_dict["OPTIONS"].get("pool"):
        # The driver's pool may hand out a connection that somebody has set up otherwise.
        with _lock:
            pooled = [session for session in _sessions.values() if session.settings == key]
        if any(session.is_changed() for session in pooled):
            return None
    return _last_known.get(key)


def known_by(connection: BaseDatabaseWrapper) -> tuple[dict[tuple[str, str], Facts], Any]:
    """Where the answer of last_known() stands without a pool: a dict, and the key in it."""
    return _last_known, _settings_key(connection)


KEY_SETTINGS: Final = ("ENGINE", "HOST", "PORT", "NAME", "USER", "OPTIONS")


def _settings_key(connection: BaseDatabaseWrapper) -> tuple[str, str]:
    settings = connection.settings_dict
    return connection.alias, repr([settings.get(name) for name in KEY_SETTINGS])
