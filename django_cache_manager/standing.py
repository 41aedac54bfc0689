"""A connection's standing: what the last look round has found, while all of it is as it was.

`reads.place_of` and `ConnectionState.hit_limit` ask many objects before each hit. Between the reads
of a connection in autocommit their answers stay the same, and so does what they are made of: the
engine compares that alone (`ext/standing.c`). Whatever is otherwise, there is no standing, and
everything is asked. Of a connection that isn't open, as Django leaves them after each request,
there is one of its own (`ext/unopened.c`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

from . import _engine, conf, keys, policy, sessions
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
        facts.private  # a fork has its own
        or type(connection).ensure_connection is not ENSURE_CONNECTION
        or (driver is None) is not (session is None)
        or not (driver is None or vendor.in_autocommit(driver))
    ):
        return
    unopened = _unopened(connection, facts) if driver is None else None
    if driver is None and unopened is None:
        return
    own = connection.__dict__
    name = "_cache_manager_unopened" if driver is None else "_cache_manager_standing"
    own[name] = _engine.Standing(
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
        unopened=unopened,
    )


def _unopened(connection: BaseDatabaseWrapper, facts: Facts) -> _engine.Unopened | None:
    """What has to stay as it is for a connection that isn't open to lead where `facts` say; None:
    more than can be compared."""
    settings: dict[str, Any] = connection.settings_dict
    options = settings.get("OPTIONS")
    if type(settings) is not dict or type(options) is not dict:
        return None
    if options.get("pool") or not all(_is_plain(each) for each in options.values()):
        return None
    last_known, key = sessions.known_by(connection)
    file = facts.vendor.file_of(connection, facts)
    if file is None:
        return None
    path, identity = file
    return _engine.Unopened(
        settings=settings,
        wanted={name: settings.get(name) for name in _WANTED if name in settings},
        options=dict(options),
        last_known=last_known,
        key=key,
        facts=facts,
        path=path,
        file=identity,
    )


_WANTED: Final = (*sessions.KEY_SETTINGS, "AUTOCOMMIT")


def _is_plain(value: Any) -> bool:
    """Whether a value of OPTIONS can't be changed in place."""
    return type(value) in (str, int, float, bool, type(None)) or isinstance(value, enum.Enum)
