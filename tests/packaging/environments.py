"""Clean virtual environments, and commands run in them."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMOKE = Path(__file__).with_name("smoke.py")


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Its output; fails with it. Nothing of this process's Python paths goes along."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "DJANGO_"))
    }
    # meson and ninja are those of the environment that runs the tests.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    if done.returncode:
        pytest.fail(
            f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout[-6000:]}"
        )
    return done.stdout


@dataclass(frozen=True)
class CleanEnvironment:
    """A virtual environment with nothing in it but what a test installs."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, python: str | Path = sys.executable) -> "CleanEnvironment":
        run(python, "-m", "venv", folder)
        return cls(folder)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, *requirements: str | Path) -> None:
        pip = (
            self.python,
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--no-input",
        )
        run(*pip, *requirements)

    def smoke(self, part: str, folder: Path) -> str:
        """Runs a part of smoke.py where the tree can't be imported from."""
        return run(self.python, "-I", SMOKE, part, folder, cwd=folder)


@dataclass(frozen=True)
class Distribution:
    sdist: Path
    wheel: Path
