"""What differs between two results, to the last bit a program could see."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import Model, QuerySet
from django.db.models.base import ModelState

MUTABLE = (list, dict, set, bytearray)
UNBUILT = {"_query", "_trace", "_deferred_filter"}
SHARED = {"fields_cache", "_hints", "_known_related_objects"}
"""May hold one object in two results: what a row is related to, such as what a related manager
belongs to; the others pass from a queryset to its clones."""
PLAIN = (int, float, complex, str, bytes, bool, type(None))


def difference(one: Any, other: Any, fresh: bool = True) -> str | None:
    """The first difference, as "path: this | that"; None where there is none.

    Types, values, order, an instance's `__dict__` (its order included) and `_state` count. With
    `fresh`, two results that share an object which a program could change differ as well. Nothing
    of a model's own is called: no descriptor, no `__eq__`.
    """
    return next(_differences(one, other, "result", fresh, set()), None)


def _differences(
    one: Any, other: Any, path: str, fresh: bool, seen: set[tuple[int, int]]
) -> Iterator[str]:
    if type(one) is not type(other):
        yield f"{path}: {_show(one)} | {_show(other)}"
        return
    if one is other:
        if fresh and isinstance(one, MUTABLE):
            yield f"{path}: one {type(one).__name__} in two results"
        return
    pair = id(one), id(other)
    if pair in seen:
        return
    seen.add(pair)
    if isinstance(one, Model | ModelState):
        yield from _mappings(vars(one), vars(other), path, fresh, seen)
    elif isinstance(one, QuerySet):
        yield from _mappings(_queryset(one), _queryset(other), path, fresh, seen)
    elif isinstance(one, Mapping):
        yield from _mappings(one, other, path, fresh, seen)
    elif isinstance(one, list | tuple):
        yield from _sequences(one, other, path, fresh, seen)
    elif not _equal(one, other, seen):
        yield f"{path}: {_show(one)} | {_show(other)}"


def _mappings(
    one: Mapping[Any, Any], other: Mapping[Any, Any], path: str, fresh: bool, seen: set[Any]
) -> Iterator[str]:
    if list(one) != list(other):
        yield f"{path}: keys {list(one)} | {list(other)}"
        return
    for name in one:
        if name == "peers":  # of a fetch mode: weak references to the rows read together
            if len(one[name]) != len(other[name]):
                yield f"{path}.peers: {len(one[name])} | {len(other[name])}"
            continue
        yield from _differences(
            one[name], other[name], f"{path}.{name}", fresh and name not in SHARED, seen
        )


def _queryset(queryset: QuerySet[Any]) -> dict[str, Any]:
    """What a queryset holds and would ask; whether its Query is built by now is its own affair."""
    own = {name: vars(queryset)[name] for name in sorted(set(vars(queryset)) - UNBUILT)}
    query = queryset.query
    try:
        own["sql"] = query.sql_with_params()
    except EmptyResultSet:
        own["sql"] = None
    return {**own, "used": sorted(query.used_aliases), "sticky": query.filter_is_sticky}


def _sequences(
    one: Any, other: Any, path: str, fresh: bool, seen: set[tuple[int, int]]
) -> Iterator[str]:
    if len(one) != len(other):
        yield f"{path}: {len(one)} items | {len(other)}: {_show(one)} | {_show(other)}"
        return
    for position, (left, right) in enumerate(zip(one, other, strict=True)):
        if fresh and left is right and isinstance(left, Model):
            yield f"{path}[{position}]: one instance in two results"
        yield from _differences(left, right, f"{path}[{position}]", fresh, seen)


def _equal(one: Any, other: Any, seen: set[tuple[int, int]]) -> bool:
    """Of two objects of one type that are neither models nor containers."""
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, PLAIN):
        return bool(one == other)
    if isinstance(one, memoryview):
        return bytes(one) == bytes(other) and one.format == other.format
    if isinstance(one, set | frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    shows = type(one).__repr__ is not object.__repr__
    if shows and repr(one) != repr(other):
        return False  # 1.0 and 1.00, one moment in two zones
    if hasattr(one, "__dict__"):
        return next(_mappings(vars(one), vars(other), "", False, seen), None) is None
    return shows or bool(one == other)


def _show(value: Any) -> str:
    if isinstance(value, Model):
        return repr(type(value))
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) < 200 else f"{text[:200]}..."
