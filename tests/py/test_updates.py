"""save() and update(): Django's SQL and parameters, without compiling them again."""

import copy
import datetime
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db import (
    DatabaseError,
    IntegrityError,
    connection,
    connections,
    models,
    transaction,
)
from django.db.models import F, IntegerField, Q, Value
from django.db.models.functions import Lower, Now
from django.db.models.sql.compiler import SQLUpdateCompiler

from django_cache_manager import updates
from observe import Statements, count_sql, counted, sent_by, sent_though_refused, uncached
from settings import DATABASES
from testapp.models import AllTypes, Author, Book, Country, Diner, Generated, Passport, Tag

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library", "fresh_shapes")]


def sent(instance: models.Model, **options: Any) -> Statements:
    """What save() sends."""
    _, statements = sent_by(lambda: instance.save(**options))
    return statements


@pytest.fixture
def compiled() -> Iterator[mock.Mock]:
    """The compilations of an UPDATE."""
    with counted(updates, SQLUpdateCompiler, "as_sql") as as_sql:
        yield as_sql


AS_SQL = SQLUpdateCompiler.as_sql
UTC = datetime.UTC
VIENNA = zoneinfo.ZoneInfo("Europe/Vienna")

CHANGES: dict[str, list[Any]] = {
    "big": [1, -(2**62), True, None],
    "binary": [b"", b"\0\xff", memoryview(b"view"), None],
    "boolean": [True, False, None],
    "char": ["", "ß", "100%", None],
    "date": [datetime.date(2024, 2, 29), "2024-03-01", None],
    "moment": [
        datetime.datetime(2024, 1, 1, tzinfo=UTC),
        datetime.datetime(2024, 1, 1, tzinfo=VIENNA),
        None,
    ],
    "decimal": [Decimal("1.5"), Decimal("1.50"), "2.5", 3, None],
    "duration": [datetime.timedelta(days=1), None],
    "real": [1.5, 2, None],
    "address": ["127.0.0.1", "::1", "", None],
    "json": [{"a": [1]}, [], "text", 0, None, Value(None, models.JSONField())],
    "shout": ["loud", None],
    "slug": ["a-b", None],
    "text": ["long " * 1000, None],
    "time": [datetime.time(1, 2, 3), None],
    "uuid": [uuid.UUID(int=7), str(uuid.UUID(int=8)), None],
    "file": ["files/x.txt", "", None],
}


@pytest.mark.parametrize("name", CHANGES)
def test_same_statements_as_djangos(name: str) -> None:
    row = AllTypes.objects.create()
    for value in [*CHANGES[name], *CHANGES[name]]:
        for options in ({}, {"update_fields": [name]}):
            setattr(row, name, value)
            ours = sent(row, **options)
            setattr(row, name, value)  # an expression's value has come back
            with mock.patch.object(updates, "update", return_value=None):
                djangos = sent(row, **options)
            assert ours == djangos
            assert len(ours) == 1


def test_is_compiled_once(compiled: mock.Mock) -> None:
    author = Author.objects.get(pk=1)
    for rank in range(7):
        author.rank = rank
        author.save()
        other = Author.plain.get(pk=2 + rank % 2)
        other.name = f"by Django {rank}"
        other.save()
    # As the first of its kind; the others' with `email` and `country` NULL are others.
    kinds = {(a.email is None, a.born is None, a.country_id is None) for a in Author.objects.all()}
    assert compiled.call_count <= len(kinds)
    assert Author.plain.get(pk=1).rank == 6
    assert Author.objects.get(pk=1).rank == 6


@pytest.mark.parametrize("first", [None, "x@example.org"])
def test_null_is_another_statement(first: str | None) -> None:
    author = Author.objects.get(pk=1)
    for email in (first, "y@example.org", None, "z@example.org", None):
        author.email = email
        author.save()
        assert Author.plain.get(pk=1).email == email


def test_what_is_missing_is_inserted_or_refused() -> None:
    Tag(pk=1, label="seen before").save()
    for pk in (9000, 9001):
        tag = Tag(pk=pk, label=f"missing {pk}")
        with pytest.raises(DatabaseError, match="did not affect any rows"):
            tag.save(force_update=True)
        tag.save()
        assert Tag.objects.filter(pk=pk).count() == 1


def test_key_out_of_range_is_djangos_affair() -> None:
    Tag(pk=1, label="known").save()
    Tag(pk=1, label="known again").save()
    tag = Tag(pk=2**70, label="far")
    with pytest.raises(DatabaseError, match="did not affect any rows"):
        tag.save(force_update=True)


def test_expressions_are_djangos_affair() -> None:
    author = Author.objects.get(pk=1)
    for _ in range(3):
        author.rank = F("rank") + 1
        author.save()
        author.refresh_from_db()
    assert author.rank == 3
    tag = Tag.objects.get(pk=1)
    for label in ("a", "b", F("label")):
        tag.label = label
        tag.save()
    assert Tag.objects.get(pk=1).label == "b"
    book = Book.objects.get(pk=1)
    book.published = Now()
    book.save()
    book.refresh_from_db()
    assert book.published.tzinfo is not None


def test_keys_of_other_kinds() -> None:
    for name in ("A", "B", "C"):
        Country(code="DE", name=name).save()
        assert Country.objects.get(code="DE").name == name
    diner = Diner.objects.get()
    for stars in (1, 2, 3):
        diner.stars, diner.hours, diner.name = stars, f"{stars}-9", f"at {stars}"
        diner.save()
        found = Diner.objects.get()
        assert (found.stars, found.hours, found.name) == (stars, f"{stars}-9", f"at {stars}")
    passport = Passport.objects.get(pk=1)
    for owner in (3, 4):
        passport.owner_id = owner + 2
        passport.save()
        assert Passport.objects.get(pk=1).owner_id == owner + 2


def test_generated_fields_come_back() -> None:
    row = Generated.objects.create(word="a")
    for word in ("b", "c", "d"):
        row.word = word
        row.save()
        assert Generated.objects.get(pk=row.pk).loud == word.upper()


def test_error_of_the_database_is_djangos() -> None:
    first, second = Tag.objects.order_by("pk")[:2]
    for _ in range(3):
        second.label = first.label
        with pytest.raises(IntegrityError), transaction.atomic():
            second.save()
    second.label = "free"
    second.save()
    assert Tag.objects.get(pk=second.pk).label == "free"


def test_changed_model_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    tag = Tag.objects.get(pk=1)
    tag.save()
    tag.save()
    monkeypatch.setattr(Tag._meta.get_field("label"), "column", "gone")
    with pytest.raises(DatabaseError, match="gone"), transaction.atomic():
        tag.save()
    monkeypatch.undo()
    monkeypatch.setattr(Tag._meta, "db_table", "nowhere")
    with pytest.raises(DatabaseError, match="nowhere"), transaction.atomic():
        tag.save()
    monkeypatch.undo()
    tag.save()


def test_changed_compiler_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def as_sql(self: Any) -> Any:
        sql, params = AS_SQL(self)
        calls.append(f"{sql} /* call {len(calls)} */")
        return calls[-1], params

    monkeypatch.setattr(SQLUpdateCompiler, "as_sql", as_sql)
    tag = Tag.objects.get(pk=1)
    for number in range(3):
        assert [sql for sql, _ in sent(tag)] == calls[number:]


ERRORS = (FieldError, FieldDoesNotExist, AttributeError, TypeError, ValueError, DatabaseError)


def updated(queryset: Any, **values: Any) -> tuple[Any, Statements]:
    """What update() returns or raises, and what it sends."""

    def update() -> Any:
        try:
            return queryset.update(**values)
        except ERRORS as error:
            return type(error), str(error)

    with uncached():  # of several tables, Django reads the keys first
        return sent_by(update)


UPDATES: list[tuple[Callable[[], Any], dict[str, Any]]] = [
    (lambda: Author.objects.filter(pk=2), {"rank": 7}),
    (lambda: Author.objects.filter(pk=2), {"rank": 7, "email": None, "country_id": "JP"}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("rank") + 1}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("rank") - 2, "name": "x"}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("rank") * -3}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("rank") / 2}),
    (lambda: Author.objects.filter(pk=2), {"rank": 1 + F("rank")}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("rank") + 1 + 1}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("rank") + True}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("rank") + 1.5}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("id") + 1}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("pk") + 1}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("nothing") + 1}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("books") + 1}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("books__pages") + 1}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("name") + 1}),
    (lambda: Author.objects.filter(pk=2), {"rank": F("rank") + Value(1, IntegerField())}),
    (lambda: Book.objects.filter(pk=1), {"price": F("price") + 1}),
    (lambda: Book.objects.filter(pk=1), {"pages": F("pages") + 1}),
    (lambda: Diner.objects.filter(pk=3), {"stars": F("stars") + 1}),
    (lambda: Author.objects.filter(pk=2), {"country": Country(code="DE")}),
    (lambda: Author.objects.filter(pk=2), {"country": "DE", "born": "2001-02-03"}),
    (lambda: Author.objects.filter(pk=2), {"rank": "not a number"}),
    (lambda: Author.objects.filter(pk=2), {"rank": None}),
    (lambda: Author.objects.filter(pk=2), {"nothing": 1}),
    (lambda: Author.objects.filter(pk=2), {"pk": 2}),
    (lambda: Author.objects.filter(pk=2), {"id": 2}),
    (lambda: Author.objects.filter(pk=2), {"books": 2}),
    (lambda: Author.objects.filter(pk=2), {"friends": 2}),
    (lambda: Author.objects.filter(pk=2), {}),
    (lambda: Author.objects.filter(pk=99999), {"rank": 1}),
    (lambda: Author.objects.filter(pk=2).filter(rank=1), {"rank": 1}),
    (lambda: Author.objects.filter(Q(rank=1), pk=2), {"rank": 1}),
    (lambda: Author.objects.filter(pk=2)[:1], {"rank": 1}),
    (lambda: Author.objects.filter(name="Boris"), {"rank": 1}),
    (lambda: Country.objects.filter(pk="DE"), {"name": "D"}),
    (lambda: Diner.objects.filter(pk=3), {"hours": "9-5"}),
    (lambda: Diner.objects.filter(pk=3), {"stars": 2, "hours": "9-6"}),
    (lambda: Diner.objects.filter(pk=3), {"name": "above"}),
    (lambda: Book.objects.filter(pk=1), {"extra": {"a": [1]}, "price": Decimal("1.50")}),
    (lambda: Tag.objects.filter(pk=1), {"label": "roman"}),
    (lambda: Generated.objects.filter(pk=1), {"loud": "x"}),
]


@pytest.mark.parametrize("number", range(len(UPDATES)))
def test_update_is_djangos(number: int) -> None:
    make, values = UPDATES[number]
    for _ in range(3):
        with transaction.atomic():
            ours = updated(make(), **values)
            broken = connection.needs_rollback
            transaction.set_rollback(True)
        with transaction.atomic(), mock.patch.object(updates, "assigned", return_value=None):
            assert updated(make(), **values) == ours
            assert connection.needs_rollback == broken
            transaction.set_rollback(True)


def test_update_is_compiled_once(compiled: mock.Mock) -> None:
    for rank in range(5):
        assert Author.objects.filter(pk=1 + rank % 2).update(rank=rank) == 1
        assert Author.plain.get(pk=1 + rank % 2).rank == rank
        found = Author.objects.filter(pk=1)
        assert len(found) == 1
        found.update(name=f"number {rank}")
        assert [author.name for author in found] == [f"number {rank}"]
    assert compiled.call_count == 2


def test_counter_is_compiled_once(compiled: mock.Mock) -> None:
    before = Author.plain.get(pk=1).rank
    for number in range(1, 5):
        assert Author.objects.filter(pk=1).update(rank=F("rank") + number) == 1
        assert Author.objects.get(pk=1).rank == before + sum(range(number + 1))
    assert compiled.call_count == 1
    Author.objects.filter(pk=1).update(rank=F("rank") - 10)
    assert Author.objects.get(pk=1).rank == before
    assert compiled.call_count == 2


def test_counter_of_a_changed_column_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The column that is counted is another than the one that is set."""
    number = Author._meta.get_field("id")
    for _ in range(2):
        Author.objects.filter(pk=1).update(rank=F("id") + 1)
    monkeypatch.setattr(number, "column", "rank")
    vars(number).pop("cached_col", None)
    try:
        with count_sql() as log:
            Author.objects.filter(pk=5).update(rank=F("id") + 1)
    finally:
        monkeypatch.undo()
        vars(number).pop("cached_col", None)
    assert '"rank" + ' in list(log)[-1].replace("`", '"')


class Odd(F):
    """An expression of somebody's own."""


@pytest.mark.parametrize(
    "expression",
    [
        Odd("rank") + 1,
        F("rank") + Value(1, IntegerField()),
        F("rank") + Value(True),
        F("rank") + F("rank"),
        F("rank") % 2,
        Value(1) + F("rank"),
        F("rank"),
        1,
    ],
)
def test_what_is_no_counter(expression: Any) -> None:
    assert updates.count_of(expression) is None


def test_counter() -> None:
    assert updates.count_of(F("rank") - 3) == ("rank", "-", 3)
    resolved = F("rank") + 3
    resolved.lhs.more = 1
    assert updates.count_of(resolved) is None


@pytest.mark.parametrize("method", ["filter", "exclude"])
def test_rows_are_those_of_the_queryset(method: str) -> None:
    label = Tag._meta.get_field("label")
    Tag.objects.filter(pk__gt=2).delete()
    tags = Tag.objects.using("default")
    for number in range(3):
        rows = getattr(tags, method)(pk=1)
        assert rows._update([(label, None, f"{method} {number}")]) == 1
        assert [tag.label for tag in rows.all()] == [f"{method} {number}"]
        for sliced in (rows.all()[:1], tags.filter(pk=1)[:1]):
            with pytest.raises(TypeError, match="slice"):
                sliced._update([(label, None, "sliced")])
        named = tags.filter(label=f"{method} {number}")
        assert named._update([(label, None, "named")]) == 1


def test_field_that_makes_an_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    field = AllTypes._meta.get_field("shout")
    row = AllTypes.objects.create(shout="a")
    row.save()
    row.save()
    monkeypatch.setattr(
        type(field), "get_db_prep_save", lambda self, value, connection: Lower(Value(value))
    )
    for shout in ("B", "C", "D"):
        row.shout = shout
        row.save()
        assert AllTypes.objects.get(pk=row.pk).shout == shout.lower()
        updates._statements.clear()


def test_unexpected_sql_is_compiled_each_time(compiled: mock.Mock) -> None:
    def as_sql(self: Any) -> Any:
        sql, params = AS_SQL(self)
        return f"{sql} AND %s = %s", (*params, 1, 1)

    compiled.side_effect = as_sql
    for name in ("A", "B", "C"):
        Country(code="DE", name=name).save()
        assert Country.objects.get(code="DE").name == name


class Word(str):
    """Equal to a str, and of another type."""

    __slots__ = ()


def test_parameter_of_another_type_is_compiled_each_time(compiled: mock.Mock) -> None:
    def as_sql(self: Any) -> Any:
        sql, params = AS_SQL(self)
        return sql, tuple(Word(each) if type(each) is str else each for each in params)

    compiled.side_effect = as_sql
    country = Country.objects.get(code="DE")
    kinds = [[kind for kind, _ in params[2]] for _ in range(3) for _, params in sent(country)]
    assert kinds == [["Word", "Word"]] * 3


def test_field_in_the_place_of_another_is_compiled_anew() -> None:
    def placeholder(value: Any, *_: Any) -> str:
        return "REPLACE(%s, 'odd', 'even')"

    def placeholder_sql(value: Any, *_: Any) -> tuple[str, list[Any]]:
        return placeholder(value), [value]

    label = Tag._meta.get_field("label")
    other: Any = copy.copy(label)
    other.get_placeholder, other.get_placeholder_sql = placeholder, placeholder_sql
    for field in (label, label, label, other):
        Tag.objects.using("default").filter(pk=1)._update([(field, None, "odd")])
    assert Tag.objects.get(pk=1).label == "even"


def test_other_database_has_its_own() -> None:
    assert {"default", "other"} <= set(DATABASES)
    for alias in ("default", "other", "default", "other"):
        author = Author(pk=777, name=alias)
        author.save(using=alias)
        author.save(using=alias)
        assert Author.objects.using(alias).get(pk=777).name == alias


def test_other_kind_of_database_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    other: Any = connections["other"]
    Author(pk=777, name="first").save(using="default")
    Author(pk=777, name="first").save(using="default")
    Author(pk=777, name="first").save(using="other")
    monkeypatch.setattr(other, "__class__", type("Other", (type(other),), {}))
    monkeypatch.setattr(other.ops, "quote_name", lambda name: f"[{name}]")
    sent = sent_though_refused(lambda: Author(pk=777, name="second").save(using="other"))
    assert sent.startswith("UPDATE [")
