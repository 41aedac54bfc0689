"""post_invalidation: what is sent, when, and what a receiver may do."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from django_cache_manager import api
from django_cache_manager.signals import post_invalidation
from testapp.models import Author, Country, RankedAuthor, Tag

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("database")]


@pytest.fixture
def sent() -> Iterator[list[dict[str, Any]]]:
    """What a receiver was given, in order."""
    seen: list[dict[str, Any]] = []

    def receive(**kwargs: Any) -> None:
        seen.append(kwargs)

    Tag.objects.count()  # connected, the catalog read
    post_invalidation.connect(receive)
    yield seen
    post_invalidation.disconnect(receive)


def test_autocommit_write_is_told_with_its_alias_table_and_model(
    sent: list[dict[str, Any]],
) -> None:
    Tag.objects.create(label="a")
    (told,) = sent
    assert told["sender"] is None
    assert told["using"] == "default"
    assert told["tables"] == frozenset({"testapp_tag"})
    assert told["models"] == (Tag,)


def test_alias_is_that_of_the_write(sent: list[dict[str, Any]]) -> None:
    Tag.objects.using("other").count()
    sent.clear()
    Tag.objects.using("other").create(label="a")
    assert [told["using"] for told in sent] == ["other"]


def test_proxy_of_a_written_table_is_among_the_models(sent: list[dict[str, Any]]) -> None:
    Author.objects.create(name="a")
    (told,) = sent
    assert {Author, RankedAuthor} <= set(told["models"])


def test_transaction_is_told_once_after_its_commit(sent: list[dict[str, Any]]) -> None:
    with transaction.atomic():
        Tag.objects.create(label="a")
        Country.objects.create(code="aa", name="A")
        Tag.objects.create(label="b")
        assert sent == []
    (told,) = sent
    assert told["tables"] == frozenset({"testapp_tag", "testapp_country"})


def test_rolled_back_transaction_is_not_told(sent: list[dict[str, Any]]) -> None:
    with transaction.atomic():
        Tag.objects.create(label="a")
        transaction.set_rollback(True)
    assert sent == []


def test_read_is_not_told(sent: list[dict[str, Any]]) -> None:
    list(Tag.objects.all())
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert sent == []


def test_invalidate_of_everything_names_no_table(sent: list[dict[str, Any]]) -> None:
    api.invalidate(using="default")
    (told,) = sent
    assert (told["using"], told["tables"], told["models"]) == ("default", None, ())


def test_invalidate_of_a_model_names_its_table(sent: list[dict[str, Any]]) -> None:
    api.invalidate(Tag, using="default")
    (told,) = sent
    assert (told["tables"], told["models"]) == (frozenset({"testapp_tag"}), (Tag,))


def test_receiver_sees_the_write(sent: list[dict[str, Any]]) -> None:
    counts = []

    def receive(**kwargs: Any) -> None:
        counts.append(Tag.objects.count())

    Tag.objects.count()
    post_invalidation.connect(receive)
    try:
        Tag.objects.create(label="a")
        with transaction.atomic():
            Tag.objects.create(label="b")
    finally:
        post_invalidation.disconnect(receive)
    assert counts == [1, 2]


def test_error_of_a_receiver_does_not_reach_the_writer(sent: list[dict[str, Any]]) -> None:
    def receive(**kwargs: Any) -> None:
        raise ValueError("a receiver's own")

    post_invalidation.connect(receive)
    try:
        Tag.objects.create(label="a")
    finally:
        post_invalidation.disconnect(receive)
    assert len(sent) == 1
    assert Tag.objects.get().label == "a"
