"""PostgreSQL: what the server tells of itself, of its sessions and of its catalog.

For psycopg 3 and psycopg2.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from . import _engine
from .catalog import Catalog, ascii_lower
from .identity import Facts
from .isolation import POSTGRESQL_LEVELS, Level, postgresql_wish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .isolation import Wish

_IDENTIFY = """
SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system())::text,
       (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())::text,
       extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text,
       pg_catalog.current_database()::text, current_user::text, pg_catalog.pg_backend_pid(),
       (SELECT extract(epoch FROM backend_start)::text FROM pg_catalog.pg_stat_activity
        WHERE pid = pg_catalog.pg_backend_pid()),
       pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('default_transaction_isolation'),
       pg_catalog.current_setting('synchronous_commit'), pg_catalog.current_setting('fsync'),
       pg_catalog.current_setting('search_path'),
       pg_catalog.current_setting('session_replication_role'),
       pg_catalog.pg_my_temp_schema() <> 0,
       pg_catalog.concat_ws(' ', {meaning})
"""

# What a role's, a database's or a connection's own setting of these changes in an answer.
_MEANING = (
    "DateStyle IntervalStyle extra_float_digits bytea_output lc_monetary lc_numeric lc_time"
    " default_text_search_config xmlbinary xmloption array_nulls transform_null_equals row_security"
    " standard_conforming_strings timezone_abbreviations client_encoding"
).split()
_IDENTIFY = _IDENTIFY.format(
    meaning=", ".join(f"pg_catalog.current_setting('{name}')" for name in _MEANING)
)

_RELATIONS = """
SELECT c.oid, c.relname::text, c.relkind::text, c.relpersistence::text, c.relrowsecurity,
       EXISTS (SELECT FROM pg_catalog.pg_inherits i
               WHERE i.inhparent = c.oid OR i.inhrelid = c.oid),
       EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
       EXISTS (SELECT FROM pg_catalog.pg_rewrite r
               WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_t%'
"""

_CASCADES = """
SELECT confrelid, conrelid FROM pg_catalog.pg_constraint
WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
"""

# Functions that may write when a SELECT calls them: what pg_proc doesn't call immutable or stable,
# and what is neither the system's nor an extension's.
_FUNCTIONS = """
SELECT DISTINCT p.proname::text FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.provolatile = 'v'
   OR (n.nspname <> 'pg_catalog' AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_depend d
         WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
           AND d.objid = p.oid AND d.deptype = 'e'))
"""

# Tables whose rows are made or checked by a volatile function of the user's, which may write: in
# a default, a constraint, a policy, or those of a domain that a column is of, however deep. Below
# 16384 are the oids of what initdb has made.
_CALLERS = """
WITH RECURSIVE call AS (
    SELECT d.classid, d.objid, p.proname::text AS name
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
    WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.provolatile = 'v'
      AND p.oid >= 16384 AND d.classid IN ('pg_catalog.pg_attrdef'::pg_catalog.regclass,
                        'pg_catalog.pg_constraint'::pg_catalog.regclass,
                        'pg_catalog.pg_policy'::pg_catalog.regclass,
                        'pg_catalog.pg_type'::pg_catalog.regclass)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                      WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                        AND e.objid = p.oid AND e.deptype = 'e')
), kind(oid, name) AS (
    SELECT c.contypid, call.name FROM call JOIN pg_catalog.pg_constraint c
        ON c.oid = call.objid AND c.contypid <> 0
    WHERE call.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
    UNION
    SELECT t.oid, call.name FROM call JOIN pg_catalog.pg_type t
        ON t.oid = call.objid AND t.typtype = 'd'
    WHERE call.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
    UNION
    SELECT t.oid, kind.name FROM kind JOIN pg_catalog.pg_type t
        ON t.oid >= 16384 AND (kind.oid IN (t.typbasetype, t.typelem) OR t.typrelid IN
           (SELECT attrelid FROM pg_catalog.pg_attribute WHERE atttypid = kind.oid))
)
SELECT a.adrelid, call.name FROM call JOIN pg_catalog.pg_attrdef a ON a.oid = call.objid
WHERE call.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
UNION
SELECT c.conrelid, call.name FROM call JOIN pg_catalog.pg_constraint c ON c.oid = call.objid
WHERE call.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
UNION
SELECT p.polrelid, call.name FROM call JOIN pg_catalog.pg_policy p ON p.oid = call.objid
WHERE call.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass
UNION
SELECT a.attrelid, kind.name FROM kind JOIN pg_catalog.pg_attribute a ON a.atttypid = kind.oid
"""

# Volatile, and yet they write no row.
_WRITE_NOTHING = frozenset(
    """Random setseed clock_timestamp timeofday nextval setval currval lastval gen_random_uuid
    pg_sleep pg_sleep_for pg_sleep_until pg_advisory_lock pg_advisory_lock_shared
    pg_try_advisory_lock pg_try_advisory_lock_shared pg_advisory_xact_lock
    pg_advisory_xact_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
    pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all pg_notify pg_backend_pid
    pg_relation_size pg_total_relation_size pg_table_size pg_indexes_size pg_database_size
    pg_size_pretty pg_get_serial_sequence txid_current pg_current_xact_id pg_cancel_backend
    pg_terminate_backend.""".split()
)

_READY = 1  # psycopg2's STATUS_READY

# Kinds of session texts. A pooler sends a client's statement on whichever session it likes, perhaps
# when the client is dead: no session's end proves such a write over (PROTOCOL 2.5, 5).
_OWN = "session"
_POOLED = "pooled"

# Constants of psycopg2.extensions.
_PSYCOPG2_LEVELS = {1: Level.CURRENT, 2: Level.SNAPSHOT, 3: Level.SERIALIZABLE, 4: Level.CURRENT}

_KINDS = {
    "v": "is a view",
    "m": "is a materialized view",
    "f": "is a foreign table",
    "p": "is partitioned",
}


class PostgreSQL:
    """PROTOCOL's rules for PostgreSQL, at every isolation level."""

    name = "postgresql"
    dialect = _engine.POSTGRESQL
    born_marked = True
    drains = False
    configured_by_sql = False
    idle_attribute: str | None = None
    level_is_the_sessions = False

    def identify(self, connection: BaseDatabaseWrapper, driver: Any) -> Facts:
        row = _query(driver, _IDENTIFY)[0]
        (system, oid, start, database, user, pid, since, standby) = row[:8]
        (isolation, durable, fsync, search_path, replication_role, temporary) = row[8:14]
        level = POSTGRESQL_LEVELS.get(isolation)
        pooled = pid != driver.info.backend_pid
        reason = None
        if standby:
            reason = "the server is a standby"
        elif level is None:
            reason = f"the session's isolation level is {isolation}"
        elif durable == "off" or fsync == "off":
            reason = "synchronous_commit or fsync is off: a crash may lose commits"
        elif replication_role != "origin":
            reason = "session_replication_role is not origin"
        elif pooled:
            # Its sessions may be set up by other clients, between one statement and the next.
            reason = "a pooler stands between"
        elif temporary:
            reason = "the session has had temporary tables"
        elif since is None:
            reason = "the server doesn't tell this session's start"
        return Facts(
            vendor=self,
            family=f"postgresql {system} {oid} {database}".encode(),
            generation=f"started {start}".encode(),
            user=f"{user} {search_path} {self.driver_name(driver)} {_time_zone(driver)} {row[14]}",
            session=f"{_POOLED if pooled else _OWN}\0{user}\0{pid}\0{since}".encode(),
            uncached=reason,
            level=level or Level.SERIALIZABLE,
        )

    @staticmethod
    def driver_name(driver: Any) -> str:
        return type(driver).__module__.partition(".")[0]

    def peek(self, connection: BaseDatabaseWrapper) -> Facts | None:
        return None

    def file_of(self, connection: BaseDatabaseWrapper, facts: Facts) -> tuple[None, None]:
        return None, None

    def supersedes(self, identity: bytes, other: bytes) -> bool:
        return False

    # libpq's transaction states, the same numbers in both drivers.
    _IDLE, _ACTIVE, _IN_TRANSACTION, _IN_ERROR, _UNKNOWN = range(5)

    def in_transaction(self, driver: Any) -> bool:
        return int(driver.info.transaction_status) in (
            self._ACTIVE,
            self._IN_TRANSACTION,
            self._IN_ERROR,
        )

    def will_begin(self, driver: Any) -> bool:
        # psycopg2 believes itself in a transaction that a raw COMMIT has ended, and sends no BEGIN.
        return not driver.autocommit and getattr(driver, "status", _READY) == _READY

    def in_autocommit(self, driver: Any) -> bool:
        return (
            bool(driver.autocommit)
            and int(driver.info.transaction_status) == self._IDLE
            and not self.pipelined(driver)
        )

    def next_level(self, driver: Any, default: Level) -> Level | None:
        wanted = driver.isolation_level  # OPTIONS has put it there
        if wanted is None:
            return default
        if self.driver_name(driver) == "psycopg2":
            level = _PSYCOPG2_LEVELS.get(int(wanted))
            # Asked in autocommit, psycopg2 sets the session's default; asked before, it doesn't.
            serializable = driver.autocommit and Level.SERIALIZABLE in (level, default)
            return Level.SERIALIZABLE if serializable else level
        # psycopg 3 names it in its BEGIN, and there alone.
        return default if driver.autocommit else POSTGRESQL_LEVELS.get(_spelt(wanted))

    def isolation_wish(self, sql: str) -> Wish | None:
        return postgresql_wish(sql)

    def broken(self, driver: Any) -> bool:
        return int(driver.info.transaction_status) in (self._IN_ERROR, self._UNKNOWN)

    def pipelined(self, driver: Any) -> bool:
        pgconn = getattr(driver, "pgconn", None)  # psycopg2 has no pipelines
        return (
            pgconn is not None
            and hasattr(pgconn, "pipeline_status")
            and bool(pgconn.pipeline_status)
        )

    def unfinished(self, driver: Any) -> bool:
        return False

    def closed(self, driver: Any) -> bool:
        return bool(driver.closed) or int(driver.info.transaction_status) == self._UNKNOWN

    def outcome_known(self, driver: Any, error: BaseException) -> bool:
        from django.db import Error

        if not isinstance(error, Error) or self.closed(driver):
            return False
        cause = error.__cause__
        state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        # Class 08 is a lost connection, 57P a session's end: an answer, and the end (PROTOCOL 2.4).
        return state is not None and not state.startswith(("08", "57P"))

    def read_catalog(self, driver: Any) -> Catalog:
        tables: set[str] = set()
        refused: dict[str, str] = {}
        triggered: dict[str, str] = {}
        names: dict[int, str] = {}
        for oid, name, kind, persistence, secured, inherits, triggers, rules in _query(
            driver, _RELATIONS
        ):
            folded = ascii_lower(name)
            names[oid] = folded
            reason = _refusal(kind, persistence, secured, inherits)
            if reason is not None:
                refused[folded] = f"{name} {reason}"
            else:
                tables.add(folded)
            if kind != "r" or inherits or triggers or rules:
                cause = _KINDS.get(kind) or (
                    "takes part in inheritance"
                    if inherits
                    else "has triggers"
                    if triggers
                    else "has rules"
                )
                triggered[folded] = f"{name} {cause}"
        for oid, function in _query(driver, _CALLERS):
            if oid in names:
                triggered.setdefault(names[oid], f"{names[oid]} calls the function {function}")
        cascades: defaultdict[str, set[str]] = defaultdict(set)
        for target, source in _query(driver, _CASCADES):
            if target in names and source in names:
                cascades[names[target]].add(names[source])
        functions = frozenset(ascii_lower(name) for (name,) in _query(driver, _FUNCTIONS))
        return Catalog(
            # Two schemas may hold one name: what refuses one refuses both.
            tables=frozenset(tables - refused.keys()),
            refused=refused,
            cascades={table: frozenset(others) for table, others in cascades.items()},
            triggered=triggered,
            suspect_functions=functions - _WRITE_NOTHING,
        )

    def open_transactions(self, driver: Any) -> bytes | None:
        rows = _query(
            driver,
            "SELECT virtualxid FROM pg_catalog.pg_locks WHERE locktype = 'virtualxid'"
            " AND pid <> pg_catalog.pg_backend_pid()",
        )
        return ",".join(sorted(str(row[0]) for row in rows)).encode()

    def lost(self, driver: Any, identity: bytes, note: str) -> bool:
        family = identity.partition(b"\0")[0].decode().split(" ", 3)
        here = _query(
            driver, "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system())::text"
        )
        if len(family) < 4 or family[1] != here[0][0]:
            return False
        oids = {oid for (oid,) in _query(driver, "SELECT oid::text FROM pg_catalog.pg_database")}
        return family[2] not in oids

    def sessions_gone(self, driver: Any, sessions: Iterable[bytes]) -> set[bytes]:
        gone: set[bytes] = set()
        alive = {
            pid: (user, since)
            for pid, user, since in _query(
                driver,
                "SELECT pid, usename::text, extract(epoch FROM backend_start)::text"
                " FROM pg_catalog.pg_stat_activity",
            )
        }
        transactions: set[str] | None = None
        for session in sessions:
            kind, _, rest = session.partition(b"\0")
            if kind == _OWN.encode():
                _, pid, since = rest.decode().split("\0")
                here = alive.get(int(pid))
                # Hidden starts (another role's session) prove nothing.
                if here is None or (here[1] is not None and here[1] != since):
                    gone.add(session)
            elif kind == b"transactions":
                if transactions is None:
                    open_now = self.open_transactions(driver) or b""
                    transactions = set(open_now.decode().split(","))
                if transactions.isdisjoint(rest.decode().split(",")):
                    gone.add(session)
        return gone


def _refusal(kind: str, persistence: str, secured: bool, inherits: bool) -> str | None:
    if kind != "r":
        return _KINDS[kind]
    if persistence == "u":
        return "is unlogged: a crash empties it"
    if persistence == "t":
        return "is temporary"
    if secured:
        return "has row-level security"
    if inherits:
        return "takes part in inheritance"
    return None


def _spelt(level: Any) -> str:
    return str(level.name).replace("_", " ").lower()


def _time_zone(driver: Any) -> str:
    parameter = getattr(driver.info, "parameter_status", None)
    return str(parameter("TimeZone")) if parameter else ""


def _query(driver: Any, sql: str) -> list[tuple[Any, ...]]:
    """Runs one of our own queries below the hook, in autocommit or on a connection nobody used
    yet."""
    with driver.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


POSTGRESQL = PostgreSQL()
