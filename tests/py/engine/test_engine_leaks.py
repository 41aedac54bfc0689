"""Each entry point, called some thousand times with good and bad arguments, leaves nothing behind.

Counted: Python's own memory (tracemalloc), the C heap (mallinfo2 of glibc), and references to the
arguments.
"""

import ctypes
import datetime
import decimal
import gc
import sys
import tracemalloc
import uuid
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest
from segment_file import SIZES
from test_engine_aggregates import DEFAULTS, Reference, an_aggregate
from test_engine_answers import CHANGES
from test_engine_answers import a_plan as plan_of_items
from test_engine_links import LINK
from test_engine_links import Owner as Linked
from test_engine_links import Thing as Linking
from test_engine_prototypes import answer as answer_of_rows
from test_engine_row_plan import related
from traced_world import KEPT, PLAIN, Answer, Queryset, World

from django_cache_manager import _engine

WARM_UP = 200
CALLS = 2000
NOISE = 4096  # of the measurement itself; an object a call would be ten times as much

ROWS: list[Any] = [
    (
        i,
        "é",
        "ascii",
        None,
        True,
        1.5,
        b"x",
        2**80,
        decimal.Decimal("1.5"),
        uuid.UUID(int=5),
        datetime.date(2024, 1, 1),
        datetime.time(1, tzinfo=datetime.UTC),
        datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
        datetime.timedelta(1),
        [1, {"a": (2, [3])}],
    )
    for i in range(5)
]
BAD_ROWS: list[Any] = [(1, [2, {"a": object()}])]
ZONED: list[Any] = [
    (datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(0), "Z")),)
]
SURROGATE: list[Any] = [("\ud800",)]
LARGE: list[Any] = [("x" * 300_000,)]
ENCODED = _engine.encode_rows(ROWS, 1 << 20) or b""
PACKED = _engine.pack_entry(b"key", b"\1\0\0\0" * 10, 5, ENCODED)
CUT = [ENCODED[: len(ENCODED) * part // 8] for part in range(1, 8)]
SQL = 'UPDATE "é" SET a = f(b) WHERE c IN (SELECT d FROM e)'


def failing(function: Callable[..., Any], *arguments: Any, **named: Any) -> Callable[[], None]:
    def call() -> None:
        try:
            function(*arguments, **named)
        except (
            ValueError,
            TypeError,
            OverflowError,
            OSError,
            RecursionError,
            LookupError,
            _engine.SegmentError,
        ):
            return
        raise AssertionError("did not fail")

    return call


def pure_calls() -> dict[str, Callable[[], Any]]:
    return {
        "encode_rows": lambda: _engine.encode_rows(ROWS, 1 << 20),
        "encode_rows large": lambda: _engine.encode_rows(LARGE, 1 << 20),
        "encode_rows past the cap": lambda: _engine.encode_rows(ROWS, 50),
        "encode_rows bad": failing(_engine.encode_rows, BAD_ROWS, 1 << 20),
        "encode_rows zone": failing(_engine.encode_rows, ZONED, 1 << 20),
        "encode_rows surrogate": failing(_engine.encode_rows, SURROGATE, 1 << 20),
        "encode_rows no rows": failing(_engine.encode_rows, None, 1),
        "encode_key": lambda: _engine.encode_key(ROWS[0]),
        "encode_key bad": failing(_engine.encode_key, BAD_ROWS),
        "decode_rows": lambda: _engine.decode_rows(ENCODED),
        "decode_rows cut": lambda: [failing(_engine.decode_rows, cut)() for cut in CUT],
        "pack_entry": lambda: _engine.pack_entry(b"key", b"\1\0\0\0", 5, ENCODED),
        "unpack_entry": lambda: _engine.unpack_entry(PACKED, b"key"),
        "unpack_entry miss": lambda: _engine.unpack_entry(PACKED, b"kez"),
        "shareable": lambda: _engine.shareable(ROWS),
        "footprint": lambda: _engine.footprint(ROWS),
        "scan": lambda: _engine.scan(SQL, 0),
        "scan unknown": lambda: _engine.scan("gibberish (", 1),
        "scan bad": failing(_engine.scan, b"", 0),
        "file_identity": lambda: _engine.file_identity("/"),
        "file_identity bad": failing(_engine.file_identity, "/missing/file"),
        "process_namespace": _engine.process_namespace,
        "arguments": failing(_engine.scan, sql="x", dialect=0, unknown=1),
    }


class Thing:
    pass


class Owner:
    pass


NODES = (
    (Thing, (("id", 0, False), ("owner_id", 1, True)), None, None, None, 2),
    (Owner, (("id", 2, False),), 2, "owner", "thing", 1),
)
NAMED = namedtuple("NAMED", "a b c")
MUTABLE: list[Any] = [(1, [{"a": [2]}, (3, [4])], 5), (1, {}, None)]
SPACE: dict[str, Any] = {"name": NODES}
RECEIVERS: list[Any] = [object()]


def a_plan(nodes: Any = NODES, annotations: Any = (("n", 1),), names: Any = ()) -> _engine.RowPlan:
    attributes = ((Thing, "__init__", object.__init__),)
    places = ((SPACE, "name", NODES), (SPACE, "absent"), *names)
    receivers = (RECEIVERS,)
    return _engine.RowPlan(Owner, nodes, annotations, (Thing,), attributes, places, receivers)


def plan_calls() -> dict[str, Callable[[], Any]]:
    """Of RowPlan and what makes rows into values."""
    plan = a_plan()
    ended = a_plan(names=((SPACE, "name"),))
    uneven, many = [*MUTABLE, (1,)], MUTABLE * 110
    endless: list[Any] = []
    endless.append(endless)
    return {
        "plan": a_plan,
        "plan holds": plan.holds,
        "plan bad node": failing(a_plan, (*NODES[:1], (Owner, (), None, 1, None, 1))),
        "plan bad annotation": failing(a_plan, annotations=(("n", 1), ("o", None))),
        "plan bad name": failing(a_plan, names=((SPACE, "a", 1), (SPACE,))),
        "build": lambda: plan.build(MUTABLE, "db"),
        "build copies": lambda: plan.build(MUTABLE, "db", copy=True),
        "build peers": lambda: plan.build(MUTABLE, "db", "mode", True),
        "build many": lambda: plan.build(MUTABLE * 110, "db", "mode", True, True),
        "build many, uneven": failing(plan.build, [*MUTABLE * 110, (1,)], "db"),
        "build many, endless": failing(plan.build, [*many, (1, endless, 1)], "db", copy=True),
        "build not": lambda: ended.build(MUTABLE, "db"),
        "build uneven": failing(plan.build, uneven, "db", "mode", True, True),
        "build endless": failing(plan.build, [(1, endless, 1)], "db", copy=True),
        "copyable": lambda: _engine.copyable(MUTABLE),
        "row_tuples": lambda: _engine.row_tuples(MUTABLE, True),
        "row_tuples bad": failing(_engine.row_tuples, [*MUTABLE, "a"], True),
        "row_named": lambda: _engine.row_named(MUTABLE, NAMED, True),
        "row_named endless": failing(_engine.row_named, [(1, endless, 1)], NAMED, True),
        "row_column": lambda: _engine.row_column(MUTABLE, 1, True),
        "row_column bad": failing(_engine.row_column, uneven, 1),
        "row_dicts": lambda: _engine.row_dicts(MUTABLE, ["a", "b", "c"], True),
        "row_dicts bad": failing(_engine.row_dicts, uneven, ["a", "b"]),
        "row_dicts bad name": failing(_engine.row_dicts, MUTABLE, ["a", 1]),
    }


def segment_calls(segment: _engine.Segment) -> dict[str, Callable[[], Any]]:
    cells, write_cells = segment.cells(["a"], True), segment.cells(["written"])
    session = b"session"

    def abandon() -> None:
        ticket = segment.begin_write(write_cells, session)
        segment.abandon_write(ticket)
        segment.slots()
        assert segment.settle(ticket)

    return {
        "put, get": lambda: (
            segment.put(b"key", cells, segment.clock(), ENCODED, 1000),
            segment.get(b"key"),
            segment.get(b"key", segment.clock()),
        ),
        "put refused": lambda: segment.put(b"key", cells, 1, ENCODED),
        "get miss": lambda: segment.get(b"absent"),
        "get limit": lambda: segment.get(b"key", 1),
        "no rows": lambda: (segment.put(b"k", cells, segment.clock(), b"?"), segment.get(b"k")),
        "get bad": failing(segment.get, "key"),
        "cells": lambda: segment.cells([f"table {i}" for i in range(20)], True),
        "cells bad": failing(segment.cells, ["a", None]),
        "valid": lambda: segment.valid(cells, segment.clock(), 5),
        "write": lambda: segment.end_write(segment.begin_write(write_cells, session)),
        "write bad": failing(segment.begin_write, b""),
        "end bad": failing(segment.end_write, 5),
        "abandon": abandon,
        "last_write": lambda: (segment.last_write("written"), segment.last_write(None)),
        "questions": lambda: (
            segment.usable(),
            segment.linked(),
            segment.count_hit(),
            repr(segment),
        ),
        "stats": segment.stats,
    }


def local_calls(segment: _engine.Segment) -> dict[str, Callable[[], Any]]:
    cache = _engine.LocalCache(30_000)
    cells = segment.cells(["a"])
    keys = [b"key %d" % i for i in range(100)]

    def churn() -> None:
        now = segment.clock()
        for key in keys[:20]:
            cache.put(key, segment, cells, now, key, 2000)
            cache.get(key, segment)
            cache.get(key, segment, 1)
            cache.recount(key, key, 9000)
        cache.max_bytes = 10_000
        cache.max_bytes = 30_000

    return {
        "local cache": churn,
        "local cache clear": lambda: (cache.put(b"x", segment, cells, 1, [], 10), cache.clear()),
        "local cache made": lambda: _engine.LocalCache(1000),
        "local cache bad": failing(cache.get, "key", segment),
        "local cache limit": failing(setattr, cache, "max_bytes", -1),
    }


def traced_calls(world: World) -> dict[str, Callable[[], Any]]:
    """Of traces, of querysets with one, and of hits by them."""
    world.remember(_engine.ONE, 5)
    answer = Answer(None, [(5, ["a"])], True, lambda *_: ["item"], b"", 0, plan_of_items())
    world.remember(_engine.FIRST, number=1, answer=answer)
    world.remember(_engine.LEVEL, number=1, answer=answer._replace(plan=None))
    again = answer_of_rows([(n, n, n, None, n, n) for n in range(3)], related())
    world.remember(_engine.LAST, number=1, answer=again)
    queryset, odd = world.queryset(), world.queryset()
    odd._trace = odd._db = odd._hints = 5
    kwargs, answers = {"pk": 5}, world.answers

    def made_anew() -> None:
        again.prototypes[0] = again.plan.native
        world.remember(_engine.LAST, number=1, answer=again)
        answers.answer(queryset, _engine.LAST)
        assert type(again.prototypes[0]) is tuple

    def unset(change: str) -> Callable[[], Any]:
        def call() -> None:
            with CHANGES[change](world):
                assert world.get(pk=5) is NotImplemented

        return call

    return {
        "trace": lambda: _engine.Trace(world.shape, (1,), ()),
        "trace bad": failing(_engine.Trace, world.shape, [], ()),
        "filtered": lambda: world.root.filtered(Queryset.filter, kwargs, PLAIN),
        "filtered unknown": lambda: world.root.filtered(Queryset.filter, {"id": "a"}, PLAIN),
        "filtered not plain": lambda: world.root.filtered(Queryset.filter, {"id": 1.5}, PLAIN),
        "pristine": world.queryset,
        "pristine unknown": lambda: _engine.pristine(world.manager, {}),
        "unbuilt": lambda: _engine.unbuilt(queryset, world.root, KEPT),
        "unbuilt bad": failing(_engine.unbuilt, queryset, world.root, ("_db", ["x"])),
        "plain_trace": lambda: (_engine.plain_trace(queryset), _engine.plain_trace(odd)),
        "alias": lambda: (answers.alias(queryset), answers.alias(odd)),
        "standing": world.standing,
        "standing bad": failing(world.standing, head=5),
        "answers bad": failing(_engine.Answers, cache=5),
        "holds": lambda: world.standing().holds(world.connection),
        "hit": lambda: (world.get(pk=5), world.ask(pk=5)),
        "miss": lambda: (world.get(pk=6), world.ask(pk="6"), world.ask(), world.get(a=[])),
        "instances": lambda: answers.answer(queryset, _engine.FIRST),
        "instances again": lambda: answers.answer(queryset, _engine.LAST),
        "prototypes": made_anew,
        "link": lambda: _engine.link([Linking(1), Linking(2)], {1: Linked(1)}, LINK),
        "link not plain": lambda: _engine.link([Linking(1)], {1: Linked(1, "other")}, LINK),
        "link bad": failing(_engine.link, [], {}, LINK[:3]),
        "unopened": lambda: world.unopened(path=b"x", file=(1, 2, 3, 4)),
        "unopened bad": failing(world.unopened, path=b"x", file=(1, 2)),
        "level": lambda: answers.answer(queryset, _engine.LEVEL),
        "filter": lambda: answers.filter(queryset, Queryset.filter, kwargs),
        "name": lambda: answers.name(queryset, Queryset.order_by, ("a", "b"), {"flat": True}),
        "name unknown": lambda: (
            answers.name(queryset, Queryset.order_by, ("a",), {}),
            answers.name(queryset, Queryset.order_by, ("a", 5), {}),
            answers.name(queryset, Queryset.order_by, ("a", "b"), {"flat": 1}),
        ),
        "slice": lambda: answers.slice(queryset, Queryset.__getitem__, slice(1, 5)),
        "slice unknown": lambda: (
            answers.slice(queryset, Queryset.__getitem__, slice(1, None)),
            answers.slice(queryset, Queryset.__getitem__, slice(-1, None)),
            answers.slice(queryset, Queryset.__getitem__, 5),
        ),
        "aggregated_name": lambda: (
            _engine.aggregated_name(an_aggregate(), DEFAULTS, Reference),
            _engine.aggregated_name(an_aggregate(filter=1), DEFAULTS, Reference),
            _engine.aggregated_name(an_aggregate(source_expressions=[5]), DEFAULTS, Reference),
        ),
        "manager_filter": lambda: answers.manager_filter(
            world.manager, world.filter_guards, Queryset.filter, kwargs
        ),
        "guards bad": failing(answers.manager_get, world.manager, (1, 2, 3), 0, kwargs),
        **{f"with {change}": unset(change) for change in CHANGES},
    }


class Heap(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def heap_in_use() -> int:
    """0 where the C library doesn't tell, or isn't the one that allocates (ASan)."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return 0
    libc.mallinfo2.restype = Heap
    heap = libc.mallinfo2()
    return int(heap.uordblks + heap.hblkhd)


def growth(call: Callable[[], Any], calls: int = CALLS) -> tuple[int, int]:
    """Bytes of Python's memory and of the C heap that `calls` calls leave."""
    for _ in range(WARM_UP * calls // CALLS):
        call()
    gc.collect()
    tracemalloc.start()
    call()
    python = tracemalloc.get_traced_memory()[0]
    heap = heap_in_use()
    total = sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else 0
    for _ in range(calls):
        call()
    gc.collect()
    if hasattr(sys, "gettotalrefcount"):
        assert sys.gettotalrefcount() - total < calls / 10
    python = tracemalloc.get_traced_memory()[0] - python
    heap = heap_in_use() - heap
    tracemalloc.stop()
    return python, heap


# tracemalloc keeps its own table on the C heap: it may grow once while it is measured.
HEAP_NOISE = 65536
WATCHED = [
    *(ROWS, BAD_ROWS, ZONED, LARGE, ENCODED, PACKED, SQL),
    *ROWS,
    *(value for value in ROWS[0] if value not in (None, True, 0)),  # those are everybody's
    *(datetime.timezone, uuid.SafeUUID.unknown, _engine.Segment, _engine.Scan),
]


def check(call: Callable[[], Any], calls: int = CALLS) -> None:
    gc.collect()
    before = [sys.getrefcount(thing) for thing in WATCHED]
    python, heap = growth(call, calls)
    after = [sys.getrefcount(thing) for thing in WATCHED]
    assert python < NOISE
    assert heap < HEAP_NOISE
    assert [a - b for a, b in zip(after, before, strict=True)] == [0] * len(WATCHED)


@pytest.mark.parametrize("name", pure_calls())
def test_function_leaves_nothing(name: str) -> None:
    check(pure_calls()[name])


@pytest.mark.parametrize("name", plan_calls())
def test_plan_leaves_nothing(name: str) -> None:
    kept = [NODES, SPACE, RECEIVERS, RECEIVERS[0], Thing, Owner, NAMED, MUTABLE, MUTABLE[0]]
    gc.collect()
    before = [sys.getrefcount(thing) for thing in kept]
    call = plan_calls()[name]
    check(call, 200 if "many" in name or "endless" in name else CALLS)
    del call
    gc.collect()
    assert [sys.getrefcount(thing) for thing in kept] == before


@pytest.fixture(scope="module")
def shared() -> _engine.Segment:
    return _engine.Segment.private_memory(**SIZES)


@pytest.mark.parametrize("name", segment_calls(_engine.Segment.private_memory(**SIZES)))
def test_segment_method_leaves_nothing(shared: _engine.Segment, name: str) -> None:
    check(segment_calls(shared)[name])


@pytest.mark.parametrize("name", local_calls(_engine.Segment.private_memory(**SIZES)))
def test_local_cache_leaves_nothing(shared: _engine.Segment, name: str) -> None:
    gc.collect()
    before = sys.getrefcount(shared)
    call = local_calls(shared)[name]
    check(call, 500)
    del call
    gc.collect()
    assert sys.getrefcount(shared) == before


@pytest.mark.parametrize("name", traced_calls(World()))
def test_hit_leaves_nothing(name: str) -> None:
    world = World()
    call = traced_calls(world)[name]
    call()
    kept = [world.root, world.shape, world.connection, world.state, world.manager, world.router]
    before = [sys.getrefcount(thing) for thing in kept]
    check(call, 100 if name.startswith("with ") else 500)
    gc.collect()
    assert [sys.getrefcount(thing) for thing in kept] == before


def test_segments_leave_nothing(path: str) -> None:
    """Opened, used and forgotten; refused; inspected; with its verification."""
    keep = _engine.Segment.open(path, b"identity", **SIZES)

    def call() -> None:
        segment = _engine.Segment.open(path, b"identity", **SIZES)
        segment.put(b"key", segment.cells(["a"]), segment.clock(), ENCODED)
        segment.get(b"key")
        segment.end_write(segment.begin_write(segment.cells(["a"])))
        segment.problems()
        segment.slots()
        _engine.Segment.inspect(path).stats()
        failing(_engine.Segment.open, path, b"another", **SIZES)()
        failing(_engine.Segment.open, path, b"identity", **{**SIZES, "size": 1})()
        failing(_engine.Segment.inspect, "/missing/file")()
        failing(_engine.Bypass, path)()
        _engine.Segment.private_memory(**{**SIZES, "size": 2 << 20})

    check(call, 60)
    assert keep.usable()


def test_bypass_leaves_nothing(path: str) -> None:
    def call() -> None:
        with _engine.Bypass(path) as bypass:
            bypass.close()

    check(call, 20)


def test_the_measurement_sees_a_leak() -> None:
    kept: list[Any] = []
    python, _ = growth(lambda: kept.append(object()))
    assert python > NOISE
    if heap_in_use() > 0:
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        _, heap = growth(lambda: libc.malloc(48) and None)
        assert heap > HEAP_NOISE
