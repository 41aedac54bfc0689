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

from . import _engine, captures, policy, row_plans
from .results import Conversion, Hit, conversion_of, reading_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Original = Callable[[Any], Iterable[Any]]
    Items = Callable[[Any, str, list[Any], bool], list[Any]]
    """Makes a queryset's items of an alias's rows; the last: copying what is in them."""
    Recipe = Callable[[Any, SQLCompiler, Conversion], Items]


class Prepared:
    """What stands in for a queryset or a query whose compiler has been run already."""

    def __init__(self, prepared: Any, **changes: Any) -> None:
        self.__dict__.update(changes)
        self._prepared = prepared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prepared, name)


def _chunks(original: Original, iterable: Any, recipe: Recipe) -> Iterator[Iterable[Any]]:
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
        ready = Prepared(query, get_compiler=lambda *_, **__: compiler)
        again.queryset = Prepared(queryset, query=ready, db=db)
        try:
            yield original(again)
        finally:
            del compiler.execute_sql  # or a cursor left early would stay open with this cycle
        return
    rows, items = conversion.rows, _items(recipe, queryset, compiler, conversion)
    captures.note_items(results.result, rows, conversion.copies, items)
    # The instances of one read know each other, in Django 6.1's FETCH_PEERS.
    peers = getattr(getattr(queryset, "_fetch_mode", None), "track_peers", False)
    step = size if chunked and not peers else len(rows)
    for start in range(0, len(rows), max(step, 1)):
        part = rows if step >= len(rows) else rows[start : start + step]
        yield items(queryset, db, part, conversion.copies)


def _lazily(recipe: Recipe) -> Callable[[Original, Any], Iterator[Any]]:
    def items(original: Original, iterable: Any) -> Iterator[Any]:
        return chain.from_iterable(_chunks(original, iterable, recipe))

    return items


def _items(recipe: Recipe, queryset: Any, compiler: SQLCompiler, conversion: Conversion) -> Items:
    reading = reading_of(compiler)
    if reading is None:
        return recipe(queryset, compiler, conversion)
    found: Items | None = reading.items.get(recipe)
    if found is None:
        found = reading.items[recipe] = recipe(queryset, compiler, conversion)
    return found


# Each recipe takes from the compiler what it needs, so that its items can be made without one.


class _Instances:
    """By a plan, which the engine follows by itself where it can."""

    __slots__ = ("as_lists", "plan")

    def __init__(self, queryset: Any, compiler: SQLCompiler, conversion: Conversion) -> None:
        self.plan = row_plans.plan_of(compiler)
        self.as_lists = conversion.signature is not None

    def __call__(self, queryset: Any, db: str, rows: list[Any], copies: bool) -> list[Any]:
        return row_plans.rows_to_objects(
            self.plan,
            rows,
            db,
            queryset._known_related_objects,
            getattr(queryset, "_fetch_mode", None),
            copy=copies,
            as_lists=self.as_lists,
        )


def _names(query: Any) -> list[str]:
    # extra(select=...) cols are always at the start of the row.
    return [*query.extra_select, *query.values_select, *query.annotation_select]


class _Dicts:
    """By names."""

    __slots__ = ("names",)

    def __init__(self, queryset: Any, compiler: SQLCompiler, conversion: Conversion) -> None:
        query = queryset.query
        self.names = list(query.selected) if query.selected else _names(query)

    def __call__(self, queryset: Any, db: str, rows: list[Any], copies: bool) -> list[Any]:
        return _engine.row_dicts(rows, self.names, copies)

    def ready(self, rows: list[Any]) -> tuple[list[Any], Items]:
        """The items themselves, and what copies them: that costs less than making them."""
        return _engine.row_dicts(rows, self.names, False), _copied_dicts


def _copied_dicts(queryset: Any, db: str, dicts: list[Any], copies: bool) -> list[Any]:
    return list(map(dict.copy, dicts))


def _named(queryset: Any, compiler: SQLCompiler, conversion: Conversion) -> Items:
    kind = create_namedtuple_class(*(queryset._fields or _names(queryset.query)))
    return lambda _, __, rows, copies: _engine.row_named(rows, kind, copies)


def _flat(queryset: Any, compiler: SQLCompiler, conversion: Conversion) -> Items:
    return lambda _, __, rows, copies: _engine.row_column(rows, 0, copies)


def _tuples(queryset: Any, compiler: SQLCompiler, conversion: Conversion) -> Items:
    return lambda _, __, rows, copies: _engine.row_tuples(rows, True) if copies else list(rows)


instances = _lazily(_Instances)
dicts = _lazily(_Dicts)
named = _lazily(_named)
flat = _lazily(_flat)
tuples = _lazily(_tuples)
