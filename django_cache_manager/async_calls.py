"""QuerySet's asynchronous methods: a hit is answered on the event loop, without a thread.

Django's run the synchronous method by sync_to_async() in a thread that has connections of its own,
and what that thread's connection may answer is what counts: its transaction may have written what
it alone may see (PROTOCOL 4.4). So the first read goes there, and tells which connection it found;
the next ones look at that connection from here. They are remembered by the executor that asgiref
chooses, for each is one thread.
"""

from __future__ import annotations

import weakref
from _thread import get_ident
from asyncio import get_running_loop
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from asgiref.sync import AsyncToSync, SyncToAsync, sync_to_async
from django.db import connections
from django.db.models import Model
from django.db.models.query import ModelIterable, QuerySet

from . import expressions, keys, traces
from .answers import MISS, quick

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Method = Callable[..., Any]


_replaced = 0
"""How often a connection was put into another's place, or taken away, in any thread."""

_known: WeakKeyDictionary[Any, dict[str, _Found]] = WeakKeyDictionary()
"""By executor and alias."""


class _Found(NamedTuple):
    """A connection that a thread has under an alias."""

    reference: weakref.ref[Any]
    replaced: int


def replacing(original: Method) -> Method:
    """ConnectionHandler's `__setitem__` and `__delitem__`."""

    def method(self: Any, *args: Any) -> None:
        global _replaced
        original(self, *args)
        _replaced += 1

    return method


def _executor() -> Any:
    """What sync_to_async() would send thread-sensitive code to from here, as it chooses; None: it
    has to make one, or can't be told."""
    try:
        enclosing = getattr(AsyncToSync.executors, "current", None)
        if enclosing:
            return enclosing
        context = SyncToAsync.thread_sensitive_context.get(None)
        if context:
            return SyncToAsync.context_to_thread_executor.get(context)
        own = AsyncToSync.loop_thread_executors.get(get_running_loop())
        return own or SyncToAsync.single_thread_executor
    except AttributeError:  # of another asgiref
        return None


def _connection(queryset: Any) -> Any:
    """The connection that a queryset would go to, if that is known; else None."""
    executor = None if queryset._trace is None else _executor()
    if executor is None:
        return None
    traces.resolved(queryset)
    alias = quick.alias(queryset)
    found = None if alias is None else _known.get(executor, {}).get(alias)
    return None if found is None or found.replaced != _replaced else found.reference()


def _found(queryset: Any) -> tuple[str | None, _Found | None]:
    """The alias and the connection that a queryset has gone to, in the thread where it has."""
    alias = quick.alias(queryset)
    connection = None if alias is None else connections[alias]
    if connection is None or connection._thread_ident != get_ident():  # it is shared by another
        return None, None
    return alias, _Found(weakref.ref(connection), _replaced)


async def _in_thread(queryset: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """What Django's method does, told where it was done."""

    def call() -> Any:
        return getattr(queryset, name)(*args, **kwargs), *_found(queryset)

    value, alias, found = await sync_to_async(call)()
    executor = _executor()
    if alias is not None and executor is not None:
        _known.setdefault(executor, {})[alias] = found
    return value


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
        if type(self).contains is ours and _is_plain(self) and _is_of(obj, self.model):
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
    async def method(self: Any, id_list: Any = None, *, field_name: str = "pk") -> dict[Any, Any]:
        found: Any = MISS
        if _is_plain(self) and type(id_list) in (list, tuple) and field_name == "pk":
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


def _is_of(instance: Any, model: Any) -> bool:
    if not isinstance(instance, Model):
        return False
    kind: Any = instance._meta.concrete_model
    return kind is model._meta.concrete_model


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
