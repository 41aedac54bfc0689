"""The history of a run: one file a process life, one JSON array a line, in the order of that
process's clock.

Every line is written by one system call before the process goes on, so it outlives SIGKILL. Times
are CLOCK_MONOTONIC in nanoseconds, one clock for all processes. The lines:

    ["B", time, op, [[register, token], ...]]            a write was called
    ["C", time, op, [token, ...]]                        its commit begins; these tokens are in it
    ["A", time, op, [[register, token, version], ...]]   it is acknowledged; version null: not told
    ["X", time, op, [token, ...]]                        these tokens were rolled back
    ["R", call, return, kind, context, hit, began, [[register, least, greatest, token], ...]]   a
    read
    ["V", time, rule, text]                              the process itself saw a violation
    ["N", time, what]                                    for the reader of a history

A read says that a register's version lies between `least` and `greatest`; `token` is null where the
read shows none. `context` is "auto", "block" (READ COMMITTED) or "snapshot"; `began` is when its
transaction was entered. What a transaction reads of its own uncommitted writes is not in it: the
process judges that itself.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

GREATEST = 2**62
"""Stands for "any version" at the upper end."""

now = time.monotonic_ns


class Log:
    """Appends to a file of its own; a forked child opens another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def line(self, *fields: Any) -> None:
        os.write(self._file, json.dumps(fields, separators=(",", ":")).encode() + b"\n")

    def called(self, op: str, steps: Iterable[tuple[str, str]]) -> None:
        self.line("B", now(), op, list(steps))

    def commits(self, op: str, tokens: Iterable[str]) -> None:
        self.line("C", now(), op, list(tokens))

    def acknowledged(self, op: str, steps: Iterable[tuple[str, str, int | None]]) -> None:
        self.line("A", now(), op, list(steps))

    def rolled_back(self, op: str, tokens: Iterable[str]) -> None:
        self.line("X", now(), op, list(tokens))

    def violation(self, rule: str, text: str) -> None:
        self.line("V", now(), rule, text)

    def note(self, what: str) -> None:
        self.line("N", now(), what)


def read(folder: Path) -> Iterator[tuple[str, list[Any]]]:
    """The lines of all files, each with its file's name. A last line that a kill cut short is left
    out."""
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield path.stem, json.loads(line)
