"""Keys: the SQL or the trace, its parameters or values, typed, with what else decides about the
rows.

Whatever makes a key, it is bytes, and equal bytes mean equal SQL and parameters.
"""

from __future__ import annotations

import datetime
import enum
import ipaddress
import zoneinfo
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.utils.safestring import SafeString

from . import _engine
from ._engine import AGGREGATE, COUNT, EXISTS, FIRST, ITEMS, LAST, LEVEL, ONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .identity import Facts

__all__ = ("AGGREGATE", "COUNT", "EXISTS", "FIRST", "ITEMS", "LAST", "LEVEL", "ONE")
"""What a traced queryset is asked; of ONE, FIRST and LAST there is one item. LEVEL: of a prefetch,
its items and what is remembered of them."""

KIND_ROWS = 0
KIND_FIRST_ROW = 1
KIND_RAW = 2


DJANGO_SETTINGS: Final[dict[str, Any]] = object.__getattribute__(django_settings, "__dict__")
"""What LazySettings, which is slow to tell, was asked since the settings were changed last."""

_ADDRESSES: Final = (ipaddress.IPv4Address, ipaddress.IPv6Address)
"""What psycopg is given for GenericIPAddressField."""

_PSYCOPG2_JSON: Final = ("psycopg2._json.Json", "django.db.backends.postgresql.psycopg_any.Jsonb")


def sql_key(
    connection: BaseDatabaseWrapper,
    facts: Facts,
    sql: str,
    params: Sequence[Any],
    kind: int,
    columns: int | None,
) -> bytes:
    """The key of a statement's rows.

    `columns` is how many columns of each row are kept, None for all. Raises `_engine.Unencodable`
    for a parameter whose meaning to the driver can't be told from its bytes.
    """
    head = (kind, columns, *surroundings(connection, facts), sql)
    try:
        return _engine.encode_key((*head, *params))
    except _engine.Unencodable:
        return _engine.encode_key((*head, *(_plain(param) for param in params)))


def surroundings(connection: BaseDatabaseWrapper, facts: Facts) -> tuple[Any, ...]:
    """What decides about the rows beside the statement, and about what Django makes of them."""
    return (
        facts.user,
        connection.timezone_name,
        # PostgreSQL refuses some statements when the server binds the parameters.
        bool(connection.settings_dict["OPTIONS"].get("server_side_binding")),
        uses_time_zones(),
        # Packages for tenants set it, and lead each cursor to the tenant's schema.
        connection.__dict__.get("schema_name"),
    )


def uses_time_zones() -> bool:
    """USE_TZ."""
    known = DJANGO_SETTINGS.get("USE_TZ")
    return bool(django_settings.USE_TZ if known is None else known)


def trace_head(connection: BaseDatabaseWrapper, facts: Facts) -> bytes:
    """What the keys of a connection's traced querysets have in common.

    Raises `_engine.Unencodable`.
    """
    return _engine.encode_key((connection.alias, *surroundings(connection, facts)))


def trace_key(head: bytes, kind: int, number: int, values: tuple[Any, ...]) -> bytes:
    """The key of an answer of a traced queryset, in this process: `number` is its shape's.

    The engine makes the same (`engine_trace_key`).

    Raises `_engine.Unencodable`.
    """
    return _engine.encode_key((head, number, kind, *values))


def _plain(param: Any) -> Any:
    """A parameter of a known class that isn't plain, as a tagged tuple: never equal to a plain
    one's bytes."""
    kind = type(param)
    if kind is SafeString:
        return ("safe", str.__str__(param))
    if isinstance(param, enum.Enum) and isinstance(param, (str, int)):
        base: Any = str.__str__(param) if isinstance(param, str) else int(param)
        return ("enum", kind.__module__, kind.__qualname__, param.name, base)
    if kind.__module__ in ("psycopg.types.numeric", "psycopg._wrappers"):
        # Int4 and its like: numbers with the width the server is told.
        if isinstance(param, int):
            return ("psycopg", kind.__name__, int(param))
        if isinstance(param, float):
            return ("psycopg", kind.__name__, float(param))
    if kind.__module__ == "psycopg.types.json" and kind.__name__ in ("Json", "Jsonb"):
        dumped = param.dumps(param.obj) if param.dumps is not None else None
        if type(dumped) in (str, bytes):
            return ("psycopg", kind.__name__, dumped)
    if f"{kind.__module__}.{kind.__name__}" in _PSYCOPG2_JSON:
        dumped = param.dumps(param.adapted)
        if type(dumped) is str:
            return ("psycopg2", kind.__name__, dumped)
    if kind in _ADDRESSES:
        return ("address", kind.__name__, str(param))
    if kind is datetime.datetime and type(param.tzinfo) is zoneinfo.ZoneInfo:
        # The driver sends the wall clock and its distance from UTC.
        return ("zoned", param.tzinfo.key, param.replace(tzinfo=None), param.utcoffset())
    if kind in (list, tuple):
        return kind(_plain(item) for item in param)
    return param
