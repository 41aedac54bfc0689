"""Whether a query is one of those to be cached."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from . import conf

if TYPE_CHECKING:
    from django.db.models import Model

uncached_depth: Final[ContextVar[int]] = ContextVar("django_cache_manager_uncached", default=0)
"""How many `uncached()` blocks this context is in."""

_selected: dict[type[Model], bool] = {}


def wants(query: Any) -> bool:
    """Whether results of this `Query` may be taken from the cache and put there.

    `Query.caching` decides where it is set: CachingQuerySet sets it True, `.nocache()` False.
    Elsewhere the model does, by the MODELS and EXCLUDE settings. An aggregate over a subquery
    follows the query inside.
    """
    while (inner := getattr(query, "inner_query", None)) is not None:
        query = inner
    caching = query.__dict__.get("caching")
    if caching is None:
        caching = _is_selected(query.model)
    return bool(caching) and conf.current().enabled and not uncached_depth.get()


def why_not(query: Any) -> str | None:
    """The reason behind `wants` being False, for a person."""
    if wants(query):
        return None
    settings = conf.current()
    if not settings.valid:
        return "DJANGO_CACHE_MANAGER has errors: see `manage.py check`"
    if not settings.enabled:
        return "ENABLED is False"
    if uncached_depth.get():
        return "inside uncached()"
    if query.__dict__.get("caching") is False:
        return "nocache() was called"
    return "its model has no CacheManager in this queryset, and MODELS does not name it"


def _is_selected(model: type[Model] | None) -> bool:
    if model is None:
        return False
    try:
        return _selected[model]
    except KeyError:
        settings = conf.current()
        label = model._meta.label_lower
        chosen = conf.selects(settings.models, label) and not conf.selects(settings.exclude, label)
        return _selected.setdefault(model, chosen)


conf.on_change(_selected.clear)
