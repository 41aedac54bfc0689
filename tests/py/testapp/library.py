"""The data that the behaviour tests start from."""

import datetime
from decimal import Decimal

from django.contrib.contenttypes.models import ContentType
from django.db import transaction

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

UTC = datetime.UTC


def load() -> None:
    """Primary keys are 1, 2, 3 ... in each table, in the order below."""
    with transaction.atomic():
        load_people()
        load_books()
        load_places()


def load_people() -> None:
    Country.objects.bulk_create(
        [Country("DE", "Deutschland"), Country("JP", "日本"), Country("CI", "Côte dIvoire")]
    )
    born = [datetime.date(1900 + 7 * n, 1 + n % 12, 1 + n) for n in range(6)]
    names = ["Ánna", "Boris", "Chiyo", "Dörte", "Émile", "Fatou"]
    countries = ["DE", None, "JP", "DE", "CI", "CI"]
    Author.objects.bulk_create(
        Author(
            name=name,
            email=None if n == 1 else f"{n}@example.org",
            born=None if n == 5 else born[n],
            rank=n,
            country_id=countries[n],
        )
        for n, name in enumerate(names)
    )
    Passport.objects.bulk_create(Passport(number=f"P{n}", owner_id=n) for n in (1, 2, 4))
    Author(pk=1).friends.add(2, 3)


def load_books() -> None:
    Tag.objects.bulk_create(Tag(label=label) for label in ("poetry", "roman", "наука"))
    Book.objects.bulk_create(
        Book(
            title=f"Book {'ABCDEFGHIJ'[n]}",
            author_id=1 + n % 4,
            editor_id=None if n % 3 else 1 + n % 6,
            pages=100 + 10 * n,
            price=Decimal(n) + Decimal("0.50"),
            published=datetime.datetime(2000 + n, 1 + n, 1 + n, n, 30, tzinfo=UTC) if n else None,
            extra={"n": n, "list": [n, {"deep": ["ä", None, 1.5]}]},
        )
        for n in range(10)
    )
    labelled = Book.tags.through
    labelled._default_manager.bulk_create(
        labelled(book_id=book, tag_id=1 + (book + n) % 3) for book in range(1, 7) for n in (0, 1)
    )
    Reader.objects.bulk_create(Reader(name=name) for name in ("Rosa", "Sven"))
    Loan.objects.bulk_create(
        Loan(book_id=book, reader_id=reader, due=datetime.date(2024, 1, book))
        for book, reader in ((1, 1), (2, 1), (2, 2), (3, 2))
    )
    Note.objects.bulk_create(
        Note(
            text=f"on {model.__name__} {pk}",
            content_type=ContentType.objects.get_for_model(model),
            object_id=pk,
        )
        for model, pk in ((Book, 1), (Book, 2), (Author, 1))
    )


def load_places() -> None:
    Place.objects.create(name="Park")
    Restaurant.objects.create(name="Rosso", stars=2)
    Diner.objects.create(name="Dot", stars=1, hours="0-24")
    Node.objects.bulk_create(
        Node(name=f"node {n}", parent_id=n // 2 or None, weight=n) for n in range(1, 8)
    )
    Shelf.objects.bulk_create(Shelf(name=f"{'ab'[n % 2]}{n}", height=60 + 20 * n) for n in range(4))
    Plain.objects.bulk_create([Plain(name="plain", book_id=1), Plain(name="alone")])
