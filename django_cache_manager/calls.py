"""Calls of queryset methods, taken apart: what belongs to the shape, and the values.

The closed set of argument types, and the fields and lookups for which Django's building of the
query can't fail with a value of such a type, so that it may be left for later.
"""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import lookups
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields import related, related_lookups

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import Model

    from .traces import Shape

NoneType = type(None)


class Unknown(Exception):
    """The call is to be made as Django makes it, at once."""


class Call:
    """`shape` tells calls of one kind from all others: method, names, argument types."""

    __slots__ = ("args", "kwargs", "method", "shape", "values")

    def __init__(
        self,
        method: Callable[..., Any],
        shape: tuple[Any, ...],
        values: tuple[Any, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.method = method
        self.shape = (method, *shape)
        self.values = values
        self.args = args
        self.kwargs = kwargs


class Step:
    """What is known of calls of one kind on querysets of one shape."""

    __slots__ = ("readers", "shape")

    shape: Shape

    def __init__(self, model: type[Model], call: Call) -> None:
        """Raises Unknown where such a call may fail, or mean something else another time."""
        check = _CHECKS[call.method.__name__]
        self.readers: tuple[str | None, ...] | None = check(model, call)

    def values_of(self, call: Call) -> tuple[Any, ...]:
        """What goes into the key.

        Raises Unknown for an instance without the value, and for what no field may be compared to.
        """
        if self.readers is None:
            return call.values
        values = list(call.values)
        for place, attname in enumerate(self.readers):
            if attname is not None:
                value = values[place].__dict__.get(attname)
                if type(value) not in PK_TYPES:
                    raise Unknown
                values[place] = value
        return tuple(values)


PK_TYPES: Final = (int, str, uuid.UUID)
_SCALARS: Final = frozenset(
    {
        int,
        str,
        bool,
        NoneType,
        float,
        decimal.Decimal,
        datetime.date,
        datetime.timedelta,
        uuid.UUID,
        bytes,
    }
)
_INT_MAX: Final = 2**63

PLAIN_TYPES: Final = _SCALARS - {float, decimal.Decimal}
"""Of which every value may be compared to; of the others only the finite."""


def _value_type(value: Any) -> Any:
    """Of a value that isn't plain: what is between a shape's types, or Unknown."""
    kind = type(value)
    if kind is float:
        finite = math.isfinite(value)
    elif kind is decimal.Decimal:
        finite = value.is_finite()
    elif kind in (list, tuple) and value:
        inner = set(map(type, value))
        if len(inner) == 1 and (only := inner.pop()) in PK_TYPES:
            return kind, only
        raise Unknown
    elif isinstance(value, models.Model):
        return "instance", kind
    else:
        raise Unknown
    if not finite:
        raise Unknown
    return kind


def lookups_call(method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """filter() and exclude() with keywords."""
    if args or not kwargs:
        raise Unknown
    values = tuple(kwargs.values())
    types = tuple(map(type, values))
    if not PLAIN_TYPES.issuperset(types):
        types = tuple(
            [
                kind if kind in PLAIN_TYPES else _value_type(v)
                for kind, v in zip(types, values, strict=True)
            ]
        )
        # What may change is copied, for the key and for the replay.
        kwargs = {name: list(v) if type(v) is list else v for name, v in kwargs.items()}
        values = tuple([tuple(v) if type(v) is list else v for v in values])
    return Call(method, (tuple(kwargs), types), values, (), kwargs)


def names_call(method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Methods that take names: order_by(), values(), only(), ..."""
    for name in args:
        if type(name) is not str:
            raise Unknown
    for value in kwargs.values():
        if type(value) is not bool:
            raise Unknown
    return Call(method, (args, *kwargs.items()), (), args, kwargs)


def slice_call(method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    (key,) = args
    bounds = (key.start, key.stop)
    for bound in bounds:
        if bound is not None and (type(bound) is not int or not 0 <= bound < _INT_MAX):
            raise Unknown
    if key.step is not None:
        raise Unknown
    return Call(method, (type(bounds[0]), type(bounds[1])), bounds, args, {})


_AGGREGATES: Final = (models.Sum, models.Avg, models.Min, models.Max, models.Count)


def aggregates(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...]:
    """The arguments of aggregate(), for its key: of the plain aggregates over a name."""
    found: list[str] = []
    for alias, expression in (*(("", each) for each in args), *kwargs.items()):
        found += (alias, type(expression).__name__, _aggregated(expression))
    if not found:
        raise Unknown
    return tuple(found)


_AGGREGATE_DEFAULTS: Final = dict(vars(models.Sum("x")))


def _aggregated(expression: Any) -> str:
    """The name that an aggregate is over, if that is all that was said."""
    if type(expression) not in _AGGREGATES:
        raise Unknown
    attributes = dict(vars(expression))
    sources = attributes.pop("source_expressions", ())
    attributes.pop("_constructor_args", None)
    if (
        len(sources) != 1
        or type(sources[0]) is not models.F
        or set(vars(sources[0])) - {"name", "_constructor_args"}
        or type(sources[0].name) is not str
        or any(value != _AGGREGATE_DEFAULTS.get(name, ...) for name, value in attributes.items())
    ):
        raise Unknown
    name: str = sources[0].name
    return name


# --- which calls may be left for later ----------------------------------------------------------

_INTEGERS: Final = frozenset({int, bool})
_TEXTS: Final = frozenset({str})
_TYPES_OF: Final[dict[type, frozenset[type]]] = {
    models.AutoField: _INTEGERS,
    models.BigAutoField: _INTEGERS,
    models.SmallAutoField: _INTEGERS,
    models.IntegerField: _INTEGERS,
    models.BigIntegerField: _INTEGERS,
    models.SmallIntegerField: _INTEGERS,
    models.PositiveIntegerField: _INTEGERS,
    models.PositiveBigIntegerField: _INTEGERS,
    models.PositiveSmallIntegerField: _INTEGERS,
    models.CharField: _TEXTS,
    models.TextField: _TEXTS,
    models.SlugField: _TEXTS,
    models.EmailField: _TEXTS,
    models.URLField: _TEXTS,
    models.FilePathField: _TEXTS,
    models.GenericIPAddressField: _TEXTS,
    models.FloatField: frozenset({float}),
    models.DecimalField: frozenset({decimal.Decimal}),
    models.BooleanField: frozenset({bool}),
    models.DateField: frozenset({datetime.date}),
    models.DurationField: frozenset({datetime.timedelta}),
    models.UUIDField: frozenset({uuid.UUID}),
    models.BinaryField: frozenset({bytes}),
}
"""By the field's exact class: types of values that it takes without raising or warning."""

_COMPARISONS: Final = frozenset({"exact", "gt", "gte", "lt", "lte"})
_TEXT_LOOKUPS: Final = frozenset(
    "iexact contains icontains startswith istartswith endswith iendswith".split()
)
_FOREIGN: Final = (models.ForeignKey, models.OneToOneField)


def _resolve(model: type[Model], path: list[str]) -> tuple[Any, list[str]]:
    """The last field that a path names, and what is left of it: the lookup."""
    opts: Any = model._meta
    field: Any = None
    while path:
        name = path[0]
        if name == "pk":
            found = opts.pk
        else:
            try:
                found = opts.get_field(name)
            except FieldDoesNotExist:
                break
        if type(found) is models.CompositePrimaryKey:
            raise Unknown
        field = found
        path = path[1:]
        if not field.is_relation:
            break
        if getattr(field, "attname", None) == name and field.name != name:
            field = target(field)
            break
        if field.related_model is None or not hasattr(field.related_model, "_meta"):
            raise Unknown
        if type(field) not in (
            *_FOREIGN,
            models.ManyToManyField,
            related.ForeignObjectRel,
            models.ManyToOneRel,
            models.OneToOneRel,
            models.ManyToManyRel,
        ):
            raise Unknown
        opts = field.related_model._meta
    if field is None or len(path) > 1:
        raise Unknown
    return field, path


def target(field: Any) -> Any:
    """The plain field that a foreign key's values are of."""
    for _ in range(8):
        if type(field) not in _FOREIGN:
            return field
        if len(field.foreign_related_fields) != 1:
            raise Unknown
        field = field.target_field
    raise Unknown


def _check_lookups(model: type[Model], call: Call) -> tuple[str | None, ...] | None:
    readers = []
    (names, types) = call.shape[1:]
    for name, kind in zip(names, types, strict=True):
        field, rest = _resolve(model, name.split(LOOKUP_SEP))
        readers.append(_check_lookup(field, rest[0] if rest else "exact", kind))
    return tuple(readers) if any(readers) else None


def _check_lookup(field: Any, lookup: str, kind: Any) -> str | None:
    """The attribute to read from an instance, if the value is one."""
    found = field.get_lookup(lookup) if hasattr(field, "get_lookup") else None
    if lookup == "isnull" and kind is bool and (found is None or _is_djangos(found)):
        return None
    if type(kind) is tuple and kind[0] == "instance":
        return _check_instance(field, lookup, kind[1])
    if found is None or not _is_djangos(found) or "instance_lookups" in vars(field):
        raise Unknown
    allowed = _TYPES_OF.get(type(target(field)), frozenset())
    if lookup == "in":
        fits = type(kind) is tuple and kind[1] in allowed
    elif field.is_relation and lookup != "exact":
        fits = False
    elif lookup in _COMPARISONS:
        fits = kind in allowed or (kind is NoneType and lookup == "exact" and bool(allowed))
    else:
        fits = lookup in _TEXT_LOOKUPS and allowed is _TEXTS and kind is str
    if not fits:
        raise Unknown
    return None


def _is_djangos(lookup: type) -> bool:
    """Whether a lookup is one that Django brings, not another registered in its place."""
    return lookup.__module__ in (lookups.__name__, related_lookups.__name__)


def _check_instance(field: Any, lookup: str, model: type[Model]) -> str:
    """Only of exactly the model that a foreign key points to."""
    if type(field) not in _FOREIGN or lookup != "exact" or model is not field.related_model:
        raise Unknown
    target(field)
    attname: str = field.target_field.attname
    return attname


def _check_ordering(model: type[Model], call: Call) -> None:
    for name in call.shape[1]:
        path = name.removeprefix("-").split(LOOKUP_SEP)
        field, rest = _resolve(model, path)
        # What a relation is ordered by is its model's affair, and may change.
        if rest or field.is_relation:
            raise Unknown


def _check_names(model: type[Model], call: Call) -> None:
    if call.kwargs.get("flat") and not call.args:
        raise Unknown  # Django 6.1 warns
    for name in call.shape[1]:
        field, rest = _resolve(model, name.split(LOOKUP_SEP))
        if rest or (field.is_relation and type(field) not in _FOREIGN):
            raise Unknown


def _check_relations(model: type[Model], call: Call) -> None:
    """Django has just followed the names, or will when it runs the query."""
    if not call.args:
        raise Unknown  # Django 6.1 warns of select_related()


def _check_none(model: type[Model], call: Call) -> None:
    if call.shape[1]:
        raise Unknown


def _check_nothing(model: type[Model], call: Call) -> None:
    """Calls that can't fail, as slices of what isn't sliced."""


_CHECKS: Final[dict[str, Callable[[type[Model], Call], Any]]] = {
    "filter": _check_lookups,
    "exclude": _check_lookups,
    "sticky_filter": _check_lookups,
    "next_is_sticky": _check_nothing,
    "order_by": _check_ordering,
    "values": _check_names,
    "values_list": _check_names,
    "only": _check_names,
    "defer": _check_names,
    "select_related": _check_relations,
    "distinct": _check_none,
    "reverse": _check_none,
    "all": _check_none,
    "__getitem__": _check_nothing,
}
