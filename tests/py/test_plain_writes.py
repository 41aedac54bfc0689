"""A write whose tables are remembered from its last run: what has changed since is seen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.test import override_settings

from observe import assert_right, invalidate_all
from testapp.actions import name_of, rename, sql
from testapp.models import Tag
from worker import OtherProcess

pytestmark = pytest.mark.cached


def relabel() -> None:
    assert Tag.objects.filter(label="roman").update(label="roman") == 1


@pytest.fixture
def remembered(library: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The UPDATE of tags and of authors have run before, and nothing else is due with the next."""
    from django_cache_manager import plain_writes
    from django_cache_manager.connection_state import state_of

    monkeypatch.setattr(plain_writes, "PROOF_INTERVAL_SECONDS", float("inf"))
    state = state_of(connections[DEFAULT_DB_ALIAS])
    assert state is not None
    for _ in range(2):
        relabel()
        rename("Ánna")
    assert any("testapp_tag" in text for text in state.plain_writes)
    name_of()
    yield
    invalidate_all()


@pytest.mark.databases("sqlite-file")
@pytest.mark.usefixtures("remembered")
def test_trigger_made_by_another_process_is_part_of_the_write(other_process: OtherProcess) -> None:
    other_process.call(
        sql,
        "CREATE TRIGGER loud AFTER UPDATE ON testapp_tag BEGIN"
        " UPDATE testapp_author SET name = 'triggered' WHERE id = 1; END",
    )
    try:
        other_process.call(name_of)
        name_of()
        relabel()
        assert eval(other_process.call(name_of)[1]) == "triggered"
        assert assert_right(name_of) == "triggered"
    finally:
        other_process.call(sql, "DROP TRIGGER loud")


@pytest.mark.databases("sqlite")
@pytest.mark.usefixtures("remembered", "spoiled_connection")
def test_temporary_trigger_is_part_of_the_write(other_process: OtherProcess) -> None:
    other_process.call(name_of)
    sql(
        "CREATE TEMP TRIGGER loud AFTER UPDATE ON testapp_tag BEGIN"
        " UPDATE testapp_author SET name = 'triggered' WHERE id = 1; END"
    )
    other_process.call(name_of)
    relabel()
    assert eval(other_process.call(name_of)[1]) == "triggered"


@pytest.mark.usefixtures("remembered")
def test_changed_settings_lead_to_another_segment(tmp_path: Path) -> None:
    changed = {**settings.DJANGO_CACHE_MANAGER, "LOCATION": str(tmp_path)}
    with override_settings(DJANGO_CACHE_MANAGER=changed):
        name_of()
        rename("elsewhere")
        assert assert_right(name_of) == "elsewhere"


@pytest.mark.usefixtures("remembered")
def test_write_that_begins_a_transaction_is_dirty(other_process: OtherProcess) -> None:
    """Autocommit off: the driver's own BEGIN comes with a statement that ran plainly before."""
    from django.db import transaction

    before = other_process.call(name_of)
    transaction.set_autocommit(False)
    try:
        rename("uncommitted")
        assert name_of() == "uncommitted"
        for _ in range(2):
            assert other_process.call(name_of) == before
        transaction.commit()
        assert eval(other_process.call(name_of)[1]) == "uncommitted"
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert name_of() == "uncommitted"
