#!/usr/bin/env python3
"""`make counts`: instructions of hot operations, which repeat where times don't.

python bench/counts.py [--write]
Compares with counts.json, which holds what --write found: more than 5 % over it ends with status 1.
The counts are of one Python, Django, compiler and machine type, named in the file; where another
runs, they are shown and not compared.

Where objects lie in memory is part of a count: CPython's cache of type attributes is indexed by
addresses, and names that fall into one slot cost 300 to 2,000 instructions an operation. So each
count is the least of several processes with different hash seeds, which lay their objects out
differently; what is dearer in all of them is dearer.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import django

from operations import LOOPS, NAMES
from places import sqlite

HERE = Path(__file__).resolve().parent
KEPT = HERE / "counts.json"
TOLERANCE = 0.05
SEEDS = range(8)
"""Of the processes that may be asked, two at a time."""


def surroundings() -> dict[str, str]:
    compiler = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, check=True)
    return {
        "python": platform.python_version(),
        "django": django.get_version(),
        "gcc": compiler.stdout.decode().strip(),
        "machine": platform.machine(),
    }


def counts(library: Path, seed: int) -> dict[str, int]:
    """Instructions of one operation, by its name, in a process with a database of its own."""
    with tempfile.TemporaryDirectory() as folder, sqlite("counts") as place:
        ended = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                "--instr-atstart=no",
                f"--callgrind-out-file={folder}/out",
                sys.executable,
                str(HERE / "counts_worker.py"),
                str(library),
            ],
            env={**place.environment, "BENCH_PROCESS": "on", "PYTHONHASHSEED": str(seed)},
            check=False,
            capture_output=True,
            text=True,
        )
        if ended.returncode:
            raise SystemExit(f"the operations failed under valgrind:\n{ended.stderr[-2000:]}")
        return dict(read(path) for path in Path(folder).glob("out.*"))


def least(kept: dict[str, int], every: bool) -> dict[str, int]:
    """The least counts by name: of every seed, or of as many as it takes until none is dearer."""
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        library = Path(folder) / "marks.so"
        compile_ = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "marks.c")]
        subprocess.run(compile_, check=True)
        for first in SEEDS[::2]:
            for one in pool.map(lambda seed: counts(library, seed), (first, first + 1)):
                found = {name: min(one[name], found.get(name, one[name])) for name in NAMES}
            if not every and not dearer(found, kept):
                break
    return found


def dearer(found: dict[str, int], kept: dict[str, int]) -> list[str]:
    return [name for name in NAMES if name in kept and found[name] > kept[name] * (1 + TOLERANCE)]


def read(path: Path) -> tuple[str, int]:
    text = path.read_text()
    name = re.search(r"^desc: Trigger: Client Request: (.+)$", text, re.MULTILINE)
    totals = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
    if name is None or totals is None:
        return path.name, 0
    return name[1], round(int(totals[1]) / LOOPS)


def main() -> int:
    parser = argparse.ArgumentParser(description="Counts the instructions of hot operations.")
    parser.add_argument("--write", action="store_true", help="keep what is found")
    write = parser.parse_args().write
    here = surroundings()
    file = json.loads(KEPT.read_text()) if KEPT.exists() else {"surroundings": {}, "counts": {}}
    kept, comparable = file["counts"], file["surroundings"] == here
    found = least(kept if comparable else {}, every=write)
    for name in NAMES:
        change = f" {found[name] / kept[name] - 1:+7.1%}" if name in kept else ""
        print(f"{name:<12} {found[name]:>12,} instructions{change}")
    if write:
        KEPT.write_text(json.dumps({"surroundings": here, "counts": found}, indent=2) + "\n")
        return 0
    if not comparable:
        print(f"not compared: counts.json is of {file['surroundings']}, this is {here}")
        return 0
    if names := dearer(found, kept):
        print(f"more than {TOLERANCE:.0%} dearer than counts.json: {', '.join(names)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
