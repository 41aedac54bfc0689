"""QuerySet's methods above the compiler: calls whose Query can wait, and answers without one.

Each function here takes the method of Django's that hooks.py puts it in place of. A queryset
without a trace goes straight on to it; subclasses and their own methods work as ever.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from . import answers, calls, policy, traces

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
        if self._trace is None or self._is_private:
            return original(self, *args, **kwargs)
        self._is_private = True
        try:
            return original(self, *args, **kwargs)
        finally:
            del self._is_private

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


def filtering(original: Method) -> Method:
    """filter() and exclude(); a related manager's first is put off till its query is needed."""
    follow = following(calls.lookups_call)(original)
    is_filter = original.__name__ == "filter"

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._trace is None:
            return original(self, *args, **kwargs)
        if not self._defer_next_filter:
            if is_filter and kwargs and not args and not self._sticky_filter:
                trace = traces.resolved(self)
                longer = None if trace is None else traces.filtered(trace, kwargs)
                if longer is not None:
                    return traces.unbuilt(self, longer)
            return follow(self, *args, **kwargs)
        trace = traces.resolved(self)
        if trace is None or trace.shape.is_sliced or self._sticky_filter:
            return original(self, *args, **kwargs)
        self._defer_next_filter = False
        clone: Any = traces.unbuilt(self, trace)
        clone._deferred_filter = original.__name__ == "exclude", args, kwargs
        return clone

    return method


def using(original: Method) -> Method:
    def method(self: Any, alias: Any) -> Any:
        trace = traces.resolved(self)
        if trace is None or self._sticky_filter:
            return original(self, alias)
        clone: Any = traces.unbuilt(self, trace)
        clone._db = alias
        return clone

    return method


def getitem(original: Method) -> Method:
    follow = following(calls.slice_call)(original)

    def method(self: Any, k: Any) -> Any:
        if self._trace is None or self._result_cache is not None or type(k) is not slice:
            return original(self, k)
        return follow(self, k)

    return method


# --- answers ------------------------------------------------------------------------------------


def _items(queryset: Any) -> list[Any]:
    return list(queryset._iterable_class(queryset))


def fetch_all(original: Method) -> Method:
    def method(self: Any) -> None:
        if self._trace is not None and self._result_cache is None:
            trace = traces.resolved(self)
            self._result_cache = answers.answer(self, trace, answers.ITEMS, _items)
        original(self)

    return method


def answered(kind: int) -> Callable[[Method], Method]:
    """A method without arguments that runs the query, where there are no results yet."""

    def patch(original: Method) -> Method:
        def method(self: Any) -> Any:
            if self._trace is None or self._result_cache is not None:
                return original(self)
            return answers.answer(self, traces.resolved(self), kind, original)

        return method

    return patch


def aggregate(original: Method) -> Method:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        trace = None if self._trace is None else traces.resolved(self)
        said = None if trace is None else traces.aggregated(trace, args, kwargs)
        if said is None:
            return original(self, *args, **kwargs)
        call = partial(original, self, *args, **kwargs)
        return answers.answer(self, said, answers.AGGREGATE, lambda _: call())

    return method


def get(original: Method) -> Method:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        trace = None if self._trace is None else traces.resolved(self)
        if trace is None:
            return original(self, *args, **kwargs)
        longer = trace if not args and not kwargs else None
        if not args and kwargs and not self._sticky_filter:
            longer = traces.filtered(trace, kwargs)
        if longer is not None and not longer.shape.prefetches:
            alias = self.db
            found = answers.find(self, longer, answers.ONE, alias)
            if found is answers.MISS:
                matching = self.filter(**kwargs) if kwargs else self
                found = answers.ask(matching, longer, answers.ONE, alias, original)
            return found
        matching = self.filter(*args, **kwargs)
        trace = traces.resolved(matching)
        if trace is None:
            return original(self, *args, **kwargs)
        return answers.answer(matching, trace, answers.ONE, original)

    return method
