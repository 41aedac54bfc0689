"""What a statement may write, as far as its text and the catalog tell (PROTOCOL 2.2, 2.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import _engine, sql_functions
from .scan_flags import ANY_TABLE, CHANGES_SCHEMA, READ_ONLY

if TYPE_CHECKING:
    from .connection_state import ConnectionState
    from .segments import OpenSegment

EVERYTHING: Final = None
"""Stands for "may be any table" where a set of tables is meant."""


def write_nothing(state: ConnectionState, scan: _engine.Scan) -> bool:
    """Whether the functions that a statement calls write no row, those in MySQL's views included
    (PROTOCOL 2.8)."""
    vendor = state.vendor
    views = vendor.dialect == _engine.MYSQL
    if vendor.dialect == _engine.SQLITE or state.session is None:
        return True
    if not scan.functions and not (views and scan.reads):
        return True
    catalog, segment = None, state.segment()
    if segment is not None:
        catalog = segment.current_catalog()
        free = not vendor.in_transaction(state.driver)
        if catalog is None and free and not vendor.will_begin(state.driver):
            catalog = segment.read_catalog(state.driver)
    if views and catalog is not None and not catalog.suspect_views.isdisjoint(scan.reads):
        return False
    suspect = None if catalog is None else catalog.suspect_functions
    return sql_functions.write_nothing(scan.functions, suspect, vendor.dialect)


def written(
    state: ConnectionState, scan: _engine.Scan, segment: OpenSegment | None
) -> frozenset[str] | None:
    """The closure of what a statement may write; None: anything."""
    wild = state.session is not None and state.session.wild
    if scan.flags & ANY_TABLE or not scan.flags & ~READ_ONLY or (wild and scan.writes):
        return EVERYTHING
    if not write_nothing(state, scan):
        return EVERYTHING
    if not scan.writes:
        return EVERYTHING if scan.flags & _engine.WRITE else frozenset()
    return EVERYTHING if segment is None else segment.written(scan.writes)


def widened(
    tables: frozenset[str] | None, segment: OpenSegment | None, looked: int
) -> frozenset[str] | None:
    """EVERYTHING, if the catalog of `looked`, which `tables` are from, holds no longer."""
    if not tables or segment is None or segment.engine.valid(_engine.DATABASE_CELL, looked):
        return tables
    return EVERYTHING


def may_change_schema(state: ConnectionState, scan: _engine.Scan) -> bool:
    """Whether a statement that may write everything may also make a trigger or its like."""
    return (
        bool(scan.flags & CHANGES_SCHEMA)
        or not scan.flags & ~READ_ONLY
        or (bool(scan.flags & _engine.WRITE) and not scan.writes)
        or not write_nothing(state, scan)
    )
