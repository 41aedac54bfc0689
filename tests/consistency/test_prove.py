"""Short runs of the checker: the package on each database, and whether the checker can be
believed."""

import dataclasses

import pytest

from tests.consistency import supervisor
from tests.consistency.plan import DATABASES, Plan, nemeses_for

SECONDS = 6.0
ATTEMPTS = 6


def show(result: supervisor.Result) -> str:
    found = [f"{rule}: {text}" for rule, texts in result.verdict.examples.items() for text in texts]
    return "\n".join([result.plan.command(), *found, f"the history is in {result.kept}"])


@pytest.mark.parametrize("database", DATABASES)
def test_no_read_is_stale(database: str) -> None:
    plan = Plan(database, SECONDS, seed=1, processes=6, nemeses=nemeses_for(database))
    result = supervisor.run(plan)
    assert not result.failed, show(result)
    assert result.kills, "no process was killed"


@pytest.mark.parametrize("store", ["redis", "locmem"])
def test_no_read_is_stale_with_the_rows_in_a_django_cache(store: str) -> None:
    nemeses = nemeses_for("sqlite-wal", store)
    plan = Plan("sqlite-wal", SECONDS, seed=4, processes=6, nemeses=nemeses, store=store)
    result = supervisor.run(plan)
    assert not result.failed, show(result)


@pytest.mark.parametrize("database", ["sqlite-wal", "postgresql", "mariadb"])
def test_no_false_alarm_without_a_cache(database: str) -> None:
    plan = Plan(database, 4.0, seed=2, processes=6, nemeses=nemeses_for(database), cache=False)
    result = supervisor.run(plan)
    assert not result.failed, show(result)


QUIET = ("slow-store", "slow-write", "rollback", "savepoint", "hand-off")
BROKEN = {
    "unmarked": {"acknowledged", "order"},
    "settle-before-commit": {"acknowledged", "order"},
    "own-writes-shared": {"rolled-back", "early", "own-write", "order"},
}


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_protocol_is_found(broken: str) -> None:
    plan = Plan("sqlite-wal", 4.0, 1, 5, QUIET, broken=broken, families=("counter", "owned"))
    for seed in range(ATTEMPTS):
        result = supervisor.run(dataclasses.replace(plan, seed=seed), keep=None)
        if BROKEN[broken] & set(result.verdict.violations):
            return
    pytest.fail(f"nothing was found in {ATTEMPTS} runs: {plan.command()}")
