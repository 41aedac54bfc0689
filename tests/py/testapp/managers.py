"""CacheManager and its queryset; without the package (QC_TEST_PLAIN) stand-ins that are Django's
own.
"""

from django.db import models

from settings import PLAIN

if PLAIN:

    class CachingQuerySet(models.QuerySet):
        def nocache(self) -> "CachingQuerySet":
            return self._chain()

    class CacheManager(models.Manager.from_queryset(CachingQuerySet)):  # type: ignore[misc]
        pass

else:
    from django_cache_manager.cache_manager import CacheManager, CachingQuerySet

__all__ = ["CacheManager", "CachingQuerySet"]
