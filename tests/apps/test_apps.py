"""Applications of others with every model cached: each response is what it is without the package.

The admin, accounts, sessions, and packages for tags, trees, APIs and permissions are driven by
Django's test client, once without the package and once with MODELS = ["*"].
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "py"))

import servers  # noqa: E402

SCENARIOS = ("admin", "accounts", "sessions", "tree", "tags", "api", "objects")
Answers = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def answers(request: pytest.FixtureRequest) -> Iterator[Answers]:
    """By mode, what each scenario was answered."""
    folder = servers.memory_folder("qc-apps-")
    folder.chmod(0o755)
    environment = {**os.environ, "APPS_FOLDER": str(folder), "PYTHONHASHSEED": "0"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    server = servers.PostgreSQL() if request.param == "postgresql" else None
    try:
        if server is not None:
            server.start()
            environment["APPS_PG_PORT"] = str(server.port)
        yield {mode: run(mode, folder, environment, server) for mode in ("without", "with")}
    finally:
        if server is not None:
            server.remove()
        shutil.rmtree(folder, ignore_errors=True)


def run(
    mode: str, folder: Path, environment: dict[str, str], server: servers.PostgreSQL | None
) -> dict[str, dict[str, Any]]:
    if server is not None:
        server.execute(f"CREATE DATABASE apps_{mode}")
    target = folder / f"{mode}.json"
    command = [sys.executable, "-Wignore", str(HERE / "run.py"), str(target)]
    done = subprocess.run(
        command,
        env={**environment, "APPS_MODE": mode},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, dict[str, Any]] = json.loads(target.read_text())
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_responses_are_the_same(answers: Answers, scenario: str) -> None:
    without, cached = answers["without"][scenario], answers["with"][scenario]
    assert len(without["responses"]) == len(cached["responses"]) > 8
    for plain, found in zip(without["responses"], cached["responses"], strict=True):
        assert found == plain
    # A session is looked for by the present moment: where nothing else is read there are few hits.
    assert cached["hits"] > 4
    assert without["hits"] == 0


def test_every_scenario_is_run_and_answered(answers: Answers) -> None:
    assert set(answers["with"]) == set(SCENARIOS)
    statuses = {
        name: [response[2] for response in found["responses"]]
        for name, found in answers["without"].items()
    }
    errors = {
        name: [s for s in found if not isinstance(s, int)] for name, found in statuses.items()
    }
    assert not any(errors.values()), errors
    every = answers["with"].values()
    assert sum(found["hits"] for found in every) > sum(len(found["responses"]) for found in every)
    assert all(sum(status == 200 for status in found) > 5 for found in statuses.values())
