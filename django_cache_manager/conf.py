"""The DJANGO_CACHE_MANAGER setting: read, checked, and kept until a setting changes.

Nothing here raises for a bad value. `problems()` tells what is wrong (the system checks show it),
and `current()` puts the default in a bad value's place with `enabled` and `valid` False: no hit
and no fill, but writes are still marked.
"""

import difflib
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from django.apps import apps
from django.conf import settings as django_settings
from django.core.signals import setting_changed

SETTING: Final = "DJANGO_CACHE_MANAGER"
BACKEND_ALIAS: Final = "django_cache_manager.cache_backend"
"""The alias in CACHES that, where it is configured, holds the rows in place of the segment."""

FILE_PREFIX: Final = "dcm-"
"""What the names of all files that the package makes in LOCATION begin with."""

KIB: Final = 1024
MIB: Final = 1024 * KIB
DEFAULT_SIZE: Final = 32 * MIB
DEFAULT_MAX_ENTRY: Final = MIB
LEAST_SIZE: Final = MIB
LEAST_MAX_ENTRY: Final = KIB
MOST_SIZE: Final = 2**46
MOST_MAX_ENTRY: Final = 2**30
RECORD_ROOM: Final = 20 * KIB
LEAST_TIMEOUT: Final = 0.001
MOST_TIMEOUT: Final = 10.0**9
NOWHERE: Final = "/dev/null"
"""The location in force when LOCATION is bad: not a folder, so nothing can be opened in it."""

logger = logging.getLogger("django_cache_manager")

Names = tuple[str, ...]


def _no_names() -> Mapping[str, Names]:
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
    models: Names = ()
    """Patterns for selects(): "*", "app.*", "app.model"."""
    exclude: Names = ()
    timeout: float | None = None
    """Seconds."""
    views: Mapping[str, Names] = field(default_factory=_no_names)
    triggers: Mapping[str, Names] = field(default_factory=_no_names)
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


# --- values ---------------------------------------------------------------------------------------


class _BadValue(Exception):
    """A value that can't be used: what is wrong with it, the cure, and the check's id."""

    def __init__(self, message: str, hint: str, check: str = "E003") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.check = check


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _BadValue("is not a boolean", "Set it to True or False.")
    return value


_SIZE = re.compile(r"([0-9]{1,15})([KMG]?)", re.IGNORECASE | re.ASCII)
_UNITS: Final = {"": 1, "K": KIB, "M": MIB, "G": 1024 * MIB}


def _size(value: object, least: int, most: int) -> int:
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is not None:
        size = int(found[1]) * _UNITS[found[2].upper()]
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise _BadValue(
            "is not a size", 'Set it to bytes, or to a string such as "512K", "32M" or "1G".'
        )
    if not least <= size <= most:
        raise _BadValue(
            f"is not between {size_text(least)} and {size_text(most)}",
            'Set it to bytes, or to a string such as "512K", "32M" or "1G".',
        )
    return size


def size_text(size: int) -> str:
    """A number of bytes as the settings would write it: 33554432 is "32M"."""
    for unit in ("G", "M", "K"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


def _segment_size(value: object) -> int | None:
    return None if value is None else _size(value, LEAST_SIZE, MOST_SIZE)


def _count(value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or not least <= value <= most:
        raise _BadValue(
            f"is not a whole number from {least} to {most}",
            "Leave it out: the default suits nearly everybody.",
        )
    return value


def _location(value: object) -> str:
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str) or not Path(path).is_absolute() or "\0" in path:
        raise _BadValue(
            "is not the absolute path of a folder",
            "Set it to a folder in memory that all processes share, such as /dev/shm.",
        )
    return os.path.normpath(path)


def _mode(value: object) -> int:
    hint = "Set it to 0o600 (processes of one user), or to 0o660 and GROUP (those of a group)."
    if not isinstance(value, int) or isinstance(value, bool):
        raise _BadValue("is not a number of permission bits", hint, "E009")
    if value & 0o007:
        raise _BadValue("lets every user of the machine in", hint, "E009")
    if value not in (0o600, 0o660):
        raise _BadValue("is neither 0o600 nor 0o660", hint, "E009")
    return value


def _group(value: object) -> int:
    hint = "Set it to the name or the number of a group of this machine."
    if value is None:
        return -1
    if isinstance(value, int) and not isinstance(value, bool) and -1 <= value < 2**32 - 1:
        return value
    if not isinstance(value, str):
        raise _BadValue("is neither the name nor the number of a group", hint, "E010")
    try:
        import grp
    except ImportError:  # not a system that the engine runs on
        return -1
    try:
        return grp.getgrnam(value).gr_gid
    except (KeyError, ValueError):
        raise _BadValue("names no group of this machine", hint, "E010") from None


def _names(value: object, example: str) -> Names:
    hint = f"Set it to a list of names, such as {example}."
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise _BadValue("is not a list of names", hint)
    if not all(isinstance(name, str) and name.strip() for name in value):
        raise _BadValue("holds something that is not a name", hint)
    return tuple(dict.fromkeys(value))


_PATTERN = re.compile(r"\*|[^.*\s]+\.(?:\*|[^.*\s]+)")


def _patterns(value: object) -> Names:
    hint = 'Write "*" for every model, "app.*" for an app\'s, "app.Model" for one.'
    found = []
    for name in _names(value, '["shop.*", "auth.User"]'):
        if _PATTERN.fullmatch(name) is None:
            raise _BadValue(f"holds {name!r}, which is no pattern for models", hint)
        app, dot, model = name.partition(".")
        found.append(f"{app}{dot}{model.lower()}")
    return tuple(found)


_PART = re.compile(r'"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[^."`\[\]]+')
_FOLD: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def table_name(name: str) -> str:
    """A table's or function's name as the scanner gives it: last part, unquoted, ASCII folded."""
    parts = _PART.findall(name)
    last: str = parts[-1] if parts else name
    for left, right in ('""', "``", "[]"):
        if last.startswith(left) and last.endswith(right) and len(last) > 1:
            last = last[1:-1].replace(right * 2, right)
            break
    return last.translate(_FOLD)


def _tables(value: object, example: str) -> Mapping[str, Names]:
    hint = f"Set it to a dict of a name to a list of names, such as {example}."
    if not isinstance(value, Mapping):
        raise _BadValue("is not a dict of names", hint)
    found: dict[str, Names] = {}
    for name, tables in value.items():
        if not isinstance(name, str) or not name.strip():
            raise _BadValue(f"has a key that is not a name: {name!r}", hint)
        try:
            listed = _names(tables, example)
        except _BadValue as bad:
            raise _BadValue(f"has at {name!r} a value that {bad.message}", hint) from None
        key = table_name(name)
        # Two keys may fold to one name: both lists count.
        found[key] = tuple(dict.fromkeys((*found.get(key, ()), *map(table_name, listed))))
    return MappingProxyType(found)


def _views(value: object) -> Mapping[str, Names]:
    """A view over a declared view reads what that one reads, too."""
    declared = _tables(value, '{"sales_view": ["shop_order"]}')
    return MappingProxyType({name: _closed(name, declared) for name in declared})


def _closed(name: str, declared: Mapping[str, Names]) -> Names:
    reached = list(declared[name])
    for table in reached:  # which grows
        reached += [other for other in declared.get(table, ()) if other not in reached]
    return tuple(reached)


def _functions(value: object) -> frozenset[str]:
    return frozenset(map(table_name, _names(value, '["my_total"]')))


def _replicas(value: object) -> frozenset[str]:
    names = _names(value, '["replica"]')
    known = getattr(django_settings, "DATABASES", {})
    for name in names:
        if name not in known:
            raise _BadValue(
                f"names {name!r}, which is no alias in DATABASES",
                f"Known aliases: {', '.join(sorted(known)) or 'none'}.",
                "E012",
            )
    return frozenset(names)


def _timeout(value: Any) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    seconds = value if is_number else 0.0
    if LEAST_TIMEOUT <= seconds <= MOST_TIMEOUT:
        return float(seconds)
    raise _BadValue(
        "is not a positive number of seconds",
        "Set it to seconds, such as 3600, or to None: results stay until what they read changes.",
    )


_PARSERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "ENABLED": _flag,
    "LOCATION": _location,
    "SIZE": _segment_size,
    "MAX_ENTRY": partial(_size, least=LEAST_MAX_ENTRY, most=MOST_MAX_ENTRY),
    "L1_SIZE": partial(_size, least=0, most=MOST_SIZE),
    "CELLS": partial(_count, least=64, most=2**24),
    "SLOTS": partial(_count, least=8, most=65535),
    "MODE": _mode,
    "GROUP": _group,
    "MODELS": _patterns,
    "EXCLUDE": _patterns,
    "TIMEOUT": _timeout,
    "VIEWS": _views,
    "TRIGGERS": partial(_tables, example='{"shop_order": ["shop_audit"]}'),
    "FUNCTIONS": _functions,
    "REPLICAS": _replicas,
    "UNSEEN_WRITES": _flag,
}


# --- the whole setting ----------------------------------------------------------------------------


def _unknown_key(key: object) -> Problem:
    near = difflib.get_close_matches(key.upper(), _PARSERS, n=1) if isinstance(key, str) else ()
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(_PARSERS)}."
    return Problem("E002", f"{SETTING} has an unknown key {key!r}.", hint)


def _read_values(given: Mapping[Any, Any], found: list[Problem]) -> dict[str, Any]:
    """The fields of Settings that `given` sets well; what it sets badly goes to `found`."""
    values: dict[str, Any] = {}
    for key, value in given.items():
        parse = _PARSERS.get(key) if isinstance(key, str) else None
        if parse is None:
            found.append(_unknown_key(key))
            continue
        try:
            values[key.lower()] = parse(value)
        except _BadValue as bad:
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
