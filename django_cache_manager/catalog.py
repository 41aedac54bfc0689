"""What a database's own catalog says of its tables: which may be cached, and what a write to one
touches besides it.

PROTOCOL section 2 rule 8. Read once per value of the database's cell; here foreign keys that
cascade in the database are followed, and everything else that makes one table's write another's
(triggers, rules, inheritance, partitions) writes the database's cell unless TRIGGERS declares it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Catalog:
    """Names are the last part of a table's name, ASCII case folded, as `_engine.scan` gives
    them."""

    tables: frozenset[str]
    """Base tables whose rows change by writes to them alone."""

    refused: Mapping[str, str]
    """What may not be cached, and why: views, foreign tables, row-level security, ..."""

    cascades: Mapping[str, frozenset[str]]
    """Tables that a write to this one changes by foreign keys of the database, directly."""

    triggered: Mapping[str, str]
    """Tables whose write may touch anything, and why."""

    suspect_functions: frozenset[str] | None = field(default=None)
    """Functions that may write when a SELECT calls them; None: none can."""
    suspect_views: frozenset[str] = frozenset()
    """Views that may call such functions; MySQL's."""

    partial: bool = False
    """Whether the database may have tables that aren't listed: a write to one may touch
    anything."""
    closures: dict[tuple[str, ...], frozenset[str] | None] = field(
        default_factory=dict, compare=False
    )
    """closure() remembered, by the tables written, for as long as TRIGGERS says the same."""

    def closure(
        self, tables: Iterable[str], triggers: Mapping[str, tuple[str, ...]]
    ) -> frozenset[str] | None:
        """All tables that a write to `tables` may change; None: may be anything."""
        found: set[str] = set()
        waiting = list(tables)
        while waiting:
            table = waiting.pop()
            if table in found:
                continue
            found.add(table)
            waiting.extend(self.cascades.get(table, ()))
            if table in triggers:
                waiting.extend(triggers[table])
            elif table in self.triggered or (self.partial and not self._lists(table)):
                return None
        return frozenset(found)

    def _lists(self, table: str) -> bool:
        return table in self.tables or table in self.refused


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def ascii_lower(name: str) -> str:
    """Lower case for A to Z only, as the scanner folds: other letters are left as they are."""
    return name.lower() if name.isascii() else name.translate(_LOWER)
