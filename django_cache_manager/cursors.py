"""A driver's cursor whose rows have already been fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class BufferedCursor:
    """Hands out the rows of a writing statement that was run to its end (PROTOCOL 2.1); for the
    rest, the driver's."""

    def __init__(self, driver_cursor: Any, rows: list[Any]) -> None:
        self.driver_cursor = driver_cursor
        self._rows = iter(rows)

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        wanted = self.driver_cursor.arraysize if size is None else size
        return [row for _, row in zip(range(wanted), self._rows, strict=False)]

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver_cursor, name)
