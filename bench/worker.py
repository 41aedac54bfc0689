"""A process of the benchmark: does what it is told by JSON lines on its standard input, and answers
each by a line.

{"do": "time", "case": name, "variant": name, "loops": n} -> microseconds of one operation
{"do": "statements", "case": name, "variant": name} -> SQL statements that one operation runs
{"do": "stale", "case": name, "variant": name} -> whether reads after one are answered as before it
{"do": "prepare", "mix": name, "number": n, "round": n}, {"do": "mix", "start": s} -> operations a
    second (mixes.py)
{"do": "memory"} -> bytes of an entry (memory.py)
"""

import gc
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "sample"), str(HERE.parent)]
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django  # noqa: E402

import plain_managers  # noqa: E402
from kinds import APP, KINDS  # noqa: E402

KIND = os.environ["BENCH_PROCESS"]
if KINDS[KIND].app == APP:
    if importlib.util.find_spec("django_cache_manager._engine") is None:
        raise SystemExit("the engine is not built: there is nothing to measure")
else:
    plain_managers.install()
django.setup()

import memory  # noqa: E402
import mixes  # noqa: E402
import writes  # noqa: E402
from cases import CASES, Operation  # noqa: E402

cases = {case.name: case for case in CASES}


def operation_of(command: dict[str, Any]) -> Operation:
    return cases[command["case"]].variants[command["variant"]].operation


def time(command: dict[str, Any]) -> float:
    operation, loops = operation_of(command), command["loops"]
    gc.collect(1)  # the oldest generation's turn comes when it comes
    start = perf_counter()
    for _ in range(loops):
        operation()
    return (perf_counter() - start) / loops * 1e6


def statements(command: dict[str, Any]) -> int:
    from django.db import connection

    seen = []

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        operation_of(command)()
    return len(seen)


def stale(command: dict[str, Any]) -> bool:
    return writes.leaves_stale(operation_of(command))


def prepare(command: dict[str, Any]) -> None:
    mixes.prepare(command["mix"], command["number"], command["round"])


def mix(command: dict[str, Any]) -> float:
    return mixes.run(command["start"])


def measure_memory(command: dict[str, Any]) -> dict[str, float]:
    return memory.of_entry(KIND)


DO: dict[str, Callable[[dict[str, Any]], Any]] = {
    "time": time,
    "statements": statements,
    "stale": stale,
    "prepare": prepare,
    "mix": mix,
    "memory": measure_memory,
}


def main() -> None:
    writes.process["name"] = KIND
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(DO[command["do"]](command)), flush=True)


if __name__ == "__main__":
    main()
