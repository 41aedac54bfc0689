"""Triggers of SQLite's beyond one that writes another table: of views, in chains, raising."""

from collections.abc import Callable

import pytest
from django.db import IntegrityError

from observe import assert_right
from testapp.actions import names, rename, sql
from testapp.models import Tag
from worker import OtherProcess, names_there

pytestmark = [
    pytest.mark.databases("sqlite"),
    pytest.mark.usefixtures("library"),
]


def test_trigger_of_a_view_is_part_of_the_write(other: OtherProcess) -> None:
    sql("CREATE VIEW loud AS SELECT id, name FROM testapp_author")
    sql(
        "CREATE TRIGGER instead INSTEAD OF UPDATE ON loud BEGIN"
        " UPDATE testapp_author SET name = NEW.name WHERE id = OLD.id; END"
    )
    try:
        names()
        names_there(other)
        sql("UPDATE loud SET name = 'by the view' WHERE id = 1")
        assert names()[0] == names_there(other)[0] == "by the view"
    finally:
        sql("DROP VIEW loud")


def test_triggers_that_fire_triggers_are_part_of_the_write(
    other: OtherProcess, settings_of_cache: Callable[..., None]
) -> None:
    """The first is declared, the second isn't; the third fires itself."""
    settings_of_cache(TRIGGERS={"testapp_tag": ["testapp_country"]})
    sql(
        "CREATE TRIGGER first AFTER UPDATE ON testapp_tag BEGIN"
        " UPDATE testapp_country SET name = name || '!'; END"
    )
    sql(
        "CREATE TRIGGER second AFTER UPDATE ON testapp_country BEGIN"
        " UPDATE testapp_author SET name = 'triggered' WHERE id = 1; END"
    )
    sql(
        "CREATE TRIGGER third AFTER UPDATE ON testapp_author WHEN NEW.id < 6 BEGIN"
        " UPDATE testapp_author SET name = 'in turn' WHERE id = NEW.id + 1; END"
    )
    try:
        names()
        names_there(other)
        sql("PRAGMA recursive_triggers = ON")
        Tag.objects.filter(label="roman").update(label="novel")
        assert names_there(other) == ["triggered", *["in turn"] * 5]
        assert_right(names)
    finally:
        for name in ("first", "second", "third"):
            sql(f"DROP TRIGGER {name}")


@pytest.mark.parametrize("kept", [True, False])
def test_trigger_that_raises(other: OtherProcess, kept: bool) -> None:
    """After RAISE(FAIL) what was written before it stays, also in a transaction that goes on."""
    sql(
        "CREATE TRIGGER loud AFTER UPDATE ON testapp_tag BEGIN"
        " UPDATE testapp_author SET name = 'triggered' WHERE id = 1;"
        f" SELECT RAISE({'FAIL' if kept else 'ABORT'}, 'no'); END"
    )
    expected = "triggered" if kept else "Ánna"
    try:
        for raw_transaction in (True, False):
            rename("Ánna")
            names()
            names_there(other)
            if raw_transaction:
                sql("BEGIN")
            with pytest.raises(IntegrityError):
                sql("UPDATE testapp_tag SET label = label || '!'")
            assert names()[0] == expected
            if raw_transaction:
                sql("COMMIT")
            assert names()[0] == names_there(other)[0] == expected
    finally:
        sql("DROP TRIGGER loud")
