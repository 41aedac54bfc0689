"""Small reads and writes for the tests of transactions; each may run in either process."""

from django.db import connection, connections, transaction

from testapp.models import Author, Book, Tag


def name_of(pk: int = 1, alias: str = "default") -> str:
    return Author.objects.using(alias).values_list("name", flat=True).get(pk=pk)


def author(pk: int = 1) -> Author:
    return Author.objects.get(pk=pk)


def names() -> list[str]:
    return list(Author.objects.order_by("pk").values_list("name", flat=True))


def labels() -> list[str]:
    return list(Tag.objects.values_list("label", flat=True))


def titles_of(pk: int = 1) -> list[str]:
    return [book.title for book in Book.objects.filter(author=pk)]


def rename(name: str, pk: int = 1, alias: str = "default") -> None:
    assert Author.objects.using(alias).filter(pk=pk).update(name=name) == 1


def rename_by_sql(name: str, alias: str = "default") -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute("UPDATE testapp_author SET name = %s WHERE id = 1", [name])


def add_tag(label: str) -> None:
    Tag.objects.create(label=label)


def sql(statement: str, alias: str = "default") -> list[tuple[object, ...]] | None:
    """Runs a statement by a cursor and returns its rows, if it gives any."""
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def set_autocommit(on: bool) -> None:
    transaction.set_autocommit(on)


def commit() -> None:
    transaction.commit()


def rollback() -> None:
    transaction.rollback()


def close() -> None:
    connection.close()
