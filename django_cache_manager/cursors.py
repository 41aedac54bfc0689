"""The driver's cursor behind Django's wrapper: its text, its answer, and one whose rows have been
fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from weakref import WeakSet

    from django.db.backends.utils import CursorWrapper


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


def text_of(wrapper: CursorWrapper, sql: Any) -> str:
    """The SQL that a driver makes of what its cursor is given."""
    if isinstance(sql, str):
        return str.__str__(sql)
    if isinstance(sql, bytes):
        return sql.decode(errors="replace")
    if hasattr(sql, "as_string"):  # psycopg.sql.Composable
        return str(sql.as_string(wrapper.db.connection))
    return ";"  # not SQL that we know: the scanner says unknown


def answer(wrapper: CursorWrapper, result: Any) -> Any:
    """Drivers return their cursor; the wrapper takes its place, so that a chained call is still
    seen."""
    cursor = wrapper.cursor
    if result is cursor or (isinstance(cursor, BufferedCursor) and result is cursor.driver_cursor):
        return wrapper
    return result


def fetching(
    unfinished: WeakSet[Any], wrapper: CursorWrapper, name: str, fetch: Callable[..., Any]
) -> Any:
    """A fetch or close of a cursor whose SELECT may be unfinished (SQLite), which it may finish;
    others pass (PROTOCOL 3.1)."""
    if not unfinished or wrapper not in unfinished:
        return fetch

    def tracked(*args: Any, **kwargs: Any) -> Any:
        result = fetch(*args, **kwargs)
        if name in ("close", "fetchall") or not result:
            unfinished.discard(wrapper)
        return result

    return tracked


def await_the_rest(wrapper: CursorWrapper) -> None:
    """PROTOCOL 2.1: MySQL runs the further statements of a string while the first is answered; they
    are over when their answers are read."""
    with wrapper.db.wrap_database_errors:
        wrapper.cursor = BufferedAnswers(wrapper.cursor)


class BufferedAnswers(BufferedCursor):
    """The answers to a string of statements, all read (PROTOCOL 2.1): nextset() goes on to the
    next, as the driver's does."""

    def __init__(self, driver_cursor: Any) -> None:
        self._waiting: list[tuple[dict[str, Any], list[Any]]] = []
        while True:
            told = {name: getattr(driver_cursor, name) for name in _TOLD}
            rows = list(driver_cursor.fetchall()) if told["description"] else []
            self._waiting.append((told, rows))
            if not driver_cursor.nextset():
                break
        super().__init__(driver_cursor, [])
        self.nextset()

    def nextset(self) -> int | None:
        if not self._waiting:
            return None
        told, rows = self._waiting.pop(0)
        self.__dict__.update(told)
        self._rows = iter(rows)
        return 1


_TOLD = ("description", "rowcount", "lastrowid")


class _UnknownScan:
    """Stands for a call that isn't SQL."""

    flags = _engine.UNKNOWN
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()


UNKNOWN_SCAN: Any = _UnknownScan()
