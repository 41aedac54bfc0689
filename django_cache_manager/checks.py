"""System checks: what is wrong with the setting, its folder and its surroundings, with the cure.

They open no segment, and but for the one about the database no connection. docs/settings.md lists
the ids.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Final

from django.core import checks
from django.db import connections

from . import conf, logind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TAG: Final = "django_cache_manager"
ENGINE: Final = "django_cache_manager._engine"


def register() -> None:
    """Adds the checks to Django's. Called by the app's ready(); again does nothing."""
    for check in (check_settings, check_engine, check_hooks, check_session_manager):
        checks.register(check, TAG)
    checks.register(check_database, TAG, checks.Tags.database)


def check_settings(**_: object) -> list[checks.CheckMessage]:
    """E001 to E012, E014, W003 to W005, I001: the DJANGO_CACHE_MANAGER setting and its folder."""
    return [_message(problem) for problem in conf.problems(place=_engine_error() is None)]


def check_engine(**_: object) -> list[checks.CheckMessage]:
    """W001: the engine can't be imported."""
    error = _engine_error()
    if error is None:
        return []
    if sys.platform == "linux":
        hint = (
            "Install a wheel of django-cache-manager for this Python, or build it (a C compiler, "
            "meson and ninja). Until then let this process write to no database that processes "
            "with the engine use: they would not see it."
        )
    else:
        hint = (
            "The engine runs on Linux only. For development elsewhere put "
            f"'{TAG}.W001' in SILENCED_SYSTEM_CHECKS."
        )
    message = f"The engine can't be imported ({error}): every read goes to the database."
    return [checks.Warning(message, hint=hint, id=f"{TAG}.W001")]


def check_hooks(**_: object) -> list[checks.CheckMessage]:
    """E013: a method of Django's that the package hooks into isn't what it was written for."""
    if _engine_error() is not None:
        return []
    from . import hooks

    hint = "Use a Django release that this release of django-cache-manager supports."
    return [
        checks.Error(f"A hook doesn't fit this Django: {mismatch}.", hint=hint, id=f"{TAG}.E013")
        for mismatch in hooks.mismatches()
    ]


def check_session_manager(**_: object) -> list[checks.CheckMessage]:
    """W002: systemd-logind clears what the user of this process has in /dev/shm."""
    location = os.path.realpath(conf.current().location)
    in_shared_memory = f"{location}/".startswith("/dev/shm/")  # noqa: S108
    if not in_shared_memory or _engine_error() is not None or not logind.removes_shared_memory():
        return []
    message = (
        f"systemd-logind removes this user's files from {location} whenever the user's last "
        "session ends: the cache starts empty again each time."
    )
    hint = (
        "Set RemoveIPC=no in /etc/systemd/logind.conf, or run the server as a system user, or "
        f"`loginctl enable-linger` the user, or set {conf.SETTING}['LOCATION'] to another folder "
        "in memory."
    )
    return [checks.Warning(message, hint=hint, id=f"{TAG}.W002")]


def check_database(
    databases: Sequence[str] | None = None, **_: object
) -> list[checks.CheckMessage]:
    """I002, I003: what the database itself does, as its catalog tells. `check --database default`.

    Unlike the others it connects, and only when it is asked for by the alias.
    """
    if _engine_error() is not None:
        return []
    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        found += _database_messages(alias)
    return found


def _database_messages(alias: str) -> Iterator[checks.CheckMessage]:
    from .connection_state import state_of

    connection = connections[alias]
    state = state_of(connection)
    if state is None:
        return
    connection.ensure_connection()
    settings = conf.current()
    catalog = state.vendor.read_catalog(connection.connection)
    uncached = sorted(catalog.refused.keys() - settings.views.keys())
    wild = sorted(catalog.triggered.keys() - settings.triggers.keys())
    if uncached:
        yield checks.Info(
            f"{alias}: these are not cached: {_listed(uncached, catalog.refused)}.",
            hint=f"{conf.SETTING}['VIEWS'] may say what a view reads; then it is.",
            id=f"{TAG}.I002",
        )
    if wild:
        yield checks.Info(
            f"{alias}: a write to one of these makes every result of the database fall: "
            f"{_listed(wild, catalog.triggered)}.",
            hint=f"{conf.SETTING}['TRIGGERS'] may say what they write; then only that falls.",
            id=f"{TAG}.I003",
        )


def _listed(names: list[str], reasons: Mapping[str, str]) -> str:
    return "; ".join(reasons[name] for name in names)


def _message(problem: conf.Problem) -> checks.CheckMessage:
    levels = {"E": checks.ERROR, "W": checks.WARNING, "I": checks.INFO}
    level = levels[problem.id[0]]
    return checks.CheckMessage(level, problem.message, problem.hint, id=f"{TAG}.{problem.id}")


def _engine_error() -> str | None:
    """Why the engine can't be imported, or None."""
    try:
        importlib.import_module(ENGINE)
    except ImportError as error:
        return str(error)
    return None
