"""One connection's part in the protocol: who it talks to, what it has written and not committed,
what it may hit.

The names of PROTOCOL.md are kept: W1..W3 bracket a write, F1..F3 a fill; "PROTOCOL 2.1" is section
2, rule 1.
"""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper

from . import _engine, conf, effects, isolation, plain_writes, recovery
from .brackets import Bracket
from .cursors import UNKNOWN_SCAN, BufferedCursor, answer, await_the_rest, text_of
from .effects import EVERYTHING
from .identity import Facts, Vendor, vendor_of
from .invalidation import announce
from .isolation import LOSES_CACHE, Level, TransactionView
from .overlay import Overlay
from .plain_writes import UNFIT, PlainWrite
from .scan_flags import CONFIGURES, READ_ONLY
from .segments import OpenSegment, registry, retire_lost
from .sessions import DriverSession, last_known, session_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.utils import CursorWrapper


class ConnectionState:
    """Belongs to one DatabaseWrapper and, like it, to one thread at a time."""

    def __init__(self, connection: BaseDatabaseWrapper, vendor: Vendor) -> None:
        self.alias = connection.alias
        self.vendor = vendor
        self.driver: Any = None
        self.session: DriverSession | None = None
        self.sequence = 0
        """Raised by whatever isn't a pure read (PROTOCOL 3.2)."""
        self.dirty: set[str] | None = set()
        """Tables written by the open transaction; None: any (PROTOCOL 2.2)."""
        self.of_schema = False
        """Whether the open transaction, or the statement that runs, may change the schema."""
        self.overlay = Overlay()
        self.view = TransactionView()
        """What the reads of the open transaction see."""
        self.errored = False
        self.begun_by_savepoint = False
        self.connecting = False
        """Within connect(): what Django sets up by SQL isn't the user's change of it."""
        self.unfinished: weakref.WeakSet[Any] = weakref.WeakSet()
        """Cursors whose SELECT may have rows left; SQLite only (PROTOCOL 3.1)."""
        self.pending: list[Bracket] = []
        """Writes of unknown outcome, until the same session answers again (PROTOCOL 2.5)."""
        self.plain_writes: dict[str, PlainWrite] = {}
        """By the statement's text; of the present driver's connection."""
        self.configures_cursors = (
            type(connection)._cursor is not BaseDatabaseWrapper._cursor
            and "schema_name" not in connection.__dict__
        )
        """Whether a backend of somebody else's may send SQL of its own with each cursor, of which
        nothing is known. With `schema_name` (in the key) it is one of the tenants' packages."""
        self._committed: list[frozenset[str] | None] = []
        """What was committed and is told when Django has left the transaction."""

    # --- who --------------------------------------------------------------------------------------

    def meet(self, connection: BaseDatabaseWrapper) -> DriverSession | None:
        """The session of the driver's present connection, asking the server when it is new
        (PROTOCOL section 5)."""
        driver = connection.connection
        if driver is self.driver and (driver is None or self._is_met()):
            return self.session
        if driver is not self.driver:
            self._leave_driver()
            self.driver = driver
        if driver is None or self.vendor.in_transaction(driver):
            return self.session
        if self.connecting and self.vendor.configured_by_sql:
            return None
        self.session = session_of(self.vendor, connection, driver)
        return self.session

    def _is_met(self) -> bool:
        session = self.session
        return session is not None and session.is_known(self.driver)

    def met_anyhow(self, connection: BaseDatabaseWrapper) -> DriverSession:
        """Met inside a transaction too: a write has to know whom it concerns."""
        session = self.meet(connection)
        if session is None:
            session = session_of(self.vendor, connection, connection.connection)
            self.session = session
        return session

    def _leave_driver(self) -> None:
        for bracket in self.pending:
            # SQLite: a closed connection writes no more. A server may still be at it: whoever
            # proves it gone settles.
            if self.vendor.drains:
                bracket.settle()
        self.pending.clear()
        self.session = None
        self.plain_writes.clear()
        self.unfinished = weakref.WeakSet()
        self._transaction_ended()

    def facts(self, connection: BaseDatabaseWrapper) -> Facts | None:
        """Who a read would talk to; without a connection, the last known (PROTOCOL section 5)."""
        session, driver = self.session, connection.connection
        # What is met and beyond doubt, without asking `meet`.
        if (
            session is None
            or driver is not self.driver
            or session.doubtful
            or not session.facts.family
        ):
            session = self.meet(connection)
        if session is not None:
            return session.facts
        if driver is not None or connection.in_atomic_block:
            return None
        known = last_known(connection)
        if known is None or known.private:
            return None
        if self.vendor.drains:
            seen = self.vendor.peek(connection)
            return known if seen is not None and seen.identity == known.identity else None
        return known

    # --- reads ------------------------------------------------------------------------------------

    def off_reason(self) -> str | None:
        """Why this connection may neither hit nor fill, or None."""
        if self.alias in conf.current().replicas:
            return "the alias is in REPLICAS"
        if self.configures_cursors:
            return "its ENGINE has a _cursor() of its own, which may lead to other tables"
        session = self.session
        if session is None:
            return None
        if session.off is not None or session.doubtful:
            return session.why_off()
        return session.facts.uncached

    def hit_limit(self, connection: BaseDatabaseWrapper, facts: Facts) -> int | None:
        """The latest stamp that a hit's cells may have now; None: no hit (PROTOCOL 4)."""
        driver = self.driver
        if driver is None:
            # Without autocommit the read would begin a transaction, at a level that isn't known.
            alone = connection.settings_dict["AUTOCOMMIT"]
            return _engine.NO_LIMIT if alone and facts.level is not Level.SERIALIZABLE else None
        vendor, level = self.vendor, self.next_level()
        if vendor.in_autocommit(driver):
            # A lone SELECT at SERIALIZABLE may be what shows an anomaly: the server has to see it
            # (PROTOCOL 4.2).
            return _engine.NO_LIMIT if level in isolation.ALONE and not self.errored else None
        if self.errored or vendor.broken(driver) or vendor.pipelined(driver):
            return None
        if vendor.in_transaction(driver):
            if connection.autocommit and not connection.in_atomic_block:
                return None
            return self.view.hit_limit()
        # It begins a transaction, and takes its snapshot (PROTOCOL 4.1).
        return _engine.NO_LIMIT if level is Level.CURRENT else None

    def fill_time(self, connection: BaseDatabaseWrapper, segment: OpenSegment) -> int | None:
        """F1: the clock to store a read under that is about to be sent; None: don't store (PROTOCOL
        3)."""
        driver = connection.connection
        if driver is None:
            return segment.engine.clock()  # it will be opened for this statement
        if self.unfinished or self.session is None or self.vendor.pipelined(driver):
            return None
        if not self.vendor.in_transaction(driver):
            return segment.engine.clock()
        if connection.autocommit and not connection.in_atomic_block:
            return None
        return self.view.fill_time(segment.engine.clock())

    def next_level(self) -> Level | None:
        """Of the transaction that the next statement is in or begins, while none is open."""
        session = self.session
        return None if session is None else self.vendor.next_level(self.driver, session.level)

    def is_dirty(self, segment: OpenSegment, cells: bytes) -> bool:
        """Whether the open transaction has written a cell of these (PROTOCOL 4.3)."""
        if not self.dirty:
            return self.dirty is None
        own = set(memoryview(segment.engine.cells(self.dirty)).cast("I"))
        return not own.isdisjoint(memoryview(cells).cast("I"))

    # --- statements -------------------------------------------------------------------------------

    def statement(self, wrapper: CursorWrapper, sql: Any, call: Callable[[], Any]) -> Any:
        """Runs one statement at the driver's cursor, seen by everybody it concerns (PROTOCOL
        2.7)."""
        connection = wrapper.db
        if isinstance(wrapper.cursor, BufferedCursor):
            wrapper.cursor = wrapper.cursor.driver_cursor
        if type(sql) is str and sql in self.plain_writes and connection.connection is self.driver:
            result = self.plain_writes[sql].run(self, wrapper, call)
            if result is not UNFIT:
                return result
        session = self.meet(connection)
        text = sql if type(sql) is str else text_of(wrapper, sql)
        scan = _engine.scan(text, self.vendor.dialect)
        is_read = scan.flags & _engine.READ and not scan.flags & ~READ_ONLY
        if is_read and effects.write_nothing(self, scan):
            return self._read(wrapper, scan, call)
        if session is None and self.connecting and not scan.flags & ~CONFIGURES:
            return call()
        session = session or self.met_anyhow(connection)
        result = self._plain_write(wrapper, session, text, scan, call)
        return self._effect(wrapper, session, text, scan, call) if result is UNFIT else result

    def _plain_write(
        self,
        wrapper: CursorWrapper,
        session: DriverSession,
        text: str,
        scan: _engine.Scan,
        call: Callable[[], Any],
    ) -> Any:
        """Runs it the short way if it can, and remembers that."""
        fits = effects.write_nothing(self, scan)
        found = plain_writes.plan(session, text, scan) if fits else None
        if found is None:
            return UNFIT
        if len(self.plain_writes) >= plain_writes.MEMO_STATEMENTS:
            self.plain_writes.clear()
        self.plain_writes[text] = found
        return found.run(self, wrapper, call)

    def other_call(self, wrapper: CursorWrapper, call: Callable[[], Any]) -> Any:
        """Any other call that reaches the driver's cursor: it may write anything (PROTOCOL 2.7)."""
        session = self.met_anyhow(wrapper.db)
        return self._effect(wrapper, session, "", UNKNOWN_SCAN, call)

    def _read(self, wrapper: CursorWrapper, scan: _engine.Scan, call: Callable[[], Any]) -> Any:
        driver = self.driver
        before = self.vendor.in_transaction(driver) if driver is not None else False
        time = None
        if not before and driver is not None and self.vendor.will_begin(driver):
            time = self._clock()  # before the driver sends BEGIN (PROTOCOL 3.3)
        try:
            result = call()
        except BaseException as error:
            self.after_error(error)
            raise
        if self.pending:
            self._answered_again()
        if self.vendor.drains:
            self.unfinished.add(wrapper)
        if not before and driver is not None and self.vendor.in_transaction(driver):
            self._transaction_began(time)  # autocommit off: the driver sent BEGIN
            before = True
        if before and scan.reads and not scan.flags & _engine.SYSTEM:
            self.view.answered = True  # it has taken its snapshot (PROTOCOL 4.1)
        return answer(wrapper, result)

    def _effect(
        self,
        wrapper: CursorWrapper,
        session: DriverSession,
        text: str,
        scan: _engine.Scan,
        call: Callable[[], Any],
    ) -> Any:
        flags, driver = scan.flags, self.driver
        self.sequence += 1
        before = self.vendor.in_transaction(driver)
        wish = isolation.asked(session, driver, text, flags) if flags & LOSES_CACHE else None
        session.doubt(flags)
        segment = self.segment()
        if segment is not None:
            self.look_round(segment)
        looked = 0 if segment is None else segment.catalog_time
        tables = effects.written(self, scan, segment)
        of_schema = tables is EVERYTHING and effects.may_change_schema(self, scan)
        self.of_schema = of_schema or (before and self.of_schema)
        time = 0 if segment is None else segment.engine.clock()
        bracket = None
        if before or (tables != frozenset() and self.vendor.will_begin(driver)):
            self.soil(tables)  # before the statement is sent (PROTOCOL 2.2)
            if self._may_commit(flags, before, tables):
                bracket = self.mark(session, EVERYTHING)
            elif self.vendor.pipelined(driver):
                # Nobody knows yet whether a transaction is open: both, then (PROTOCOL 2.4).
                bracket = self.mark(session, tables)
        elif tables != frozenset():
            bracket = self.mark(session, tables)
            if effects.widened(tables, segment, looked) is not tables:
                tables = EVERYTHING
                bracket.mark(session.facts, frozenset(), database=True)
        try:
            result = call()  # W2
            if self.vendor.drains:
                self.drain(wrapper)
            elif self.vendor.unfinished(driver):
                await_the_rest(wrapper)
        except BaseException as error:
            if before:  # what an OR FAIL has written before the error stays
                tables = self._as_it_ran(tables, segment, looked, before)
            self.failed(wrapper, bracket, tables, error, before, time, flags)
            raise
        tables = self._as_it_ran(tables, segment, looked, before)
        self.close_bracket(bracket, tables, before, time, flags, None)
        self.of_schema = self.of_schema or of_schema  # if the transaction began with it
        if wish is not None:
            isolation.changed(session, driver, self.view, wish)
        if self._committed and not before:
            self.announce_committed()
        if flags & _engine.ATTACH and self.vendor.drains:
            session.attached = self.vendor.attached(driver)  # type: ignore[attr-defined]
            session.off = "a database was attached; it is uncached until it closes"
        if flags & _engine.DATABASE:
            retire_lost(self.vendor.name, driver)
        return answer(wrapper, result)

    def failed(
        self,
        wrapper: CursorWrapper,
        bracket: Bracket | None,
        tables: frozenset[str] | None,
        error: BaseException,
        before: bool = False,
        time: int = 0,
        flags: int = 0,
    ) -> None:
        """After a statement with an effect has raised."""
        if self.vendor.drains:
            with contextlib.suppress(Exception):
                wrapper.cursor.fetchall()  # else it would commit when the cursor is forgotten
        self.close_bracket(bracket, tables, before, time, flags, error)
        self.after_error(error)

    def _as_it_ran(
        self,
        tables: frozenset[str] | None,
        segment: OpenSegment | None,
        looked: int,
        before: bool,
    ) -> frozenset[str] | None:
        """What a statement in a transaction may have written: it may have waited for one that made
        a trigger, and run after (PROTOCOL 2.8)."""
        if not before and not self.vendor.in_transaction(self.driver):
            return tables
        found = effects.widened(tables, segment, looked)
        if before and found is not tables:
            self.soil(found)
        return found

    def _may_commit(self, flags: int, before: bool, tables: frozenset[str] | None) -> bool:
        """PROTOCOL 2.3: what may commit is bracketed with all dirty cells and the database's."""
        if flags & (_engine.COMMIT | _engine.UNKNOWN):
            return True
        if flags & _engine.ROLLBACK and tables != frozenset():
            return True  # several statements in one string: what follows the rollback commits
        return bool(flags & _engine.RELEASE and self.begun_by_savepoint) or bool(
            flags & _engine.BEGIN and before
        )

    def close_bracket(
        self,
        bracket: Bracket | None,
        tables: frozenset[str] | None,
        before: bool,
        time: int,
        flags: int,
        error: BaseException | None,
    ) -> None:
        """After W2: the driver says whether a transaction is open now, and W3 follows if the
        outcome is known."""
        driver = self.driver
        known = error is None or self.vendor.outcome_known(driver, error)
        known = known and not self.vendor.pipelined(driver)
        if not known:
            if bracket is not None:
                self._keep_unknown(bracket)
            return
        if self.pending:
            self._answered_again()
        after = self.vendor.in_transaction(driver)
        if after and not before:
            self._transaction_began(time)
            self.soil(tables)
            # Only on SQLite does the release of a savepoint commit.
            self.begun_by_savepoint = self.vendor.drains and bool(flags & _engine.SAVEPOINT)
            # BEGIN IMMEDIATE and a write take the snapshot at once (PROTOCOL 4.1).
            self.view.answered = error is None and bool(flags & (_engine.IMMEDIATE | _engine.WRITE))
        if bracket is not None:
            bracket.settle()  # W3
            if not after:
                self._committed.append(tables)
        if before and not after:
            if bracket is None and error is None and not flags & _engine.ROLLBACK:
                self._stamp_what_committed()
            self._transaction_ended()
        elif before and error is None:
            self.view.went_on(flags)
        if flags & _engine.ROLLBACK_TO:
            self.overlay.clear()
            self.errored = False

    def _stamp_what_committed(self) -> None:
        """A statement has ended the transaction and wasn't known to: late, but not forgotten."""
        if self.session is not None and (self.dirty is None or self.dirty):
            self.mark(self.session, EVERYTHING).settle()
            self._committed.append(EVERYTHING)

    def drain(self, wrapper: CursorWrapper) -> None:
        """PROTOCOL 2.1: a writing statement is finished when its rows are fetched, so they are,
        inside the bracket."""
        cursor = wrapper.cursor
        if getattr(cursor, "description", None) is not None:
            with wrapper.db.wrap_database_errors:
                rows = cursor.fetchall()
            wrapper.cursor = BufferedCursor(cursor, rows)
        if self.unfinished:
            self.unfinished.discard(wrapper)

    # --- transactions -----------------------------------------------------------------------------

    def commit(self, connection: BaseDatabaseWrapper, call: Callable[[], Any]) -> Any:
        """COMMIT by the driver's method: all dirty cells are marked around it (W1..W3)."""
        session = self.meet(connection)
        self.sequence += 1
        tables = EVERYTHING if self.dirty is None else frozenset(self.dirty)
        bracket = None
        if session is not None and tables != frozenset():
            bracket = self.mark(session, tables)
        try:
            result = call()  # W2
        except BaseException as error:
            self.close_bracket(bracket, tables, True, 0, 0, error)
            self.after_error(error)
            raise
        self.close_bracket(bracket, tables, True, 0, 0, None)
        if connection.autocommit or not connection.settings_dict["AUTOCOMMIT"]:
            self.announce_committed()
        return result

    def rollback(self, connection: BaseDatabaseWrapper, call: Callable[[], Any]) -> Any:
        self.meet(connection)
        self.sequence += 1
        self.overlay.clear()
        try:
            return call()
        finally:
            if self.driver is None or not self.vendor.in_transaction(self.driver):
                self._transaction_ended()

    def set_autocommit(self, connection: BaseDatabaseWrapper, call: Callable[[], Any]) -> Any:
        """Turning autocommit on commits on some drivers (SQLite's), so it is bracketed as a commit
        where it can."""
        known = self.driver is not None and self.driver is connection.connection
        segment = self.segment() if known else None
        if segment is not None:
            self.look_round(segment)
        if known and (self.dirty is None or self.dirty):
            result = self.commit(connection, call)
        else:
            self.sequence += 1
            result = call()
        if connection.autocommit:
            # Not before: a receiver's query would open another transaction.
            self.announce_committed()
        return result

    def closed(self, connection: BaseDatabaseWrapper) -> None:
        """After close(): what was not committed is rolled back."""
        driver = connection.connection
        if driver is None or self.vendor.closed(driver):
            self.sequence += 1
            self._leave_driver()
            self.driver = None

    def _transaction_began(self, time: int | None) -> None:
        """`time` is the clock before whatever made the driver send BEGIN (PROTOCOL 3.3)."""
        # An older SELECT still open pins SQLite's snapshot before it (PROTOCOL 3.1).
        self.view.began(self.next_level(), None if self.unfinished else time)
        self.begun_by_savepoint = False
        self.errored = False
        self.of_schema = False
        self.dirty = set()
        self.overlay.clear()

    def _transaction_ended(self) -> None:
        self._transaction_began(None)
        self.view.ended()

    def soil(self, tables: frozenset[str] | None) -> None:
        if tables is EVERYTHING:
            self.dirty = None
            self.overlay.clear()
        elif tables:
            if self.dirty is not None:
                self.dirty |= tables
            segment = self.segment()
            if segment is None:
                self.overlay.clear()
            else:
                self.overlay.drop(segment.engine.cells(tables))

    def after_error(self, error: BaseException) -> None:
        """PROTOCOL 4.3: after a database error inside a transaction the overlay is gone and hits
        stop."""
        if self.driver is not None and self.vendor.outcome_known(self.driver, error):
            self._answered_again()
        self.overlay.clear()  # also when a deadlock of MySQL's has ended the transaction
        if self.driver is None or self.vendor.in_transaction(self.driver):
            self.errored = True

    # --- marks ------------------------------------------------------------------------------------

    def look_round(self, segment: OpenSegment) -> None:
        """Asks the database what it has to tell of its catalog and of writes in doubt.

        Only in autocommit: in a user's transaction, or one that the question would begin, it would
        fix the snapshot or fail with it (PROTOCOL section 5).
        """
        driver = self.driver
        if driver is None or self.vendor.in_transaction(driver) or self.vendor.will_begin(driver):
            return
        segment.read_catalog(driver)
        recovery.attend(
            segment, segment.facts if self.session is None else self.session.facts, driver
        )

    def segment(self) -> OpenSegment | None:
        if self.session is None:
            return None
        try:
            return registry.open(self.session.facts)
        except _engine.SegmentError:
            return None

    def _clock(self) -> int | None:
        segment = self.segment()
        return None if segment is None else segment.engine.clock()

    def mark(self, session: DriverSession, tables: frozenset[str] | None) -> Bracket:
        """W1, in every segment that the write may concern."""
        if tables is EVERYTHING:
            wanted: frozenset[str] = frozenset(self.dirty or ())
        else:
            wanted = tables
        bracket = Bracket()
        bracket.of_schema = self.of_schema and tables is EVERYTHING
        try:
            bracket.mark(session.facts, wanted, database=tables is EVERYTHING)
            for facts in session.attached:
                bracket.mark(facts, frozenset(), database=True)
        except BaseException:
            bracket.settle()
            raise
        return bracket

    def announce_committed(self) -> None:
        committed, self._committed = self._committed, []
        for tables in committed:
            announce(self.alias, tables)

    def _keep_unknown(self, bracket: Bracket) -> None:
        """PROTOCOL 2.4: the cells stay marked until the same session answers again, or is proved
        gone."""
        bracket.abandon()
        self.pending.append(bracket)

    def _answered_again(self) -> None:
        if self.pending and self.vendor.pipelined(self.driver):
            return  # answers come at the next sync (PROTOCOL 2.4)
        if self.pending:
            for bracket in self.pending:
                bracket.settle()
            self.pending.clear()
            if not self.vendor.in_transaction(self.driver):
                self._transaction_ended()


_ATTRIBUTE: Final = "_cache_manager_state"


def state_of(connection: BaseDatabaseWrapper) -> ConnectionState | None:
    """The state of a connection; None where the database system is not supported."""
    try:
        state: ConnectionState | None = connection.__dict__[_ATTRIBUTE]
    except KeyError:
        vendor = vendor_of(connection)
        state = None if vendor is None else ConnectionState(connection, vendor)
        connection.__dict__[_ATTRIBUTE] = state
    return state
