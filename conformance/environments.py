# ruff: noqa: S603 - what is started is this project's own
"""What a run needs, made in .build/conformance: a virtual environment with one Django, the engine
for its Python, and the tests of Django's source distribution."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build" / "conformance"
DJANGOS = {"5.2": (3, 11), "6.1": (3, 12)}
"""Django series -> the oldest Python it is run on."""

WANTED = {
    "argon2-cffi",
    "asgiref",
    "bcrypt",
    "docutils",
    "jinja2",
    "numpy",
    "pillow",
    "psycopg-pool",
    "psycopg[binary]",
    "pyyaml",
    "sqlparse",
    "tblib",
    "tzdata",
}
"""Of tests/requirements: what tests of models use; no browsers, formatters, other servers."""


class EnvironmentMissing(Exception):
    """No environment can be made here; the message says what is missing."""


@dataclass(frozen=True)
class Environment:
    """A Django with its tests, on one Python."""

    python: Path
    python_version: str
    django_version: str
    tests: Path
    site: Path
    """The folder on PYTHONPATH: this package, and the product with the engine of this Python."""


def make(series: str) -> Environment:
    """The environment of a Django series. Raises EnvironmentMissing."""
    version, interpreter = interpreter_for(series)
    folder = BUILD / f"django-{series}-python-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "django.txt"
    major, minor = series.split(".")
    write_if_changed(wanted, f"Django>={series},<{major}.{int(minor) + 1}\n")
    venv = folder / "venv"
    install(venv, interpreter, [ROOT / "requirements" / "build.txt", wanted])
    python = venv / "bin" / "python"
    code = "import django; print(django.get_version())"
    running = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    django_version = running.stdout.strip()
    tests = unpacked_tests(python, django_version)
    needed = folder / "tests.txt"
    write_if_changed(needed, "".join(f"{line}\n" for line in needed_requirements(tests)))
    install(venv, interpreter, [needed])
    return Environment(python, version, django_version, tests, site(folder, venv, version))


def interpreter_for(series: str) -> tuple[str, str]:
    """(version, path) of the oldest interpreter at hand that the series runs on."""
    listed = subprocess.run(
        [ROOT / "scripts" / "pythons"], check=True, capture_output=True, text=True
    )
    for line in listed.stdout.splitlines():
        version, path = line.split(maxsplit=1)
        if tuple(map(int, version.split("."))) >= DJANGOS[series]:
            return version, path
    oldest = ".".join(map(str, DJANGOS[series]))
    raise EnvironmentMissing(f"Django {series} needs Python {oldest} or newer")


def install(venv: Path, interpreter: str, requirements: list[Path]) -> None:
    """Makes the virtual environment and installs requirement files, unless that has been done."""
    stamp = venv / f".{requirements[-1].stem}"
    if stamp.exists() and all(
        file.stat().st_mtime <= stamp.stat().st_mtime for file in requirements
    ):
        return
    environment = {**os.environ, "PYTHON": interpreter}
    subprocess.run(
        [ROOT / "scripts" / "venv", venv, *requirements], check=True, cwd=ROOT, env=environment
    )
    stamp.touch()


def write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def unpacked_tests(python: Path, version: str) -> Path:
    """The tests folder of Django's source distribution, taken from the package index once."""
    folder = BUILD / f"source-{version}"
    if not folder.exists():
        download = BUILD / "download"
        command = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--no-binary", ":all:", "--dest", download, f"Django=={version}"]
        subprocess.run([python, *command, *options], check=True)
        (archive,) = download.glob(f"[Dd]jango-{version}.tar.gz")
        unpacking = BUILD / f"unpacking-{os.getpid()}"
        with tarfile.open(archive) as source:
            source.extractall(unpacking, filter="data")
        (top,) = unpacking.iterdir()
        top.rename(folder)
        unpacking.rmdir()
    return folder / "tests"


def needed_requirements(tests: Path) -> list[str]:
    lines = [
        line.partition("#")[0].strip()
        for name in ("py3.txt", "postgres.txt")
        for line in (tests / "requirements" / name).read_text().splitlines()
    ]
    return [line for line in lines if re.split(r"[ <>=!;~]", line)[0].lower() in WANTED]


def site(folder: Path, venv: Path, version: str) -> Path:
    """Links to the sources beside an engine for this Python: the tree's own doesn't matter."""
    name = f"engine-conformance-{version}"
    environment = {**os.environ, "VENV": str(venv.relative_to(ROOT))}
    subprocess.run([ROOT / "scripts" / "build", name], check=True, cwd=ROOT, env=environment)
    path = folder / "site"
    shutil.rmtree(path, ignore_errors=True)
    for package in ("django_cache_manager", "conformance"):
        (path / package).mkdir(parents=True)
        for file in (ROOT / package).iterdir():
            if file.suffix != ".so" and file.name != "__pycache__":
                (path / package / file.name).symlink_to(file)
    (engine,) = (ROOT / ".build" / name / "ext").glob("_engine*.so")
    shutil.copy(engine, path / "django_cache_manager")
    return path


if __name__ == "__main__":
    for series in sys.argv[1:] or DJANGOS:
        print(make(series))
