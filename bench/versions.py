"""Prints what a place runs: Python, Django and the database."""

import os
import platform
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "sample"), str(HERE.parent)]
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django  # noqa: E402
from django.db import connection  # noqa: E402

if connection.vendor == "sqlite":
    database = ".".join(map(str, connection.Database.sqlite_version_info))
else:
    connection.ensure_connection()
    database = ".".join(map(str, connection.get_database_version()))
print(
    f"Python {platform.python_version()}, Django {django.get_version()}, "
    f"{connection.display_name} {database}"
)
