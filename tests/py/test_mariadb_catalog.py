"""What MariaDB's catalog says of tables, as one user is shown it (PROTOCOL 2.8, 2.9): which are
cached, and what a write touches besides the tables that it names."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from observe import assert_cached, assert_hit, assert_not_cached, assert_right, count_sql
from servers import MariaDB
from testapp.actions import labels, name_of, names, sql
from testapp.models import Author
from testapp.mysql_writes import as_user
from worker import OtherProcess, names_there

pytestmark = [
    pytest.mark.databases("mariadb"),
    pytest.mark.cached,
    pytest.mark.usefixtures("library"),
]


@contextlib.contextmanager
def altered(table: str, change: str, back: str) -> Iterator[None]:
    sql(f"ALTER TABLE {table} {change}")
    try:
        yield
    finally:
        sql(f"ALTER TABLE {table} {back}")


@pytest.mark.parametrize("engine", ["MyISAM", "Aria", "MEMORY"])
def test_only_innodb_is_cached(engine: str, other: OtherProcess) -> None:
    """Others keep what is rolled back."""
    sql("CREATE TABLE kept LIKE testapp_tag")
    try:
        query = "SELECT id, label FROM kept"
        read = lambda: [tag.label for tag in labels_of(query)]  # noqa: E731
        sql("INSERT INTO kept VALUES (1, 'kept')")
        assert_cached(read)
        sql(f"ALTER TABLE kept ENGINE = {engine}")
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            sql("UPDATE kept SET label = 'not rolled back'")
            raise ZeroDivisionError
        assert assert_not_cached(read) == ["not rolled back"]
    finally:
        sql("DROP TABLE kept")


def labels_of(query: str) -> Any:
    from testapp.models import Tag

    return Tag.objects.raw(query)


def test_system_versioned_table_is_not_cached() -> None:
    assert_cached(labels)
    with altered("testapp_tag", "ADD SYSTEM VERSIONING", "DROP SYSTEM VERSIONING"):
        assert_not_cached(labels)
    assert_cached(labels)


def test_view_and_sequence_are_not_cached() -> None:
    sql("CREATE VIEW some_tags AS SELECT * FROM testapp_tag")
    sql("CREATE SEQUENCE counting")
    try:
        views = lambda: [tag.label for tag in labels_of("SELECT * FROM some_tags")]  # noqa: E731
        assert_not_cached(views)
        assert_cached(labels)
        sql("UPDATE some_tags SET label = 'through the view' WHERE label = 'roman'")
        assert_right(labels)
        assert "through the view" in labels()
    finally:
        sql("DROP VIEW some_tags")
        sql("DROP SEQUENCE counting")


def test_generated_column_that_reads_the_clock_is_not_cached() -> None:
    column = "ADD COLUMN {} varchar(90) AS ({}) VIRTUAL"
    with altered("testapp_tag", column.format("steady", "UPPER(label)"), "DROP COLUMN steady"):
        assert_cached(labels)
    with altered("testapp_tag", column.format("clock", "NOW(6)"), "DROP COLUMN clock"):
        assert_not_cached(labels)
    with altered("testapp_tag", column.format("who", "CURRENT_USER()"), "DROP COLUMN who"):
        assert_not_cached(labels)


def test_partitioned_table_is_cached(other: OtherProcess) -> None:
    sql("CREATE TABLE parted (id int PRIMARY KEY, label varchar(20)) PARTITION BY HASH (id)")
    try:
        read = lambda: [tag.label for tag in labels_of("SELECT * FROM parted")]  # noqa: E731
        assert assert_cached(read) == []
        sql("INSERT INTO parted PARTITION (p0) VALUES (1, 'in it')")
        assert assert_cached(read, fresh=False) == ["in it"]
    finally:
        sql("DROP TABLE parted")


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_cascade_in_the_database_is_part_of_the_write(action: str, other: OtherProcess) -> None:
    key = f"ADD CONSTRAINT hand FOREIGN KEY (id) REFERENCES testapp_tag (id) ON DELETE {action}"
    sql("CREATE TABLE followers (id int PRIMARY KEY, tag_id bigint)")
    key = key.replace("(id) REF", "(tag_id) REF")
    sql(f"ALTER TABLE followers {key}")
    try:
        query = "SELECT id, IFNULL(tag_id, 'none') AS label FROM followers"
        read = lambda: [tag.label for tag in labels_of(query)]  # noqa: E731
        sql("DELETE FROM testapp_book_tags")
        sql("INSERT INTO followers SELECT 1, MIN(id) FROM testapp_tag")
        assert len(assert_cached(read)) == 1
        sql("DELETE FROM testapp_tag ORDER BY id LIMIT 1")
        assert assert_right(read) == ([] if action == "CASCADE" else ["none"])
    finally:
        sql("DROP TABLE followers")


def test_triggers_that_a_user_is_not_shown_are_reckoned_with(
    mariadb_server: MariaDB, other: OtherProcess
) -> None:
    sql(
        "CREATE TRIGGER follow AFTER INSERT ON testapp_tag FOR EACH ROW"
        " UPDATE testapp_author SET name = 'triggered'"
    )
    try:
        rights = "SELECT, INSERT, UPDATE, DELETE ON qc_default.*"
        with as_user(mariadb_server, "lesser", rights):
            assert_cached(names)
            names_there(other)
            sql("INSERT INTO testapp_tag (label) VALUES ('pull')")
            assert names()[0] == names_there(other)[0] == "triggered"
            sql("INSERT INTO testapp_country VALUES ('YY', 'perhaps a trigger there')")
            with count_sql() as log:
                names()
            assert log
        with as_user(mariadb_server, "greater", rights, "TRIGGER ON qc_default.*"):
            names()
            sql("INSERT INTO testapp_country VALUES ('XX', 'no trigger there')")
            assert_hit(names)
    finally:
        sql("DROP TRIGGER follow")


def test_tables_that_a_user_is_not_shown_are_reckoned_with(mariadb_server: MariaDB) -> None:
    """One process, two users: each goes by the catalog that it is shown."""
    sql(
        "CREATE TRIGGER follow AFTER UPDATE ON testapp_tag FOR EACH ROW"
        " UPDATE testapp_author SET name = NEW.label"
    )
    try:
        grants = "SELECT, UPDATE, TRIGGER ON qc_default.testapp_author"
        with as_user(mariadb_server, "narrow", grants):
            assert_cached(names)
            mariadb_server.execute("GRANT SELECT, UPDATE ON qc_default.testapp_tag TO narrow")
            sql("UPDATE testapp_tag SET label = id")
            assert_right(names)
            assert names()[0] != "Ánna"
        assert_cached(labels)
    finally:
        sql("DROP TRIGGER follow")


_FUNCTION = """CREATE FUNCTION calling() RETURNS int
BEGIN UPDATE testapp_author SET name = 'called'; RETURN 1; END"""


@pytest.mark.parametrize(
    ("made", "statement"),
    [
        (
            ["CREATE PROCEDURE calling() UPDATE testapp_author SET name = 'called'"],
            "CALL calling()",
        ),
        ([_FUNCTION], "SELECT calling()"),
        ([_FUNCTION], "DO calling()"),
        ([_FUNCTION], "SET @one = calling()"),
        ([_FUNCTION], "UPDATE testapp_tag SET label = calling() LIMIT 1"),
        ([_FUNCTION], "INSERT INTO testapp_tag (label) VALUES (calling())"),
        (
            [_FUNCTION, "CREATE VIEW one AS SELECT calling() AS n"],
            "INSERT INTO testapp_tag (label) SELECT n FROM one",
        ),
        ([_FUNCTION, "CREATE VIEW one AS SELECT calling() AS n"], "SELECT n FROM one"),
        (
            [
                "CREATE TRIGGER follow BEFORE INSERT ON testapp_tag FOR EACH ROW"
                " UPDATE testapp_author SET name = 'called'"
            ],
            "INSERT INTO testapp_tag (label) VALUES ('pull')",
        ),
    ],
)
def test_what_the_database_runs_is_part_of_the_write(
    made: list[str], statement: str, other: OtherProcess
) -> None:
    for definition in made:
        sql(definition)
    try:
        assert_cached(names)
        assert names_there(other)[0] == "Ánna"
        sql(statement)
        assert names()[0] == names_there(other)[0] == "called"
    finally:
        for kind, name in (("PROCEDURE", "calling"), ("FUNCTION", "calling"), ("VIEW", "one")):
            sql(f"DROP {kind} IF EXISTS {name}")
        sql("DROP TRIGGER IF EXISTS follow")


def test_write_to_another_schema_is_seen_there(other: OtherProcess) -> None:
    """A statement may name tables of any schema of the server."""
    from testapp.actions import rename_by_sql

    Author.objects.using("other").create(pk=1, name="elsewhere", rank=1)
    assert name_of(1, "other") == "elsewhere"
    assert_hit(lambda: name_of(1, "other"))
    assert other.call(name_of, 1, "other")[1] == "'elsewhere'"
    sql("UPDATE qc_other.testapp_author SET name = 'from afar'")
    assert name_of(1, "other") == "from afar"
    assert other.call(name_of, 1, "other")[1] == "'from afar'"
    sql("USE qc_other")
    rename_by_sql("after USE")
    assert name_of(1, "other") == "after USE"
    assert other.call(name_of, 1, "other")[1] == "'after USE'"
    connection.close()
    assert names()[0] == names_there(other)[0] == "Ánna"


def test_temporary_table_hides_the_base_table(other: OtherProcess) -> None:
    names()
    sql("CREATE TEMPORARY TABLE testapp_author SELECT * FROM testapp_author WHERE id < 3")
    sql("UPDATE testapp_author SET name = 'temporary'")
    assert names() == ["temporary"] * 2
    assert names_there(other)[0] == "Ánna"
    connection.close()
    assert len(assert_cached(names)) == 6
