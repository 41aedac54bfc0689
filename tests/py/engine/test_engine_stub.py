"""_engine.pyi says what the extension has, no more and no less."""

import ast
from pathlib import Path
from typing import Any

import pytest
from traced_world import World

from django_cache_manager import _engine

STUB = Path(__file__).parents[3] / "django_cache_manager" / "_engine.pyi"
BODY = ast.parse(STUB.read_text()).body


def names_of(body: list[ast.stmt]) -> set[str]:
    names = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return names | {
        node.target.id
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def test_module_has_the_names_of_the_stub() -> None:
    public = {name for name in vars(_engine) if not name.startswith("_")}
    assert public == names_of(BODY)


@pytest.mark.parametrize("node", [node for node in BODY if isinstance(node, ast.ClassDef)])
def test_class_has_the_names_of_the_stub(node: ast.ClassDef) -> None:
    runtime: Any = getattr(_engine, node.name)
    public = {name for name in vars(runtime) if not name.startswith("_")}
    stub = {name for name in names_of(node.body) if not name.startswith("_")}
    assert public == stub
    assert runtime.__module__ == "django_cache_manager._engine"


def names_of_arguments(node: ast.FunctionDef) -> list[str]:
    return [each.arg for each in [*node.args.args, *node.args.kwonlyargs] if each.arg != "self"]


def functions() -> list[tuple[str, str, list[str]]]:
    """Owner, name and arguments of all that take several. One alone is taken without a name."""
    found = [("", node) for node in BODY if isinstance(node, ast.FunctionDef)]
    for holder in BODY:
        if isinstance(holder, ast.ClassDef):
            found += [(holder.name, n) for n in holder.body if isinstance(n, ast.FunctionDef)]
    named = [(owner, node.name, names_of_arguments(node)) for owner, node in found]
    return [each for each in named if len(each[2]) > 1 and not each[1].startswith("__")]


def a_plan() -> _engine.RowPlan:
    class Thing:
        pass

    return _engine.RowPlan(Thing, ((Thing, (), None, None, None, 1),), (), (), (), (), ())


@pytest.mark.parametrize(("owner", "name", "arguments"), functions())
def test_arguments_have_the_names_of_the_stub(owner: str, name: str, arguments: list[str]) -> None:
    """An unknown argument is named in its TypeError; a known one gets past."""
    segment = _engine.Segment.private_memory(size=4 << 20, cells=64, slots=4, max_entry=64 << 10)
    world = World()
    holders = {
        "": _engine,
        "Segment": segment,
        "LocalCache": _engine.LocalCache(1),
        "RowPlan": a_plan(),
        "Trace": world.root,
        "Answers": world.answers,
    }
    function = getattr(holders[owner], name)
    with pytest.raises(TypeError, match="has no argument 'unknown'"):
        function(unknown=1)
    with pytest.raises((TypeError, ValueError, AttributeError)) as raised:
        function(**dict.fromkeys(arguments, object()))
    assert "has no argument" not in str(raised.value)


def test_constants() -> None:
    assert _engine.NO_LIMIT == 2**64 - 1
    assert _engine.DATABASE_CELL == b"\0\0\0\0"
