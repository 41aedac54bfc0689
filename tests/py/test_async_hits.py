"""Async hits are answered on the event loop, without a thread, and see what that thread would."""

import asyncio
import contextvars
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import (
    AsyncToSync,
    SyncToAsync,
    ThreadSensitiveContext,
    async_to_sync,
    sync_to_async,
)
from django.db import DatabaseError, connections, models, transaction

from django_cache_manager import async_calls
from observe import portable
from test_async import READS, aiterated, begin, end, name_now
from testapp.actions import rename
from testapp.models import Author, Book, Tag

pytestmark = pytest.mark.usefixtures("library")

BY_THE_LOOP = (
    "async for",
    "aget",
    "afirst",
    "alast",
    "acount",
    "aexists",
    "acontains",
    "aaggregate",
    "ain_bulk",
    "values",
    "values_list",
    "select_related",
    "related",
    "empty",
)
"""Reads that are answered on the event loop when they are hits."""

# A private database, in memory, is another in each thread.
SHARED = pytest.mark.databases("sqlite-file", "postgresql", "mariadb")


@contextmanager
def hops() -> Iterator[list[str]]:
    """The names of what goes to a thread."""
    found: list[str] = []
    call = SyncToAsync.__call__

    async def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(self.func.__qualname__)
        return await call(self, *args, **kwargs)

    with mock.patch.object(SyncToAsync, "__call__", counted):
        yield found


async def unopened() -> Any:
    """The connection of this place's thread, which isn't open and has answered."""
    await name_now()
    await sync_to_async(connections.close_all)()
    assert [await name_now() for _ in range(3)] == ["Ánna"] * 3
    return await sync_to_async(lambda: connections["default"])()


def run(steps: Callable[[], Any]) -> Any:
    """With an event loop of its own, whose thread of synchronous code closes what it has opened."""

    async def all_steps() -> Any:
        try:
            return await steps()
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(all_steps())


@SHARED
@pytest.mark.parametrize("name", BY_THE_LOOP)
def test_hit_needs_no_thread(name: str) -> None:
    async def steps() -> None:
        first = [portable(await READS[name]()) for _ in range(3)][2]
        with hops() as found:
            assert portable(await READS[name]()) == first
        assert not found

    run(steps)


@SHARED
def test_write_is_seen_without_a_thread() -> None:
    async def steps() -> None:
        assert [await name_now() for _ in range(2)] == ["Ánna"] * 2
        await sync_to_async(rename)("another")
        with hops() as found:
            assert [await name_now() for _ in range(2)] == ["another"] * 2
        assert len(found) == 1

    run(steps)


@SHARED
def test_a_connection_that_is_not_open_answers_too() -> None:
    async def steps() -> None:
        assert await name_now() == "Ánna"
        await sync_to_async(connections.close_all)()
        await name_now()
        with hops() as found:
            assert await name_now() == "Ánna"
        assert not found

    run(steps)


@SHARED
def test_prefetches_go_to_the_thread() -> None:
    async def steps() -> None:
        for _ in range(3):
            with hops() as found:
                books = await aiterated(Book.objects.prefetch_related("tags").order_by("pk"))
        assert len(found) == 1
        assert [len(book.tags.all()) for book in books]

    run(steps)


@SHARED
def test_transaction_of_the_loops_thread_is_seen() -> None:
    async def steps() -> list[str]:
        seen = [await name_now() for _ in range(2)]
        await begin()
        seen.append(await name_now())
        await end()
        return [*seen, await name_now()]

    assert run(steps) == ["Ánna", "Ánna", "uncommitted", "Ánna"]


@SHARED
def test_transaction_of_another_context_is_seen() -> None:
    """Its thread is another, of whose connection the task knows nothing yet."""

    async def steps() -> list[str]:
        seen = [await name_now() for _ in range(2)]
        async with ThreadSensitiveContext():
            await begin()
            seen.append(await name_now())
            await end()
            await sync_to_async(connections.close_all)()
        return [*seen, await name_now()]

    assert run(steps) == ["Ánna", "Ánna", "uncommitted", "Ánna"]


@SHARED
def test_transaction_of_an_enclosing_thread_is_seen() -> None:
    """What a context knows of one loop says nothing of another, where this thread's code runs."""
    contexts = []

    async def first() -> None:
        await name_now()
        await sync_to_async(connections.close_all)()
        assert [await name_now() for _ in range(3)] == ["Ánna"] * 3
        contexts.append(contextvars.copy_context())

    run(first)
    with transaction.atomic():
        rename("uncommitted")
        assert contexts[0].run(async_to_sync(name_now)) == "uncommitted"
        transaction.set_rollback(True)


@SHARED
def test_transaction_is_seen_after_another_place_is_gone() -> None:
    """What a context has known of a place that is gone says nothing of having none."""
    kept = []

    async def steps() -> list[str]:
        seen = []
        for _ in range(2):
            async with ThreadSensitiveContext():
                kept.append(await unopened())
                seen += [await name_now() for _ in range(3)]
        gc.collect()
        await begin()
        seen.append(await name_now())
        await end()
        return seen

    assert run(steps) == ["Ánna"] * 6 + ["uncommitted"]


@SHARED
def test_another_connection_in_its_place_is_asked() -> None:
    async def steps() -> None:
        assert [await name_now() for _ in range(3)] == ["Ánna"] * 3
        for change in (replace, take_away):
            await sync_to_async(change)()
            with hops() as found:
                await name_now()
            assert found

    kept = []

    def replace() -> None:
        kept.append(connections["default"])
        connections["default"] = kept[0].copy()

    def take_away() -> None:
        kept.append(connections["default"])
        del connections["default"]
        for each in kept:
            each.close()

    run(steps)


@SHARED
def test_connection_of_another_thread_is_refused_each_time() -> None:
    ours = connections["default"]

    async def steps() -> None:
        theirs = await sync_to_async(lambda: connections["default"])()
        assert [await name_now() for _ in range(3)] == ["Ánna"] * 3
        await sync_to_async(lambda: connections.__setitem__("default", ours))()
        for _ in range(3):
            with pytest.raises(DatabaseError, match="thread"):
                await name_now()
        await sync_to_async(lambda: connections.__setitem__("default", theirs))()

    run(steps)


@SHARED
def test_shared_connection_of_another_thread_is_asked_there() -> None:
    """Whether it may be used is for that thread to find out, each time."""
    ours = connections["default"]

    async def steps() -> None:
        theirs = await sync_to_async(lambda: connections["default"])()
        await sync_to_async(lambda: connections.__setitem__("default", ours))()
        try:
            for _ in range(4):
                with hops() as found:
                    await name_now()
                assert found
        finally:
            await sync_to_async(lambda: connections.__setitem__("default", theirs))()

    ours.inc_thread_sharing()
    try:
        run(steps)
    finally:
        ours.dec_thread_sharing()


@SHARED
def test_a_models_own_code_runs_in_its_thread() -> None:
    """As Django runs it: it may use the database, or what the thread has."""
    threads = set()

    def note_thread(sender: Any, **_: Any) -> None:
        threads.add(threading.get_ident())

    async def steps() -> None:
        for _ in range(4):
            assert (await Tag.objects.aget(pk=1)).pk == 1
            assert (await aiterated(Tag.objects.order_by("pk")))[0].pk == 1

    models.signals.post_init.connect(note_thread, sender=Tag)
    try:
        run(steps)
    finally:
        models.signals.post_init.disconnect(note_thread, sender=Tag)
    assert threads
    assert threading.get_ident() not in threads


@SHARED
def test_task_that_outlives_its_context_has_another_thread() -> None:
    """asgiref makes it one, whose transaction it has to see; the former's connection is still
    there."""

    async def steps() -> None:
        async with ThreadSensitiveContext() as context:
            kept = await unopened()
            with hops() as found:
                await name_now()
            assert not found
        SyncToAsync.thread_sensitive_context.set(context)
        await begin()
        assert await name_now() == "uncommitted"
        await end()
        assert await unopened() is not kept
        with hops() as found:
            await name_now()
        assert not found

    run(steps)


@SHARED
def test_tasks_of_one_thread_share_what_is_known() -> None:
    async def steps() -> None:
        await unopened()
        with hops() as found:
            assert await asyncio.gather(*(name_now() for _ in range(3))) == ["Ánna"] * 3
        assert not found

    run(steps)


@SHARED
def test_another_asgiref_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps() -> None:
        await unopened()
        monkeypatch.delattr(SyncToAsync, "thread_sensitive_context")
        assert async_calls._executor() is None
        monkeypatch.undo()
        with hops() as found:
            await name_now()
        assert not found

    run(steps)


BULK: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "keys": lambda authors: authors.ain_bulk([1, 2, 99]),
    "keys of another kind": lambda authors: authors.ain_bulk(("1",)),
    "many keys": lambda authors: authors.ain_bulk([*range(1, 300)]),
    "no keys": lambda authors: authors.ain_bulk([]),
    "all": lambda authors: authors.ain_bulk(),
    "by another field": lambda authors: authors.ain_bulk([1, 2], field_name="id"),
    "by no unique field": lambda authors: authors.ain_bulk(["x"], field_name="name"),
    "of a slice": lambda authors: authors.all()[:2].ain_bulk([1]),
    "of values": lambda authors: authors.values("id").ain_bulk([1]),
    "of some": lambda authors: authors.filter(rank__gt=1).ain_bulk([1, 2]),
    "contains": lambda authors: authors.acontains(Author(pk=1)),
    "contains none": lambda authors: authors.filter(pk=2).acontains(Author(pk=1)),
    "contains of a slice": lambda authors: authors.order_by("pk")[:1].acontains(Author(pk=1)),
    "contains of another model": lambda authors: authors.acontains(Book(pk=1)),
    "contains what is not saved": lambda authors: authors.acontains(Author()),
    "contains what is no instance": lambda authors: authors.acontains(1),
    "contains of values": lambda authors: authors.values("id").acontains(Author(pk=1)),
}


@SHARED
@pytest.mark.parametrize("name", BULK)
def test_bulk_is_djangos(name: str) -> None:
    async def answer(authors: Any) -> Any:
        try:
            return portable(await BULK[name](authors))
        except (TypeError, ValueError) as error:
            return type(error), str(error)

    async def steps() -> None:
        expected = await answer(Author.plain)
        assert [await name_now() for _ in range(3)] == ["Ánna"] * 3
        for _ in range(4):
            assert await answer(Author.objects) == expected

    run(steps)


@SHARED
def test_what_django_answers_otherwise_is_not_a_hit_of_its_parts() -> None:
    """What the answer would be made of is remembered."""

    async def steps() -> None:
        await unopened()
        values = Author.objects.values("id")
        for _ in range(4):
            assert await Author.objects.filter(pk=1).aexists()
            assert await values.filter(pk=1).aexists()
            assert await aiterated(values.filter(pk__in=(1,))) == [{"id": 1}]
        assert not await Author.objects.acontains(Book(pk=1))
        with pytest.raises(TypeError, match="contains"):
            await values.acontains(Author(pk=1))

    run(steps)


@SHARED
def test_transaction_of_a_thread_beside_is_seen() -> None:
    """Its code goes to itself, whatever the context has."""

    def beside() -> str:
        try:
            with transaction.atomic():
                rename("uncommitted")
                seen = async_to_sync(name_now)()
                transaction.set_rollback(True)
            return seen
        finally:
            connections.close_all()

    async def steps() -> None:
        async with ThreadSensitiveContext():
            kept = await unopened()
            assert await sync_to_async(beside, thread_sensitive=False)() == "uncommitted"
            assert kept.connection is None

    run(steps)


@SHARED
def test_transaction_of_the_loops_own_thread_is_seen() -> None:
    async def steps() -> None:
        kept = await unopened()
        with ThreadPoolExecutor(1) as pool:
            AsyncToSync.loop_thread_executors[asyncio.get_running_loop()] = pool
            await begin()
            assert await name_now() == "uncommitted"
            await end()
            await sync_to_async(connections.close_all)()
            del AsyncToSync.loop_thread_executors[asyncio.get_running_loop()]
        assert kept.connection is None

    run(steps)


@SHARED
def test_contains_looks_through_what_has_been_read() -> None:
    async def steps() -> None:
        assert [await name_now() for _ in range(3)] == ["Ánna"] * 3
        for _ in range(4):
            assert await Author.objects.acontains(Author(pk=1))
        authors = Author.objects.all()
        authors._result_cache = []
        assert not await authors.acontains(Author(pk=1))

    run(steps)


@SHARED
def test_own_contains_and_aggregate_are_asked() -> None:
    """Of a class that is traced all the same."""

    class Own(type(Author.objects.all())):  # type: ignore[misc]
        def aggregate(self, *args: Any, **kwargs: Any) -> Any:
            return {"own": True, **super().aggregate(*args, **kwargs)}

        def contains(self, obj: Any) -> bool:
            return not super().contains(obj)

    async def steps() -> None:
        await unopened()
        assert Own(Author)._trace is not None
        for _ in range(5):
            assert not await Own(Author).acontains(Author(pk=1))
            assert "own" in await Own(Author).aaggregate(models.Max("rank"))

    run(steps)


@SHARED
def test_own_methods_are_asked() -> None:
    """The asynchronous forms of a class of one's own call its methods."""

    class Own(type(Author.objects.all())):  # type: ignore[misc]
        def count(self) -> int:
            return 42

        def aggregate(self, *args: Any, **kwargs: Any) -> Any:
            return {"own": True}

        def contains(self, obj: Any) -> bool:
            return False

        def in_bulk(self, *args: Any, **kwargs: Any) -> Any:
            return {}

    async def steps() -> None:
        await unopened()
        for _ in range(3):
            assert not await Own(Author).acontains(Author(pk=1))
            assert await Own(Author).ain_bulk([1]) == {}
            assert await Own(Author).acount() == 42
            assert await Own(Author).aaggregate(models.Max("rank")) == {"own": True}

    run(steps)
