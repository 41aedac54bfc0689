"""What goes wrong at the driver: statements and commits that take longer, and deaths between them.

The backends of `engines/` call these functions around every statement and commit, below the
package's own hooks, so what happens here lies between a mark and its statement, or between a commit
and its settling.
"""

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

FAILPOINT = "PROVE_FAILPOINT"
"""Of this file: "NAME=COUNT" kills the process at the COUNTth pass of `sent`, `executed`, `before-
commit`, `committed`."""

SELECTS = ("SELECT", "DECLARE", "FETCH")
LONGEST_SLEEPER_SECONDS = 0.4


class Statements(threading.local):
    count = 0


class Faults:
    """One process's. Everything is off until `arm`."""

    def __init__(self) -> None:
        self.statements = Statements()
        """How many statements this thread's drivers were given: a read that adds none is a hit."""
        self.random = random.Random(0)
        self.slow_store = 0.0
        self.slow_write = 0.0
        self.cut = 0.0
        self.sleeper = 0.0
        """The share of writes during which a process is forked that does nothing but live."""
        self.point = ""
        self.passes_left = 0

    def choose_point(self) -> None:
        """Where this process is to die, if anywhere."""
        name, _, count = os.environ.get(FAILPOINT, "").partition("=")
        self.point = name
        self.passes_left = int(count or 0)

    def arm(self, seed: str, **shares: float) -> None:
        """Sets the shares that are given, the others to none."""
        self.random = random.Random(seed)
        for name in ("slow_store", "slow_write", "sleeper", "cut"):
            setattr(self, name, shares.get(name, 0.0))

    def _pass(self, name: str) -> None:
        if name == self.point:
            self.passes_left -= 1
            if self.passes_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def _maybe_sleep(self, share: float, longest: float) -> None:
        if share and self.random.random() < share:
            time.sleep(self.random.random() * longest)

    def _maybe_fork(self) -> None:
        """A child that inherits everything and touches nothing: what it holds must not count as
        ours."""
        if self.sleeper and self.random.random() < self.sleeper:
            seconds = self.random.random() * LONGEST_SLEEPER_SECONDS
            # Python takes locks around it (logging's), which an error raised in there by a signal's
            # handler would leave held.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            try:
                if os.fork() == 0:
                    time.sleep(seconds)
                    os._exit(0)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @contextlib.contextmanager
    def cutting(self, descriptor: int, sql: Any = None) -> Iterator[None]:
        """Perhaps cuts the connection of this socket while the block runs a write or a commit."""
        if not self.cut or is_select(sql) or self.random.random() >= self.cut:
            yield
            return
        connection = socket.socket(fileno=os.dup(descriptor))
        timer = threading.Timer(self.random.random() * 0.1, connection.shutdown, [socket.SHUT_RDWR])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            connection.close()

    def statement(self, sql: Any, call: Callable[[], Any]) -> Any:
        self.statements.count += 1
        if is_select(sql):
            result = call()
            self._maybe_sleep(self.slow_store, 0.03)
            return result
        self._pass("sent")
        self._maybe_sleep(self.slow_write, 0.01)
        self._maybe_fork()
        result = call()
        self._pass("executed")
        self._maybe_sleep(self.slow_write, 0.02)
        return result

    def fetch(self, call: Callable[[], Any]) -> Any:
        """Of a writing statement's rows: SQLite commits with the last of them."""
        self._maybe_sleep(self.slow_write, 0.02)
        return call()

    def commit(self, call: Callable[[], Any]) -> Any:
        self._pass("before-commit")
        self._maybe_sleep(self.slow_write, 0.01)
        self._maybe_fork()
        result = call()
        self._pass("committed")
        self._maybe_sleep(self.slow_write, 0.03)
        return result


def is_select(sql: Any) -> bool:
    return isinstance(sql, str) and sql.lstrip()[:7].upper().startswith(SELECTS)


faults = Faults()
