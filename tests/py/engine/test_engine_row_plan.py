"""RowPlan: instances as a plan says, descriptions and rows that can't be followed, and guards."""

import gc
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from django_cache_manager import _engine


class Meta(type):
    pass


class State:
    db = None
    adding = True
    fields_cache: dict[str, Any]


class Setting:
    """A descriptor that sets, as a foreign key's."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else vars(instance)["owner_id"]

    def __set__(self, instance: Any, value: Any) -> None:
        raise AssertionError("never called")


class Thing(metaclass=Meta):
    owner_id = Setting()


class Owner:
    pass


def plan(
    nodes: Any = None,
    annotations: Any = (),
    types: Any = (),
    attributes: Any = (),
    names: Any = (),
    receivers: Any = (),
    state: Any = State,
) -> _engine.RowPlan:
    if nodes is None:
        nodes = ((Thing, (("id", 0, False), ("owner_id", 1, True)), None, None, None, 1),)
    return _engine.RowPlan(state, nodes, annotations, types, attributes, names, receivers)


def related() -> _engine.RowPlan:
    """A thing, its owner (cached both ways), the owner's owner, and another thing beside."""
    fields = (("id", 2, False),)
    return plan(
        (
            (Thing, (("id", 0, False), ("owner_id", 1, True)), None, None, None, 4),
            (Owner, fields, 2, "owner", "thing", 2),
            (Owner, (("id", 3, False),), 3, "boss", None, 1),
            (Thing, (("id", 4, False),), 4, "other", None, 1),
        ),
        (("n", 5),),
    )


def build(made: _engine.RowPlan, rows: list[Any], **options: Any) -> list[Any]:
    found = made.build(rows, "db", **options)
    assert found is not None
    return found


def test_attributes_state_and_their_order() -> None:
    one, other = build(plan(), [(1, 2), [3, None]])
    assert type(one) is Thing
    assert list(vars(one)) == ["_state", "id", "owner_id"]
    assert vars(one._state) == {"fields_cache": {}, "adding": False, "db": "db"}
    assert list(vars(one._state)) == ["fields_cache", "adding", "db"]
    assert (one.id, one.owner_id) == (1, 2)
    assert list(vars(other)) == ["_state", "id", "owner_id"]
    assert vars(other._state) == {"adding": False, "db": "db"}


def test_related_instances_are_cached_both_ways() -> None:
    (thing,) = build(related(), [(1, 2, 3, 4, 5, 6)])
    owner = thing._state.fields_cache["owner"]
    assert list(thing._state.fields_cache) == ["owner", "other"]
    assert list(owner._state.fields_cache) == ["boss", "thing"]
    assert owner._state.fields_cache["thing"] is thing
    assert vars(owner._state.fields_cache["boss"]._state) == {"adding": False, "db": "db"}
    assert (owner.id, owner._state.fields_cache["boss"].id) == (3, 4)
    assert list(vars(thing)) == ["_state", "id", "owner_id", "n"]
    assert thing.n == 6


def test_none_in_the_key_is_no_instance() -> None:
    (thing,) = build(related(), [(1, None, None, 4, None, 6)])
    assert thing._state.fields_cache == {"owner": None, "other": None}


def test_fetch_mode_and_peers() -> None:
    rows = [(1, 2, 3, None, 5, 6), (1, 2, None, None, 5, 6)]
    found = build(related(), rows, fetch_mode="mode", track_peers=True)
    assert [peer() for peer in found[0]._state.peers] == found
    assert found[0]._state.peers is found[1]._state.peers
    owner = found[0]._state.fields_cache["owner"]
    assert [peer() for peer in owner._state.peers] == [owner]
    assert list(vars(owner._state))[:4] == ["adding", "db", "fetch_mode", "peers"]
    assert owner._state.fetch_mode == "mode"


def test_copies_of_mutable_values() -> None:
    value = {"a": [1, (2, [3])], "b": (4, "x")}
    rows = [(value, [value])]
    (one,) = build(plan(), rows, copy=True)
    assert one.id == value
    assert one.owner_id == [value]
    assert one.id is not value
    assert one.id["a"] is not value["a"]
    assert one.id["a"][1][1] is not value["a"][1][1]
    assert one.id["b"] is value["b"]
    (shared,) = build(plan(), rows)
    assert shared.id is value


def test_endless_values_are_an_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(RecursionError):
        plan().build([(endless, 1)], "db", copy=True)
    assert not _engine.copyable([(endless,)])


def test_collector_waits_and_is_left_as_it_was() -> None:
    collections: list[Any] = []

    def note(phase: str, info: Any) -> None:
        collections.append(phase)

    rows = [(n, n) for n in range(5000)]
    made = plan()
    gc.collect()
    gc.callbacks.append(note)
    try:
        found = made.build(rows, "db")
        assert len(collections) <= 2  # the one that waited for the end
    finally:
        gc.callbacks.remove(note)
    assert gc.isenabled()
    gc.disable()
    try:
        made.build(rows, "db")
        assert not gc.isenabled()
        _engine.row_tuples(rows)
        assert not gc.isenabled()
    finally:
        gc.enable()
    del found
    with pytest.raises(ValueError, match="shape"):
        made.build([*rows, (1,)], "db")
    assert gc.isenabled()


def test_instances_are_collected() -> None:
    (thing,) = build(related(), [(1, 2, 3, 4, 5, 6)])
    reference = weakref.ref(thing)
    del thing
    gc.collect()
    assert reference() is None


def seen(thing: Any) -> list[bool]:
    """Whether the collector sees an instance and what hangs on it."""
    owner = thing._state.fields_cache["owner"]
    parts = (thing, vars(thing), thing._state, thing._state.fields_cache)
    inner = (owner, owner._state, owner._state.fields_cache)
    return [gc.is_tracked(part) for part in (*parts, *inner)]


def test_large_list_is_in_the_collectors_sight_afterwards() -> None:
    (one,) = build(related(), [(1, 2, 3, 4, 5, 6)])
    young: list[int] = []

    def look(phase: str, info: Any) -> None:
        objects = gc.get_objects(generation=0) if phase == "start" else ()
        young.append(sum(type(each) in (Thing, Owner, State) for each in objects))

    gc.collect()
    gc.callbacks.append(look)
    try:
        found = build(related(), [(1, 2, 3, 4, 5, 6)] * 1000)
    finally:
        gc.callbacks.remove(look)
    assert young == [0, 0]
    assert gc.get_count()[0] < 200
    assert all(seen(one))
    assert all(all(seen(thing)) for thing in found)
    references = [weakref.ref(thing) for thing in found]
    found.clear()
    gc.collect()
    assert {reference() for reference in references} == {None}


@pytest.mark.parametrize("column", [0, 2, 4, 5])
def test_row_that_fails_within_a_large_list_leaves_nothing(column: int) -> None:
    endless: list[Any] = []
    endless.append(endless)
    row: list[Any] = [1, 2, 3, 4, 5, 6]
    row[column] = endless
    rows = [(1, 2, 3, 4, 5, 6)] * 400
    gc.collect()
    before = sum(type(each) in (Thing, Owner, State) for each in gc.get_objects())
    for _ in range(3):
        with pytest.raises(RecursionError):
            related().build([*rows, row], "db", copy=True)
    gc.collect()
    assert sum(type(each) in (Thing, Owner, State) for each in gc.get_objects()) == before


# --- guards -------------------------------------------------------------------------------------


@pytest.fixture
def kind() -> Iterator[type]:
    class Base:
        pass

    class Kind(Base):
        pass

    return Kind


def test_changed_class_ends_a_plan(kind: type) -> None:
    for owner in (kind, kind.__mro__[1]):
        made = plan(types=(kind,))
        assert made.holds()
        owner.own = 1
        assert not made.holds()
        assert made.build([(1, 2)], "db") is None
        assert plan(types=(kind,)).holds()
        del owner.own


def test_changed_attribute_ends_a_plan(kind: type) -> None:
    kind.__mro__[1].own = first = object()
    made = plan(attributes=((kind, "own", first),))
    kind.other = 1
    assert made.holds()
    kind.own = object()
    assert not made.holds()
    kind.own = first
    assert made.holds()
    del kind.own
    del kind.__mro__[1].own
    assert not made.holds()


def test_changed_name_ends_a_plan() -> None:
    space = {"name": test_changed_name_ends_a_plan}
    present = plan(names=((space, "name", test_changed_name_ends_a_plan),))
    absent = plan(names=((space, "other"),))
    assert present.holds()
    assert absent.holds()
    space["name"] = space["other"] = kind
    assert not present.holds()
    assert not absent.holds()
    space.clear()
    assert not present.holds()
    assert absent.holds()


def test_more_receivers_end_a_plan() -> None:
    receivers: list[Any] = []
    made = plan(receivers=(receivers,))
    receivers.append("one")
    assert not made.holds()
    made = plan(receivers=(receivers,))
    assert made.holds()
    receivers.append("another")
    assert not made.holds()
    made = plan(receivers=(receivers,))
    receivers.clear()
    assert made.holds()


# --- what can't be followed ---------------------------------------------------------------------


class Made:
    def __new__(cls, *args: Any) -> Any:
        return object.__new__(cls)


class Caught:
    def __setattr__(self, name: str, value: Any) -> None:
        raise AssertionError(name)


class Caller(type):
    def __call__(cls, *args: Any) -> Any:
        raise AssertionError(args)


class Called(metaclass=Caller):
    pass


class Slotted:
    __slots__ = ("id",)


def node(**changes: Any) -> tuple[Any, ...]:
    parts = {"model": Thing, "fields": (), "pk": 0, "local": "a", "remote": None, "size": 1}
    return tuple({**parts, **changes}.values())


BAD: dict[str, dict[str, Any]] = {
    "no nodes": {"nodes": ()},
    "nodes are a list": {"nodes": []},
    "a node is short": {"nodes": ((Thing,),)},
    "its class is none": {"nodes": (node(model=1),)},
    **{
        f"its class is {each.__name__}": {"nodes": (node(model=each),)}
        for each in (int, object, dict, Made, Caught, Called, Slotted, type)
    },
    "fields are a list": {"nodes": (node(fields=[]),)},
    "a field is short": {"nodes": (node(fields=(("id", 0),)),)},
    "a name is no str": {"nodes": (node(fields=((b"id", 0, False),)),)},
    "a column is negative": {"nodes": (node(fields=(("id", -1, False),)),)},
    "a column is no int": {"nodes": (node(fields=(("id", "0", False),)),)},
    "a column is past all": {"nodes": (node(fields=(("id", 2**70, False),)),)},
    "a node ends nowhere": {"nodes": (node(size=0),)},
    "a node ends past the end": {"nodes": (node(size=2),)},
    "nodes beside the first": {"nodes": (node(), node())},
    "a node crosses another": {"nodes": (node(size=3), node(), node(size=2))},
    "a node leaves its outer": {"nodes": (node(size=4), node(size=2), node(size=2), node())},
    "a related node has no name": {"nodes": (node(size=2), node(local=None))},
    "a related node has no key": {"nodes": (node(size=2), node(pk=None))},
    "a local name is no str": {"nodes": (node(size=2), node(local=1))},
    "too deep": {"nodes": tuple(node(size=100 - n) for n in range(100))},
    "annotations are none": {"annotations": None},
    "an annotation is short": {"annotations": (("n",),)},
    "an annotation has no name": {"annotations": ((1, 1),)},
    "an annotation has no column": {"annotations": (("n", None),)},
    "types are a list": {"types": []},
    "a type is none": {"types": (1,)},
    "an attribute is short": {"attributes": ((Thing, "name"),)},
    "an attribute has no class": {"attributes": ((1, "name", 1),)},
    "an attribute has no name": {"attributes": ((Thing, 1, 1),)},
    "a name is short": {"names": (({},),)},
    "a name is long": {"names": (({}, "a", 1, 2),)},
    "a name has no namespace": {"names": ((1, "a"),)},
    "a name is a number": {"names": (({}, 1),)},
    "receivers are none": {"receivers": ((),)},
    "a state without a class": {"state": 1},
    "a state of slots": {"state": Slotted},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_description_is_refused(case: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        plan(**BAD[case])


@pytest.mark.parametrize("row", [(), (1,), "ab", None, {0: 1, 1: 2}, range(2)])
def test_row_of_another_shape_is_refused(row: Any) -> None:
    with pytest.raises(ValueError, match="shape"):
        plan().build([(1, 2), row], "db")


def test_arguments_of_build() -> None:
    for rows in (None, (), iter([]), "ab"):
        with pytest.raises(TypeError):
            plan().build(rows, "db")

    class Doubtful:
        def __bool__(self) -> bool:
            raise ArithmeticError

    for name in ("copy", "track_peers"):
        with pytest.raises(ArithmeticError):
            plan().build([], "db", **{name: Doubtful()})
    assert plan().build([], "db") == []


def test_plan_keeps_and_frees_what_it_is_made_of() -> None:
    space: dict[str, Any] = {}
    receivers: list[Any] = [object()]
    before = [sys.getrefcount(each) for each in (space, receivers, State)]
    made = plan(
        types=(Thing,),
        attributes=((Thing, "owner_id", vars(Thing)["owner_id"]),),
        names=((space, "a"), (space, "b", receivers)),
        receivers=(receivers,),
    )
    assert gc.is_tracked(made)
    assert {id(space), id(receivers), id(State)} <= {id(each) for each in gc.get_referents(made)}
    del made
    assert [sys.getrefcount(each) for each in (space, receivers, State)] == before


def test_class_can_not_be_subclassed_or_changed() -> None:
    with pytest.raises(TypeError):
        type("Sub", (_engine.RowPlan,), {})
    with pytest.raises((TypeError, AttributeError)):
        _engine.RowPlan.build = None  # type: ignore[method-assign,assignment]
