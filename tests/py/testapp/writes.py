"""Every way to write. Each function changes what at least one read of reads.SURVEY returns."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Concat

from settings import FOLDER
from testapp.models import (
    Author,
    Book,
    Country,
    Diner,
    Loan,
    Node,
    Note,
    Passport,
    Place,
    Plain,
    Reader,
    Restaurant,
    Shelf,
    Tag,
)
from testapp.mysql_writes import MYSQL_WRITES

TODAY = datetime.date(2024, 2, 1)
ON_MYSQL = connection.vendor == "mysql"


def save() -> None:
    author = Author.objects.get(pk=1)
    author.name = "Ánna saved"
    author.save()


def save_fields() -> None:
    Author(pk=1, name="Ánna in part").save(update_fields=["name"])


def save_new() -> None:
    Author(name="Zoë", rank=50).save()


def create() -> None:
    Author.objects.create(name="Zoë", rank=50)


def force_insert() -> None:
    Country(code="XX", name="new").save(force_insert=True)
    Author.objects.create(name="there", country_id="XX")


def upsert_by_save() -> None:
    Country(code="DE", name="saved over").save()


def get_or_create() -> None:
    assert Author.objects.get_or_create(name="Zoë")[1]


def update_or_create_updates() -> None:
    assert not Author.objects.update_or_create({"rank": 90}, name="Boris")[1]


def update_or_create_creates() -> None:
    assert Author.objects.update_or_create({"rank": 90}, name="Zoë")[1]


def update() -> None:
    assert Author.objects.filter(rank__gt=2).update(name="updated") == 3


def update_of_expressions() -> None:
    Book.objects.update(pages=F("pages") + 1, title=Concat("title", Value("!")))


def update_of_relation() -> None:
    Book.objects.filter(pk=1).update(author=3)


def update_through_plain_manager() -> None:
    Author.plain.filter(pk=1).update(name="behind")


def delete() -> None:
    Tag.objects.get(pk=1).delete()


def delete_cascades() -> None:
    Author.objects.get(pk=2).delete()


def delete_queryset() -> None:
    Author.objects.filter(rank__in=[2, 3]).delete()


def delete_fast() -> None:
    Loan.objects.filter(book=2)._raw_delete("default")


def delete_sets_null() -> None:
    Author.objects.filter(pk=4).delete()


def bulk_create() -> None:
    Author.objects.bulk_create(Author(name=f"bulk {n}", rank=20 + n) for n in range(3))


def bulk_create_ignoring() -> None:
    Tag.objects.bulk_create([Tag(label="roman"), Tag(label="sonnet")], ignore_conflicts=True)
    Book.objects.get(pk=9).tags.add(Tag.objects.get(label="sonnet"))


def bulk_create_updating() -> None:
    Country.objects.bulk_create(
        [Country("DE", "Allemagne"), Country("FR", "France")],
        update_conflicts=True,
        # MySQL finds the conflict by itself, and Django takes no name for it.
        unique_fields=None if ON_MYSQL else ["code"],
        update_fields=["name"],
    )


def bulk_update() -> None:
    books = list(Book.objects.filter(pk__lte=4))
    for book in books:
        book.price = Decimal(77)
    Book.objects.bulk_update(books, ["price"], batch_size=2)


def many_add() -> None:
    Book.objects.get(pk=10).tags.add(1, 2)


def many_remove() -> None:
    Book.objects.get(pk=1).tags.remove(*Book.objects.get(pk=1).tags.all())


def many_set() -> None:
    Book.objects.get(pk=1).tags.set([1, 2, 3])


def many_clear() -> None:
    Tag.objects.get(pk=2).books.clear()


def many_create() -> None:
    Book.objects.get(pk=1).tags.create(label="ballad")


def many_add_through() -> None:
    Book.objects.get(pk=5).readers.add(1, through_defaults={"due": TODAY})


def many_clear_through() -> None:
    Reader.objects.get(pk=2).books.clear()


def through_bulk_create() -> None:
    Loan.objects.bulk_create([Loan(book_id=7, reader_id=1, due=TODAY)])


def through_update() -> None:
    Loan.objects.update(due=TODAY)


def reverse_add() -> None:
    Author.objects.get(pk=1).books.add(Book.objects.get(pk=2))


def reverse_add_in_bulk() -> None:
    Author.objects.get(pk=5).edited.add(Book.objects.get(pk=2), bulk=True)


def reverse_create() -> None:
    Author.objects.get(pk=1).books.create(title="created in reverse")


def reverse_clear() -> None:
    Author.objects.get(pk=1).edited.clear()


def one_to_one() -> None:
    Passport.objects.create(number="P3", owner_id=3)


def generic_create() -> None:
    Book.objects.get(pk=5).notes.create(text="generic")


def generic_delete() -> None:
    book = ContentType.objects.get_for_model(Book)
    Note.objects.filter(content_type=book).delete()


def inherited_save() -> None:
    diner = Diner.objects.get()
    diner.name, diner.stars = "Dotty", 3
    diner.save()


def inherited_update() -> None:
    Restaurant.objects.filter(name="Dot").update(stars=5, name="Spot")


def inherited_parent_update() -> None:
    Place.objects.filter(name="Dot").update(name="Blot")


def inherited_delete() -> None:
    Place.objects.get(name="Dot").delete()


def self_reference() -> None:
    Node.objects.get(pk=2).delete()


def plain_model() -> None:
    Plain.objects.filter(pk=1).update(name="other")


def refresh_and_save() -> None:
    author = Author.objects.only("pk").get(pk=1)
    author.refresh_from_db()
    author.name += "+"
    author.save()


def queryset_of_shelves() -> None:
    Shelf.plain.create(name="a9")


def raw_update() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE testapp_author SET name = %s WHERE id = %s", ["raw", 1])
        assert cursor.rowcount == 1


def raw_insert() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO testapp_tag (label) VALUES ('raw')")
        cursor.execute(
            "INSERT INTO testapp_book_tags (book_id, tag_id) SELECT 1, id FROM testapp_tag"
            " WHERE label = 'raw'"
        )


def raw_delete() -> None:
    with connection.cursor() as cursor:
        if ON_MYSQL:
            cursor.execute("delete /* not 'testapp_tag' */ from\n`testapp_loan` # all of them")
        else:
            cursor.execute("delete /* not 'testapp_tag' */ from\n\"testapp_loan\" -- all of them")


def raw_executemany() -> None:
    with connection.cursor() as cursor:
        rows = [("many 1", 1), ("many 2", 2)]
        cursor.executemany("UPDATE testapp_author SET name = %s WHERE id = %s", rows)


def raw_with_clause() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO testapp_tag (label) WITH old AS"
            " (SELECT name FROM testapp_author WHERE `rank` > 3) SELECT name FROM old"
            if ON_MYSQL
            else "WITH old AS (SELECT id FROM testapp_author WHERE rank > 3) "
            "UPDATE testapp_author SET name = 'with' WHERE id IN (SELECT id FROM old)"
        )


def raw_insert_select() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO testapp_author (name, rank) SELECT title, pages FROM testapp_book"
        )


def raw_update_from() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE testapp_author AS a JOIN testapp_book b ON a.id = b.author_id"
            " SET b.title = a.name"
            if ON_MYSQL
            else "UPDATE testapp_book SET title = a.name FROM testapp_author AS a"
            " WHERE a.id = testapp_book.author_id"
        )


def raw_upsert() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO testapp_country (code, name) VALUES ('DE', 'x') "
            + (
                "ON DUPLICATE KEY UPDATE name = CONCAT(VALUES(name), '!')"
                if ON_MYSQL
                else "ON CONFLICT (code) DO UPDATE SET name = excluded.name || '!'"
            )
        )


def raw_returning() -> None:
    with connection.cursor() as cursor:
        if ON_MYSQL:  # where no UPDATE returns
            cursor.execute("DELETE FROM testapp_loan RETURNING id")
            assert len(cursor.fetchall()) == 4
        else:
            cursor.execute("UPDATE testapp_author SET name = 'returned' RETURNING id")
            assert len(cursor.fetchall()) == 6


def raw_query_that_returns() -> None:
    query = "UPDATE testapp_author SET name = 'by raw()' WHERE id = 1 RETURNING *"
    if ON_MYSQL:
        query = "INSERT INTO testapp_author (name, `rank`) VALUES ('by raw()', 1) RETURNING *"
    assert [author.name for author in Author.objects.raw(query)] == ["by raw()"]


def loaddata() -> None:
    path = Path(FOLDER) / "authors.json"
    fields = '{"name": "loaded", "rank": 8, "born": null, "email": null, "country": null}'
    path.write_text(f'[{{"model": "testapp.author", "pk": 1, "fields": {fields}}}]')
    call_command("loaddata", str(path), verbosity=0)


def flush() -> None:
    call_command("flush", interactive=False, verbosity=0)


WRITES: dict[str, Callable[[], None]] = {
    name: function
    for name, function in list(globals().items())
    if callable(function) and getattr(function, "__module__", None) == __name__
}


def raw_truncate() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE testapp_author CASCADE")


def raw_writable_cte() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH gone AS (DELETE FROM testapp_loan RETURNING book_id)"
            " SELECT count(*) FROM gone JOIN testapp_book ON book_id = id"
        )
        assert cursor.fetchone() == (4,)


def raw_delete_using() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM testapp_loan USING testapp_reader r"
            " WHERE r.id = reader_id AND name = 'Rosa'"
        )


def raw_merge() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "MERGE INTO testapp_author a USING testapp_book b ON b.id = a.id"
            " WHEN MATCHED THEN UPDATE SET name = b.title"
        )


def raw_explain_analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN ANALYZE UPDATE testapp_author SET name = 'explained'")
        cursor.fetchall()


def raw_do() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN UPDATE testapp_author SET name = 'done'; END $$")


def raw_function() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION rename_authors() RETURNS integer LANGUAGE sql AS"
            " 'UPDATE testapp_author SET name = ''called'' RETURNING 1'"
        )
        try:
            cursor.execute("SELECT rename_authors()")
        finally:
            cursor.execute("DROP FUNCTION rename_authors()")


def raw_prepared() -> None:
    with connection.cursor() as cursor:
        cursor.execute("PREPARE renaming AS UPDATE testapp_author SET name = 'prepared'")
        cursor.execute("EXECUTE renaming")
        cursor.execute("DEALLOCATE renaming")


def raw_several_statements() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1; UPDATE testapp_author SET name = 'several; of them';"
            " DELETE FROM testapp_loan"
        )


POSTGRESQL_WRITES = {
    function.__name__: function
    for function in (
        raw_truncate,
        raw_writable_cte,
        raw_delete_using,
        raw_merge,
        raw_explain_analyze,
        raw_do,
        raw_function,
        raw_prepared,
        raw_several_statements,
    )
}


def raw_replace() -> None:
    with connection.cursor() as cursor:
        cursor.execute("REPLACE INTO testapp_country (code, name) VALUES ('DE', 'replaced')")


def raw_update_or_replace() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE OR REPLACE testapp_author SET name = 'or replaced' WHERE id = 1")


def executescript() -> None:
    with connection.cursor() as cursor:
        cursor.executescript("UPDATE testapp_author SET name = 'script'; DELETE FROM testapp_loan;")


SQLITE_WRITES = {
    function.__name__: function for function in (raw_replace, raw_update_or_replace, executescript)
}
ALL_WRITES = {**WRITES, **POSTGRESQL_WRITES, **SQLITE_WRITES, **MYSQL_WRITES}


def write(name: str) -> None:
    """A write by its name: what the other process is asked for."""
    ALL_WRITES[name]()
