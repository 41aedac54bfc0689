"""Traces, standings, hits by them: what is answered, what is left to Python, bad arguments."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from traced_world import KEPT, MISS, PLAIN, Answer, Connection, Item, Plan, Queryset, Router, World

from django_cache_manager import _engine


@pytest.fixture
def world() -> World:
    world = World()
    for kind in (_engine.ONE, _engine.COUNT):
        world.remember(kind, 5)
    return world


# --- traces -------------------------------------------------------------------------------------


def test_trace_keeps_what_it_is_made_of() -> None:
    trace = _engine.Trace("shape", (1,), ("call",))
    assert (trace.shape, trace.values, trace.calls) == ("shape", (1,), ("call",))
    with pytest.raises(AttributeError):
        trace.values = ()


@pytest.mark.parametrize("values", [[], None, 5])
def test_trace_of_anything_else_raises(values: Any) -> None:
    with pytest.raises(TypeError, match="values must be a tuple"):
        _engine.Trace("shape", values, ())
    with pytest.raises(TypeError, match="calls must be a tuple"):
        _engine.Trace("shape", (), values)


def test_known_filter_is_put_to_the_trace(world: World) -> None:
    kwargs = {"pk": 5}
    trace = world.root.filtered(Queryset.filter, kwargs, PLAIN)
    assert trace.shape is world.filtered
    assert trace.values == (5,)
    assert trace.calls == ((Queryset.filter, (), kwargs),)
    assert world.root.filtered(Queryset.filter, {"pk": "5"}, PLAIN) is None
    assert world.root.filtered(Queryset.filter, {"id": 5}, PLAIN) is None
    assert world.root.filtered(Queryset.get, {"pk": 5}, PLAIN) is None
    assert world.root.filtered(Queryset.filter, {"pk": 5.0}, PLAIN) is NotImplemented
    assert trace.filtered(Queryset.filter, {"pk": 5}, PLAIN) is None


def test_trace_of_too_many_values_is_not_known(world: World) -> None:
    values = (1,) * _engine.TRACE_VALUES_MAX
    assert (
        _engine.Trace(world.shape, values, ()).filtered(Queryset.filter, {"pk": 5}, PLAIN) is None
    )
    trace = _engine.Trace(world.shape, values[1:], ()).filtered(Queryset.filter, {"pk": 5}, PLAIN)
    assert len(trace.values) == _engine.TRACE_VALUES_MAX


def test_keywords_that_change_while_they_are_read(world: World) -> None:
    """A type's own hash is run for it."""
    kwargs: dict[str, Any] = {}

    class Hashing(type):
        def __hash__(cls) -> int:
            kwargs.clear()
            return 5

    class Value(metaclass=Hashing):
        pass

    plain = frozenset({Value, int})
    for others in (0, 1, 5):
        kwargs.update({f"name{n}": n for n in range(others)}, value=Value())
        kwargs.update({f"other{n}": n for n in range(others)})
        found = world.root.filtered(Queryset.filter, kwargs, plain)
        assert found is NotImplemented or found is None


@pytest.mark.parametrize("children", [None, [], {1: 2}.keys()])
def test_shape_that_is_none(children: Any) -> None:
    class Shape:
        pass

    shape: Any = Shape()
    with pytest.raises(AttributeError):
        _engine.Trace(shape, (), ()).filtered(None, {"pk": 5}, PLAIN)
    shape.children = children
    with pytest.raises(TypeError, match="children must be a dict"):
        _engine.Trace(shape, (), ()).filtered(None, {"pk": 5}, PLAIN)


# --- querysets ----------------------------------------------------------------------------------


def test_queryset_of_a_manager(world: World) -> None:
    world.manager._db, world.manager._hints = "other", {"instance": None}
    queryset = world.queryset()
    assert type(queryset) is Queryset
    assert queryset._trace is world.root
    assert (queryset._db, queryset._hints) == ("other", {"instance": None})
    assert queryset._known_related_objects == {}
    assert queryset._known_related_objects is not world.queryset()._known_related_objects
    world.manager._hints = {}
    assert world.queryset()._hints is not world.manager._hints


def test_manager_that_says_something_is_left_alone(world: World) -> None:
    assert _engine.pristine(world.manager, {}) is None
    world.manager.model = int
    assert world.queryset() is None
    world.manager.model = Item
    world.shape.ordering = ["name"]
    assert world.queryset() is None
    world.shape.ordering = ()
    world.manager.caching = None  # type: ignore[attr-defined]
    assert world.queryset() is None
    del world.manager.caching  # type: ignore[attr-defined]
    assert world.queryset() is not None


def test_queryset_like_another(world: World) -> None:
    before = world.queryset()
    before._db, before._for_write, before.rest = "other", True, 1
    trace = world.root.filtered(Queryset.filter, {"pk": 5}, PLAIN)
    queryset = _engine.unbuilt(before, trace, KEPT)
    assert queryset._trace is trace
    assert (queryset._db, queryset._for_write) == ("other", True)
    assert not hasattr(queryset, "rest")
    assert queryset._hints == {}
    del before._prefetch_related_lookups
    with pytest.raises(KeyError, match="_prefetch_related_lookups"):
        _engine.unbuilt(before, trace, KEPT)
    del before._hints
    with pytest.raises(KeyError, match="_hints"):
        _engine.unbuilt(before, trace, KEPT)
    with pytest.raises(TypeError, match="trace must be a Trace"):
        _engine.unbuilt(before, "trace", KEPT)
    with pytest.raises(AttributeError, match="__dict__"):
        _engine.unbuilt(5, trace, KEPT)


def test_trace_of_a_queryset(world: World) -> None:
    queryset = world.queryset()
    assert _engine.plain_trace(queryset) is world.root
    for name, value in (
        ("_deferred_filter", (False, (), {})),
        ("_fields", ()),
        ("_iterable_class", tuple),
        ("_cloning_enabled", False),
        ("_trace", 5),
    ):
        queryset = world.queryset()
        setattr(queryset, name, value)
        assert _engine.plain_trace(queryset) is NotImplemented
    queryset._trace = None
    assert _engine.plain_trace(queryset) is None
    del queryset._trace
    assert _engine.plain_trace(queryset) is None
    with pytest.raises(AttributeError):
        _engine.plain_trace(5)


def test_trace_that_goes_while_it_is_looked_at(world: World) -> None:
    class Shape:
        @property
        def attributes(self) -> Any:
            queryset._trace = [_engine.Trace(None, (), ()) for _ in range(50)]
            return vars(queryset)

    queryset = world.queryset()
    trace = queryset._trace = _engine.Trace(Shape(), (), ())
    del trace
    found = _engine.plain_trace(queryset)
    assert type(found.shape) is Shape


# --- hits ---------------------------------------------------------------------------------------


def test_hit(world: World) -> None:
    hits = world.segment.stats()["hits"]
    assert world.get(pk=5) == "the value"
    assert world.ask(pk=5) == "the value"
    queryset = world.answers.filter(world.queryset(), Queryset.filter, {"pk": 5})
    assert world.answers.answer(queryset, _engine.COUNT) == "the value"
    assert world.answers.find(queryset, queryset._trace, _engine.COUNT, "default") == "the value"
    by_manager: Any = world.answers.manager_filter(
        world.manager, world.filter_guards, Queryset.filter, {"pk": 5}
    )
    assert world.answers.answer(by_manager, _engine.COUNT) == "the value"
    assert vars(by_manager).keys() == vars(queryset).keys()
    assert world.segment.stats()["hits"] == hits + 5


def test_miss(world: World) -> None:
    assert world.get(pk=6) is world.ask(pk=6) is MISS
    world.segment.end_write(world.segment.begin_write(world.segment.cells(["item"])))
    assert world.get(pk=5) is world.ask(pk=5) is MISS
    queryset = world.answers.filter(world.queryset(), Queryset.filter, {"pk": 5})
    assert world.answers.find(queryset, queryset._trace, _engine.ONE, "default") is MISS


def test_segment_that_is_retired_is_not_looked_into(world: World) -> None:
    world.segment.retire()
    assert world.get(pk=5) is world.ask(pk=5) is NotImplemented


def test_call_that_is_not_known(world: World) -> None:
    wrong: dict[str, Any]
    for wrong in ({"pk": "5"}, {"pk": 5.0}, {"id": 5}, {}):
        assert world.get(**wrong) is world.ask(**wrong) is NotImplemented


def test_aggregate_is_a_dict_of_ones_own(world: World) -> None:
    kept = {"sum": 5}
    world.remember(
        _engine.AGGREGATE, number=1, answer=Answer(kept, None, False, None, b"", 0, None)
    )
    found = world.answers.answer(world.queryset(), _engine.AGGREGATE)
    assert found == kept
    assert found is not kept


def test_items_are_made_as_the_answer_says(world: World) -> None:
    asked = []

    def items(*said: Any) -> list[Any]:
        asked.append(said)
        return ["first", "second"]

    answer = Answer("links", [(1,)], True, items, b"", 0, None)
    for kind in (_engine.ITEMS, _engine.LEVEL, _engine.FIRST):
        world.remember(kind, number=1, answer=answer)
    queryset = world.queryset()
    assert world.answers.answer(queryset, _engine.ITEMS) == ["first", "second"]
    assert world.answers.answer(queryset, _engine.LEVEL) == (["first", "second"], "links")
    assert world.answers.answer(queryset, _engine.FIRST) == "first"
    assert asked == [(queryset, "default", [(1,)], True)] * 3
    world.remember(_engine.ONE, 5, answer=answer)
    assert world.ask(pk=5) == "first"
    assert world.get(pk=5) is NotImplemented  # there is no queryset to make them with


def test_items_that_are_none_or_wrong(world: World) -> None:
    for made, expected in (([], None), ((1,), TypeError), (None, TypeError)):
        answer = Answer(None, [], False, lambda *_, made=made: made, b"", 0, None)
        world.remember(_engine.FIRST, number=1, answer=answer)
        raises: Any = pytest.raises(TypeError) if expected else contextlib.nullcontext()
        with raises:
            assert world.answers.answer(world.queryset(), _engine.FIRST) is None

    def fails(*_: Any) -> None:
        raise LookupError("of its own")

    answer = Answer(None, [], False, fails, b"", 0, None)
    world.remember(_engine.FIRST, number=1, answer=answer)
    with pytest.raises(LookupError, match="of its own"):
        world.answers.answer(world.queryset(), _engine.FIRST)


EMPTY = threading.local()


class Thing:
    _state: Any


def a_plan() -> Plan:
    plan = Plan()
    fields = (("id", 0, False), ("tags", 1, False))
    plan.native = _engine.RowPlan(
        Item, ((Thing, fields, None, None, None, 1),), (), (Thing,), (), (), ()
    )
    return plan


def test_instances_are_made_by_their_plan(world: World) -> None:
    def items(*_: Any) -> list[Any]:
        return ["by Django"]

    plan, rows = a_plan(), [(5, ["a"])]
    answer = Answer(None, rows, True, items, b"", 0, plan)
    world.remember(_engine.ONE, 5, answer=answer)
    for found in (world.get(pk=5), world.ask(pk=5)):
        assert type(found) is Thing
        assert vars(found) == {"_state": found._state, "id": 5, "tags": ["a"]}
        assert found.tags is not rows[0][1]
        assert found._state.db == "default"
    related = world.queryset()
    related._known_related_objects = {"field": {}}
    assert world.answers.answer(related, _engine.ONE, {"pk": 5}) == "by Django"
    Thing.changed = True  # type: ignore[attr-defined]
    assert world.ask(pk=5) == "by Django"
    assert world.get(pk=5) is NotImplemented


class Mode:
    track_peers: Any = False


def test_fetch_mode_is_the_querysets(world: World) -> None:
    answer = Answer(None, [(5, 1)], False, lambda *_: ["by Django"], b"", 0, a_plan())
    world.remember(_engine.ONE, 5, answer=answer)
    mode = Mode()
    world.shape.attributes["_fetch_mode"] = mode
    for found in (world.get(pk=5), world.ask(pk=5)):
        assert found._state.fetch_mode is mode
        assert not hasattr(found._state, "peers")
    mode.track_peers = True
    assert len(world.get(pk=5)._state.peers) == 1
    mode.track_peers = "perhaps"
    assert world.ask(pk=5) == "by Django"
    assert world.get(pk=5) is NotImplemented


@contextlib.contextmanager
def changed(owner: Any, name: str, value: Any) -> Iterator[None]:
    own = vars(owner)
    before = own.get(name, MISS)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is MISS:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


@contextlib.contextmanager
def entry(owner: dict[str, Any], name: str, value: Any) -> Iterator[None]:
    before = owner.get(name, MISS)
    owner[name] = value
    try:
        yield
    finally:
        if before is MISS:
            del owner[name]
        else:
            owner[name] = before


@contextlib.contextmanager
def uncached(world: World) -> Iterator[None]:
    token = world.depth.set(1)
    try:
        yield
    finally:
        world.depth.reset(token)


CHANGES: dict[str, Callable[[World], Any]] = {
    "a loop": lambda world: changed(world, "loop", object()),
    "somebody listens": lambda world: changed(world.captures, "found", []),
    "no connection": lambda world: changed(world.local, "_storage", EMPTY),
    "another storage": lambda world: changed(world.local, "_storage", world.captures),
    "no standing": lambda world: entry(vars(world.connection), "_cache_manager_standing", None),
    "a transaction": lambda world: changed(world.driver, "in_transaction", True),
    "a driver that can't tell": lambda world: changed(
        type(world.driver), "in_transaction", Failing()
    ),
    "another driver": lambda world: changed(world.connection, "connection", object()),
    "a driver not met": lambda world: changed(world.state, "driver", object()),
    "another session": lambda world: changed(world.state, "session", object()),
    "a doubtful session": lambda world: changed(world.state.session, "doubtful", True),
    "a session that is off": lambda world: changed(world.state.session, "off", "why"),
    "another level": lambda world: changed(world.state.session, "level", "another"),
    "an error": lambda world: changed(world.state, "errored", True),
    "a write": lambda world: changed(world.state, "dirty", {"item"}),
    "any table": lambda world: changed(world.state, "dirty", None),
    "a broken block": lambda world: changed(world.connection, "needs_rollback", True),
    "queries forbidden": lambda world: changed(world.connection, "cursor", None),
    "connections forbidden": lambda world: changed(Connection, "ensure_connection", None),
    "another thread's": lambda world: changed(world.connection, "_thread_ident", 1),
    "nobody's": lambda world: changed(world.connection, "_thread_ident", None),
    "another time zone": lambda world: changed(world.connection, "timezone_name", "CET"),
    "a tenant": lambda world: changed(world.connection, "schema_name", "tenant"),
    "other settings": lambda world: entry(world.settings_now, "_current", object()),
    "another USE_TZ": lambda world: entry(world.django_settings, "USE_TZ", False),
    "uncached": uncached,
    "routers": lambda world: changed(world.router, "routers", [object()]),
    "a router's own": lambda world: changed(world.router, "db_for_read", len),
    "another router": lambda world: entry(world.query_names, "router", Router()),
    "a patched router": lambda world: changed(Router, "db_for_read", len),
}
OF_QUERYSETS: dict[str, Callable[[World], Any]] = {
    "another db": lambda world: changed(Queryset, "db", "other"),
    "a write's": lambda world: entry(world.shape.attributes, "_for_write", True),
    "results": lambda world: entry(world.shape.attributes, "_result_cache", []),
    "sticky": lambda world: entry(world.shape.attributes, "_sticky_filter", True),
    "prefetches": lambda world: entry(world.shape.attributes, "_prefetch_related_lookups", ("a",)),
    "put off": lambda world: entry(world.shape.attributes, "_deferred_filter", (False, (), {})),
}
OF_MANAGERS: dict[str, Callable[[World], Any]] = {
    "its own get_queryset": lambda world: changed(world.manager, "get_queryset", len),
    "another get_queryset": lambda world: changed(type(world.manager), "get_queryset", len),
    "another get": lambda world: changed(Queryset, "get", len),
    "another db": lambda world: changed(Queryset, "db", "other"),
    "attributes of its own": lambda world: changed(type(world.manager), "__getattr__", len),
    "caching": lambda world: changed(world.manager, "caching", False),
    "caching of its class": lambda world: changed(type(world.manager), "caching", False),
    "no root": lambda world: changed(world.manager, "model", int),
    "another ordering": lambda world: changed(world.shape, "ordering", ["name"]),
}


class Failing:
    def __get__(self, *_: Any) -> Any:
        raise RuntimeError("closed")


@pytest.mark.parametrize("name", [*CHANGES, *OF_QUERYSETS])
def test_nothing_is_found_by_a_queryset_with(world: World, name: str) -> None:
    assert world.ask(pk=5) == "the value"
    with {**CHANGES, **OF_QUERYSETS}[name](world):
        assert world.ask(pk=5) is NotImplemented
    assert world.ask(pk=5) == "the value"


@pytest.mark.parametrize("name", [*CHANGES, *OF_MANAGERS])
def test_nothing_is_found_by_a_manager_with(world: World, name: str) -> None:
    assert world.get(pk=5) == "the value"
    with {**CHANGES, **OF_MANAGERS}[name](world):
        assert world.get(pk=5) is NotImplemented
    assert world.get(pk=5) == "the value"


@pytest.mark.parametrize("name", ["sticky", "put off"])
def test_filter_is_left_to_python_with(world: World, name: str) -> None:
    def ask() -> Any:
        return world.answers.filter(world.queryset(), Queryset.filter, {"pk": 5})

    assert ask() is not NotImplemented
    with OF_QUERYSETS[name](world):
        assert ask() is NotImplemented
    with entry(world.shape.attributes, "_defer_next_filter", True):
        assert ask() is NotImplemented


def test_names(world: World) -> None:
    def ask(args: Any = ("a", "b"), kwargs: Any = None, method: Any = Queryset.order_by) -> Any:
        return world.answers.name(world.queryset(), method, args, kwargs or {"flat": True})

    found = ask()
    assert found._trace.shape is world.named.shape
    assert found._trace.calls == ((Queryset.order_by, ("a", "b"), {"flat": True}),)
    assert found._trace.values == ()
    assert ask(("b", "a")) is ask(("a",)) is ask(("a", 5)) is NotImplemented
    assert ask(kwargs={"flat": False}) is ask(kwargs={"flat": 1}) is NotImplemented
    assert ask(kwargs={"named": True}) is NotImplemented
    assert ask(kwargs={"flat": True, "named": True}) is NotImplemented
    assert ask(method=Queryset.get) is NotImplemented
    for name, value in (("readers", (None,)), ("unordered", [object()]), ("unordered", None)):
        with changed(world.named, name, value):
            assert ask() is NotImplemented
    for name in ("sticky", "put off"):
        with OF_QUERYSETS[name](world):
            assert ask() is NotImplemented
    assert ask() is not NotImplemented


def test_slices(world: World) -> None:
    def ask(*bounds: Any) -> Any:
        return world.answers.slice(world.queryset(), Queryset.__getitem__, slice(*bounds))

    found = ask(2, 5)
    assert found._trace.shape is world.sliced.shape
    assert found._trace.values == (2, 5)
    assert found._trace.calls == ((Queryset.__getitem__, (slice(2, 5),), {}),)
    assert ask(True, 5) is ask(0, False) is ask(-1, 5) is NotImplemented
    assert ask(1, 2**63) is ask(0, 5, 1) is NotImplemented
    assert ask(5) is ask(0, None) is ask(0.0, 5) is NotImplemented
    assert world.answers.slice(world.queryset(), Queryset.__getitem__, 5) is NotImplemented
    world.shape.children[Queryset.__getitem__, int, type(None), False] = world.sliced
    assert ask(0, None)._trace.values == (0, None)
    assert ask(1, None) is NotImplemented
    with OF_QUERYSETS["sticky"](world):
        assert ask(2, 5) is NotImplemented


def test_vendor_is_asked_where_no_attribute_tells(world: World) -> None:
    told: dict[str, Any] = {"idle": True, "level": "level"}
    world.stand(
        idle=None,
        in_autocommit=lambda driver: told["idle"],
        next_level=lambda driver, default: told["level"],
    )
    assert world.get(pk=5) == "the value"
    for name in told:
        with entry(told, name, None):
            assert world.get(pk=5) is NotImplemented
    world.stand(idle=None, in_autocommit=lambda driver: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        world.get(pk=5)


def test_alias(world: World) -> None:
    queryset = world.queryset()
    assert world.answers.alias(queryset) == "default"
    queryset._db = "other"
    assert world.answers.alias(queryset) == "other"
    for odd in ("", 5, b"other"):
        queryset._db = odd
        assert world.answers.alias(queryset) is None
    queryset._db = None
    holder, state = Thing(), Thing()
    holder._state = state
    for database, expected in (("other", "other"), (None, "default"), ("", None), (5, None)):
        state.db = database  # type: ignore[attr-defined]
        queryset._hints = {"instance": holder}
        assert world.answers.alias(queryset) == expected
    queryset._hints = {"instance": None}
    assert world.answers.alias(queryset) == "default"
    for hints in ({"other": 1}, {"instance": holder, "other": 1}, None, [1]):
        queryset._hints = hints
        assert world.answers.alias(queryset) is None
    queryset._hints = {"instance": object()}
    with pytest.raises(AttributeError):
        world.answers.alias(queryset)


def test_answer_of_another_form_is_none(world: World) -> None:
    for wrong in ("text", (1, 2), [1] * 7):
        world.remember(_engine.ONE, 5, answer=wrong)
        assert world.get(pk=5) is MISS


def test_what_has_no_key_is_not_found(world: World) -> None:
    trace = _engine.Trace(world.filtered, (object(),), ())
    assert world.answers.find(world.queryset(), trace, _engine.ONE, "default") is NotImplemented


def test_bad_arguments(world: World) -> None:
    queryset = world.queryset()
    for kind in (-1, 8, "one", None):
        with pytest.raises((TypeError, OverflowError), match="kind"):
            world.answers.answer(queryset, kind)  # type: ignore[arg-type]
    for guards in (None, (), (1, 2, 3), [1, "2", 3]):
        with pytest.raises(TypeError, match="guards must be a tuple"):
            world.answers.manager_get(world.manager, guards, 0, {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="trace must be a Trace"):
        world.answers.find(queryset, "trace", 0, "default")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="roots must be a dict"):
        _engine.pristine(world.manager, [])  # type: ignore[arg-type]
    for wrong, match in (
        ({"head": "text"}, "head must be bytes"),
        ({"segment": None}, "Segment"),
        ({"settings_now": []}, "settings_now must be a dict"),
        ({"django_settings": None}, "django_settings must be a dict"),
        ({"uncached_depth": 0}, "context variable"),
        ({"idle": 5}, "a str or None"),
        ({"more": 5}, "by name, and no others"),
    ):
        with pytest.raises(TypeError, match=match):
            world.standing(**wrong)
    with pytest.raises(TypeError, match=r"Standing\(\) needs 'segment'"):
        _engine.Standing()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Answers\(\) needs 'cache'"):
        _engine.Answers()  # type: ignore[call-arg]
