"""What is SQLite's own: statements that end late, raw transactions, snapshots, attached and
temporary tables.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.backends.signals import connection_created

from observe import assert_hit, assert_right, count_sql
from settings import DATABASES, FOLDER, PLAIN
from testapp.actions import add_tag, close, labels, name_of, names, rename, sql
from testapp.models import Author, Tag
from worker import OtherProcess, RollBack, names_there

pytestmark = [
    pytest.mark.databases("sqlite"),
    pytest.mark.usefixtures("library"),
]


def test_unfinished_returning_is_seen_after_its_last_row(other: OtherProcess) -> None:
    """SQLite commits an autocommit INSERT .. RETURNING when its rows have been fetched."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE testapp_author SET name = 'late' WHERE id < 3 RETURNING id")
        first = cursor.fetchone()
        names()
        names_there(other)
        rest = cursor.fetchall()
    assert (first, rest) == ((1,), [(2,)])
    assert names()[:2] == names_there(other)[:2] == ["late", "late"]


def test_returning_never_fetched_is_seen_after_close(other: OtherProcess) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE testapp_author SET name = 'late' WHERE id = 1 RETURNING id")
    assert names()[0] == names_there(other)[0] == "late"


def test_returning_rows_come_by_every_fetch() -> None:
    statement = "UPDATE testapp_author SET rank = rank + 1 RETURNING id"
    with connection.cursor() as cursor:
        cursor.execute(statement)
        assert cursor.fetchone() == (1,)
        assert cursor.fetchmany(2) == [(2,), (3,)]
        assert [column[0] for column in cursor.description] == ["id"]
        assert list(cursor) == [(4,), (5,), (6,)]
        assert cursor.fetchone() is None
        assert cursor.fetchall() == []


def test_returning_pending_while_another_cursor_writes(other: OtherProcess) -> None:
    """A pending RETURNING on another cursor delays a later commit."""
    with connection.cursor() as pending:
        pending.execute("UPDATE testapp_tag SET label = label || '!' RETURNING id")
        pending.fetchone()
        rename("during")
        name_of()
        names_there(other)
        pending.fetchall()
    assert name_of() == names()[0] == names_there(other)[0] == "during"
    assert_right(labels)


def test_unfinished_iterator_pins_the_snapshot(other: OtherProcess) -> None:
    """A read within it may see the past; nobody else is served that past."""
    rows = Tag.objects.nocache().order_by("pk").iterator(chunk_size=1)
    next(rows)
    if connection.settings_dict["OPTIONS"]["init_command"].endswith("WAL"):
        other.call(rename, "theirs")
        assert_right(name_of)
        assert names_there(other)[0] == "theirs"
        assert len(list(rows)) == 2
        assert name_of() == names()[0] == "theirs"
    rows.close()
    assert names_there(other) == names()


def test_iterator_consumed_across_own_write_is_not_stored() -> None:
    rows = Author.objects.order_by("pk").iterator(chunk_size=1)
    first = next(rows)
    rename("while iterating", 6)
    seen = [first.name, *(row.name for row in rows)]
    assert len(seen) == 6
    assert_right(names)
    again = [row.name for row in Author.objects.order_by("pk").iterator(chunk_size=1)]
    assert again == names()
    assert again[5] == "while iterating"


def test_iterator_across_a_rolled_back_update_is_not_stored() -> None:
    def read() -> Iterator[Author]:
        return Author.objects.order_by("pk").iterator(chunk_size=1)

    rows = read()
    next(rows)
    with pytest.raises(RollBack), transaction.atomic():
        Author.objects.update(name="never")
        list(rows)
        raise RollBack
    assert [row.name for row in read()] == names()
    assert "never" not in names()


@pytest.mark.databases("sqlite-wal")
def test_transaction_begun_while_an_iterator_is_open_stores_nothing(other: OtherProcess) -> None:
    """Its snapshot is the iterator's, older than its BEGIN."""
    rows = Tag.objects.nocache().order_by("pk").iterator(chunk_size=1)
    next(rows)
    other.call(rename, "theirs")
    with transaction.atomic():
        assert name_of() == "Ánna"
        rows.close()
        assert assert_right(names)[0] == "Ánna"
    assert name_of() == names()[0] == names_there(other)[0] == "theirs"


def test_iterator_that_outlives_a_rolled_back_update_is_not_stored() -> None:
    def read() -> Iterator[Author]:
        return Author.objects.order_by("pk").iterator(chunk_size=1)

    rows = read()
    seen = [next(rows).name]
    with pytest.raises(RollBack), transaction.atomic():
        Author.objects.update(name="never")
        seen += [next(rows).name, next(rows).name]
        raise RollBack
    seen += [row.name for row in rows]
    assert "never" in seen, "the database showed no uncommitted row: the test proves nothing"
    assert [row.name for row in read()] == names()
    assert "never" not in names()


def test_raw_begin_and_commit(other: OtherProcess) -> None:
    sql("BEGIN")
    rename("in a raw transaction")
    assert name_of() == "in a raw transaction"
    assert names_there(other)[0] == "Ánna"
    sql("COMMIT")
    assert name_of() == names()[0] == names_there(other)[0] == "in a raw transaction"


def test_raw_begin_and_rollback(other: OtherProcess) -> None:
    sql("BEGIN IMMEDIATE")
    rename("never")
    assert name_of() == "never"
    names()
    sql("ROLLBACK")
    assert name_of() == names()[0] == names_there(other)[0] == "Ánna"


def test_raw_savepoint_starts_a_transaction(other: OtherProcess) -> None:
    sql("SAVEPOINT outermost")
    rename("in a savepoint")
    assert name_of() == "in a savepoint"
    assert names_there(other)[0] == "Ánna"
    sql("RELEASE outermost")
    assert name_of() == names_there(other)[0] == "in a savepoint"
    sql("SAVEPOINT outermost")
    rename("undone")
    name_of()
    sql("ROLLBACK TO outermost")
    assert name_of() == "in a savepoint"
    sql("RELEASE outermost")
    assert name_of() == names_there(other)[0] == "in a savepoint"


def test_raw_commit_by_end_transaction(other: OtherProcess) -> None:
    sql("begin deferred transaction")
    rename("ended")
    sql("end transaction")
    assert name_of() == names_there(other)[0] == "ended"


def test_raw_transaction_of_many_statements(other: OtherProcess) -> None:
    sql("BEGIN")
    add_tag("first")
    rename("second")
    assert "first" in labels()
    sql("COMMIT")
    assert "first" in labels()
    assert other.call(labels)[2][0] == ["str", "'first'"]
    assert names_there(other)[0] == "second"


@pytest.mark.databases("sqlite-file")
def test_commit_that_fails_busy_keeps_the_transaction_open(other: OtherProcess) -> None:
    """In rollback-journal mode a reader makes COMMIT fail with BUSY; the transaction goes on."""
    sql("PRAGMA busy_timeout = 50")
    reader = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM testapp_author").fetchall()
    sql("BEGIN")
    rename("busy")
    delete_mode = connection.settings_dict["OPTIONS"]["init_command"].endswith("DELETE")
    if delete_mode:
        with pytest.raises(Exception, match="locked"):
            sql("COMMIT")
        assert connection.connection.in_transaction
        assert name_of() == "busy"
        reader.execute("COMMIT")
    sql("COMMIT")
    reader.close()
    assert name_of() == names()[0] == names_there(other)[0] == "busy"


@pytest.mark.databases("sqlite-delete")
def test_commit_that_failed_busy_can_be_tried_again(other: OtherProcess) -> None:
    sql("PRAGMA busy_timeout = 50")
    reader = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM testapp_author").fetchall()
    transaction.set_autocommit(False)
    try:
        rename("tried again")
        with pytest.raises(OperationalError, match="locked"):
            transaction.commit()
        reader.execute("COMMIT")
        assert name_of() == "tried again"
        transaction.commit()
    finally:
        reader.close()
        transaction.rollback()
        transaction.set_autocommit(True)
    assert name_of() == names()[0] == names_there(other)[0] == "tried again"


def test_executescript_commits_first(other: OtherProcess) -> None:
    sql("BEGIN")
    rename("before the script")
    with connection.cursor() as cursor:
        cursor.executescript("INSERT INTO testapp_tag (label) VALUES ('script');")
    assert "script" in labels()
    assert name_of() == names_there(other)[0] == "before the script"


@pytest.mark.usefixtures("spoiled_connection")
def test_temp_table_hides_the_base_table(other: OtherProcess) -> None:
    names()
    sql("CREATE TEMP TABLE testapp_author AS SELECT * FROM main.testapp_author WHERE id < 3")
    sql("UPDATE temp.testapp_author SET name = 'temporary'")
    assert names() == ["temporary"] * 2
    assert names_there(other)[0] == "Ánna"
    connection.close() if connection.settings_dict["NAME"][:5] != "file:" else sql(
        "DROP TABLE temp.testapp_author"
    )
    assert len(names()) == 6


@pytest.mark.usefixtures("spoiled_connection")
def test_temp_view_hides_the_base_table() -> None:
    names()
    sql("CREATE TEMPORARY VIEW testapp_author AS SELECT * FROM main.testapp_author WHERE id = 2")
    assert names() == ["Boris"]
    sql("DROP VIEW temp.testapp_author")
    assert len(names()) == 6


@pytest.mark.usefixtures("spoiled_connection")
def test_attached_database_is_written(other: OtherProcess, tmp_path: Path) -> None:
    """A write through an attached schema reaches another database's file."""
    path = connections["other"].settings_dict["NAME"]
    Author.objects.using("other").create(pk=1, name="elsewhere")
    name_of(1, "other")
    other.call(name_of, 1, "other")
    connections["other"].close()
    connection.close()
    sql(f"ATTACH DATABASE '{path}' AS elsewhere")
    sql("UPDATE elsewhere.testapp_author SET name = 'attached'")
    assert name_of(1, "other") == "attached"
    assert other.call(name_of, 1, "other")[1] == "'attached'"
    assert_right(names)
    sql("DETACH DATABASE elsewhere")


@pytest.mark.usefixtures("spoiled_connection")
def test_attached_table_of_the_same_name(tmp_path: Path) -> None:
    names()
    sql(f"ATTACH DATABASE '{tmp_path / 'new.sqlite3'}' AS fresh")
    sql("CREATE TABLE fresh.testapp_author AS SELECT * FROM main.testapp_author")
    sql("UPDATE fresh.testapp_author SET name = 'not ours'")
    assert names()[0] == "Ánna"
    sql("UPDATE main.testapp_author SET name = 'ours' WHERE id = 1")
    assert names()[0] == "ours"
    sql("DETACH DATABASE fresh")


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Callable[[str], OtherProcess]]:
    """Makes another process whose connections begin with a command of their OPTIONS."""
    made: list[OtherProcess] = []

    def make(command: str) -> OtherProcess:
        options = {**DATABASES["default"]["OPTIONS"], "init_command": command}
        databases = {**DATABASES, "default": {**DATABASES["default"], "OPTIONS": options}}
        settings = json.dumps({"DATABASES": databases})
        made.append(OtherProcess(tmp_path / "log", {"QC_TEST_SETTINGS": settings}))
        return made[0]

    yield make
    for other in made:
        other.stop()


PREPARED = "CREATE TEMP {} testapp_author AS SELECT * FROM main.testapp_author WHERE id > 2"


@pytest.mark.databases("sqlite-wal")
@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_what_a_connection_begins_with_hides_the_table(
    prepared: Callable[[str], OtherProcess], kind: str
) -> None:
    all_of_them = assert_right(names)
    other = prepared(PREPARED.format(kind))
    for _ in range(2):
        assert names_there(other) == all_of_them[2:]
        assert names() == all_of_them
    other.call(close)  # nor is anything served while there is no connection
    assert names_there(other) == all_of_them[2:]


@pytest.mark.databases("sqlite-wal")
def test_database_that_is_attached_from_the_beginning(
    prepared: Callable[[str], OtherProcess],
) -> None:
    Author.objects.using("other").create(pk=1, name="there")
    assert name_of(1, "other") == name_of(1, "other") == "there"
    other = prepared(f"ATTACH '{FOLDER / 'other.sqlite3'}' AS elsewhere")
    other.call(names)
    other.call(sql, "UPDATE elsewhere.testapp_author SET name = 'attached'")
    assert name_of(1, "other") == "attached"


def begin_with_a_trigger() -> None:
    """As a receiver of connection_created may, and an extension that is loaded."""

    def receiver(connection: Any, **_: object) -> None:
        connection.connection.execute(
            "CREATE TEMP TRIGGER loud AFTER UPDATE ON main.testapp_tag BEGIN"
            " UPDATE testapp_author SET name = 'triggered' WHERE id = 1; END"
        )

    connection.close()
    connection_created.connect(receiver, weak=False)


@pytest.mark.databases("sqlite-wal")
def test_temporary_trigger_that_a_connection_begins_with(
    prepared: Callable[[str], OtherProcess],
) -> None:
    names()
    other = prepared("PRAGMA journal_mode=WAL")
    other.call(begin_with_a_trigger)
    other.call(add_tag, "new")
    assert_right(names)
    other.call(sql, "UPDATE testapp_tag SET label = 'newer' WHERE label = 'new'")
    assert names()[0] == "triggered"


def test_trigger_of_the_database_is_part_of_the_write(other: OtherProcess) -> None:
    sql(
        "CREATE TRIGGER loud AFTER UPDATE OF label ON testapp_tag BEGIN"
        " UPDATE testapp_author SET name = 'triggered' WHERE id = 1; END"
    )
    try:
        names()
        names_there(other)
        Tag.objects.filter(label="roman").update(label="novel")
        assert names()[0] == names_there(other)[0] == "triggered"
    finally:
        sql("DROP TRIGGER loud")


@pytest.mark.cached
@pytest.mark.usefixtures("spoiled_connection")
def test_function_of_spatialite_that_changes_the_schema_is_a_write() -> None:
    connection.ensure_connection()
    connection.connection.create_function("CreateSpatialIndex", 2, lambda *_: 1)
    connection.connection.create_function("GeometryType", 1, lambda _: "POINT")
    names()
    sql("SELECT GeometryType(name) FROM testapp_author")
    assert_hit(names)
    sql("SELECT CreateSpatialIndex('testapp_author', 'place')")
    with count_sql() as log:
        names()
    assert log


@pytest.mark.parametrize("of", ["fts5(body)", "rtree(body, low, high)"])
def test_tables_of_a_virtual_table_fall_with_it(other: OtherProcess, of: str) -> None:
    """They are tables like others, and nothing says that a write to it is one to them."""
    content = "words_content" if of.startswith("fts5") else "words_rowid"

    def kept() -> list[int]:
        return [row.pk for row in Author.objects.raw(f"SELECT count(*) AS id FROM {content}")]

    sql(f"CREATE VIRTUAL TABLE words USING {of}")
    try:
        assert kept() == assert_hit(kept) == [0]
        sql(f"INSERT INTO words VALUES ({'1' if of.startswith('fts5') else '1, 2, 3'})")
        assert kept() == [1]
    finally:
        sql("DROP TABLE words")


def test_hand_made_cascade_is_part_of_the_write(other: OtherProcess) -> None:
    def kinds() -> list[tuple[object, ...]] | None:
        return sql("SELECT count(*) FROM by_hand")

    def owners() -> list[int]:
        statement = "SELECT coalesce(author, 0) AS id FROM by_hand"
        return [owner.pk for owner in Author.objects.raw(statement)]

    sql(
        "CREATE TABLE by_hand (author integer REFERENCES testapp_author (id)"
        " ON UPDATE CASCADE ON DELETE SET NULL, id integer)"
    )
    try:
        sql("INSERT INTO by_hand VALUES (6, 1)")
        assert owners() == assert_hit(owners) == [6]
        Author.objects.filter(pk=6)._raw_delete("default")
        assert sql("SELECT author FROM by_hand") == [(None,)]
        assert owners() == [0]
        assert kinds() == [(1,)]
        assert_right(names)
    finally:
        sql("DROP TABLE by_hand")


def test_view_falls_with_its_tables() -> None:
    sql("CREATE VIEW loud AS SELECT id, upper(name) AS name FROM testapp_author")
    try:
        before = sql("SELECT name FROM loud WHERE id = 2")
        rename("Bert", 2)
        assert before == [("BORIS",)]
        assert sql("SELECT name FROM loud WHERE id = 2") == [("BERT",)]
    finally:
        sql("DROP VIEW loud")


@pytest.mark.usefixtures("spoiled_connection")
def test_read_uncommitted_turns_hits_off() -> None:
    """With a shared cache such a connection sees what others have not committed."""
    names()
    sql("PRAGMA read_uncommitted = 1")
    assert_right(names)
    rename("still seen")
    assert names()[0] == "still seen"
    sql("PRAGMA read_uncommitted = 0")


@pytest.mark.cached
def test_harmless_pragmas_leave_the_cache_alone() -> None:
    names()
    for statement in (
        "PRAGMA synchronous",
        "PRAGMA busy_timeout = 4000",
        "PRAGMA cache_size = 500",
        "PRAGMA foreign_keys = ON",
        "PRAGMA table_info(testapp_author)",
        "PRAGMA optimize",
        "ANALYZE",
    ):
        sql(statement)
        assert_hit(names)


@pytest.mark.cached
@pytest.mark.databases("sqlite-file")
def test_a_hit_sends_nothing_to_sqlite() -> None:
    names()
    name_of()
    seen: list[str] = []
    connection.connection.set_trace_callback(seen.append)
    names()
    name_of()
    assert seen == []
    list(Tag.objects.nocache())
    assert seen
    connection.connection.set_trace_callback(None)


@pytest.mark.databases("sqlite-file")
def test_file_replaced_under_the_same_name(other: OtherProcess) -> None:
    """A new file is another database: its rows are read, not the old file's."""
    path = Path(FOLDER) / "replaced.sqlite3"
    settings = {**connection.settings_dict, "NAME": str(path)}
    made = []
    for generation in ("first", "second"):
        path.unlink(missing_ok=True)
        for journal in (f"{path}-wal", f"{path}-shm"):
            Path(journal).unlink(missing_ok=True)
        fresh = sqlite3.connect(path)
        fresh.execute("CREATE TABLE testapp_tag (id integer primary key, label varchar(40))")
        fresh.execute("INSERT INTO testapp_tag VALUES (1, ?)", [generation])
        fresh.commit()
        fresh.close()
        connections.databases["replaced"] = settings
        made.append(list(Tag.objects.using("replaced").values_list("label", flat=True)))
        assert list(Tag.objects.using("replaced").values_list("label", flat=True)) == [generation]
        connections["replaced"].close()
        del connections["replaced"]
    del connections.databases["replaced"]
    assert made == [["first"], ["second"]]


def memory_database(name: str) -> None:
    settings = {**connections["default"].settings_dict, "NAME": name, "OPTIONS": {}}
    connections.databases["passing"] = settings
    with connections["passing"].schema_editor() as editor:
        editor.create_model(Tag)


def drop_memory_database() -> None:
    wrapper = connections["passing"]
    wrapper.connection.close()
    wrapper.connection = None
    del connections["passing"]
    del connections.databases["passing"]


@pytest.mark.parametrize("name", [":memory:", "file:again?mode=memory&cache=shared"])
def test_memory_database_made_again_under_the_same_name(name: str) -> None:
    def read() -> list[str]:
        return list(Tag.objects.using("passing").values_list("label", flat=True))

    for generation in ("first", "second"):
        memory_database(name)
        assert read() == []
        Tag.objects.using("passing").create(label=generation)
        assert read() == [generation]
        with count_sql() as log:
            assert read() == [generation]
        assert PLAIN or not log
        drop_memory_database()


def test_two_memory_databases_of_one_name_without_shared_cache_are_apart() -> None:
    settings = {**connections["default"].settings_dict, "NAME": ":memory:", "OPTIONS": {}}
    for alias in ("one", "two"):
        connections.databases[alias] = settings
        with connections[alias].schema_editor() as editor:
            editor.create_model(Tag)
        Tag.objects.using(alias).create(label=alias)
    for alias in ("one", "two", "one"):
        assert [tag.label for tag in Tag.objects.using(alias).all()] == [alias]
    for alias in ("one", "two"):
        connections[alias].connection.close()
        del connections[alias]
        del connections.databases[alias]
