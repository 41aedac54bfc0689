"""A process beside the test's that works on the same segment: evaluates what it is sent."""

import ast
import os
import subprocess
import sys
from typing import Any


class OtherError(Exception):
    """What the other process raised: a SegmentError's status, or the exception's type and text."""


class Other:
    def __init__(self, path: str, sizes: dict[str, int]) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, *flags(), __file__, path, repr(sizes)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._answer() == "ready"

    @property
    def pid(self) -> int:
        return self.process.pid

    def __call__(self, expression: str) -> Any:
        """The value of an expression over `segment`, `engine` and what `name = ...` assigned."""
        assert self.process.stdin is not None
        self.process.stdin.write(repr(expression) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise OtherError("ended")
        kind, value = ast.literal_eval(line)
        if kind == "error":
            raise OtherError(value)
        return value

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        self.process.wait(30)


def flags() -> list[str]:
    """The test's own way to load the engine, for a build that is tried out."""
    return ["-P"] if sys.flags.safe_path else []


def serve(path: str, sizes: dict[str, int]) -> None:
    from django_cache_manager import _engine

    scope: dict[str, Any] = {
        "engine": _engine,
        "segment": _engine.Segment.open(path, b"identity", **sizes),
    }
    print(repr(("value", "ready")), flush=True)
    for line in sys.stdin:
        print(repr(answer(ast.literal_eval(line), scope)), flush=True)


def answer(text: str, scope: dict[str, Any]) -> tuple[str, Any]:
    try:
        name, _, expression = text.partition(" = ")
        if expression and name.isidentifier():
            scope[name] = eval(expression, scope)
            return ("value", None)
        return ("value", eval(text, scope))
    except Exception as error:
        return ("error", getattr(error, "status", f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    serve(sys.argv[1], ast.literal_eval(sys.argv[2]))
