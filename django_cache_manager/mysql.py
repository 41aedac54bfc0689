"""MariaDB and MySQL: what the server and the driver's connection tell.

For mysqlclient. PyMySQL in its place shows the server's status by itself: reads, writes and
transactions were tried by hand with 1.2.4 on MariaDB 10.11; the tests run mysqlclient alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from typing import TYPE_CHECKING, Any, Final

from . import _engine
from .identity import Facts
from .isolation import MYSQL_LEVELS, Level
from .mysql_catalog import read_catalog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .catalog import Catalog
    from .isolation import Wish

# The uptime is counted from the server's start to this statement's, which is what UNIX_TIMESTAMP()
# gives: the difference is the same at every call.
_IDENTIFY = """
SELECT CONNECTION_ID(), USER(), CURRENT_USER(), DATABASE(), @@hostname, @@port, @@datadir,
       CAST(UNIX_TIMESTAMP() - (
           SELECT VARIABLE_VALUE FROM {status} WHERE VARIABLE_NAME = 'UPTIME') AS SIGNED),
       (SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID())
"""
_STATUS_OF_MARIADB = "information_schema.GLOBAL_STATUS"
_STATUS_OF_MYSQL = "performance_schema.global_status"

_REPLICA_OF_MYSQL: Final = ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS")
_REPLICA_OF_MARIADB: Final = (
    "SHOW ALL SLAVES STATUS",
    # Counts what runs, without a privilege.
    f"SELECT 1 FROM {_STATUS_OF_MARIADB}"
    " WHERE VARIABLE_NAME = 'SLAVES_RUNNING' AND VARIABLE_VALUE <> '0'",
)

# What decides about the rows a statement gives, the same text and the same tables given.
_MEANING: Final = (
    "block_encryption_mode character_set_client character_set_collations"
    " character_set_connection character_set_results collation_connection collation_database"
    " default_regex_flags default_week_format div_precision_increment group_concat_max_len"
    " lc_time_names lower_case_table_names max_recursive_iterations max_sort_length old_mode"
    " optimizer_switch sql_auto_is_null sql_mode sql_select_limit system_time_zone"
    " system_versioning_asof time_zone windowing_use_high_precision"
).split()

_RULES: Final = (
    "group_replication_group_name innodb_flush_log_at_trx_commit innodb_flush_method"
    " innodb_read_only log_bin read_only server_uuid super_read_only sync_binlog"
    " transaction_isolation tx_isolation wsrep_on"
).split()

# Statements are read otherwise by the server than by our scanner.
_OTHER_GRAMMARS: Final = frozenset({"ANSI_QUOTES", "MSSQL", "NO_BACKSLASH_ESCAPES", "ORACLE"})

_IN_TRANSACTION, _AUTOCOMMIT, _MORE_RESULTS = 1, 2, 8  # of SERVER_STATUS_*
_ACCESS_DENIED: Final = frozenset({1142, 1227})

_CACHED_FOR_SECONDS: Final = 0.12
"""The server makes its list of transactions anew when it has not been read for 0.1 s."""


class MySQL:
    """PROTOCOL's rules for MariaDB and MySQL.

    A segment is a server's: a statement may name tables of any of its databases (schemas), so two
    of them that bear one name share a cell. The schema is part of the key.
    """

    name = "mysql"
    dialect = _engine.MYSQL
    born_marked = True
    drains = False
    configured_by_sql = True
    idle_attribute: str | None = None
    level_is_the_sessions = True

    # --- who --------------------------------------------------------------------------------------

    def identify(self, connection: BaseDatabaseWrapper, driver: Any) -> Facts:
        if not _shows_status(driver):
            raise ValueError(
                f"{type(driver).__module__} doesn't show whether a transaction is open"
            )
        mariadb = "mariadb" in str(driver.get_server_info()).lower()
        status = _STATUS_OF_MARIADB if mariadb else _STATUS_OF_MYSQL
        (row,) = _query(driver, _IDENTIFY.format(status=status))
        (session, login, account, schema, host, port, folder, start, visible) = row
        names = ", ".join(f"'{name}'" for name in (*_MEANING, *_RULES))
        settings = {
            str(name): str(value)
            for name, value in _query(
                driver, f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})"
            )
        }
        if int(start) <= 0:
            raise ValueError("@@timestamp is set, so the server's start can't be told")
        reason = _refusal(settings)
        if reason is None and (session != driver.thread_id() or not visible):
            reason = "a proxy or pooler stands between"
        if reason is None:
            reason = self._replica(driver, mariadb)
        anchor = settings.get("server_uuid") or f"{port} {folder}"
        return Facts(
            vendor=self,
            family=f"mysql {anchor}\n{host} {port}".encode(),
            generation=f"started {int(start)}".encode(),
            user=f"{account} {schema} {self.driver_name(driver)} {_meaning(connection, settings)}",
            session=b"session\0%s\0%d" % (_name(login), int(session)),
            level=MYSQL_LEVELS.get(_level(settings), Level.SERIALIZABLE),
            scope=f"{account} {schema}".encode(),
            uncached=reason,
        )

    @staticmethod
    def driver_name(driver: Any) -> str:
        return type(driver).__module__.partition(".")[0]

    @staticmethod
    def _replica(driver: Any, mariadb: bool) -> str | None:
        """Why the server may be changed by others than its own sessions, or None."""
        questions = _REPLICA_OF_MARIADB if mariadb else _REPLICA_OF_MYSQL
        for question in questions:
            with contextlib.suppress(Exception):  # no privilege, or another release's words
                return "the server is a replica" if _query(driver, question) else None
        return "the server doesn't say whether it is a replica: grant REPLICATION CLIENT"

    def peek(self, connection: BaseDatabaseWrapper) -> Facts | None:
        return None

    def file_of(self, connection: BaseDatabaseWrapper, facts: Facts) -> tuple[None, None]:
        return None, None

    def supersedes(self, identity: bytes, other: bytes) -> bool:
        """The same data under another host name, from an earlier start: a container that was made
        anew.

        Two servers of two containers look the same; the earlier one's cache begins again then.
        """
        mine, theirs = identity.partition(b"\n"), other.partition(b"\n")
        return mine[0] == theirs[0] and _started(identity) > _started(other)

    # --- transactions -----------------------------------------------------------------------------

    def in_transaction(self, driver: Any) -> bool:
        return bool(driver.open) and bool(_status(driver) & _IN_TRANSACTION)

    def will_begin(self, driver: Any) -> bool:
        return not _status(driver) & (_IN_TRANSACTION | _AUTOCOMMIT)

    def in_autocommit(self, driver: Any) -> bool:
        seen = _status(driver) & (_IN_TRANSACTION | _AUTOCOMMIT | _MORE_RESULTS)
        return bool(driver.open) and seen == _AUTOCOMMIT

    def next_level(self, driver: Any, default: Level) -> Level | None:
        return default

    def isolation_wish(self, sql: str) -> Wish | None:
        return None

    def broken(self, driver: Any) -> bool:
        return False

    def pipelined(self, driver: Any) -> bool:
        return False

    def unfinished(self, driver: Any) -> bool:
        return bool(_status(driver) & _MORE_RESULTS)

    def closed(self, driver: Any) -> bool:
        return not driver.open

    def outcome_known(self, driver: Any, error: BaseException) -> bool:
        """PROTOCOL 2.4.

        The connection is usable if it answers once more. That answer is needed in any case: an
        error's doesn't carry the server's status, and a deadlock has ended the transaction
        (PROTOCOL 4.3).
        """
        from django.db import Error

        if not isinstance(error, Error) or self.closed(driver):
            return False
        try:
            driver.query("DO 0")  # the client library reads no status from a ping's answer
        except Exception:
            return False
        return True

    # --- what the server tells --------------------------------------------------------------------

    def read_catalog(self, driver: Any) -> Catalog:
        return read_catalog(lambda sql: _query(driver, sql))

    def open_transactions(self, driver: Any) -> bytes | None:
        """PROTOCOL 2.6.

        With the PROCESS privilege all transactions and running statements, without it all other
        sessions of the same user.
        """
        listed = _fresh_transactions(driver)
        sessions = _sessions(driver)
        if listed is None:
            user = _user(driver).hex().encode()
            return b",".join(b"s%d.%s" % (number, user) for number in sessions)
        running = [
            b"q%d.%d" % (number, query)
            for number, (command, query) in sessions.items()
            if command not in _RESTING
        ]
        return b",".join((*listed, *running))

    def lost(self, driver: Any, identity: bytes, note: str) -> bool:
        return False  # a segment is the server's

    def sessions_gone(self, driver: Any, sessions: Iterable[bytes]) -> set[bytes]:
        """PROTOCOL 2.5: without the PROCESS privilege only the same user's sessions are shown."""
        listed = _transactions(driver)
        alive = _sessions(driver)
        own = _user(driver)
        gone: set[bytes] = set()
        for session in sessions:
            kind, _, rest = session.partition(b"\0")
            if kind == b"session":
                user, _, number = rest.partition(b"\0")
                if (listed is not None or user == own) and int(number) not in alive:
                    gone.add(session)
            elif kind == b"transactions" and not any(
                _goes_on(note, alive, listed, own) for note in rest.split(b",")
            ):
                gone.add(session)
        return gone


_RESTING: Final = frozenset({"Sleep", "Daemon", "Binlog Dump", "Slave_IO", "Slave_SQL"})


def _refusal(settings: dict[str, str]) -> str | None:
    modes = _OTHER_GRAMMARS & set(settings["sql_mode"].split(","))
    if _level(settings) not in MYSQL_LEVELS:
        return f"the session's isolation level is {_level(settings)}"
    if modes:
        return f"sql_mode has {min(modes)}"
    if settings.get("wsrep_on", "OFF") == "ON":
        return "the server is a node of a Galera cluster"
    if settings.get("group_replication_group_name"):
        return "the server is a member of a replication group"
    if "ON" in (
        settings.get("read_only"),
        settings.get("super_read_only"),
        settings.get("innodb_read_only"),
    ):
        return "the server is read-only"
    if settings["innodb_flush_log_at_trx_commit"] not in ("1", "3"):
        return "innodb_flush_log_at_trx_commit is not 1: a crash may lose commits"
    if settings.get("innodb_flush_method", "").upper() == "NOSYNC":
        return "innodb_flush_method is nosync: a crash may lose commits"
    if settings.get("log_bin") == "ON" and settings.get("sync_binlog") != "1":
        return "log_bin is on and sync_binlog is not 1: a crash may lose commits"
    return None


def _level(settings: dict[str, str]) -> str:
    return settings.get("transaction_isolation") or settings.get("tx_isolation", "")


def _meaning(connection: BaseDatabaseWrapper, settings: dict[str, str]) -> str:
    """What the session's settings and the driver's options make of rows, in short."""
    options = sorted(connection.settings_dict["OPTIONS"].items())
    known = sorted((name, settings[name]) for name in _MEANING if name in settings)
    return hashlib.sha256(repr((known, options)).encode(errors="replace")).hexdigest()[:32]


def _shows_status(driver: Any) -> bool:
    try:
        return _engine.mysql_status_proved(driver)
    except (AttributeError, TypeError):
        return isinstance(getattr(driver, "server_status", None), int)


def _status(driver: Any) -> int:
    try:
        return _engine.mysql_status(driver)
    except TypeError:
        return int(driver.server_status)  # PyMySQL's


def _number(error: BaseException) -> int | None:
    """The server's or the client library's number of an error; both drivers put it first."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) else None


def _name(account: str) -> bytes:
    """The user of user@host."""
    return account.rpartition("@")[0].encode()


def _user(driver: Any) -> bytes:
    """Whose sessions are shown."""
    return _name(str(_query(driver, "SELECT CURRENT_USER()")[0][0]))


def _started(identity: bytes) -> int:
    return int(identity.rpartition(b" ")[2])


def _sessions(driver: Any) -> dict[int, tuple[str, int]]:
    """The other sessions that are shown: what each is at, and the number of its statement."""
    mariadb = "mariadb" in str(driver.get_server_info()).lower()
    number = "QUERY_ID" if mariadb else "0"
    rows = _query(
        driver,
        f"SELECT ID, COMMAND, {number} FROM information_schema.PROCESSLIST"
        " WHERE ID <> CONNECTION_ID()",
    )
    return {int(session): (str(command), int(query)) for session, command, query in rows}


def _transactions(driver: Any) -> set[bytes] | None:
    """InnoDB's transactions, perhaps as they were a moment ago; None: they aren't shown."""
    try:
        rows = _query(
            driver,
            "SELECT TRX_MYSQL_THREAD_ID, UNIX_TIMESTAMP(TRX_STARTED)"
            " FROM information_schema.INNODB_TRX",
        )
    except Exception as error:
        if _number(error) in _ACCESS_DENIED:
            return None
        raise
    return {b"t%d.%d" % (int(session), int(started)) for session, started in rows}


def _fresh_transactions(driver: Any) -> set[bytes] | None:
    """InnoDB's transactions as they are now: a list without our own was made before it began.

    Raises ValueError when others read the list so often that it isn't made anew.
    """
    own = b"t%d." % driver.thread_id()
    listed = _transactions(driver)
    if listed is None:
        return None
    if any(note.startswith(own) for note in listed):
        raise ValueError("the list of transactions is an old one")
    _run(driver, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    _run(driver, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
    try:
        time.sleep(_CACHED_FOR_SECONDS)
        listed = _transactions(driver) or set()
    finally:
        driver.rollback()
    mine = {note for note in listed if note.startswith(own)}
    if not mine:
        raise ValueError("the list of transactions is an old one")
    return listed - mine


def _goes_on(
    note: bytes, alive: dict[int, tuple[str, int]], listed: set[bytes] | None, own: bytes
) -> bool:
    """Whether what `open_transactions` noted may not be over."""
    kind, (session, _, detail) = note[:1], note[1:].partition(b".")
    command, query = alive.get(int(session), ("", 0))
    if kind == b"s" and (listed is not None or detail == own.hex().encode()):
        return bool(command)
    if listed is None:
        return True  # noted by a user who is shown more, or others
    if kind == b"t":
        return note in listed
    return command not in ("", *_RESTING) and query == int(detail)


def _run(driver: Any, sql: str) -> None:
    cursor = driver.cursor()
    try:
        cursor.execute(sql)
    finally:
        cursor.close()


def _query(driver: Any, sql: str) -> list[tuple[Any, ...]]:
    """Runs one of our own queries below the hook, in autocommit or on a connection nobody used
    yet."""
    cursor = driver.cursor()
    try:
        cursor.execute(sql)
        return list(cursor.fetchall())
    finally:
        cursor.close()


MYSQL = MySQL()
