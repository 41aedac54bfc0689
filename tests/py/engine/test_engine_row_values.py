"""row_tuples, row_named, row_column, row_dicts and copyable; LocalCache.recount."""

import datetime
from collections import OrderedDict, namedtuple
from decimal import Decimal
from typing import Any

import pytest
from segment_file import SIZES

from django_cache_manager import _engine

Row = namedtuple("Row", "a b")
ROWS: list[Any] = [(1, "x"), (2, None)]
MUTABLE: list[Any] = [([1], {"a": [2]}), ((3, [4]), "x")]


def test_tuples() -> None:
    found = _engine.row_tuples(ROWS)
    assert found == ROWS
    assert found is not ROWS
    assert found[0] is ROWS[0]
    assert _engine.row_tuples([[1, 2]]) == [(1, 2)]


def test_named_tuples() -> None:
    found = _engine.row_named(ROWS, Row)
    assert found == [Row(1, "x"), Row(2, None)]
    assert {type(row) for row in found} == {Row}


def test_columns() -> None:
    assert _engine.row_column(ROWS, 1) == ["x", None]


def test_dicts_have_the_names_in_their_order() -> None:
    found = _engine.row_dicts(ROWS, ["b", "a"])
    assert found == [{"b": 1, "a": "x"}, {"b": 2, "a": None}]
    assert list(found[0]) == ["b", "a"]
    assert found[0] is not found[1]
    assert _engine.row_dicts(ROWS, ["one"]) == [{"one": 1}, {"one": 2}]
    assert _engine.row_dicts(ROWS, ["one", "one"]) == [{"one": "x"}, {"one": None}]
    assert _engine.row_dicts(ROWS, ()) == [{}, {}]


def test_copies() -> None:
    for found in (
        _engine.row_tuples(MUTABLE, True),
        [tuple(row) for row in _engine.row_named(MUTABLE, Row, True)],
        [tuple(row.values()) for row in _engine.row_dicts(MUTABLE, ["a", "b"], copy=True)],
        list(
            zip(
                *(_engine.row_column(MUTABLE, column, True) for column in (0, 1)),
                strict=True,
            )
        ),
    ):
        assert found == MUTABLE
        found[0][0].append("mine")
        found[0][1]["a"].append("mine")
        found[1][0][1].append("mine")
    assert MUTABLE == [([1], {"a": [2]}), ((3, [4]), "x")]


def test_row_without_anything_to_copy_is_shared() -> None:
    nested = (1, (2, "x", Decimal(1)))
    assert _engine.row_tuples([nested], True)[0] is nested


def test_no_rows() -> None:
    assert _engine.row_tuples([]) == _engine.row_named([], Row) == []
    assert _engine.row_column([], 5) == _engine.row_dicts([], ["a"]) == []


@pytest.mark.parametrize("rows", [None, (), "ab", iter([])])
def test_rows_are_a_list(rows: Any) -> None:
    for call in (
        lambda: _engine.row_tuples(rows),
        lambda: _engine.row_named(rows, Row),
        lambda: _engine.row_column(rows, 0),
        lambda: _engine.row_dicts(rows, ["a"]),
    ):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("row", ["ab", None, {1: 2}, Row(1, 2), range(3)])
def test_row_is_a_list_or_tuple(row: Any) -> None:
    for call in (
        lambda: _engine.row_tuples([row]),
        lambda: _engine.row_named([row], Row),
        lambda: _engine.row_column([row], 0),
        lambda: _engine.row_dicts([row], ["a"]),
    ):
        with pytest.raises(ValueError, match="row"):
            call()


def test_columns_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="columns"):
        _engine.row_column(ROWS, 2)
    with pytest.raises(OverflowError):
        _engine.row_column(ROWS, -1)
    with pytest.raises(ValueError, match="columns"):
        _engine.row_dicts(ROWS, ["a", "b", "c"])
    with pytest.raises(TypeError):
        _engine.row_dicts(ROWS, ["a", 1])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        _engine.row_dicts(ROWS, 1)  # type: ignore[arg-type]


class Wide(tuple):  # noqa: SLOT001
    """Has a __dict__."""


@pytest.mark.parametrize("row_class", [None, int, list, object, Wide, dict])
def test_row_class_is_a_named_tuples(row_class: Any) -> None:
    with pytest.raises(TypeError):
        _engine.row_named(ROWS, row_class)


@pytest.mark.parametrize(
    "value",
    [[], {}, [1, {"a": [None, 1.5, "x"]}], {1: 2}, ((1, [2]),), "x", [datetime.date(1, 1, 1)]],
)
def test_copyable(value: Any) -> None:
    assert _engine.copyable([(1, value)])


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        object(),
        [set()],
        {"a": bytearray()},
        {"a": Text("x")},
        {Text("x"): 1},
        OrderedDict(a=1),
        Row(1, 2),
        [Row(1, 2)],
        {(1, (2, Row(1, 2))): 1},
    ],
)
def test_not_copyable(value: Any) -> None:
    assert not _engine.copyable([(1, value)])
    assert not _engine.copyable(["ab"])


def test_copyable_ends_at_the_depth_that_rows_can_have() -> None:
    def nested(depth: int) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = [value]
        return value

    assert _engine.copyable([(nested(64),)])
    assert not _engine.copyable([(nested(65),)])


# --- LocalCache.recount -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def segment() -> _engine.Segment:
    return _engine.Segment.private_memory(**SIZES)


def keep(cache: _engine.LocalCache, segment: _engine.Segment, key: bytes, size: int) -> Any:
    value = [key]
    cache.put(key, segment, segment.cells(["a"]), segment.clock(), value, size)
    return value


def test_recount_counts_anew(segment: _engine.Segment) -> None:
    cache = _engine.LocalCache(100_000)
    value = keep(cache, segment, b"key", 1000)
    before = cache.bytes
    cache.recount(b"key", value, 3000)
    assert cache.bytes == before + 2000
    cache.recount(b"key", value, 500)
    assert cache.bytes == before - 500
    assert cache.get(b"key", segment) is value


def test_recount_of_what_is_not_there(segment: _engine.Segment) -> None:
    cache = _engine.LocalCache(100_000)
    value = keep(cache, segment, b"key", 1000)
    before = cache.bytes
    cache.recount(b"other", value, 3000)
    cache.recount(b"key", [b"key"], 3000)
    assert cache.bytes == before
    with pytest.raises(TypeError):
        cache.recount("key", value, 1)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        cache.recount(b"key", value, -1)


def test_recount_keeps_the_bound(segment: _engine.Segment) -> None:
    cache = _engine.LocalCache(20_000)
    values = [keep(cache, segment, b"key %d" % n, 3000) for n in range(6)]
    assert len(cache) == 6
    cache.recount(b"key 4", values[4], 4500)
    assert cache.bytes <= 20_000
    assert cache.get(b"key 4", segment) is values[4]
    cache.recount(b"key 4", values[4], 6000)  # more than a quarter of all
    assert cache.get(b"key 4", segment) is None
    assert cache.bytes <= 20_000
