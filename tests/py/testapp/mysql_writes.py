"""Ways to write that only MariaDB and MySQL have, like those of writes.py."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from servers import MariaDB
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


def compound() -> None:
    run("BEGIN NOT ATOMIC UPDATE testapp_author SET name = 'compound'; END")


def analyzed() -> None:
    run("ANALYZE FORMAT=JSON UPDATE testapp_author SET name = 'analyzed'")


def qualified() -> None:
    name = connection.settings_dict["NAME"]
    run(f"UPDATE `{name}` . `testapp_author` SET name = 'qualified'")


def set_statement() -> None:
    run("SET STATEMENT max_statement_time = 9 FOR UPDATE testapp_author SET name = 'timed'")


@contextlib.contextmanager
def as_user(server: MariaDB, name: str, *grants: str) -> Iterator[None]:
    """The alias connects as a new user with some privileges."""
    server.execute(f"CREATE USER {name}@'%'")
    for grant in grants:
        server.execute(f"GRANT {grant} TO {name}@'%'")
    before = connection.settings_dict["USER"]
    connection.close()
    connection.settings_dict["USER"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["USER"] = before
        server.execute(f"DROP USER {name}@'%'")


MYSQL_WRITES = {
    f"mysql_{name}": written
    for name, written in list(globals().items())
    if getattr(written, "__module__", None) == __name__ and name not in ("run", "as_user")
}
