"""The DJANGO_CACHE_MANAGER setting: read, checked, and kept until a setting changes.

Nothing here raises for a bad value. `problems()` tells what is wrong (the system checks show it),
and `current()` puts the default in a bad value's place with `enabled` and `valid` False: no hit
and no fill, but writes are still marked.
"""

import difflib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from django.apps import apps
from django.conf import settings as django_settings
from django.core.signals import setting_changed

from .setting_values import (
    KIB,
    LEAST_MAX_ENTRY,
    MIB,
    PARSERS,
    BadValue,
    ModelOptions,
    Names,
    size_text,
    table_name,
)

__all__ = ["KIB", "LEAST_MAX_ENTRY", "MIB", "ModelOptions", "Names", "size_text", "table_name"]

SETTING: Final = "DJANGO_CACHE_MANAGER"
BACKEND_ALIAS: Final = "django_cache_manager.cache_backend"
"""The alias in CACHES that, where it is configured, holds the rows in place of the segment."""

FILE_PREFIX: Final = "dcm-"
"""What the names of all files that the package makes in LOCATION begin with."""

DEFAULT_SIZE: Final = 32 * MIB
DEFAULT_MAX_ENTRY: Final = MIB
RECORD_ROOM: Final = 20 * KIB
NOWHERE: Final = "/dev/null"
"""The location in force when LOCATION is bad: not a folder, so nothing can be opened in it."""

logger = logging.getLogger("django_cache_manager")


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the setting or with the folder it names. `id` is short: "E003"."""

    id: str
    message: str
    hint: str
    is_error: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """What DJANGO_CACHE_MANAGER says, defaults filled in. docs/settings.md has the meanings."""

    enabled: bool = True
    """False: no hit, no fill; writes are still marked. Always False when `valid` is."""
    location: str = "/dev/shm"  # noqa: S108  a file there can't be another user's: the engine looks
    size: int | None = None
    """Bytes of a segment; None is resolved by segment_size()."""
    max_entry: int = DEFAULT_MAX_ENTRY
    """Bytes of one entry. max_entry_size() fits it to a segment."""
    l1_size: int = 16 * MIB
    cells: int = 65536
    slots: int = 1024
    mode: int = 0o600
    group: int = -1
    models: Mapping[str, ModelOptions] = field(default_factory=_nothing)
    """Patterns for selects(), "*", "app.*" and "app.model", and what each sets for its models."""
    exclude: Names = ()
    timeout: float | None = None
    """Seconds."""
    views: Mapping[str, Names] = field(default_factory=_nothing)
    triggers: Mapping[str, Names] = field(default_factory=_nothing)
    functions: frozenset[str] = frozenset()
    replicas: frozenset[str] = frozenset()
    unseen_writes: bool = False
    backend: str | None = None
    valid: bool = True
    """False when a value was bad."""


def selects(patterns: Iterable[str], label: str) -> bool:
    """Whether one of `patterns` (MODELS, EXCLUDE) names the model of this `_meta.label_lower`."""
    every = label.partition(".")[0] + ".*"
    return any(pattern in ("*", every, label) for pattern in patterns)


# --- sizes ----------------------------------------------------------------------------------------


def fixed_size(cells: int, slots: int) -> int:
    """Bytes of a segment that are not its store (src/coherence/layout.h), rounded up to pages.

    A page for the header, 24 bytes a cell (its word and its last write), 1 KiB a slot.
    """
    return -(-(4096 + cells * 24 + 128 + slots * KIB) // 4096) * 4096


def largest_entry(size: int, cells: int, slots: int) -> int:
    """The largest MAX_ENTRY that a segment of `size` bytes can hold.

    A store is one shard at least, a shard two of the largest records and an index of an eighth of
    it (src/store/geometry.c); a record has up to 17 KiB besides the entry's own bytes.
    """
    store = size // 4096 * 4096 - fixed_size(cells, slots)
    return max(0, store * 7 // 16 - RECORD_ROOM)


def least_size(cells: int, slots: int, entry: int) -> int:
    """Bytes of the smallest segment, in whole MiB, whose entries may have `entry` bytes."""
    need = fixed_size(cells, slots) + -(-(entry + RECORD_ROOM) * 16 // 7)
    return -(-need // MIB) * MIB


def segment_size(settings: Settings) -> int:
    """Bytes of a segment created now.

    SIZE; without one 32 MiB, or half of what is free in LOCATION if that is less.
    """
    if settings.size is not None:
        return settings.size
    least = least_size(settings.cells, settings.slots, LEAST_MAX_ENTRY)
    try:
        place = os.statvfs(settings.location)
    except OSError:  # opening the segment fails there too, and says why
        return max(DEFAULT_SIZE, least)
    half = place.f_bavail * place.f_frsize // 2
    return max(least, min(DEFAULT_SIZE, half)) // 4096 * 4096


def max_entry_size(settings: Settings, size: int) -> int:
    """Bytes of the largest entry in a segment of `size` bytes: MAX_ENTRY or what it can hold."""
    room = largest_entry(size, settings.cells, settings.slots)
    return max(LEAST_MAX_ENTRY, min(settings.max_entry, room))


# --- the whole setting ----------------------------------------------------------------------------


def _unknown_key(key: object) -> Problem:
    near = difflib.get_close_matches(key.upper(), PARSERS, n=1) if isinstance(key, str) else ()
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(PARSERS)}."
    return Problem("E002", f"{SETTING} has an unknown key {key!r}.", hint)


def _read_values(given: Mapping[Any, Any], found: list[Problem]) -> dict[str, Any]:
    """The fields of Settings that `given` sets well; what it sets badly goes to `found`."""
    values: dict[str, Any] = {}
    for key, value in given.items():
        parse = PARSERS.get(key) if isinstance(key, str) else None
        if parse is None:
            found.append(_unknown_key(key))
            continue
        try:
            values[key.lower()] = parse(value)
        except BadValue as bad:
            message = f"{SETTING}['{key}'] ({_shown(value)}) {bad.message}."
            found.append(Problem(bad.check, message, bad.hint))
            if key == "LOCATION":
                # Marks at the default would be unseen by those who share another place. This one
                # can't be opened, which is an error that names the setting at the first write.
                values["location"] = NOWHERE
    return values


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fit_sizes(values: dict[str, Any]) -> Problem | None:
    """Whether SIZE, MAX_ENTRY, CELLS and SLOTS go together; if not they are taken out, all four."""
    defaults = Settings()
    cells = values.get("cells", defaults.cells)
    slots = values.get("slots", defaults.slots)
    size = values.get("size") or DEFAULT_SIZE
    entry = values.get("max_entry", LEAST_MAX_ENTRY)
    if entry <= largest_entry(size, cells, slots):
        return None
    for key in ("size", "max_entry", "cells", "slots"):
        values.pop(key, None)
    least = least_size(cells, slots, entry)
    room = "" if entry == LEAST_MAX_ENTRY else f" and a MAX_ENTRY of {size_text(entry)}"
    return Problem(
        "E008",
        f"{SETTING}: a SIZE of {size_text(size)} can't hold {cells} CELLS, {slots} SLOTS{room}.",
        f"Set SIZE to at least {size_text(least)}, or MAX_ENTRY or CELLS to less.",
    )


def _read() -> tuple[Settings, list[Problem]]:
    given = getattr(django_settings, SETTING, {})
    found: list[Problem] = []
    values: dict[str, Any] = {}
    if isinstance(given, Mapping):
        values = _read_values(given, found)
        misfit = _fit_sizes(values)
        if misfit is not None:
            found.append(misfit)
    else:
        message = f"{SETTING} ({_shown(given)}) is not a dict."
        found.append(
            Problem("E001", message, f'Write {SETTING} = {{"SIZE": "64M"}}, or leave it out.')
        )
    if BACKEND_ALIAS in getattr(django_settings, "CACHES", {}):
        values["backend"] = BACKEND_ALIAS
    if any(problem.is_error for problem in found):
        values["valid"] = values["enabled"] = False
    return Settings(**values), found


def _model_problems(settings: Settings) -> list[Problem]:
    """Patterns in MODELS and EXCLUDE that name nothing: harmless, so `valid` doesn't count them."""
    if not apps.models_ready:
        return []
    labels = {config.label for config in apps.get_app_configs()}
    models = {model._meta.label_lower for model in apps.get_models(include_auto_created=True)}
    found = []
    for key, patterns in (("MODELS", settings.models), ("EXCLUDE", settings.exclude)):
        for pattern in patterns:
            app, _, model = pattern.partition(".")
            if pattern == "*" or (app in labels and (model == "*" or pattern in models)):
                continue
            known = models if app in labels else {f"{label}.*" for label in labels}
            near = difflib.get_close_matches(pattern, sorted(known), n=1)
            what = "model" if app in labels else "app"
            message = f"{SETTING}['{key}'] names {pattern!r}: there is no such {what}."
            hint = (
                f"Did you mean {near[0]!r}?" if near else "Check INSTALLED_APPS and the spelling."
            )
            found.append(Problem("E011", message, hint))
    return found


def problems(place: bool = True) -> list[Problem]:
    """All that is wrong with the setting now and, with `place`, with its folder. Opens nothing."""
    settings, found = _read()
    found += _model_problems(settings)
    if place and settings.location != NOWHERE:
        from .location import location_problems

        found += location_problems(settings)
    return found


# --- the settings in force ------------------------------------------------------------------------

_current: Settings | None = None
_callbacks: list[Callable[[], object]] = []


def current() -> Settings:
    """The settings in force: read once, and again after override_settings. Never raises."""
    global _current
    settings = _current
    if settings is None:
        settings, found = _read()
        if found and not settings.valid:
            logger.warning(
                "%s is not valid, so every read goes to the database: %s Run `manage.py check`.",
                SETTING,
                " ".join(problem.message for problem in found),
            )
        _current = settings
    return settings


def on_change(callback: Callable[[], object]) -> None:
    """Calls `callback` after each change of the settings (override_settings)."""
    if callback not in _callbacks:
        _callbacks.append(callback)


def _forget(*, setting: str, **_: object) -> None:
    global _current
    if setting in (SETTING, "CACHES", "DATABASES"):
        _current = None
        for callback in tuple(_callbacks):
            callback()


setting_changed.connect(_forget, dispatch_uid="django_cache_manager.conf")
