"""Aliases that a test adds to DATABASES."""

import contextlib
from collections.abc import Iterator

from django.db import connections


@contextlib.contextmanager
def alias_of(name: str, **changes: object) -> Iterator[str]:
    """Another alias of the default database."""
    connections.databases[name] = {**connections.databases["default"], **changes}
    try:
        yield name
    finally:
        if hasattr(connections._connections, name):
            connections[name].close()
            if hasattr(connections[name], "close_pool"):
                connections[name].close_pool()
            delattr(connections._connections, name)
        del connections.databases[name]
