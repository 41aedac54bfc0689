"""Whose turn it is in a run."""

from tests.consistency.plan import DATABASES, LASTING, Plan, nemeses_for

SECOND = 10**9
DEADLINE = 1000 * SECOND


def turns(plan: Plan) -> list[set[str]]:
    """What each turn lets loose."""
    begun = DEADLINE - int(plan.seconds * SECOND)
    times = range(begun, DEADLINE, int(plan.turns * SECOND))
    return [set(plan.turn(DEADLINE, time)[1]) for time in times]


def test_each_nemesis_has_a_turn_alone_and_one_together() -> None:
    for database in DATABASES:
        nemeses = nemeses_for(database)
        found = turns(Plan(database, seconds=250, turns=5, nemeses=nemeses))
        assert set(nemeses) in found
        for one in set(nemeses) - LASTING:
            assert {one, *LASTING} in found, f"{one} on {database}"


def test_without_turns_all_are_loose_all_the_time() -> None:
    plan = Plan(seconds=20, nemeses=("kill", "rollback"))
    assert plan.turn(DEADLINE, DEADLINE - 3 * SECOND) == (0, ("kill", "rollback"))


def test_before_the_deadline_is_known_it_is_the_first_turn() -> None:
    plan = Plan(seconds=20, turns=5, nemeses=("kill", "rollback"))
    assert plan.turn(0, DEADLINE) == (0, ("kill", "rollback"))
