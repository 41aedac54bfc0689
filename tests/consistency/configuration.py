"""Django's settings in the processes of a run."""

from typing import Any

from tests.consistency import plan as plans
from tests.consistency.plan import TINY_SEGMENT

PLAN = plans.load()


def _sqlite(mode: str | None) -> dict[str, Any]:
    journal = "WAL" if PLAN.database == "sqlite-wal" else "DELETE"
    options = {
        "timeout": 2,
        "transaction_mode": mode,
        "init_command": f"PRAGMA journal_mode={journal}; PRAGMA synchronous=NORMAL",
    }
    return {
        "ENGINE": "tests.consistency.engines.sqlite3",
        "NAME": str(PLAN.path("registers.sqlite3")),
        "OPTIONS": options,
    }


def _postgresql(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "tests.consistency.engines.postgresql",
        "NAME": "registers",
        "USER": "tester",
        "HOST": "127.0.0.1",
        "PORT": PLAN.port,
        "OPTIONS": {"application_name": name},
    }


def _mysql() -> dict[str, Any]:
    return {
        "ENGINE": "tests.consistency.engines.mysql",
        "NAME": "registers",
        "USER": "tester",
        "HOST": "127.0.0.1",
        "PORT": PLAN.port,
    }


# Two aliases of one database: SQLite's differ in how a transaction begins.
if PLAN.is_sqlite:
    DATABASES = {"default": _sqlite(None), "second": _sqlite("IMMEDIATE")}
elif PLAN.is_mysql:
    DATABASES = {"default": _mysql(), "second": _mysql()}
else:
    DATABASES = {"default": _postgresql("first"), "second": _postgresql("second")}

INSTALLED_APPS = ["django_cache_manager", "tests.consistency.registers"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "only for tests"
USE_TZ = True
LOGGING_CONFIG = None

DJANGO_CACHE_MANAGER: dict[str, Any] = {
    "ENABLED": PLAN.cache,
    "LOCATION": str(PLAN.path("segments")),
    "SIZE": "8M",
    # The triggers of registers/schema.py only sleep.
    "TRIGGERS": {"registers_counter": [], "registers_owned": [], "registers_twin": []},
    **(TINY_SEGMENT if PLAN.has("evict") else {}),
}

_CACHES = "django.core.cache.backends"
_KEPT = 40
"""Entries of a cache in a process that is to evict all the time."""

CACHES: dict[str, Any] = {"default": {"BACKEND": f"{_CACHES}.dummy.DummyCache"}}
if PLAN.store == "redis":
    CACHES["django_cache_manager.cache_backend"] = {
        "BACKEND": f"{_CACHES}.redis.RedisCache",
        "LOCATION": PLAN.redis,
    }
elif PLAN.store == "locmem":
    CACHES["django_cache_manager.cache_backend"] = {
        "BACKEND": f"{_CACHES}.locmem.LocMemCache",
        "OPTIONS": {"MAX_ENTRIES": _KEPT} if PLAN.has("evict") else {},
    }
