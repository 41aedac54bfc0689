"""`objects = CacheManager()`: a model's queries are answered from memory until data change."""

from django.db.models import QuerySet
from django.db.models.manager import BaseManager, Manager


class CachingQuerySet(QuerySet):
    """A QuerySet whose results come from the cache where they hold, and go there.

    It behaves as Django's in everything else: results, errors and laziness are the same. Never
    stale, also between processes; docs/guarantees.md says what is promised.
    """

    caching = True
    """A subclass with `caching = False` is not cached; so is any other queryset class with it."""
    is_caching_queryset = True

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
    kind = getattr(manager, "_queryset_class", object)
    return issubclass(kind, CachingQuerySet) and not opts_out(kind) and not opts_out(manager)


def opts_out(owner):
    """Whether a queryset, a manager or a class of them has `caching = False`."""
    return getattr(owner, "caching", None) is False
