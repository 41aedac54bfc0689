"""A connection's standing: what the last look round has found, while all of it is as it was.

`reads.place_of` and `ConnectionState.hit_limit` ask many objects before each hit. Between the reads
of a connection in autocommit their answers stay the same, and so does what they are made of: `of`
compares that alone. Whatever is otherwise, there is no standing, and everything is asked.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any, Final

from . import conf, keys, policy
from .reads import ENSURE_CONNECTION

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .connection_state import ConnectionState
    from .identity import Facts
    from .segments import OpenSegment

_ATTRIBUTE: Final = "_cache_manager_standing"


class Standing:
    """Of a connection whose next statement is in no transaction: anything that holds may be hit
    (PROTOCOL 4)."""

    __slots__ = (
        "driver",
        "facts",
        "head",
        "in_autocommit",
        "level",
        "next_level",
        "schema",
        "segment",
        "session",
        "settings",
        "state",
        "time_zone",
        "use_tz",
    )

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        state: ConnectionState,
        facts: Facts,
        segment: OpenSegment,
        head: bytes,
    ) -> None:
        own = connection.__dict__
        self.head = head
        self.state = state
        self.driver = state.driver
        self.session = state.session
        self.facts = facts
        self.segment = segment
        self.settings = conf.current()
        self.in_autocommit = state.vendor.in_autocommit
        self.next_level = state.vendor.next_level
        self.level = state.next_level()
        self.time_zone = own.get("timezone_name")
        self.schema = own.get("schema_name")
        self.use_tz = keys.DJANGO_SETTINGS.get("USE_TZ")


def of(connection: BaseDatabaseWrapper) -> Standing | None:
    """A connection's standing, if it is as it was. Not for an event loop's thread."""
    own = connection.__dict__
    known: Standing | None = own.get(_ATTRIBUTE)
    if known is None:
        return None
    driver: Any = own["connection"]
    state, session = known.state, known.session
    if (
        driver is not known.driver
        or state.driver is not driver
        or state.session is not session
        or session is None
        or session.doubtful
        or session.off is not None
        or state.errored
        or state.dirty is None
        or state.dirty
        or own["needs_rollback"]
        or "cursor" in own
        or own.get("timezone_name") is not known.time_zone
        or own.get("schema_name") is not known.schema
        or own["_thread_ident"] != get_ident()
        or type(connection).ensure_connection is not ENSURE_CONNECTION
        or conf.current() is not known.settings
        or keys.DJANGO_SETTINGS.get("USE_TZ") is not known.use_tz
        or policy.uncached_depth.get()
        or not known.in_autocommit(driver)
        or known.next_level(driver, session.level) is not known.level
    ):
        return None
    return known


def note(
    connection: BaseDatabaseWrapper,
    state: ConnectionState,
    facts: Facts,
    segment: OpenSegment,
    head: bytes,
) -> None:
    """Remembers what a look has found, if the next may find the same."""
    driver = state.driver
    if (
        driver is not None
        and state.session is not None
        and not facts.private  # a fork has its own
        and type(connection).ensure_connection is ENSURE_CONNECTION
        and state.vendor.in_autocommit(driver)
    ):
        connection.__dict__[_ATTRIBUTE] = Standing(connection, state, facts, segment, head)


def forget(connection: BaseDatabaseWrapper) -> None:
    """Another segment has taken the place of the one it knows."""
    connection.__dict__.pop(_ATTRIBUTE, None)
