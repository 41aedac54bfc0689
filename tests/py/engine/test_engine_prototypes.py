"""Prototypes: rows that are used again give instances that can't be told from those of their first
use."""

import datetime
import gc
import weakref
from typing import Any

import pytest
from test_engine_row_plan import Owner, Thing, plan, related
from traced_world import Answer, Plan, World

from django_cache_manager import _engine

ROWS: list[Any] = [(n, n + 1, n + 2, None, n + 4, f"{n}") for n in range(3)]
MOMENT = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


def answer(rows: list[Any], made: _engine.RowPlan, copies: bool = False) -> Answer:
    python = Plan()
    python.native = made
    items = lambda *_: ["by Django"]  # noqa: E731
    return Answer(None, rows, copies, items, b"", 0, python, [None])


def ask(world: World) -> Any:
    return world.answers.answer(world.queryset(), _engine.ITEMS)


def described(instance: Any) -> Any:
    """All there is of an instance, in its order; of those around it what they are."""
    state = instance._state
    cache = vars(state).get("fields_cache")
    return (
        type(instance),
        [(name, value) for name, value in vars(instance).items() if name != "_state"],
        list(vars(instance)),
        [(name, value) for name, value in vars(state).items() if name != "fields_cache"],
        cache and [(name, value and type(value)) for name, value in cache.items()],
        cache and [vars(value)["id"] for value in cache.values() if value is not None],
        gc.is_tracked(vars(instance)),
        gc.is_tracked(instance),
    )


@pytest.mark.parametrize("count", [1, 3, 300])
@pytest.mark.parametrize("make", [plan, related])
def test_instances_are_the_same_each_time(make: Any, count: int) -> None:
    world, known = World(), answer([ROWS[n % 3] for n in range(count)], make())
    world.remember(_engine.ITEMS, number=1, answer=known)
    first = [described(each) for each in ask(world)]
    for _ in range(3):
        found = ask(world)
        assert [described(each) for each in found] == first
    assert len(known.prototypes[0]) == 1 + count * (1 if make is plan else 4)
    assert found[0]._state is not ask(world)[0]._state


def test_made_at_the_second_use() -> None:
    world, known = World(), answer(ROWS, plan())
    world.remember(_engine.ITEMS, number=1, answer=known)
    size = world.cache.bytes
    ask(world)
    assert known.prototypes == [known.plan.native]
    assert world.cache.bytes == size
    ask(world)
    assert [dict(each, _state=0) for each in known.prototypes[0][1:]] == [
        {"_state": 0, "id": row[0], "owner_id": row[1]} for row in ROWS
    ]
    assert not any(map(gc.is_tracked, known.prototypes[0][1:]))
    assert world.cache.bytes > size + 3 * 100


def test_instances_are_nobody_elses() -> None:
    world, known = World(), answer(ROWS, plan())
    world.remember(_engine.ITEMS, number=1, answer=known)
    for _ in range(4):
        for each in ask(world):
            assert vars(each)["owner_id"] == each.id + 1
            vars(each)["owner_id"] = "changed"
            del each.id
            each.more = 1


def test_instances_are_collected() -> None:
    world = World()
    world.remember(_engine.ITEMS, number=1, answer=answer(ROWS * 100, related()))
    for _ in range(4):
        found = ask(world)
        found[0].itself = found[0]
        gone = weakref.ref(found[0])
        del found
        gc.collect()
        assert gone() is None


def test_lists_and_dicts_are_copied_for_each() -> None:
    rows: list[Any] = [(1, ["a"])]
    world, known = World(), answer(rows, plan(), copies=True)
    world.remember(_engine.ITEMS, number=1, answer=known)
    for _ in range(4):
        (found,) = ask(world)
        vars(found)["owner_id"].append("b")
    assert rows == [(1, ["a"])]
    assert known.prototypes == [None]


def test_another_plan_goes_without() -> None:
    world, known = World(), answer(ROWS, plan())
    world.remember(_engine.ITEMS, number=1, answer=known)
    for _ in range(3):
        ask(world)
    size = world.cache.bytes
    fields = (("owner_id", 0, True), ("id", 1, False))
    known.plan.native = plan(((Thing, fields, None, None, None, 1),))
    for _ in range(4):
        assert list(vars(ask(world)[0])) == ["_state", "owner_id", "id"]
    assert known.prototypes == [False]
    assert world.cache.bytes == size


def test_another_plan_before_they_are_made() -> None:
    world, known = World(), answer(ROWS, plan())
    world.remember(_engine.ITEMS, number=1, answer=known)
    ask(world)
    known.plan.native = plan(((Owner, (("id", 2, False),), None, None, None, 1),))
    for _ in range(4):
        assert [type(each) for each in ask(world)] == [Owner] * 3
        assert [each.id for each in ask(world)] == [2, 3, 4]
    assert len(known.prototypes[0]) == 4


def test_what_would_be_too_large_is_not_made() -> None:
    rows = [(n, n) for n in range(4000)]
    world, known = World(), answer(rows, plan())
    world.cache.max_bytes = 1 << 20
    world.remember(_engine.ITEMS, number=1, answer=known)
    for _ in range(4):
        assert [each.id for each in ask(world)] == list(range(4000))
    assert known.prototypes == [False]
    assert len(world.cache) == 1


def test_a_row_that_fails_leaves_none() -> None:
    world, known = World(), answer([(1, 2), (3,)], plan())
    world.remember(_engine.ITEMS, number=1, answer=known)
    for _ in range(3):
        with pytest.raises(ValueError, match="shape"):
            ask(world)
    assert known.prototypes == [known.plan.native]


def test_holders_that_are_none() -> None:
    for holder in (None, [], [None, None], (None,)):
        world = World()
        known = answer(ROWS, plan())._replace(prototypes=holder)
        world.remember(_engine.ITEMS, number=1, answer=known)
        for _ in range(3):
            assert [each.id for each in ask(world)] == [0, 1, 2]


def test_a_holder_of_somebody_elses() -> None:
    made = plan()
    for item in ((made, {}), (object(), {}, {}, {}), 5, {}):
        world, known = World(), answer(ROWS, made)
        known.prototypes[0] = item
        world.remember(_engine.ITEMS, number=1, answer=known)
        for _ in range(3):
            assert [each.id for each in ask(world)] == [0, 1, 2]
