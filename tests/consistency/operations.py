"""A process's operations on the registers, each in the history: reads, and writes in every kind of
transaction."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction

from django_cache_manager.api import uncached
from tests.consistency import reads, writes
from tests.consistency.faults import faults
from tests.consistency.history import Log, now
from tests.consistency.locks import Lock
from tests.consistency.plan import Plan
from tests.consistency.registers.models import Counter, Filler
from tests.consistency.registers.schema import WIDTH

ALIASES = ("default", "second")
LONGEST_VISIT = 60


class RollBack(Exception):
    """Ends a block by an exception, as an application's error does."""


class Interrupted(Exception):
    """Raised by a signal's handler, anywhere."""


class Transaction:
    """What one operation has written so far: tokens and versions by register, as savepoints come
    and go."""

    def __init__(self, op: str, db: str) -> None:
        self.op = op
        self.db = db
        self.began = now()
        self.steps: list[tuple[str, str, int | None]] = []
        self.commit_began = False

    @property
    def own(self) -> dict[str, str]:
        """Registers with an uncommitted write of ours, and its token."""
        return {register: token for register, token, _ in self.steps}


class Operations:
    """One process's; not thread-safe."""

    def __init__(self, plan: Plan, name: str, log: Log, tell: Callable[[str], None]) -> None:
        self.plan = plan
        self.name = name
        self.log = log
        self.tell = tell
        self.random = random.Random(f"{plan.seed} {name}")
        self.known: dict[str, int] = {}
        self._numbers = itertools.count()
        self.snapshot = plan.is_sqlite

    # --- reads ------------------------------------------------------------------------------------

    def one(self) -> tuple[str, int]:
        """A register, as family and number; some are in greater demand than others."""
        k = 1 if self.random.random() < 0.4 else self.random.randint(1, WIDTH)
        return self.random.choice(self.plan.families), k

    def kind_of(self, family: str) -> reads.Kind:
        kinds = reads.BY_FAMILY[family]
        return self.random.choice(kinds[:2] if self.random.random() < 0.4 else kinds)

    def read(
        self,
        kind: reads.Kind,
        db: str,
        k: int,
        inside: Transaction | None = None,
        truth: bool = False,
    ) -> list[reads.Shown]:
        """One read, logged without what is the transaction's own."""
        known = self.known.get(f"{kind.family}:{k}", 0)
        statements, called = faults.statements.count, now()
        with uncached() if truth else contextlib.nullcontext():
            shown = kind.read(db, k, known)
        returned = now()
        own = inside.own if inside is not None else {}
        foreign = [one for one in shown if one[0] not in own]
        context = "auto" if inside is None else "snapshot" if self.snapshot else "block"
        began = called if inside is None else inside.began
        if foreign:
            hit = faults.statements.count == statements
            name = f"{kind.name}!" if truth else kind.name
            self.log.line("R", called, returned, name, context, hit, began, foreign)
        for register, least, _, _ in foreign:
            self.known[register] = max(least, self.known.get(register, 0))
        return shown

    def read_pages(self) -> None:
        """Reads of a few kinds and registers, again and again, as visitors ask for one page."""
        db = self.random.choice(ALIASES)
        page = []
        for _ in range(self.random.randint(1, 4)):
            family, k = self.one()
            page.append((self.kind_of(family), k))
        for _ in range(self.random.randint(2, LONGEST_VISIT)):
            kind, k = self.random.choice(page)
            self.read(kind, db, k)

    def truth(self, family: str, k: int, db: str) -> tuple[int, str | None]:
        """Version and token that the database has, logged as a read."""
        kind = reads.Kind(f"truth_{family}", family, reads.TRUTH[family])
        shown = self.read(kind, db, k, truth=True)
        return shown[0][1], shown[0][3]

    def read_block(self) -> None:
        """A transaction that only reads. In a snapshot the cached rows must be those the database
        shows in it."""
        db = self.random.choice(ALIASES)
        inside = Transaction("", db)
        with transaction.atomic(using=db):
            keys = []
            for _ in range(2):
                family, k = self.one()
                keys += [(self.kind_of(family), k)] * 2 + [(self.kind_of(family), k)]
            for _ in range(self.random.randint(2, 8)):
                self._compare(*self.random.choice(keys), inside)
                self._pause()

    def _pause(self) -> None:
        """Lets others in between, now and then."""
        if self.random.random() < 0.4:
            time.sleep(self.random.random() * 0.03)

    def _compare(self, kind: reads.Kind, k: int, inside: Transaction) -> None:
        """A cached read and the same one uncached, in one transaction: equal in a snapshot, and
        always for what is own."""
        first_truth = self.random.random() < 0.3
        known = dict(self.known)
        found = self.read(kind, inside.db, k, inside, truth=first_truth)
        self.known = known  # some kinds ask for what is known: both ask the same
        again = self.read(kind, inside.db, k, inside, truth=not first_truth)
        if self.snapshot and found != again:
            self.log.violation("snapshot", f"{kind.name} {inside.db}: {found}, then {again}")
        own = inside.own
        mine = [[one for one in rows if one[0] in own] for rows in (found, again)]
        if mine[0] != mine[1]:
            self.log.violation(
                "own-write", f"{kind.name} {inside.db} {inside.op}: {mine[0]}, then {mine[1]}"
            )
        for register, _, _, token in mine[0]:
            if token is not None and token != own[register]:
                text = f"{kind.name} {inside.db}: {register} {token}, own is {own[register]}"
                self.log.violation("own-write", text)

    # --- writes -----------------------------------------------------------------------------------

    def _order(self, inside: Transaction, family: str, k: int, version: int) -> writes.Order:
        delays = {}
        for name in ("statement", "commit"):
            if self.plan.has(f"slow-{name}") and self.random.random() < 0.12:
                longest = 0.8 if self.random.random() < 0.25 else 0.04
                delays[f"{name}_delay"] = 0.005 + self.random.random() * longest
        token = f"{inside.op}.{next(self._numbers)}"
        return writes.Order(inside.db, k, token, version, **delays)

    def step(
        self,
        inside: Transaction,
        family: str,
        k: int,
        version: int,
        alone: bool = False,
        raw: bool = False,
    ) -> None:
        """One write. `alone`: the statement's own commit is the operation's. `raw`: by SQL only."""
        kinds = writes.BY_FAMILY[family]
        write = self.random.choice(
            [one for one in kinds if not raw or one.__name__.startswith("raw_")]
        )
        order = self._order(inside, family, k, version)
        register = f"{family}:{k}"
        self.log.called(inside.op, [(register, order.token)])
        inside.steps.append((register, order.token, None))
        if alone:
            self._commit_begins(inside)
        made = write(order)
        inside.steps[-1] = (register, order.token, made)

    def _commit_begins(self, inside: Transaction) -> None:
        inside.commit_began = True
        self.log.commits(inside.op, [token for _, token, _ in inside.steps])

    def _acknowledge(self, inside: Transaction) -> None:
        self.log.acknowledged(inside.op, inside.steps)
        if self.plan.has("hand-off"):
            for register in inside.own:
                self.tell(register)

    @contextlib.contextmanager
    def _locked(
        self, registers: list[tuple[str, int]], db: str
    ) -> Iterator[dict[tuple[str, int], int] | None]:
        """The next version of each register; None when somebody else writes one."""
        held: list[Lock] = []
        try:
            versions: dict[tuple[str, int], int] = {}
            for family, k in sorted(set(registers)):
                if family not in writes.COUNTED:
                    lock = Lock(self.plan.path("locks"), f"{family}:{k}", db)
                    if not lock.take():
                        yield None
                        return
                    held.append(lock)
                    versions[family, k] = self.truth(family, k, db)[0] + 1
            yield versions
        finally:
            for lock in held:
                lock.release()

    def write(self) -> None:
        """One operation of a kind drawn by chance."""
        db = self.random.choice(ALIASES)
        modes: list[tuple[Callable[..., None], float]] = [
            (self._alone, 5),
            (self._block, 3),
            (self._manual, 0.7),
            (self._raw_transaction, 0.7),
        ]
        if self.plan.has("rollback"):
            modes += [(self._rolled_back, 1.5)]
        if self.plan.has("savepoint"):
            modes += [(self._savepoint, 1.5)]
            if "counter" in self.plan.families:
                modes += [(self._iterator_across, 1)]
        (mode,) = self.random.choices([m for m, _ in modes], [weight for _, weight in modes])
        count = 1 if mode == self._alone else self.random.choice((1, 1, 2, 3))
        registers = sorted(self.one() for _ in range(count))
        if count > 1 and self.random.random() < 0.4:
            registers = registers[:1] * count  # the same one several times
        inside = Transaction(f"{self.name}-{next(self._numbers)}{mode.__name__}", db)
        with self._locked(registers, db) as versions:
            if versions is not None:
                inside.began = now()
                self._settled(inside, lambda: mode(inside, registers, versions))

    def _settled(self, inside: Transaction, run: Callable[[], None]) -> None:
        """Logs what became of the operation's remaining steps."""
        tokens = [token for _, token, _ in inside.steps]
        try:
            run()
        except RollBack:
            tokens = [token for _, token, _ in inside.steps]
            self.log.rolled_back(inside.op, tokens)
        except (DatabaseError, InterfaceError, Interrupted) as error:
            tokens = [token for _, token, _ in inside.steps]
            known = not inside.commit_began or self._refused(error)
            if known:
                self.log.rolled_back(inside.op, tokens)
            self.log.note(f"{inside.op} {'failed' if known else 'unknown'}: {error!r:.300}")
            self.heal(inside.db)

    def _refused(self, error: Exception) -> bool:
        """Whether the database said that it did not commit."""
        cause = error.__cause__
        if self.plan.is_sqlite:
            return getattr(cause, "sqlite_errorname", "").startswith(
                ("SQLITE_BUSY", "SQLITE_CONSTRAINT")
            )
        if self.plan.is_mysql:
            number = cause.args[0] if cause is not None and cause.args else None
            return number in (1205, 1213, 1062, 1317)
        state = getattr(cause, "sqlstate", None)
        return state is not None and not state.startswith(("08", "57P"))

    def heal(self, db: str) -> None:
        """After an error, outside of all blocks: a new connection at the next use."""
        connection = connections[db]
        with contextlib.suppress(Exception):
            connection.close()
        if connection.in_atomic_block:
            # Django forgets to leave a block that was entered with autocommit off when its
            # connection is lost.
            del connections[db]
        # It keeps the error, and so the frames it passed, whose open iterators hold SQLite's
        # snapshot: a dead writer is not proved over before they are gone.
        connection.rollback_exc = None

    def _steps(self, inside: Transaction, registers: Any, versions: Any) -> None:
        for family, k in registers:
            if self.random.random() < 0.15:
                self._read_inside(inside)
            self._counted_step(inside, family, k, versions)
            self._check_own(inside, family, k)
            self._pause()
        if self.random.random() < 0.3:
            self._read_inside(inside)

    def _counted_step(
        self,
        inside: Transaction,
        family: str,
        k: int,
        versions: dict[tuple[str, int], int],
        raw: bool = False,
    ) -> None:
        self.step(inside, family, k, versions.get((family, k), 0), raw=raw)
        if (family, k) in versions:
            versions[family, k] += 1

    def _read_inside(self, inside: Transaction) -> None:
        family, k = self.one()
        self._compare(self.kind_of(family), k, inside)

    def _check_own(self, inside: Transaction, family: str, k: int) -> None:
        for _ in range(self.random.randint(0, 2)):
            self._compare(self.kind_of(family), k, inside)
        register, token, version = inside.steps[-1]
        if version is None:
            # The database counted: what we see of our own row is what we made.
            with uncached():
                shown = reads.TRUTH[family](inside.db, k, 0)[0]
            if shown[3] == token:
                inside.steps[-1] = (register, token, shown[1])

    # --- the kinds of transactions ----------------------------------------------------------------

    def _alone(self, inside: Transaction, registers: Any, versions: Any) -> None:
        ((family, k),) = registers
        self.step(inside, family, k, versions.get((family, k), 0), alone=True)
        self._acknowledge(inside)

    def _block(self, inside: Transaction, registers: Any, versions: Any) -> None:
        with transaction.atomic(using=inside.db):
            self._steps(inside, registers, versions)
            transaction.on_commit(lambda: self._acknowledge(inside), using=inside.db)
            self._commit_begins(inside)

    def _rolled_back(self, inside: Transaction, registers: Any, versions: Any) -> None:
        with transaction.atomic(using=inside.db):
            self._steps(inside, registers, versions)
            raise RollBack

    def _savepoint(self, inside: Transaction, registers: Any, versions: Any) -> None:
        with transaction.atomic(using=inside.db):
            self._steps(inside, registers[:-1], versions)
            before, versions_before = list(inside.steps), dict(versions)
            keep = self.random.random() < 0.4
            try:
                with transaction.atomic(using=inside.db):
                    self._steps(inside, registers[-1:], versions)
                    if not keep:
                        raise RollBack
            except RollBack:
                gone = [token for _, token, _ in inside.steps[len(before) :]]
                self.log.rolled_back(inside.op, gone)
                inside.steps = before
                versions.update(versions_before)
            for family, k in registers:
                self._compare(self.kind_of(family), k, inside)
            transaction.on_commit(lambda: self._acknowledge(inside), using=inside.db)
            self._commit_begins(inside)

    def _iterator_across(self, inside: Transaction, registers: Any, versions: Any) -> None:
        """An iterator() consumed across writes that are undone: its rows are of no one instant, and
        are not judged, but nobody may be given them again."""
        outside = self.random.random() < 0.5
        rows = Counter.objects.using(inside.db).order_by("pk").iterator(chunk_size=1)
        # Closed at an error too: an open one keeps SQLite's snapshot.
        with contextlib.closing(rows):
            if outside:
                next(rows)
            with contextlib.suppress(RollBack), transaction.atomic(using=inside.db):
                if not outside:
                    next(rows)
                self._undone_across(inside, registers, versions, rows)
                if not outside:
                    len(list(rows))
                for kind in reads.BY_FAMILY["counter"]:
                    if kind.name in ("iterator", "list_all"):
                        self._compare(kind, 1, inside)
                raise RollBack
            len(list(rows))

    def _undone_across(
        self, inside: Transaction, registers: Any, versions: Any, rows: Iterator[Any]
    ) -> None:
        with contextlib.suppress(RollBack), transaction.atomic(using=inside.db):
            # The rows that are still to come, among others.
            for family, k in (*registers, ("counter", 2), ("counter", 3)):
                self._counted_step(inside, family, k, versions)
            next(rows)
            raise RollBack
        gone, inside.steps = inside.steps, []
        self.log.rolled_back(inside.op, [token for _, token, _ in gone])

    def _manual(self, inside: Transaction, registers: Any, versions: Any) -> None:
        """set_autocommit(False) .. commit(), as management commands do."""
        transaction.set_autocommit(False, using=inside.db)
        try:
            if self.plan.is_sqlite:
                # Without it an atomic() block would begin by SAVEPOINT, whose RELEASE commits.
                Filler.objects.using(inside.db).filter(pk=-1).update(text="")
            self._steps(inside, registers, versions)
            self._commit_begins(inside)
            transaction.commit(using=inside.db)
            self._acknowledge(inside)
        except BaseException:
            with contextlib.suppress(Exception):
                transaction.rollback(using=inside.db)
            raise
        finally:
            with contextlib.suppress(OperationalError, InterfaceError):
                transaction.set_autocommit(True, using=inside.db)

    def _raw_transaction(self, inside: Transaction, registers: Any, versions: Any) -> None:
        """BEGIN and COMMIT as SQL: Django does not know of the transaction, so its own atomic() has
        no place in it."""
        simple = [(family, k) for family, k in registers if _has_raw(family)]
        with connections[inside.db].cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                for family, k in simple:
                    self._counted_step(inside, family, k, versions, raw=True)
                    self._check_own(inside, family, k)
                self._commit_begins(inside)
                cursor.execute("COMMIT")
                self._acknowledge(inside)
            except BaseException:
                with contextlib.suppress(Exception):
                    cursor.execute("ROLLBACK")
                raise


def _has_raw(family: str) -> bool:
    return any(write.__name__.startswith("raw_") for write in writes.BY_FAMILY[family])
