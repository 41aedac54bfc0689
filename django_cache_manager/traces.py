"""Traces: the public calls that made a queryset, a key without its SQL.

A shape is such a chain without its values; a process remembers those that Django has built once
without an error. The next chain of a known shape isn't built at all: its Query is made by replaying
the calls, should anything ask for it. The values are of a closed set of exact types (calls.py), for
which Django neither raises nor warns, so that errors rise where Django raises them.

What isn't known or isn't exactly told drops the trace: then the Query is built as ever, and its key
is its SQL.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import EmptyResultSet, FieldError
from django.db import DEFAULT_DB_ALIAS
from django.db.models.query import QuerySet
from django.db.models.sql import Query

from . import _engine, conf, policy
from ._engine import TRACE_VALUES_MAX, Trace
from .calls import (
    PLAIN_TYPES,
    TYPES_OF,
    Call,
    Step,
    Unknown,
    aggregates,
    are_plainly_selected,
    is_plain_ordering,
    lookups_call,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import Model

    from .calls import Compared

_RESET: Final = {
    "_result_cache": None,
    "_sticky_filter": False,
    "_for_write": False,
    "_prefetch_done": False,
    "_defer_next_filter": False,
    "_deferred_filter": None,
}
"""A new queryset's attributes; `_for_write` is copied by `_clone()`."""

_ATTRIBUTES: Final = set(vars(QuerySet()))
CAN_WORK_IN_PLACE: Final = "_cloning_enabled" in _ATTRIBUTES
if CAN_WORK_IN_PLACE:  # Django 6.1
    _RESET["_cloning_enabled"] = True
_LEFT: Final = ("_iterable_class", "_fields")
KEPT: Final = tuple(
    name
    for name in (
        "_db",
        "_for_write",
        "_known_related_objects",
        "_prefetch_related_lookups",
        "_fetch_mode",
    )
    if name in _ATTRIBUTES
)
_ATTRIBUTES_KNOWN: Final = {
    *_RESET,
    *_LEFT,
    *KEPT,
    "model",
    "_query",
    "_hints",
} == _ATTRIBUTES
"""Whether a queryset has just the attributes that we know how to copy."""

MEMO_SHAPES: Final = 4096
STEPS_MAX: Final = 16

_numbers = itertools.count(1)
roots: Final[dict[tuple[type[QuerySet[Any]], type[Model]], Trace]] = {}
"""Of querysets that nothing was called on."""
_count = 0


FILTER: Final = QuerySet.filter
EXCLUDE: Final = QuerySet.exclude
"""Django's own, not yet patched: this module is imported before."""


class Shape:
    """A chain of calls without its values."""

    __slots__ = (
        "annotations",
        "attributes",
        "caching",
        "children",
        "compared",
        "depth",
        "is_page",
        "is_sliced",
        "model",
        "number",
        "ordering",
    )

    def __init__(
        self,
        model: type[Model],
        built: QuerySet[Any],
        depth: int,
        compared: tuple[Compared | None, ...] = (),
    ) -> None:
        self.number = next(_numbers)
        self.model = model
        self.depth = depth
        self.children: dict[tuple[Any, ...], Step] = {}
        self.attributes = {
            # Places for what each queryset has of its own: a copy needn't grow.
            **dict.fromkeys((*KEPT, "_hints", "_trace")),
            **_RESET,
            "model": model,
            # What the calls leave on a queryset beside its Query. What it has from another (its
            # related instances are among that) isn't the shape's, but for a new one's defaults.
            **{name: built.__dict__[name] for name in (_LEFT if depth else (*_LEFT, *KEPT))},
        }
        self.compared = compared
        """What the values are compared by, as far as they are."""
        self.annotations = annotated_fields(built._query)
        self.is_sliced = built._query.is_sliced
        self.is_page = False
        """Whether it ends with its only slice."""
        self.caching: bool | None = built._query.__dict__.get("caching")
        self.ordering = model._meta.ordering


def build(trace: Trace) -> Query:
    """The Query that Django makes of a trace's calls."""
    return replayed(trace)._query


def replayed(trace: Trace) -> QuerySet[Any]:
    queryset = pristine(trace.shape.model, trace.shape.caching)
    for method, args, kwargs in trace.calls:
        queryset = method(queryset, *args, **kwargs)
    return queryset


def annotated_fields(query: Query) -> dict[str, Any]:
    """The fields that a Query's annotations are values of; None for those that can't be compared
    to as values of a model's fields are."""
    found: dict[str, Any] = {}
    for name, annotation in query.annotations.items():
        try:
            field = annotation.output_field
        except (AttributeError, FieldError):
            field = None
        found[name] = field if type(field) in TYPES_OF else None
    return found


UNBUILT: Final[Any] = object()
"""Stands for the Query of a queryset that has a trace instead."""


def new_query(model: type[Model], caching: bool | None) -> Query:
    query = Query(model)
    if caching is not None:
        query.__dict__["caching"] = caching
    return query


class _Replayed(QuerySet[Any]):
    """Django's own class as it was before hooks.py changed it: calls are replayed at its cost."""

    __init__ = QuerySet.__init__
    query = QuerySet.query
    _query = None


def pristine(model: type[Model], caching: bool | None) -> QuerySet[Any]:
    """A queryset on which calls are replayed."""
    return _Replayed(model, new_query(model, caching))


def leave(queryset: Any) -> None:
    """From now on the queryset's key is its SQL: its Query may be changed."""
    trace = queryset._trace
    if trace is not None:
        attributes = queryset.__dict__
        query = attributes.get("_query") or build(trace)
        if attributes["_result_cache"] is not None and not _is_filled(queryset):
            _compile(query, attributes["_db"])
        attributes.setdefault("_query", query)
        queryset._trace = None


def _is_filled(queryset: Any) -> bool:
    """Whether its results were put there by a prefetch: then its Query was never run."""
    return queryset._deferred_filter is not None or (
        queryset._prefetch_done and not queryset._prefetch_related_lookups
    )


def _compile(query: Query, using: str | None) -> None:
    """Leaves in a Query what running it would have left there: Django joins when it compiles."""
    with contextlib.suppress(EmptyResultSet):
        query.get_compiler(using or DEFAULT_DB_ALIAS).as_sql()


def query_of(queryset: Any) -> Query:
    """A queryset's own Query, which Django's methods use."""
    trace = queryset._trace
    if trace is not None and not queryset._is_private:
        leave(queryset)
    attributes = queryset.__dict__
    if "_query" not in attributes:
        if trace is None:
            raise AttributeError("_query")
        attributes.setdefault("_query", build(trace))
    query: Query = attributes["_query"]
    return query


def root(kind: type[QuerySet[Any]], model: type[Model]) -> Trace | None:
    """The trace of a queryset that nothing was called on, where its class can be traced."""
    known = roots.get((kind, model))
    if known is not None and known.shape.ordering is model._meta.ordering:
        return known
    caching = policy.caching_of(kind)
    if caching is False or not (caching or policy.selects(model)):
        return None
    if not _is_traceable(kind) or not is_plain_ordering(model, model._meta.ordering or ()):
        return None
    if not are_plainly_selected(model):
        return None
    _make_room()
    shape = Shape(model, pristine(model, caching), 0)
    known = roots[kind, model] = Trace(shape, (), ())
    return known


def extended(trace: Trace, call: Call) -> Trace | None:
    """The trace after a call, if the shape is known."""
    step = trace.shape.children.get(call.shape)
    if step is None:
        return None
    try:
        values = step.values_of(call)
    except Unknown:
        return None
    if len(trace.values) + len(values) > TRACE_VALUES_MAX:
        return None
    # An instance may change before the calls are replayed; its value was read at the call.
    kwargs = call.kwargs if step.readers is None else dict(zip(call.kwargs, values, strict=True))
    return Trace(
        step.shape, trace.values + values, (*trace.calls, (call.method, call.args, kwargs))
    )


def learn(trace: Trace, call: Call, built: QuerySet[Any]) -> Trace | None:
    """The trace of what Django has just built, if calls of this kind may be left unbuilt."""
    shape = trace.shape
    if shape.depth >= STEPS_MAX or built._query.combinator:
        return None
    try:
        step = Step(shape, call)
        step.values_of(call)
    except Unknown:
        return None
    _make_room()
    step.shape = Shape(shape.model, built, shape.depth + 1, shape.compared + step.compared)
    step.shape.is_page = call.method.__name__ == "__getitem__" and not shape.is_sliced
    shape.children[call.shape] = step
    return extended(trace, call)


def forget() -> None:
    """Of every model; querysets that are under way keep what they have."""
    global _count
    roots.clear()
    _traceable.clear()
    _count = 0


conf.on_change(forget)


def _make_room() -> None:
    global _count
    if _count >= MEMO_SHAPES:
        forget()
    _count += 1


# --- classes ------------------------------------------------------------------------------------

_OURS: Final = (
    "__init__ __new__ __setattr__ __getattribute__ _clone _chain _fetch_all __iter__ __len__"
    " __getitem__ __bool__ query _query db filter exclude _filter_or_exclude"
    " _filter_or_exclude_inplace order_by values values_list _values all get first last count"
    " exists in_bulk reverse distinct select_related only defer prefetch_related using ordered"
    " annotate alias _annotate _not_support_combined_queries _iterator iterator _next_is_sticky"
    " _check_ordering_first_last_queryset_aggregation _prefetch_related_objects"
).split()
"""Methods whose calls aren't made when an answer is at hand: a class that has its own is built as
Django builds it."""

_traceable: dict[type, bool] = {}


def _is_traceable(kind: type[QuerySet[Any]]) -> bool:
    known = _traceable.get(kind)
    if known is None:
        known = _traceable[kind] = _ATTRIBUTES_KNOWN and all(
            getattr(kind, name, None) is getattr(QuerySet, name, None) for name in _OURS
        )
    return known


def unbuilt(queryset: QuerySet[Any], trace: Trace) -> QuerySet[Any]:
    """What Django's `_chain()` and the last call of `trace` would have made, without its Query."""
    clone: QuerySet[Any] = _engine.unbuilt(queryset, trace, KEPT)
    return clone


def private(queryset: QuerySet[Any], trace: Trace, using: str | None) -> QuerySet[Any]:
    """A copy for Django's own code, which shows its Query to nobody: the queryset itself, which
    threads may share, is left as it is."""
    clone = unbuilt(queryset, trace)
    theirs, own = queryset.__dict__, clone.__dict__
    own["_db"], own["_is_private"] = using, True
    if theirs["_trace"] is trace and "_query" in theirs:
        own["_query"] = theirs["_query"]
    return clone


def following(
    queryset: Any, original: Callable[..., Any], encode: Callable[..., Call], args: Any, kwargs: Any
) -> Any:
    """A call of `original` on a queryset, unbuilt where its shape is known."""
    trace = resolved(queryset)
    if trace is None or queryset._sticky_filter:
        return original(queryset, *args, **kwargs)
    try:
        call = encode(original, args, kwargs)
    except Unknown:
        return original(queryset, *args, **kwargs)
    longer = extended(trace, call)
    if longer is not None:
        return unbuilt(queryset, longer)
    built = original(private(queryset, trace, queryset._db), *args, **kwargs)
    built._trace = learn(trace, call, built)
    return built


def filtered(trace: Trace, method: Callable[..., Any], kwargs: dict[str, Any]) -> Trace | None:
    """The trace after filter() or exclude(), if its shape is known."""
    longer: Trace | None = trace.filtered(method, kwargs, PLAIN_TYPES)
    if longer is not NotImplemented:
        return longer
    try:
        return extended(trace, lookups_call(method, (), kwargs))
    except Unknown:
        return None


def aggregated(trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Trace | None:
    """The trace with the arguments of aggregate() for values: only a key, never replayed."""
    try:
        said = aggregates(trace.shape, args, kwargs)
    except Unknown:
        return None
    return keyed(trace, *said)


def next_is_sticky(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """What Django's `_next_is_sticky()` comes to when the next call clones the queryset."""
    return queryset._next_is_sticky()._chain()


def sticky_filter(queryset: QuerySet[Any], **kwargs: Any) -> QuerySet[Any]:
    """A filter put off after `next_is_sticky`: the one after it goes over the same joins.

    Django applies it in place; here it clones, and the clone is made sticky again.
    """
    filtered = FILTER(queryset, **kwargs)
    filtered._query.filter_is_sticky = True
    return filtered


def sticky(trace: Trace) -> Trace | None:
    """The trace of a queryset whose next filter, which is put off, will be sticky."""
    call = Call(next_is_sticky, (), (), (), {})
    return extended(trace, call) or learn(trace, call, next_is_sticky(replayed(trace)))


def keyed(trace: Trace, *more: Any) -> Trace:
    """The trace with more values: only a key, never replayed."""
    return Trace(trace.shape, (*trace.values, *more), trace.calls)


def resolved(queryset: Any) -> Trace | None:
    """The trace of a queryset, with the filter that a related manager has put off: Django reads its
    instance when the query is needed."""
    found: Trace | None = _engine.plain_trace(queryset)
    if found is not NotImplemented:
        return found
    # Read before the trace, and written after it: a thread that finds no filter put off has a trace
    # with it.
    deferred = queryset._deferred_filter
    trace: Trace | None = queryset._trace
    if trace is None:
        return None
    theirs, ours = queryset.__dict__, trace.shape.attributes
    if (
        (CAN_WORK_IN_PLACE and not theirs["_cloning_enabled"])
        # Somebody has put another there.
        or theirs["_iterable_class"] is not ours["_iterable_class"]
        or theirs["_fields"] is not ours["_fields"]
    ):
        leave(queryset)
        return None
    return trace if deferred is None else _with_deferred(queryset, trace, *deferred)


def _with_deferred(
    queryset: Any, trace: Trace, negate: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Trace | None:
    original = EXCLUDE if negate else FILTER
    if trace.calls and trace.calls[-1][0] is next_is_sticky:
        original = sticky_filter
    try:
        call = lookups_call(original, args, kwargs)
    except Unknown:
        leave(queryset)
        return None
    longer = extended(trace, call)
    if longer is None:
        built = original(private(queryset, trace, queryset._db), *args, **kwargs)
        longer = learn(trace, call, built)
    if longer is None:
        leave(queryset)
        return None
    queryset.__dict__.pop("_query", None)
    queryset._trace = longer
    queryset._deferred_filter = None
    return longer
