"""Ways to write that only MariaDB and MySQL have, like those of writes.py."""

from pathlib import Path

from django.db import connection

from settings import FOLDER


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def replace() -> None:
    run("REPLACE testapp_tag (label) VALUES ('replaced')")


def several_statements() -> None:
    run("SELECT 1; UPDATE testapp_author SET name = 'several; of them'; DELETE FROM testapp_loan")


def truncate() -> None:
    run("SET foreign_key_checks = 0; TRUNCATE testapp_loan; SET foreign_key_checks = 1")


def load_data() -> None:
    path = Path(FOLDER) / "tags.txt"
    path.write_text("loaded\n")
    path.chmod(0o644)
    run(f"LOAD DATA INFILE '{path}' INTO TABLE testapp_tag (label)")


def multi_table_delete() -> None:
    run("DELETE l FROM testapp_loan AS l JOIN testapp_reader r ON r.id = l.reader_id")


def multi_table_update() -> None:
    run("UPDATE testapp_author a, testapp_tag t SET a.name = 'both', t.label = CONCAT(t.label, 2)")


def insert_set() -> None:
    run("INSERT testapp_tag SET label = 'set'")


def executable_comment() -> None:
    run("/*! UPDATE testapp_author SET name = 'commented' */")


def versioned_comment() -> None:
    run("UPDATE /*M!100000 testapp_tag t, */ testapp_author a SET a.name = 'x', t.label = t.id")


def backslashes() -> None:
    run(r"SELECT 'a\'; -- b'; UPDATE testapp_author SET name = 'escaped'")


def prepared() -> None:
    run("PREPARE p FROM 'UPDATE testapp_author SET name = 1'; EXECUTE p")


def execute_immediate() -> None:
    run("EXECUTE IMMEDIATE 'DELETE FROM testapp_loan'")


def procedure() -> None:
    run("CREATE OR REPLACE PROCEDURE shorten() UPDATE testapp_author SET name = 'called'")
    with connection.cursor() as cursor:
        cursor.callproc("shorten")


def function() -> None:
    run(
        "CREATE OR REPLACE FUNCTION shortened() RETURNS int"
        " BEGIN UPDATE testapp_author SET name = 'called'; RETURN 1; END"
    )
    run("SELECT shortened()")
    run("DROP FUNCTION shortened")


def compound() -> None:
    run("BEGIN NOT ATOMIC UPDATE testapp_author SET name = 'compound'; END")


def analyzed() -> None:
    run("ANALYZE FORMAT=JSON UPDATE testapp_author SET name = 'analyzed'")


def qualified() -> None:
    name = connection.settings_dict["NAME"]
    run(f"UPDATE `{name}` . `testapp_author` SET name = 'qualified'")


def set_statement() -> None:
    run("SET STATEMENT max_statement_time = 9 FOR UPDATE testapp_author SET name = 'timed'")


def with_a_trigger() -> None:
    run(
        "CREATE TRIGGER follow AFTER INSERT ON testapp_tag FOR EACH ROW"
        " UPDATE testapp_author SET name = 'triggered'"
    )
    try:
        run("INSERT INTO testapp_tag (label) VALUES ('trigger')")
    finally:
        run("DROP TRIGGER follow")


MYSQL_WRITES = {
    f"mysql_{name}": written
    for name, written in list(globals().items())
    if getattr(written, "__module__", None) == __name__ and name != "run"
}
