"""What is PostgreSQL's own: raw transactions, isolation levels, temporary tables, COPY, sessions
that end.
"""

import time
from collections.abc import Callable, Iterator

import pytest
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)

import servers
from observe import assert_hit, assert_not_cached, assert_right, count_sql, invalidate_all, uncached
from settings import KIND
from testapp.actions import add_tag, labels, name_of, names, rename, sql
from testapp.models import Author, Book, Reader, Tag
from worker import OtherProcess, RollBack, names_there

pytestmark = [
    pytest.mark.databases("postgresql"),
    pytest.mark.usefixtures("library"),
]


@pytest.mark.cached
def test_a_hit_sends_nothing_to_the_server(postgresql_server: servers.PostgreSQL) -> None:
    names()
    name_of()
    (pid,) = sql("SELECT pg_backend_pid()")[0]
    question = f"SELECT state_change FROM pg_stat_activity WHERE pid = {pid}"
    before = postgresql_server.execute(question)
    names()
    name_of()
    assert postgresql_server.execute(question) == before
    list(Tag.objects.nocache())
    assert postgresql_server.execute(question) != before


def test_raw_begin_and_commit(other: OtherProcess) -> None:
    sql("BEGIN")
    rename("in a raw transaction")
    assert name_of() == "in a raw transaction"
    assert names_there(other)[0] == "Ánna"
    sql("COMMIT")
    assert name_of() == names()[0] == names_there(other)[0] == "in a raw transaction"


def test_raw_begin_and_rollback(other: OtherProcess) -> None:
    sql("START TRANSACTION")
    rename("never")
    assert name_of() == names()[0] == "never"
    sql("ROLLBACK")
    assert name_of() == names()[0] == names_there(other)[0] == "Ánna"


def test_commit_within_atomic(other: OtherProcess) -> None:
    """The block's transaction ends early, by raw SQL."""
    with transaction.atomic():
        rename("committed early")
        sql("COMMIT")
        assert names_there(other)[0] == "committed early"
        assert name_of() == "committed early"
        # psycopg 3 begins again at the next statement; psycopg2 believes it is still in the first.
        rename("after it")
        assert name_of() == "after it"
        assert names_there(other)[0] == ("after it" if KIND == "psycopg2" else "committed early")
    assert name_of() == names_there(other)[0] == "after it"


def test_raw_savepoints(other: OtherProcess) -> None:
    with transaction.atomic():
        sql("SAVEPOINT mine")
        rename("undone")
        assert name_of() == "undone"
        sql("ROLLBACK TO SAVEPOINT mine")
        assert name_of() == "Ánna"
        sql("RELEASE SAVEPOINT mine")
        rename("done")
    assert name_of() == names_there(other)[0] == "done"


def test_statements_in_one_string_are_one_transaction(other: OtherProcess) -> None:
    with pytest.raises(DatabaseError):
        sql("UPDATE testapp_author SET name = 'never'; SELECT 1 / 0")
    assert names()[0] == names_there(other)[0] == "Ánna"
    sql("BEGIN; UPDATE testapp_author SET name = 'both'; COMMIT")
    assert names()[0] == names_there(other)[0] == "both"


def test_repeatable_read_keeps_its_snapshot(other: OtherProcess) -> None:
    with transaction.atomic():
        sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert labels() == ["poetry", "roman", "наука"]
        other.call(rename, "theirs")
        assert_right(names)
        assert names()[0] == "Ánna"
        assert name_of() == "Ánna"
    assert names()[0] == name_of() == names_there(other)[0] == "theirs"


def test_repeatable_read_takes_its_snapshot_at_its_first_statement(other: OtherProcess) -> None:
    """A hit before it would join two snapshots."""
    with transaction.atomic():
        sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        names()
        other.call(rename, "theirs")
        with uncached():
            now = names()
        assert names() == now


def test_set_transaction_is_the_first_statement_of_a_fresh_connection() -> None:
    """The package's own questions never come before it in the user's transaction."""
    for first in (lambda: None, connection.close):
        invalidate_all()
        first()
        with transaction.atomic():
            sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            assert sql("SHOW transaction_isolation") == [("serializable",)]
            assert names()[0] == "Ánna"


def test_first_read_of_a_snapshot_is_the_users(other: OtherProcess) -> None:
    """Nothing of the package's own fixes the snapshot before the application's first query."""
    sql("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    invalidate_all()
    with transaction.atomic():
        sql("SET LOCAL statement_timeout = '30s'")
        other.call(rename, "theirs")
        assert names()[0] == "theirs"


def test_lost_update_protection_stays(other: OtherProcess) -> None:
    """A cached read must not make REPEATABLE READ miss the conflict."""
    name_of()
    with pytest.raises(OperationalError, match="could not serialize"), transaction.atomic():
        sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        read = name_of()
        other.call(rename, "theirs")
        rename(f"{read}!")
    assert name_of() == "theirs"


def test_write_skew_is_refused_when_serializable(other: OtherProcess) -> None:
    import worker
    from testapp.sessions import begin_serializable, skew

    names()
    other.call(names)
    transaction.set_autocommit(False)
    try:
        sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        other.call(begin_serializable)
        skew(1)
        other.call(skew, 2)
        other.call(worker.end)
        with pytest.raises(OperationalError, match="could not serialize"):
            transaction.commit()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert_right(names)
    assert names()[:2] == ["Ánna", "skewed 6"]


def test_session_default_isolation(other: OtherProcess) -> None:
    sql("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    with transaction.atomic():
        labels()
        sql("SELECT 1 FROM testapp_book")
        other.call(rename, "theirs")
        assert names()[0] == "Ánna"
    assert names()[0] == "theirs"


def test_role_default_isolation(other: OtherProcess, postgresql_server: servers.PostgreSQL) -> None:
    role = "ALTER ROLE tester {} default_transaction_isolation"
    postgresql_server.execute(role.format("SET") + " = 'repeatable read'")
    try:
        connection.close()
        with transaction.atomic():
            sql("SELECT 1 FROM testapp_book")
            other.call(rename, "theirs")
            assert names()[0] == "Ánna"
        assert names()[0] == "theirs"
    finally:
        postgresql_server.execute(role.format("RESET").replace(" default", " default"))


def test_temp_table_hides_the_base_table(other: OtherProcess) -> None:
    names()
    sql("CREATE TEMP TABLE testapp_author AS SELECT * FROM public.testapp_author WHERE id < 3")
    sql("UPDATE pg_temp.testapp_author SET name = 'temporary'")
    assert names() == ["temporary"] * 2
    assert names_there(other)[0] == "Ánna"
    connection.close()
    assert len(names()) == 6


def test_search_path_leads_to_another_table(other: OtherProcess) -> None:
    names()
    sql("CREATE SCHEMA tenant")
    try:
        sql("CREATE TABLE tenant.testapp_author (LIKE public.testapp_author)")
        sql("INSERT INTO tenant.testapp_author (id, name, rank) VALUES (1, 'tenant', 1)")
        sql("SET search_path = tenant, public")
        assert names() == ["tenant"]
        sql("UPDATE testapp_author SET name = 'tenant 2'")
        assert names() == ["tenant 2"]
        sql("SET search_path = public")
        assert len(names()) == 6
        assert names_there(other)[0] == "Ánna"
    finally:
        connection.close()
        sql("DROP SCHEMA tenant CASCADE")


def test_row_level_security_of_another_role(postgresql_server: servers.PostgreSQL) -> None:
    postgresql_server.execute(
        "CREATE ROLE reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", "qc_default"
    )
    try:
        sql("ALTER TABLE testapp_author ENABLE ROW LEVEL SECURITY")
        sql("CREATE POLICY second ON testapp_author TO reader USING (id = 2)")
        assert len(names()) == 6
        sql("SET ROLE reader")
        assert names() == ["Boris"]
        sql("RESET ROLE")
        assert len(names()) == 6
    finally:
        connection.close()
        sql("DROP POLICY IF EXISTS second ON testapp_author")
        sql("ALTER TABLE testapp_author DISABLE ROW LEVEL SECURITY")
        postgresql_server.execute("DROP OWNED BY reader; DROP ROLE reader", "qc_default")


def copy_in(statement: str, text: str) -> None:
    """COPY FROM by the driver's own call, through Django's cursor."""
    with connection.cursor() as cursor:
        if KIND == "psycopg2":
            import io

            cursor.copy_expert(statement, io.StringIO(text))
        else:
            with cursor.copy(statement) as copy:
                copy.write(text)


def test_copy_from_is_a_write(other: OtherProcess) -> None:
    copy_in("COPY testapp_author (name, rank) FROM STDIN", "copied\t70\n")
    assert names()[-1] == names_there(other)[-1] == "copied"


def test_copy_from_within_a_transaction(other: OtherProcess) -> None:
    with transaction.atomic():
        copy_in("COPY testapp_author (name, rank) FROM STDIN", "copied\t70\n")
        assert names()[-1] == "copied"
        assert names_there(other)[-1] == "Fatou"
    assert names_there(other)[-1] == "copied"
    with pytest.raises(RollBack), transaction.atomic():
        copy_in("COPY testapp_author (name, rank) FROM STDIN", "never\t70\n")
        names()
        raise RollBack
    assert names()[-1] == names_there(other)[-1] == "copied"


def test_trigger_of_the_database_is_part_of_the_write(other: OtherProcess) -> None:
    sql(
        "CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE testapp_author SET name = 'triggered' WHERE id = 1; RETURN NULL; END $$"
    )
    sql("CREATE TRIGGER loud AFTER UPDATE ON testapp_tag FOR EACH ROW EXECUTE FUNCTION loud()")
    try:
        names()
        names_there(other)
        Tag.objects.filter(label="roman").update(label="novel")
        assert names()[0] == names_there(other)[0] == "triggered"
    finally:
        sql("DROP TRIGGER loud ON testapp_tag")
        sql("DROP FUNCTION loud()")


def test_function_that_a_write_calls_is_part_of_it(other: OtherProcess) -> None:
    sql(
        "CREATE FUNCTION calling() RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE testapp_author SET name = 'called ' || name WHERE id = 1; RETURN 'it'; END $$"
    )
    try:
        for n, statement in enumerate(
            (
                "UPDATE testapp_tag SET label = calling() WHERE label = 'roman'",
                "INSERT INTO testapp_tag (label) VALUES (calling() || ' too')",
            ),
            start=1,
        ):
            names()
            names_there(other)
            sql(statement)
            assert names()[0] == names_there(other)[0] == "called " * n + "Ánna"
    finally:
        sql("DROP FUNCTION calling()")


@pytest.mark.parametrize(
    "place", ["ADD COLUMN made text DEFAULT calling()", "ADD CHECK (calling() = 'it')", "a domain"]
)
def test_function_that_a_table_calls_is_part_of_the_write(other: OtherProcess, place: str) -> None:
    """As a default that counts in a table of its own."""
    sql(
        "CREATE FUNCTION calling() RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE testapp_author SET name = 'called ' || name WHERE id = 1; RETURN 'it'; END $$"
    )
    sql("CREATE TABLE counted (id integer)")
    try:
        if place == "a domain":
            sql("CREATE DOMAIN checked AS integer CHECK (calling() = 'it')")
            sql("ALTER TABLE counted ADD COLUMN made checked")
            insert = "INSERT INTO counted (id, made) VALUES (1, 1)"
        else:
            sql(f"ALTER TABLE counted {place}")
            insert = "INSERT INTO counted (id) VALUES (1)"
        names()
        names_there(other)
        sql(insert)
        truth = sql("SELECT name FROM testapp_author WHERE id = 1")
        assert truth != [("Ánna",)]
        assert [(names()[0],)] == [(names_there(other)[0],)] == truth
    finally:
        sql("DROP TABLE counted")
        sql("DROP FUNCTION calling() CASCADE")
        sql("DROP DOMAIN IF EXISTS checked")


@pytest.mark.cached
def test_partitions_are_not_cached_and_their_writes_are_writes_to_all(other: OtherProcess) -> None:
    def kept() -> list[int]:
        return [row.pk for row in Author.objects.raw("SELECT id FROM parts ORDER BY id")]

    def of_one() -> list[int]:
        return [row.pk for row in Author.objects.raw("SELECT id FROM parts_low ORDER BY id")]

    sql("CREATE TABLE parts (id integer) PARTITION BY RANGE (id)")
    sql("CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100)")
    sql(
        "CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE testapp_author SET name = 'triggered' WHERE id = 1; RETURN NULL; END $$"
    )
    sql("CREATE TRIGGER loud AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION loud()")
    try:
        assert assert_not_cached(kept) == assert_not_cached(of_one) == []
        names_there(other)
        names()
        sql("INSERT INTO parts VALUES (1)")
        assert names()[0] == names_there(other)[0] == "triggered"
        sql("INSERT INTO parts_low VALUES (2)")
        assert kept() == of_one() == [1, 2]
    finally:
        sql("DROP TABLE parts")
        sql("DROP FUNCTION loud()")


HAND_MADE = [
    ("ON DELETE CASCADE", "ON DELETE CASCADE", "DELETE FROM masters", []),
    ("ON DELETE SET NULL", "ON UPDATE SET NULL", "DELETE FROM masters", [0]),
    ("ON UPDATE CASCADE", "ON UPDATE CASCADE", "UPDATE masters SET id = 9", [9]),
    ("ON UPDATE SET NULL", "ON UPDATE SET NULL", "UPDATE masters SET id = 9", [0]),
]


@pytest.mark.cached
@pytest.mark.parametrize(("first", "second", "write", "expected"), HAND_MADE)
def test_hand_made_cascade_is_part_of_the_write(
    other: OtherProcess, first: str, second: str, write: str, expected: list[int]
) -> None:
    sql("CREATE TABLE masters (id integer PRIMARY KEY)")
    sql(f"CREATE TABLE middle (id integer UNIQUE REFERENCES masters (id) {first})")
    sql(f"CREATE TABLE by_hand (id integer REFERENCES middle (id) {second})")
    try:
        for table in ("masters", "middle", "by_hand"):
            sql(f"INSERT INTO {table} VALUES (6)")
        other.call(owners)
        assert owners() == assert_hit(owners) == [6]
        add_tag("another")  # a write elsewhere leaves it
        assert assert_hit(owners) == [6]
        sql(write)
        assert [int(pk) for _, pk in other.call(owners)[2]] == owners() == expected
    finally:
        sql("DROP TABLE by_hand, middle, masters")


def owners() -> list[int]:
    statement = "SELECT coalesce(id, 0) AS id FROM by_hand"
    return [row.pk for row in Author.objects.raw(statement)]


def test_rules_are_part_of_the_write(other: OtherProcess) -> None:
    sql(
        "CREATE RULE loud AS ON UPDATE TO testapp_tag DO ALSO"
        " UPDATE testapp_author SET name = 'ruled' WHERE id = 1"
    )
    sql("CREATE VIEW some_tags AS SELECT id, label FROM testapp_tag")
    sql(
        "CREATE RULE instead AS ON INSERT TO some_tags DO INSTEAD"
        " UPDATE testapp_author SET name = NEW.label WHERE id = 1"
    )
    try:
        names()
        names_there(other)
        Tag.objects.filter(label="roman").update(label="novel")
        assert names()[0] == names_there(other)[0] == "ruled"
        sql("INSERT INTO some_tags (label) VALUES ('by the view')")
        assert names()[0] == names_there(other)[0] == "by the view"
    finally:
        sql("DROP VIEW some_tags")
        sql("DROP RULE loud ON testapp_tag")


def test_partition_and_inheritance(other: OtherProcess) -> None:
    sql("CREATE TABLE young (CHECK (rank > 90)) INHERITS (testapp_author)")
    try:
        names()
        names_there(other)
        sql("INSERT INTO young (id, name, rank) VALUES (91, 'young', 91)")
        assert names()[-1] == names_there(other)[-1] == "young"
        sql("UPDATE young SET name = 'younger'")
        assert names()[-1] == names_there(other)[-1] == "younger"
    finally:
        sql("DROP TABLE young")
    assert names()[-1] == names_there(other)[-1] == "Fatou"


def test_rule_and_updatable_view_are_part_of_the_write(other: OtherProcess) -> None:
    sql("CREATE VIEW some_authors AS SELECT id, name FROM testapp_author WHERE id < 3")
    try:
        names()
        names_there(other)
        sql("UPDATE some_authors SET name = 'through the view' WHERE id = 1")
        assert names()[0] == names_there(other)[0] == "through the view"
    finally:
        sql("DROP VIEW some_authors")


@pytest.mark.cached
@pytest.mark.parametrize("declared", [False, True])
def test_materialized_view_falls_at_refresh(
    other: OtherProcess, settings_of_cache: Callable[..., None], declared: bool
) -> None:
    def counted() -> list[int]:
        return [row.pk for row in Author.objects.raw("SELECT n AS id FROM counts")]

    sql("CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM testapp_author")
    if declared:
        settings_of_cache(VIEWS={"counts": ["testapp_author"]})
    try:
        if declared:
            counted()
            assert assert_hit(counted) == [6]
        else:
            assert assert_not_cached(counted) == [6]
        Author.objects.create(name="one more")
        assert counted() == [6]
        other.call(sql, "REFRESH MATERIALIZED VIEW counts")
        assert counted() == [7]
    finally:
        sql("DROP MATERIALIZED VIEW counts")


def test_two_phase_commit(other: OtherProcess) -> None:
    transaction.set_autocommit(False)
    rename("prepared")
    sql("PREPARE TRANSACTION 'two'")
    try:
        transaction.rollback()
        transaction.set_autocommit(True)
        assert name_of() == names_there(other)[0] == "Ánna"
    finally:
        sql("COMMIT PREPARED 'two'")
    assert name_of() == names_there(other)[0] == "prepared"


@pytest.fixture
def quiet_end() -> Iterator[None]:
    yield
    connection.close()


def test_terminated_session_is_a_rollback(
    other: OtherProcess, postgresql_server: servers.PostgreSQL, quiet_end: None
) -> None:
    with pytest.raises((OperationalError, InterfaceError)), transaction.atomic():
        rename("never")
        (pid,) = sql("SELECT pg_backend_pid()")[0]
        postgresql_server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
        name_of_nobody()
    connection.close()
    assert name_of() == names()[0] == names_there(other)[0] == "Ánna"


def name_of_nobody() -> None:
    Author.objects.nocache().get(pk=1)


def test_terminated_while_idle(
    other: OtherProcess, postgresql_server: servers.PostgreSQL, quiet_end: None
) -> None:
    (pid,) = sql("SELECT pg_backend_pid()")[0]
    postgresql_server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    with pytest.raises((OperationalError, InterfaceError)):
        rename("not sent")
    connection.close()
    rename("after it")
    assert name_of() == names_there(other)[0] == "after it"


def settle_what_earlier_tests_left() -> None:
    """A write of a terminated session is settled, and so stamped, by who looks a second later."""
    from django_cache_manager.api import segment_of

    segment = segment_of("default")
    deadline = time.monotonic() + 20
    while segment is not None and segment.engine.slots():
        assert time.monotonic() < deadline, segment.engine.slots()
        sql("SET application_name = 'a look round'")


@pytest.mark.cached
def test_harmless_statements_leave_the_cache_alone() -> None:
    settle_what_earlier_tests_left()
    names()
    for statement in (
        "SHOW work_mem",
        "SET statement_timeout = '20s'",
        "SET application_name = 'a test'",
        "SET work_mem = '8MB'",
        "SELECT nextval('testapp_author_id_seq')",
        "SELECT pg_try_advisory_lock(1)",
        "SELECT pg_advisory_unlock(1)",
        "NOTIFY nobody",
        "LISTEN nobody",
        "ANALYZE testapp_author",
        "EXPLAIN SELECT * FROM testapp_author",
    ):
        sql(statement)
        assert_hit(names)


def test_select_for_update_asks_the_database() -> None:
    with transaction.atomic():
        for _ in range(2):
            with count_sql() as log:
                Author.objects.select_for_update().get(pk=1)
            assert any("FOR UPDATE" in statement for statement in log)


def test_statement_timeout_is_djangos_own_error(other: OtherProcess) -> None:
    names()
    sql("SET statement_timeout = '50ms'")
    with pytest.raises(OperationalError, match="timeout"):
        sql("UPDATE testapp_author SET name = 'slow' FROM pg_sleep(2)")
    assert name_of() == names()[0] == names_there(other)[0] == "Ánna"


def test_tables_of_every_write_fall_at_truncate_cascade(other: OtherProcess) -> None:
    def titles() -> list[str]:
        return list(Book.objects.values_list("title", flat=True))

    titles()
    Reader.objects.create(name="third")
    sql("TRUNCATE testapp_author RESTART IDENTITY CASCADE")
    assert titles() == names() == names_there(other) == []
    add_tag("still")
    assert_right(labels)
