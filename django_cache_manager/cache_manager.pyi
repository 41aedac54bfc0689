from typing import Any, Self, TypeVar

from django.db.models import Model, QuerySet
from django.db.models.manager import Manager

_M = TypeVar("_M", bound=Model)

class CachingQuerySet(QuerySet[_M]):
    caching: bool
    is_caching_queryset: bool
    def nocache(self) -> Self: ...

class CacheManager(Manager[_M]):
    def nocache(self) -> CachingQuerySet[_M]: ...

def is_caching(manager: Any) -> bool: ...
def opts_out(owner: Any) -> bool: ...
