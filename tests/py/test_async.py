"""The async forms are hits as well, right after writes, and raise what Django's raise."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import models, transaction

from observe import assert_cached, portable
from testapp.actions import rename, rename_by_sql
from testapp.models import Author, Book, Country, Tag
from worker import OtherProcess

pytestmark = pytest.mark.usefixtures("library")


async def aiterated(queryset: Any) -> list[Any]:
    return [item async for item in queryset]


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
