"""The sample's settings in the variants that are compared; BENCH_PROCESS names the one."""

import os

from project.settings import *  # noqa: F403
from project.settings import DJANGO_CACHE_MANAGER, INSTALLED_APPS

DJANGO_CACHE_MANAGER["LOCATION"] = os.environ["BENCH_LOCATION"]
DJANGO_CACHE_MANAGER["MAX_ENTRY"] = "2M"  # 5,000 cities are a little more than the default
match os.environ["BENCH_PROCESS"]:
    case "on":
        pass
    case "off":
        DJANGO_CACHE_MANAGER["ENABLED"] = False
    case "absent":
        INSTALLED_APPS.remove("django_cache_manager")
    case other:
        raise ValueError(other)
