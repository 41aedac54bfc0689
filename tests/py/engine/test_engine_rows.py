"""Row sets and keys as bytes: shapes, bounds, damage; what may be shared and what it takes."""

import datetime
import decimal
import sys
import uuid
from typing import Any

import pytest
from closed_set import row_sets, values
from exact import same
from hypothesis import given, settings
from hypothesis import strategies as st

from django_cache_manager import _engine

CAP = 1 << 20


def encode(rows: Any) -> bytes:
    encoded = _engine.encode_rows(rows, CAP)
    assert encoded is not None
    return encoded


def test_no_rows_come_back_as_none() -> None:
    assert _engine.decode_rows(encode([])) == []
    assert _engine.decode_rows(encode(())) == []


def test_rows_may_be_lists_and_come_back_as_tuples() -> None:
    assert _engine.decode_rows(encode(([1, "a"], (2, "b")))) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("rows", [[(1,), (1, 2)], [(1, 2), (1,)], [(), (1,)], [(1,), ()]])
def test_rows_of_different_lengths_are_refused(rows: Any) -> None:
    with pytest.raises(_engine.Unencodable):
        encode(rows)


@pytest.mark.parametrize("rows", [["ab"], [{1: 2}], [None], [(1,), b"x"], [()]])
def test_row_that_is_no_row_is_refused(rows: Any) -> None:
    with pytest.raises(_engine.Unencodable):
        encode(rows)


@pytest.mark.parametrize("rows", [None, {1: 2}, iter([(1,)]), "rows", b"rows"])
def test_rows_must_be_a_sequence(rows: Any) -> None:
    for function in (encode, _engine.shareable, _engine.footprint):
        with pytest.raises(TypeError):
            function(rows)


def test_cap_is_exact() -> None:
    rows = [("x" * 100, i) for i in range(10)]
    size = len(encode(rows))
    assert _engine.encode_rows(rows, size) is not None
    assert _engine.encode_rows(rows, size - 1) is None
    assert _engine.encode_rows(rows, 0) is None
    with pytest.raises(OverflowError):
        _engine.encode_rows(rows, -1)


def test_cap_leaves_the_next_call_alone() -> None:
    rows = [("x" * 1000,)]
    assert _engine.encode_rows(rows, 10) is None
    assert _engine.decode_rows(encode(rows)) == rows


@given(row_sets(), st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_are_refused_or_spell_the_same(rows: Any, data: st.DataObject) -> None:
    """One changed byte may make other rows (entries are summed), but never a second spelling."""
    encoded = bytearray(encode(rows))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    try:
        decoded = _engine.decode_rows(bytes(encoded))
    except ValueError:
        return
    assert encode(decoded) == bytes(encoded)


@given(row_sets())
@settings(max_examples=20, deadline=None)
def test_cut_or_longer_bytes_are_refused(rows: Any) -> None:
    encoded = encode(rows)
    for cut in range(len(encoded)):
        with pytest.raises(ValueError):
            _engine.decode_rows(encoded[:cut])
    with pytest.raises(ValueError):
        _engine.decode_rows(encoded + b"\0")


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_refused_or_ours(noise: bytes) -> None:
    for given_bytes in (noise, b"\x01\x01\x01" + noise):
        try:
            rows = _engine.decode_rows(given_bytes)
        except ValueError:
            continue
        assert encode(rows) == given_bytes


LIST, TUPLE, DICT, NULL = b"\x0e", b"\x0f", b"\x10", b"\x00"


def number(value: int) -> bytes:
    """A varint."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


@pytest.mark.parametrize("head", [LIST, TUPLE])
def test_hostile_counts_take_no_memory(head: bytes) -> None:
    """Each of 60 nested containers claims all that follows: it must not be allocated 60 times."""
    import tracemalloc

    body = NULL * 1_000_000
    for _ in range(60):
        body = head + number(len(body)) + body
    tracemalloc.start()
    with pytest.raises(ValueError):
        _engine.decode_rows(b"\x01\x01\x01" + body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 8 * len(body)


def test_nesting_of_encoded_bytes_is_bounded() -> None:
    for head in (LIST + b"\x01", TUPLE + b"\x01"):
        with pytest.raises(ValueError):
            _engine.decode_rows(b"\x01\x01\x01" + head * 5000 + NULL)


@pytest.mark.parametrize(
    "pairs",
    [
        LIST + b"\x00" + NULL,  # a list as key
        b"\x02" + NULL + b"\x03\x02" + NULL,  # True and 1 are one key
        NULL + NULL + NULL + NULL,  # the same key twice
    ],
)
def test_dict_that_python_could_not_have_had_is_refused(pairs: bytes) -> None:
    for count in (1, 2):
        with pytest.raises(ValueError):
            _engine.decode_rows(b"\x01\x01\x01" + DICT + number(count) + pairs)


LOOK_ALIKE = [
    1,
    True,
    1.0,
    "1",
    b"1",
    decimal.Decimal(1),
    decimal.Decimal("1.0"),
    decimal.Decimal("-0"),
    decimal.Decimal(0),
    0,
    False,
    0.0,
    -0.0,
    None,
    "",
    b"",
    [],
    (),
    {},
    [1],
    (1,),
    [[1]],
    [1, 1],
    {1: 1},
    "None",
    datetime.date(2024, 1, 1),
    datetime.datetime(2024, 1, 1),
    datetime.datetime(2024, 1, 1, fold=1),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
    datetime.datetime(2023, 12, 31, 23, tzinfo=datetime.timezone(-datetime.timedelta(hours=1))),
    datetime.time(0),
    datetime.timedelta(0),
    "2024-01-01",
    uuid.UUID(int=1),
    uuid.UUID(int=1).bytes,
    uuid.UUID(int=1).hex,
    2**64,
    -(2**64),
    float(2**64),
]


def test_values_that_look_alike_have_keys_of_their_own() -> None:
    keys = [_engine.encode_key((value,)) for value in LOOK_ALIKE]
    assert len(set(keys)) == len(LOOK_ALIKE)


@given(values, values)
@settings(max_examples=150, deadline=None)
def test_keys_are_equal_just_when_values_are_the_same(left: Any, right: Any) -> None:
    assert (_engine.encode_key((left,)) == _engine.encode_key((right,))) is same(left, right)
    assert _engine.encode_key((left,)) == _engine.encode_key([left])


@given(st.lists(values, max_size=4), st.lists(values, max_size=4))
@settings(max_examples=50, deadline=None)
def test_parts_of_a_key_do_not_run_together(left: list[Any], right: list[Any]) -> None:
    assert (_engine.encode_key(left) == _engine.encode_key(right)) is same(left, right)


SHAREABLE = [
    None,
    True,
    1,
    2**80,
    1.5,
    1j,
    "text",
    b"bytes",
    decimal.Decimal("1.5"),
    datetime.date(2024, 1, 1),
    datetime.time(1),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    datetime.timedelta(1),
    datetime.UTC,
    uuid.UUID(int=1),
    (),
    (1, ("a", (None,))),
]
UNSHAREABLE: list[Any] = [
    [],
    {},
    set(),
    bytearray(),
    memoryview(b""),
    object(),
    (1, [2]),
    ((((([],),),),),),
    type("Odd", (str,), {})("x"),
    type("Odd", (int,), {})(1),
    type("Odd", (tuple,), {})(),
]


@pytest.mark.parametrize("value", SHAREABLE, ids=repr)
def test_immutable_value_is_shareable(value: Any) -> None:
    assert _engine.shareable([(value, value)]) is True
    assert _engine.shareable([[value]]) is True


@pytest.mark.parametrize("value", UNSHAREABLE, ids=lambda value: repr(value)[:40])
def test_mutable_or_unknown_value_is_not_shareable(value: Any) -> None:
    assert _engine.shareable([(1, 2), (1, value)]) is False


def test_tuples_nested_without_end_are_not_shareable() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = (value,)
    assert _engine.shareable([(value,)]) is False
    while isinstance(
        value, tuple
    ):  # freed step by step: CPython's own deallocation is not the test
        (value,) = value


def test_no_rows_are_shareable() -> None:
    assert _engine.shareable([]) is True


def size_of(value: Any) -> int:
    """What sys.getsizeof says of an object and all it holds, shared objects counted each time."""
    size = sys.getsizeof(value)
    if type(value) in (list, tuple):
        return size + sum(map(size_of, value))
    if type(value) is dict:
        return size + sum(size_of(key) + size_of(item) for key, item in value.items())
    return size


@given(row_sets())
@settings(max_examples=50, deadline=None)
def test_footprint_is_what_python_says(rows: Any) -> None:
    """But for small integers, which are all counted alike: at most eight bytes more."""
    slack = 8 * sum(str(rows).count(mark) for mark in "0123456789") + 8 * len(str(rows))
    assert abs(_engine.footprint(rows) - size_of(rows)) <= slack


def test_footprint_of_plain_rows_is_close() -> None:
    rows = [(i, f"name {i}", 1.5 * i, None, b"x" * 50) for i in range(1000)]
    assert size_of(rows) <= _engine.footprint(rows) <= size_of(rows) * 1.05


def test_footprint_that_fails_says_why() -> None:
    class Odd:
        def __sizeof__(self) -> int:
            raise LookupError

    with pytest.raises(LookupError):
        _engine.footprint([(Odd(),)])
