"""Django settings of the behaviour tests. The test run says by environment variables which
database they run on.

QC_TEST_DB        sqlite | sqlite-delete | memory | postgresql | psycopg2 | mariadb
QC_TEST_FOLDER    folder of the run: SQLite files, segments, uploads
QC_TEST_PG_PORT   port of the run's PostgreSQL server
QC_TEST_MARIADB_PORT  port of the run's MariaDB server
QC_TEST_PLAIN     "1": without the package, with Django's managers
QC_TEST_MANAGER   JSON: keys of DJANGO_CACHE_MANAGER that differ from the run's (fresh processes
only)
QC_TEST_SETTINGS  JSON: other settings that differ (fresh processes only)
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

KIND = os.environ.get("QC_TEST_DB", "sqlite")
PLAIN = os.environ.get("QC_TEST_PLAIN") == "1"
FOLDER = Path(os.environ["QC_TEST_FOLDER"])
ALIASES = ("default", "other")
SQLITE_KINDS = ("sqlite", "sqlite-delete", "memory")

if KIND == "psycopg2":
    # Django prefers psycopg 3 where it can be imported.
    sys.modules["psycopg"] = None  # type: ignore[assignment]


def database(alias: str) -> dict[str, Any]:
    if KIND in ("postgresql", "psycopg2"):
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": f"qc_{alias}",
            "USER": "tester",
            "HOST": "127.0.0.1",
            "PORT": os.environ["QC_TEST_PG_PORT"],
        }
    if KIND == "mariadb":
        return {
            "ENGINE": "django.db.backends.mysql",
            "NAME": f"qc_{alias}",
            "USER": os.environ.get("QC_TEST_MARIADB_USER", "tester"),
            "HOST": "127.0.0.1",
            "PORT": os.environ["QC_TEST_MARIADB_PORT"],
        }
    if KIND == "memory":
        name = f"file:qc_{alias}?mode=memory&cache=shared"
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name}
    journal = "DELETE" if KIND == "sqlite-delete" else "WAL"
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(FOLDER / f"{alias}.sqlite3"),
        "OPTIONS": {"timeout": 5, "init_command": f"PRAGMA journal_mode={journal}"},
    }


DATABASES = {alias: database(alias) for alias in ALIASES}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    *([] if PLAIN else ["django_cache_manager"]),
    "testapp",
    "testapp.evolving",
]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "testapp.urls"
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "only for tests"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
MEDIA_ROOT = str(FOLDER / "media")
SILENCED_SYSTEM_CHECKS: list[str] = []
LOGGING_CONFIG = None

DJANGO_CACHE_MANAGER: dict[str, Any] = {
    "LOCATION": str(FOLDER / "segments"),
    "SIZE": "8M",
    **json.loads(os.environ.get("QC_TEST_MANAGER", "{}")),
}
globals().update(json.loads(os.environ.get("QC_TEST_SETTINGS", "{}")))
