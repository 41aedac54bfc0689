"""Expressions and Q trees in the arguments of a call: what of them belongs to the shape, the
values, and a copy that is replayed.

An expression is told by its exact class and all of its attributes, never by its own notion of
equality (Value(1) == Value(True)). What isn't of a closed set of Django's classes, or has an
attribute that can't be told, is Unknown. The copy is made at the call, for Django resolves what it
is given there, and its owner may change it later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import models
from django.db.models import Field, Q, Value, aggregates, expressions, functions

from .calls import PLAIN_TYPES, TYPES_OF, Call, NoneType, Unknown, lookups_call, value_type

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS_MAX: Final = 256

_KNOWN: Final = frozenset(
    {
        models.F,
        expressions.Star,
        Value,
        expressions.CombinedExpression,
        expressions.ExpressionWrapper,
        expressions.Case,
        expressions.When,
        aggregates.Avg,
        aggregates.Count,
        aggregates.Max,
        aggregates.Min,
        aggregates.Sum,
        functions.Abs,
        functions.Ceil,
        functions.Coalesce,
        functions.Concat,
        functions.ConcatPair,
        functions.Floor,
        functions.Greatest,
        functions.Least,
        functions.Left,
        functions.Length,
        functions.Lower,
        functions.LTrim,
        functions.Mod,
        functions.NullIf,
        functions.Power,
        functions.Replace,
        functions.Reverse,
        functions.Right,
        functions.Round,
        functions.RTrim,
        functions.Sign,
        functions.Sqrt,
        functions.StrIndex,
        functions.Substr,
        functions.Trim,
        functions.Upper,
        getattr(aggregates, "AggregateFilter", models.F),  # Django 6.0
    }
)
"""None of them depends on the moment, on chance, or on the time zone."""

_FIELDS: Final = frozenset({*TYPES_OF, models.DateTimeField, models.TimeField})
_CONTENTS: Final = frozenset({str, int, bool, NoneType})
_DERIVED: Final = frozenset(
    {
        "identity",
        "contains_aggregate",
        "contains_over_clause",
        "contains_column_references",
        "contains_subquery",
        "convert_value",
    }
)
"""Cached properties: they follow from the rest."""

_END: Final = ...


class _Reader:
    """Takes arguments apart: each method returns a copy of what it has read."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        """What belongs to the shape, each scalar after its type, for 1 == True."""
        self.values: list[Any] = []
        self.lookups: list[tuple[str, Any]] = []
        """Names of lookups, and the types of the values that they are given; None: a field."""

    def call(
        self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Call:
        if len(self.parts) > PARTS_MAX:
            raise Unknown
        shape = (tuple(self.parts),)
        return Call(method, shape, tuple(self.values), args, kwargs, tuple(self.lookups))

    def condition(self, node: Any) -> Q:
        """A Q, its children read in their order."""
        if type(node) is not Q or set(vars(node)) - _DERIVED != _OF_Q:
            raise Unknown
        own = {"connector": node.connector, "negated": node.negated}
        self.parts += (Q, len(node.children))
        for value in own.values():
            self.content(value)
        copy = object.__new__(Q)
        copy.__dict__ = {"children": [self.child(each) for each in node.children], **own}
        return copy

    def child(self, node: Any) -> Any:
        if type(node) is tuple and len(node) == 2 and type(node[0]) is str:
            return node[0], self.lookup(*node)
        return self.condition(node)

    def lookup(self, name: str, value: Any) -> Any:
        """A value that is compared to, or an expression."""
        kind = type(value)
        self.parts.append(name)
        if kind in _KNOWN:
            return self.expression(value)
        if kind not in PLAIN_TYPES:
            kind = value_type(value)
            if type(kind) is tuple and kind[0] == "instance":
                raise Unknown
        self.parts.append(kind)
        self.lookups.append((name, kind))
        self.values.append(tuple(value) if type(value) is list else value)
        return list(value) if type(value) is list else value

    def expression(self, node: Any) -> Any:
        kind = type(node)
        if kind is Q:
            return self.condition(node)
        if kind not in _KNOWN:
            raise Unknown
        self.parts.append(kind)
        if kind is models.F:
            self.lookups.append((node.name, None))
        copy = object.__new__(kind)
        own = copy.__dict__
        for name, value in vars(node).items():
            if name == "_constructor_args":
                own[name] = value  # Django shares it among copies too
            elif name == "value" and kind is Value:
                own[name] = self.value(value)
            elif name not in _DERIVED:
                self.parts.append(name)
                own[name] = self.attribute(value)
        is_moment = type(own.get("output_field")) is models.DateTimeField
        if kind is Value and is_moment and node.value is not None:
            raise Unknown  # Django takes it for a moment in the time zone of the settings
        self.parts.append(_END)
        return copy

    def value(self, value: Any) -> Any:
        kind = type(value)
        if kind not in PLAIN_TYPES:
            kind = value_type(value)
            if type(kind) is tuple:
                raise Unknown
        self.parts.append(kind)
        self.values.append(value)
        return value

    def attribute(self, value: Any) -> Any:
        kind = type(value)
        if kind in _CONTENTS:
            return self.content(value)
        if kind in (list, tuple):
            self.parts += (kind, len(value))
            return kind([self.attribute(each) for each in value])
        if kind is dict:
            self.parts += (kind, len(value))
            return {self.content(name): self.attribute(value[name]) for name in value}
        if isinstance(value, Field):
            return self.field(value)
        return self.expression(value)

    def content(self, value: Any) -> Any:
        kind = type(value)
        if kind not in _CONTENTS:
            raise Unknown
        self.parts += (kind, value)
        return value

    def field(self, field: Any) -> Any:
        """An output_field, which is of no model."""
        own = vars(field)
        if type(field) not in _FIELDS or "model" in own or own.get("instance_lookups"):
            raise Unknown
        _, _, args, kwargs = field.deconstruct()
        self.parts.append(type(field))
        self.attribute(list(args))
        self.attribute(dict(sorted(kwargs.items())))
        return field


_OF_Q: Final = {"children", "connector", "negated"}


def keywords_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """The keyword that a filter's only argument comes to: a forward foreign key asks by a Q."""
    if kwargs or len(args) != 1 or type(args[0]) is not Q:
        return None
    own = vars(args[0])
    children = own.get("children", ())
    if len(own) != len(_OF_Q) or len(children) != 1 or own.get("negated") is not False:
        return None
    if own.get("connector") != Q.AND or type(children[0]) is not tuple or len(children[0]) != 2:
        return None
    name, value = children[0]
    # Of these Django says something else when they are keywords.
    plain = type(name) is str and name != "self" and not name.startswith("_")
    return {name: value} if plain else None


def filter_call(method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """filter() and exclude()."""
    if not args:
        try:
            return lookups_call(method, args, kwargs)
        except Unknown:
            if not kwargs:
                raise
    reader = _Reader()
    reader.parts.append(len(args))
    conditions = tuple([reader.condition(each) for each in args])
    lookups = {name: reader.lookup(name, value) for name, value in kwargs.items()}
    return reader.call(method, conditions, lookups)


def annotate_call(
    method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Call:
    """annotate() and alias()."""
    reader = _Reader()
    reader.parts.append(len(args))
    unnamed = tuple([reader.expression(each) for each in args])
    named = {}
    for name, value in kwargs.items():
        reader.parts.append(name)
        named[name] = reader.expression(value)
    return reader.call(method, unnamed, named)
