"""QuerySet's asynchronous methods: a hit is answered on the event loop, without a thread.

Django's run the synchronous method by sync_to_async() in a thread that has connections of its own,
and what that thread's connection may answer is what counts: its transaction may have written what
it alone may see (PROTOCOL 4.4). So the first read of a context goes there, and tells which
connection it found; the next ones look at that connection from here. Which thread it is follows
from the event loop, asgiref's thread-sensitive context and the executor of an enclosing
async_to_sync(): another of any of them is another place.
"""

from __future__ import annotations

import weakref
from _thread import get_ident
from asyncio import get_running_loop
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import AsyncToSync, SyncToAsync, sync_to_async
from django.db import connections
from django.db.models import Model
from django.db.models.query import ModelIterable, QuerySet

from . import expressions, keys, traces
from .answers import MISS, quick

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Method = Callable[..., Any]


KEYS_MAX: Final = 200
"""Of ain_bulk(): no database takes fewer parameters, and Django sends one query."""

_replaced = 0
"""How often a connection was put into another's place, or taken away, in any thread."""


def replacing(original: Method) -> Method:
    """ConnectionHandler's `__setitem__` and `__delitem__`."""

    def method(self: Any, *args: Any) -> None:
        global _replaced
        original(self, *args)
        _replaced += 1

    return method


class _Part:
    """One of what a place is told by, referred to weakly."""

    __slots__ = ("_reference",)

    def __init__(self, found: Any) -> None:
        self._reference = None if found is None else weakref.ref(found)

    def is_now(self, found: Any) -> bool:
        """Whether it is this; what is gone is nothing any more."""
        if found is None or self._reference is None:
            return found is self._reference
        return self._reference() is found


class _Place:
    """A thread that runs a context's synchronous code, as far as it can be told from the loop."""

    __slots__ = ("_parts", "_replaced", "connections")

    def __init__(self) -> None:
        """Raises AttributeError of an asgiref that tells other things, TypeError of a loop that
        can't be referred to weakly."""
        self._parts = [*map(_Part, _surroundings())]
        self._replaced = _replaced
        self.connections: dict[str, Any] = {}
        """Weak references by alias."""

    def is_here(self) -> bool:
        loop, context, executor = _surroundings()
        return (
            all(map(_Part.is_now, self._parts, (loop, context, executor)))
            and self._replaced == _replaced
            # Django's call would raise after that.
            and not getattr(context, "_exited", False)
        )

    def note(self, queryset: Any) -> None:
        """Which connection a queryset has gone to, from the thread where it has."""
        alias = quick.alias(queryset)
        if alias is not None:
            connection = connections[alias]
            if connection._thread_ident == get_ident():  # or it may be shared, or not
                self.connections[alias] = weakref.ref(connection)


def _surroundings() -> tuple[Any, Any, Any]:
    return (
        get_running_loop(),
        SyncToAsync.thread_sensitive_context.get(None),
        getattr(AsyncToSync.executors, "current", None),
    )


_place: ContextVar[_Place | None] = ContextVar("place of synchronous code", default=None)


def _connection(queryset: Any) -> Any:
    """The connection that a queryset would go to, if that is known; else None."""
    place = _place.get()
    if place is None or queryset._trace is None or not place.is_here():
        return None
    traces.resolved(queryset)
    alias = quick.alias(queryset)
    known = None if alias is None else place.connections.get(alias)
    return None if known is None else known()


def _place_here() -> _Place | None:
    place = _place.get()
    if place is None or not place.is_here():
        try:
            place = _Place()
        except (AttributeError, TypeError):
            return None
        _place.set(place)
    return place


async def _in_thread(queryset: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """What Django's method does, told where it was done."""
    place = _place_here()

    def call() -> Any:
        found = getattr(queryset, name)(*args, **kwargs)
        if place is not None:
            place.note(queryset)
        return found

    return await sync_to_async(call)()


def _is_missing(found: Any) -> bool:
    return found is MISS or found is NotImplemented


def answered(name: str, kind: int) -> Callable[[Method], Method]:
    """The form of a method without arguments."""

    def patch(original: Method) -> Method:
        async def method(self: Any) -> Any:
            connection = _connection(self)
            if connection is not None:
                found = quick.answer(self, kind, connection=connection)
                if not _is_missing(found):
                    return found
            return await _in_thread(self, name)

        return method

    return patch


def get(original: Method) -> Method:
    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        keywords = expressions.keywords_of(args, kwargs) if args else kwargs
        connection = None if keywords is None else _connection(self)
        if connection is not None:
            asked = {"kwargs": keywords} if keywords else {}
            found = quick.answer(self, keys.ONE, connection=connection, **asked)
            if not _is_missing(found):
                return found
        return await _in_thread(self, "get", *args, **kwargs)

    return method


def contains(original: Method) -> Method:
    ours = QuerySet.contains

    async def method(self: Any, obj: Any) -> bool:
        found: bool
        if type(self).contains is ours and _is_plain(self) and _has_key(obj, self.model):
            connection = _connection(self)
            if connection is not None:
                rows = self.filter(pk=obj.pk)
                found = quick.answer(rows, keys.EXISTS, connection=connection)
                if not _is_missing(found):
                    return found
        found = await _in_thread(self, "contains", obj=obj)
        return found

    return method


def in_bulk(original: Method) -> Method:
    ours = QuerySet.in_bulk

    async def method(self: Any, id_list: Any = None, *, field_name: str = "pk") -> dict[Any, Any]:
        found: Any = MISS
        if type(self).in_bulk is ours and _is_plain(self) and _are_few(id_list, field_name):
            connection = _connection(self)
            if connection is not None and not self._trace.shape.is_sliced:
                rows = self.filter(pk__in=tuple(id_list))
                found = quick.answer(rows, keys.ITEMS, connection=connection)
        if not _is_missing(found):
            return {each.pk: each for each in found}
        by_key: dict[Any, Any] = await _in_thread(
            self, "in_bulk", id_list=id_list, field_name=field_name
        )
        return by_key

    return method


def _is_plain(queryset: Any) -> bool:
    """Whether it gives model instances, and none has been read yet."""
    return (
        queryset._trace is not None
        and queryset._result_cache is None
        and queryset._iterable_class is ModelIterable
    )


def _has_key(instance: Any, model: Any) -> bool:
    return (
        isinstance(instance, Model)
        and instance._meta.concrete_model is model._meta.concrete_model
        and instance._is_pk_set()
    )


def _are_few(keys: Any, field_name: str) -> bool:
    """Whether primary keys are asked for in one query."""
    return type(keys) in (list, tuple) and 0 < len(keys) <= KEYS_MAX and field_name == "pk"


def aggregate(original: Method) -> Method:
    ours = QuerySet.aggregate

    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        connection = _connection(self) if type(self).aggregate is ours else None
        trace = None if connection is None else traces.resolved(self)
        said = None if trace is None else traces.aggregated(trace, args, kwargs)
        if said is not None and connection is not None:
            found = quick.find(self, said, keys.AGGREGATE, connection.alias, connection)
            if not _is_missing(found):
                return found
        return await _in_thread(self, "aggregate", *args, **kwargs)

    return method


def iterate(original: Method) -> Method:
    def method(self: Any) -> AsyncIterator[Any]:
        async def items() -> AsyncIterator[Any]:
            if self._result_cache is None and (connection := _connection(self)) is not None:
                found = quick.answer(self, keys.ITEMS, connection=connection)
                if not _is_missing(found):
                    self._result_cache = found
            if self._result_cache is None or (
                self._prefetch_related_lookups and not self._prefetch_done
            ):
                await _in_thread(self, "_fetch_all")
            for item in self._result_cache:
                yield item

        return items()

    return method
