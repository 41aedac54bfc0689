"""Differential mode for querysets with a trace, whose Query is not built.

- A call that leaves its Query unbuilt is made as Django makes it too: it must neither raise nor
  warn, and the replay must give the same SQL.
- What a trace answers is compared with the database. A trace answers from the second read on, or
  the third, so it is asked until it does. In a transaction that has written, where no
  trace is asked, what it would have answered is made of the transaction's own results by the same
  code, over a store of the comparison's own.
- The engine's whole calls (`answers.quick`) are left out: what they are made of is compared.
- The statement that is known for a shape must be the one that Django sends, with the same
  parameters.
- One key must never stand for two statements: whenever a trace answers, what the database was sent
  for it is held against what the same key stood for before.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import query
from django.db.models.base import ModelState

from django_cache_manager import (
    answers,
    async_calls,
    captures,
    keys,
    managers,
    querysets,
    reads,
    selects,
    standing,
    stores,
    traces,
)
from django_cache_manager.connection_state import state_of

from . import differential
from .compare import difference

_here = threading.local()
_statements: dict[bytes, tuple[bytes, str]] = {}
"""Key of a trace -> digest of the statements it stands for, and the first of them."""


def install() -> None:
    answers.answer = compared_answers(answers.answer)
    answers.find = noted_find(answers.find)
    for module in (answers, async_calls, managers, querysets):
        module.quick = Quick(answers.quick)
    answers.place_of = pretended_place(answers.place_of)
    keys.trace_key = noted_key(keys.trace_key)
    standing.note = unless_pretended(standing.note)
    stores.find_answer = pretended_find(stores.find_answer)
    stores.keep_answer = pretended_keep(stores.keep_answer)
    captures.note = pretended_note(captures.note)
    reads._Read._hand_out = told(reads._Read._hand_out)
    query.prefetch_one_level = compared_levels(query.prefetch_one_level)
    traces.extended = compared_call(traces.extended)
    traces.filtered = compared_filter(traces.filtered)


# --- answers ------------------------------------------------------------------------------------


def compared_answers(answer: Callable[..., Any]) -> Callable[..., Any]:
    def asked(queryset: Any, trace: Any, kind: int, original: Any, looked: Any = ...) -> Any:
        """The engine never looked: see Quick."""
        if trace is None and kind == keys.ITEMS and differential.is_compared(queryset.query):
            return differential.instances(queryset)
        if trace is None or differential.quiet():
            return answer(queryset, trace, kind, original)
        asks = _here.__dict__.setdefault("asks", [])
        asks.append(Asked(trace))
        try:
            first = answer(queryset, trace, kind, original)
        except Exception as error:
            if asks[-1].alias is not None:
                compare_error(error, Question(queryset, trace, kind, asks[-1].alias, original))
            raise
        finally:
            alias = asks.pop().alias
        if alias is None:  # it went on without its trace
            return first
        return Question(queryset, trace, kind, alias, original).compared(first)

    return asked


class Asked:
    """A trace, and the alias that the router has named for it; None: it isn't asked itself."""

    def __init__(self, trace: Any) -> None:
        self.trace = trace
        self.alias: str | None = None


def noted_find(find: Callable[..., Any]) -> Callable[..., Any]:
    """Tells `compared_answers` which alias the router has named: it may not be asked again."""

    def found(queryset: Any, trace: Any, kind: int, alias: str) -> Any:
        asks = _here.__dict__.get("asks")
        if asks and asks[-1].trace is trace and not differential.quiet():
            asks[-1].alias = asks[-1].alias or alias
        answer = find(queryset, trace, kind, alias)
        if kind == keys.LEVEL and _here.__dict__.get("level") is None:
            _here.level = alias, answer is not answers.MISS
        return answer

    return found


class Quick:
    """The engine's ways to an answer. Those of whole calls are left out, for what they come to is
    compared where Python makes the parts."""

    def __init__(self, quick: Any) -> None:
        self.alias = quick.alias
        self._find = quick.find

    def find(self, queryset: Any, trace: Any, kind: int, alias: str, connection: Any = None) -> Any:
        if pretended() is not None or connection is not None:
            return NotImplemented
        found = self._find(queryset, trace, kind, alias)
        if found is not answers.MISS and found is not NotImplemented:
            own = vars(connections[alias])
            is_open = own["connection"] is not None
            standing = own["_cache_manager_standing" if is_open else "_cache_manager_unopened"]
            head = standing.head
            keys.trace_key(head, kind, trace.shape.number, trace.values)  # noted
        return found

    def _leave_it(self, *_: Any, **__: Any) -> Any:
        return NotImplemented

    answer = filter = name = slice = manager_get = manager_filter = _leave_it


def compare_error(error: Exception, question: Question) -> None:
    connection = connections[question.alias]
    differential.compare_error(connection, error, question.again, traces.build(question.trace))


class Question:
    """What a queryset was asked, to be asked again."""

    def __init__(self, queryset: Any, trace: Any, kind: int, alias: str, original: Any) -> None:
        self.queryset = queryset
        self.trace = trace
        self.kind = kind
        self.alias = alias
        self.original = original

    def copy(self) -> Any:
        return traces.unbuilt(self.queryset, self.trace)

    def again(self) -> Any:
        return answers.ask(self.copy(), self.trace, self.kind, self.alias, self.original)

    def by_trace(self) -> Any:
        return answers.find(self.copy(), self.trace, self.kind, self.alias)

    def compared(self, first: Any) -> Any:
        """The trace's answer, compared with the database's and the first; `first` if the trace has
        none."""
        connection = connections[self.alias]
        state = state_of(connection)
        own = state is not None and bool(state.dirty)
        with differential.unobserved(connection), pretending() if own else nullcontext():
            found = self.by_trace()
            for _ in range(3):
                if found is answers.MISS:
                    self.again()
                    found = self.by_trace()
            if found is answers.MISS:
                differential.counts["not traced"] += 1
                return first
            key, twice = _here.key, self.by_trace()
            known = selects.known(self.trace, self.kind, connection)
            with recording(connection) as statements:
                plain = differential.from_database(self.again)
        built = traces.build(self.trace)
        name = "traced, own" if own else "traced"
        pairs = (first, plain), (found, plain), (first, found), (found, twice)
        differential.compare(name, built, *pairs)
        self.compare_key(key, built, statements)
        if known is not None:
            differential.compare("statements", built, ([typed(*known.as_sql())], statements))
        return found

    def compare_key(self, key: bytes, built: Any, statements: list[str]) -> None:
        attributes = self.trace.shape.attributes
        said = [repr(attributes[name]) for name in ("_fields", "_iterable_class", "model")]
        text = "; ".join([*said, *statements])
        digest = hashlib.sha256(text.encode(errors="backslashreplace")).digest()
        known = _statements.setdefault(hashlib.sha256(key).digest(), (digest, text[:400]))
        if known[0] != digest:
            differential.note("traced", built, f"one key for {known[1]} | {text[:400]}")


# --- levels of prefetch_related() ---------------------------------------------------------------


def compared_levels(one_level: Callable[..., Any]) -> Callable[..., Any]:
    def asked(instances: Any, prefetcher: Any, lookup: Any, level: int) -> Any:
        if differential.quiet() or router.routers:  # they would be asked again
            return one_level(instances, prefetcher, lookup, level)

        def ask(asked: list[Any]) -> tuple[Any, list[Any]]:
            return one_level(asked, prefetcher, lookup, level), asked

        before, outer = copies(instances), _here.__dict__.get("level")
        _here.level = None
        try:
            first, found = ask(instances), _here.level
            if found is not None:
                compare_level(found[0], lambda: ask(copies(before)), first)
        finally:
            _here.level = outer
        return first[0]

    return asked


def compare_level(alias: str, ask: Callable[[], Any], first: Any) -> None:
    connection = connections[alias]
    state = state_of(connection)
    own = state is not None and bool(state.dirty)
    with differential.unobserved(connection), pretending() if own else nullcontext():
        for _ in range(4):
            _here.level = None
            found = ask()
            if _here.level == (alias, True):
                break
        else:
            differential.counts["not traced"] += 1
            return
        plain = differential.from_database(ask)
    name = "levels, own" if own else "levels"
    differential.compare(name, alias, (found[0], plain[0]))
    # The instances are copies of one another, so that they share their values.
    for answer in (first, found):
        text = difference(answer, plain, fresh=False)
        if text is not None:
            differential.note(name, alias, text)


def copies(instances: list[Any]) -> list[Any]:
    """Instances with the same attributes, and what has been cached on them so far."""
    made = []
    for instance in instances:
        own = {**vars(instance)}
        if "_state" in own:
            own["_state"] = ModelState()
            vars(own["_state"]).update(vars(instance._state))
            if "fields_cache" in vars(instance._state):
                own["_state"].fields_cache = {**instance._state.fields_cache}
        if "_prefetched_objects_cache" in own:
            own["_prefetched_objects_cache"] = {**own["_prefetched_objects_cache"]}
        copy = object.__new__(type(instance))
        copy.__dict__ = own
        made.append(copy)
    return made


@contextmanager
def recording(connection: Any) -> Iterator[list[str]]:
    """What is sent to the database: SQL, and the parameters with their types."""
    statements: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(typed(sql, params or ()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield statements


# --- in a transaction that has written ----------------------------------------------------------


@contextmanager
def pretending() -> Iterator[None]:
    """As if the results of the connection's own transaction were everybody's, inside."""
    _here.answers = {}
    try:
        yield
    finally:
        _here.answers = None


def pretended() -> dict[bytes, Any] | None:
    found: dict[bytes, Any] | None = _here.__dict__.get("answers")
    return found


class Clean:
    """The state of a connection that has written nothing."""

    dirty: frozenset[str] = frozenset()

    def hit_limit(self, connection: Any, facts: Any) -> int:
        return 0


def pretended_place(place_of: Callable[..., Any]) -> Callable[..., Any]:
    def place(connection: Any) -> Any:
        found = place_of(connection)
        return found if found is None or pretended() is None else (Clean(), *found[1:])

    return place


def unless_pretended(note: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*args: Any) -> None:
        if pretended() is None:
            note(*args)

    return noted


def pretended_find(find_answer: Callable[..., Any]) -> Callable[..., Any]:
    def find(segment: Any, key: bytes, limit: int) -> Any:
        own = pretended()
        return find_answer(segment, key, limit) if own is None else own.get(key)

    return find


def pretended_keep(keep_answer: Callable[..., Any]) -> Callable[..., Any]:
    def keep(segment: Any, key: bytes, cells: bytes, time: int, answer: Any, rows: Any) -> None:
        own = pretended()
        if own is None:
            keep_answer(segment, key, cells, time, answer, rows)
        else:
            own[key] = answer

    return keep


def pretended_note(note: Callable[..., Any]) -> Callable[..., Any]:
    def noted(captured: Any) -> None:
        if captured is not None or pretended() is None:
            note(captured)

    return noted


def told(hand_out: Callable[..., Any]) -> Callable[..., Any]:
    """Tells of a transaction's own results as reads.py does of everybody's."""

    def method(read: Any, result: Any) -> Any:
        if pretended() is not None:
            found = captures.here.found or ()
            place = reads.place_of(read.connection)
            if place is not None and not any(each and each.result is result for each in found):
                captures.note_result(place[1], place[2], result)
        return hand_out(read, result)

    return method


def noted_key(trace_key: Callable[..., Any]) -> Callable[..., Any]:
    def key(*args: Any) -> Any:
        _here.key = trace_key(*args)
        return _here.key

    return key


# --- calls --------------------------------------------------------------------------------------


def compared_call(extended: Callable[..., Any]) -> Callable[..., Any]:
    def called(trace: Any, call: Any) -> Any:
        longer = extended(trace, call)
        if longer is not None:
            compare_call(trace, longer, call.method, call.args, call.kwargs)
        return longer

    return called


def compared_filter(filtered: Callable[..., Any]) -> Callable[..., Any]:
    def called(trace: Any, method: Any, kwargs: dict[str, Any]) -> Any:
        longer = filtered(trace, method, kwargs)
        if longer is not None:
            compare_call(trace, longer, method, (), kwargs)
        return longer

    return called


def compare_call(trace: Any, longer: Any, method: Any, args: Any, kwargs: Any) -> None:
    """A call that was left for later, and the same made as Django makes it."""
    if differential.quiet():
        return
    said = [repr(arg) for arg in args]
    said += [f"{name}: {type(value).__name__}" for name, value in kwargs.items()]
    statement = f"{trace.shape.model.__name__}: {method.__qualname__}({', '.join(said)})"
    queryset = traces.pristine(trace.shape.model, trace.shape.caching)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for earlier, its_args, its_kwargs in trace.calls:
                queryset = earlier(queryset, *its_args, **its_kwargs)
            made = method(queryset, *args, **kwargs)
    except Exception as error:
        differential.note("calls", statement, f"Django raises {error!r}")
        return
    for warning in warned:
        differential.note("calls", statement, f"Django warns {warning.message!r}")
    attributes = longer.shape.attributes
    differential.compare(
        "calls",
        statement,
        *((repr(attributes[name]), repr(vars(made)[name])) for name in traces._LEFT),
        (compiled(traces.build(longer)), compiled(made._query)),
    )


def compiled(built: Any) -> str:
    """SQL and typed parameters, or the error."""
    connection = connections[DEFAULT_DB_ALIAS]
    with differential.unobserved(connection):
        try:
            sql, params = built.get_compiler(connection=connection).as_sql()
        except Exception as error:
            return repr(error)
    return typed(sql, params)


def typed(sql: str, params: Any) -> str:
    return f"{sql} {[(type(param).__name__, shown(param)) for param in params]}"


def shown(param: Any) -> str:
    """Two buffers with the same bytes are the same, wherever they lie."""
    return repr(bytes(param) if type(param) is memoryview else param)
