"""Lets a hit count as a query, in this suite only.

The product's hits are not queries: `assertNumQueries` does not see them. A test of Django's that
counts queries would then fail, or worse pass without proving anything about how often the cache was
asked. So a hit is put into the connection's query log here, where a query would be; nothing else of
a test is touched. The tests in which that happened are listed in the result.
"""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import Any

from django.apps import AppConfig
from django.db import connections

from . import runner

counted: dict[str, int] = {}
"""Test id -> hits that were put into a query log."""

hits = {"all": 0, "traced": 0}
_installed = False


class HitsConfig(AppConfig):
    name = "conformance.hits"
    label = "conformance_hits"

    def ready(self) -> None:
        install()


def install() -> None:
    global _installed
    if _installed:
        return
    _installed = True
    from django_cache_manager import answers, async_calls, managers, querysets, raw, reads

    for kind in (reads._Read, raw.RawRead):
        kind._hand_out = counting(kind._hand_out)
    answers.find = noting(answers.find)
    answers.answer = counting_traces(answers.answer)
    for module in (answers, async_calls, managers, querysets):
        module.quick = Quick(answers.quick)
    runner.sections["counted"] = counted
    runner.sections["hits"] = hits


def counting(hand_out: Any) -> Any:
    def hand_out_and_count(self: Any, result: Any) -> Any:
        hits["all"] += 1
        if self.connection.queries_logged:
            count(self)
        return hand_out(self, result)

    return hand_out_and_count


class Quick:
    """The engine's ways to an answer, by which nothing is logged: whole calls aren't made where SQL
    has to be."""

    def __init__(self, quick: Any) -> None:
        self._quick = quick
        self.alias = quick.alias
        self.filter, self.name, self.slice = quick.filter, quick.name, quick.slice
        self.manager_filter = quick.manager_filter

    def find(self, *arguments: Any) -> Any:
        """Of an event loop nobody else counts it."""
        if len(arguments) < 5:
            return self._quick.find(*arguments)
        return self._counted(self._quick.find, arguments, connection=arguments[4])

    def answer(self, *arguments: Any, connection: Any = None, **keywords: Any) -> Any:
        if connection is not None:
            keywords["connection"] = connection
        return self._counted(self._quick.answer, arguments, keywords, connection)

    def manager_get(self, *arguments: Any) -> Any:
        return self._counted(self._quick.manager_get, arguments)

    def _counted(
        self,
        call: Any,
        arguments: Any,
        keywords: Any = MappingProxyType({}),
        connection: Any = None,
    ) -> Any:
        from django_cache_manager import answers

        asked = [connection] if connection else connections.all(initialized_only=True)
        if any(each.queries_logged for each in asked):
            return NotImplemented
        found = call(*arguments, **keywords)
        if found is not answers.MISS and found is not NotImplemented:
            hits["all"] += 1
            hits["traced"] += 1
        return found


class Asked(threading.local):
    """The trace that is being asked, and the alias whose answer it had."""

    trace: Any = None
    alias: str | None = None


asked = Asked()


def noting(find: Any) -> Any:
    from django_cache_manager import answers

    def find_and_note(queryset: Any, trace: Any, kind: int, alias: str) -> Any:
        found = find(queryset, trace, kind, alias)
        if found is not answers.MISS and trace is asked.trace:
            asked.alias = alias
        return found

    return find_and_note


def counting_traces(answer: Any) -> Any:
    """A trace's answer has no SQL: where it has to be logged, the same is asked below the trace."""
    from django_cache_manager import traces

    def answer_and_count(
        queryset: Any, trace: Any, kind: int, original: Any, looked: Any = NotImplemented
    ) -> Any:
        outer = asked.trace, asked.alias
        asked.trace, asked.alias = trace, None
        try:
            value = answer(queryset, trace, kind, original, looked)
            alias = asked.alias
        finally:
            asked.trace, asked.alias = outer
        if alias is not None:
            hits["traced"] += 1
            if connections[alias].queries_logged:
                original(traces.private(queryset, trace, alias))
            else:
                hits["all"] += 1
        return value

    return answer_and_count


def count(read: Any) -> None:
    sql = statement(read.connection, read.sql, params_of(read))
    read.connection.queries_log.append({"sql": sql, "time": "0.000"})
    test = runner.current_test or "set-up of a class"
    counted[test] = counted.get(test, 0) + 1


def params_of(read: Any) -> Any:
    """As they were given to the cursor."""
    kind = getattr(read, "kind", "tuple")  # a raw query's
    if kind == "dict":
        return dict(zip(read.params[::2], read.params[1::2], strict=True))
    return None if kind == "none" else read.params


def statement(connection: Any, sql: str, params: Any) -> str:
    """The SQL as Django's log would show it."""
    if connection.connection is None:
        return sql
    text: str
    if connection.vendor == "postgresql":
        text = connection.ops.compose_sql(sql, params)
    else:
        text = connection.ops.last_executed_query(None, sql, params)
    return text
