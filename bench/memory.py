"""Bytes of an entry of a hundred rows where its cache keeps it, keys and dependencies included."""

import os
import sys
from typing import Any

from reads import manager

ENTRIES = 50


def fill() -> None:
    for bound in range(1, ENTRIES + 1):
        list(manager().filter(population__gte=bound).order_by("-population")[:100])


def of_entry(kind: str) -> dict[str, float]:
    """Bytes, by where they are."""
    measure = {
        "on": of_segment,
        "cachalot-locmem": of_locmem,
        "cachalot-redis": of_redis(0),
        "cachalot-memcached": of_memcached,
        "cacheops-redis": of_redis(1),
    }[kind]
    before = measure()
    fill()
    after = measure()
    return {place: (after[place] - before[place]) / ENTRIES for place in after}


def of_segment() -> dict[str, float]:
    from django_cache_manager import api

    stats = api.stats()["default"]
    return {"shared memory": stats["used"], "each process": stats["local"]["bytes"]}


def of_locmem() -> dict[str, float]:
    """Pickled values and their keys, without the dict that holds them."""
    from django.core.cache import caches

    held: Any = caches["default"]
    return {
        "each process": sum(
            sys.getsizeof(key) + sys.getsizeof(value) for key, value in held._cache.items()
        )
    }


def of_redis(database: int) -> Any:
    def measure() -> dict[str, float]:
        """MEMORY USAGE of every key, all elements of the sets included."""
        import redis

        client = redis.Redis(port=int(os.environ["BENCH_REDIS"]), db=database)
        return {"Redis": sum(client.memory_usage(key, samples=0) for key in client.scan_iter())}

    return measure


def of_memcached() -> dict[str, float]:
    import pymemcache

    client = pymemcache.Client(f"127.0.0.1:{os.environ['BENCH_MEMCACHED']}")
    return {"memcached": client.stats()[b"bytes"]}
