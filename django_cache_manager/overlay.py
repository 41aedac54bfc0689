"""A connection's private cache for reads of what its open transaction has written (PROTOCOL
4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .results import Result

MAX_BYTES: Final = 4 * 1024 * 1024
"""Bytes of results a transaction may keep; past them it starts again."""


class Overlay:
    """Bounded; emptied whole rather than entry by entry, for a transaction is short."""

    __slots__ = ("_bytes", "_results")

    def __init__(self) -> None:
        self._results: dict[bytes, Result] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._results)

    def get(self, key: bytes) -> Result | None:
        # Hit: whoever asks checks the cells, for others may have written them too (PROTOCOL 4.3).
        return self._results.get(key)

    def put(self, key: bytes, result: Result) -> None:
        if result.size > MAX_BYTES:
            return
        if self._bytes + result.size > MAX_BYTES:
            self.clear()
        self._results[key] = result
        self._bytes += result.size

    def drop(self, cells: bytes) -> None:
        """Forgets what depends on any of these cells: before W2, at each own write to them."""
        if self._results:
            written = set(memoryview(cells).cast("I"))
            for key, result in list(self._results.items()):
                if not written.isdisjoint(memoryview(result.cells).cast("I")):
                    del self._results[key]

    def clear(self) -> None:
        if self._results:
            self._results = {}
        self._bytes = 0
