"""Settings of the sample project.

SAMPLE_DATABASE  the SQLite file (default: sample.sqlite3 beside manage.py)
SAMPLE_CACHE     0: ENABLED is False, every query goes to the database
"""

import os
from pathlib import Path
from typing import Any

BASE = Path(__file__).resolve().parent.parent

DEBUG = False
SECRET_KEY = "a sample has no secrets"
ALLOWED_HOSTS: list[str] = []
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django_cache_manager",
    "geo",
    "garage",
    "people",
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SAMPLE_DATABASE", str(BASE / "sample.sqlite3")),
        # As a web application would run it: readers don't wait for the writer.
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "transaction_mode": "IMMEDIATE",
        },
    },
}

DJANGO_CACHE_MANAGER: dict[str, Any] = {}
if os.environ.get("SAMPLE_CACHE") == "0":
    DJANGO_CACHE_MANAGER["ENABLED"] = False
