"""One process of a run: `python -P -m tests.consistency.worker prepare | verify | zygote
DESCRIPTOR`.

The plan is in PROVE_PLAN. Working processes are forked by the zygote.

A working process says "ready", runs operations until the deadline, says "done" on its output, waits
for a line, and then, while nobody writes, compares every cached read with the database.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import faulthandler
import fcntl
import gc
import itertools
import logging
import os
import random
import select
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

from tests.consistency import plan as plans
from tests.consistency.faults import faults
from tests.consistency.history import Log, now

if TYPE_CHECKING:
    from tests.consistency.operations import Operations

DEADLINE = "deadline"
"""The file in the run's folder that says when to end. It appears when the first processes are
there."""
PIPES = "PROVE_PIPES"
"""File descriptors: this process's reading end, then everybody's writing ends."""

WITHOUT_L1 = "PROVE_WITHOUT_L1"
"""Set for processes that are to meet every entry in the segment."""

FILLERS = 400
ALL_AT_ONCE = 8
CHILD_STEPS = 40
CHILD_SECONDS = 45.0
SETTLE_SECONDS = 15.0
PR_SET_PDEATHSIG = 1


class HandOff:
    """Pipes on which processes tell each other of a commit. A full pipe loses the message, never
    blocks."""

    def __init__(self, seed: str) -> None:
        self.own, *self.others = (int(number) for number in os.environ[PIPES].split(","))
        self.random = random.Random(seed)

    def tell(self, register: str) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self.random.choice(self.others), register.encode() + b"\n")

    def told(self, wait: float) -> list[str]:
        ready, _, _ = select.select([self.own], [], [], wait)
        if not ready:
            return []
        try:
            return os.read(self.own, 512).decode().split()
        except BlockingIOError:  # somebody else of ours was faster: a forked child shares the pipe
            return []


class Worker:
    def __init__(
        self, plan: plans.Plan, name: str, deadline: int, without: tuple[str, ...] = ()
    ) -> None:
        """`without`: nemeses that this worker is not to meet."""
        from tests.consistency.operations import Operations

        self.whole = plan
        self.without = without
        self.plan = plan
        self.turn = -1
        self.name = name
        self.hand_off = HandOff(name)
        log = Log(plan.path("history", f"{name}.jsonl"))
        self.operations: Operations = Operations(plan, name, log, self.hand_off.tell)
        self.random = self.operations.random
        self.deadline = deadline
        self.children = 0
        # SQLite forbids to fork with a connection open, as another thread's may be.
        self.has_threads = plan.has("threads") and int(name[1 : name.index(".")]) % 2 == 1
        self._take_turn()

    def _take_turn(self) -> None:
        """Goes over to the nemeses whose turn it is."""
        number, nemeses = self.whole.turn(self.deadline, now())
        if number == self.turn:
            return
        self.turn = number
        nemeses = tuple(one for one in nemeses if one not in self.without)
        self.plan = self.operations.plan = dataclasses.replace(self.whole, nemeses=nemeses)
        # Together with everything else long marks would leave no hits to judge.
        slow_write = 0.3 if len(nemeses) < ALL_AT_ONCE else 0.1
        faults.arm(
            f"{self.name} {number}",
            slow_store=0.03 if self.plan.has("slow-store") else 0.0,
            slow_write=slow_write if self.plan.has("slow-write") else 0.0,
            sleeper=0.01 if self.plan.has("fork") and not self.has_threads else 0.0,
            cut=0.3 if self.plan.has("cut") else 0.0,
        )

    def work(self, steps: float = float("inf")) -> None:
        """Operations until the deadline, or so many."""
        while now() < self.deadline and steps > 0:
            steps -= 1
            self._take_turn()
            try:
                self._answer(self.random.random() < 0.02)
                if self.plan.has("interrupt") and self.random.random() < 0.06:
                    self._interrupted_step()
                else:
                    self._step()
            except Exception as error:
                self._failed(error)

    def work_twice(self) -> None:
        """As `work`, in two threads."""
        other = threading.Thread(target=self._work_in_thread)
        other.start()
        self.work()
        other.join()

    def _work_in_thread(self) -> None:
        from django.db import connections

        Worker(self.whole, f"{self.name}t", self.deadline, ("fork", "interrupt")).work()
        connections.close_all()

    def _interrupted_step(self) -> None:
        from tests.consistency.operations import Interrupted

        def ring(number: int, frame: object) -> None:
            raise Interrupted

        signal.signal(signal.SIGALRM, ring)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0001 + self.random.random() ** 2 * 0.03)
            self._step()
        except Exception as error:
            # Also what Django and asyncio make of it when they are cut off half-way.
            raise Interrupted from error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _failed(self, error: Exception) -> None:
        """Databases under fire raise errors of their own; any other is a defect of package or
        checker."""
        from django.db import Error

        from django_cache_manager import policy
        from tests.consistency.operations import Interrupted

        # Django closes a server-side cursor without making the driver's error its own.
        theirs = type(error).__module__.partition(".")[0] in ("psycopg", "MySQLdb")
        if isinstance(error, (Error, Interrupted)) or theirs:
            policy.uncached_depth.set(0)  # the end of an uncached() block may have been cut off
            self.operations.log.note(f"failed: {error!r:.300}")
        else:
            text = "".join(traceback.format_exception(error))
            self.operations.log.violation("raised", text)
        for alias in ("default", "second"):
            self.operations.heal(alias)

    def _answer(self, patient: bool) -> None:
        """Reads what others have just committed."""
        if not self.plan.has("hand-off"):
            return
        for register in set(self.hand_off.told(0.005 if patient else 0)):
            family, _, k = register.partition(":")
            if k in ("1", "2", "3") and family in self.plan.families:
                kind = self.operations.kind_of(family)
                self.operations.read(kind, self.random.choice(("default", "second")), int(k))

    def _step(self) -> None:
        operations, drawn = self.operations, self.random.random()
        if drawn < 0.25:
            operations.write()
        elif drawn < 0.35:
            operations.read_block()
        elif drawn < 0.38:
            family, k = operations.one()
            operations.truth(family, k, self.random.choice(("default", "second")))
        elif drawn < 0.42 and self.plan.has("evict"):
            from tests.consistency.reads import filler

            for _ in range(5):
                filler("default", self.random.randrange(FILLERS))
        elif drawn < 0.423 and self.plan.has("fork") and not self.has_threads:
            self._fork()
        else:
            operations.read_pages()

    def _fork(self) -> None:
        """A child that works on. Django asks that connections are closed before; what the package
        holds is not."""
        from django.db import connections

        signal.setitimer(signal.ITIMER_REAL, 0)  # nothing is raised in the middle of a fork
        connections.close_all()
        self._reap()
        if self.children >= 2:
            return
        here = os.open(self.plan.path("children"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(here, fcntl.LOCK_SH)
        name = f"{self.name}f{now() % 10**9}"
        if os.fork():
            os.close(here)  # the child's copy holds the lock
            self.children += 1
            return
        status = 1
        try:
            faulthandler.dump_traceback_later(CHILD_SECONDS, exit=True)
            for stream in (0, 1):
                os.dup2(os.open(os.devnull, os.O_RDWR), stream)
            Worker(self.whole, name, self.deadline, ("fork",)).work(CHILD_STEPS)
            status = 0
        finally:
            os._exit(status)

    def _reap(self) -> None:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.children = 0
                return
            if not pid:
                return

    # --- at rest ----------------------------------------------------------------------------------

    def rest(self) -> None:
        """Nobody writes any more: every cached read equals the database, and soon everything is a
        hit again."""
        from django.db import DatabaseError

        from tests.consistency import reads
        from tests.consistency.registers.schema import WIDTH

        faults.arm("rest")
        gc.collect()  # an iterator left in a traceback's cycle would hold its snapshot on
        kinds = [kind for kind in reads.KINDS if kind.family in self.plan.families]
        for kind, k in itertools.product(kinds, range(1, WIDTH + 1)):
            try:
                self._compare_at_rest(kind, k)
            except DatabaseError:  # a connection that was cut before
                for alias in ("default", "second"):
                    self.operations.heal(alias)
                self._compare_at_rest(kind, k)
        if self.plan.cache:
            self._expect_hits()

    def _compare_at_rest(self, kind: object, k: int) -> None:
        read, known = self.operations.read, dict(self.operations.known)
        found = []
        for db, truth in (("default", False), ("second", False), ("default", True)):
            self.operations.known = dict(known)  # the same question each time
            found.append(read(kind, db, k, truth=truth))  # type: ignore[arg-type]
        if found[0] != found[2] or found[1] != found[2]:
            self.operations.log.violation("rest", f"{kind}: {found}")

    def _expect_hits(self) -> None:
        """No cell stays marked for good: the dead and the unknown are proved over."""
        from tests.consistency import reads

        deadline = time.monotonic() + SETTLE_SECONDS
        waiting = {family: reads.BY_FAMILY[family][0] for family in self.plan.families}
        while waiting:
            for family, kind in list(waiting.items()):
                before = faults.statements.count
                self.operations.read(kind, "default", 1)
                if faults.statements.count == before:
                    del waiting[family]
            if waiting and time.monotonic() > deadline:
                from django_cache_manager.api import stats

                text = f"no hit on {sorted(waiting)} at rest: {stats()}, {_locks(self.plan)}"
                self.operations.log.violation("still-marked", text)
                return
            if waiting:
                time.sleep(0.05)


def _locks(plan: plans.Plan) -> str:
    """Who has a lock on SQLite's files: a transaction that is still open keeps the log from being
    emptied, and so a killed writer from being proved over."""
    inodes = [f":{path.stat().st_ino} " for path in plan.path().glob("registers.sqlite3*")]
    with open("/proc/locks", encoding="ascii") as lines:
        held = [line.strip() for line in lines if any(inode in line for inode in inodes)]
    return f"locks seen by {os.getpid()}: {held}"


def _deadline(plan: plans.Plan) -> int:
    path = plan.path(DEADLINE)
    while not path.exists():
        time.sleep(0.005)
    return int(path.read_text())


def work(plan: plans.Plan, name: str) -> None:
    _die_with_parent()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    faults.choose_point()
    if os.environ.get(WITHOUT_L1):
        from django.conf import settings
        from django.test import override_settings

        manager = {**settings.DJANGO_CACHE_MANAGER, "L1_SIZE": 0}
        override_settings(DJANGO_CACHE_MANAGER=manager).enable()
    os.write(1, b"ready\n")
    worker = Worker(plan, name, _deadline(plan))
    if worker.has_threads:
        worker.work_twice()
    else:
        worker.work()
    os.write(1, b"done\n")
    if sys.stdin.readline():
        worker.rest()


def prepare(plan: plans.Plan) -> None:
    from tests.consistency.registers import schema

    schema.prepare(FILLERS)


def verify(plan: plans.Plan) -> None:
    """Looks at the segments' bytes when everybody has gone, as `qcache verify` does."""
    from django_cache_manager import _engine
    from django_cache_manager.segments import files

    log = Log(plan.path("history", "verify.jsonl"))
    for path in files():
        for problem in _engine.Segment.inspect(str(path)).problems():
            log.violation("damaged", f"{path}: {problem}")


def serve(plan: plans.Plan, descriptor: str) -> None:
    from django_cache_manager import mysql, postgresql, sqlite
    from tests.consistency import operations, zygote

    # Loaded once, for all children, and never while a signal may come.
    assert operations
    assert mysql
    assert postgresql
    assert sqlite
    for name in ("asyncio", "django.db.backends", "django_cache_manager"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).isEnabledFor(level)  # later without logging's lock
    if plan.broken:
        from tests.consistency import broken

        broken.PROTOCOLS[plan.broken]()
    zygote.serve(int(descriptor), lambda name: work(plan, name))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    _die_with_parent()
    faulthandler.enable()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.consistency.configuration"
    import django

    django.setup()
    plan = plans.load()
    what, *names = sys.argv[1:]
    {"prepare": prepare, "verify": verify, "zygote": serve}[what](plan, *names)


if __name__ == "__main__":
    main()
