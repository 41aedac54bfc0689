"""The scanner through Python. What it understands is tested in C; here: that all of it arrives."""

import re
from pathlib import Path
from typing import Any

import pytest

from django_cache_manager import _engine

HEADER = Path(__file__).parents[3] / "include" / "qcache" / "sqlscan.h"


def test_flags_are_those_of_the_header() -> None:
    flags = re.findall(r"QC_SQL_(\w+) =\s*1 << (\d+)", HEADER.read_text())
    assert len(flags) == 21
    assert {name: getattr(_engine, name) for name, _ in flags} == {
        name: 1 << int(shift) for name, shift in flags
    }
    assert (_engine.SQLITE, _engine.POSTGRESQL, _engine.MYSQL) == (0, 1, 2)


@pytest.mark.parametrize("dialect", [_engine.SQLITE, _engine.POSTGRESQL])
def test_names_and_flags_arrive(dialect: int) -> None:
    scan = _engine.scan(
        'INSERT INTO "app_City" ("name") SELECT lower("x") FROM country, "Größe"'
        " WHERE a IN (SELECT b FROM third) RETURNING id",
        dialect,
    )
    assert scan.flags & _engine.WRITE
    assert scan.flags & _engine.RETURNING
    assert not scan.flags & (_engine.UNKNOWN | _engine.DDL | _engine.COMMIT)
    assert set(scan.writes) == {"app_city"}
    assert set(scan.reads) == {"country", "größe", "third"}
    assert scan.functions == ("lower",)
    assert {type(scan.reads), type(scan.writes), type(scan.functions)} == {tuple}


def test_read_writes_nothing() -> None:
    scan = _engine.scan("SELECT 1 FROM a", _engine.SQLITE)
    assert scan.flags == _engine.READ
    assert (scan.reads, scan.writes, scan.functions) == (("a",), (), ())
    assert repr(scan) == f"<Scan flags={_engine.READ} reads=('a',) writes=() functions=()>"


def test_scans_do_not_run_together() -> None:
    first = _engine.scan("UPDATE a SET b = f(1)", _engine.SQLITE)
    second = _engine.scan("SELECT 1", _engine.SQLITE)
    assert (second.flags, second.reads, second.writes, second.functions) == (
        _engine.READ,
        (),
        (),
        (),
    )
    assert first.writes == ("a",)


@pytest.mark.parametrize("sql", ["", "no sql at all", "\0", "SELECT '", "/*", "$a$", "é", "\ud800"])
def test_what_is_no_sql_is_no_error(sql: str) -> None:
    scan = _engine.scan(sql, _engine.POSTGRESQL)
    assert scan.writes == ()
    assert not scan.flags & _engine.WRITE


def test_lone_surrogate_hides_no_write() -> None:
    scan = _engine.scan("SELECT '\ud800'; DELETE FROM a", _engine.SQLITE)
    assert scan.writes == ("a",)


def test_large_sql_is_scanned() -> None:
    scan = _engine.scan("INSERT INTO a VALUES " + ", ".join(["(%s, 'text')"] * 100_000), 0)
    assert scan.writes == ("a",)
    tables = ", ".join(f"table_{i}" for i in range(1000))
    assert len(_engine.scan(f"SELECT 1 FROM {tables}", 0).reads) == 1000


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((b"SELECT 1", 0), TypeError),
        ((None, 0), TypeError),
        (("SELECT 1", "0"), TypeError),
        (("SELECT 1", 3), OverflowError),
        (("SELECT 1", -1), OverflowError),
        (("SELECT 1",), TypeError),
        (("SELECT 1", 0, 0), TypeError),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        _engine.scan(*arguments)


def test_scan_is_only_made_by_scanning() -> None:
    with pytest.raises(TypeError):
        _engine.Scan()
    with pytest.raises(AttributeError):
        _engine.scan("SELECT 1", 0).flags = 1  # type: ignore[misc]
