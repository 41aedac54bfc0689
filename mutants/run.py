"""Seeds faults, one at a time, and sees to it that a test fails for each.

`make mutants` runs it. faults.toml holds the faults: text of a file, what stands in its place, what
that breaks and the tests that have to notice. The tree is copied once; each fault is put in, the C
code is built where it changed, and the named tests run, then wider ones if they passed. Exits
non-zero if a fault survives, if its text isn't found exactly once, if what it leaves doesn't build
or load, or if a named test fails without any fault.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FAULTS = Path(__file__).with_name("faults.toml")
SECONDS = 300
CHECKER_SEEDS = 4
_STALE = re.compile(
    r"^(acknowledged|order|early|rolled-back|torn|snapshot|own-write|rest): ", re.MULTILINE
)
"""What the checker prints of a read that can't be."""
WIDER = (
    "c:coherence c:slots c:crash c:segment_life c:store",
    "tests/py/test_transactions.py tests/py/test_writes.py tests/py/test_sqlite.py",
    "tests/py/test_reads.py tests/py/test_instances.py tests/py/test_raw.py"
    " tests/py/test_materialising.py tests/py/test_interrupted.py tests/py/engine",
    "--db=postgresql tests/py/test_transactions.py tests/py/test_writes.py"
    " tests/py/test_postgresql.py tests/py/test_unknown_outcomes.py",
)
"""What runs when the named tests have passed, cheapest first."""

_BROKEN = ("NameError", "SyntaxError", "IndentationError", "ImportError", "ModuleNotFoundError")


class Unusable(Exception):
    """The fault is no fault: it doesn't apply, build or load."""


@dataclass(frozen=True)
class Edit:
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Fault:
    name: str
    breaks: str
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]
    """Sets of tests: "c:NAME..." or arguments of pytest."""
    model: tuple[str, ...]
    """The same fault in a model, "cells:STAMP_BEFORE_COMMIT"."""
    checker: str
    """Arguments of tests/consistency/prove.py, where a run has to find the fault."""
    short: bool


@dataclass
class Outcome:
    fault: Fault
    caught_by: str = ""
    found: str = ""
    """The rule that the checker saw broken."""
    wider: bool = False
    trouble: str = ""
    seconds: float = field(default=0.0)


def load(path: Path) -> list[Fault]:
    found = []
    for entry in tomllib.loads(path.read_text())["fault"]:
        known = {"name", "breaks", "edit", "caught_by", "model", "checker", "short"}
        if unknown := entry.keys() - known:
            raise SystemExit(f"{path.name}: {entry.get('name')}: what is {min(unknown)}?")
        found.append(
            Fault(
                name=entry["name"],
                breaks=entry["breaks"],
                edits=tuple(Edit(**edit) for edit in entry["edit"]),
                caught_by=tuple(entry["caught_by"]),
                model=tuple(entry.get("model", ())),
                checker=entry.get("checker", ""),
                short=entry.get("short", False),
            )
        )
    names = [fault.name for fault in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SystemExit(f"{path.name}: {min(twice)} is there twice")
    return found


def unknown_variants(faults: list[Fault]) -> list[str]:
    """Names of models' variants that model/run.py doesn't search."""
    spec = importlib.util.spec_from_file_location("model_run", ROOT / "model" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    searched: set[str] = module.variants()
    return [
        f"{fault.name}: no search of model/run.py is {variant}"
        for fault in faults
        for variant in fault.model
        if variant not in searched
    ]


def applied(fault: Fault, folder: Path) -> dict[Path, str]:
    """The texts of the files that a fault changes, changed.

    Raises Unusable.
    """
    texts: dict[Path, str] = {}
    for edit in fault.edits:
        path = folder / edit.file
        text = texts.get(path) or (path.read_text() if path.is_file() else "")
        if text.count(edit.old) != 1:
            where = f"{edit.file} has its text {text.count(edit.old)} times"
            raise Unusable(f"{where}: {edit.old.strip().splitlines()[0]!r}")
        texts[path] = text.replace(edit.old, edit.new)
    for path, text in texts.items():
        if path.suffix == ".py":
            try:
                compile(text, path.name, "exec")
            except SyntaxError as error:
                raise Unusable(f"{path.name} is no Python any more: {error}") from error
    return texts


def missing_texts(faults: list[Fault]) -> list[str]:
    found = []
    for fault in faults:
        try:
            applied(fault, ROOT)
        except Unusable as error:
            found.append(f"{fault.name}: {error}")
    return found


class Tree:
    """A copy of the project, with at most one fault in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._originals: dict[Path, str] = {}
        self._stale_c = False
        """Whether what is built is of other C code than the tree's."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
        for kind in ("engine", "failpoints"):
            built = list((ROOT / ".build" / kind / "ext").glob("_engine*.so"))
            if not built:
                raise SystemExit("nothing is built: make setup-test")
            (folder / ".build" / kind / "ext").mkdir(parents=True)
            shutil.copy2(built[0], folder / ".build" / kind / "ext")
            self.call("scripts/place-engine", kind)

    def call(self, *command: str, seconds: float = SECONDS) -> tuple[int, str]:
        """Exit status and output; what takes too long is stopped with all it has started."""
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        environment["QCACHE_FAILPOINT_SITE"] = str(self.folder / ".build" / "failpoint-site")
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        with tempfile.TemporaryFile("w+") as out:
            child = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            try:
                status = child.wait(seconds)
            except BaseException:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                raise
            out.seek(0)
            return status, out.read()

    def apply(self, fault: Fault) -> None:
        for path, text in applied(fault, self.folder).items():
            self._originals[path] = path.read_text()
            path.write_text(text)
            self._stale_c = self._stale_c or path.suffix in (".c", ".h")

    def restore(self) -> None:
        for path, text in self._originals.items():
            path.write_text(text)
            self._stale_c = self._stale_c or path.suffix in (".c", ".h")
        self._originals.clear()

    def build(self, *kinds: str) -> None:
        for kind in kinds:
            status, output = self.call("scripts/build", kind, seconds=900)
            if not status and kind != "plain":
                status, output = self.call("scripts/place-engine", kind)
            if status:
                raise Unusable(f"it doesn't build: {output.strip()[-600:]}")

    def failing(self, tests: str) -> str:
        """The first of the tests that fails, or an empty string."""
        if tests.startswith("c:"):
            self.build("plain")
            return next(filter(None, map(self._failing_in_c, tests.split())), "")
        self._build_engine()
        return self._failing_in_python(tests)

    def _build_engine(self) -> None:
        if self._stale_c:
            self.build("engine", "failpoints")
            self._stale_c = bool(self._originals)

    def found_by_checker(self, arguments: str) -> str:
        """The first rule that a run of the checker sees broken, or an empty string."""
        self._build_engine()
        command = [".venv/bin/python", "-m", "tests.consistency.prove", *arguments.split()]
        for seed in range(CHECKER_SEEDS):
            _, output = self.call(*command, "--seed", str(seed))
            if "In all: " not in output:
                raise Unusable(f"the checker doesn't run: {output.strip()[-600:]}")
            if found := _STALE.search(output):
                return found[1]
        return ""

    def _failing_in_c(self, name: str) -> str:
        program = name.removeprefix("c:") + "_test"
        # Meson runs them one at a time with what they need in the environment.
        status, output = self.call(f".build/plain/tests/c/{program}", seconds=120)
        if not status:
            return ""
        failed = re.search(r"\[  FAILED  \] (test_\w+)", output)
        return f"{program}.c::{failed[1]}" if failed else f"{program} (exit status {status})"

    def _failing_in_python(self, tests: str) -> str:
        command = ".venv/bin/python -m pytest -q -x --tb=no -rfE".split()
        status, output = self.call(*command, *tests.split())
        if status == 0:
            return ""
        line = re.search(r"^(?:FAILED|ERROR) (tests/\S+?::.+?)(?: - (.*))?$", output, re.MULTILINE)
        if status != 1 or line is None or (line[2] or "").startswith(_BROKEN):
            raise Unusable(f"the tests don't run: {output.strip()[-600:]}")
        database = re.search(r"--db=(\S+)", tests)
        return line[1] + (f" ({database[1]})" if database else "")


def sound(tree: Tree, faults: list[Fault]) -> list[str]:
    """Named tests that fail without a fault, so that they prove nothing."""
    by_kind: dict[str, list[str]] = {}
    for fault in faults:
        for tests in fault.caught_by:
            kind = tests.split()[0] if tests.startswith("--db") else tests[:2]
            known = by_kind.setdefault(kind, [])
            known += [word for word in tests.split() if word not in known]
    found = []
    for words in by_kind.values():
        try:
            if failing := tree.failing(" ".join(words)):
                found.append(f"{failing} fails without a fault")
        except Unusable as error:
            found.append(f"no test fails, and yet they don't pass without a fault: {error}")
    return found


def judge(tree: Tree, fault: Fault, wider: tuple[str, ...], checker: bool) -> Outcome:
    outcome = Outcome(fault)
    started = time.monotonic()
    try:
        tree.apply(fault)
        for tests in (*fault.caught_by, *wider):
            outcome.wider = tests in wider and tests not in fault.caught_by
            try:
                outcome.caught_by = tree.failing(tests)
            except subprocess.TimeoutExpired:
                outcome.trouble = f"no end in {SECONDS} s: {tests}"
            if outcome.caught_by or outcome.trouble:
                break
        if fault.checker and checker:
            outcome.found = tree.found_by_checker(fault.checker)
            if not outcome.found:
                outcome.trouble = f"the checker finds nothing in {CHECKER_SEEDS} runs"
    except Unusable as error:
        outcome.trouble = str(error)
    finally:
        tree.restore()
    outcome.seconds = time.monotonic() - started
    return outcome


def show(outcome: Outcome) -> None:
    told = outcome.caught_by or ("UNUSABLE" if outcome.trouble else "SURVIVED")
    if outcome.wider and outcome.caught_by:
        told += " (not among the named)"
    by = [*outcome.fault.model, *([f"checker:{outcome.found}"] if outcome.found else [])]
    named = f"{outcome.fault.name:<44} {outcome.seconds:>6.1f}"
    print(f"{named}  {', '.join(by) or '-':<42} {told}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="only these faults")
    parser.add_argument("--short", action="store_true", help="some faults, named tests only")
    parser.add_argument("--named", action="store_true", help="no wider tests")
    parser.add_argument("--list", action="store_true", help="only says whether all of them apply")
    parser.add_argument("--faults", type=Path, default=FAULTS, help="another file of faults")
    options: Any = parser.parse_args(arguments)
    faults = load(options.faults)
    if options.names:
        faults = [fault for fault in faults if fault.name in options.names]
    if options.short:
        faults = [fault for fault in faults if fault.short]
    if not faults:
        parser.error("no such fault")
    problems = unknown_variants(faults) + missing_texts(faults)
    if options.list:
        for fault in faults:
            print(f"{fault.name}: {fault.breaks}")
        print(*problems, sep="\n", end="", file=sys.stderr)
        return 1 if problems else 0
    survivors = 0
    # So that a run that is stopped takes its tests and its folder with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="cache-manager-mutants-") as folder:
        tree = Tree(Path(folder))
        problems += sound(tree, faults)
        print(f"{'fault':<44} {'s':>6}  {'by a model or the checker':<42} caught by")
        for fault in faults:
            few = options.short or options.named
            outcome = judge(tree, fault, () if few else WIDER, checker=not options.short)
            show(outcome)
            if outcome.trouble:
                told = f"{fault.name}: {outcome.trouble}"
                problems += [told] if told not in problems else []
            elif not outcome.caught_by:
                survivors += 1
                problems.append(f"{fault.name} survived: {fault.breaks}")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(faults)} faults, {survivors} survived")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
