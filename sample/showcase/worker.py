"""A worker process of the demo: takes one JSON command a line on its standard input.

{"do": "measure", "rounds": n}  times each query uncached and cached in turn, n times
{"do": "read"}                  runs each query cached: a digest and the number of statements
{"do": "population", "id": n}   what this process sees of one city
"""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

import django  # noqa: E402

django.setup()

from django_cache_manager.api import uncached  # noqa: E402
from geo.models import City  # noqa: E402
from showcase.queries import QUERIES, PageQuery, digest  # noqa: E402
from showcase.statements import count_statements  # noqa: E402


def timed(run: Callable[[], Any]) -> tuple[float, int, str]:
    """Microseconds, statements and digest of one run."""
    with count_statements() as statements:
        start = time.perf_counter()
        result = run()
        spent = time.perf_counter() - start
    return spent * 1e6, statements.count, digest(result)


def one_run(query: PageQuery, how: str, entry: dict[str, Any]) -> str:
    """Times it into `entry`; returns the digest of the answer."""
    with uncached() if how == "uncached" else nullcontext():
        spent, statements, answer = timed(query.run)
    entry[how].append(spent)
    entry["statements"][how == "cached"] += statements
    return answer


def measure(command: dict[str, Any]) -> dict[str, Any]:
    """Per query: times and statements, uncached and cached, and how often the answers differed."""
    found = [{"uncached": [], "cached": [], "statements": [0, 0], "different": 0} for _ in QUERIES]
    for turn in range(command["rounds"]):
        for query, entry in zip(QUERIES, found, strict=True):
            # Who comes first finds the database's pages cold: it is each in turn.
            order = ("uncached", "cached") if turn % 2 else ("cached", "uncached")
            digests = {how: one_run(query, how, entry) for how in order}
            entry["different"] += digests["uncached"] != digests["cached"]
    return {"queries": found}


def read(command: dict[str, Any]) -> dict[str, Any]:
    runs = [timed(query.run) for query in QUERIES]
    return {"digests": [run[2] for run in runs], "statements": [run[1] for run in runs]}


def population(command: dict[str, Any]) -> dict[str, Any]:
    return {"population": City.objects.get(pk=command["id"]).population}


COMMANDS = {"measure": measure, "read": read, "population": population}


def main() -> None:
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(COMMANDS[command["do"]](command)), flush=True)


if __name__ == "__main__":
    main()
