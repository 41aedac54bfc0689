"""Writes in flight, as the tests see them and wait for their end."""

import time
from collections.abc import Callable
from typing import Any

from django.db import connection, connections

import servers


def in_flight() -> list[dict[str, Any]]:
    from django_cache_manager.api import stats

    found: list[dict[str, Any]] = stats()["default"]["in_flight"]
    return found


def look(alias: str = "default") -> None:
    """A reader looks for writes that can be proved over, once a second; so does this."""
    from django_cache_manager import recovery
    from django_cache_manager.api import segment_of
    from django_cache_manager.connection_state import state_of

    segment, state = segment_of("default"), state_of(connections[alias])
    assert segment is not None and state is not None
    segment.proved_at -= recovery.PROOF_INTERVAL_SECONDS
    state.look_round(segment)


def settled() -> None:
    """Waits until no write is in flight."""
    deadline = time.monotonic() + 20
    connection.ensure_connection()
    while in_flight():
        assert time.monotonic() < deadline, in_flight()
        look()
        time.sleep(0.01)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def waits_for_a_lock(server: servers.PostgreSQL) -> str:
    """The process ids of sessions that wait for a row."""
    return server.execute(
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'"
    )
