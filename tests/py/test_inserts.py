"""create() and save() of a new row: Django's SQL and parameters, without compiling them again."""

import datetime
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.db import (
    DatabaseError,
    IntegrityError,
    connections,
    models,
    transaction,
)
from django.db.models import F, Value
from django.db.models.functions import Lower, Upper
from django.db.models.sql.compiler import SQLInsertCompiler

from django_cache_manager import inserts
from observe import Statements, counted, portable, sent_by, sent_though_refused
from testapp.models import AllTypes, Author, Bare, Book, Country, Diner, Generated, Plain, Tag

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library")]

ASSEMBLE = SQLInsertCompiler.assemble_as_sql


@pytest.fixture(autouse=True)
def nothing_compiled() -> Iterator[None]:
    inserts._statements.clear()
    yield
    inserts._statements.clear()


@pytest.fixture
def compiled() -> Iterator[mock.Mock]:
    """The compilations of an INSERT."""
    with counted(inserts, SQLInsertCompiler, "assemble_as_sql") as assemble:
        yield assemble


def by_django(call: Callable[[], Any]) -> tuple[Any, Statements]:
    with mock.patch.object(inserts, "as_sql", lambda original, compiler: original(compiler)):
        return outcome(call)


def outcome(call: Callable[[], Any]) -> tuple[Any, Statements]:
    """What a call gives and sends; nothing of it stays."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                found, statements = sent_by(call)
        except (DatabaseError, TypeError, ValueError) as error:
            found, statements = (type(error), str(error)), []
        transaction.set_rollback(True)
    return portable(found), statements


class Three:
    """An expression that nothing tells but its resolve_expression()."""

    def resolve_expression(self, *_: Any, **__: Any) -> Value:
        return Value(3)


ROWS: list[Callable[[], Any]] = [
    lambda: AllTypes.objects.create(pk=5000, uuid=None),
    lambda: AllTypes.objects.create(
        pk=5000,
        big=2**62,
        boolean=True,
        char="100%",
        date="2024-02-29",
        moment=datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
        decimal="2.50",
        duration=datetime.timedelta(1),
        file="files/x.txt",
        real=2,
        address="",
        json={"a": [1]},
        shout="loud",
        time=datetime.time(1, 2, 3),
        uuid=str(uuid.UUID(int=7)),
    ),
    lambda: AllTypes.objects.create(pk=5000, uuid=None, json=Value(None, models.JSONField())),
    lambda: AllTypes.objects.create(pk=5000, uuid=None, char=Lower(Value("ABC"))),
    lambda: AllTypes.objects.create(pk=5000, big="no number"),
    lambda: AllTypes.objects.create(pk=5000, binary=b"\0\xff", uuid=None),
    lambda: Author.objects.create(pk=5000, name="A"),
    lambda: Author.objects.create(pk=5000, name="B", rank=3, country=Country(code="DE")),
    lambda: Author.objects.create(pk=5000, name="C", rank=F("rank")),
    lambda: Author.objects.create(pk=5000, name="T", rank=Three()),
    lambda: Author.objects.create(pk=5000, name=None),
    lambda: Author(pk=5000, name="D").save(force_insert=True),
    lambda: Author(pk=5000, name="E").save(),
    lambda: Author.objects.bulk_create([Author(pk=5000, name="F")]),
    lambda: Author.objects.bulk_create([Author(pk=5000, name="G"), Author(pk=5001, name="H")]),
    lambda: Author.objects.bulk_create([Author(pk=1, name="I")], ignore_conflicts=True),
    lambda: Author.objects.bulk_create(
        [Author(pk=1, name="J")],
        update_conflicts=True,
        update_fields=["name"],
        unique_fields=["pk"],
    ),
    lambda: Tag.objects.create(pk=5000, label="poetry"),
    lambda: Book.objects.create(pk=5000, title="B", author_id=1, price=Decimal("1.50")),
    lambda: Book.objects.create(pk=5000, title=Lower(Value("N")), author_id=1),
    lambda: Diner.objects.create(pk=5000, name="D", stars=1, hours="9-5"),
    lambda: Generated.objects.create(pk=5000, word="a"),
    lambda: Generated.objects.create(pk=5000, word="a", level=9),
    lambda: Generated.objects.create(pk=5000, word=Upper(Value("a")), level=9),
    lambda: Plain.objects.create(pk=5000, name="not cached"),
]


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_same_as_djangos(number: int) -> None:
    expected = by_django(ROWS[number])
    for _ in range(3):
        assert outcome(ROWS[number]) == expected


def test_all_after_one_another() -> None:
    for _ in range(2):
        for row in ROWS:
            assert outcome(row) == by_django(row)


def test_is_compiled_once(compiled: mock.Mock) -> None:
    made = [Author.objects.create(name=f"N{n}", rank=n, email=None) for n in range(4)]
    assert compiled.call_count == 1
    assert [author.pk for author in made] == sorted({author.pk for author in made})
    for author in made:
        assert Author.objects.get(pk=author.pk).name == author.name
    Author.objects.create(pk=6000, name="with a key")
    Author.objects.create(pk=6001, name="with a key too", email="x@example.org")
    assert compiled.call_count == 2


def test_model_that_is_not_cached_is_left_alone() -> None:
    for n in range(3):
        Plain.objects.create(name=f"N{n}")
    assert Plain not in {identity[0] for identity in inserts._statements}


@pytest.mark.parametrize("last", ["plain", Lower(Value("EXPRESSION")), 7])
def test_fields_are_asked_as_often_as_by_django(monkeypatch: pytest.MonkeyPatch, last: Any) -> None:
    asked: list[str] = []
    for name in ("name", "email"):
        field = Author._meta.get_field(name)

        def pre_save(row: Any, add: bool, field: Any = field) -> Any:
            asked.append(field.name)
            return getattr(row, field.attname)

        monkeypatch.setattr(field, "pre_save", pre_save)
    by_django(lambda: Author.objects.create(name="by Django"))
    expected = asked.copy()
    for value in ("first", "second", last, "fourth"):
        asked.clear()
        author = Author.objects.create(name=value)
        assert asked == expected
        assert Author.objects.filter(pk=author.pk).count() == 1


def test_error_of_the_database_is_djangos() -> None:
    for _ in range(3):
        with pytest.raises(IntegrityError), transaction.atomic():
            Tag.objects.create(label="poetry")
    assert Tag.objects.create(label="free").pk


def test_changed_model_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(2):
        Tag.objects.create(label=f"before {n}")
    for owner, name in ((Tag._meta.get_field("label"), "column"), (Tag._meta, "db_table")):
        monkeypatch.setattr(owner, name, "elsewhere")
        with pytest.raises(DatabaseError, match="elsewhere"), transaction.atomic():
            Tag.objects.create(label="there")
        monkeypatch.undo()
    monkeypatch.setattr(Tag._meta.pk, "column", "elsewhere")
    with pytest.raises(DatabaseError, match="elsewhere"), transaction.atomic():
        Tag.objects.create(label="there")
    monkeypatch.undo()
    assert Tag.objects.create(label="here").pk


def test_changed_compiler_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Any] = []

    def assemble(self: Any, fields: Any, value_rows: Any) -> Any:
        rows.append(value_rows)
        return ASSEMBLE(self, fields, value_rows)

    monkeypatch.setattr(SQLInsertCompiler, "assemble_as_sql", assemble)
    for number in range(3):
        Tag.objects.create(label=f"label {number}")
        assert len(rows) == number + 1


def test_unexpected_sql_is_compiled_each_time(compiled: mock.Mock) -> None:
    def assemble(self: Any, fields: Any, value_rows: Any) -> Any:
        placeholders, parameters = ASSEMBLE(self, fields, value_rows)
        (first, *rest), *more = placeholders
        changed = [f"REPLACE({first}, %s, '!')", *rest]
        return [changed, *more], [[row[0], "A", *row[1:]] for row in parameters]

    compiled.side_effect = assemble
    for name in ("A", "B", "C"):
        tag = Tag.objects.create(label=name)
        assert Tag.objects.get(pk=tag.pk).label == name.replace("A", "!")


def test_field_that_makes_an_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    label = Tag._meta.get_field("label")
    Tag.objects.create(label="a")
    monkeypatch.setattr(label, "get_db_prep_save", lambda value, connection: Lower(Value(value)))
    for text in ("B", "C", "D"):
        tag = Tag.objects.create(label=text)
        assert Tag.objects.get(pk=tag.pk).label == text.lower()
        inserts._statements.clear()


def test_placeholder_of_a_field_may_depend_on_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def placeholder(value: Any, *_: Any) -> str:
        return "REPLACE(%s, 'odd', 'odd!')" if value == "odd" else "%s"

    def placeholder_sql(value: Any, *_: Any) -> tuple[str, list[Any]]:
        return placeholder(value), [value]

    label = Tag._meta.get_field("label")
    monkeypatch.setattr(label, "get_placeholder", placeholder, raising=False)
    monkeypatch.setattr(label, "get_placeholder_sql", placeholder_sql, raising=False)
    for text in ("even", "odd"):
        tag = Tag.objects.create(label=text)
        assert Tag.objects.get(pk=tag.pk).label == ("odd!" if text == "odd" else text)
        tag.save()
        assert Tag.objects.get(pk=tag.pk).label == ("odd!" if text == "odd" else text)


def test_fixtures_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    label = Tag._meta.get_field("label")
    Tag.objects.create(label="a")
    monkeypatch.setattr(label, "pre_save", lambda row, add: "changed")
    Tag(pk=6000, label="raw").save_base(raw=True)
    assert Tag.objects.get(pk=6000).label == "raw"


def test_row_without_columns_of_its_own() -> None:
    for _ in range(3):
        assert Bare.objects.filter(pk=Bare.objects.create().pk).exists()


def test_other_database_has_its_own() -> None:
    for alias in ("default", "other", "default", "other"):
        author = Author.objects.using(alias).create(name=alias)
        assert Author.objects.using(alias).get(pk=author.pk).name == alias


@pytest.mark.parametrize("own_class", [True, False])
def test_other_kind_of_database_has_its_own(
    own_class: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    other: Any = connections["other"]
    for _ in range(2):
        Author.objects.using("default").create(name="first")
    if own_class:
        Author.objects.using("other").create(name="first")
        monkeypatch.setattr(other, "__class__", type("Other", (type(other),), {}))
    monkeypatch.setattr(other.ops, "quote_name", lambda name: f"[{name}]")
    sent = sent_though_refused(lambda: Author.objects.using("other").create(name="second"))
    assert sent.startswith("INSERT INTO [")
