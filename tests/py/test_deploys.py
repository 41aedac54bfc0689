"""Servers that fork, threads, and deploys: every worker sees each write, whatever it was forked
from and whichever version of the code it runs.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from billiard.exceptions import WorkerLostError

import servers
from deploy_queue import queue
from settings import KIND

pytestmark = [pytest.mark.cached, pytest.mark.databases("sqlite", "postgresql")]

FOLDER = Path(__file__).parent
ROUNDS = 6


def environment(folder: Path, **more: str) -> dict[str, str]:
    import django_cache_manager

    package = Path(django_cache_manager.__file__).parents[1]
    paths = [str(FOLDER), str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {**os.environ, "DEPLOY_FOLDER": str(folder), "PYTHONPATH": os.pathsep.join(paths)}
    found.pop("DJANGO_SETTINGS_MODULE", None)
    return {**found, **more}


def script(folder: Path, command: str, **more: str) -> str:
    site = str(FOLDER / "deploy_site.py")
    return servers.run_python(site, command, env=environment(folder, **more))


@pytest.fixture
def folder(alarm: None, schema: None) -> Iterator[Path]:
    made = servers.memory_folder("qc-deploy-")
    try:
        script(made, "create")
        yield made
        if KIND != "sqlite":
            script(made, "destroy")
    finally:
        shutil.rmtree(made, ignore_errors=True)


class Site(servers.Server):
    """A server program that serves deploy_site."""

    def __init__(self, folder: Path, program: list[str], **more: str) -> None:
        super().__init__("site")
        self.program = program
        self.variables = environment(folder, **more)

    def command(self) -> list[str]:
        program, *_ = self.program
        python = [] if Path(program).is_absolute() else [sys.executable]
        return [*python, *(part.format(port=self.port) for part in self.program)]

    def account(self) -> dict[str, object]:
        return {"env": self.variables}

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        try:
            super().stop(with_signal)
        except subprocess.TimeoutExpired:
            super().stop(signal.SIGKILL)

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


@contextlib.contextmanager
def serving(folder: Path, program: list[str], **more: str) -> Iterator[Site]:
    site = Site(folder, program, **more)
    try:
        site.start()
        yield site
    finally:
        site.remove()


GUNICORN = [
    *("-m", "gunicorn", "--bind", "127.0.0.1:{port}"),
    *("--graceful-timeout", "2", "--no-control-socket"),
]
UWSGI = [
    str(Path(sys.executable).with_name("uwsgi")),
    *("--http-socket", "127.0.0.1:{port}", "--module", "deploy_site:app", "--need-app"),
    *("--master", "--processes", "2", "--die-on-term"),
]
UVICORN = ["-m", "uvicorn", "--port", "{port}", "--log-level", "warning", "deploy_site:asgi"]
SERVERS = {
    "prefork": [*GUNICORN, "--workers", "2", "deploy_site:app"],
    "prefork, preloaded": [*GUNICORN, "--workers", "2", "--preload", "deploy_site:app"],
    "prefork with threads": [
        *(*GUNICORN, "--workers", "2", "--threads", "3", "--preload", "deploy_site:app")
    ],
    "workers that are replaced": [
        *(*GUNICORN, "--workers", "2", "--max-requests", "7", "--preload", "deploy_site:app")
    ],
    "uwsgi": UWSGI,  # loads the application before it forks
    "uwsgi, loaded by each worker": [*UWSGI, "--lazy-apps"],
    "uwsgi with threads": [*UWSGI, "--threads", "3"],
    "asgi": [*UVICORN, "--workers", "2"],
}
if (
    KIND == "postgresql"
):  # the servers are the same: what differs is what a fork does to a connection
    forked = ("prefork, preloaded", "prefork with threads", "uwsgi")
    SERVERS = {name: SERVERS[name] for name in forked}


@pytest.mark.parametrize("name", SERVERS)
def test_every_worker_sees_each_write(folder: Path, name: str) -> None:
    workers = set()
    # An ASGI server imports the application on its event loop, where nothing may be read.
    warm = "" if name == "asgi" else "1"
    with serving(folder, SERVERS[name], DEPLOY_WARM=warm) as site, ThreadPoolExecutor(6) as pool:
        before = site.get("read")["hits"]
        number = 0
        while number < ROUNDS or len(workers) < 2:  # one may start late
            number += 1
            expected = [{"id": 1, "name": f"round {number}"}]
            assert site.get(f"write?name=round%20{number}")["rows"] == expected
            for found in pool.map(lambda _: site.get("read"), range(6)):
                assert found["rows"] == expected
                workers.add(found["pid"])
        assert site.get("read")["hits"] > before + 2 * ROUNDS


def test_workers_of_a_pool_see_each_write(folder: Path) -> None:
    """As celery's prefork pool: what is forked has been used before."""
    found = json.loads(script(folder, "prefork"))
    assert found == [
        ["parent", "parent"],
        ["parent", "first", "first"],
        ["first", "first"],
        ["first", "second", "second"],
        ["second", "third", "third"],
        ["third"],
    ]


def test_two_versions_of_the_code_never_mix(folder: Path) -> None:
    """A rolling deploy: the column is added, both versions run, the column goes away again."""
    program = [*GUNICORN, "--workers", "1", "deploy_site:app"]
    with serving(folder, program, DEPLOY_CODE="old") as old:
        for _ in range(2):
            assert old.get("read")["rows"] == [{"id": 1, "name": "first"}]
        script(folder, "add", DEPLOY_CODE="new")
        for _ in range(2):
            assert old.get("read")["rows"] == [{"id": 1, "name": "first"}]
        with serving(folder, program, DEPLOY_CODE="new") as new:
            before = old.get("read")["hits"]
            for number in range(4):
                new.get(f"write?level={number}")
                old.get(f"write?name=name%20{number}")
                for _ in range(2):
                    assert old.get("read")["rows"] == [{"id": 1, "name": f"name {number}"}]
                    assert new.get("read")["rows"] == [
                        {"id": 1, "name": f"name {number}", "level": number}
                    ]
            assert old.get("read")["hits"] >= before + 8
            script(folder, "drop", DEPLOY_CODE="old")
            assert old.get("read")["rows"] == [{"id": 1, "name": "name 3"}]
            for _ in range(2):
                # As without the cache: the column is gone, and no row from before is shown.
                with pytest.raises(urllib.error.HTTPError) as caught:
                    new.get("read")
                assert caught.value.code == 500
                caught.value.close()


@pytest.mark.parametrize(("name", "kills"), [("prefork, preloaded", 3), ("uwsgi", 1)])
def test_killed_worker_is_replaced_and_sees_each_write(folder: Path, name: str, kills: int) -> None:
    """uwsgi waits a second before it replaces one that was killed soon after it began."""
    with serving(folder, SERVERS[name], DEPLOY_WARM="1") as site:
        for number in range(kills):
            os.kill(site.get("read")["pid"], signal.SIGKILL)
            for _ in range(20):
                with contextlib.suppress(OSError):
                    site.get(f"write?name=after%20{number}")
                    break
            for _ in range(4):
                assert site.get("read")["rows"][0]["name"] == f"after {number}"
        with pytest.raises(OSError):
            site.get("die")
        for _ in range(4):
            assert site.get("read")["rows"][0]["name"] == f"after {number}"


class Workers(Site):
    """Two of celery's prefork pool; their parent has read, and its connection is open."""

    count = 2

    def __init__(self, folder: Path) -> None:
        options = ("--pool", "prefork", "--concurrency", str(self.count), "--loglevel", "info")
        program = ["-m", "celery", "--app", "deploy_celery", "worker", *options]
        # By this variable celery knows that it has to see to Django's connections.
        super().__init__(folder, program, DEPLOY_WARM="open", DJANGO_SETTINGS_MODULE="deploy_site")
        self.queue = queue(str(folder))
        self.meetings = 0

    def ready(self) -> bool:
        return "ready." in self.log()

    def stop(self, with_signal: int = signal.SIGKILL) -> None:
        """Its own way out takes six seconds. The pool ends with its parent."""
        super().stop(signal.SIGKILL)

    def call(self, task: str, *arguments: object) -> Any:
        return self.queue.send_task(task, arguments)

    def read_in_each(self) -> list[dict[str, Any]]:
        self.meetings += 1
        arguments = (f"meeting {self.meetings}", self.count)
        tasks = [self.call("read", *arguments) for _ in range(self.count)]
        return [task.get(timeout=30, interval=0.01) for task in tasks]

    def write(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("write", name).get(timeout=30, interval=0.01)
        return found


@pytest.fixture
def workers(folder: Path) -> Iterator[Workers]:
    made = Workers(folder)
    try:
        made.start()
        yield made
    finally:
        made.remove()


def test_celery_workers_see_each_write(workers: Workers) -> None:
    hits = workers.read_in_each()[0]["hits"]
    for number in range(ROUNDS):
        expected = [{"id": 1, "name": f"round {number}"}]
        assert workers.write(f"round {number}")["rows"] == expected
        found = workers.read_in_each()
        assert [each["rows"] for each in found] == [expected, expected]
        assert len({each["pid"] for each in found}) == Workers.count
    assert max(each["hits"] for each in workers.read_in_each()) >= hits + ROUNDS


def test_killed_celery_worker_harms_nobody(workers: Workers) -> None:
    workers.write("before")
    first = {each["pid"] for each in workers.read_in_each()}
    with pytest.raises(WorkerLostError):  # or the next task might be sent to the dead one
        workers.call("die").get(timeout=30, interval=0.01)
    found = workers.read_in_each()
    assert len({each["pid"] for each in found} & first) < Workers.count
    assert {each["rows"][0]["name"] for each in found} == {"before"}
    workers.write("after")
    assert {each["rows"][0]["name"] for each in workers.read_in_each()} == {"after"}
