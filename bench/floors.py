"""What a hit's rows cost at the least: the same instances and dicts from converted values that are
ready, made in C, in the best Python, and by Django's from_db().
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from django_cache_manager import _engine, row_plans
from django_cache_manager.results import conversion_of

Read = Callable[[], Any]


@cache
def ready(queryset: Read) -> tuple[Any, list[Any]]:
    """The compiler of a queryset that is a hit, and its converted rows."""
    list(queryset())
    compiler = queryset().query.get_compiler("default")
    conversion = conversion_of(compiler, compiler.execute_sql())
    if conversion is None:
        raise SystemExit("the benchmark's rows are not kept converted")
    return compiler, conversion.rows


def in_c(queryset: Read) -> Any:
    compiler, rows = ready(queryset)
    native = row_plans.plan_of(compiler).native
    if native is None:
        raise SystemExit("the benchmark's instances are not made in C")
    return native.build(rows, "default")


def by_from_db(queryset: Read) -> list[Any]:
    compiler, rows = ready(queryset)
    return list(
        row_plans._by_from_db(row_plans.plan_of(compiler), rows, "default", {}, None, False)
    )


def in_python(queryset: Read) -> list[Any]:
    """Of models without select_related(): no __init__, no signals, attributes by the dict."""
    from django.db.models.base import ModelState

    compiler, rows = ready(queryset)
    model = compiler.klass_info["model"]
    names = ("_state", *(field.attname for field in model._meta.concrete_fields))
    made = []
    for row in rows:
        state = object.__new__(ModelState)
        state.__dict__ = {"fields_cache": {}, "adding": False, "db": "default"}
        instance = object.__new__(model)
        instance.__dict__ = dict(zip(names, (state, *row), strict=True))
        made.append(instance)
    return made


def dicts_in_c(queryset: Read) -> list[Any]:
    _, rows = ready(queryset)
    return _engine.row_dicts(rows, names_of(queryset))


def dicts_in_python(queryset: Read) -> list[Any]:
    _, rows = ready(queryset)
    names = names_of(queryset)
    return [dict(zip(names, row, strict=True)) for row in rows]


@cache
def names_of(queryset: Read) -> tuple[str, ...]:
    query = queryset().query
    return (*query.extra_select, *query.values_select, *query.annotation_select)


def copied(queryset: Read) -> list[Any]:
    """What values_list() costs at the least: its tuples can be shared."""
    return list(ready(queryset)[1])
