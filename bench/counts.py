#!/usr/bin/env python3
"""`make counts`: instructions of hot operations, which repeat where times don't.

python bench/counts.py [--write]
Compares with counts.json, which holds what --write found: more than 5 % over it ends with status 1.
The counts are of one Python, Django, compiler and machine type, named in the file; where another
runs, they are shown and not compared.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import django

from operations import LOOPS, NAMES
from places import sqlite

HERE = Path(__file__).resolve().parent
KEPT = HERE / "counts.json"
TOLERANCE = 0.05


def surroundings() -> dict[str, str]:
    compiler = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, check=True)
    return {
        "python": platform.python_version(),
        "django": django.get_version(),
        "gcc": compiler.stdout.decode().strip(),
        "machine": platform.machine(),
    }


def count() -> dict[str, int]:
    """Instructions of one operation, by its name."""
    with tempfile.TemporaryDirectory() as folder, sqlite("counts") as place:
        library = Path(folder) / "marks.so"
        compile_ = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "marks.c")]
        subprocess.run(compile_, check=True)
        found = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                "--instr-atstart=no",
                f"--callgrind-out-file={folder}/out",
                sys.executable,
                str(HERE / "counts_worker.py"),
                str(library),
            ],
            env={**place.environment, "BENCH_PROCESS": "on", "PYTHONHASHSEED": "0"},
            check=False,
            capture_output=True,
            text=True,
        )
        if found.returncode:
            raise SystemExit(f"the operations failed under valgrind:\n{found.stderr[-2000:]}")
        return dict(read(path) for path in Path(folder).glob("out.*"))


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
    found, here = count(), surroundings()
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"surroundings": {}, "counts": {}}
    comparable = kept["surroundings"] == here
    dearer = []
    for name in NAMES:
        before = kept["counts"].get(name)
        change = found[name] / before - 1 if before else 0.0
        print(
            f"{name:<12} {found[name]:>12,} instructions" + (f" {change:+7.1%}" if before else "")
        )
        if change > TOLERANCE:
            dearer.append(name)
    if write:
        KEPT.write_text(json.dumps({"surroundings": here, "counts": found}, indent=2) + "\n")
        return 0
    if not comparable:
        print(f"not compared: counts.json is of {kept['surroundings']}, this is {here}")
        return 0
    if dearer:
        print(f"more than {TOLERANCE:.0%} dearer than counts.json: {', '.join(dearer)}")
    return 1 if dearer else 0


if __name__ == "__main__":
    sys.exit(main())
