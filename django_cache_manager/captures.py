"""What the reads of a block of code were answered from, for those who want to remember it."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from django.db.models.sql.compiler import SQLCompiler

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


class Compiled(NamedTuple):
    """A statement that Django has compiled."""

    compiler: SQLCompiler
    text: str
    parameters: Sequence[Any]


class Captures(list["Captured | None"]):
    """Of one block: its reads, and what was compiled for them."""

    def __init__(self) -> None:
        super().__init__()
        self.compiled: list[Compiled] = []


class Here(threading.local):
    """This thread's captures, the innermost; None: nobody listens."""

    found: Captures | None = None


here = Here()
"""Looked at before what costs something is made for `note`."""


def note(captured: Captured | None) -> None:
    """Tells of a read; None: one that can't be remembered."""
    if here.found is not None:
        here.found.append(captured)


def note_result(facts: Facts, segment: OpenSegment, result: Result) -> None:
    if here.found is not None:
        here.found.append(Captured(facts, segment, result.cells, result.time, result))


def note_compiled(compiler: SQLCompiler, text: str, parameters: Sequence[Any]) -> None:
    if here.found is not None:
        here.found.compiled.append(Compiled(compiler, text, parameters))


def note_items(result: Result, rows: list[Any], copies: bool, items: Callable[..., Any]) -> None:
    """Tells what the rows of a read became."""
    for captured in here.found or ():
        if captured is not None and captured.result is result:
            captured.rows, captured.copies, captured.items = rows, copies, items


@contextlib.contextmanager
def capturing() -> Iterator[Captures]:
    """The reads of the block, outer blocks' too."""
    outer = here.found
    found = Captures()
    here.found = found
    try:
        yield found
    finally:
        here.found = outer
        if outer is not None:
            outer += found
