"""A new column or a changed table never meets an old entry; loaddata, flush and migrations are
writes like others.
"""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.migrations.executor import MigrationExecutor

from observe import assert_cached, assert_right, count_sql, portable
from settings import PLAIN
from testapp.actions import names, sql
from testapp.evolving.models import Gauge
from testapp.managers import CacheManager
from testapp.models import Author, Tag
from worker import OtherProcess

pytestmark = pytest.mark.usefixtures("library")


def migrate(target: str) -> None:
    call_command("migrate", "evolving", target, verbosity=0)


def historical(target: str) -> type[models.Model]:
    executor = MigrationExecutor(connection)
    state = executor.loader.project_state(("evolving", target))
    return state.apps.get_model("evolving", "Gauge")


@pytest.fixture
def first_state(database: None) -> Iterator[type[models.Model]]:
    """The table as the first migration made it, with two rows."""
    migrate("0001")
    model = historical("0001_initial")
    model.objects.create(name="zone", value=1)
    model.objects.create(name="alpha", value=2)
    yield model
    migrate("zero")
    migrate("0004")


def values() -> list[tuple[object, ...]]:
    return list(Gauge.objects.order_by("pk").values_list("name", "value"))


def test_historical_model_has_the_manager(first_state: type[models.Model]) -> None:
    assert type(first_state.objects).__name__ == "GaugeManager"
    assert [gauge.name for gauge in first_state.objects.high()] == ["zone"]
    assert_cached(lambda: list(first_state.objects.order_by("pk").values_list("name", "value")))


def test_column_that_changes_its_type_never_meets_old_rows(
    first_state: type[models.Model], other_process: OtherProcess
) -> None:
    """The SQL stays the same; the rows don't."""
    assert values() == [("zone", 1), ("alpha", 2)]
    other_process.call(values)
    migrate("0003")
    assert values() == [("zone", "1"), ("alpha", "2")]
    assert other_process.call(values) == portable(values())


def test_new_column_is_read(first_state: type[models.Model]) -> None:
    before = list(first_state.objects.order_by("pk"))
    assert not hasattr(before[0], "unit")
    migrate("0003")
    now = assert_cached(lambda: list(Gauge.objects.order_by("pk")))
    assert [gauge.unit for gauge in now] == ["mm", "mm"]
    later = historical("0003_value_is_text")
    assert [gauge.unit for gauge in later.objects.order_by("pk")] == ["mm", "mm"]


def test_data_migration_reads_its_own_writes(
    first_state: type[models.Model], other_process: OtherProcess
) -> None:
    values()
    other_process.call(values)
    migrate("0004")
    assert values() == [("ZONE", "1"), ("alpha", "2")]
    assert other_process.call(values) == portable(values())
    assert Gauge.objects.get(name="ZONE").unit == "km"


def test_table_that_is_dropped_and_made_again(first_state: type[models.Model]) -> None:
    assert len(values()) == 2
    migrate("zero")
    with pytest.raises(Exception, match="evolving_gauge"):
        values()
    migrate("0004")
    assert values() == []


def test_failed_migration_leaves_the_old_rows(
    first_state: type[models.Model], other_process: OtherProcess
) -> None:
    def read() -> list[tuple[object, ...]]:
        return list(first_state.objects.order_by("pk").values_list("name", "value"))

    before = read()
    with pytest.raises(ZeroDivisionError), connection.schema_editor() as editor:
        editor.execute("UPDATE evolving_gauge SET name = 'never'")
        assert read()[0][0] == "never"
        _ = 1 / 0
    assert read() == before
    assert other_process.call(values) == portable(before)


def test_schema_editor_of_a_cached_model(other_process: OtherProcess) -> None:
    class Passing(models.Model):
        name = models.CharField(max_length=10)
        objects = CacheManager()

        class Meta:
            app_label = "passing"

    def read() -> list[str]:
        return list(Passing.objects.order_by("pk").values_list("name", flat=True))

    for generation in ("first", "second"):
        with connection.schema_editor() as editor:
            editor.create_model(Passing)
        assert read() == []
        Passing.objects.create(name=generation)
        assert read() == [generation]
        with count_sql() as log:
            assert read() == [generation]
        assert PLAIN or not log
        with connection.schema_editor() as editor:
            editor.alter_db_table(Passing, "passing_passing", "passing_other")
        sql("UPDATE passing_other SET name = 'renamed'")
        with connection.schema_editor() as editor:
            editor.alter_db_table(Passing, "passing_other", "passing_passing")
        assert read() == ["renamed"]
        with connection.schema_editor() as editor:
            editor.delete_model(Passing)


def test_raw_ddl_is_a_write_of_everything_it_may_touch(other_process: OtherProcess) -> None:
    names()
    other_process.call(names)
    sql("ALTER TABLE testapp_tag RENAME TO testapp_tag_old")
    sql("ALTER TABLE testapp_tag_old RENAME TO testapp_tag")
    assert_right(names)
    assert_cached(lambda: list(Tag.objects.all()))
    sql("ALTER TABLE testapp_author RENAME TO testapp_author_old")
    sql("CREATE VIEW testapp_author AS SELECT * FROM testapp_author_old WHERE id = 2")
    try:
        assert names() == ["Boris"]
        assert other_process.call(names) == portable(["Boris"])
    finally:
        sql("DROP VIEW testapp_author")
        sql("ALTER TABLE testapp_author_old RENAME TO testapp_author")
    assert len(names()) == 6


@pytest.mark.databases("postgresql")
def test_ddl_is_rolled_back_on_postgresql(other_process: OtherProcess) -> None:
    names()
    with transaction.atomic():
        sql("ALTER TABLE testapp_author ADD COLUMN passing integer")
        sql("UPDATE testapp_author SET name = 'never' WHERE id = 1")
        assert names()[0] == "never"
        transaction.set_rollback(True)
    assert names()[0] == "Ánna"
    assert other_process.call(names) == portable(names())


@pytest.mark.databases("postgresql")
def test_prepared_statement_of_the_driver_and_a_changed_table() -> None:
    """psycopg prepares a repeated statement; a new column must not make reads fail or stale."""
    for _ in range(8):
        list(Author.objects.nocache().filter(rank__gt=1))
    sql("ALTER TABLE testapp_author ADD COLUMN passing integer")
    try:
        assert_right(names)
        assert len(list(Author.objects.filter(rank__gt=1))) == 4
    finally:
        sql("ALTER TABLE testapp_author DROP COLUMN passing")
