"""What a session is set to, besides the query: part of the key, or the end of caching on it."""

import contextlib
import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from observe import assert_cached, assert_hit, assert_not_cached, assert_right, count_sql
from settings import KIND
from testapp.models import Author, Book, Tag

pytestmark = [
    pytest.mark.usefixtures("library"),
    pytest.mark.databases("postgresql"),
    pytest.mark.cached,
]


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def names() -> list[str]:
    return list(Author.objects.order_by("pk").values_list("name", flat=True))


@contextlib.contextmanager
def connected_as(kind: type | None = None, options: str = "", **settings: Any) -> Iterator[Any]:
    """`default` is another connection to the same database, of another class or settings."""
    known = connections["default"]
    settings_dict = {**known.settings_dict, **settings}
    if options:
        settings_dict["OPTIONS"] = {**settings_dict["OPTIONS"], "options": options}
    made = (kind or type(known))(settings_dict, "default")
    connections["default"] = made
    try:
        yield made
    finally:
        made.close()
        connections["default"] = known


# --- settings that a connection begins with -----------------------------------------------------

TEXTS = {
    "DateStyle": ("German", "SELECT id, born::text AS t FROM testapp_author ORDER BY id"),
    "IntervalStyle": (
        "iso_8601",
        "SELECT id, ((rank || ' days')::interval)::text AS t FROM testapp_author ORDER BY id",
    ),
    "bytea_output": ("escape", "SELECT id, ('ab'::bytea)::text AS t FROM testapp_author"),
    "extra_float_digits": (
        "-10",
        "SELECT id, ((rank / 3.0)::float8)::text AS t FROM testapp_author ORDER BY id",
    ),
    "TimeZone": (
        "Asia/Tokyo",
        "SELECT id, published::text AS t FROM testapp_book ORDER BY id",
    ),
}
if KIND == "psycopg2":
    del TEXTS["DateStyle"]  # the driver sets it to ISO itself


@pytest.mark.parametrize("name", TEXTS)
def test_setting_of_a_connection_is_part_of_the_key(name: str) -> None:
    value, statement = TEXTS[name]
    model = Book if "book" in statement else Author

    def texts() -> list[str]:
        return [row.t for row in model.objects.raw(statement)]

    before = assert_cached(texts)
    # Django itself sets the time zone, to TIME_ZONE of the connection.
    changed = {"TIME_ZONE": value} if name == "TimeZone" else {}
    with connected_as(options="" if changed else f"-c {name}={value}", **changed):
        found = assert_right(texts)
        assert found != before
        assert assert_hit(texts) == found
    assert assert_hit(texts) == before


def test_setting_of_a_role_is_part_of_the_key(postgresql_server: Any) -> None:
    def texts() -> list[str]:
        return [row.t for row in Author.objects.raw(TEXTS["IntervalStyle"][1])]

    before = assert_cached(texts)
    postgresql_server.execute("ALTER ROLE tester SET IntervalStyle = 'iso_8601'")
    try:
        connection.close()
        connection.ensure_connection()
        assert assert_right(texts) != before
    finally:
        postgresql_server.execute("ALTER ROLE tester RESET IntervalStyle")
        connection.close()
    connection.ensure_connection()
    assert assert_right(texts) == before


def test_time_zone_of_the_connection_counts() -> None:
    def moments() -> Any:
        return list(Book.objects.order_by("pk").values_list("published", flat=True))

    before = assert_cached(moments)
    with connected_as(TIME_ZONE="Asia/Tokyo"):
        assert assert_right(moments) == before
        assert str(moments()[1].tzinfo) == "Asia/Tokyo"
    with timezone.override(datetime.timezone(datetime.timedelta(hours=3))):
        assert assert_right(lambda: list(Book.objects.dates("published", "day")))


# --- settings that a statement changes ----------------------------------------------------------

UNKNOWN = (
    "SET search_path = public, pg_catalog",
    "SET SESSION search_path TO public",
    "SET ROLE tester",
    "RESET ROLE",
    "SET SESSION AUTHORIZATION DEFAULT",
    "SET TIME ZONE 'Asia/Tokyo'",
    "SET timezone = 'UTC'",
    "SET DateStyle = 'German'",
    "SET my.tenant = '5'",
    "RESET ALL",
    "DISCARD ALL",
    "SELECT set_config('my.tenant', '5', false)",
    "SET row_security = off",
    "SET default_text_search_config = 'english'",
    "LOAD 'plpgsql'",
)


@pytest.mark.parametrize("statement", UNKNOWN)
def test_unknown_setting_ends_caching_until_the_connection_closes(statement: str) -> None:
    from django_cache_manager.api import explain

    assert_cached(names)
    sql(statement)
    assert_not_cached(names)
    assert "uncached until it closes" in explain(Author.objects.all()).reason
    sql("SET search_path = public")
    assert_not_cached(names)
    connection.close()
    assert_cached(names)


HARMLESS = (
    "SET statement_timeout = 5000",
    "SET LOCAL lock_timeout = '1s'",
    "SET idle_in_transaction_session_timeout TO DEFAULT",
    "SET application_name TO 'x'",
    "SET work_mem = '16MB'",
    "SET enable_seqscan = on",
    "SET jit = off",
    "SET client_min_messages = 'error'",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "RESET statement_timeout",
    "SHOW search_path",
)


@pytest.mark.parametrize("statement", HARMLESS)
def test_harmless_setting_leaves_the_cache_alone(statement: str) -> None:
    assert_cached(names)
    sql(statement)
    assert_hit(names)


def test_row_level_security_makes_a_table_uncached() -> None:
    from django_cache_manager.api import explain

    assert_cached(names)
    sql("ALTER TABLE testapp_author ENABLE ROW LEVEL SECURITY")
    try:
        assert_not_cached(names)
        assert "row-level security" in explain(Author.objects.all()).reason
        assert_not_cached(lambda: list(Book.objects.select_related("author").order_by("pk")))
        assert_cached(lambda: list(Tag.objects.all()))
    finally:
        sql("ALTER TABLE testapp_author DISABLE ROW LEVEL SECURITY")
    assert_cached(names)


# --- packages for tenants -----------------------------------------------------------------------


@pytest.fixture
def tenants(library: None) -> Iterator[None]:
    for number, tenant in enumerate(("blue", "green")):
        sql(f"CREATE SCHEMA {tenant}")
        sql(f"CREATE TABLE {tenant}.testapp_author (LIKE public.testapp_author INCLUDING ALL)")
        sql(
            f"INSERT INTO {tenant}.testapp_author (id, name, rank) VALUES ({number}, '{tenant}', 1)"
        )
    yield
    connection.close()
    for tenant in ("blue", "green"):
        sql(f"DROP SCHEMA {tenant} CASCADE")


def tenant_class(by_driver: bool, attribute: str) -> type:
    """A DatabaseWrapper that does what those of packages for tenants do: each cursor is led to the
    tenant's schema first, by Django's cursor or by one of the driver's own."""
    base = type(connections["default"])

    class Tenants(base):  # type: ignore[misc, valid-type]
        def _cursor(self, name: str | None = None) -> Any:
            cursor = super()._cursor(name=name)
            setter = self.connection.cursor() if by_driver or name else cursor
            setter.execute(f"SET search_path = {getattr(self, attribute)}, public")
            return cursor

    return Tenants


@pytest.mark.parametrize("attribute", ["schema_name", "tenant_schema"])
@pytest.mark.parametrize("by_driver", [True, False])
@pytest.mark.usefixtures("tenants")
def test_tenants_never_see_each_others_rows(by_driver: bool, attribute: str) -> None:
    with connected_as(tenant_class(by_driver, attribute)) as wrapper:

        def read(tenant: str) -> None:
            setattr(wrapper, attribute, tenant)
            for _ in range(2):
                assert names() == [tenant]
                assert [author.name for author in Author.objects.iterator()] == [tenant]
                raw = Author.objects.raw("SELECT * FROM testapp_author")
                assert [author.name for author in raw] == [tenant]

        for tenant in ("blue", "green", "blue"):
            read(tenant)
        wrapper.close()
        for tenant in ("green", "blue"):
            read(tenant)
            wrapper.close()
        setattr(wrapper, attribute, "blue")
        Author.objects.update(name="blue")
        read("green")
        setattr(wrapper, attribute, "green")
        Author.objects.update(name="changed")
        assert names() == ["changed"]
        read("blue")


@pytest.mark.usefixtures("tenants")
def test_backend_with_cursors_of_its_own_is_uncached_and_says_so() -> None:
    from django_cache_manager.api import explain

    with connected_as(tenant_class(True, "tenant_schema")) as wrapper:
        wrapper.tenant_schema = "blue"
        assert_not_cached(names)
        assert "_cursor()" in explain(Author.objects.all()).reason


def test_subclass_without_cursors_of_its_own_is_cached() -> None:
    class Own(type(connections["default"])):  # type: ignore[misc]
        """Named differently."""

    with connected_as(Own):
        assert_cached(names)
    with count_sql() as log:
        names()
    assert log.none(), KIND
