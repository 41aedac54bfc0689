"""`objects = CacheManager()`: a model's queries are answered from memory until data change."""

from django.db.models import QuerySet
from django.db.models.manager import BaseManager, Manager


class CachingQuerySet(QuerySet):
    """A QuerySet whose results come from the cache where they hold, and go there.

    It behaves as Django's in everything else: results, errors and laziness are the same. Never
    stale, also between processes; docs/guarantees.md says what is promised.
    """

    def __init__(self, model=None, query=None, using=None, hints=None):
        super().__init__(model, query, using, hints)
        if query is None:
            self._query.caching = True

    def __repr__(self):
        shown = super().__repr__()
        if type(self) is CachingQuerySet:
            return shown.replace("<CachingQuerySet ", "<QuerySet ", 1)
        return shown

    def nocache(self):
        """A copy whose query goes to the database and whose rows are not kept.

        Writes are seen all the same.
        """
        clone = self._chain()
        clone.query.caching = False
        return clone


class CacheManager(BaseManager.from_queryset(CachingQuerySet), Manager):
    """The manager of a cached model. `from_queryset` and subclassing work as Django's.

    The model's default manager decides about `_base_manager` too, so forward foreign keys to the
    model and refresh_from_db() are cached with it.
    """


def is_caching(manager):
    """Whether a manager gives caching querysets."""
    return issubclass(getattr(manager, "_queryset_class", object), CachingQuerySet)
