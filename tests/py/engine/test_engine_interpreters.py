"""The module in several interpreters with one GIL, as mod_wsgi has them, and loaded again."""

import importlib.util
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from django_cache_manager import _engine

WORK = """
    import datetime, decimal, uuid
    from django_cache_manager import _engine as engine
    moment = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    rows = [(1, "é", decimal.Decimal("1.5"), uuid.UUID(int=7), moment)]
    encoded = engine.encode_rows(rows, 10_000)
    segment = engine.Segment.private_memory(size=4 << 20, cells=64, slots=4, max_entry=64 << 10)
    cells = segment.cells(["a"])
    cache = engine.LocalCache(100_000)
    for _ in range(500):
        assert engine.decode_rows(encoded) == rows
        assert segment.put(b"key", cells, segment.clock(), encoded)
        assert segment.get(b"key")[0] == rows
        cache.put(b"key", segment, cells, segment.clock(), rows, 100)
        assert cache.get(b"key", segment) is rows
        segment.end_write(segment.begin_write(cells))
        assert cache.get(b"key", segment) is None
        assert engine.scan("DELETE FROM a", 0).writes == ("a",)
    try:
        engine.encode_key((object(),))
    except engine.Unencodable:
        pass
"""

PROGRAM = """
    {create}
    for _ in range(3):
        several = [{new} for _ in range(3)]
        for one in several + several:
            {execute}
        exec(WORK)
        for one in several:
            {destroy}
    exec(WORK)
    print("done")
"""


def program() -> str:
    if sys.version_info >= (3, 13):
        parts = {
            "create": "import _interpreters",
            "new": "_interpreters.create('legacy')",
            "execute": "error = _interpreters.exec(one, WORK); assert error is None, error",
            "destroy": "_interpreters.destroy(one)",
        }
    else:
        parts = {
            "create": "import _xxsubinterpreters",
            "new": "_xxsubinterpreters.create(isolated=False)",
            "execute": "_xxsubinterpreters.run_string(one, WORK)",
            "destroy": "_xxsubinterpreters.destroy(one)",
        }
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    work = path + textwrap.dedent(WORK)
    return f"{path}WORK = {work!r}\n" + textwrap.dedent(PROGRAM).format(**parts)


def test_interpreters_work_side_by_side() -> None:
    result = subprocess.run(
        [sys.executable, "-c", program()], capture_output=True, text=True, timeout=120
    )
    assert (result.stdout, result.returncode) == ("done\n", 0), result.stderr


def load_again() -> Any:
    spec = importlib.util.spec_from_file_location("django_cache_manager._engine", _engine.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_module_loaded_again_has_types_of_its_own() -> None:
    again = load_again()
    assert again is not _engine
    assert again.Segment is not _engine.Segment
    assert again.Unencodable is not _engine.Unencodable
    cache = again.LocalCache(1000)
    with pytest.raises(TypeError, match="must be a Segment"):
        cache.get(
            b"key",
            _engine.Segment.private_memory(size=4 << 20, cells=64, slots=4, max_entry=64 << 10),
        )
    with pytest.raises(again.Unencodable):
        again.encode_key((object(),))
    assert again.decode_rows(again.encode_rows([(1,)], 100)) == [(1,)]
