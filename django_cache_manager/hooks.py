"""The one place that touches Django's classes.

docs/internals.md lists every patch with its reason. A write has to be seen where it is sent,
whoever sends it, so the driver's calls of CursorWrapper and the connection's own commit, rollback,
autocommit and close are wrapped; no signal and no public hook is called for all of them, and
`execute_wrappers` can be popped by a user's code (PROTOCOL 2.7). A read has to be answered below
QuerySet, so that no read path is missed: at SQLCompiler.execute_sql. `Options.base_manager` is
wrapped because forward foreign keys and refresh_from_db() go through it and a model can't set it
without naming a manager.
"""

from __future__ import annotations

import functools
import inspect
import threading
from typing import TYPE_CHECKING, Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models.manager import Manager
from django.db.models.options import Options
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI
from django.utils.functional import cached_property

from . import reads
from .connection_state import state_of
from .results import Hit, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

_FETCHES: Final = frozenset({"fetchone", "fetchmany", "fetchall"})
_PASSIVE: Final = frozenset(
    {
        "close",
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

# What is patched, and the parameters it has on the Djangos that this package supports.
_EXPECTED: Final[dict[tuple[type, str], tuple[str, ...]]] = {
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
    (SQLCompiler, "results_iter"): (
        "self",
        "results",
        "tuple_expected",
        "chunked_fetch",
        "chunk_size",
    ),
}

_originals: dict[tuple[type, str], Any] = {}
_lock = threading.Lock()


def mismatches() -> list[str]:
    """What of Django isn't as this package expects it; empty on a supported Django."""
    found = []
    for (owner, name), expected in _EXPECTED.items():
        function = _originals.get((owner, name)) or vars(owner).get(name)
        if function is None:
            found.append(f"{owner.__qualname__}.{name} is missing")
            continue
        parameters = inspect.signature(inspect.unwrap(function)).parameters.values()
        actual = tuple(("*" if p.kind is p.VAR_POSITIONAL else "") + p.name for p in parameters)
        if actual != expected:
            found.append(f"{owner.__qualname__}.{name}{actual} was expected to be {expected}")
    if not isinstance(
        _originals.get((Options, "base_manager"), vars(Options).get("base_manager")),
        cached_property,
    ):
        found.append("Options.base_manager is no cached_property")
    return found


def install() -> None:
    """Puts the hooks in place, once.

    Does nothing where Django isn't as expected: then nothing is cached.
    """
    with _lock:
        if _originals or mismatches():
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
        _patch_base_manager()


def installed() -> bool:
    return bool(_originals)


def _patch(owner: type, name: str, replacement: Callable[..., Any]) -> None:
    """`replacement` is called with the original function before the original's own arguments."""
    original = vars(owner)[name]
    _originals[owner, name] = original

    @functools.wraps(original)
    def patched(*args: Any, **kwargs: Any) -> Any:
        return replacement(original, *args, **kwargs)

    setattr(owner, name, patched)


# --- writes ---------------------------------------------------------------------------------------


def _execute(original: Any, self: CursorWrapper, sql: Any, params: Any, *ignored: Any) -> Any:
    """CursorWrapper._execute and _executemany: the innermost call that knows the SQL (PROTOCOL
    2.7)."""
    state = state_of(self.db)
    if state is None:
        return original(self, sql, params, *ignored)
    return state.statement(self, sql, lambda: original(self, sql, params, *ignored))


def _callproc(original: Any, self: CursorWrapper, *args: Any, **kwargs: Any) -> Any:
    state = state_of(self.db)
    if state is None:
        return original(self, *args, **kwargs)
    return state.other_call(self, lambda: original(self, *args, **kwargs))


def _getattr(original: Any, self: CursorWrapper, attr: str) -> Any:
    """CursorWrapper.__getattr__: the way to the driver's cursor for all that Django has no method
    for."""
    value = original(self, attr)
    if not callable(value) or "db" not in self.__dict__:
        return value
    state = state_of(self.db)
    if state is None:
        return value
    if attr in _FETCHES or attr == "close":
        return state.fetching(self, attr, value)
    if attr in _PASSIVE:
        return value
    if attr in _OPEN_ENDED:
        return state.open_ended(self, attr, value)
    return functools.partial(_call_other, state, self, value)


def _call_other(state: Any, wrapper: CursorWrapper, value: Any, *args: Any, **kwargs: Any) -> Any:
    return state.other_call(wrapper, lambda: value(*args, **kwargs))


# --- the connection -------------------------------------------------------------------------------


def _connect(original: Any, self: BaseDatabaseWrapper) -> Any:
    result = original(self)
    state = state_of(self)
    if state is not None:
        state.meet(self)
    return result


def _commit(original: Any, self: BaseDatabaseWrapper) -> Any:
    state = state_of(self)
    return original(self) if state is None else state.commit(self, lambda: original(self))


def _rollback(original: Any, self: BaseDatabaseWrapper) -> Any:
    state = state_of(self)
    return original(self) if state is None else state.rollback(self, lambda: original(self))


def _close(original: Any, self: BaseDatabaseWrapper) -> Any:
    try:
        return original(self)
    finally:
        state = state_of(self)
        if state is not None:
            state.closed(self)


def _set_autocommit(original: Any, self: BaseDatabaseWrapper, *args: Any, **kwargs: Any) -> Any:
    state = state_of(self)
    if state is None:
        return original(self, *args, **kwargs)
    return state.set_autocommit(self, lambda: original(self, *args, **kwargs))


# --- reads ----------------------------------------------------------------------------------------


def _execute_sql(
    original: Any,
    self: SQLCompiler,
    result_type: str = MULTI,
    chunked_fetch: bool = False,
    chunk_size: int = GET_ITERATOR_CHUNK_SIZE,
) -> Any:
    return reads.execute_sql(original, self, result_type, chunked_fetch, chunk_size)


def _results_iter(
    original: Any,
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


def _patch_base_manager() -> None:
    from .cache_manager import CacheManager, is_caching

    original = vars(Options)["base_manager"]
    _originals[Options, "base_manager"] = original

    def base_manager(self: Any) -> Any:
        manager: Any = original.func(self)
        if (
            type(manager) is not Manager
            or not manager.auto_created
            or not is_caching(self.default_manager)
        ):
            return manager
        caching: Manager[Any] = CacheManager()
        caching.name = manager.name
        caching.model = manager.model
        caching.auto_created = True
        return caching

    base_manager.__doc__ = original.func.__doc__
    patched = cached_property(base_manager)
    patched.__set_name__(Options, "base_manager")
    Options.base_manager = patched
