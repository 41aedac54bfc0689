"""Lets a hit count as a query, in this suite only.

The product's hits are not queries: `assertNumQueries` does not see them. A test of Django's that
counts queries would then fail, or worse pass without proving anything about how often the cache was
asked. So a hit is put into the connection's query log here, where a query would be; nothing else of
a test is touched. The tests in which that happened are listed in the result.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig

from . import runner

counted: dict[str, int] = {}
"""Test id -> hits that were put into a query log."""

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
    from django_cache_manager import raw, reads

    for kind in (reads._Read, raw.RawRead):
        kind._hand_out = counting(kind._hand_out)
    runner.sections["counted"] = counted
    runner.sections["hits"] = hits


def counting(hand_out: Any) -> Any:
    def hand_out_and_count(self: Any, result: Any) -> Any:
        hits["all"] += 1
        if self.connection.queries_logged:
            count(self)
        return hand_out(self, result)

    return hand_out_and_count


hits = {"all": 0}


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
