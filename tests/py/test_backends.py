"""CACHES['django_cache_manager.cache_backend']: any Django backend holds the rows, and all are as
strict as the segment.
"""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection, transaction

import servers
from observe import assert_cached, assert_right, count_sql, portable, uncached
from testapp.actions import name_of, names, rename, rename_by_sql
from testapp.models import AllTypes, Author
from testapp.reads import SURVEY, survey
from testapp.writes import write
from worker import OtherProcess, RollBack

pytestmark = [pytest.mark.usefixtures("library"), pytest.mark.cached]
ALIAS = "django_cache_manager.cache_backend"
BACKENDS = "django.core.cache.backends"
KINDS = ("locmem", "file", "database", "redis", "pymemcache")
CACHE_TABLE = "rows_of_cache"


def configuration(kind: str, request: pytest.FixtureRequest, folder: Path) -> dict[str, Any]:
    if kind == "locmem":
        return {"BACKEND": f"{BACKENDS}.locmem.LocMemCache", "LOCATION": str(folder)}
    if kind == "file":
        return {"BACKEND": f"{BACKENDS}.filebased.FileBasedCache", "LOCATION": str(folder)}
    if kind == "database":
        return {"BACKEND": f"{BACKENDS}.db.DatabaseCache", "LOCATION": CACHE_TABLE}
    if kind == "redis":
        url = request.getfixturevalue("redis_of_run").url
        return {"BACKEND": f"{BACKENDS}.redis.RedisCache", "LOCATION": url}
    location = request.getfixturevalue("memcached_of_run").location
    return {"BACKEND": f"{BACKENDS}.memcached.PyMemcacheCache", "LOCATION": location}


def use(configured: dict[str, Any] | None, l1_size: int) -> None:
    """Switches this process over; also what the other process is asked for."""
    from django.conf import settings
    from django.test import override_settings

    others = {"default": {"BACKEND": f"{BACKENDS}.locmem.LocMemCache"}}
    override = override_settings(
        CACHES=others if configured is None else {**others, ALIAS: configured},
        DJANGO_CACHE_MANAGER={**settings.DJANGO_CACHE_MANAGER, "L1_SIZE": l1_size},
    )
    override.enable()
    overrides.append(override)


overrides: list[Any] = []


def restore() -> None:
    while overrides:
        overrides.pop().disable()


@pytest.fixture(params=KINDS)
def backend(
    request: pytest.FixtureRequest, database: None, tmp_path: Path
) -> Iterator[dict[str, Any]]:
    configured = configuration(request.param, request, tmp_path / "rows")
    use(configured, 0)
    if request.param == "database":
        call_command("createcachetable", verbosity=0)
    yield configured
    caches[ALIAS].clear()
    restore()
    if request.param == "database":
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {CACHE_TABLE}")


def own_sql(log: list[str]) -> list[str]:
    """What did not come from the database backend's own table."""
    management = ("SAVEPOINT", "RELEASE SAVEPOINT", "BEGIN", "COMMIT")
    return [sql for sql in log if CACHE_TABLE not in sql and not sql.startswith(management)]


def hit(read: Callable[[], Any]) -> Any:
    with count_sql() as log:
        found = read()
    assert own_sql(log) == []
    return found


def test_rows_come_from_the_backend(backend: dict[str, Any]) -> None:
    first = names()
    assert hit(names) == first
    caches[ALIAS].clear()
    with count_sql() as log:
        assert names() == first
    assert own_sql(log)
    assert hit(names) == first


def test_every_read_is_equal_and_a_hit(backend: dict[str, Any]) -> None:
    with uncached():
        truth = portable(survey())
    assert portable(survey()) == truth
    assert portable(hit(survey)) == truth
    assert len(SURVEY) > 20


def test_write_here_is_seen(backend: dict[str, Any]) -> None:
    for name in ("save", "many_set", "raw_update", "delete_cascades", "loaddata"):
        before = portable(survey())
        write(name)
        now = portable(survey())
        with uncached():
            assert now == portable(survey())
        assert now != before


def test_transaction(backend: dict[str, Any]) -> None:
    names()
    with pytest.raises(RollBack), transaction.atomic():
        rename("never")
        assert names()[0] == "never"
        assert names()[0] == "never"
        raise RollBack
    assert names()[0] == "Ánna"
    with transaction.atomic():
        rename("committed")
        assert names()[0] == "committed"
    assert names()[0] == "committed"


def test_other_process_shares_rows_and_sees_writes(
    backend: dict[str, Any], other_process: OtherProcess
) -> None:
    other_process.call(use, backend, 0)
    try:
        first = names()
        assert other_process.call(names) == portable(first)
        if "locmem" not in backend["BACKEND"]:
            assert own_sql(other_process.sql) == []
        rename_by_sql("here")
        assert other_process.call(name_of) == portable("here")
        other_process.call(rename, "there")
        assert name_of() == names()[0] == "there"
        with transaction.atomic():
            rename("open")
            assert other_process.call(name_of) == portable("there")
        assert other_process.call(name_of) == portable("open")
    finally:
        other_process.call(restore)


def test_no_pickled_rows_are_in_the_backend(backend: dict[str, Any]) -> None:
    """The backend gets plain bytes of ours, whatever it does with them."""
    from django_cache_manager import stores

    seen: list[Any] = []
    original = stores._Backend.call

    class Spy:
        def __init__(self, cache: Any) -> None:
            self.cache = cache

        def set(self, key: str, value: Any, *args: Any) -> None:
            seen.append(value)
            self.cache.set(key, value, *args)

        def get(self, key: str) -> Any:
            return self.cache.get(key)

    def call(self: Any, alias: str, work: Callable[[Any], Any]) -> Any:
        return original(self, alias, lambda cache: work(Spy(cache)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores._Backend, "call", call)
        names()
    assert seen
    assert {type(value) for value in seen} == {bytes}


def test_damaged_and_foreign_values_are_misses(backend: dict[str, Any]) -> None:
    """Someone else's value, other bytes, another key's entry: read from the database."""
    from django_cache_manager import stores

    class Liar:
        answer: Any = None
        last: Any = None

        def get(self, key: str) -> Any:
            return self.answer

        def set(self, key: str, value: bytes, *args: Any) -> None:
            Liar.last = value

    original = stores._Backend.call

    def call(self: Any, alias: str, work: Callable[[Any], Any]) -> Any:
        return original(self, alias, lambda cache: work(Liar()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores._Backend, "call", call)
        list(Author.objects.filter(rank=1))
        other = Liar.last
        expected = names()
        own = Liar.last
        flipped = bytes([*own[:-1], own[-1] ^ 1])
        for answer in (
            None,
            1,
            "text",
            b"",
            b"garbage",
            own[:-1],
            own + b"x",
            flipped,
            other,
            [own],
        ):
            Liar.answer = answer
            assert names() == expected, answer
        Liar.answer = own
        with count_sql() as log:
            assert names() == expected
        assert not log


def test_dummy_backend_means_no_caching(library: None) -> None:
    use({"BACKEND": f"{BACKENDS}.dummy.DummyCache"}, 16 << 20)
    try:
        for _ in range(3):
            with count_sql() as log:
                names()
            assert len(log) == 1
        with transaction.atomic():
            rename("dirty")
            for _ in range(2):
                with count_sql() as log:
                    assert name_of() == "dirty"
                assert log
    finally:
        restore()
    assert_cached(names)


def test_override_settings_switches_at_once(library: None, tmp_path: Path) -> None:
    names()
    use({"BACKEND": f"{BACKENDS}.filebased.FileBasedCache", "LOCATION": str(tmp_path)}, 0)
    try:
        assert_right(names)
        assert list(tmp_path.iterdir())
        rename("while on files")
        assert names()[0] == "while on files"
    finally:
        restore()
    assert names()[0] == "while on files"
    assert_cached(names)


def test_write_while_on_another_backend_is_seen_after_it(library: None, tmp_path: Path) -> None:
    """Each backend keeps its rows: what they are worth is in the segment."""
    files = {"BACKEND": f"{BACKENDS}.filebased.FileBasedCache", "LOCATION": str(tmp_path)}
    for configured in (files, None, files, None):
        use(configured, 0)
        name = f"on {configured and 'files'} {len(list(tmp_path.iterdir()))}"
        names()
        rename(name)
        restore()
        assert names()[0] == name


def test_large_rows_over_the_limit_of_memcached(
    library: None, memcached_of_run: servers.Memcached
) -> None:
    """memcached refuses more than 1 MB: not kept, never altered."""
    text = "x" * 1_000_000
    AllTypes.objects.create(text=text)
    use(
        {"BACKEND": f"{BACKENDS}.memcached.PyMemcacheCache", "LOCATION": memcached_of_run.location},
        0,
    )
    try:
        for _ in range(2):
            assert AllTypes.objects.values_list("text", flat=True).get() == text
        assert_cached(names)
    finally:
        restore()


def goes_away_and_comes_back(
    server: servers.Server, configured: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "django_cache_manager")
    use(configured, 0)
    try:
        names()
        hit(names)
        server.kill()
        for turn in range(5):
            rename(f"turn {turn}")
            assert names()[0] == f"turn {turn}"
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(warnings) == 1, [record.getMessage() for record in warnings]
        assert ALIAS in warnings[0].getMessage()
        server.start()
        wait_for_a_hit()
        rename("after it")
        assert names()[0] == "after it"
    finally:
        restore()


def wait_for_a_hit() -> None:
    """Recovery needs no restart of this process; a pause before it asks again is its own affair."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with count_sql() as log:
            names()
        if not log:
            return
    pytest.fail("still no hit 15 seconds after the server came back")


def test_redis_goes_away_and_comes_back(
    private_redis: servers.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    configured = {"BACKEND": f"{BACKENDS}.redis.RedisCache", "LOCATION": private_redis.url}
    goes_away_and_comes_back(private_redis, configured, caplog)


def test_memcached_goes_away_and_comes_back(
    private_memcached: servers.Memcached, caplog: pytest.LogCaptureFixture
) -> None:
    location = private_memcached.location
    configured = {"BACKEND": f"{BACKENDS}.memcached.PyMemcacheCache", "LOCATION": location}
    goes_away_and_comes_back(private_memcached, configured, caplog)


def test_redis_that_never_was(library: None, caplog: pytest.LogCaptureFixture) -> None:
    url = f"redis://127.0.0.1:{servers.free_port()}/0"
    use({"BACKEND": f"{BACKENDS}.redis.RedisCache", "LOCATION": url}, 0)
    try:
        for _ in range(3):
            assert_right(names)
    finally:
        restore()
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


def test_backend_class_that_cannot_be_imported(
    library: None, caplog: pytest.LogCaptureFixture
) -> None:
    use({"BACKEND": "no.such.Backend"}, 0)
    try:
        for _ in range(2):
            assert_right(names)
        rename("still written")
        assert names()[0] == "still written"
    finally:
        restore()
