"""The C engine. Everything here takes and gives plain values; no Django, no pickle. Times are clock
values of a segment (ints), sizes are bytes, durations milliseconds. A set of cells is `bytes`:
native uint32 numbers, ascending, distinct. All failures of the segment raise `SegmentError`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

NO_LIMIT: Final[int]
"""2**64 - 1: a `limit` that limits nothing."""

DATABASE_CELL: Final[bytes]
"""The set that holds just the database's own cell."""

class SegmentError(Exception):
    status: str
    """A word: argument, system, memory, corrupt, foreign, namespace, version, busy, full, retired,
    unsupported."""
    errno: int

class Unencodable(ValueError):
    """A value outside the closed set of DESIGN section 7. The message names its type."""

class Segment:
    """The shared file of one database. Thread-safe; survives fork (a child takes its own lock
    descriptor)."""

    path: str | None
    identity: bytes
    unique: bytes
    """16 bytes drawn at creation."""
    created: bool
    """True when this call of open() created the file."""
    private: bool
    cells_count: int
    max_entry: int
    size: int
    storable: bool
    """False when the file has another store version: writes are marked, nothing is hit."""

    @staticmethod
    def open(
        path: str,
        identity: bytes,
        *,
        size: int,
        cells: int,
        slots: int,
        max_entry: int,
        mode: int = 0o600,
        group: int = -1,
        born_marked: bool = False,
    ) -> Segment: ...
    @staticmethod
    def private_memory(*, size: int, cells: int, slots: int, max_entry: int) -> Segment: ...
    @staticmethod
    def inspect(path: str) -> Segment: ...
    def usable(self) -> bool: ...
    def linked(self) -> bool: ...
    def retire(self) -> None: ...
    def clock(self) -> int: ...
    def cells(self, tables: Iterable[str], database: bool = False) -> bytes:
        """The cells of case-folded table names; with `database`, the database's own cell too."""
    def valid(self, cells: bytes, time: int, limit: int = ...) -> bool: ...
    def begin_write(self, cells: bytes, session: bytes = b"") -> int:
        """W1. Returns a ticket. On SegmentError nothing is marked and the segment is retired."""
    def end_write(self, ticket: int) -> int:
        """W3. Returns the stamp."""
    def abandon_write(self, ticket: int) -> None: ...
    def slots(self) -> list[dict[str, Any]]:
        """Slots in use: ticket, state ("writing" | "unknown"), owner_alive, pid, since_us, cells,
        session."""
    def settle(self, ticket: int, force: bool = False) -> bool:
        """False when somebody else did it, or its owner lives."""
    def last_write(self, table: str | None) -> dict[str, int] | None:
        """stamp, writers, writes, realtime_ms, pid of a table's (None: the database's) cell."""
    def get(
        self, key: bytes, limit: int = ...
    ) -> tuple[list[tuple[Any, ...]], bytes, int, int] | None:
        """Rows, cells, stamp and encoded size of a valid entry; None is a miss. Counts a hit or a
        miss."""
    def put(self, key: bytes, cells: bytes, time: int, encoded: bytes, timeout_ms: int = 0) -> bool:
        """Stores what encode_rows gave. False: too large or busy."""
    def count_hit(self) -> None:
        """Counts a hit that L1 answered."""
    def clear(self) -> bool: ...
    def stats(self) -> dict[str, Any]: ...
    def problems(self) -> list[str]:
        """What verification finds; empty is sound."""

class Bypass:
    """A write while no segment can be had: none is created as long as this is held. Context
    manager."""

    def __init__(self, path: str, *, mode: int = 0o600, group: int = -1) -> None: ...
    def __enter__(self) -> Bypass: ...
    def __exit__(self, *exc: object) -> None: ...
    def close(self) -> None: ...

class LocalCache:
    """L1: values of this process, bounded in bytes, each checked against its segment's cells at
    every get. FIFO with one reinsertion of what was hit. Thread-safe."""

    def __init__(self, max_bytes: int) -> None: ...
    def get(self, key: bytes, segment: Segment, limit: int = ...) -> Any | None:
        """The value, or None. A value that is no longer valid is dropped (not when only `limit`
        refuses it)."""
    def put(
        self,
        key: bytes,
        segment: Segment,
        cells: bytes,
        time: int,
        value: Any,
        size: int,
        timeout_ms: int = 0,
    ) -> None: ...
    def recount(self, key: bytes, value: Any, size: int) -> None:
        """The value of `key`, if it is this very one, takes `size` bytes now."""
    def clear(self) -> None: ...
    def __len__(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    max_bytes: int

class RowPlan:
    """How the rows of one shape become model instances. Raises ValueError for a description that
    can't be followed, TypeError for none. Immutable.

    `nodes`: the row's own instance and those that select_related() brings, in preorder, each
    (model, fields, pk column, local name, remote name, nodes in it with itself). Of the first the
    pk column and the names don't count. A field is (attname, column, whether its descriptor asks
    the fields cache). The outer instance caches the inner one by the local name, the inner one the
    outer by the remote name, unless that is None. An annotation is (name, column).

    `types` are the classes, `attributes` the (class, name, object), `names` the (namespace, name,
    object) or (namespace, name) for one that is absent, and `receivers` the lists that must stay
    as they are for the plan to hold; a list may get shorter.
    """

    def __init__(
        self,
        state_type: type,
        nodes: tuple[tuple[Any, ...], ...],
        annotations: tuple[tuple[str, int], ...],
        types: tuple[type, ...],
        attributes: tuple[tuple[type, str, Any], ...],
        names: tuple[tuple[Any, ...], ...],
        receivers: tuple[list[Any], ...],
    ) -> None: ...
    def holds(self) -> bool: ...
    def build(
        self,
        rows: list[Any],
        db: str,
        fetch_mode: Any = None,
        track_peers: Any = False,
        copy: Any = False,
    ) -> list[Any] | None:
        """The instances, or None when the plan holds no longer. `fetch_mode` None: not set. `copy`:
        lists and dicts in the rows are copied for each instance. Raises ValueError for a row of
        another shape."""

ITEMS: Final[int]
COUNT: Final[int]
EXISTS: Final[int]
AGGREGATE: Final[int]
LEVEL: Final[int]
ONE: Final[int]
FIRST: Final[int]
LAST: Final[int]
TRACE_VALUES_MAX: Final[int]
"""Values that a trace may have: its key is made of them each time."""

class Trace:
    """A shape and its values: the public calls that made a queryset (traces.py). Never changed."""

    shape: Any
    values: tuple[Any, ...]
    calls: tuple[tuple[Any, ...], ...]
    """(method, args, kwargs), to be replayed."""

    def __init__(
        self, shape: Any, values: tuple[Any, ...], calls: tuple[tuple[Any, ...], ...]
    ) -> None: ...
    def filtered(self, method: Any, kwargs: dict[str, Any], plain: Any) -> Any:
        """The trace after filter() or exclude() with keywords; None: its shape isn't known.
        NotImplemented: a value's type isn't in the set `plain`."""

def link(instances: list[Any], related: Mapping[Any, Any], link: tuple[Any, ...]) -> bool:
    """Sets the objects of a foreign key (row_plans.Link), found in `related` by its values, in the
    instances' fields caches. False: something isn't plain, and Django has to do the rest."""

def aggregated_name(expression: Any, defaults: dict[str, Any], reference: type) -> str | None:
    """The name that an aggregate's only source, of the class `reference` (F), has; None where the
    expression says more than that and the defaults, which are compared by identity."""

def unbuilt(queryset: Any, trace: Trace, kept: tuple[str, ...]) -> Any:
    """A queryset of the same class with the attributes of the trace's shape, and the `kept` ones of
    `queryset`. Its `__init__` isn't run. Raises KeyError for one that `queryset` hasn't."""

def pristine(manager: Any, roots: dict[Any, Trace]) -> Any:
    """The queryset of a manager that has a root, made of its trace; None: Django has to make it, or
    the manager has a `caching` of its own."""

def plain_trace(queryset: Any) -> Any:
    """The queryset's trace; None: it has none. NotImplemented: a filter is put off, or somebody has
    set another `_iterable_class` or `_fields` than its calls have left."""

class Unopened:
    """Where a connection that isn't open would lead (standing.py), and what that follows from:
    the settings have the `wanted` objects and OPTIONS equal to `options`, `last_known` has `facts`
    under the key, and at `path` there is the file that file_identity() gave. Raises TypeError where
    an argument is missing. Never changed."""

    def __init__(
        self,
        *,
        settings: dict[str, Any],
        wanted: dict[str, Any],
        options: dict[str, Any],
        last_known: dict[Any, Any],
        key: Any,
        facts: Any,
        path: bytes | None,
        file: tuple[int, int, int, int] | None,
    ) -> None: ...

class Standing:
    """What a connection's last look round has found (standing.py), and what that was made of.
    Raises TypeError where an argument is missing. Never changed."""

    head: bytes

    def __init__(
        self,
        *,
        segment: Segment,
        head: bytes,
        state: Any,
        driver: Any,
        session: Any,
        level: Any,
        idle: str | None,
        in_autocommit: Any,
        next_level: Any,
        ensure_connection: Any,
        settings: Any,
        settings_now: dict[str, Any],
        use_tz: Any,
        django_settings: dict[str, Any],
        time_zone: Any,
        schema: Any,
        uncached_depth: Any,
        unopened: Unopened | None,
    ) -> None: ...
    def holds(self, connection: Any) -> bool:
        """Whether all of it is as it was, and the connection this thread's."""

class Answers:
    """Hits of traced querysets, where all is as it was at the connection's last look round. What
    isn't plain is NotImplemented: Python has to decide; `miss` is that there is no answer. Raises
    TypeError where an argument is missing. Never changed."""

    def __init__(
        self,
        *,
        cache: LocalCache,
        miss: Any,
        captures: Any,
        connections: Any,
        local_type: type,
        running_loop: Any,
        database: Any,
        default_alias: str,
        router: Any,
        db_for_read: Any,
        query_names: dict[str, Any],
        filtering: Any,
        plain: frozenset[Any],
        kept: tuple[str, ...],
        roots: dict[Any, Trace],
    ) -> None: ...
    def alias(self, queryset: Any) -> str | None:
        """What `queryset.db` is; None: Django has to be asked."""
    def find(
        self, queryset: Any, trace: Trace, kind: int, alias: str, connection: Any = ...
    ) -> Any:
        """A trace's answer, counted as a hit; or `miss`. `connection`: that is asked, for an event
        loop in this thread; else this thread's is."""
    def answer(
        self, queryset: Any, kind: int, kwargs: dict[str, Any] = ..., connection: Any = ...
    ) -> Any:
        """The answer of a queryset that has no results yet, after a filter() by `kwargs` if they
        are given; or `miss`. `connection`: as of find()."""
    def filter(self, queryset: Any, method: Any, kwargs: dict[str, Any]) -> Any:
        """The queryset of a filter() or exclude() whose shape is known."""
    def name(
        self, queryset: Any, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The queryset of an order_by() or another call with names, whose shape is known."""
    def slice(self, queryset: Any, method: Any, key: Any) -> Any:
        """The queryset of a slice whose shape is known."""
    def manager_get(
        self, manager: Any, guards: tuple[Any, str, Any], kind: int, kwargs: dict[str, Any]
    ) -> Any:
        """The answer of a manager's filter(), without a queryset; or `miss`. `guards`: what
        `get_queryset` of the manager's class must be, and what the queryset's class must have under
        a name."""
    def manager_filter(
        self, manager: Any, guards: tuple[Any, str, Any], method: Any, kwargs: dict[str, Any]
    ) -> Any:
        """The queryset of a manager's filter() or exclude() whose shape is known."""

class Scan:
    """What sqlscan says of one SQL string."""

    flags: int
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    functions: tuple[str, ...]

SQLITE: Final[int]
POSTGRESQL: Final[int]
MYSQL: Final[int]
# The flags of include/qcache/sqlscan.h, by the same names.
READ: Final[int]
WRITE: Final[int]
DDL: Final[int]
UNKNOWN: Final[int]
BEGIN: Final[int]
IMMEDIATE: Final[int]
COMMIT: Final[int]
ROLLBACK: Final[int]
SAVEPOINT: Final[int]
RELEASE: Final[int]
ROLLBACK_TO: Final[int]
HARMLESS: Final[int]
SESSION: Final[int]
TEMP: Final[int]
ATTACH: Final[int]
LOCKING: Final[int]
RETURNING: Final[int]
COPY_FROM: Final[int]
ISOLATION: Final[int]
DATABASE: Final[int]
SYSTEM: Final[int]

def scan(sql: str, dialect: int) -> Scan: ...
def encode_key(parts: Sequence[Any]) -> bytes:
    """Typed bytes of a tuple of values: equal bytes mean equal types and values. Raises
    Unencodable."""

def encode_rows(rows: Sequence[Sequence[Any]], max_bytes: int) -> bytes | None:
    """Rows (tuples or lists of one length) as bytes; None past max_bytes. Raises Unencodable."""

def decode_rows(encoded: bytes) -> list[tuple[Any, ...]]:
    """Raises ValueError for bytes encode_rows would not have written."""

def pack_entry(key: bytes, cells: bytes, time: int, encoded: bytes) -> bytes:
    """An entry for a Django cache backend: checksummed, key included."""

def unpack_entry(packed: bytes, key: bytes) -> tuple[list[tuple[Any, ...]], bytes, int, int] | None:
    """What Segment.get gives; None for another key or damage."""

def shareable(rows: Sequence[Sequence[Any]]) -> bool:
    """Whether every value is of an exact immutable type, so that rows can be handed out again and
    again."""

def copyable(rows: Sequence[Sequence[Any]]) -> bool:
    """Whether every value is of an exact immutable type or a list, tuple or dict of such, so that
    copies of the rows can be handed out again and again."""

def row_tuples(rows: list[Any], copy: Any = False) -> list[tuple[Any, ...]]:
    """Rows as tuples: a tuple itself, if nothing in it has to be copied. `copy`: lists and dicts
    are copied; here and in the next three."""

def row_named(rows: list[Any], row_class: Any, copy: Any = False) -> list[Any]:
    """Rows as instances of a named tuple's class."""

def row_column(rows: list[Any], column: int, copy: Any = False) -> list[Any]:
    """One value of each row. Raises ValueError for a row without such a column."""

def row_dicts(rows: list[Any], names: Sequence[str], copy: Any = False) -> list[dict[str, Any]]:
    """Rows as dicts of their first columns. Raises ValueError for a row with too few."""

def footprint(rows: Sequence[Sequence[Any]]) -> int:
    """Bytes that rows take in this process, shared objects counted each time."""

def file_identity(path: str) -> tuple[int, int, int, int]:
    """Device major, device minor, inode, birth time in ns (0 where the file system tells none).
    Raises OSError."""

def mysql_status(driver: object) -> int:
    """The status word of the server's last answer (SERVER_STATUS_IN_TRANS is 1) in a connection of
    mysqlclient. Raises TypeError for another driver's."""

def mysql_status_proved(driver: object) -> bool:
    """Whether what lies around the status word is what mysqlclient's methods give."""

def process_namespace() -> int:
    """The inode of this process's PID namespace."""
