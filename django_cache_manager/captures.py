"""What the reads of a block of code were answered from, for those who want to remember it."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .identity import Facts
    from .results import Result
    from .segments import OpenSegment


@dataclass(slots=True)
class Captured:
    """One read whose result is valid for everybody."""

    facts: Facts
    segment: OpenSegment
    cells: bytes
    time: int
    result: Result | None = None
    """None: it was answered by what is remembered already."""
    rows: list[Any] | None = None
    """Converted, once they are."""
    copies: bool = False
    items: Callable[..., list[Any]] | None = None
    """What makes the queryset's items of such rows."""


class _Here(threading.local):
    """This thread's captures, the innermost; None: nobody listens."""

    found: list[Captured | None] | None = None


_here = _Here()


def is_listened_to() -> bool:
    return _here.found is not None


def note(captured: Captured | None) -> None:
    """Tells of a read; None: one that can't be remembered."""
    if _here.found is not None:
        _here.found.append(captured)


def note_result(facts: Facts, segment: OpenSegment, result: Result) -> None:
    if _here.found is not None:
        _here.found.append(Captured(facts, segment, result.cells, result.time, result))


def note_items(result: Result, rows: list[Any], copies: bool, items: Callable[..., Any]) -> None:
    """Tells what the rows of a read became."""
    for captured in _here.found or ():
        if captured is not None and captured.result is result:
            captured.rows, captured.copies, captured.items = rows, copies, items


@contextlib.contextmanager
def capturing() -> Iterator[list[Captured | None]]:
    """The reads of the block, outer blocks' too."""
    outer = _here.found
    found: list[Captured | None] = []
    _here.found = found
    try:
        yield found
    finally:
        _here.found = outer
        if outer is not None:
            outer += found
