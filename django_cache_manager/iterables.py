"""Django's iterable classes over a hit: instances, dicts and values made by the engine.

Each function here stands for the `__iter__` of one of the classes in db/models/query.py, whose
code is the `original`: it runs wherever the answer isn't a hit with converted rows. As there, the
query runs when the first item is asked for.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from django.db.models.query import QuerySet
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.utils import create_namedtuple_class

from . import _engine, policy, row_plans
from .results import Conversion, Hit, conversion_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Original = Callable[[Any], Iterable[Any]]
    Answer = Callable[[Any, SQLCompiler, list[Any], Conversion], list[Any]]


class _Prepared:
    """What stands in for a queryset or a query whose compiler has been run already."""

    def __init__(self, prepared: Any, **changes: Any) -> None:
        self.__dict__.update(changes)
        self._prepared = prepared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prepared, name)


def _chunks(original: Original, iterable: Any, answer: Answer) -> Iterator[Iterable[Any]]:
    """The items, in as many pieces as an iterator() asks for."""
    queryset = iterable.queryset
    if not isinstance(queryset, QuerySet) or not policy.wants(queryset.query):
        yield original(iterable)
        return
    query, db = queryset.query, queryset.db
    compiler = query.get_compiler(using=db)
    chunked, size = iterable.chunked_fetch, iterable.chunk_size
    results = compiler.execute_sql(chunked_fetch=chunked, chunk_size=size)
    own = type(results) is Hit and type(compiler).results_iter is SQLCompiler.results_iter
    conversion = conversion_of(compiler, results) if own else None
    if conversion is None:
        # Of an instance, for NamedValuesListIterable calls super().
        again: Any = object.__new__(type(iterable))
        again.__dict__.update(iterable.__dict__)
        compiler.execute_sql = lambda *_, **__: results
        ready = _Prepared(query, get_compiler=lambda *_, **__: compiler)
        again.queryset = _Prepared(queryset, query=ready, db=db)
        yield original(again)
        return
    rows = conversion.rows
    # The instances of one read know each other, in Django 6.1's FETCH_PEERS.
    peers = getattr(getattr(queryset, "_fetch_mode", None), "track_peers", False)
    step = size if chunked and not peers else len(rows)
    for start in range(0, len(rows), max(step, 1)):
        part = rows if step >= len(rows) else rows[start : start + step]
        yield answer(queryset, compiler, part, conversion)


def _lazily(answer: Answer) -> Callable[[Original, Any], Iterator[Any]]:
    def items(original: Original, iterable: Any) -> Iterator[Any]:
        return chain.from_iterable(_chunks(original, iterable, answer))

    return items


def _instances(
    queryset: Any, compiler: SQLCompiler, rows: list[Any], conversion: Conversion
) -> list[Any]:
    return row_plans.rows_to_objects(
        row_plans.plan_of(compiler),
        rows,
        compiler.using,
        queryset._known_related_objects,
        getattr(queryset, "_fetch_mode", None),
        copy=conversion.copies,
        as_lists=conversion.signature is not None,
    )


def _names(query: Any) -> list[str]:
    # extra(select=...) cols are always at the start of the row.
    return [*query.extra_select, *query.values_select, *query.annotation_select]


def _dicts(
    queryset: Any, compiler: SQLCompiler, rows: list[Any], conversion: Conversion
) -> list[Any]:
    query = queryset.query
    names = list(query.selected) if query.selected else _names(query)
    return _engine.row_dicts(rows, names, conversion.copies)


def _named(
    queryset: Any, compiler: SQLCompiler, rows: list[Any], conversion: Conversion
) -> list[Any]:
    names = queryset._fields or _names(queryset.query)
    return _engine.row_named(rows, create_namedtuple_class(*names), conversion.copies)


def _flat(
    queryset: Any, compiler: SQLCompiler, rows: list[Any], conversion: Conversion
) -> list[Any]:
    return _engine.row_column(rows, 0, conversion.copies)


instances = _lazily(_instances)
dicts = _lazily(_dicts)
named = _lazily(_named)
flat = _lazily(_flat)
