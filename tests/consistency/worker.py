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
import itertools
import os
import random
import select
import signal
import sys
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
CHILD_STEPS = 40
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
    def __init__(self, plan: plans.Plan, name: str, deadline: int) -> None:
        from tests.consistency.operations import Operations

        self.plan = plan
        self.name = name
        self.hand_off = HandOff(name)
        log = Log(plan.path("history", f"{name}.jsonl"))
        self.operations: Operations = Operations(plan, name, log, self.hand_off.tell)
        self.random = self.operations.random
        self.deadline = deadline
        self.children = 0
        self._arm()

    def _arm(self) -> None:
        faults.arm(
            self.name,
            slow_store=0.03 if self.plan.has("slow-store") else 0.0,
            slow_write=0.3 if self.plan.has("slow-write") else 0.0,
            sleeper=0.01 if self.plan.has("fork") else 0.0,
            cut=0.3 if self.plan.has("cut") else 0.0,
        )

    def work(self, steps: float = float("inf")) -> None:
        """Operations until the deadline, or so many."""
        while now() < self.deadline and steps > 0:
            steps -= 1
            try:
                self._answer(self.random.random() < 0.02)
                self._step()
            except Exception as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        """Databases under fire raise errors of their own; any other is a defect of package or
        checker."""
        from django.db import Error

        if isinstance(error, Error):
            self.operations.log.note(f"failed: {error!r:.300}")
        else:
            text = "".join(traceback.format_exception(error))
            self.operations.log.violation("raised", text[-1500:])
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
        if drawn < 0.18:
            operations.write()
        elif drawn < 0.25:
            operations.read_block()
        elif drawn < 0.28:
            family, k = operations.one()
            operations.truth(family, k, self.random.choice(("default", "second")))
        elif drawn < 0.32 and self.plan.has("evict"):
            from tests.consistency.reads import filler

            for _ in range(5):
                filler("default", self.random.randrange(FILLERS))
        elif drawn < 0.323 and self.plan.has("fork"):
            self._fork()
        else:
            operations.read_some(self.random.randint(2, 10))

    def _fork(self) -> None:
        """A child that works on. Django asks that connections are closed before; what the package
        holds is not."""
        from django.db import connections

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
            for stream in (0, 1):
                os.dup2(os.open(os.devnull, os.O_RDWR), stream)
            child = Worker(self.plan, name, self.deadline)
            faults.sleeper = 0.0
            others = tuple(one for one in self.plan.nemeses if one != "fork")
            child.plan = dataclasses.replace(self.plan, nemeses=others)
            child.work(CHILD_STEPS)
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
                before = faults.statements
                self.operations.read(kind, "default", 1)
                if faults.statements == before:
                    del waiting[family]
            if waiting and time.monotonic() > deadline:
                from django_cache_manager.api import stats

                text = f"no hit on {sorted(waiting)} at rest: {stats()}"
                self.operations.log.violation("still-marked", text)
                return
            if waiting:
                time.sleep(0.05)


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
    from tests.consistency import operations, zygote

    assert operations  # loaded once, for all children
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
