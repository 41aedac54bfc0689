"""The runner of `make mutants`: it tells a fault that nobody notices, and one that is none."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CATALOG = "django_cache_manager/catalog.py"
CATCHER = "tests/py/test_sqlite.py::test_hand_made_cascade_is_part_of_the_write"

FAULTS = f'''
[[fault]]
name = "noticed"
breaks = "cascades"
caught_by = ["{CATCHER}"]
edit = [{{file = "{CATALOG}", old = "self.cascades.get(table, ())", new = "()"}}]

[[fault]]
name = "equivalent"
breaks = "nothing"
caught_by = ["{CATCHER}"]
edit = [{{file = "{CATALOG}", old = "waiting.pop()", new = "waiting.pop(-1)"}}]

[[fault]]
name = "moved"
breaks = "a text that is no longer there"
caught_by = ["{CATCHER}"]
edit = [{{file = "{CATALOG}", old = "no such text", new = ""}}]

[[fault]]
name = "not Python"
breaks = "everything, so it shows nothing"
caught_by = ["{CATCHER}"]
edit = [{{file = "{CATALOG}", old = "while waiting:", new = "while waiting"}}]
'''


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "mutants" / "run.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.databases("sqlite-wal")
def test_survivors_and_faults_that_are_none_are_told(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text(FAULTS)
    before = (ROOT / "django_cache_manager" / "catalog.py").read_text()
    done = run("--named", f"--faults={faults}")
    told = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert done.returncode == 1
    assert CATCHER in told["noticed"]
    assert told["equivalent"].endswith("SURVIVED")
    assert told["moved"].endswith("UNUSABLE")
    assert told["not Python"].endswith("UNUSABLE")
    assert "noticed" not in done.stderr
    assert "equivalent survived: nothing" in done.stderr
    assert "moved: django_cache_manager/catalog.py has its text 0 times" in done.stderr
    assert "4 faults, 1 survived" in done.stdout
    assert (ROOT / "django_cache_manager" / "catalog.py").read_text() == before


@pytest.mark.databases("sqlite-wal")
def test_catcher_that_fails_anyway_is_told(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text(FAULTS.replace(CATCHER, "tests/py/test_sqlite.py::test_not_there"))
    done = run("--named", f"--faults={faults}", "noticed")
    assert done.returncode == 1
    assert "no test fails, and yet they don't pass" in done.stderr


def test_every_fault_names_tests_and_models_that_exist() -> None:
    """The texts are held by the runs; names of variants here, where it is cheap."""
    done = run("--list")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 30
