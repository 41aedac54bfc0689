"""Differential mode: what the cache may answer is asked twice of it and once of the database.

Hooks, from the rows up to the instances:

- at the compiler (`reads.execute_sql`): the rows of every read, as the driver gave them;
- where a hit's rows are converted (`hooks.rows_of`, `iterables.conversion_of`): the values after
  Django's converters;
- at `QuerySet._fetch_all` and `RawQuerySet._fetch_all`: instances, dicts, tuples, as a program
  gets them;
- at `answers.answer`: what querysets with a trace answer, whose Query is not built (`traced.py`).

The program goes on with the second answer of the cache. The repeated reads leave no trace in the
connection's query log and pass by its execute wrappers. A read that the cache neither answers nor
keeps is asked once and counted as "not cached". Differences are collected, not raised, for code
under test swallows errors.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

from django.apps import AppConfig
from django.db import DatabaseError, connections
from django.db.models import QuerySet
from django.db.models.query import RawQuerySet
from django.db.models.sql.constants import MULTI, SINGLE

from . import runner
from .compare import difference

counts = {
    "reads": 0,
    "querysets": 0,
    "conversions": 0,
    "calls": 0,
    "traced": 0,
    "traced, own": 0,
    "statements": 0,
    "levels": 0,
    "levels, own": 0,
    "errors": 0,
    "not cached": 0,
    "not traced": 0,
    "fell between": 0,
}
"""Comparisons by kind; reads that aren't cached, or that no trace answers; kept results that had
fallen when asked again."""
differences: list[dict[str, str]] = []
_installed = False
_here = threading.local()


class DifferentialConfig(AppConfig):
    name = "conformance.differential"
    label = "conformance_differential"

    def ready(self) -> None:
        install()


def install() -> None:
    global _installed
    if _installed:
        return
    _installed = True
    from django_cache_manager import hooks, iterables, overlay, raw, reads, stores

    from . import traced

    for kind in (reads._Read, raw.RawRead):
        kind._hand_out = noted(kind._hand_out, "hit")
    reads._Read._keep = during(reads._Read._keep)
    stores.keep = kept(stores.keep)
    overlay.Overlay.put = kept(overlay.Overlay.put)
    reads.execute_sql = compared_rows(reads.execute_sql)
    hooks.rows_of = compared_conversion(hooks.rows_of)
    iterables.conversion_of = compared_kept_rows(iterables.conversion_of)
    QuerySet._fetch_all = compared_instances(QuerySet._fetch_all)
    RawQuerySet._fetch_all = compared_raw(RawQuerySet._fetch_all)
    traced.install()
    runner.sections["differences"] = differences
    runner.sections["compared"] = counts


# --- what became of a read ----------------------------------------------------------------------


class Watch:
    """Whether reads of one query were answered from the cache, or kept for the next."""

    def __init__(self) -> None:
        self.connection: Any = None
        self.hit = False
        self.kept = False


def watches() -> dict[int, Watch]:
    """By the id of the query, of this thread."""
    found: dict[int, Watch] = _here.__dict__.setdefault("watches", {})
    return found


@contextlib.contextmanager
def watching(query: Any) -> Iterator[Watch]:
    outer = watches().get(id(query))
    watches()[id(query)] = watch = Watch()
    try:
        yield watch
    finally:
        if outer is None:
            del watches()[id(query)]
        else:
            watches()[id(query)] = outer


def query_of(read: Any) -> Any:
    compiler = getattr(read, "compiler", None)
    return read.query if compiler is None else compiler.query


def noted(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    def method(read: Any, *args: Any) -> Any:
        watch = watches().get(id(query_of(read)))
        if watch is not None:
            setattr(watch, what, True)
        return original(read, *args)

    return method


def during(original: Callable[..., Any]) -> Callable[..., Any]:
    """Remembers for `kept` whose rows are being kept."""

    def keep(read: Any, *args: Any) -> Any:
        _here.keeping = query_of(read)
        try:
            return original(read, *args)
        finally:
            _here.keeping = None

    return keep


def kept(original: Callable[..., Any]) -> Callable[..., Any]:
    def keep(*args: Any) -> Any:
        watch = watches().get(id(getattr(_here, "keeping", None)))
        if watch is not None:
            watch.kept = True
        return original(*args)

    return keep


# --- asking again -------------------------------------------------------------------------------


@contextlib.contextmanager
def unobserved(connection: Any) -> Iterator[None]:
    """Reads inside are no business of the test's: not logged, not wrapped, not compared again."""
    before = connection.queries_log, connection.execute_wrappers, connection.force_debug_cursor
    logger = logging.getLogger("django.db.backends")
    disabled = logger.disabled
    connection.queries_log, connection.execute_wrappers = deque(maxlen=1), []
    connection.force_debug_cursor = False
    logger.disabled = True
    _here.quiet = quiet() + 1
    try:
        yield
    finally:
        _here.quiet -= 1
        logger.disabled = disabled
        connection.queries_log, connection.execute_wrappers, connection.force_debug_cursor = before


def quiet() -> int:
    depth: int = getattr(_here, "quiet", 0)
    return depth


def from_database(ask: Callable[[], Any]) -> Any:
    from django_cache_manager.api import uncached

    with uncached():
        return ask()


def can_ask_after_error(connection: Any, error: Exception) -> bool:
    """PostgreSQL refuses everything in a transaction after an error of its own."""
    its_own = isinstance(error, DatabaseError)
    return not (its_own and connection.vendor == "postgresql" and connection.in_atomic_block)


def compare_error(
    connection: Any, error: Exception, ask: Callable[[], Any], statement: Any
) -> None:
    """An error that a read raised with the cache: without it the same must be raised."""
    if not can_ask_after_error(connection, error):
        return
    counts["errors"] += 1
    with unobserved(connection):
        try:
            answer = from_database(ask)
        except Exception as plain:
            if type(plain) is type(error) and str(plain) == str(error):
                return
            note("error", statement, f"{error!r} | {plain!r}")
        else:
            note("error", statement, f"{error!r} | {answer!r}"[:400])


def compare(kind: str, statement: Any, *pairs: tuple[Any, Any]) -> None:
    counts[kind] += 1
    for cached, plain in pairs:
        found = difference(cached, plain)
        if found is not None:
            note(kind, statement, found)


def note(kind: str, statement: Any, text: str) -> None:
    test = runner.current_test or "set-up of a class"
    differences.append({"test": test, "kind": kind, "sql": str(statement)[:600], "text": text})


# --- rows ---------------------------------------------------------------------------------------


def compared_rows(execute_sql: Callable[..., Any]) -> Callable[..., Any]:
    def asked(original: Any, compiler: Any, kind: str, chunked: bool, size: int) -> Any:
        watch = watches().get(id(compiler.query))
        if watch is not None:
            watch.connection = compiler.connection
        if watch is not None or not is_compared(compiler.query, kind):
            return execute_sql(original, compiler, kind, chunked, size)
        return Rows(execute_sql, original, compiler, kind, chunked, size).answer()

    return asked


def is_compared(query: Any, kind: str = MULTI) -> bool:
    from django_cache_manager import policy

    return (
        kind in (MULTI, SINGLE)
        and not quiet()
        and policy.wants(query)
        and not query.select_for_update
        and not query.explain_info
    )


class Rows:
    """One call of execute_sql, and its repetitions, each with a compiler of its own."""

    def __init__(
        self, execute_sql: Any, original: Any, compiler: Any, kind: str, chunked: bool, size: int
    ) -> None:
        self.execute_sql = execute_sql
        self.original = original
        self.compiler = compiler
        self.connection = compiler.connection
        self.kind = kind
        self.arguments = kind, chunked, size

    def answer(self) -> Any:
        with watching(self.compiler.query) as first:
            try:
                result = self.execute_sql(self.original, self.compiler, *self.arguments)
            except Exception as error:
                compare_error(self.connection, error, self.repeat, self.compiler.query)
                raise
        if isinstance(result, Generator):
            return self.streamed(result)
        if not first.hit and not first.kept:
            counts["not cached"] += 1
            return result
        second = self.twice(rows(result))
        return result if second is None else second

    def repeat(self) -> Any:
        if "as_sql" in vars(self.compiler):  # of a known statement: its Query has other values
            query, compiler = self.compiler.query, copy.copy(self.compiler)
        else:
            query = self.compiler.query.clone()
            using, elide_empty = self.compiler.using, self.compiler.elide_empty
            compiler = query.get_compiler(using, self.connection, elide_empty)
        with watching(query) as self.watch:
            result = self.execute_sql(self.original, compiler, *self.arguments)
            if self.kind == MULTI and not self.watch.hit:
                result = list(result)
        return result

    def twice(self, first: Any) -> Any:
        """The cache's second answer, compared with the first and the database's. May be None."""
        with unobserved(self.connection):
            second = self.repeat()
            if not self.watch.hit:
                counts["fell between"] += 1
                return None
            plain = rows(from_database(self.repeat))
        # Rows may be shared: they are tuples, and what is in them is copied when it is handed out.
        counts["reads"] += 1
        for answer in (first, rows(second)):
            found = difference(answer, plain, fresh=False)
            if found is not None:
                note("reads", self.compiler.query, found)
        return second

    def streamed(self, chunks: Generator[list[Any]]) -> Iterator[list[Any]]:
        """The chunks of iterator(): compared after the last one, if they were kept then."""
        seen: list[Any] = []
        with watching(self.compiler.query) as watch, contextlib.closing(chunks):
            for chunk in chunks:
                seen.extend(chunk)
                yield chunk
        if watch.kept:
            self.twice(seen)
        else:
            counts["not cached"] += 1


def rows(result: Any) -> Any:
    """The rows of a result of either kind: a list, or one row or None."""
    if isinstance(result, list):
        return [row for chunk in result for row in chunk]
    return result


# --- values after the converters ----------------------------------------------------------------


def compared_conversion(rows_of: Callable[..., Any]) -> Callable[..., Any]:
    def converted(compiler: Any, hit: Any, tuple_expected: bool) -> Any:
        found = rows_of(compiler, hit, tuple_expected)
        if quiet():
            return found
        found = list(found)
        compare_with_plain(compiler, hit, found)
        return iter(found)

    return converted


def compared_kept_rows(conversion_of: Callable[..., Any]) -> Callable[..., Any]:
    """The rows that the engine makes instances, dicts and tuples of."""

    def kept_rows(compiler: Any, hit: Any) -> Any:
        found = conversion_of(compiler, hit)
        if found is not None and not quiet():
            compare_with_plain(compiler, hit, found.rows)
        return found

    return kept_rows


def compare_with_plain(compiler: Any, hit: Any, found: list[Any]) -> None:
    """With what Django's own converters make of the same rows."""
    from django.db.models.sql.compiler import SQLCompiler

    from django_cache_manager import hooks

    plain_rows = hooks._originals[SQLCompiler, "results_iter"]
    plain = plain_rows(compiler, [list(hit.result.rows)], False)
    counts["conversions"] += 1
    # Only a model's from_db() sees whether a row is a list or a tuple; instances are compared
    # as such.
    text = difference([list(row) for row in found], [list(row) for row in plain], fresh=False)
    if text is not None:
        note("conversions", compiler.query, text)


# --- instances ----------------------------------------------------------------------------------


def compared_instances(fetch_all: Callable[..., None]) -> Callable[..., None]:
    def fetched(self: Any) -> None:
        if self._trace is None and self._result_cache is None and is_compared(self.query):
            self._result_cache = instances(self)
        fetch_all(self)  # what is left of it is to prefetch

    return fetched


def compared_raw(fetch_all: Callable[..., None]) -> Callable[..., None]:
    from django_cache_manager import policy
    from django_cache_manager.raw import CachedRawQuery

    def fetched(self: Any) -> None:
        query = self.query
        cached = isinstance(query, CachedRawQuery) and policy.wants(query)
        if self._result_cache is None and cached and not quiet():
            self._result_cache = instances(self)
        fetch_all(self)

    return fetched


def instances(queryset: Any) -> list[Any]:
    query = queryset.query

    def ask() -> list[Any]:
        if isinstance(queryset, RawQuerySet):
            watches()[id(query)].connection = connections[query.using]
            return list(queryset.iterator())
        return list(queryset._iterable_class(queryset))

    with watching(query) as watch:
        try:
            first = ask()
        except Exception as error:
            if watch.connection is not None:
                with routed(queryset, watch.connection):
                    compare_error(watch.connection, error, ask, query)
            raise
    if not watch.hit and not watch.kept:
        counts["not cached"] += 1
        return first
    with unobserved(watch.connection), routed(queryset, watch.connection):
        with watching(query) as again:
            second = ask()
        if not again.hit:
            counts["fell between"] += 1
            return second
        with watching(query):
            plain = from_database(ask)
    compare("querysets", query, (first, plain), (second, plain), (first, second))
    return second


@contextlib.contextmanager
def routed(queryset: Any, connection: Any) -> Iterator[None]:
    """Repetitions go where the first read went: the routers are not asked again."""
    before = queryset._db
    queryset._db = connection.alias
    try:
        yield
    finally:
        queryset._db = before
