"""Where the cases run: a database, and a Python with its Django."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.append(str(ROOT))

from tests.py.servers import Memcached, PostgreSQL, Redis  # noqa: E402


@dataclass(frozen=True)
class Place:
    label: str
    python: str
    environment: dict[str, str]
    """Of its processes, beside the kind."""

    def versions(self) -> str:
        """Of Python, Django and the database."""
        return subprocess.run(
            [self.python, str(HERE / "versions.py")],
            env={**self.environment, "BENCH_PROCESS": "absent"},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout.strip()


class LargeMemcached(Memcached):
    """Takes all results of the cases, as the other caches do: its own default is 1 MB an item."""

    def command(self) -> list[str]:
        return [*super().command(), "-I", "8m", "-m", "512"]


def shm() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def fill(python: str, environment: dict[str, str]) -> None:
    """The sample's tables and data, without any cache."""
    for command in (["migrate", "--verbosity=0"], ["load_cities"]):
        subprocess.run(
            [python, str(ROOT / "sample" / "manage.py"), *command, "--skip-checks"],
            env={
                **environment,
                "BENCH_PROCESS": "off",
                "DJANGO_SETTINGS_MODULE": "settings",
                "PYTHONPATH": str(HERE),
            },
            stdout=subprocess.DEVNULL,
            check=True,
        )


@contextmanager
def rivals_servers() -> Iterator[dict[str, str]]:
    """Private ones on loopback; what is given tells processes where they are."""
    redis, memcached = Redis(), LargeMemcached()
    try:
        redis.start()
        memcached.start()
        yield {"BENCH_REDIS": str(redis.port), "BENCH_MEMCACHED": str(memcached.port)}
    finally:
        memcached.remove()
        redis.remove()


@contextmanager
def sqlite(label: str, python: str = sys.executable, **servers: str) -> Iterator[Place]:
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory(dir=shm()) as segments,
    ):
        environment = {
            **os.environ,
            **servers,
            "SAMPLE_DATABASE": str(Path(folder) / "bench.sqlite3"),
            "BENCH_LOCATION": segments,
        }
        fill(python, environment)
        yield Place(label, python, environment)


@contextmanager
def postgresql(label: str, **servers: str) -> Iterator[Place]:
    """A private server that flushes each commit, on loopback."""
    server = PostgreSQL(options=["autovacuum=on"])
    with tempfile.TemporaryDirectory(dir=shm()) as segments:
        try:
            server.start()
            server.execute("CREATE DATABASE bench")
            environment = {
                **os.environ,
                **servers,
                "BENCH_POSTGRESQL": str(server.port),
                "BENCH_LOCATION": segments,
            }
            fill(sys.executable, environment)
            server.execute("VACUUM ANALYZE", "bench")
            yield Place(label, sys.executable, environment)
        finally:
            server.remove()


def newest_python() -> str | None:
    """Another Python of `make bench` (scripts/other-python) that runs the newest Django."""
    found = [
        path
        for path in (ROOT / ".build").glob("python-3.*/bin/python")
        if int(path.parts[-3].removeprefix("python-3.")) >= 12
    ]
    newest = max(found, key=lambda path: int(path.parts[-3].split(".")[-1]), default=None)
    return None if newest is None else str(newest)
