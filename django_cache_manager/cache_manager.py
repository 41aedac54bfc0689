"""`objects = CacheManager()`: every query of the model is answered from memory until something it read is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.db.models import QuerySet
from django.db.models.manager import BaseManager, Manager

if TYPE_CHECKING:
    from django.db.models import Model

_M = TypeVar("_M", bound="Model", covariant=True)


class CachingQuerySet(QuerySet[_M] if TYPE_CHECKING else QuerySet):  # type: ignore[misc]
    """A QuerySet whose results come from the cache where they hold, and go there.

    It behaves as Django's in everything else: results, errors and laziness are the same. Never stale, also between
    processes; docs/guarantees.md says what is promised.
    """

    def __init__(
        self,
        model: type[_M] | None = None,
        query: Any = None,
        using: str | None = None,
        hints: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(model, query, using, hints)
        if query is None:
            self._query.caching = True

    def nocache(self) -> Self:
        """A copy whose query goes to the database and whose rows are not kept. Writes are seen all the same."""
        clone = self._chain()
        clone.query.caching = False
        return clone


class CacheManager(BaseManager.from_queryset(CachingQuerySet), Manager):  # type: ignore[misc]
    """The manager of a cached model. `from_queryset`, `use_in_migrations` and subclassing work as Django's.

    The model's default manager decides about `_base_manager` too, so forward foreign keys to the model and
    refresh_from_db() are cached with it.
    """

    if TYPE_CHECKING:

        def __class_getitem__(cls, item: Any) -> type[Self]: ...

        def nocache(self) -> CachingQuerySet[Any]: ...


def is_caching(manager: Any) -> bool:
    """Whether a manager gives caching querysets."""
    return issubclass(getattr(manager, "_queryset_class", object), CachingQuerySet)
