"""The sample's settings in the variants that are compared.

BENCH_PROCESS     the kind of process (kinds.py)
BENCH_LOCATION    the folder of the segments
BENCH_POSTGRESQL  the port of a PostgreSQL server; without it the database is the sample's file
"""

import os

from kinds import APP, KINDS
from project.settings import *  # noqa: F403
from project.settings import DATABASES, INSTALLED_APPS

# Several processes write at once, on a machine that may do more besides.
DATABASES["default"]["OPTIONS"]["timeout"] = 30
if "BENCH_POSTGRESQL" in os.environ:
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "bench",
        "USER": "tester",
        "HOST": "127.0.0.1",
        "PORT": os.environ["BENCH_POSTGRESQL"],
    }

kind = KINDS[os.environ["BENCH_PROCESS"]]
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != APP]
if kind.app:
    INSTALLED_APPS.insert(0, kind.app)
globals().update(kind.settings(os.environ))
