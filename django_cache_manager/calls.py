"""Calls of queryset methods, taken apart: what belongs to the shape, and the values.

The closed set of argument types, and the fields and lookups for which Django's building of the
query can't fail with a value of such a type, so that it may be left for later.
"""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import lookups
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields import related, related_lookups

from . import _engine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Field, Model

    from .traces import Shape

NoneType = type(None)


class Unknown(Exception):
    """The call is to be made as Django makes it, at once."""


class Call:
    """`shape` tells calls of one kind from all others: method, names, argument types."""

    __slots__ = ("args", "kwargs", "lookups", "method", "shape", "values")

    def __init__(
        self,
        method: Callable[..., Any],
        shape: tuple[Any, ...],
        values: tuple[Any, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        lookups: tuple[tuple[str, Any], ...] = (),
    ) -> None:
        self.method = method
        self.shape = (method, *shape)
        self.values = values
        self.args = args
        self.kwargs = kwargs
        self.lookups = lookups
        """Names within a tree, and types of what they are compared to; None: a field's own."""


class Compared(NamedTuple):
    """A value that a lookup compares to, which is a parameter and no part of a statement's text."""

    field: Field[Any, Any]
    lookup: str
    pattern: str
    """Of a lookup within a text."""

    @property
    def is_list(self) -> bool:
        return self.lookup == "in"

    @property
    def is_integer(self) -> bool:
        return TYPES_OF.get(type(self.field)) is _INTEGERS

    def prepared(self, value: Any, connection: BaseDatabaseWrapper) -> list[Any]:
        """The parameters, as Django's lookup makes them."""
        if self.lookup == "iexact":
            return [connection.ops.prep_for_iexact_query(value)]
        if self.lookup in _TEXT_LOOKUPS:
            return [self.pattern % connection.ops.prep_for_like_query(value)]
        # In two steps: MySQL's 0 is refused for an AutoField that it is saved to.
        field, prepare = self.field, self.field.get_db_prep_value
        values = value if self.is_list else (value,)
        return [prepare(field.get_prep_value(each), connection, prepared=True) for each in values]


class Reader(NamedTuple):
    """What is read from an instance that is compared to."""

    attname: str
    types: frozenset[type]
    """Of its value."""
    key: str
    """Django refuses an instance that has none."""


class Step:
    """What is known of calls of one kind on querysets of one shape."""

    __slots__ = ("compared", "readers", "shape", "unordered")

    shape: Shape

    def __init__(self, before: Shape, call: Call) -> None:
        """Raises Unknown where such a call may fail, or mean something else another time."""
        self.unordered: list[Any] = []
        """Options of models that the call is of as long as they have no ordering."""
        self.compared: tuple[Compared | None, ...] = (None,) * len(call.values)
        """Of each value, where it is one."""
        check = _CHECKS[call.method.__name__]
        self.readers: tuple[Reader | None, ...] | None = check(self, before, call)

    def values_of(self, call: Call) -> tuple[Any, ...]:
        """What goes into the key.

        Raises Unknown for an instance without the value, or with one that isn't of its field's
        type (Django may refuse it), and for what means another query by now.
        """
        if self.unordered and any(options.ordering for options in self.unordered):
            raise Unknown
        if self.readers is None:
            return call.values
        values = list(call.values)
        for place, reader in enumerate(self.readers):
            if reader is not None:
                own = values[place].__dict__
                value = own.get(reader.attname)
                if type(value) not in reader.types or own.get(reader.key) is None:
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
ORDERING_DEPTH: Final = 4
"""Of models that are ordered by one another."""

PLAIN_TYPES: Final = _SCALARS - {float, decimal.Decimal}
"""Of which every value may be compared to; of the others only the finite."""


def value_type(value: Any) -> Any:
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
                kind if kind in PLAIN_TYPES else value_type(v)
                for kind, v in zip(types, values, strict=True)
            ]
        )
        # What may change is copied, for the key and for the replay.
        kwargs = {name: list(v) if type(v) is list else v for name, v in kwargs.items()}
        values = tuple([tuple(v) if type(v) is list else v for v in values])
    return Call(method, (tuple(kwargs), types), values, (), kwargs)


_STRINGS: Final = frozenset({str})
_BOOLEANS: Final = frozenset({bool})


def names_call(method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Methods that take names: order_by(), values(), only(), ..."""
    if not _STRINGS.issuperset(map(type, args)):
        raise Unknown
    if kwargs and not _BOOLEANS.issuperset(map(type, kwargs.values())):
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
    is_slice = bool(key.start) or key.stop is not None  # or Django still takes other calls
    return Call(method, (type(bounds[0]), type(bounds[1]), is_slice), bounds, args, {})


_AGGREGATES: Final = frozenset({models.Sum, models.Avg, models.Min, models.Max, models.Count})


def aggregates(before: Shape, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...]:
    """The arguments of aggregate(), for its key: of the plain aggregates over a field's name."""
    found: list[str] = []
    for alias, expression in [*[("", each) for each in args], *kwargs.items()]:
        name = _aggregated(expression)
        if LOOKUP_SEP in name and _resolve_named(before, name)[1]:
            raise Unknown  # the hour of a moment depends on the current time zone
        found += (alias, type(expression).__name__, name)
    if not found:
        raise Unknown
    return tuple(found)


_AGGREGATE_DEFAULTS: Final = dict(vars(models.Sum("x")))


def _aggregated(expression: Any) -> str:
    """The name that an aggregate is over, if that is all that was said."""
    if type(expression) not in _AGGREGATES:
        raise Unknown
    name = _engine.aggregated_name(expression, _AGGREGATE_DEFAULTS, models.F)
    if name is None:
        raise Unknown
    return name


# --- which calls may be left for later ----------------------------------------------------------

_INTEGERS: Final = frozenset({int, bool})
_TEXTS: Final = frozenset({str})
TYPES_OF: Final[dict[type, frozenset[type]]] = {
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


def _resolve_named(shape: Shape, name: str) -> tuple[Any, list[str]]:
    """The same of a name that may be an annotation's, which goes first."""
    path = name.split(LOOKUP_SEP)
    for n in range(1, len(path) + 1 if shape.annotations else 1):
        prefix = LOOKUP_SEP.join(path[:n])
        if prefix in shape.annotations:
            field = shape.annotations[prefix]
            if field is None or len(path) > n + 1:
                raise Unknown
            return field, path[n:]
    return _resolve(shape.model, path)


def _check_lookups(step: Step, before: Shape, call: Call) -> tuple[Reader | None, ...] | None:
    names, types = call.shape[1:]
    lookups = zip(names, types, strict=True)
    readers = tuple([_check_named(before, name, kind) for name, kind in lookups])
    step.compared = tuple([_compared(before, *each) for each in zip(names, types, strict=True)])
    return readers if any(readers) else None


def _check_filter(step: Step, before: Shape, call: Call) -> tuple[Reader | None, ...] | None:
    if len(call.shape) == 3:
        return _check_lookups(step, before, call)
    _check_tree(step, before, call)
    return None


def _check_tree(step: Step, before: Shape, call: Call) -> None:
    """What else a tree holds was built once, just as it is."""
    for name, kind in call.lookups:
        if kind is not None:
            _check_named(before, name, kind)
            continue
        field, rest = _resolve_named(before, name)
        if rest:
            raise Unknown  # of a transform, which may be taken back
        if not (field.is_relation or is_plainly_selected(field)):
            raise Unknown


def _check_named(before: Shape, name: str, kind: Any) -> Reader | None:
    field, rest = _resolve_named(before, name)
    return _check_lookup(field, rest[0] if rest else "exact", kind)


def _compared(before: Shape, name: str, kind: Any) -> Compared | None:
    """Of a lookup that has been checked; None where the text depends on the value."""
    field, rest = _resolve_named(before, name)
    lookup = rest[0] if rest else "exact"
    if kind in (bool, NoneType, bytes):
        return None
    if lookup == "in" and type(target(field)) is models.GenericIPAddressField:
        return None  # of addresses written in two ways Django leaves out one
    pattern: str = getattr(field.get_lookup(lookup), "param_pattern", "")
    return Compared(target(field), lookup, pattern)


def _check_lookup(field: Any, lookup: str, kind: Any) -> Reader | None:
    """What to read from an instance, if the value is one."""
    found = field.get_lookup(lookup) if hasattr(field, "get_lookup") else None
    if lookup == "isnull" and kind is bool and (found is None or _is_djangos(found)):
        return None
    if type(kind) is tuple and kind[0] == "instance":
        return _check_instance(field, lookup, kind[1])
    if found is None or not _is_djangos(found):
        raise Unknown
    allowed = TYPES_OF.get(type(target(field)), frozenset())
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


def _check_instance(field: Any, lookup: str, model: type[Model]) -> Reader:
    """Only of exactly the model that a foreign key points to."""
    if type(field) not in _FOREIGN or lookup != "exact" or model is not field.related_model:
        raise Unknown
    allowed = TYPES_OF.get(type(target(field)), frozenset(PK_TYPES))
    types = allowed.intersection(PK_TYPES)
    return Reader(field.target_field.attname, types, model._meta.pk.attname)


def is_plain_ordering(model: type[Model], names: Any, depth: int = 0) -> bool:
    """Whether a Meta.ordering is by columns alone, those of related models too: an expression may
    depend on the time zone."""
    for name in names:
        if type(name) is not str or depth > ORDERING_DEPTH:
            return False
        path = name.removeprefix("-").split(LOOKUP_SEP)
        try:
            field, rest = _resolve(model, path)
        except Unknown:
            return False
        if rest or not (
            not field.is_relation
            or is_plain_ordering(field.related_model, field.related_model._meta.ordering, depth + 1)
        ):
            return False
    return True


_WRITERS: Final = ("select_format", "get_col")


def is_plainly_selected(field: Any) -> bool:
    """Whether Django writes what is selected: a field of an application's own may write something
    else each time."""
    kind = type(target(field))
    return all(getattr(kind, name).__module__.startswith("django.") for name in _WRITERS)


def are_plainly_selected(model: type[Model]) -> bool:
    try:
        return all(map(is_plainly_selected, model._meta.concrete_fields))
    except Unknown:  # a key of several columns
        return False


def _check_ordering(step: Step, before: Shape, call: Call) -> None:
    for name in call.shape[1]:
        plain = name.removeprefix("-")
        if plain in before.annotations:
            continue
        field, rest = _resolve(before.model, plain.split(LOOKUP_SEP))
        if rest:
            raise Unknown
        if field.is_relation:
            # It is ordered by what its model is ordered by, or else by its key.
            if type(field) not in _FOREIGN or field.related_model._meta.ordering:
                raise Unknown
            step.unordered.append(field.related_model._meta)


def _check_values(step: Step, before: Shape, call: Call) -> None:
    """Names of annotations too; Django has just found that these are selected."""
    names = [name for name in call.shape[1] if name not in before.annotations]
    _check_named_fields(before, call, names)


def _check_names(step: Step, before: Shape, call: Call) -> None:
    _check_named_fields(before, call, call.shape[1])


def _check_named_fields(before: Shape, call: Call, names: Sequence[str]) -> None:
    if call.kwargs.get("flat") and not call.args:
        raise Unknown  # Django 6.1 warns
    for name in names:
        field, rest = _resolve(before.model, name.split(LOOKUP_SEP))
        if rest or (field.is_relation and type(field) not in _FOREIGN):
            raise Unknown
        if not is_plainly_selected(field):
            raise Unknown


def _check_relations(step: Step, before: Shape, call: Call) -> None:
    """Django has just followed the names, or will when it runs the query."""
    if not call.args:
        raise Unknown  # Django 6.1 warns of select_related()
    for name in call.shape[1]:
        path = name.split(LOOKUP_SEP)
        for n in range(1, len(path) + 1):
            field, rest = _resolve(before.model, path[:n])
            if rest or not field.is_relation or not are_plainly_selected(field.related_model):
                raise Unknown


def _check_none(step: Step, before: Shape, call: Call) -> None:
    if call.shape[1]:
        raise Unknown


def _check_nothing(step: Step, before: Shape, call: Call) -> None:
    """Calls that can't fail, as slices of what isn't sliced."""


_CHECKS: Final[dict[str, Callable[[Step, Shape, Call], Any]]] = {
    "filter": _check_filter,
    "exclude": _check_filter,
    "annotate": _check_tree,
    "alias": _check_tree,
    "sticky_filter": _check_lookups,
    "next_is_sticky": _check_nothing,
    "order_by": _check_ordering,
    "values": _check_values,
    "values_list": _check_values,
    "only": _check_names,
    "defer": _check_names,
    "select_related": _check_relations,
    "distinct": _check_none,
    "reverse": _check_none,
    "all": _check_none,
    "__getitem__": _check_nothing,
}
