"""Hypothesis strategies for the values that may be encoded (DESIGN section 7)."""

import datetime
import decimal
import struct

from hypothesis import strategies as st


def float_of_bits(bits: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def decimal_of(sign: int, digits: list[int], exponent: int | str) -> decimal.Decimal:
    return decimal.Decimal((sign, tuple(digits), exponent))  # type: ignore[arg-type]


def zone_of(offset: datetime.timedelta) -> datetime.timezone:
    return datetime.timezone(offset)


edge_integers = st.builds(
    lambda power, step: (1 << power) + step, st.integers(60, 600), st.integers(-2, 2)
)
integers = st.one_of(
    st.integers(), edge_integers, edge_integers.map(lambda x: -x), st.integers(-(10**300), 10**300)
)
floats = st.one_of(st.floats(), st.integers(0, 2**64 - 1).map(float_of_bits))
texts = st.text(st.characters(exclude_categories=["Cs"]))
digits = st.lists(st.integers(0, 9), max_size=40)
decimals = st.one_of(
    st.decimals(),
    st.builds(decimal_of, st.sampled_from([0, 1]), digits, st.integers(-(10**6), 10**6)),
    st.builds(decimal_of, st.sampled_from([0, 1]), digits, st.sampled_from(["n", "N", "F"])),
    st.builds(
        decimal_of,
        st.sampled_from([0, 1]),
        digits.filter(lambda d: len(d) < 10),
        st.sampled_from([decimal.MAX_EMAX - 10, decimal.MIN_ETINY]),
    ),
)
zones = st.one_of(
    st.none(),
    st.just(datetime.UTC),
    st.timedeltas(
        datetime.timedelta(seconds=-86399), datetime.timedelta(seconds=86399, microseconds=999999)
    ).map(zone_of),
)
folds = st.sampled_from([0, 1])
times = st.builds(lambda t, f: t.replace(fold=f), st.times(timezones=zones), folds)
datetimes = st.builds(lambda d, f, z: d.replace(fold=f, tzinfo=z), st.datetimes(), folds, zones)
moments = st.one_of(st.dates(), times, datetimes, st.timedeltas())
scalars = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    floats,
    texts,
    st.binary(),
    decimals,
    moments,
    st.uuids(),
)
keys_of_dicts = st.one_of(st.none(), st.booleans(), integers, texts, st.binary(), st.dates())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(keys_of_dicts, inner, max_size=5),
    ),
    max_leaves=12,
)


@st.composite
def row_sets(draw: st.DrawFn) -> list[tuple[object, ...]]:
    width = draw(st.integers(1, 5))
    return draw(st.lists(st.tuples(*[values] * width), max_size=6))
