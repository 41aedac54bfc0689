"""`check --database`: what the database does by itself is listed, until it is declared."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import connection

from settings import KIND

pytestmark = [pytest.mark.usefixtures("library"), pytest.mark.cached]

POSTGRESQL = KIND in ("postgresql", "psycopg2")


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def view(library: None) -> Iterator[None]:
    sql("CREATE VIEW book_titles AS SELECT id, title FROM testapp_book")
    yield
    sql("DROP VIEW book_titles")


@pytest.fixture
def trigger(library: None) -> Iterator[None]:
    if POSTGRESQL:
        sql(
            "CREATE FUNCTION note_tag() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN DELETE FROM testapp_note; RETURN NEW; END $$"
        )
        sql("CREATE TRIGGER noted AFTER INSERT ON testapp_tag EXECUTE FUNCTION note_tag()")
    else:
        sql("CREATE TRIGGER noted AFTER INSERT ON testapp_tag BEGIN DELETE FROM testapp_note; END")
    yield
    sql("DROP TRIGGER noted ON testapp_tag" if POSTGRESQL else "DROP TRIGGER noted")
    if POSTGRESQL:
        sql("DROP FUNCTION note_tag()")


def found() -> dict[str, Any]:
    messages = checks.run_checks(databases=["default"])
    prefix = "django_cache_manager."
    return {
        message.id.removeprefix(prefix): message
        for message in messages
        if message.id and message.id.startswith(prefix + "I00")
    }


def test_nothing_to_tell() -> None:
    assert not found().keys() & {"I002", "I003"}


@pytest.mark.usefixtures("view")
def test_view_is_listed_until_it_is_declared(settings_of_cache: Callable[..., None]) -> None:
    message = found()["I002"]
    assert message.level == checks.INFO
    assert "default: these are not cached: book_titles is a view" in message.msg
    assert "VIEWS" in message.hint
    settings_of_cache(VIEWS={"book_titles": ["testapp_book"]})
    assert "I002" not in found()


@pytest.mark.usefixtures("trigger")
def test_trigger_is_listed_until_it_is_declared(settings_of_cache: Callable[..., None]) -> None:
    message = found()["I003"]
    assert "testapp_tag has" in message.msg
    assert "TRIGGERS" in message.hint
    settings_of_cache(TRIGGERS={"testapp_tag": ["testapp_note"]})
    assert "I003" not in found()


@pytest.mark.usefixtures("view")
def test_only_when_the_database_is_named() -> None:
    assert "I002" not in {message.id for message in checks.run_checks()}
    out = io.StringIO()
    call_command("check", databases=["default"], stdout=out, stderr=out)
    assert "book_titles is a view" in out.getvalue()


@pytest.mark.databases("postgresql")
def test_kinds_of_postgresql_are_listed() -> None:
    sql("CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM testapp_book")
    sql("CREATE TABLE parted (id int) PARTITION BY RANGE (id)")
    sql("CREATE UNLOGGED TABLE loose (id int)")
    try:
        text = found()["I002"].msg
        assert "counted is a materialized view" in text
        assert "parted is partitioned" in text
        assert "loose is unlogged" in text
        assert "parted is partitioned" in found()["I003"].msg
    finally:
        sql("DROP MATERIALIZED VIEW counted")
        sql("DROP TABLE parted")
        sql("DROP TABLE loose")
