"""The async forms are hits as well, right after writes, and raise what Django's raise."""

import asyncio
import contextvars
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, connections, models, transaction
from django.db.models.query import QuerySet

from observe import assert_cached, portable
from testapp.actions import rename, rename_by_sql
from testapp.models import Author, Book, Country, Tag
from worker import OtherProcess

pytestmark = pytest.mark.usefixtures("library")


async def aiterated(queryset: Any) -> list[Any]:
    return [item async for item in queryset]


READS: dict[str, Callable[[], Awaitable[Any]]] = {
    "async for": lambda: aiterated(Author.objects.order_by("pk")),
    "aiterator": lambda: aiterated(Author.objects.order_by("pk").aiterator()),
    "aiterator by chunks": lambda: aiterated(Book.objects.aiterator(chunk_size=2)),
    "aget": lambda: Author.objects.aget(pk=1),
    "afirst": lambda: Author.objects.afirst(),
    "alast": lambda: Author.objects.alast(),
    "aearliest": lambda: Author.objects.filter(born__isnull=False).aearliest(),
    "alatest": lambda: Author.objects.filter(born__isnull=False).alatest("born"),
    "acount": lambda: Author.objects.acount(),
    "aexists": lambda: Author.objects.filter(rank=1).aexists(),
    "acontains": lambda: Author.objects.acontains(Author(pk=1)),
    "aaggregate": lambda: Book.objects.aaggregate(models.Sum("pages")),
    "ain_bulk": lambda: Author.objects.ain_bulk([1, 2]),
    "values": lambda: aiterated(Book.objects.values("title", "author__name")),
    "values_list": lambda: aiterated(Book.objects.values_list("title", flat=True)),
    "select_related": lambda: aiterated(Book.objects.select_related("author__country")),
    "related": lambda: aiterated(Tag(pk=1).books.all()),
    "empty": lambda: aiterated(Author.objects.filter(rank=99)),
}


@pytest.mark.parametrize("name", READS)
def test_async_read_is_a_hit(name: str) -> None:
    """async_to_sync runs the database's part on this thread, where the SQL is counted."""

    @async_to_sync
    async def read() -> Any:
        return await READS[name]()

    assert_cached(read)


@pytest.mark.parametrize("name", READS)
def test_async_and_sync_reads_share_entries(name: str) -> None:
    async def read() -> tuple[Any, Any]:
        return await READS[name](), await READS[name]()

    first, second = async_to_sync(read)()
    assert portable(first) == portable(second)


def test_prefetch() -> None:
    async def read() -> list[Any]:
        books = await aiterated(Book.objects.prefetch_related("tags"))
        await models.aprefetch_related_objects(books, "notes")
        return books

    assert_cached(lambda: async_to_sync(read)())


def test_async_writes_are_seen() -> None:
    async def steps() -> None:
        assert (await Author.objects.aget(pk=1)).name == "Ánna"
        await Author.objects.filter(pk=1).aupdate(name="aupdate")
        author = await Author.objects.aget(pk=1)
        assert author.name == "aupdate"
        author.name = "asave"
        await author.asave()
        assert (await Author.objects.aget(pk=1)).name == "asave"
        await author.arefresh_from_db()
        assert await Author.objects.acount() == 6
        await Author.objects.acreate(name="acreate")
        assert await Author.objects.acount() == 7
        await Author.objects.abulk_create([Author(name="abulk_create")])
        assert await Author.objects.acount() == 8
        await (await Author.objects.aget(name="acreate")).adelete()
        await Author.objects.filter(name="abulk_create").adelete()
        assert await Author.objects.acount() == 6
        _, made = await Country.objects.aget_or_create(code="FR", defaults={"name": "France"})
        assert made
        assert await Country.objects.acount() == 4
        await Country.objects.aupdate_or_create({"name": "changed"}, code="FR")
        assert (await Country.objects.aget(code="FR")).name == "changed"
        book = await Book.objects.aget(pk=1)
        await book.tags.aset([1, 2, 3])
        assert await book.tags.acount() == 3
        await book.tags.aclear()
        assert not await book.tags.aexists()
        books = await aiterated(Book.objects.all())
        for each in books:
            each.pages = 7
        await Book.objects.abulk_update(books, ["pages"])
        assert (await Book.objects.aaggregate(n=models.Max("pages")))["n"] == 7

    async_to_sync(steps)()


def test_write_of_another_process_is_seen(other_process: OtherProcess) -> None:
    async def name() -> str:
        return (await Author.objects.aget(pk=1)).name

    assert async_to_sync(name)() == "Ánna"
    other_process.call(rename_by_sql, "theirs")
    assert async_to_sync(name)() == "theirs"


def test_own_transaction_in_the_executor_thread() -> None:
    """It is this thread, which waits for the event loop."""

    async def steps() -> list[str]:
        seen = [await name_now()]
        await begin()
        seen += [await name_now(), await name_now()]
        await end()
        return [*seen, await name_now()]

    assert async_to_sync(steps)() == ["Ánna", "uncommitted", "uncommitted", "Ánna"]


# --- without a thread ---------------------------------------------------------------------------

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


blocks: list[Any] = []


@sync_to_async
def begin() -> None:
    """A block that has written: its tables are marked no sooner than at its COMMIT."""
    blocks.append(transaction.atomic())
    blocks[-1].__enter__()
    rename("uncommitted")


@sync_to_async
def end() -> None:
    transaction.set_rollback(True)
    blocks.pop().__exit__(None, None, None)


async def name_now() -> str:
    return (await Author.objects.aget(pk=1)).name


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

    async def steps() -> list[str]:
        seen = []
        for _ in range(2):
            async with ThreadSensitiveContext():
                seen += [await name_now() for _ in range(3)]
                await sync_to_async(connections.close_all)()
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
def test_after_its_context_django_raises_as_ever() -> None:
    async def read() -> None:
        async with ThreadSensitiveContext() as context:
            assert [await name_now() for _ in range(3)] == ["Ánna"] * 3
            with hops() as found:
                await name_now()
            assert not found
            await sync_to_async(connections.close_all)()
        SyncToAsync.thread_sensitive_context.set(context)
        with hops() as found:
            try:
                await name_now()
            except RuntimeError:  # of asgiref, from 3.9 on
                return
            finally:
                assert found
            await sync_to_async(connections.close_all)()

    run(read)


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
        for _ in range(4):
            assert await answer(Author.objects) == expected

    run(steps)


@SHARED
def test_own_methods_are_asked() -> None:
    """The asynchronous forms of a class of one's own call its methods."""

    class Own(QuerySet[Any]):
        def count(self) -> int:
            return 42

        def aggregate(self, *args: Any, **kwargs: Any) -> Any:
            return {"own": True}

        def contains(self, obj: Any) -> bool:
            return False

        def in_bulk(self, *args: Any, **kwargs: Any) -> Any:
            return {}

    async def steps() -> None:
        for _ in range(3):
            assert not await Own(Author).acontains(Author(pk=1))
            assert await Own(Author).ain_bulk([1]) == {}
            assert await Own(Author).acount() == 42
            assert await Own(Author).aaggregate(models.Max("rank")) == {"own": True}

    run(steps)


def test_sync_read_on_an_event_loop_is_refused_for_a_hit_too() -> None:
    list(Author.objects.all())

    async def read() -> None:
        for use in (
            lambda: list(Author.objects.all()),
            lambda: Author.objects.count(),
            lambda: Author.objects.get(pk=1),
            lambda: Author.objects.filter(pk=1).exists(),
        ):
            with pytest.raises(SynchronousOnlyOperation):
                use()

    Author.objects.get(pk=1)
    Author.objects.filter(pk=1).exists()
    Author.objects.count()
    asyncio.run(read())


def test_many_tasks_at_once() -> None:
    async def read() -> list[str]:
        authors = await asyncio.gather(*(Author.objects.aget(pk=1 + n % 6) for n in range(60)))
        return [author.name for author in authors]

    names = async_to_sync(read)()
    assert names == ["Ánna", "Boris", "Chiyo", "Dörte", "Émile", "Fatou"] * 10


def test_uncached_in_one_task_leaves_the_others() -> None:
    from observe import count_sql, uncached

    async def outside(entered: asyncio.Event, left: asyncio.Event) -> None:
        await entered.wait()
        await Author.objects.acount()
        left.set()

    async def inside(entered: asyncio.Event, left: asyncio.Event) -> None:
        with uncached():
            entered.set()
            await left.wait()

    async def both() -> None:
        entered, left = asyncio.Event(), asyncio.Event()
        await asyncio.gather(outside(entered, left), inside(entered, left))

    Author.objects.count()
    with count_sql() as log:
        async_to_sync(both)()
    assert log.none()
