"""The benchmark's processes: worker.py of a kind at a place, started when it is first needed."""

import json
import subprocess
from types import TracebackType
from typing import Any, Self

from places import HERE, Place


class Process:
    def __init__(self, kind: str, place: Place) -> None:
        self.kind = kind
        self.process = subprocess.Popen(
            [place.python, str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**place.environment, "BENCH_PROCESS": kind},
        )

    def tell(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the benchmark's process {self.kind} ended: {self.process.wait()}")
        return json.loads(line)

    def ask(self, **command: Any) -> Any:
        self.tell(**command)
        return self.answer()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


class Processes:
    """Those of a place; each kind may have several."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.started: dict[str, list[Process]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for processes in self.started.values():
            for process in processes:
                process.end()

    def several(self, kind: str, number: int) -> list[Process]:
        running = self.started.setdefault(kind, [])
        while len(running) < number:
            running.append(Process(kind, self.place))
        return running[:number]

    def one(self, kind: str) -> Process:
        return self.several(kind, 1)[0]
