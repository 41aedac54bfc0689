"""The demo's hold on its worker processes."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

WORKER = Path(__file__).with_name("worker.py")


class Worker:
    """A process of its own that runs the queries."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"worker process {self.process.pid} ended: {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Workers:
    """Several of them; a context manager that sees to their end."""

    def __init__(self, count: int) -> None:
        self.workers = [Worker() for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            assert worker.process.stdin is not None
            worker.process.stdin.close()
        for worker in self.workers:
            worker.process.wait(timeout=30)

    def together(self, **command: Any) -> list[dict[str, Any]]:
        """All at once, as under load."""
        for worker in self.workers:
            worker.send(**command)
        return [worker.answer() for worker in self.workers]

    def in_turn(self, **command: Any) -> list[dict[str, Any]]:
        """One after the other, so that the first fills the cache for the next."""
        answers = []
        for worker in self.workers:
            worker.send(**command)
            answers.append(worker.answer())
        return answers
