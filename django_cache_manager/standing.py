"""A connection's standing: what the last look round has found, while all of it is as it was.

`reads.place_of` and `ConnectionState.hit_limit` ask many objects before each hit. Between the reads
of a connection in autocommit their answers stay the same, and so does what they are made of: the
engine compares that alone (`ext/standing.c`). Whatever is otherwise, there is no standing, and
everything is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _engine, conf, keys, policy
from .reads import ENSURE_CONNECTION

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .connection_state import ConnectionState
    from .identity import Facts
    from .segments import OpenSegment


def note(
    connection: BaseDatabaseWrapper,
    state: ConnectionState,
    facts: Facts,
    segment: OpenSegment,
    head: bytes,
) -> None:
    """Remembers what a look has found, if the next may find the same: of a connection whose next
    statement is in no transaction anything that holds may be hit (PROTOCOL 4)."""
    driver, session, vendor = state.driver, state.session, state.vendor
    if (
        driver is None
        or session is None
        or facts.private  # a fork has its own
        or type(connection).ensure_connection is not ENSURE_CONNECTION
        or not vendor.in_autocommit(driver)
    ):
        return
    own = connection.__dict__
    own["_cache_manager_standing"] = _engine.Standing(
        segment=segment.engine,
        head=head,
        state=state,
        driver=driver,
        session=session,
        level=state.next_level(),
        idle=vendor.idle_attribute,
        in_autocommit=vendor.in_autocommit,
        next_level=None if vendor.level_is_the_sessions else vendor.next_level,
        ensure_connection=ENSURE_CONNECTION,
        settings=conf.current(),
        settings_now=vars(conf),
        use_tz=keys.DJANGO_SETTINGS.get("USE_TZ"),
        django_settings=keys.DJANGO_SETTINGS,
        time_zone=own.get("timezone_name"),
        schema=own.get("schema_name"),
        uncached_depth=policy.uncached_depth,
    )
