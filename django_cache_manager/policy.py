"""Whether a query is one of those to be cached, and on which terms."""

from __future__ import annotations

from collections import defaultdict
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps

from . import conf

if TYPE_CHECKING:
    from django.db.models import Model

uncached_depth: Final[ContextVar[int]] = ContextVar("django_cache_manager_uncached", default=0)
"""How many `uncached()` blocks this context is in."""

_selected: dict[type[Model], bool] = {}


def wants(query: Any) -> bool:
    """Whether results of this `Query` may be taken from the cache and put there.

    `Query.caching` decides where it is set: CachingQuerySet sets it True, `.nocache()` and a
    `caching = False` in a queryset's or manager's class set it False. Elsewhere the model does, by
    the MODELS and EXCLUDE settings. An aggregate over a subquery follows the query inside.
    """
    while (inner := getattr(query, "inner_query", None)) is not None:
        query = inner
    caching = query.__dict__.get("caching")
    if caching is None:
        caching = selects(query.model)
    return bool(caching) and conf.current().enabled and not uncached_depth.get()


def caching_of(kind: type) -> bool | None:
    """What a queryset's class says of its queries; None: their model decides."""
    caching = getattr(kind, "caching", None)
    if caching is False:
        return False
    return True if getattr(kind, "is_caching_queryset", False) else None


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
        return "nocache() was called, or its queryset or manager has caching = False"
    return "its model has no CacheManager in this queryset, and MODELS does not name it"


def selects(model: type[Model] | None) -> bool:
    """Whether MODELS and EXCLUDE name a model."""
    if model is None:
        return False
    try:
        return _selected[model]
    except KeyError:
        settings = conf.current()
        label = model._meta.label_lower
        chosen = conf.selects(settings.models, label) and not conf.selects(settings.exclude, label)
        return _selected.setdefault(model, chosen)


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a result is kept: those of its models, the strictest of each kind."""

    timeout: float | None
    """Seconds."""
    max_entry: int
    """Bytes; the segment may hold less."""
    iterator: bool
    """Whether what iterator() reads is cached too."""


_terms: dict[frozenset[str], Terms] = {}
_tables: dict[str, list[str]] = {}
"""Table -> the labels of its models: proxies share one."""

MEMO_TERMS: Final = 1024


def terms_of(tables: frozenset[str]) -> Terms:
    """The terms of a result that depends on these tables."""
    found = _terms.get(tables)
    if found is None:
        labels = {label for table in tables for label in _labels_by_table().get(table, ())}
        each = [_terms_of_model(label) for label in labels] or [_terms_of_model("")]
        found = Terms(
            timeout=min((one.timeout for one in each if one.timeout is not None), default=None),
            max_entry=min(one.max_entry for one in each),
            iterator=all(one.iterator for one in each),
        )
        if len(_terms) >= MEMO_TERMS:
            _terms.clear()
        _terms[tables] = found
    return found


def has_terms() -> bool:
    """Whether MODELS sets an option for any model."""
    return any(conf.current().models.values())


def least_timeout() -> float | None:
    """The shortest time that any result may be kept."""
    settings = conf.current()
    given = [options.get("timeout") for options in settings.models.values()]
    return min((one for one in (settings.timeout, *given) if one is not None), default=None)


def _terms_of_model(label: str) -> Terms:
    """Each option by the closest pattern that sets it: the model's, its app's, "*"."""
    settings = conf.current()
    every = label.partition(".")[0] + ".*"
    merged = conf.ModelOptions(
        timeout=settings.timeout, max_entry=settings.max_entry, iterator=True
    )
    for pattern in ("*", every, label):
        merged.update(settings.models.get(pattern, {}))
    return Terms(
        merged["timeout"], min(merged["max_entry"], settings.max_entry), merged["iterator"]
    )


def _labels_by_table() -> dict[str, list[str]]:
    if not _tables:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for model in apps.get_models(include_auto_created=True):
            found[conf.table_name(model._meta.db_table)].append(model._meta.label_lower)
        _tables.update(found)
    return _tables


def _forget() -> None:
    _selected.clear()
    _terms.clear()
    _tables.clear()


conf.on_change(_forget)
