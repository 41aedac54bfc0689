"""QuerySet's methods above the compiler: calls whose Query can wait, and answers without one.

Each function here takes the method of Django's that hooks.py puts it in place of. A queryset
without a trace goes straight on to it; subclasses and their own methods work as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Prefetch
from django.db.transaction import mark_for_rollback_on_error

from . import answers, calls, expressions, keys, policy, traces, updates
from .answers import MISS, quick

if TYPE_CHECKING:
    from collections.abc import Callable

    Method = Callable[..., Any]


def init(original: Method) -> Method:
    def method(
        self: Any, model: Any = None, query: Any = None, using: Any = None, hints: Any = None
    ) -> None:
        trace = None if query is not None or model is None else traces.root(type(self), model)
        if trace is not None:
            original(self, model, traces.UNBUILT, using, hints)
            self._trace = trace
            return
        original(self, model, query, using, hints)
        caching = policy.caching_of(type(self)) if query is None else None
        if caching is not None:
            self._query.caching = caching

    return method


def opt_out(queryset: Any) -> None:
    """Sends a queryset's own query to the database."""
    queryset._query.caching = False


# --- the Query ----------------------------------------------------------------------------------


def _put(self: Any, value: Any) -> None:
    if value is not traces.UNBUILT:
        self.__dict__["_query"] = value


hidden_query = property(traces.query_of, _put)
"""QuerySet._query, which Django's own methods use: made by a replay when it is asked for."""


def query(original: property) -> property:
    """QuerySet.query, which users have too: whoever has it may change it."""
    read, write = original.fget, original.fset
    assert read is not None
    assert write is not None

    def get(self: Any) -> Any:
        attributes = self.__dict__
        if attributes.get("_trace") is not None and not self._is_private:
            traces.leave(self)
        if attributes.get("_deferred_filter") is None and "_query" in attributes:
            return attributes["_query"]
        return read(self)

    def put(self: Any, value: Any) -> None:
        traces.leave(self)
        write(self, value)

    return property(get, put)


def privately(original: Method) -> Method:
    """A method of Django's that shows the Query to nobody."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        trace = None if self._trace is None or self._is_private else traces.resolved(self)
        if trace is not None:
            self = traces.private(self, trace, self._db)
        return original(self, *args, **kwargs)

    return method


def contains(original: Method) -> Method:
    """What has been read already is looked through."""
    unread = privately(original)

    def method(self: Any, obj: Any) -> Any:
        return unread(self, obj) if self._result_cache is None else original(self, obj)

    return method


def ordered(original: property) -> property:
    assert original.fget is not None
    return property(privately(original.fget))


def getstate(original: Method) -> Method:
    def method(self: Any) -> Any:
        traces.leave(self)
        state = original(self)
        state.pop("_trace", None)
        return state

    return method


def deepcopy(original: Method) -> Method:
    def method(self: Any, memo: Any) -> Any:
        traces.leave(self)
        return original(self, memo)

    return method


# --- calls --------------------------------------------------------------------------------------


def following(encode: Callable[..., calls.Call]) -> Callable[[Method], Method]:
    """A call that gives another queryset."""

    def patch(original: Method) -> Method:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self._trace is None:
                return original(self, *args, **kwargs)
            return traces.following(self, original, encode, args, kwargs)

        return method

    return patch


def naming(original: Method) -> Method:
    """A call with names: order_by(), values(), only() and their like."""
    follow = following(calls.names_call)(original)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        known = quick.name(self, original, args, kwargs)
        return follow(self, *args, **kwargs) if known is NotImplemented else known

    return method


def _as_keywords(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    keywords = expressions.keywords_of(args, kwargs)
    return (args, kwargs) if keywords is None else ((), keywords)


def filtering(original: Method) -> Method:
    """filter() and exclude(); a related manager's first is put off till its query is needed."""
    follow = following(expressions.filter_call)(original)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args and original is traces.FILTER and self._trace is not None:
            args, kwargs = _as_keywords(args, kwargs)
        known = NotImplemented if args else quick.filter(self, original, kwargs)
        if known is not NotImplemented:
            return known
        if traces.CAN_WORK_IN_PLACE and not args and _puts_off_in_place(self, original, kwargs):
            return self
        trace = None if self._trace is None else traces.resolved(self)
        if trace is None or not kwargs or args:
            return follow(self, *args, **kwargs)
        if self._sticky_filter:
            put_off = self._defer_next_filter and not trace.shape.is_sliced
            trace = traces.sticky(trace) if put_off and original is traces.FILTER else None
            if trace is None:
                return follow(self, *args, **kwargs)
        if self._defer_next_filter and not trace.shape.is_sliced:
            self._defer_next_filter = False
            clone: Any = traces.unbuilt(self, trace)
            clone._deferred_filter = original.__name__ == "exclude", args, kwargs
            return clone
        longer = traces.filtered(trace, original, kwargs)
        return follow(self, **kwargs) if longer is None else traces.unbuilt(self, longer)

    return method


def _puts_off_in_place(queryset: Any, original: Method, kwargs: dict[str, Any]) -> bool:
    """What a related manager of Django 6.1 does with a queryset of its own, which it doesn't
    clone."""
    trace = queryset._trace
    if (
        trace is None
        or queryset._cloning_enabled
        or not queryset._defer_next_filter
        or queryset._deferred_filter is not None
        or "_query" in vars(queryset)
        or trace.shape.is_sliced
        or original is not traces.FILTER
        or not kwargs
    ):
        return False
    if queryset._sticky_filter:
        trace = traces.sticky(trace)
        if trace is None:
            return False
    queryset._trace = trace
    queryset._sticky_filter = queryset._defer_next_filter = False
    queryset._deferred_filter = False, (), kwargs
    return True


def passing(attribute: str) -> Callable[[Method], Method]:
    """A call that sets an attribute of which the Query doesn't know: the trace stays."""

    def patch(original: Method) -> Method:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            trace = None if self._trace is None else traces.resolved(self)
            if trace is None or self._sticky_filter or kwargs or len(args) != 1:
                return original(self, *args, **kwargs)
            clone: Any = traces.unbuilt(self, trace)
            setattr(clone, attribute, *args)
            return clone

        return method

    return patch


def prefetch_related(original: Method) -> Method:
    """Of prefetches the Query doesn't know either."""

    def method(self: Any, *lookups: Any) -> Any:
        trace = None if self._trace is None else traces.resolved(self)
        known = all(type(each) in (str, Prefetch) for each in lookups)
        if trace is None or self._sticky_filter or not (known or lookups == (None,)):
            return original(self, *lookups)
        clone: Any = traces.unbuilt(self, trace)
        clone._prefetch_related_lookups = clone._prefetch_related_lookups + lookups if known else ()
        return clone

    return method


def getitem(original: Method) -> Method:
    follow = following(calls.slice_call)(original)

    def method(self: Any, k: Any) -> Any:
        if self._trace is None or self._result_cache is not None or type(k) is not slice:
            return original(self, k)
        known = quick.slice(self, original, k)
        return follow(self, k) if known is NotImplemented else known

    return method


# --- answers ------------------------------------------------------------------------------------


def _items(queryset: Any) -> list[Any]:
    return list(queryset._iterable_class(queryset))


def fetch_all(original: Method) -> Method:
    def method(self: Any) -> None:
        if self._trace is not None and self._result_cache is None:
            found = quick.answer(self, keys.ITEMS)
            if found is MISS or found is NotImplemented:
                trace = traces.resolved(self)
                found = answers.answer(self, trace, keys.ITEMS, _items, found)
            self._result_cache = found
        original(self)

    return method


def answered(kind: int) -> Callable[[Method], Method]:
    """A method without arguments that runs the query, where there are no results yet."""

    def patch(original: Method) -> Method:
        def method(self: Any) -> Any:
            found = quick.answer(self, kind)
            if found is not MISS and found is not NotImplemented:
                return found
            if self._trace is None or self._result_cache is not None:
                return original(self)
            return answers.answer(self, traces.resolved(self), kind, original, found)

        return method

    return patch


def aggregate(original: Method) -> Method:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        trace = None if self._trace is None else traces.resolved(self)
        said = None if trace is None else traces.aggregated(trace, args, kwargs)
        if said is None:
            return original(self, *args, **kwargs)
        return answers.answer(
            self, said, keys.AGGREGATE, lambda copy: original(copy, *args, **kwargs)
        )

    return method


def get(original: Method) -> Method:
    unfiltered = answered(keys.ONE)(original)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args and self._trace is not None:
            args, kwargs = _as_keywords(args, kwargs)
        found = NotImplemented if args else quick.answer(self, keys.ONE, kwargs)
        if found is not MISS and found is not NotImplemented:
            return found
        trace = None if self._trace is None else traces.resolved(self)
        if trace is None:
            return original(self, *args, **kwargs)
        plain = bool(kwargs) and not args and not self._sticky_filter
        longer = traces.filtered(trace, traces.FILTER, kwargs) if plain else None
        if longer is not None and not self._prefetch_related_lookups:
            return answers.answer(self, longer, keys.ONE, original, found)
        return unfiltered(self.filter(*args, **kwargs) if args or kwargs else self)

    return method


# --- writes -------------------------------------------------------------------------------------


def saving(original: Method) -> Method:
    """_update(), by which a model is saved; Django 6 passes the fields to be returned too."""

    def method(self: Any, values: Any, *returning: Any) -> Any:
        trace = None if self._trace is None or any(returning) else traces.resolved(self)
        if trace is not None and self._db is not None:
            plain = updates.go_by_key(trace, [value for _, _, value in values])
            rows = updates.update(self._db, trace, values) if plain else None
            if rows is not None:
                self._result_cache = None
                return [()] * rows if returning and returning[0] is not None else rows
        return original(self, values, *returning)

    return method


def update(original: Method) -> Method:
    def method(self: Any, **kwargs: Any) -> Any:
        trace = None if self._trace is None else traces.resolved(self)
        if trace is None or not updates.go_by_key(trace, kwargs.values()):
            return original(self, **kwargs)
        values = updates.assigned(trace, kwargs)
        if values is None:
            return original(self, **kwargs)
        self._for_write = True
        alias = self.db
        with mark_for_rollback_on_error(using=alias):
            rows = updates.update(alias, trace, values)
        if rows is None:
            rows = original(traces.private(self, trace, alias), **kwargs)
        self._result_cache = None
        return rows

    return method
