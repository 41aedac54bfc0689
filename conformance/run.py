#!/usr/bin/env python3
# ruff: noqa: S603 - what is started is this project's own
"""Runs Django's own test suite with every model cached; see docs/conformance.md.

A test that fails is run once more without the package. What fails there too isn't the package's
fault, and what excused.txt names has its reason there; anything else is a defect, and so is any
difference in differential mode.
"""

from __future__ import annotations

import argparse
import json
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "py")]

import servers  # noqa: E402
from conformance import environments, report  # noqa: E402

FOLDER = ROOT / "conformance"
RESULTS = environments.BUILD / "results"
DATABASES = ("sqlite", "postgresql")
CHUNK_LABELS = 6
"""Labels a process: Django checks every table of a database after each test, so that many labels at
once take several times as long."""
CHUNK_SECONDS = 3600
PASSED = ("passed", "skipped", "expected failure")


class SuiteEnded(Exception):
    """A process of Django's suite ended without a result; the message holds its last output."""


@dataclass
class Outcome:
    """What one run of labels found, its chunks put together."""

    outcomes: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)
    hits: int = 0
    traced: int = 0
    seconds: float = 0
    differences: list[dict[str, str]] = field(default_factory=list)
    database: str = ""
    python: str = ""

    def add(self, found: dict[str, Any]) -> None:
        self.outcomes.update(found["outcomes"])
        self.details.update(found["details"])
        self.counted.update(found.get("counted", {}))
        self.compared.update(found.get("compared", {}))
        self.hits += found.get("hits", {}).get("all", 0)
        self.traced += found.get("hits", {}).get("traced", 0)
        self.seconds += found["seconds"]
        self.differences += found.get("differences", [])
        self.database, self.python = found["database"], found["python"]

    def failed(self) -> list[str]:
        return [test for test, outcome in self.outcomes.items() if outcome not in PASSED]


class Run:
    """Labels on one Django and one database."""

    def __init__(self, environment: environments.Environment, database: str, workers: int) -> None:
        self.environment = environment
        self.database = database
        self.workers = workers
        self.folder = servers.memory_folder("qc-conformance-")
        self.server = servers.PostgreSQL() if database == "postgresql" else None

    def __enter__(self) -> Run:
        if self.server is not None:
            self.server.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.server is not None:
            self.server.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def labels(self, labels: list[str], package: bool, differential: bool = False) -> Outcome:
        """Runs labels, dealt to a few processes; those that this Django lacks are left out."""
        there = [
            label for label in labels if (self.environment.tests / label.split(".")[0]).is_dir()
        ]
        chunks: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        number = -(-len(there) // CHUNK_LABELS)
        for first in range(number):
            chunks.put(there[first::number])
        outcome, errors = Outcome(), []

        def work(worker: int) -> None:
            while not errors:
                try:
                    chunk = chunks.get_nowait()
                    found = self.chunk(f"w{worker}", chunk, package, differential)
                except queue.Empty:
                    return
                except Exception as error:
                    errors.append(error)
                    return
                outcome.add(found)
                print(f"   {len(outcome.outcomes):,} tests", flush=True)
                for test, result in found["outcomes"].items():
                    if result not in PASSED:
                        print(f"   {result}: {test}", flush=True)
                for each in found.get("differences", []):
                    print(f"   difference: {each['test']}: {each['text']}", flush=True)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(self.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return outcome

    def chunk(
        self, name: str, labels: list[str], package: bool, differential: bool
    ) -> dict[str, Any]:
        """One process of Django's runtests.py."""
        location = self.folder / f"{name}-segments"
        location.mkdir(exist_ok=True)
        job_path, result = self.folder / f"{name}.json", self.folder / f"{name}-result.json"
        result.unlink(missing_ok=True)
        job = {
            "tests": str(self.environment.tests),
            "databases": self.databases(name),
            "labels": labels,
            "package": package,
            "differential": differential,
            "location": str(location),
            "result": str(result),
        }
        job_path.write_text(json.dumps(job))
        log = self.folder / f"{name}.log"
        with open(log, "w") as output:
            subprocess.run(
                [self.environment.python, "-m", "conformance.suite", job_path],
                cwd=self.environment.site,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=CHUNK_SECONDS,
                check=False,
                preexec_fn=die_with_parent,
            )
        shutil.rmtree(location)
        if not result.exists():
            raise SuiteEnded(f"Django's suite came to no result:\n{log.read_text()[-4000:]}")
        found: dict[str, Any] = json.loads(result.read_text())
        return found

    def databases(self, name: str) -> dict[str, dict[str, Any]]:
        if self.server is None:
            engine = "django.db.backends.sqlite3"
            return {alias: {"ENGINE": engine} for alias in ("default", "other")}
        common = {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": str(self.server.port),
            "USER": self.server.user,
        }
        for alias in ("default", "other"):
            exists = f"SELECT 1 FROM pg_database WHERE datname = '{name}_{alias}'"
            if not self.server.execute(exists):
                self.server.execute(f"CREATE DATABASE {name}_{alias}")
        return {alias: {**common, "NAME": f"{name}_{alias}"} for alias in ("default", "other")}


def die_with_parent() -> None:
    """A run that is stopped leaves no test process behind, also where SIGINT is ignored."""
    servers.libc.prctl(servers.PR_SET_PDEATHSIG, signal.SIGKILL)


def label_of(test: str) -> str:
    """The label that runs a test by its id, also of what failed at import or in a set-up."""
    inside = re.fullmatch(r".*\((.*)\)", test)
    return (inside[1] if inside else test).removeprefix("unittest.loader._FailedTest.")


def read_lines(path: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def excuses(mode: str) -> dict[str, str]:
    """Test id, of a test or a class -> why it may fail in this mode."""
    found = {}
    for line in read_lines(FOLDER / "excused.txt"):
        test, _, reason = line.partition(" ")
        if mode == "differential" or not reason.startswith("differential mode"):
            found[test] = reason.strip()
    return found


def excused(test: str, known: dict[str, str]) -> bool:
    label = label_of(test)
    return any(label == name or label.startswith(f"{name}.") for name in known)


def judge(run: Run, labels: list[str], arguments: argparse.Namespace) -> report.Row:
    """Runs the labels, and what failed once more without the package."""
    environment, mode = run.environment, "plain" if arguments.plain else "cached"
    mode = "differential" if arguments.differential else mode
    print(
        f"== Django {environment.django_version}, Python {environment.python_version}, "
        f"{run.database}, {mode}",
        flush=True,
    )
    tree = commit()
    outcome = run.labels(labels, not arguments.plain, arguments.differential)
    failed = outcome.failed()
    row = report.Row(
        django=environment.django_version,
        python=outcome.python,
        database=outcome.database,
        mode=mode,
        labels=which(arguments),
        tests=len(outcome.outcomes),
        skipped=sum(found == "skipped" for found in outcome.outcomes.values()),
        hits=outcome.hits,
        traced=outcome.traced,
        commit=tree,
        counted=sorted(outcome.counted),
        compared=dict(outcome.compared),
        differences=outcome.differences,
        seconds=outcome.seconds,
    )
    if failed and not arguments.plain:
        known = excuses(mode)
        without = run.labels(sorted({label_of(test) for test in failed}), package=False)
        plain = set(without.failed())
        row.plain = sorted(test for test in failed if test in plain)
        row.excused = sorted(test for test in failed if test not in plain and excused(test, known))
        failed = [test for test in failed if test not in plain and test not in row.excused]
    row.defects = {test: outcome.details[test] for test in sorted(failed)}
    print(row.text(), flush=True)
    return row


def which(arguments: argparse.Namespace) -> str:
    if arguments.labels:
        return "named"
    return "selection" if arguments.selection else "all"


def commit() -> str:
    """Of the tree that runs; "-" outside of a repository."""
    command = ["git", "describe", "--always", "--exclude=*", "--abbrev=7", "--dirty=*"]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "-"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("labels", nargs="*", help="labels or tests; default: labels.txt")
    parser.add_argument("--selection", action="store_true", help="selection.txt's labels only")
    parser.add_argument("--django", action="append", choices=[*environments.DJANGOS])
    parser.add_argument("--database", action="append", choices=DATABASES)
    parser.add_argument("--differential", action="store_true", help="compare every read")
    parser.add_argument(
        "--both", action="store_true", help="first without, then with --differential"
    )
    parser.add_argument("--plain", action="store_true", help="without the package")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time (2)")
    parser.add_argument("--write", action="store_true", help="write docs/conformance.md's table")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    name = "selection.txt" if arguments.selection else "labels.txt"
    labels = arguments.labels or read_lines(FOLDER / name)
    rows = []
    for series in arguments.django or environments.DJANGOS:
        try:
            environment = environments.make(series)
        except environments.EnvironmentMissing as missing:
            print(f"== left out: {missing}", flush=True)
            continue
        for database in arguments.database or DATABASES:
            for differential in (False, True) if arguments.both else (arguments.differential,):
                arguments.differential = differential
                with Run(environment, database, arguments.workers) as run:
                    row = judge(run, labels, arguments)
                rows.append(row)
                report.save(environments.BUILD / "last.json", rows)
                if row.labels != "named" and row.mode != "plain":
                    report.keep(RESULTS, row)
    if arguments.write:
        kept = report.kept(RESULTS)
        report.write(ROOT / "docs" / "conformance.md", FOLDER / "counted.txt", kept)
    print(report.summary(rows))
    return 1 if not rows or any(row.is_bad() for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
