"""Every value of the closed set comes back as it was; others are refused by their type's name."""

import collections
import datetime
import decimal
import enum
import fractions
import gc
import sys
import uuid
import zoneinfo
from typing import Any

import pytest
from closed_set import row_sets, values
from exact import same
from hypothesis import given, settings

from django_cache_manager import _engine

CAP = 64 * 1024 * 1024


def round_trip(value: Any) -> Any:
    encoded = _engine.encode_rows([(value,)], CAP)
    assert encoded is not None
    ((result,),) = _engine.decode_rows(encoded)
    return result


@given(values)
@settings(max_examples=300, deadline=None)
def test_value_comes_back_as_it_was(value: Any) -> None:
    assert same(round_trip(value), value)


@given(row_sets())
@settings(max_examples=50, deadline=None)
def test_rows_come_back_as_they_were(rows: list[tuple[Any, ...]]) -> None:
    encoded = _engine.encode_rows(rows, CAP)
    assert encoded is not None
    assert same(_engine.decode_rows(encoded), rows)


class Stamped(int):
    pass


class Colour(enum.IntEnum):
    RED = 1


class Word(enum.StrEnum):
    HELLO = "hello"


class OddZone(datetime.tzinfo):
    pass


def subclass_of(base: type, *arguments: Any) -> Any:
    return type(f"Odd{base.__name__}", (base,), {})(*arguments)


OUTSIDE = [
    Colour.RED,
    Word.HELLO,
    subclass_of(int, 7),
    subclass_of(float, 1.5),
    subclass_of(str, "text"),
    subclass_of(bytes, b"bytes"),
    subclass_of(decimal.Decimal, "1.5"),
    subclass_of(datetime.date, 2024, 1, 1),
    subclass_of(datetime.datetime, 2024, 1, 1),
    subclass_of(datetime.time, 1, 2),
    subclass_of(datetime.timedelta, 1),
    subclass_of(uuid.UUID, "12345678123456781234567812345678"),
    subclass_of(list, [1]),
    subclass_of(tuple, (1,)),
    subclass_of(dict, {1: 2}),
    collections.OrderedDict(a=1),
    collections.namedtuple("Point", "x y")(1, 2),
    bytearray(b"x"),
    memoryview(b"x"),
    {1, 2},
    frozenset({1}),
    complex(1, 2),
    fractions.Fraction(1, 2),
    range(3),
    object(),
    int,
    datetime.UTC,
    datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    datetime.datetime(2024, 1, 1, tzinfo=OddZone()),
    datetime.time(1, tzinfo=zoneinfo.ZoneInfo("UTC")),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1), "CET")),
    datetime.time(1, tzinfo=datetime.timezone(datetime.timedelta(0), "Zulu")),
]


@pytest.mark.parametrize("value", OUTSIDE, ids=lambda value: repr(value)[:60])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: (1, v), lambda v: {"a": v}])
def test_value_outside_the_set_is_refused(value: Any, wrap: Any) -> None:
    with pytest.raises(_engine.Unencodable):
        _engine.encode_rows([(wrap(value),)], CAP)
    with pytest.raises(_engine.Unencodable):
        _engine.encode_key((wrap(value),))


def test_refusal_names_the_type() -> None:
    with pytest.raises(_engine.Unencodable, match="Colour"):
        _engine.encode_rows([(1, Colour.RED)], CAP)
    with pytest.raises(_engine.Unencodable, match=r"zoneinfo\.ZoneInfo"):
        _engine.encode_key((datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),))
    assert issubclass(_engine.Unencodable, ValueError)


@pytest.mark.parametrize("before", ["", "a", "x" * 1000, "é"])
@pytest.mark.parametrize("number", [0xD800, 0xDBFF, 0xDC80, 0xDFFF])
def test_lone_surrogate_is_refused(before: str, number: int) -> None:
    text = before + chr(number)
    with pytest.raises(_engine.Unencodable, match="surrogate"):
        _engine.encode_rows([(text,)], CAP)
    with pytest.raises(_engine.Unencodable, match="surrogate"):
        _engine.encode_key((text,))


def nested(depth: int, wrap: Any) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}])
def test_nesting_is_bounded(wrap: Any) -> None:
    assert same(round_trip(nested(64, wrap)), nested(64, wrap))
    for depth in (65, 1000):
        with pytest.raises(_engine.Unencodable, match="nested"):
            round_trip(nested(depth, wrap))


def test_list_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(_engine.Unencodable, match="nested"):
        round_trip(value)


@pytest.mark.parametrize(
    "number",
    [0, -1, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, -(2**71), 2**71, 2**4096, -(10**20000)],
    ids=lambda number: f"{number.bit_length()}bits",
)
def test_integer_of_any_size_comes_back(number: int) -> None:
    assert same(round_trip(number), number)


def test_large_text_comes_back() -> None:
    text = "aé漢😀" * 2_500_000
    assert round_trip(text) == text


def test_encoding_leaves_no_copy_in_the_text() -> None:
    """PyUnicode_AsUTF8 would keep the UTF-8 form in the caller's object."""
    text = "é" * 1000
    before = text.__sizeof__()
    _engine.encode_rows([(text,)], CAP)
    _engine.encode_key((text,))
    assert text.__sizeof__() == before


def test_decimal_is_independent_of_the_context() -> None:
    value = decimal.Decimal("1.23456789E+400")
    plain = _engine.encode_rows([(value,)], CAP)
    with decimal.localcontext() as context:
        context.prec = 2
        context.Emax = 10
        context.capitals = 0
        context.traps[decimal.Inexact] = True
        assert _engine.encode_rows([(value,)], CAP) == plain
        assert same(round_trip(value), value)
        assert same(round_trip(decimal.Decimal("sNaN123")), decimal.Decimal("sNaN123"))


def test_utc_comes_back_as_the_one_utc() -> None:
    moment = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    assert round_trip(moment).tzinfo is datetime.UTC


def test_offset_that_the_format_has_no_room_for_is_refused() -> None:
    almost_a_day = datetime.timezone(
        -datetime.timedelta(days=1) + datetime.timedelta(microseconds=1)
    )
    with pytest.raises(_engine.Unencodable):
        round_trip(datetime.datetime(2024, 1, 1, tzinfo=almost_a_day))


def test_uuid_that_says_more_than_its_bytes_is_refused_in_rows() -> None:
    value = uuid.UUID(int=5, is_safe=uuid.SafeUUID.safe)
    with pytest.raises(_engine.Unencodable):
        round_trip(value)
    assert _engine.encode_key((value,)) == _engine.encode_key((uuid.UUID(int=5),))


def test_decoded_uuid_is_whole() -> None:
    value = round_trip(uuid.UUID("12345678-1234-5678-9234-567812345678"))
    assert str(value) == "12345678-1234-5678-9234-567812345678"
    assert value.version == 5
    with pytest.raises(TypeError, match="immutable"):
        value.int = 1


ZONED = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="the collector doesn't run inside C any more"
)
@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: [(1, v)], lambda v: [({"a": v},)]])
@pytest.mark.parametrize("kind", [list, dict])
def test_container_that_changes_meanwhile_is_an_error(wrap: Any, kind: Any) -> None:
    """An offset makes a tuple, a tuple may start the collector, and a finalizer may do anything."""
    target: Any = [ZONED] * 4 if kind is list else dict.fromkeys(range(4), ZONED)

    class Grows:
        def __del__(self) -> None:
            target.append("grown") if kind is list else target.update(grown=1)

    rows = wrap(target if kind is list else [target])
    no_spare_tuples = [(i,) for i in range(5000)]
    threshold = gc.get_threshold()
    gc.collect()
    gc.disable()
    garbage = Grows()
    garbage.itself = garbage  # type: ignore[attr-defined]
    del garbage
    error = None
    gc.set_threshold(1, 10, 10)  # with one argument it would leave a spare tuple behind
    gc.enable()
    try:
        _engine.encode_rows(rows, CAP)
    except RuntimeError as raised:
        error = raised
    gc.set_threshold(*threshold)
    assert len(target) == 5
    assert error is not None
    assert len(no_spare_tuples) == 5000
