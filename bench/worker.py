"""A process of the benchmark: times what it is told by JSON lines on its standard input.

{"case": name, "variant": name, "loops": n} -> microseconds of one operation
"""

import gc
import importlib.util
import json
import os
import sys
from pathlib import Path
from time import perf_counter

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "sample"), str(HERE.parent)]
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django  # noqa: E402

django.setup()

from cases import CASES, state  # noqa: E402


def main() -> None:
    state["process"] = os.environ["BENCH_PROCESS"]
    if importlib.util.find_spec("django_cache_manager._engine") is None:
        raise SystemExit("the engine is not built: there is nothing to measure")
    cases = {case.name: case for case in CASES}
    for line in sys.stdin:
        command = json.loads(line)
        operation = cases[command["case"]].variants[command["variant"]].operation
        loops = command["loops"]
        gc.collect()
        start = perf_counter()
        for _ in range(loops):
            operation()
        print((perf_counter() - start) / loops * 1e6, flush=True)


if __name__ == "__main__":
    main()
