"""The tables that the scanner finds in a query's SQL are among the dependencies, for every read."""

from collections.abc import Callable

import pytest
from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models import Count, Exists, F, OuterRef, Q, Subquery
from django.db.models.sql.compiler import SQLAggregateCompiler
from django.db.models.sql.constants import MULTI, SINGLE

from observe import count_sql, uncached
from testapp.models import Author, Book, Country, Diner, Loan, Node, Passport, Reader, Tag
from testapp.reads import POSTGRESQL_READS, READS, cached
from worker import OtherProcess

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library")]
A, B = Author.objects, Book.objects


def captured_querysets(read: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The compilers that ran while `read` did, in the database or from the cache."""
    from django.db.models.sql.compiler import SQLCompiler

    seen: list[object] = []
    original = SQLCompiler.execute_sql

    def execute_sql(self: SQLCompiler, *args: object, **kwargs: object) -> object:
        seen.append(self)
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(SQLCompiler, "execute_sql", execute_sql)
        read()
    return seen


def tables_in(sql: str) -> set[str]:
    from django_cache_manager import _engine

    dialect = _engine.SQLITE if connection.vendor == "sqlite" else _engine.POSTGRESQL
    scan = _engine.scan(sql, dialect)
    assert not scan.flags & _engine.UNKNOWN, f"the scanner does not understand {sql}"
    return set(scan.reads)


def dependencies_of(compiler: object) -> set[str]:
    from django_cache_manager.reads import explain_read

    sql, params = compiler.as_sql()  # type: ignore[attr-defined]
    kind = SINGLE if isinstance(compiler, SQLAggregateCompiler) else MULTI
    found = explain_read(compiler, sql, params, kind)  # type: ignore[arg-type]
    assert found["cacheable"] or not found["reason"], found["reason"]
    return set(found["dependencies"])


READ_NAMES = [*READS, *POSTGRESQL_READS]


@pytest.mark.parametrize("name", READ_NAMES)
def test_tables_of_the_sql_are_dependencies(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in POSTGRESQL_READS and connection.vendor != "postgresql":
        return
    read = {**READS, **POSTGRESQL_READS}[name]
    compilers = captured_querysets(lambda: read(cached), monkeypatch)
    assert compilers
    for compiler in compilers:
        try:
            sql, _ = compiler.as_sql()  # type: ignore[attr-defined]
        except EmptyResultSet:
            continue
        if "django_content_type" in sql:
            continue  # a model without the manager
        assert tables_in(sql) <= dependencies_of(compiler)


def test_scanner_finds_the_tables_at_all() -> None:
    """The comparison above means something: the scanner sees joins, subqueries and unions."""
    query = (
        A.filter(
            Exists(Book.objects.filter(author=OuterRef("pk"), tags__label="x")),
            country__in=Country.objects.filter(name="y"),
        )
        .values("name")
        .union(Reader.objects.values("name"))
        .query
    )
    assert tables_in(str(query)) == {
        "testapp_author",
        "testapp_book",
        "testapp_book_tags",
        "testapp_tag",
        "testapp_country",
        "testapp_reader",
    }


# A queryset, and every table whose change may change its result.
EXACT: dict[str, tuple[Callable[[], models.QuerySet], str]] = {
    "one table": (lambda: A.filter(rank=1), "author"),
    "key without a join": (lambda: B.filter(author=1), "book"),
    "join": (lambda: B.filter(author__name="x"), "book author"),
    "join of two": (lambda: B.filter(author__country__name="x"), "book author country"),
    "order by a join": (lambda: B.order_by("author__country__name"), "book author country"),
    "values of a join": (lambda: B.values("author__name"), "book author"),
    "annotation of a join": (lambda: B.annotate(x=F("author__name")), "book author"),
    "q": (lambda: B.filter(Q(author__name="x") | Q(tags__label="y")), "book author book_tags tag"),
    "exclude": (lambda: A.exclude(books__loans__due=None), "author book loan"),
    "many to many": (lambda: B.filter(tags=1), "book book_tags"),
    "through": (lambda: B.filter(readers__name="x"), "book loan reader"),
    "select_related": (lambda: B.select_related("author__country"), "book author country"),
    "reverse one to one": (lambda: A.select_related("passport"), "author passport"),
    "inheritance": (lambda: Diner.objects.all(), "diner restaurant place"),
    "self": (lambda: Node.objects.filter(parent__name="x"), "node"),
    "aggregate": (lambda: A.annotate(n=Count("books__tags")), "author book book_tags"),
    "subquery": (
        lambda: A.annotate(
            n=Subquery(Passport.objects.filter(owner=OuterRef("pk")).values("number")[:1])
        ),
        "author passport",
    ),
    "deep": (
        lambda: Country.objects.filter(
            authors__in=A.filter(
                Exists(
                    B.filter(
                        author=OuterRef("pk"),
                        pk__in=Loan.objects.filter(
                            reader__in=Reader.objects.filter(name="x")
                        ).values("book"),
                    )
                )
            )
        ),
        "country author book loan reader",
    ),
    "union": (
        lambda: A.values("name").union(
            Tag.objects.order_by().values("label"), Country.objects.values("name")
        ),
        "author tag country",
    ),
    "in order": (
        lambda: A.order_by(Exists(Passport.objects.filter(owner=OuterRef("pk")))),
        "author passport",
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_dependencies_are_exactly_these(name: str) -> None:
    from django_cache_manager.api import explain

    make, tables = EXACT[name]
    assert explain(make()).dependencies == tuple(
        sorted(f"testapp_{table}" for table in tables.split())
    )


@pytest.mark.parametrize("name", EXACT)
def test_entry_falls_with_each_of_them_and_no_other(name: str, other_process: OtherProcess) -> None:
    from django_cache_manager.api import explain, invalidate

    make = EXACT[name][0]
    quote = connection.ops.quote_name
    for table in explain(make()).dependencies:
        list(make())
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {quote(table)} WHERE 1 = 0")
        with count_sql() as log:
            list(make())
        assert log, f"a write to {table} was not seen"
    list(make())
    invalidate("auth_user")
    with count_sql() as log:
        list(make())
    assert not log


def test_uncached_gives_the_same_dependencies() -> None:
    from django_cache_manager.api import explain

    with uncached():
        assert explain(B.filter(author__name="x")).dependencies == (
            "testapp_author",
            "testapp_book",
        )
