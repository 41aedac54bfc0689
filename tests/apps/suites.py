#!/usr/bin/env python3
"""Runs the test suites that the applications' source distributions carry, without the package and
with every model cached: each test must have the same outcome. `make test-apps`; names of packages
may be given.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build" / "apps"
VENV = BUILD / "venv"
SUITES = {
    # Without those that take the time by the machine's clock: they tell how busy it is.
    "django-guardian": ["guardian/testapp/tests", "-k", "not timing"],
    "django-treebeard": ["tests", "--ignore=tests/test_benchmarks.py"],
    "djangorestframework": ["tests"],
}
"""Source distribution -> pytest's arguments in it."""

SETTINGS = {"django-treebeard": "tests.settings"}


class SuiteError(Exception):
    """A suite could not be run; the message holds its last output."""


def unpacked(name: str, number: str) -> Path:
    """The folder of a package's source distribution, taken from the package index once."""
    archives = BUILD / "archives"
    arguments = ["--no-deps", "--no-binary", ":all:", "--dest", str(archives), f"{name}=={number}"]
    stem = f"{name.replace('-', '_')}-{number}"
    if not (archives / f"{stem}.tar.gz").exists():
        run([str(VENV / "bin" / "pip"), "download", "-q", *arguments])
    folder = BUILD / stem
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archives / f"{stem}.tar.gz") as archive:
        archive.extractall(BUILD, filter="data")
    return folder


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, cwd=ROOT)


def outcomes(name: str, folder: Path, cached: bool) -> tuple[dict[str, str], int]:
    """What became of each test, and the hits."""
    result = folder / "result.xml"
    place = BUILD / "segments"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    paths = [folder, ROOT, ROOT / "tests" / "apps"]
    environment = {
        **os.environ,
        "APPS_FOLDER": str(place),
        "APPS_MODE": "with" if cached else "without",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONHASHSEED": "0",
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    if name in SETTINGS:
        environment["DJANGO_SETTINGS_MODULE"] = SETTINGS[name]
    options = ["-q", "-p", "no:cacheprovider", f"--junitxml={result}", "--override-ini=addopts="]
    command = [
        str(VENV / "bin" / "python"),
        "-m",
        "pytest",
        "-p",
        "every_model",
        *options,
        *SUITES[name],
    ]
    result.unlink(missing_ok=True)
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    if not result.exists():
        raise SuiteError(f"{name}: {(done.stdout + done.stderr)[-3000:]}")
    found = {}
    for case in ET.parse(result).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        test = f"{case.get('classname')}.{case.get('name')}"
        found[test] = ",".join(sorted(kinds)) or "passed"
    told = re.search(r"^hits: (\d+)", done.stdout, re.MULTILINE)
    return found, int(told[1]) if told else 0


def compare(name: str) -> list[str]:
    """The tests of a package whose outcome differs with the cache."""
    number = subprocess.run(
        [
            VENV / "bin" / "python",
            "-c",
            f"import importlib.metadata as m; print(m.version('{name}'))",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    folder = unpacked(name, number)
    plain, _ = outcomes(name, folder, cached=False)
    cached, hits = outcomes(name, folder, cached=True)
    passed = sum(outcome == "passed" for outcome in cached.values())
    print(f"{name} {number}: {len(cached)} tests, {passed} passed, {hits} hits")
    if not passed or not hits:
        raise SuiteError(f"{name}: nothing passed, or nothing was a hit")
    return [
        f"{name}: {test}: {plain.get(test)} without, {cached.get(test)} with the cache"
        for test in sorted(plain.keys() | cached.keys())
        if plain.get(test) != cached.get(test)
    ]


def main() -> int:
    BUILD.mkdir(parents=True, exist_ok=True)
    run(["scripts/venv", str(VENV), "requirements/apps-suites.txt"])
    different = [line for name in sys.argv[1:] or SUITES for line in compare(name)]
    for line in different:
        print(line)
    print(f"applications' own suites: {len(different)} tests differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
