"""Steps of the write-skew test: each side reads one row and writes the other."""

import worker
from testapp.actions import sql
from testapp.models import Author


def begin_serializable() -> None:
    worker.begin()
    sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")


def skew(target: int) -> None:
    """Reads all authors, then writes one of the first two by what it read."""
    count = len(Author.objects.order_by("pk"))
    Author.objects.filter(pk=target).update(name=f"skewed {count}")
