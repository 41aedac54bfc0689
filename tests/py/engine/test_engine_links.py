"""link: instances are told which objects their keys mean, where all is plain."""

from typing import Any

import pytest
from traced_world import Answer, Plan, World

from django_cache_manager import _engine


class Column:
    """A descriptor that doesn't set, as a model's field has."""


class Key:
    """One that sets, as a foreign key's."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self

    def __set__(self, instance: Any, value: Any) -> None:
        raise AssertionError("never called")


class State:
    db: Any = None
    adding = True


class Owner:
    id = Column()

    def __init__(self, key: Any, db: Any = "db") -> None:
        self._state = state(db)
        self.id = key


class Thing:
    owner_id = Key()

    def __init__(self, key: Any, db: Any = "db") -> None:
        self._state = state(db)
        vars(self)["owner_id"] = key


def state(db: Any) -> Any:
    made = State()
    made.db = db
    made.fields_cache = {}  # type: ignore[attr-defined]
    return made


FIELD = object()
LINK = (FIELD, "owner_id", "owner", Owner, "id", (Column,))


def cached(thing: Thing) -> Any:
    return thing._state.fields_cache


def test_objects_are_cached() -> None:
    owners = {1: Owner(1), 2: Owner(2)}
    things = [Thing(1), Thing(2), Thing(3), Thing(1)]
    assert _engine.link(things, owners, LINK)
    assert [cached(thing).get("owner") for thing in things] == [
        owners[1],
        owners[2],
        None,
        owners[1],
    ]
    assert [vars(thing)["owner_id"] for thing in things] == [1, 2, 3, 1]


def test_the_key_is_the_objects_own() -> None:
    number = 10**20
    thing = Thing(int(str(number)))
    owner = Owner(number)
    assert _engine.link([thing], {number: owner}, LINK)
    assert vars(thing)["owner_id"] is owner.id
    assert list(vars(thing)) == ["_state", "owner_id"]


def test_what_is_cached_stays() -> None:
    thing, known = Thing(1), Owner(1)
    cached(thing)["owner"] = known
    assert _engine.link([thing], {1: Owner(1)}, LINK)
    assert cached(thing)["owner"] is known


class Foreign:
    """Of another class."""

    id = Column()
    _state = None


class Computed(Owner):
    id = property(lambda self: 7)  # type: ignore[assignment]

    def __init__(self) -> None:
        self._state = state("db")
        vars(self)["id"] = 1


def without(owner: Any, name: str) -> Any:
    del vars(owner)[name]
    return owner


NOT_PLAIN: dict[str, tuple[Any, Any]] = {
    "another class": (Thing(1), {1: Foreign()}),
    "a key that is computed": (Thing(1), {1: Computed()}),
    "an object without its key": (Thing(1), {1: without(Owner(1), "id")}),
    "an object without a state": (Thing(1), {1: without(Owner(1), "_state")}),
    "an object of another database": (Thing(1), {1: Owner(1, "other")}),
    "an instance of another database": (Thing(1, "other"), {1: Owner(1)}),
    "a key that is None": (Thing(None), {None: Owner(None)}),
    "a key that is deferred": (without(Thing(1), "owner_id"), {1: Owner(1)}),
    "an instance without a state": (without(Thing(1), "_state"), {1: Owner(1)}),
    "no dict": (Thing(1), [Owner(1)]),
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_is_left_to_django(name: str) -> None:
    thing, related = NOT_PLAIN[name]
    plain = Thing(2)
    before = dict(vars(thing))
    assert not _engine.link([thing, plain], related, LINK)
    assert vars(thing) == before
    assert cached(plain) == {}
    assert not hasattr(thing, "_state") or cached(thing) == {}


class Failing:
    def __hash__(self) -> int:
        raise LookupError("of its own")


def test_errors_are_raised() -> None:
    with pytest.raises(LookupError, match="of its own"):
        _engine.link([Thing(Failing())], {1: Owner(1)}, LINK)
    for arguments in (
        (Thing(1), {}, LINK),
        ([], {}, LINK[:5]),
        ([], {}, list(LINK)),
        *(([], {}, (*LINK[:place], 5, *LINK[place + 1 :])) for place in range(1, 6)),
    ):
        with pytest.raises(TypeError, match="link"):
            _engine.link(*arguments)  # type: ignore[arg-type]


# --- in an answer -------------------------------------------------------------------------------


class Row:
    _state: Any


def plan() -> Plan:
    made = Plan()
    fields = (("id", 0, False), ("owner_id", 1, True))
    nodes = ((Row, fields, None, None, None, 1),)
    made.native = _engine.RowPlan(State, nodes, (), (Row,), (), (), ())
    made.links = (("another", *LINK[1:]), "none", LINK)
    return made


@pytest.fixture
def world() -> World:
    world = World()
    answer = Answer(None, [(5, 1)], False, lambda *_: ["by Django"], b"", 0, plan(), [None])
    world.remember(_engine.ONE, 5, answer=answer)
    return world


def ask(world: World, related: Any) -> Any:
    queryset = world.queryset()
    queryset._known_related_objects = related
    return world.answers.answer(queryset, _engine.ONE, {"pk": 5})


def test_answer_is_linked(world: World) -> None:
    owner = Owner(1, "default")
    for _ in range(4):
        found = ask(world, {FIELD: {1: owner}})
        assert found._state.fields_cache == {"owner": owner}
        other = ask(world, {FIELD: {2: owner}})
        assert other._state.fields_cache == {}


def test_answer_is_left_to_django(world: World) -> None:
    owner = Owner(1, "default")
    assert ask(world, {"field": {1: owner}}) == "by Django"
    assert ask(world, {FIELD: {1: Owner(1, "other")}}) == "by Django"
    assert ask(world, [owner]) == "by Django"
    world.router.routers.append(object())  # it might say which objects may be related
    queryset = world.queryset()
    queryset._db = "default"
    queryset._known_related_objects = {FIELD: {1: owner}}
    assert world.answers.answer(queryset, _engine.ONE, {"pk": 5}) == "by Django"
