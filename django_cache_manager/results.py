"""A stored result, and how it is handed out as Django would have."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import Field
from django.db.models import fields as model_fields

from . import _engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from django.db.models.sql.compiler import SQLCompiler


class Conversion(NamedTuple):
    """Rows after Django's converters, in a form that can be handed out again and again."""

    signature: tuple[Any, ...] | None
    """Of the converters; None: there are none."""
    rows: list[Any]
    copies: bool
    """Whether they hold lists or dicts, of which each caller gets its own."""


class Result:
    """Rows as the driver gave them, the cells they depend on and the clock they were read at.

    `keepable`: whether every value is immutable, or can be copied for each caller (`copies`); what
    isn't, is handed out once. `conversion` is kept for the next hit with the same converters.
    Shared by all threads: replaced by one store, never changed in place.
    """

    __slots__ = (
        "cells",
        "conversion",
        "copies",
        "keepable",
        "key",
        "rows",
        "size",
        "time",
    )

    def __init__(self, rows: list[tuple[Any, ...]], cells: bytes, time: int, size: int) -> None:
        self.rows = rows
        self.cells = cells
        self.time = time
        self.size = size
        self.copies = not _engine.shareable(rows)
        self.keepable = not self.copies or _engine.copyable(rows)
        self.conversion: Conversion | None = None
        self.key: bytes | None = None
        """Its key in L1, if it was put there."""


_callbacks: list[Callable[[Result], None]] = []


def on_conversion(callback: Callable[[Result], None]) -> None:
    """Has `callback` told of each result whose converted rows are kept: they take memory."""
    _callbacks.append(callback)


class Hit(list[Any]):
    """What execute_sql returns on a hit: one chunk of rows, as Django's own chunks are lists, or
    none if there are no rows, and their Result."""

    __slots__ = ("result",)

    def __init__(self, result: Result) -> None:
        super().__init__((own_rows(result),) if result.rows else ())
        self.result = result


def own_rows(result: Result) -> list[Any]:
    """The driver's rows, for a caller who may change what is in them."""
    if result.copies and result.keepable:
        return _engine.row_tuples(result.rows, True)
    return result.rows


class Reading:
    """How a connection reads the rows of one statement: what its compiler finds out for it."""

    __slots__ = ("converters", "is_composite", "items", "signature")

    def __init__(self, compiler: SQLCompiler) -> None:
        fields = [column[0] for column in compiler.select[0 : compiler.col_count]]
        self.is_composite = compiler.has_composite_fields(fields)
        self.converters = {} if self.is_composite else compiler.get_converters(fields)
        self.signature = _signature(self.converters)
        self.items: dict[Any, Any] = {}
        """By the recipe in iterables.py, what makes items of the rows."""

    def is_remembered(self) -> bool:
        """Whether its converted rows can be kept: then a traced queryset's answer is."""
        return not self.is_composite and (not self.converters or self.signature is not None)


def reading_of(compiler: SQLCompiler) -> Reading | None:
    """Of a statement that was known before it was compiled (selects.py)."""
    found: Reading | None = compiler.__dict__.get("reading")
    return found


def conversion_of(compiler: SQLCompiler, hit: Hit) -> Conversion | None:
    """The converted rows, which are converted once a Result.

    None: what they are made of can't be handed out twice, or the converters can't be told apart.
    """
    reading = reading_of(compiler) or Reading(compiler)
    result = hit.result
    if reading.is_composite or not result.keepable:
        return None
    if not reading.converters:
        return Conversion(None, result.rows, result.copies)
    signature = reading.signature
    if signature is None:
        return None
    known = result.conversion
    if known is not None and known.signature == signature:
        return known
    found = chain.from_iterable(hit)
    rows = [tuple(row) for row in compiler.apply_converters(found, reading.converters)]
    copies = not _engine.shareable(rows)
    if copies and not _engine.copyable(rows):
        return None
    known = Conversion(signature, rows, copies)
    result.conversion = known
    for callback in _callbacks:
        callback(result)
    return known


def rows_of(compiler: SQLCompiler, hit: Hit, tuple_expected: bool) -> Iterable[Any]:
    """Like SQLCompiler.results_iter."""
    known = conversion_of(compiler, hit)
    if known is not None:
        rows = _engine.row_tuples(known.rows, True) if known.copies else known.rows
        # Django's converted rows are lists, which a user's from_db() may be handed.
        plain = tuple_expected or known.signature is None or _is_plain(compiler)
        return iter(rows) if plain else map(list, rows)
    fields = [column[0] for column in compiler.select[0 : compiler.col_count]]
    converters = compiler.get_converters(fields)
    found: Iterator[Any] = chain.from_iterable(hit)
    if converters:
        found = compiler.apply_converters(found, converters)
    if compiler.has_composite_fields(fields):
        found = compiler.composite_fields_to_tuples(found, fields)
    return map(tuple, found) if tuple_expected else found


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
    for position, (functions, expression) in converters.items():
        kind = type(expression)
        field = expression.output_field
        if not (_is_djangos(kind) and all(map(_is_djangos, functions)) and _is_constant(field)):
            return None
        if hasattr(field, "model"):
            parts += (position, kind, field.model, field.name)
        elif type(field) in _SIMPLE_FIELDS:
            digits = getattr(field, "max_digits", None), getattr(field, "decimal_places", None)
            parts += (position, kind, type(field), digits)
        else:
            return None
    return tuple(parts)


def _is_djangos(code: Any) -> bool:
    """Whether it is Django's: another's converter may depend on more than the row."""
    return str(code.__module__ + ".").startswith(("django.db.", "django.contrib."))


def _is_constant(field: Any) -> bool:
    """Whether no code of the application's own is called by Django's converter of the field: a
    JSON decoder, or the converter of an array's items."""
    while field is not None:
        own = getattr(type(field), "from_db_value", None)
        if getattr(field, "decoder", None) is not None or not (own is None or _is_djangos(own)):
            return False
        field = getattr(field, "base_field", None)
    return True
