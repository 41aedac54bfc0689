"""Whether two values are the same in everything that a program could notice."""

import datetime
import decimal
import struct
import uuid
from typing import Any


def same(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    compare = COMPARISONS.get(type(left))
    return compare(left, right) if compare is not None else left == right


def same_float(left: float, right: float) -> bool:
    return struct.pack("d", left) == struct.pack("d", right)


def same_decimal(left: decimal.Decimal, right: decimal.Decimal) -> bool:
    return left.as_tuple() == right.as_tuple()


def same_zone(left: datetime.tzinfo | None, right: datetime.tzinfo | None) -> bool:
    return type(left) is type(right) and repr(left) == repr(right)


def same_moment(left: Any, right: Any) -> bool:
    return (
        left.replace(tzinfo=None) == right.replace(tzinfo=None)
        and left.fold == right.fold
        and same_zone(left.tzinfo, right.tzinfo)
    )


def same_sequence(left: Any, right: Any) -> bool:
    return len(left) == len(right) and all(map(same, left, right))


def same_dict(left: dict[Any, Any], right: dict[Any, Any]) -> bool:
    return same_sequence(list(left.items()), list(right.items()))


def same_uuid(left: uuid.UUID, right: uuid.UUID) -> bool:
    return left == right and left.is_safe is right.is_safe and hash(left) == hash(right)


COMPARISONS = {
    float: same_float,
    decimal.Decimal: same_decimal,
    datetime.time: same_moment,
    datetime.datetime: same_moment,
    list: same_sequence,
    tuple: same_sequence,
    dict: same_dict,
    uuid.UUID: same_uuid,
}
