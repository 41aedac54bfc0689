"""invalidate, uncached, stats, explain, last_invalidation, the signal, and what they say to a
person.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Count
from django.dispatch import Signal

from observe import assert_hit, count_sql, in_another_thread
from testapp.actions import add_tag, labels, name_of, names, rename, rename_by_sql, sql
from testapp.models import Author, Book, Diner, Loan, Plain, Restaurant, Tag
from worker import OtherProcess, RollBack

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library")]


@pytest.fixture
def api() -> Any:
    from django_cache_manager import api

    return api


def is_hit(read: Callable[[], Any]) -> bool:
    with count_sql() as log:
        read()
    return not log


def behind_our_back(statement: str) -> None:
    """A write past Django: by the driver's own connection, as psql or sqlite3 would do."""
    connection.ensure_connection()
    connection.connection.execute(statement) if connection.vendor == "sqlite" else driver(statement)


def driver(statement: str) -> None:
    with connection.connection.cursor() as cursor:
        cursor.execute(statement)


def test_invalidate_everything(api: Any) -> None:
    names()
    labels()
    behind_our_back("UPDATE testapp_author SET name = 'unseen' WHERE id = 1")
    assert names()[0] == "Ánna", (
        "nothing tells the cache of such a write: the test would prove nothing"
    )
    api.invalidate()
    assert names()[0] == "unseen"
    assert not is_hit(labels)


@pytest.mark.parametrize(
    "target",
    [
        Author,
        "testapp.Author",
        "testapp.author",
        "testapp_author",
        "testapp",
        Author(pk=5),
    ],
    ids=str,
)
def test_invalidate_of_one_target(api: Any, target: Any) -> None:
    names()
    labels()
    behind_our_back("UPDATE testapp_author SET name = 'unseen' WHERE id = 1")
    api.invalidate(target)
    assert names()[0] == "unseen"
    assert is_hit(labels) == (target != "testapp")


def test_invalidate_of_a_child_reaches_its_parents(api: Any) -> None:
    def stars() -> list[Any]:
        return list(Restaurant.objects.order_by("pk").values_list("stars", "name"))

    stars()
    api.invalidate(Diner)
    assert not is_hit(stars)


def test_invalidate_of_what_is_not_there(api: Any) -> None:
    with pytest.raises(LookupError):
        api.invalidate("testapp.NoSuchModel")


def test_invalidate_is_seen_by_the_other_process(api: Any, other_process: OtherProcess) -> None:
    other_process.call(names)
    behind_our_back("UPDATE testapp_author SET name = 'unseen' WHERE id = 1")
    api.invalidate(Author)
    other_process.call(names)
    assert other_process.sql


def test_invalidate_of_one_database(api: Any) -> None:
    Author.objects.using("other").create(pk=1, name="elsewhere")
    names()
    name_of(1, "other")
    api.invalidate(Author, using="other")
    assert is_hit(names)
    assert not is_hit(lambda: name_of(1, "other"))


def test_invalidate_in_a_transaction_drops_its_overlay(api: Any) -> None:
    with transaction.atomic():
        rename("dirty")
        names()
        behind_our_back("UPDATE testapp_author SET name = 'unseen' WHERE id = 1")
        api.invalidate()
        assert names()[0] == "unseen"


def test_uncached_block_and_decorator(api: Any) -> None:
    names()
    with api.uncached():
        assert not is_hit(names)
        with api.uncached():
            assert not is_hit(names)
        assert not is_hit(names)
    assert is_hit(names)

    @api.uncached()
    def decorated() -> bool:
        return is_hit(names)

    assert not decorated()
    assert not decorated()
    assert is_hit(names)


def test_uncached_does_not_fill(api: Any) -> None:
    with api.uncached():
        names()
    assert not is_hit(names)


def test_uncached_writes_are_seen(api: Any) -> None:
    names()
    with api.uncached():
        rename("within")
    assert names()[0] == "within"


def test_uncached_ends_with_an_error(api: Any) -> None:
    names()
    with pytest.raises(RollBack), api.uncached():
        raise RollBack
    assert is_hit(names)


def test_uncached_is_of_its_thread(api: Any) -> None:
    """Django's own threads have connections of their own; L1 and the segment are shared."""
    if connection.is_in_memory_db() if connection.vendor == "sqlite" else False:
        return
    names()
    with api.uncached():
        assert in_another_thread(lambda: is_hit(names))


def test_stats_count_hits_and_fills(api: Any) -> None:
    before = api.stats()["default"]
    names()
    names()
    names()
    after = api.stats()["default"]
    assert after["hits"] - before["hits"] == 2
    assert after["misses"] - before["misses"] >= 1
    assert after["fills"] - before["fills"] >= 1
    rename("a write")
    assert api.stats()["default"]["writes"] > after["writes"]
    assert set(api.stats()) == {"default", "other"}


def test_stats_of_an_open_write(api: Any, other_process: OtherProcess) -> None:
    """Writes in flight are listed; none are left when all is quiet."""
    other_process.call(rename, "theirs")
    assert api.stats()["default"]["in_flight"] == []


def test_explain_goes_through_the_life_of_an_entry(api: Any) -> None:
    queryset = Author.objects.filter(rank__gt=1)
    fresh = api.explain(queryset)
    assert not fresh.cached and fresh.cacheable and fresh.reason
    list(queryset.all())
    found = api.explain(queryset)
    assert found.cached and found.cacheable and not found.reason
    assert found.dependencies == ("testapp_author",)
    assert found.key and found.size > 0
    assert found.stamp > 0
    assert str(found).startswith("cached")
    rename("a write")
    fallen = api.explain(queryset)
    assert not fallen.cached and fallen.key == found.key
    list(queryset.all())
    assert api.explain(queryset).stamp > found.stamp


def test_explain_runs_no_query(api: Any) -> None:
    api.explain(Author.objects.all())
    with count_sql() as log:
        api.explain(Author.objects.filter(rank=1))
    assert log == []


def test_explain_names_every_table(api: Any) -> None:
    queryset = Book.objects.filter(tags__label="roman", author__country__name="x").annotate(
        n=Count("loans")
    )
    assert set(api.explain(queryset).dependencies) == {
        "testapp_book",
        "testapp_book_tags",
        "testapp_tag",
        "testapp_author",
        "testapp_country",
        "testapp_loan",
    }


def test_explain_of_the_uncached(api: Any, settings_of_cache: Callable[..., None]) -> None:
    reasons = {
        "plain model": api.explain(Plain.objects.all()).reason,
        "nocache": api.explain(Author.objects.nocache()).reason,
        "empty": api.explain(Author.objects.filter(pk__in=[])).reason,
    }
    with api.uncached():
        reasons["uncached"] = api.explain(Author.objects.all()).reason
    settings_of_cache(ENABLED=False)
    reasons["disabled"] = api.explain(Author.objects.all()).reason
    assert all(reasons.values())
    assert len(set(reasons.values())) == len(reasons)
    assert "MODELS" in reasons["plain model"]
    assert "ENABLED" in reasons["disabled"]


def test_last_invalidation(api: Any, other_process: OtherProcess) -> None:
    rename("by this process")
    mine = api.last_invalidation(Author)
    import os

    assert mine["pid"] == os.getpid()
    other_process.call(rename, "by the other")
    theirs = api.last_invalidation("testapp.Author")
    assert theirs["pid"] == other_process.pid
    assert theirs["stamp"] > mine["stamp"]
    assert theirs["writes"] == mine["writes"] + 1
    assert theirs["writers"] == 0
    api.invalidate()
    assert api.last_invalidation()["pid"] == os.getpid()


# --- the signal -----------------------------------------------------------------------------------


@pytest.fixture
def received() -> Iterator[list[dict[str, Any]]]:
    from django_cache_manager.signals import post_invalidation

    found: list[dict[str, Any]] = []

    def receive(signal: Signal, **kwargs: Any) -> None:
        found.append(kwargs)

    post_invalidation.connect(receive)
    yield found
    post_invalidation.disconnect(receive)


def test_signal_of_an_autocommit_write(received: list[dict[str, Any]]) -> None:
    rename("a write")
    assert [(one["using"], one["tables"]) for one in received] == [
        ("default", frozenset({"testapp_author"}))
    ]
    assert received[0]["models"] and Author in received[0]["models"]


def test_signal_is_sent_once_after_the_commit(received: list[dict[str, Any]]) -> None:
    with transaction.atomic():
        rename("one")
        add_tag("two")
        rename("three")
        assert received == []
    tables = [one["tables"] for one in received]
    assert tables == [frozenset({"testapp_author", "testapp_tag"})]


def test_signal_is_not_sent_for_a_rollback(received: list[dict[str, Any]]) -> None:
    with pytest.raises(RollBack), transaction.atomic():
        rename("never")
        raise RollBack
    assert received == []


def test_signal_of_reads_is_not_sent(received: list[dict[str, Any]]) -> None:
    names()
    with transaction.atomic():
        labels()
    assert received == []


def test_signal_of_everything(api: Any, received: list[dict[str, Any]]) -> None:
    api.invalidate(using="default")
    assert [(one["using"], one["tables"]) for one in received] == [("default", None)]
    received.clear()
    api.invalidate(Tag, using="default")
    assert [one["tables"] for one in received] == [frozenset({"testapp_tag"})]


def test_signal_of_the_closure_of_a_raw_delete(received: list[dict[str, Any]]) -> None:
    """Database cascades count: these foreign keys have none, so the table alone fell."""
    sql("DELETE FROM testapp_loan")
    assert "testapp_loan" in received[-1]["tables"]
    assert Loan in received[-1]["models"]


def test_receiver_sees_the_write_and_may_fail(received: list[dict[str, Any]]) -> None:
    from django_cache_manager.signals import post_invalidation

    seen: list[str] = []

    def fail(signal: Signal, **kwargs: Any) -> None:
        seen.append(name_of())
        raise RuntimeError("a receiver's own fault")

    name_of()
    post_invalidation.connect(fail)
    try:
        with transaction.atomic():
            rename_by_sql("seen by the receiver")
        rename("again")
    finally:
        post_invalidation.disconnect(fail)
    assert seen == ["seen by the receiver", "again"]
    assert len(received) == 2


def test_a_hit_after_everything() -> None:
    names()
    assert_hit(names)
