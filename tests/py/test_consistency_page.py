"""docs/consistency.md: each rule of the protocol has its row, and what a row names is there."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.databases("sqlite")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "consistency.md"
# The numbers of the protocol's sections and rules; section 7 is about cost.
RULES = [
    "1",
    *("2", *(f"2.{number}" for number in range(1, 10))),
    *("3", *(f"3.{number}" for number in range(1, 4))),
    *("4", *(f"4.{number}" for number in range(1, 6))),
    *("5", "6"),
]
SOURCES = ("django_cache_manager/*.py", "src/*/*.[ch]", "include/qcache/*.h", "ext/*.c")
CELLS = 6


def rows() -> dict[str, list[str]]:
    """Rule -> the cells of its row."""
    found: dict[str, list[str]] = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == CELLS and re.fullmatch(r"\d(\.\d)?", cells[0]):
            assert cells[0] not in found, f"two rows of rule {cells[0]}"
            found[cells[0]] = cells
    return found


def defines(path: Path, name: str) -> bool:
    text = path.read_text()
    if path.suffix == ".py":
        return re.search(rf"^\s*(async )?def {name}\(|^_?{name} = ", text, re.MULTILINE) is not None
    return re.search(rf"^[a-z].*\b{name}\(", text, re.MULTILINE) is not None


def test_every_rule_has_a_row() -> None:
    assert list(rows()) == RULES


@pytest.mark.parametrize("rule", RULES)
def test_tests_and_functions_of_a_row_exist(rule: str) -> None:
    _, says, code, tests, databases, mariadb = rows()[rule]
    assert says
    assert re.fullmatch("S?( ?P)?( ?M)?", databases)
    assert databases
    named = re.findall(r"`([^`]+)`", tests + mariadb)
    assert named, "no test"
    for test in named:
        path, _, name = test.partition("::")
        assert name.startswith("test_")
        assert (ROOT / path).is_file(), test
        assert defines(ROOT / path, name), test
    functions = re.findall(r"`([^`]+)`", code)
    assert functions, "no code"
    for function in functions:
        path, _, name = function.partition(": ")
        assert (ROOT / path).is_file(), function
        assert defines(ROOT / path, name), function


@pytest.mark.parametrize("rule", RULES)
def test_code_names_the_rule(rule: str) -> None:
    number = re.escape(rule)
    spelt = re.compile(rf"PROTOCOL[^)]{{0,60}}?(?<![\d.]){number}(?![\d.]*\d)", re.DOTALL)
    texts = [path.read_text() for pattern in SOURCES for path in ROOT.glob(pattern)]
    assert any(spelt.search(text) for text in texts)
