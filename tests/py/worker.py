"""The other process: its own Django over the same databases and segments, told what to call.

Run as a script it reads one JSON line a request, {"call": "module:function", "args": [...]}, and
answers with one line: the result, the SQL statements that ran, or the exception. As a module it has
what tests call there and `OtherProcess`.
"""

import contextlib
import importlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

open_blocks: list[Any] = []


def begin() -> None:
    """Enters transaction.atomic(), to be left by `end`."""
    from django.db import transaction

    block = transaction.atomic()
    block.__enter__()
    open_blocks.append(block)


class RollBack(Exception):
    """Ends a block by an exception, as an application's error does."""


def end(commit: bool = True) -> None:
    block = open_blocks.pop()
    error = (None, None, None) if commit else (RollBack, RollBack(), None)
    block.__exit__(*error)


def reset() -> None:
    """Back to a process that has no transaction and no connection."""
    from django.contrib.contenttypes.models import ContentType
    from django.db import connections

    while open_blocks:
        with contextlib.suppress(Exception):
            end(commit=False)
    ContentType.objects.clear_cache()
    for connection in connections.all(initialized_only=True):
        connection.close()


def resolve(name: str) -> Callable[..., Any]:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def answer(request: dict[str, Any]) -> dict[str, Any]:
    from observe import count_sql, portable

    log: list[str] = []
    try:
        function = resolve(request["call"])
        with contextlib.redirect_stdout(io.StringIO()), count_sql() as log:
            value = portable(function(*request["args"]))
    except Exception as error:
        text = traceback.format_exc()
        names = [kind.__name__ for kind in type(error).__mro__]
        return {"error": names, "message": str(error), "traceback": text, "sql": log}
    return {"value": value, "sql": log}


def limit_files(size: int) -> None:
    """A full disk, as far as new large files go."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def serve() -> None:
    """Answers until the parent closes the pipe."""
    if "QC_TEST_FILE_LIMIT" in os.environ:
        limit_files(int(os.environ["QC_TEST_FILE_LIMIT"]))
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import django

    django.setup()
    for line in sys.stdin:
        replies.write(json.dumps(answer(json.loads(line))) + "\n")
        replies.flush()


class OtherError(Exception):
    """What a call in the other process raised: `names` has its class and bases."""

    def __init__(self, reply: dict[str, Any]) -> None:
        super().__init__(reply["traceback"])
        self.names: list[str] = reply["error"]
        self.message: str = reply["message"]


class Killed(RuntimeError):
    """The process was, before it answered."""


class OtherProcess:
    """A worker, started at its first call. Not thread-safe."""

    def __init__(self, log: Path, environment: dict[str, str] | None = None) -> None:
        self.log = log
        self.environment = environment or {}
        self.process: subprocess.Popen[str] | None = None
        self.sql: list[str] = []
        self.pending = False

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        folder = str(Path(__file__).parent)
        path = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": path, **self.environment},
            )

    def send(self, function: Callable[..., Any], *args: Any) -> None:
        """Starts a call; `receive` waits for it."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        assert self.process is not None and self.process.stdin is not None
        call = f"{function.__module__}:{function.__qualname__}"
        self.process.stdin.write(json.dumps({"call": call, "args": args}) + "\n")
        self.process.stdin.flush()
        self.pending = True

    def receive(self) -> Any:
        assert self.process is not None and self.process.stdout is not None
        line = self.process.stdout.readline()
        self.pending = False
        if not line:
            if self.process.wait(10) == -signal.SIGKILL:
                raise Killed
            raise RuntimeError(f"it ended: {self.log.read_text()[-4000:]}")
        reply = json.loads(line)
        self.sql = reply["sql"]
        if "error" in reply:
            raise OtherError(reply)
        return reply["value"]

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls a module's function there; its result is as `observe.portable` writes it."""
        self.send(function, *args)
        return self.receive()

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.stop()

    def stop(self) -> None:
        if self.process is not None:
            assert self.process.stdin is not None and self.process.stdout is not None
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.process = None


def names_there(other: OtherProcess) -> list[str]:
    """The authors' names as the other process reads them."""
    from testapp.actions import names

    return [eval(item[1]) for item in other.call(names)[2]]


if __name__ == "__main__":
    serve()
