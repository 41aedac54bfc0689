"""A pytest plugin: whatever settings a test suite has, with APPS_MODE "with" every model is cached.

A hit counts as a query there (conformance/hits.py), for tests that count them. In either mode
passwords are hashed quickly: that is most of what such a suite does.
"""

import os
from typing import Any

from django.conf import LazySettings, Settings

ADDED_APPS = ["django_cache_manager", "conformance.hits.HitsConfig"]
CACHED = os.environ["APPS_MODE"] == "with"
HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SETTING = {"LOCATION": os.environ["APPS_FOLDER"], "SIZE": "8M", "MODELS": ["*"]}

configure = LazySettings.configure
initialise = Settings.__init__


def configure_with(self: Any, *args: Any, **options: Any) -> None:
    options["PASSWORD_HASHERS"] = HASHERS
    if CACHED:
        options["INSTALLED_APPS"] = [*ADDED_APPS, *options.get("INSTALLED_APPS", ())]
        options["DJANGO_CACHE_MANAGER"] = SETTING
    configure(self, *args, **options)


def initialise_with(self: Any, *args: Any) -> None:
    initialise(self, *args)
    self.PASSWORD_HASHERS = HASHERS
    if CACHED:
        self.INSTALLED_APPS = [*ADDED_APPS, *self.INSTALLED_APPS]
        self.DJANGO_CACHE_MANAGER = SETTING


LazySettings.configure = configure_with
Settings.__init__ = initialise_with


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not CACHED:
        return
    from conformance import hits

    terminalreporter.write_line(f"hits: {hits.hits['all']}")
