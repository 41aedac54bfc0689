"""Options and fixtures of the Python tests.

`pytest tests/py` runs on SQLite files, `--db=postgresql` (mariadb, memory, sqlite-delete,
psycopg2) on another database, `--plain` without the package: what passes then is right about
Django. Tests that another database can't run are left out by the markers `databases(...)`, `cached`
and `root`.
"""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import servers

if TYPE_CHECKING:
    from worker import OtherProcess

KINDS = ("sqlite", "sqlite-delete", "memory", "postgresql", "psycopg2", "mariadb")
MARKERS = (
    "databases(*kinds): runs on these kinds only (sqlite, postgresql: all of theirs)",
    "cached: needs the package, left out by --plain",
    "root: needs to be root",
)
postgresql: servers.PostgreSQL | None = None
mariadb: servers.MariaDB | None = None
run_folder = servers.memory_folder("qc-run-")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--db", choices=KINDS, default=os.environ.get("QC_TEST_DB", "sqlite"))
    parser.addoption("--plain", action="store_true", help="run without the package")


def pytest_configure(config: pytest.Config) -> None:
    global postgresql, mariadb
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    kind = config.getoption("--db")
    os.environ["QC_TEST_DB"] = kind
    os.environ["QC_TEST_FOLDER"] = str(run_folder)
    os.environ["QC_TEST_PLAIN"] = "1" if config.getoption("--plain") else ""
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    run_folder.chmod(0o755)
    (run_folder / "segments").mkdir()
    if kind in ("postgresql", "psycopg2"):
        postgresql = servers.PostgreSQL()
        os.environ["QC_TEST_PG_PORT"] = str(postgresql.port)
    if kind == "mariadb":
        mariadb = servers.MariaDB()
        os.environ["QC_TEST_MARIADB_PORT"] = str(mariadb.port)


def pytest_unconfigure(config: pytest.Config) -> None:
    if postgresql is not None:
        postgresql.remove()
    if mariadb is not None:
        mariadb.remove()
    shutil.rmtree(run_folder, ignore_errors=True)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Sets Django up before test modules import models. Tests of the engine alone need no Django:
    they go on without.
    """
    import django

    try:
        django.setup()
    except ImportError as error:
        session.config.stash[setup_error] = error


setup_error: pytest.StashKey[ImportError] = pytest.StashKey()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if not fits(item, config)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def fits(item: pytest.Item, config: pytest.Config) -> bool:
    kind = config.getoption("--db")
    families = {
        "sqlite": ("sqlite", "sqlite-delete", "memory"),
        "sqlite-wal": ("sqlite",),
        "sqlite-file": ("sqlite", "sqlite-delete"),
        "postgresql": ("postgresql", "psycopg2"),
        "psycopg3": ("postgresql",),
    }
    marker = item.get_closest_marker("databases")
    kinds = (
        [kind for name in marker.args for kind in families.get(name, (name,))] if marker else KINDS
    )
    if item.get_closest_marker("cached") and config.getoption("--plain"):
        return False
    if item.get_closest_marker("root") and os.geteuid() != 0:
        return False
    # A database in memory is this process's own.
    return kind in kinds and not (kind == "memory" and "other_process" in item.fixturenames)


@pytest.fixture(scope="session")
def schema(request: pytest.FixtureRequest) -> None:
    """Both databases with their tables."""
    from django.core.management import call_command

    if setup_error in request.config.stash:
        raise request.config.stash[setup_error]
    if postgresql is not None:
        postgresql.start()
        for alias in ("default", "other"):
            postgresql.execute(f"CREATE DATABASE qc_{alias}")
    if mariadb is not None:
        mariadb.start()
        for alias in ("default", "other"):
            mariadb.execute(f"CREATE DATABASE qc_{alias}")
    for alias in ("default", "other"):
        # Apps without migrations come first in one run, but ours refer to content types.
        call_command("migrate", "contenttypes", database=alias, verbosity=0)
        call_command("migrate", database=alias, run_syncdb=True, verbosity=0)


@pytest.fixture
def database(alarm: None, schema: None) -> Iterator[None]:
    """Empty tables in both databases, in autocommit; all connections closed at the end."""
    from django.db import connections

    from testapp import cleaning
    from testapp.router import TestRouter

    cleaning.empty_tables()
    yield
    TestRouter.reads.clear()
    TestRouter.writes.clear()
    cleaning.end_transactions()
    for connection in connections.all(initialized_only=True):
        connection.close()


@pytest.fixture
def routed(database: None) -> Iterator[None]:
    """TestRouter is asked; without a router a hit has nobody to ask."""
    from django.test import override_settings

    with override_settings(DATABASE_ROUTERS=["testapp.router.TestRouter"]):
        yield


@pytest.fixture
def spoiled_connection(database: None) -> Iterator[None]:
    """For a test after which its connection caches nothing more.

    Django never closes a database in memory: then it is made anew.
    """
    from django.core.management import call_command
    from django.db import connection

    yield
    if connection.settings_dict["NAME"].startswith("file:"):
        connection.connection.close()
        connection.connection = None
        call_command("migrate", run_syncdb=True, verbosity=0)


@pytest.fixture
def library(database: None) -> None:
    """The data of testapp.library."""
    from testapp.library import load

    load()


@pytest.fixture(scope="session")
def other_process_of_run(schema: None) -> Iterator["OtherProcess"]:
    from worker import OtherProcess

    other = OtherProcess(run_folder / "other.log")
    yield other
    other.stop()


@pytest.fixture
def other_process(database: None, other_process_of_run: "OtherProcess") -> Iterator["OtherProcess"]:
    """A second process on the same databases and segments. One a run; without transaction or
    connection at first.
    """
    import worker

    other_process_of_run.call(worker.reset)
    yield other_process_of_run
    if other_process_of_run.pending:
        other_process_of_run.kill()
    else:
        other_process_of_run.call(worker.reset)


@pytest.fixture
def other(other_process: "OtherProcess") -> "OtherProcess":
    """The other process with everything in its L1."""
    from testapp.actions import labels, name_of, names

    for read in (names, name_of, labels):
        read()
        other_process.call(read)
    return other_process


@pytest.fixture
def locked(database: None) -> Iterator[Callable[[], None]]:
    """Keeps the first author's row locked; called, it lets go."""
    from django.db import transaction

    from aliases import alias_of
    from in_flight import settled
    from testapp.models import Author

    settled()
    with alias_of("locker") as locker:
        block = transaction.atomic(locker)
        block.__enter__()
        Author.objects.using(locker).select_for_update().get(pk=1)
        held = True

        def let_go() -> None:
            nonlocal held
            if held:
                held = False
                block.__exit__(None, None, None)

        yield let_go
        let_go()
    # The next test's tables are emptied when nobody writes them any more.
    settled()


@pytest.fixture
def settings_of_cache(database: None) -> Iterator[Callable[..., None]]:
    """Changes keys of DJANGO_CACHE_MANAGER, or a whole setting, for a test."""
    from django.conf import settings
    from django.test import override_settings

    overrides: list[override_settings] = []

    def change(**keys: object) -> None:
        whole = {key: keys.pop(key) for key in ("CACHES",) if key in keys}
        merged = {**settings.DJANGO_CACHE_MANAGER, **keys}
        override = override_settings(DJANGO_CACHE_MANAGER=merged, **whole)
        override.enable()
        overrides.append(override)

    yield change
    for override in reversed(overrides):
        override.disable()


@pytest.fixture(scope="session")
def redis_of_run() -> Iterator[servers.Redis]:
    server = servers.Redis()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def memcached_of_run() -> Iterator[servers.Memcached]:
    server = servers.Memcached()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def private_redis() -> Iterator[servers.Redis]:
    """A Redis that a test may kill."""
    server = servers.Redis()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def private_memcached() -> Iterator[servers.Memcached]:
    server = servers.Memcached()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def postgresql_server(schema: None) -> servers.PostgreSQL:
    """The run's PostgreSQL. Its `execute` writes past Django."""
    assert postgresql is not None
    return postgresql


@pytest.fixture
def mariadb_server(schema: None) -> servers.MariaDB:
    """The run's MariaDB. Its `execute` writes past Django."""
    assert mariadb is not None
    return mariadb


@pytest.fixture
def alarm() -> Iterator[None]:
    """Ends a test that hangs."""

    def ring(number: int, frame: object) -> None:
        raise TimeoutError("the test took more than 60 seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many instances the engine made, plan by plan; -1 where from_db() had to."""
    from django_cache_manager import row_plans, selects

    row_plans._plans.clear()
    selects._statements.clear()  # they keep plans
    counts: list[int] = []
    build = row_plans.RowPlan.build

    def counted(self: Any, *arguments: Any) -> Any:
        found = build(self, *arguments)
        counts.append(-1 if found is None else len(found))
        return found

    monkeypatch.setattr(row_plans.RowPlan, "build", counted)
    return counts


@pytest.fixture
def fresh_shapes() -> Iterator[None]:
    """No shape of a queryset is known, whatever ran before."""
    from django_cache_manager import traces

    traces.forget()
    yield
    traces.forget()
    gc.collect()  # cursors in the frames of errors
