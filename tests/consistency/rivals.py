"""Two of the races that the checker runs, shown on other packages: facts for docs/consistency.md.

Not part of `make test`; they need an environment of their own and a Redis:

    pip install Django==5.2.19 django-cachalot==2.9.1 django-cacheops==7.2 \
        django-cache-machine==1.2.0 redis
    python tests/consistency/rivals.py cachalot redis://127.0.0.1:6379/0

The Redis is emptied. Prints what is served after each race, and what the database has.
"""

import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from django.apps import AppConfig
from django.conf import settings

RIVALS = {"cachalot": ["cachalot"], "cacheops": ["cacheops"], "cache-machine": []}
RIVAL, REDIS = sys.argv[1:]
FOLDER = tempfile.TemporaryDirectory(prefix="rivals-")


class Shop(AppConfig):
    name = "__main__"
    label = "shop"
    path = FOLDER.name


settings.configure(
    INSTALLED_APPS=[*RIVALS[RIVAL], "__main__.Shop"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(Path(FOLDER.name, "db")),
            "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL"},
        }
    },
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS}
    },
    CACHEOPS_REDIS=REDIS,
    CACHEOPS={"shop.*": {"ops": "all", "timeout": 3600}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.core.cache import cache  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402

if RIVAL == "cache-machine":
    from caching.base import CachingManager, CachingMixin

    class City(CachingMixin, models.Model):
        name = models.CharField(max_length=50)
        objects = CachingManager()

        class Meta:
            app_label = "shop"
else:

    class City(models.Model):  # type: ignore[no-redef]
        name = models.CharField(max_length=50)

        class Meta:
            app_label = "shop"


def read() -> str:
    (city,) = City.objects.filter(pk=1)
    return str(city.name)


def write(name: str) -> None:
    """In the way that each of them sees."""
    city = City.objects.get(pk=1)
    city.name = name
    city.save()


def in_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM shop_city WHERE id = 1")
        return str(cursor.fetchone()[0])


def begin_anew() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM shop_city")
    City.objects.create(pk=1, name="old")
    cache.clear()


def in_another_thread(work: Callable[[], None]) -> None:
    def run() -> None:
        work()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def overtaken_read() -> None:
    """The database has answered a read; before the rows are stored, another writes them."""
    begin_anew()
    written = []

    def overtake(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if not written:
            written.append(1)
            in_another_thread(lambda: write("new"))
        return result

    with connection.execute_wrapper(overtake):
        read()


def death_after_commit() -> None:
    """The writer is killed when COMMIT has returned."""
    begin_anew()
    read()
    connection.close()
    if os.fork() == 0:
        commit = connection._commit

        def last() -> None:
            commit()
            os._exit(9)

        connection._commit = last
        with transaction.atomic():
            write("new")
        os._exit(1)
    os.wait()


with connection.schema_editor() as editor:
    editor.create_model(City)
for race in (overtaken_read, death_after_commit):
    race()
    served, there = read(), in_database()
    told = "STALE" if served != there else "right"
    print(f"{RIVAL:<14} {race.__name__:<19} served {served}, the database has {there}: {told}")
