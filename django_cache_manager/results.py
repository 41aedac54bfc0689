"""A stored result, and how it is handed out as Django would have."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from django.db.models import Field
from django.db.models import fields as model_fields

from . import _engine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.db.models.sql.compiler import SQLCompiler


class Result:
    """Rows as the driver gave them, the cells they depend on and the clock they were read at.

    `conversion` holds a signature of Django's converters and the rows after them, kept for the next
    hit with the same converters when every value is immutable. Shared by all threads: replaced by
    one store, never changed in place.
    """

    __slots__ = ("cells", "conversion", "rows", "shareable", "size", "time")

    def __init__(self, rows: list[tuple[Any, ...]], cells: bytes, time: int, size: int) -> None:
        self.rows = rows
        self.cells = cells
        self.time = time
        self.size = size
        self.shareable = _engine.shareable(rows)
        self.conversion: tuple[tuple[Any, ...], list[tuple[Any, ...]]] | None = None


class Hit(list[Any]):
    """What execute_sql returns on a hit: one chunk of rows, as Django's own chunks are lists, and
    their Result."""

    __slots__ = ("result",)

    def __init__(self, result: Result) -> None:
        super().__init__((result.rows,))
        self.result = result


def rows_of(compiler: SQLCompiler, hit: Hit, tuple_expected: bool) -> Iterable[Any]:
    """Like SQLCompiler.results_iter: the rows after the converters, which run once a Result where
    they can."""
    fields = [column[0] for column in compiler.select[0 : compiler.col_count]]
    converters = compiler.get_converters(fields)
    composite = compiler.has_composite_fields(fields)
    result = hit.result
    if not converters and not composite:
        return iter(result.rows)
    signature = None if composite or not result.shareable else _signature(converters)
    conversion = result.conversion
    if signature is not None and conversion is not None and conversion[0] == signature:
        return _hand_out(compiler, conversion[1], tuple_expected)
    rows: Iterator[Any] = chain.from_iterable(hit)
    if converters:
        rows = compiler.apply_converters(rows, converters)
    if composite:
        rows = compiler.composite_fields_to_tuples(rows, fields)
    if signature is None:
        return map(tuple, rows) if tuple_expected else rows
    converted = [tuple(row) for row in rows]
    if _engine.shareable(converted):
        result.conversion = (signature, converted)
    return _hand_out(compiler, converted, tuple_expected)


def _hand_out(
    compiler: SQLCompiler, converted: list[tuple[Any, ...]], tuple_expected: bool
) -> Iterable[Any]:
    """Django's converted rows are lists, which a user's from_db() may be handed."""
    return iter(converted) if tuple_expected or _is_plain(compiler) else map(list, converted)


def _is_plain(compiler: SQLCompiler) -> bool:
    """Whether nobody sees the type of a row: slices of it go to Django's own from_db."""
    from django.db.models import Model

    info = compiler.klass_info
    return info is None or all(
        vars(kind["model"]).get("from_db") is None
        and kind["model"].from_db.__func__ is Model.from_db.__func__
        for kind in _classes(info)
    )


def _classes(info: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield info
    for related in info.get("related_klass_infos", ()):
        yield from _classes(related)


_SIMPLE_FIELDS = {
    kind
    for kind in vars(model_fields).values()
    if isinstance(kind, type)
    and issubclass(kind, Field)
    and kind.__module__ == model_fields.__name__
}


def _signature(converters: dict[int, tuple[list[Any], Any]]) -> tuple[Any, ...] | None:
    """What decides about the converters' work, or None where that can't be told."""
    parts: list[Any] = []
    for position, (_, expression) in converters.items():
        kind = type(expression)
        if not (kind.__module__ + ".").startswith(("django.db.models.", "django.contrib.")):
            return None
        field = expression.output_field
        if hasattr(field, "model"):
            parts += (position, kind, field.model, field.name)
        elif type(field) in _SIMPLE_FIELDS:
            digits = getattr(field, "max_digits", None), getattr(field, "decimal_places", None)
            parts += (position, kind, type(field), digits)
        else:
            return None
    return tuple(parts)
