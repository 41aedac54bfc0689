"""The sample's models with Django's own managers, for processes without this package."""

import sys
from types import ModuleType

from django.db.models import Manager


def install() -> None:
    """Before the models are imported: what they call CacheManager is Django's Manager."""
    module = ModuleType("django_cache_manager.cache_manager")
    module.__dict__["CacheManager"] = Manager
    sys.modules[module.__name__] = module
