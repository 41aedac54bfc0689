"""The kinds of process that are compared: this package on, off and absent, and each rival.

A kind says what a process's settings have beside the sample's. Servers are told by the environment:
BENCH_REDIS and BENCH_MEMCACHED are ports on loopback.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Environment = Mapping[str, str]

APP = "django_cache_manager"
ENTRIES = 100_000
"""As many as a rival's cache may hold: no case is to measure evictions."""


def nothing(environment: Environment) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Kind:
    label: str
    app: str = ""
    """What INSTALLED_APPS has beside the sample's own."""
    settings: Callable[[Environment], dict[str, Any]] = nothing
    shared: bool = True
    """Whether what one process keeps or drops is kept or dropped for all."""


def manager(**keys: Any) -> Callable[[Environment], dict[str, Any]]:
    """Settings of this package."""

    def settings(environment: Environment) -> dict[str, Any]:
        location = environment["BENCH_LOCATION"]
        # 5,000 cities are a little more than the default of MAX_ENTRY.
        return {"DJANGO_CACHE_MANAGER": {"LOCATION": location, "MAX_ENTRY": "2M", **keys}}

    return settings


def cache(backend: str, location: str, **options: Any) -> dict[str, Any]:
    return {
        "CACHES": {
            "default": {
                "BACKEND": f"django.core.cache.backends.{backend}",
                "LOCATION": location,
                "TIMEOUT": None,
                **options,
            }
        }
    }


def over_locmem(environment: Environment) -> dict[str, Any]:
    return cache("locmem.LocMemCache", "bench", OPTIONS={"MAX_ENTRIES": ENTRIES})


def over_redis(environment: Environment) -> dict[str, Any]:
    return cache("redis.RedisCache", f"redis://127.0.0.1:{environment['BENCH_REDIS']}/0")


def over_memcached(environment: Environment) -> dict[str, Any]:
    return cache("memcached.PyMemcacheCache", f"127.0.0.1:{environment['BENCH_MEMCACHED']}")


def cacheops(environment: Environment) -> dict[str, Any]:
    return {
        "CACHEOPS_REDIS": f"redis://127.0.0.1:{environment['BENCH_REDIS']}/1",
        "CACHEOPS": {"*.*": {"ops": "all", "timeout": 24 * 3600}},
    }


OWN = {
    "on": Kind("django-cache-manager", APP, manager()),
    "off": Kind("the same, ENABLED is False", APP, manager(ENABLED=False)),
    "absent": Kind("no cache"),
}
RIVALS = {
    "cachalot-locmem": Kind("cachalot, locmem", "cachalot", over_locmem, shared=False),
    "cachalot-redis": Kind("cachalot, Redis", "cachalot", over_redis),
    "cachalot-memcached": Kind("cachalot, memcached", "cachalot", over_memcached),
    "cacheops-redis": Kind("cacheops, Redis", "cacheops", cacheops),
}
KINDS = OWN | RIVALS
