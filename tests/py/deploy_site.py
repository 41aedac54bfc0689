"""A whole site in one module, for servers that fork: `app` for WSGI, `asgi` for ASGI.

DEPLOY_FOLDER   folder of the segments and the SQLite file
DEPLOY_CODE     "old", or "new": the version of the code whose model has one field more
DEPLOY_WARM     "1": reads before the server forks, as a preloaded application may; "open": and
                leaves its connection open
QC_TEST_PG_PORT port of a PostgreSQL server; without it SQLite

As a script: `create`, `add` and `drop` change the table, `prefork` is what celery's workers do.
"""

import json
import multiprocessing
import os
import signal
import sys
import threading
from typing import Any

import django
from django.conf import settings

FOLDER = os.environ["DEPLOY_FOLDER"]
PORT = os.environ.get("QC_TEST_PG_PORT")
POSTGRESQL = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "qc_default",
    "USER": "tester",
    "HOST": "127.0.0.1",
    "PORT": PORT,
}
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": f"{FOLDER}/deploy.sqlite3",
    "OPTIONS": {"timeout": 20, "init_command": "PRAGMA journal_mode=WAL"},
}
settings.configure(
    DATABASES={"default": {**(POSTGRESQL if PORT else SQLITE), "CONN_MAX_AGE": 60}},
    INSTALLED_APPS=["django_cache_manager"],
    DJANGO_CACHE_MANAGER={"LOCATION": FOLDER, "SIZE": "4M", "MODELS": ["*"]},
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="only for tests",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.db import connection, connections, models, transaction  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Item(models.Model):
    name = models.CharField(max_length=80)
    if os.environ.get("DEPLOY_CODE") == "new":
        level = models.IntegerField(null=True)

    class Meta:
        app_label = "deploy"
        db_table = "deploy_item"


def values() -> list[dict[str, Any]]:
    """The rows, every field of this version of the code."""
    fields = [field.attname for field in Item._meta.concrete_fields]
    return [{name: getattr(item, name) for name in fields} for item in Item.objects.order_by("pk")]


def here() -> dict[str, Any]:
    from django_cache_manager.api import stats

    hits = stats()["default"]["hits"]
    return {"pid": os.getpid(), "thread": threading.get_ident(), "hits": hits}


def change(**values: Any) -> None:
    Item.objects.filter(pk=1).update(**values)


def die_in_a_write() -> None:
    """As the kernel ends a process that takes too much memory."""
    with transaction.atomic():
        change(name="never committed")
        os.kill(os.getpid(), signal.SIGKILL)


def read(request: Any) -> JsonResponse:
    return JsonResponse({"rows": values(), **here()})


def write(request: Any) -> JsonResponse:
    changed = {key: value for key, value in request.GET.items() if key in ("name", "level")}
    change(**changed)
    return JsonResponse({"rows": values(), **here()})


def die(request: Any) -> None:
    die_in_a_write()


urlpatterns = [path("read", read), path("write", write), path("die", die)]


def statement(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def child(name: str) -> list[str]:
    """A task: what it finds, and what it finds after its own write."""
    before = values()[0]["name"]
    change(name=name)
    after = [values()[0]["name"] for _ in range(2)]
    connections.close_all()
    return [before, *after]


def prefork() -> None:
    """Reads, forks workers that read and write, and reads again."""
    change(name="parent")
    found: list[Any] = [[values()[0]["name"] for _ in range(2)]]
    connections.close_all()
    with multiprocessing.get_context("fork").Pool(1) as first:
        found.append(first.apply(child, ["first"]))
        found.append([values()[0]["name"] for _ in range(2)])
        connections.close_all()
        with multiprocessing.get_context("fork").Pool(1) as second:
            found.append(second.apply(child, ["second"]))
        found.append(first.apply(child, ["third"]))
    found.append([values()[0]["name"]])
    print(json.dumps(found))


def main(command: str) -> None:
    if command == "create":
        statement("DROP TABLE IF EXISTS deploy_item")
        with connection.schema_editor() as editor:
            editor.create_model(Item)
        Item.objects.create(pk=1, name="first")
    elif command == "add":
        statement("ALTER TABLE deploy_item ADD COLUMN level integer")
    elif command == "drop":
        statement("ALTER TABLE deploy_item DROP COLUMN level")
    elif command == "destroy":
        statement("DROP TABLE deploy_item")
    else:
        prefork()


if __name__ == "__main__":
    main(sys.argv[1])
else:
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    app, asgi = get_wsgi_application(), get_asgi_application()
    if os.environ.get("DEPLOY_WARM"):
        for _ in range(2):
            values()
    if os.environ.get("DEPLOY_WARM") != "open":
        connections.close_all()
