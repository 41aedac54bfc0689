"""What the tests look at: the SQL that ran, and a value in full detail."""

import contextlib
import copy
import importlib.util
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from django.db import ProgrammingError, connections, models
from django.db.models.query import QuerySet
from django.test.utils import CaptureQueriesContext

from settings import PLAIN

Read = Callable[[], Any]


class SqlLog(list[str]):
    """The statements that ran within `count_sql`."""

    def none(self) -> bool:
        """Whether nothing ran. Without the package (QC_TEST_PLAIN) a second read does run."""
        return PLAIN or not self


@contextlib.contextmanager
def count_sql() -> Iterator[SqlLog]:
    log = SqlLog()
    for alias in connections:
        # Django keeps the last 9,000 and forgets older ones: a full log would show no new query.
        if not connections[alias].force_debug_cursor:
            connections[alias].queries_log.clear()
    with contextlib.ExitStack() as stack:
        captures = [
            stack.enter_context(CaptureQueriesContext(connections[alias])) for alias in connections
        ]
        yield log
    log.extend(query["sql"] for capture in captures for query in capture.captured_queries)


Statements = list[tuple[str, Any]]


def sent_by(call: Read) -> tuple[Any, Statements]:
    """What a call returns, and the statements that it sends to the default database."""
    seen: Statements = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, portable(params)))
        return execute(sql, params, many, context)

    with connections["default"].execute_wrapper(note):
        return call(), seen


def sent_though_refused(call: Read) -> str:
    """The first statement that a call sends to the other database, which may not know its
    quotes."""
    seen: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with contextlib.suppress(ProgrammingError), connections["other"].execute_wrapper(note):
        call()
    return seen[0]


@contextlib.contextmanager
def counted(module: ModuleType, compiler: type, name: str) -> Iterator[mock.Mock]:
    """The calls of a method of Django's compiler, which a module takes for Django's own."""
    original = getattr(compiler, name)
    with mock.patch.object(compiler, name, autospec=True) as method:
        method.side_effect = original
        with mock.patch.dict(module._DJANGOS, {(compiler, name): method}):
            yield method


def in_another_thread(read: Read) -> Any:
    """What a read returns in a thread of its own, on connections of its own, which are closed."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(read())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


@contextlib.contextmanager
def uncached() -> Iterator[None]:
    """The package's `uncached`: the truth to compare with."""
    if PLAIN:
        yield
    else:
        from django_cache_manager.api import uncached as package_uncached

        with package_uncached():
            yield


def invalidate_all() -> None:
    if not PLAIN:
        from django_cache_manager.api import invalidate

        invalidate()


def portable(value: Any, seen: frozenset[int] = frozenset()) -> Any:
    """A value as lists and strings that are equal only for values equal in type, order and state.

    The result survives JSON unchanged, so that two processes' values can be compared.
    """
    if isinstance(value, models.Model):
        return portable_instance(value, seen)
    if isinstance(value, QuerySet):
        return ["QuerySet", [portable(item, seen) for item in value]]
    if isinstance(value, dict):
        items = [[portable(key, seen), portable(item, seen)] for key, item in value.items()]
        return [type(value).__name__, items]
    if isinstance(value, (list, tuple)):
        names = list(getattr(value, "_fields", ()))
        return [type(value).__name__, names, [portable(item, seen) for item in value]]
    if isinstance(value, memoryview):
        return ["memoryview", repr(bytes(value))]
    if type(value).__repr__ is object.__repr__:
        attributes = getattr(value, "__dict__", {})
        return [type(value).__qualname__, portable(attributes, seen | {id(value)})]
    return [type(value).__qualname__, repr(value)]


def portable_instance(instance: models.Model, seen: frozenset[int]) -> Any:
    name = type(instance).__qualname__
    if id(instance) in seen:
        return [name, "seen above", repr(instance.pk)]
    seen = seen | {id(instance)}
    attributes = [
        [key, portable(value, seen)]
        for key, value in vars(instance).items()
        if key not in ("_state", "_prefetched_objects_cache")
    ]
    prefetched = vars(instance).get("_prefetched_objects_cache")
    state = vars(instance._state)
    cached = state.get("fields_cache")
    return [
        name,
        list(vars(instance)).index("_state"),
        attributes,
        sorted([key, portable(value, seen)] for key, value in (prefetched or {}).items()),
        sorted(
            [key, portable(value, seen)] for key, value in state.items() if key != "fields_cache"
        ),
        None if cached is None else [[k, portable(v, seen)] for k, v in cached.items()],
    ]


def assert_cached(read: Read, *, fresh: bool = True) -> Any:
    """Reads twice: the second time no SQL runs, and both equal the uncached answer. Returns it.

    `fresh`: everything cached before is invalidated first, so that the first read must run SQL.
    """
    if fresh:
        invalidate_all()
    with count_sql() as first_log:
        first = portable(read())
    if fresh:
        assert first_log, "the first read ran no SQL: it proves nothing"
    with count_sql() as log:
        answer = read()
        second = portable(answer)
    assert log.none(), f"the second read ran {list(log)}"
    assert second == first
    with uncached(), count_sql() as truth_log:
        truth = portable(read())
    assert truth_log, "uncached() ran no SQL"
    assert truth == first
    return answer


def assert_not_cached(read: Read) -> Any:
    """Reads twice: both times the database is asked."""
    read()
    with count_sql() as log:
        answer = read()
    assert log, "the second read ran no SQL"
    return answer


def assert_hit(read: Read) -> Any:
    """One read that runs no SQL and equals the uncached one."""
    with count_sql() as log:
        answer = read()
        found = portable(answer)
    assert log.none(), f"ran {list(log)}"
    with uncached():
        assert portable(read()) == found
    return answer


def assert_right(read: Read) -> Any:
    """One read, from wherever, that equals the uncached one."""
    answer = read()
    found = portable(answer)
    with uncached():
        assert portable(read()) == found
    return answer


def load_compare() -> ModuleType:
    file = Path(__file__).parents[2] / "conformance" / "compare.py"
    spec = importlib.util.spec_from_file_location("conformance_compare", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


difference = load_compare().difference


def assert_same(read: Read) -> Any:
    """A hit that is Django's own answer in full, shares nothing with another, and pickles alike."""
    read()
    with uncached():
        truth = read()
    first, second = assert_hit(read), assert_hit(read)
    assert difference(first, truth) is None
    assert difference(first, second) is None
    for again in (lambda value: pickle.loads(pickle.dumps(value)), copy.deepcopy):
        assert difference(again(first), again(truth)) is None
    return first
