#!/usr/bin/env python3
"""`make bench`: hits and writes against the same operation uncached, in interleaved rounds.

python bench/run.py [--short] [--check] [--case NAME ...] [--json FILE]
--check ends with status 1 where a limit of cases.py does not hold.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cases import CASES, Case
from report import Result, as_json, lines, page

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "sample"
PROCESSES = ("on", "off", "absent")
ROUNDS, SHORT_ROUNDS = 41, 15


class Process:
    """One kind of process, as worker.py runs it."""

    def __init__(self, kind: str, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "BENCH_PROCESS": kind},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def time(self, case: Case, variant: str, loops: int) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        command = {"case": case.name, "variant": variant, "loops": loops}
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the benchmark's process ended: {self.process.wait()}")
        return float(line)


def measure(case: Case, processes: dict[str, Process], rounds: int) -> Result:
    """Rounds of all variants, in another order each. The first fills the cache, uncounted."""
    found: dict[str, list[float]] = {name: [] for name in case.variants}
    names = list(case.variants)
    for turn in range(rounds + 1):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            spent = processes[case.variants[name].process].time(case, name, case.loops)
            if turn:
                found[name].append(spent)
    return Result(case, found)


def prepare(environment: dict[str, str]) -> None:
    for command in (["migrate", "--verbosity=0"], ["load_cities"]):
        subprocess.run(
            [sys.executable, str(SAMPLE / "manage.py"), *command, "--skip-checks"],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )


def run(cases: list[Case], rounds: int) -> list[Result]:
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory(dir=shm()) as segments,
    ):
        environment = {
            **os.environ,
            "SAMPLE_DATABASE": str(Path(folder) / "bench.sqlite3"),
            "BENCH_LOCATION": segments,
        }
        prepare({**environment, "SAMPLE_CACHE": "0"})
        results = []
        for case in cases:
            kinds = {variant.process for variant in case.variants.values()}
            processes = {kind: Process(kind, environment) for kind in PROCESSES if kind in kinds}
            try:
                results.append(measure(case, processes, rounds))
            finally:
                for process in processes.values():
                    process.__exit__(None, None, None)
            print(f"  {case.label}: {rounds} rounds", flush=True)
    return results


def shm() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures hits and writes.")
    parser.add_argument("--short", action="store_true", help=f"{SHORT_ROUNDS} rounds, not {ROUNDS}")
    parser.add_argument("--check", action="store_true", help="status 1 where a limit doesn't hold")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--json", type=Path, help="writes the figures there")
    return parser.parse_args()


def main() -> int:
    options: Any = arguments()
    chosen = [case for case in CASES if not options.case or case.name in options.case]
    results = run(chosen, SHORT_ROUNDS if options.short else ROUNDS)
    print()
    print("\n".join(lines(results)))
    if options.write:
        page_at = HERE.parent / "docs" / "performance.md"
        page_at.write_text(page(results, SHORT_ROUNDS if options.short else ROUNDS))
    if options.json:
        options.json.write_text(json.dumps(as_json(results), indent=2) + "\n")
    failures = [failure for result in results for failure in result.failures()]
    for failure in failures:
        print(f"over the limit: {failure}")
    return 1 if failures and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
