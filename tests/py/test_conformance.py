"""The judge of conformance/: its comparison sees what differs, its excuses are few."""

import copy
import importlib.util
import sys
from collections import UserDict, namedtuple
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from testapp.models import Author, Book, Country

FOLDER = Path(__file__).parents[2] / "conformance"
EXCUSES = 15


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"conformance_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks there
    spec.loader.exec_module(module)
    return module


difference = load("compare").difference
report = load("report")


class Text(str):
    """A str that is none."""

    __slots__ = ()


Row = namedtuple("Row", "a b")
MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ("a", Text("a")),
        ("a", b"a"),
        (Decimal("1.0"), Decimal("1.00")),
        (MOMENT, MOMENT.replace(tzinfo=None)),
        (MOMENT, MOMENT.astimezone(timezone(timedelta(hours=1)))),
        ((1, 2), [1, 2]),
        ((1, 2), Row(1, 2)),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": {"b": [1, None]}}, {"a": {"b": [1, 0]}}),
        (UserDict(a=1), UserDict(a=2)),
        ({1, "a"}, {1, "b"}),
        (memoryview(b"a"), memoryview(b"b")),
        (None, []),
    ],
)
def test_values_differ(one: Any, other: Any) -> None:
    assert difference([one], [other]) is not None
    assert (
        difference([one], [copy.deepcopy(one) if not isinstance(one, memoryview) else one]) is None
    )


def author(**values: Any) -> Author:
    made = Author(pk=1, name="Ánna", country=Country("DE", "Deutschland"))
    made._state.db = "default"
    made._state.adding = False
    vars(made).update(values)
    return made


def test_equal_instances_do_not_differ() -> None:
    assert difference([author()], [author()]) is None
    assert difference([float("nan")], [float("nan")]) is None


def test_instances_differ_by_class_state_and_attributes() -> None:
    other_database, adding, no_country, deferred = author(), author(), author(), author()
    other_database._state.db = "other"
    adding._state.adding = True
    del no_country._state.fields_cache["country"]
    del deferred.__dict__["rank"]
    others = [
        other_database,
        adding,
        no_country,
        deferred,
        author(extra=1),
        author(name=Text("Ánna")),
    ]
    moved = author()
    vars(moved)["id"] = vars(moved).pop("id")
    related = author()
    related.country.name = "other"
    for other in [*others, moved, related, Book(pk=1)]:
        assert difference([author()], [other]) is not None


def test_what_can_be_changed_must_not_be_shared() -> None:
    value = {"a": [1]}
    instance = author()
    assert difference([value], [value]) is not None
    assert difference([(value,)], [(value,)]) is not None
    assert difference([author(extra=value)], [author(extra=value)]) is not None
    assert difference([instance], [instance]) is not None
    assert difference([value], [value], fresh=False) is None


def test_circles_end() -> None:
    one, other = author(), author()
    one.country._state.fields_cache["back"] = one
    other.country._state.fields_cache["back"] = other
    assert difference([one], [other]) is None
    other.rank = 9
    assert difference([one], [other]) is not None


def test_excuses_are_few_and_have_reasons() -> None:
    lines = (FOLDER / "excused.txt").read_text().splitlines()
    excuses = [line for line in lines if line and not line.startswith("#")]
    assert len(excuses) < EXCUSES
    for line in excuses:
        test, _, reason = line.partition(" ")
        assert test.count(".") >= 2, line
        assert len(reason.split()) >= 4, line


def test_selection_is_part_of_the_labels() -> None:
    labels, selection = (
        {line for line in (FOLDER / name).read_text().splitlines() if not line.startswith("#")}
        for name in ("labels.txt", "selection.txt")
    )
    assert selection
    assert selection < labels


def row(**values: Any) -> Any:
    common = {
        "django": "5.2.19",
        "python": "3.11.7",
        "database": "SQLite 3.40.1",
        "mode": "cached",
        "labels": "all",
        "tests": 10,
        "skipped": 0,
        "hits": 5,
        "counted": ["app.tests.Case.test"],
        "compared": {},
        "differences": [],
        "seconds": 1.0,
    }
    return report.Row(**common | values)


def test_whole_runs_are_kept_one_of_each_kind(tmp_path: Path) -> None:
    kinds = [
        {"mode": mode, "database": database, "django": django}
        for django in ("5.2.19", "6.1.3")
        for database in ("SQLite 3.40.1", "PostgreSQL 15.18")
        for mode in ("cached", "differential")
    ]
    for kind in reversed(kinds):
        report.keep(tmp_path, row(**kind))
        report.keep(tmp_path, row(**kind, labels="selection", tests=1))
    report.keep(tmp_path, row(django="5.2.20", tests=11))
    rows = report.kept(tmp_path)
    assert {each.labels for each in rows} == {"all"}
    assert [(each.mode, each.database, each.django) for each in rows[1:]] == [
        tuple(kind.values()) for kind in kinds[1:]
    ]
    assert (rows[0].django, rows[0].tests) == ("5.2.20", 11)


def test_run_that_proves_nothing_is_bad() -> None:
    compared = {"reads": 1, "querysets": 1, "traced": 1, "traced, own": 1}
    assert not row().is_bad()
    assert row(hits=0).is_bad()
    assert row(defects={"app.tests.Case.test": "Traceback"}).is_bad()
    assert not row(mode="differential", compared=compared).is_bad()
    assert row(mode="differential", compared=compared, differences=[{}]).is_bad()
    without_traces = {**compared, "traced": 0, "traced, own": 0}
    assert row(mode="differential", compared=without_traces).is_bad()
    assert row(mode="differential").is_bad()
