"""The one place that touches Django's classes.

docs/internals.md lists every patch with its reason. A write has to be seen where it is sent,
whoever sends it, so the driver's calls of CursorWrapper and the connection's own commit, rollback,
autocommit and close are wrapped; no signal and no public hook is called for all of them, and
`execute_wrappers` can be popped by a user's code (PROTOCOL 2.7). A read has to be answered below
QuerySet, so that no read path is missed: at SQLCompiler.execute_sql. The Query and its SQL, which
cost more than a hit, can be left out above it only: at QuerySet's methods. `Options.base_manager`
is wrapped because forward foreign keys and refresh_from_db() go through it and a model can't set it
without naming a manager. QuerySet.__init__ and BaseManager.get_queryset see a `caching = False` of
their class, which the compiler can't.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import django
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import query as query_module
from django.db.models.manager import BaseManager, Manager
from django.db.models.options import Options
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    NamedValuesListIterable,
    QuerySet,
    ValuesIterable,
    ValuesListIterable,
)
from django.db.models.query_utils import RegisterLookupMixin, class_or_instance_method
from django.db.models.sql import RawQuery
from django.db.models.sql.compiler import SQLCompiler, SQLInsertCompiler
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI
from django.utils.connection import BaseConnectionHandler
from django.utils.functional import cached_property

from . import (
    _engine,
    async_calls,
    expressions,
    inserts,
    iterables,
    keys,
    managers,
    prefetches,
    querysets,
    reads,
    traces,
)
from .cache_manager import CacheManager, is_caching
from .connection_state import state_of
from .cursors import fetching
from .open_ended import open_ended
from .querysets import opt_out
from .raw import CachedRawQuery
from .results import Hit, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

_FETCHES: Final = frozenset({"fetchone", "fetchmany", "fetchall", "close"})
_PASSIVE: Final = frozenset(
    {
        "mogrify",
        "setinputsizes",
        "setoutputsize",
        "scroll",
        "cast",
        "fetchvar",
        "var",
        "getquoted",
        "__enter__",
        "__exit__",
    }
)
_OPEN_ENDED: Final = frozenset({"copy", "stream"})

_SINCE_6_0: Final = ("returning_fields",) if django.VERSION >= (6, 0) else ()

# What is patched or overridden, and its parameters on the Djangos that this package supports.
_EXPECTED: Final[dict[tuple[type | ModuleType, str], tuple[str, ...]]] = {
    (CursorWrapper, "_execute"): ("self", "sql", "params", "*ignored_wrapper_args"),
    (CursorWrapper, "_executemany"): ("self", "sql", "param_list", "*ignored_wrapper_args"),
    (CursorWrapper, "callproc"): ("self", "procname", "params", "kparams"),
    (CursorWrapper, "__getattr__"): ("self", "attr"),
    (BaseDatabaseWrapper, "connect"): ("self",),
    (BaseDatabaseWrapper, "_commit"): ("self",),
    (BaseDatabaseWrapper, "_rollback"): ("self",),
    (BaseDatabaseWrapper, "close"): ("self",),
    (BaseDatabaseWrapper, "set_autocommit"): (
        "self",
        "autocommit",
        "force_begin_transaction_with_broken_autocommit",
    ),
    (SQLCompiler, "execute_sql"): ("self", "result_type", "chunked_fetch", "chunk_size"),
    (SQLInsertCompiler, "as_sql"): ("self",),
    (RegisterLookupMixin, "_clear_cached_class_lookups"): ("cls",),
    (RegisterLookupMixin, "register_instance_lookup"): ("self", "lookup", "lookup_name"),
    (RegisterLookupMixin, "_unregister_instance_lookup"): ("self", "lookup", "lookup_name"),
    (SQLCompiler, "results_iter"): (
        "self",
        "results",
        "tuple_expected",
        "chunked_fetch",
        "chunk_size",
    ),
    (QuerySet, "raw"): ("self", "raw_query", "params", "translations", "using"),
    (RawQuery, "__init__"): ("self", "sql", "using", "params"),
    (RawQuery, "clone"): ("self", "using"),
    (RawQuery, "_execute_query"): ("self",),
    (QuerySet, "__init__"): ("self", "model", "query", "using", "hints"),
    (BaseManager, "get_queryset"): ("self",),
    (ModelIterable, "__iter__"): ("self",),
    (ValuesIterable, "__iter__"): ("self",),
    (NamedValuesListIterable, "__iter__"): ("self",),
    (FlatValuesListIterable, "__iter__"): ("self",),
    (ValuesListIterable, "__iter__"): ("self",),
    (QuerySet, "__getstate__"): ("self",),
    (QuerySet, "__deepcopy__"): ("self", "memo"),
    (QuerySet, "all"): ("self",),
    (QuerySet, "filter"): ("self", "*args", "kwargs"),
    (QuerySet, "exclude"): ("self", "*args", "kwargs"),
    (QuerySet, "order_by"): ("self", "*field_names"),
    (QuerySet, "reverse"): ("self",),
    (QuerySet, "annotate"): ("self", "*args", "kwargs"),
    (QuerySet, "alias"): ("self", "*args", "kwargs"),
    (QuerySet, "distinct"): ("self", "*field_names"),
    (QuerySet, "select_related"): ("self", "*fields"),
    (QuerySet, "prefetch_related"): ("self", "*lookups"),
    (QuerySet, "only"): ("self", "*fields"),
    (QuerySet, "defer"): ("self", "*fields"),
    (QuerySet, "values"): ("self", "*fields", "expressions"),
    (QuerySet, "values_list"): ("self", "*fields", "flat", "named"),
    (QuerySet, "using"): ("self", "alias"),
    (QuerySet, "__getitem__"): ("self", "k"),
    (QuerySet, "_fetch_all"): ("self",),
    (QuerySet, "count"): ("self",),
    (QuerySet, "exists"): ("self",),
    (QuerySet, "first"): ("self",),
    (QuerySet, "last"): ("self",),
    (QuerySet, "get"): ("self", "*args", "kwargs"),
    (QuerySet, "in_bulk"): ("self", "id_list", "field_name"),
    (QuerySet, "contains"): ("self", "obj"),
    (QuerySet, "aggregate"): ("self", "*args", "kwargs"),
    (QuerySet, "update"): ("self", "kwargs"),
    (QuerySet, "_update"): ("self", "values", *_SINCE_6_0),
    (QuerySet, "aget"): ("self", "*args", "kwargs"),
    (QuerySet, "afirst"): ("self",),
    (QuerySet, "alast"): ("self",),
    (QuerySet, "acount"): ("self",),
    (QuerySet, "aexists"): ("self",),
    (QuerySet, "aaggregate"): ("self", "*args", "kwargs"),
    (QuerySet, "acontains"): ("self", "obj"),
    (QuerySet, "ain_bulk"): ("self", "id_list", "field_name"),
    (QuerySet, "__aiter__"): ("self",),
    (BaseConnectionHandler, "__setitem__"): ("self", "key", "value"),
    (BaseConnectionHandler, "__delitem__"): ("self", "key"),
    (query_module, "prefetch_one_level"): ("instances", "prefetcher", "lookup", "level"),
}

_QUERYSET: Final[dict[str, Callable[[Any], Any]]] = {
    "__init__": querysets.init,
    "query": querysets.query,
    "ordered": querysets.ordered,
    "__getstate__": querysets.getstate,
    "__deepcopy__": querysets.deepcopy,
    "all": querysets.naming,
    "filter": querysets.filtering,
    "exclude": querysets.filtering,
    "order_by": querysets.naming,
    "reverse": querysets.naming,
    "annotate": querysets.following(expressions.annotate_call),
    "alias": querysets.following(expressions.annotate_call),
    "distinct": querysets.naming,
    "select_related": querysets.naming,
    "prefetch_related": querysets.prefetch_related,
    "only": querysets.naming,
    "defer": querysets.naming,
    "values": querysets.naming,
    "values_list": querysets.naming,
    "using": querysets.passing("_db"),
    "__getitem__": querysets.getitem,
    "_fetch_all": querysets.fetch_all,
    "count": querysets.answered(keys.COUNT),
    "exists": querysets.answered(keys.EXISTS),
    "first": querysets.answered(keys.FIRST),
    "last": querysets.answered(keys.LAST),
    "get": querysets.get,
    "in_bulk": querysets.privately,
    "contains": querysets.contains,
    "aggregate": querysets.aggregate,
    "update": querysets.update,
    "_update": querysets.saving,
    "aget": async_calls.get,
    "afirst": async_calls.answered("first", keys.FIRST),
    "alast": async_calls.answered("last", keys.LAST),
    "acount": async_calls.answered("count", keys.COUNT),
    "aexists": async_calls.answered("exists", keys.EXISTS),
    "aaggregate": async_calls.aggregate,
    "acontains": async_calls.contains,
    "ain_bulk": async_calls.in_bulk,
    "__aiter__": async_calls.iterate,
}
"""What of a queryset can do without its Query; the reasons are in traces.py."""

if hasattr(QuerySet, "fetch_mode"):  # Django 6.1
    _EXPECTED[QuerySet, "fetch_mode"] = ("self", "fetch_mode")
    _QUERYSET["fetch_mode"] = querysets.passing("_fetch_mode")

_MANAGERS: Final = tuple(
    next(each for each in kind.__mro__ if "get" in vars(each)) for kind in (Manager, CacheManager)
)
"""The classes that Django has made for the methods of QuerySet and of CachingQuerySet."""

_LOOKUPS: Final = ("register_lookup", "_unregister_lookup")
"""Descriptors that lead to one function of a class and to another of an instance."""

_originals: dict[tuple[Any, str], Any] = {}
_lock = threading.Lock()
logger = logging.getLogger("django_cache_manager")


def mismatches() -> list[str]:
    """What of Django isn't as this package expects it; empty on a supported Django."""
    found = []
    for (owner, name), expected in _EXPECTED.items():
        function = _originals.get((owner, name)) or vars(owner).get(name)
        if function is None:
            found.append(f"{owner.__name__}.{name} is missing")
            continue
        parameters = inspect.signature(inspect.unwrap(function)).parameters.values()
        actual = tuple(("*" if p.kind is p.VAR_POSITIONAL else "") + p.name for p in parameters)
        if actual != expected:
            found.append(f"{owner.__name__}.{name}{actual} was expected to be {expected}")
    if not isinstance(
        _originals.get((Options, "base_manager"), vars(Options).get("base_manager")),
        cached_property,
    ):
        found.append("Options.base_manager is no cached_property")
    found += [
        f"RegisterLookupMixin.{name} is no class_or_instance_method"
        for name in _LOOKUPS
        if not isinstance(vars(RegisterLookupMixin).get(name), class_or_instance_method)
    ]
    return found


def install() -> None:
    """Puts the hooks in place, once.

    Does nothing where Django isn't as expected: then nothing is cached.
    """
    with _lock:
        if _originals:
            return
        if found := mismatches():
            logger.error("nothing is cached, for this Django isn't supported: %s", "; ".join(found))
            return
        _patch(CursorWrapper, "_execute", _execute)
        _patch(CursorWrapper, "_executemany", _execute)
        _patch(CursorWrapper, "callproc", _callproc)
        _patch(CursorWrapper, "__getattr__", _getattr)
        _patch(BaseDatabaseWrapper, "connect", _connect)
        _patch(BaseDatabaseWrapper, "_commit", _commit)
        _patch(BaseDatabaseWrapper, "_rollback", _rollback)
        _patch(BaseDatabaseWrapper, "close", _close)
        _patch(BaseDatabaseWrapper, "set_autocommit", _set_autocommit)
        _patch(SQLCompiler, "execute_sql", _execute_sql)
        _patch(SQLCompiler, "results_iter", _results_iter)
        _patch(SQLInsertCompiler, "as_sql", _insert_as_sql)
        _patch(ModelIterable, "__iter__", _items(iterables.instances))
        _patch(ValuesIterable, "__iter__", _items(iterables.dicts))
        _patch(NamedValuesListIterable, "__iter__", _items(iterables.named))
        _patch(FlatValuesListIterable, "__iter__", _items(iterables.flat))
        _patch(ValuesListIterable, "__iter__", _items(iterables.tuples))
        _patch(Options, "base_manager", _base_manager)
        _patch(RegisterLookupMixin, "_clear_cached_class_lookups", _lookups_changed)
        for name in _LOOKUPS:
            _patch(vars(RegisterLookupMixin)[name], "instance_method", _instance_lookups_changed)
        _patch(QuerySet, "raw", _raw)
        for name, make in _QUERYSET.items():
            _patch(QuerySet, name, make)
        _patch(query_module, "prefetch_one_level", prefetches.one_level)
        for name in ("__setitem__", "__delitem__"):
            _patch(BaseConnectionHandler, name, async_calls.replacing)
        _add(QuerySet, "_query", querysets.hidden_query)
        _add(QuerySet, "_trace", None)
        _add(QuerySet, "_is_private", False)
        _patch(BaseManager, "get_queryset", _get_queryset)
        for owner in _MANAGERS:
            _patch(owner, "get", managers.get)
            _patch(owner, "filter", managers.filtering)


def installed() -> bool:
    return bool(_originals)


def _patch(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Puts what `make` makes of the original in its place."""
    original = vars(owner)[name]
    _originals[owner, name] = original
    patched = make(original)
    if isinstance(patched, cached_property):
        patched.__set_name__(owner, name)
    elif isinstance(patched, property):
        patched.__doc__ = original.__doc__
    elif isinstance(patched, classmethod):
        functools.update_wrapper(patched.__func__, original.__func__)
    else:
        functools.update_wrapper(patched, original)
    setattr(owner, name, patched)


def _add(owner: type, name: str, value: Any) -> None:
    """Puts what Django has nothing for."""
    if name in vars(owner):
        raise AttributeError(f"{owner.__qualname__}.{name} is there already")
    setattr(owner, name, value)


# --- writes -------------------------------------------------------------------------------------


def _execute(original: Any) -> Any:
    """CursorWrapper._execute and _executemany: the innermost calls with SQL (PROTOCOL 2.7)."""

    def execute(self: CursorWrapper, sql: Any, params: Any, *ignored: Any) -> Any:
        state = state_of(self.db)
        if state is None:
            return original(self, sql, params, *ignored)
        return state.statement(self, sql, partial(original, self, sql, params, *ignored))

    return execute


def _callproc(original: Any) -> Any:
    def callproc(self: CursorWrapper, *args: Any, **kwargs: Any) -> Any:
        state = state_of(self.db)
        if state is None:
            return original(self, *args, **kwargs)
        return state.other_call(self, lambda: original(self, *args, **kwargs))

    return callproc


def _getattr(original: Any) -> Any:
    """CursorWrapper.__getattr__: the way to all of the driver's cursor that Django has no method
    for."""

    def getattr_(self: CursorWrapper, attr: str) -> Any:
        value = original(self, attr)
        state = state_of(self.db) if callable(value) and "db" in self.__dict__ else None
        if state is None:
            return value
        if attr in _FETCHES:
            return fetching(state.unfinished, self, attr, value)
        if attr in _PASSIVE:
            return value
        if attr in _OPEN_ENDED:
            return open_ended(state, self.db, attr, value)

        def other(*args: Any, **kwargs: Any) -> Any:
            return state.other_call(self, lambda: value(*args, **kwargs))

        return other

    return getattr_


def _insert_as_sql(original: Any) -> Any:
    def as_sql(self: SQLInsertCompiler) -> Any:
        return inserts.as_sql(original, self)

    return as_sql


# --- the connection -----------------------------------------------------------------------------


def _connect(original: Any) -> Any:
    def connect(self: BaseDatabaseWrapper) -> Any:
        state = state_of(self)
        if state is None:
            return original(self)
        state.connecting = True
        try:
            result = original(self)
        finally:
            state.connecting = False
        state.meet(self)
        return result

    return connect


def _commit(original: Any) -> Any:
    def commit(self: BaseDatabaseWrapper) -> Any:
        state = state_of(self)
        return original(self) if state is None else state.commit(self, lambda: original(self))

    return commit


def _rollback(original: Any) -> Any:
    def rollback(self: BaseDatabaseWrapper) -> Any:
        state = state_of(self)
        return original(self) if state is None else state.rollback(self, lambda: original(self))

    return rollback


def _close(original: Any) -> Any:
    def close(self: BaseDatabaseWrapper) -> Any:
        try:
            return original(self)
        finally:
            state = state_of(self)
            if state is not None:
                state.closed(self)

    return close


def _set_autocommit(original: Any) -> Any:
    def set_autocommit(self: BaseDatabaseWrapper, *args: Any, **kwargs: Any) -> Any:
        state = state_of(self)
        if state is None:
            return original(self, *args, **kwargs)
        return state.set_autocommit(self, lambda: original(self, *args, **kwargs))

    return set_autocommit


# --- reads --------------------------------------------------------------------------------------


def _execute_sql(original: Any) -> Any:
    def execute_sql(
        self: SQLCompiler,
        result_type: str = MULTI,
        chunked_fetch: bool = False,
        chunk_size: int = GET_ITERATOR_CHUNK_SIZE,
    ) -> Any:
        return reads.execute_sql(original, self, result_type, chunked_fetch, chunk_size)

    return execute_sql


def _results_iter(original: Any) -> Any:
    def results_iter(
        self: SQLCompiler,
        results: Any = None,
        tuple_expected: bool = False,
        chunked_fetch: bool = False,
        chunk_size: int = GET_ITERATOR_CHUNK_SIZE,
    ) -> Any:
        if results is None:
            results = self.execute_sql(MULTI, chunked_fetch=chunked_fetch, chunk_size=chunk_size)
        if type(results) is Hit:
            return rows_of(self, results, tuple_expected)
        return original(self, results, tuple_expected, chunked_fetch, chunk_size)

    return results_iter


def _raw(original: Any) -> Any:
    """QuerySet.raw: the only place that knows both the model and the raw query."""

    def raw(self: QuerySet[Any], *args: Any, **kwargs: Any) -> Any:
        found = original(self, *args, **kwargs)
        found.query = CachedRawQuery.of(found.query, self)
        return found

    return raw


def _items(make: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """The iterable classes' __iter__: the lowest place that knows what rows are to become."""

    def patch(original: Any) -> Any:
        def iterate(self: Any) -> Any:
            return make(original, self)

        return iterate

    return patch


def _lookups_changed(original: Any) -> Any:
    """Called whenever a lookup is registered or taken back: a trace may mean another query then."""

    def clear(cls: type) -> None:
        traces.forget()
        original.__func__(cls)

    return classmethod(clear)


def _instance_lookups_changed(original: Any) -> Any:
    """The same of a field's own lookups."""

    def changed(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        traces.forget()
        return found

    return changed


def _base_manager(original: Any) -> Any:
    def base_manager(self: Any) -> Any:
        manager: Any = original.func(self)
        plain = type(manager) is Manager and manager.auto_created
        if not plain or not is_caching(self.default_manager):
            return manager
        caching: Manager[Any] = CacheManager()
        caching.name = manager.name
        caching.model = manager.model
        caching.auto_created = True
        return caching

    return cached_property(base_manager)


# --- opting out ---------------------------------------------------------------------------------


def _get_queryset(original: Any) -> Any:
    def get_queryset(self: BaseManager[Any]) -> Any:
        queryset = _engine.pristine(self, traces.roots)
        if queryset is not None:
            return queryset
        queryset = original(self)
        if getattr(self, "caching", None) is False:
            opt_out(queryset)
        return queryset

    return get_queryset
