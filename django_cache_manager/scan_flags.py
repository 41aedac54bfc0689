"""Kinds of statements, by the flags of `_engine.scan`."""

from __future__ import annotations

from typing import Final

from . import _engine

READ_ONLY: Final = _engine.READ | _engine.LOCKING | _engine.SYSTEM

CONFIGURES: Final = _engine.HARMLESS | _engine.ISOLATION | _engine.SESSION | _engine.SYSTEM
"""Sets the session up and writes nothing."""

ANY_TABLE: Final = (
    _engine.COMMIT
    | _engine.UNKNOWN
    | _engine.DDL
    | _engine.ATTACH
    | _engine.DATABASE
    | _engine.COPY_FROM
)
"""May write any table."""

CHANGES_SCHEMA: Final = _engine.UNKNOWN | _engine.DDL | _engine.ATTACH | _engine.DATABASE
"""May change what a write to a table touches besides it."""
