"""Managers' methods: answers without the queryset that such a call begins with.

Each function here takes the method that Django has made of QuerySet's, and that hooks.py puts it in
place of. The engine goes past the queryset only where the manager's `get_queryset()` and the
queryset's method are the ones it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.db.models.manager import BaseManager

from . import keys, traces
from .answers import MISS, quick

if TYPE_CHECKING:
    from collections.abc import Callable

    Method = Callable[..., Any]


def get(original: Method) -> Method:
    guards = BaseManager.get_queryset, "get", QuerySet.get

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = MISS if args else quick.manager_get(self, guards, keys.ONE, kwargs)
        if found is not MISS and found is not NotImplemented:
            return found
        return original(self, *args, **kwargs)

    return method


def filtering(original: Method) -> Method:
    guards = BaseManager.get_queryset, "filter", QuerySet.filter

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        known = NotImplemented
        if not args:
            known = quick.manager_filter(self, guards, traces.FILTER, kwargs)
        return original(self, *args, **kwargs) if known is NotImplemented else known

    return method
