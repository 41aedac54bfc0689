"""The benchmark's judge: it takes no miss for a hit, and says what isn't met."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
RIVAL, OTHER = "cachalot-redis", "cacheops-redis"


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """Its modules. They have common names: none is left behind for other tests."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCH))  # before tests/consistency, which has a module of the same name
    import cases
    import page
    import results
    import rounds
    import targets

    yield SimpleNamespace(cases=cases, page=page, results=results, rounds=rounds, targets=targets)
    sys.path.remove(str(BENCH))
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCH)):
            del sys.modules[name]


def result(
    bench: SimpleNamespace,
    name: str,
    times: dict[str, list[float]],
    statements: dict[str, int] | None = None,
) -> Any:
    case = next(case for case in bench.cases.CASES if case.name == name)
    kept = bench.cases.replace(case, variants={one: case.variants[one] for one in times})
    return bench.results.Result(kept, times, statements or dict.fromkeys(times, 0))


def read(bench: SimpleNamespace, hit: float, rival: float, rival_statements: int = 0) -> Any:
    times = {"uncached": [100.0], "hit": [hit], RIVAL: [rival], OTHER: [90.0]}
    found = result(
        bench, "get", times, {"uncached": 1, "hit": 0, RIVAL: rival_statements, OTHER: 0}
    )
    found.check()
    return found


def met(bench: SimpleNamespace, found: Any) -> dict[str, bool]:
    place = bench.results.MeasuredPlace("SQLite", "", 1, [found])
    return {row.target: row.met for row in bench.targets.judged(bench.results.Measured([place]))}


def test_a_read_that_ran_sql_is_no_hit(bench: SimpleNamespace) -> None:
    found = result(bench, "get", {"uncached": [2.0], "hit": [1.0]}, {"uncached": 1, "hit": 1})
    with pytest.raises(SystemExit, match="is no read"):
        found.check()


def test_a_read_of_which_django_runs_no_sql_measures_nothing(bench: SimpleNamespace) -> None:
    found = result(bench, "get", {"uncached": [2.0], "hit": [1.0]}, {"uncached": 0, "hit": 0})
    with pytest.raises(SystemExit, match="is no read"):
        found.check()


def test_a_miss_that_some_cache_answers_is_none(bench: SimpleNamespace) -> None:
    times = {"uncached": [2.0], "fill": [2.0], RIVAL: [1.0]}
    found = result(bench, "miss-1", times, {"uncached": 1, "fill": 1, RIVAL: 0})
    with pytest.raises(SystemExit, match="is no miss"):
        found.check()


def test_rival_that_runs_sql_is_marked_and_is_not_the_best(bench: SimpleNamespace) -> None:
    found = read(bench, 1.0, 10.0, rival_statements=1)
    assert found.best_rival() == OTHER
    assert bench.page.rival_cell(found, RIVAL) == "10.0 (no hit: 1 of 1 queries)"
    assert bench.page.rival_cell(found, OTHER) == "90.0"
    assert read(bench, 1.0, 10.0).best_rival() == RIVAL


def test_rival_whose_reads_stay_stale_is_marked_and_is_not_the_best(bench: SimpleNamespace) -> None:
    found = result(bench, "update", {"absent": [100.0], "on": [100.0], RIVAL: [90.0]})
    found.stale = frozenset({RIVAL})
    found.check()
    assert found.best_rival() is None
    assert bench.page.work_cell(found, RIVAL) == "0.90 (reads stay stale)"


def test_own_read_that_stays_stale_ends_the_benchmark(bench: SimpleNamespace) -> None:
    found = result(bench, "update", {"absent": [100.0], "on": [100.0]})
    found.stale = frozenset({"on"})
    with pytest.raises(SystemExit, match="stale after it"):
        found.check()


def test_target_is_met_at_its_figure_and_not_below(bench: SimpleNamespace) -> None:
    assert set(met(bench, read(bench, 2.0, 80.0)).values()) == {True}
    assert met(bench, read(bench, 2.1, 80.0)) == {
        "50 times as fast as uncached": False,
        "40 times as fast as the best rival's hit (cachalot, Redis)": False,
        "at most 3 us where uncached takes 150": False,
    }


def test_write_has_to_cost_less_than_any_rivals(bench: SimpleNamespace) -> None:
    times = {"absent": [100.0], "on": [104.0], RIVAL: [103.0]}
    assert list(met(bench, result(bench, "save", times)).values()) == [True, False]
    times = {"absent": [100.0], "on": [106.0], RIVAL: [107.0]}
    assert list(met(bench, result(bench, "save", times)).values()) == [False, True]


def test_ratio_is_of_each_round(bench: SimpleNamespace) -> None:
    """A machine that is slow for a while makes no variant slow."""
    times = {"uncached": [100.0, 1000.0, 100.0], "hit": [10.0, 100.0, 10.0]}
    assert result(bench, "get", times).ratio("hit") == 10.0


def test_each_variant_is_first_as_often_as_others(bench: SimpleNamespace) -> None:
    turns = list(bench.rounds.order("abc", 2))
    assert [name for turn, name in turns] == list("abcbcacab")
    assert [turn for turn, _ in turns] == [0] * 3 + [1] * 3 + [2] * 3


@pytest.mark.databases("sqlite")
def test_short_form_measures_a_hit(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH / "run.py"), "--short", "--case", "get", "--check"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "get(pk)" in done.stdout
    assert list(tmp_path.iterdir()) == []
