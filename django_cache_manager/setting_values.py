"""What each key of DJANGO_CACHE_MANAGER may be set to, and what it then means."""

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypedDict

from django.conf import settings as django_settings

KIB: Final = 1024
MIB: Final = 1024 * KIB
LEAST_SIZE: Final = MIB
LEAST_MAX_ENTRY: Final = KIB
MOST_SIZE: Final = 2**46
MOST_MAX_ENTRY: Final = 2**30
LEAST_TIMEOUT: Final = 0.001
MOST_TIMEOUT: Final = 10.0**9

Names = tuple[str, ...]


class ModelOptions(TypedDict, total=False):
    """What MODELS sets for the models of one pattern; a key that is left out is set elsewhere."""

    timeout: float | None
    max_entry: int
    iterator: bool


class BadValue(Exception):
    """A value that can't be used: what is wrong with it, the cure, and the check's id."""

    def __init__(self, message: str, hint: str, check: str = "E003") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.check = check


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadValue("is not a boolean", "Set it to True or False.")
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
        raise BadValue(
            "is not a size", 'Set it to bytes, or to a string such as "512K", "32M" or "1G".'
        )
    if not least <= size <= most:
        raise BadValue(
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
        raise BadValue(
            f"is not a whole number from {least} to {most}",
            "Leave it out: the default suits nearly everybody.",
        )
    return value


def _location(value: object) -> str:
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str) or not Path(path).is_absolute() or "\0" in path:
        raise BadValue(
            "is not the absolute path of a folder",
            "Set it to a folder in memory that all processes share, such as /dev/shm.",
        )
    return os.path.normpath(path)


def _mode(value: object) -> int:
    hint = "Set it to 0o600 (processes of one user), or to 0o660 and GROUP (those of a group)."
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadValue("is not a number of permission bits", hint, "E009")
    if value & 0o007:
        raise BadValue("lets every user of the machine in", hint, "E009")
    if value not in (0o600, 0o660):
        raise BadValue("is neither 0o600 nor 0o660", hint, "E009")
    return value


def _group(value: object) -> int:
    hint = "Set it to the name or the number of a group of this machine."
    if value is None:
        return -1
    if isinstance(value, int) and not isinstance(value, bool) and -1 <= value < 2**32 - 1:
        return value
    if not isinstance(value, str):
        raise BadValue("is neither the name nor the number of a group", hint, "E010")
    try:
        import grp
    except ImportError:  # not a system that the engine runs on
        return -1
    try:
        return grp.getgrnam(value).gr_gid
    except (KeyError, ValueError):
        raise BadValue("names no group of this machine", hint, "E010") from None


def _names(value: object, example: str) -> Names:
    hint = f"Set it to a list of names, such as {example}."
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise BadValue("is not a list of names", hint)
    if not all(isinstance(name, str) and name.strip() for name in value):
        raise BadValue("holds something that is not a name", hint)
    return tuple(dict.fromkeys(value))


_PATTERN = re.compile(r"\*|[^.*\s]+\.(?:\*|[^.*\s]+)")


def _patterns(value: object) -> Names:
    hint = 'Write "*" for every model, "app.*" for an app\'s, "app.Model" for one.'
    found = []
    for name in _names(value, '["shop.*", "auth.User"]'):
        if _PATTERN.fullmatch(name) is None:
            raise BadValue(f"holds {name!r}, which is no pattern for models", hint)
        app, dot, model = name.partition(".")
        found.append(f"{app}{dot}{model.lower()}")
    return tuple(dict.fromkeys(found))


def _models(value: object) -> Mapping[str, ModelOptions]:
    """A list of patterns, or a dict of a pattern to the options of its models."""
    if not isinstance(value, Mapping):
        return MappingProxyType({pattern: ModelOptions() for pattern in _patterns(value)})
    found: dict[str, ModelOptions] = {}
    for name, options in value.items():
        (pattern,) = _patterns([name])
        if pattern in found:
            raise BadValue(f"names {name!r} twice", "Keep one of the two.")
        found[pattern] = _options(name, options)
    return MappingProxyType(found)


def _options(name: str, value: object) -> ModelOptions:
    if not isinstance(value, Mapping):
        hint = f'Write {{"{name}": {{}}}}, or {{"{name}": {{"TIMEOUT": 60}}}}.'
        raise BadValue(f"has at {name!r} something that is not a dict of options", hint)
    found = ModelOptions()
    for key, given in value.items():
        if key not in _OPTION_PARSERS:
            known = ", ".join(_OPTION_PARSERS)
            raise BadValue(f"has at {name!r} an unknown key {key!r}", f"Known: {known}.", "E014")
        try:
            found[key.lower()] = _OPTION_PARSERS[key](given)  # type: ignore[literal-required]
        except BadValue as bad:
            message = f"has at {name!r} a {key} that {bad.message}"
            raise BadValue(message, bad.hint, "E014") from None
    return found


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
        raise BadValue("is not a dict of names", hint)
    found: dict[str, Names] = {}
    for name, tables in value.items():
        if not isinstance(name, str) or not name.strip():
            raise BadValue(f"has a key that is not a name: {name!r}", hint)
        try:
            listed = _names(tables, example)
        except BadValue as bad:
            raise BadValue(f"has at {name!r} a value that {bad.message}", hint) from None
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
            raise BadValue(
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
    raise BadValue(
        "is not a positive number of seconds",
        "Set it to seconds, such as 3600, or to None: results stay until what they read changes.",
    )


_max_entry = partial(_size, least=LEAST_MAX_ENTRY, most=MOST_MAX_ENTRY)

_OPTION_PARSERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "TIMEOUT": _timeout,
    "MAX_ENTRY": _max_entry,
    "ITERATOR": _flag,
}

PARSERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "ENABLED": _flag,
    "LOCATION": _location,
    "SIZE": _segment_size,
    "MAX_ENTRY": _max_entry,
    "L1_SIZE": partial(_size, least=0, most=MOST_SIZE),
    "CELLS": partial(_count, least=64, most=2**24),
    "SLOTS": partial(_count, least=8, most=65535),
    "MODE": _mode,
    "GROUP": _group,
    "MODELS": _models,
    "EXCLUDE": _patterns,
    "TIMEOUT": _timeout,
    "VIEWS": _views,
    "TRIGGERS": partial(_tables, example='{"shop_order": ["shop_audit"]}'),
    "FUNCTIONS": _functions,
    "REPLICAS": _replicas,
    "UNSEEN_WRITES": _flag,
}
