"""Exceptions that a signal's handler raises anywhere: KeyboardInterrupt, soft time limits."""

import gc
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction

from observe import assert_right
from testapp.actions import commit, name_of, rename, rollback, set_autocommit
from testapp.models import Author, Tag
from worker import OtherProcess

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library")]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has the next write interrupted when the driver's execute() has returned."""
    from django_cache_manager.connection_state import ConnectionState

    drain = ConnectionState.drain

    def interrupted(self: ConnectionState, wrapper: Any) -> None:
        monkeypatch.setattr(ConnectionState, "drain", drain)
        raise KeyboardInterrupt

    return lambda: monkeypatch.setattr(ConnectionState, "drain", interrupted)


def tags() -> int:
    return Tag.objects.count()


@pytest.mark.databases("sqlite-file")
def test_unread_returning_does_not_commit_later(
    interrupt: Callable[[], None], other_process: OtherProcess
) -> None:
    """SQLite commits an autocommit INSERT .. RETURNING with its last row or its cursor's end."""
    before = tags()
    other_process.call(tags)
    cursor = connection.cursor()
    interrupt()
    with pytest.raises(KeyboardInterrupt):
        cursor.execute("INSERT INTO testapp_tag (label) VALUES ('interrupted') RETURNING id")
    name_of()  # an answer on the same connection
    for _ in range(2):
        other_process.call(tags)
    del cursor
    gc.collect()
    assert assert_right(tags) == before + 1
    assert eval(other_process.call(tags)[1]) == before + 1


@pytest.mark.databases("sqlite-file")
def test_transaction_that_an_interrupted_write_began_is_dirty(
    interrupt: Callable[[], None], other_process: OtherProcess
) -> None:
    other_process.call(name_of)
    set_autocommit(False)
    try:
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            rename("interrupted")
        name_of()
        for _ in range(2):
            other_process.call(name_of)
        commit()
    finally:
        rollback()
        set_autocommit(True)
    assert eval(other_process.call(name_of)[1]) == "interrupted"
    assert name_of() == "interrupted"


@pytest.fixture
def state() -> Any:
    """What is known of the default connection."""
    from django_cache_manager.connection_state import state_of

    found = state_of(connections[DEFAULT_DB_ALIAS])
    assert found is not None
    return found


def test_server_that_could_not_answer_once_is_asked_again(
    state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the connection would be uncached, and unable to write, for good."""
    from django_cache_manager import sessions

    connection.close()
    with monkeypatch.context() as patch:
        refused = mock.Mock(side_effect=connection.Database.OperationalError("not now"))
        patch.setattr(type(state.vendor), "identify", refused)
        connection.ensure_connection()
        assert Author.objects.get(pk=1)
    assert state.session is not None
    assert not state.session.facts.family
    monkeypatch.setattr(sessions, "ASK_AGAIN_SECONDS", 0.0)
    with transaction.atomic():
        rename("told")
    assert state.session.facts.family
    assert_right(name_of)


class TimeLimit(Exception):
    """As an application raises it from a signal's handler."""


def test_time_limit_passes_through_the_question_who_the_server_is(
    state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.close()
    with monkeypatch.context() as patch:
        patch.setattr(type(state.vendor), "identify", mock.Mock(side_effect=TimeLimit))
        with pytest.raises(TimeLimit):
            rename("in time")
    rename("afterwards")
    assert state.session.facts.family
    assert_right(name_of)


@pytest.mark.databases("sqlite")
def test_time_limit_passes_through_the_question_for_a_transaction(state: Any) -> None:
    """Taken for a closed connection's error, it would end what the package knows of the
    transaction."""

    class Driver:
        Error = connection.Database.Error

        @property
        def in_transaction(self) -> bool:
            raise TimeLimit

    for question in (state.vendor.in_transaction, state.vendor.in_autocommit):
        with pytest.raises(TimeLimit):
            question(Driver())


@pytest.mark.databases("sqlite")
def test_closed_connection_of_another_sqlite_library(state: Any) -> None:
    """As sqlcipher's: its errors aren't sqlite3's."""

    class Driver:
        class Error(Exception):
            pass

        @property
        def in_transaction(self) -> bool:
            raise self.Error

        total_changes = in_transaction

    assert state.vendor.closed(Driver())
    assert not state.vendor.in_transaction(Driver())
    assert not state.vendor.in_autocommit(Driver())
