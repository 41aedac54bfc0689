"""Every way to read. `READS` maps a name to a function of `of`, which gives a queryset for a
manager: `cached` or `nocache`.

Every read here must be answered from the cache the second time.
"""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import (
    Avg,
    Case,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    FilteredRelation,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    StdDev,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.functions import (
    Cast,
    Coalesce,
    Concat,
    ExtractYear,
    Length,
    Lower,
    Rank,
    RowNumber,
    Substr,
    TruncMonth,
)

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
    RankedAuthor,
    Reader,
    Restaurant,
    Shelf,
    Tag,
)

QuerySetOf = Callable[[Any], models.QuerySet]
Reader_ = Callable[[QuerySetOf], Any]


def cached(manager: Any) -> models.QuerySet:
    return manager.all()


def nocache(manager: Any) -> models.QuerySet:
    return manager.all().nocache()


UTC = datetime.UTC
A, B, C = Author.objects, Book.objects, Country.objects

PLAIN_READS: dict[str, Reader_] = {
    "list": lambda of: list(of(A).order_by("pk")),
    "list ordered by Meta": lambda of: list(of(B)),
    "bool": lambda of: bool(of(A).filter(pk=1)),
    "len": lambda of: len(of(A).filter(rank__gt=1)),
    "item": lambda of: of(A).order_by("name")[2],
    "slice": lambda of: list(of(A).order_by("name")[1:4]),
    "slice with step": lambda of: of(A).order_by("name")[0:5:2],
    "open slice": lambda of: list(of(A).order_by("name")[2:]),
    "get": lambda of: of(A).get(pk=1),
    "get by text": lambda of: of(A).get(name="Ánna"),
    "first": lambda of: of(A).first(),
    "first ordered": lambda of: of(A).order_by("-rank").first(),
    "first of none": lambda of: of(A).filter(rank=99).first(),
    "last": lambda of: of(A).last(),
    "earliest": lambda of: of(A).filter(born__isnull=False).earliest(),
    "latest": lambda of: of(A).filter(born__isnull=False).latest("born"),
    "count": lambda of: of(A).count(),
    "count filtered": lambda of: of(B).filter(pages__gte=120).count(),
    "exists": lambda of: of(A).filter(name__startswith="B").exists(),
    "exists not": lambda of: of(A).filter(name__startswith="Z").exists(),
    "contains": lambda of: of(A).contains(Author(pk=2)),
    "contains not": lambda of: of(A).contains(Author(pk=77)),
    "aggregate": lambda of: of(B).aggregate(
        Avg("pages"),
        Sum("price"),
        Max("published"),
        low=Min("title"),
        n=Count("author", distinct=True),
    ),
    "aggregate of none": lambda of: of(B).filter(pages=0).aggregate(Sum("pages")),
    "aggregate of annotation": lambda of: (
        of(B).values("author").annotate(n=Count("pk")).aggregate(Max("n"))
    ),
    "aggregate of slice": lambda of: of(B)[:3].aggregate(Sum("pages")),
    "values": lambda of: list(of(A).order_by("pk").values()),
    "values named": lambda of: list(of(A).order_by("pk").values("name", "country__name")),
    "values of expression": lambda of: list(of(A).order_by("pk").values(low=Lower("name"))),
    "values_list": lambda of: list(of(B).values_list("title", "price", "published")),
    "values_list flat": lambda of: list(of(A).order_by("pk").values_list("born", flat=True)),
    "values_list pk flat": lambda of: list(of(B).values_list("pk", flat=True)),
    "values_list named": lambda of: list(
        of(A).order_by("pk").values_list("name", "rank", named=True)
    ),
    "dates": lambda of: list(of(A).dates("born", "year", order="DESC")),
    "datetimes": lambda of: list(of(B).datetimes("published", "month")),
    "datetimes in a zone": lambda of: list(of(B).datetimes("published", "day", tzinfo=UTC)),
    "in_bulk": lambda of: of(A).in_bulk([1, 3, 99]),
    "in_bulk of all": lambda of: of(A).in_bulk(),
    "in_bulk by field": lambda of: of(A).in_bulk(["0@example.org"], field_name="email"),
    "iterator": lambda of: list(of(A).order_by("pk").iterator()),
    "iterator by chunks": lambda of: list(of(A).order_by("pk").iterator(chunk_size=2)),
    "iterator of values": lambda of: list(of(B).values_list("title").iterator()),
    "distinct": lambda of: list(
        of(B).order_by().values_list("author__rank").distinct().order_by("author__rank")
    ),
    "reverse": lambda of: list(of(B).reverse()),
    "empty": lambda of: list(of(A).filter(rank=99)),
    "empty values": lambda of: list(of(A).filter(rank=99).values("name")),
    "exclude": lambda of: list(of(A).exclude(country__code="DE").order_by("pk")),
    "q": lambda of: list(of(A).filter(Q(rank__lt=2) | ~Q(name="Chiyo")).order_by("pk")),
    "f": lambda of: list(of(B).filter(pages__gt=F("author__rank") * 50)),
    "lookups": lambda of: list(
        of(B).filter(
            title__icontains="b",
            pages__range=(100, 180),
            price__in=[Decimal("1.5"), Decimal("2.50"), Decimal(3)],
            published__year__gte=2001,
        )
    ),
    "lookup date": lambda of: list(of(B).filter(published__date__gt=datetime.date(2003, 1, 1))),
    "lookup hour": lambda of: list(of(B).filter(published__hour=4)),
    "lookup regex": lambda of: list(of(A).filter(name__iregex="^(b|c)").order_by("pk")),
    "lookup json": lambda of: list(of(B).filter(extra__n=3)),
    "lookup json path": lambda of: list(of(B).filter(extra__list__1__deep__0="ä", extra__n__lt=2)),
    "non-ASCII": lambda of: list(
        of(A).filter(name__in=["Ánna", "Dörte", "日本"]).order_by("-name")
    ),
    "only": lambda of: list(of(A).only("name").order_by("pk")),
    "defer": lambda of: list(of(B).defer("extra", "price")),
    "deferred then read": lambda of: [author.rank for author in of(A).only("name").order_by("pk")],
    "none": lambda of: list(of(A).filter(pk=3)) + list(of(A).none()),
    "composed": lambda of: list(
        (of(A).filter(rank__gt=1) & of(A).filter(rank__lt=4)).order_by("pk")
    ),
    "proxy": lambda of: list(of(RankedAuthor.objects)),
    "proxy get": lambda of: of(RankedAuthor.objects).get(rank=5),
    "queryset methods": lambda of: list(of(Shelf.objects).named("a").order_by("pk")),
    "manager methods": lambda of: list(of(Shelf.objects.tall()).order_by("pk")),
    "as_manager": lambda of: of(Shelf.by_queryset).named("b").names(),
}

EXPRESSION_READS: dict[str, Reader_] = {
    "annotate": lambda of: list(
        of(A).annotate(n=Count("books"), m=Max("books__price")).order_by("pk")
    ),
    "annotate values": lambda of: list(
        of(B).values("author__name").annotate(n=Count("pk")).order_by("n", "author__name")
    ),
    "alias": lambda of: list(of(A).alias(n=Count("books")).filter(n__gt=2).order_by("pk")),
    "having": lambda of: list(of(A).annotate(n=Count("books")).filter(n=2).order_by("pk")),
    "case": lambda of: list(
        of(A)
        .annotate(kind=Case(When(rank__gt=3, then=Value("high")), default=Value("low")))
        .order_by("pk")
        .values_list("name", "kind")
    ),
    "functions": lambda of: list(
        of(B).annotate(
            tag=Concat(Lower("title"), Value("—"), Substr("title", 1, 2)),
            size=Length("title"),
            year=ExtractYear("published"),
            month=TruncMonth("published"),
            text=Cast("pages", models.CharField(max_length=9)),
            some=Coalesce("editor_id", "author_id"),
        )
    ),
    "expression": lambda of: list(
        of(B)
        .annotate(worth=ExpressionWrapper(F("price") * F("pages"), models.FloatField()))
        .order_by("-worth")
    ),
    "window": lambda of: list(
        of(B)
        .annotate(
            place=Window(RowNumber(), partition_by="author", order_by="-pages"),
            rank=Window(Rank(), order_by=F("pages").desc()),
        )
        .values_list("title", "place", "rank")
    ),
    "statistics": lambda of: of(B).aggregate(
        StdDev("pages"), n=Count("pk", filter=Q(pages__gt=120))
    ),
    "exists subquery": lambda of: list(
        of(A)
        .filter(Exists(Book.objects.filter(author=OuterRef("pk"), pages__gt=150)))
        .order_by("pk")
    ),
    "subquery value": lambda of: list(
        of(A)
        .annotate(
            top=Subquery(
                Book.objects.filter(author=OuterRef("pk")).order_by("-pages").values("title")[:1]
            )
        )
        .order_by("pk")
    ),
    "in subquery": lambda of: list(
        of(A).filter(books__in=Book.objects.filter(pages__lt=130)).order_by("pk")
    ),
    "deep subquery": lambda of: list(
        of(C)
        .filter(
            authors__in=Author.objects.filter(
                books__in=Book.objects.filter(
                    tags__in=Tag.objects.filter(
                        Exists(Tag.objects.filter(pk=OuterRef("pk"), label__contains="o"))
                    ),
                    loans__reader__in=Reader.objects.filter(name="Rosa"),
                )
            )
        )
        .distinct()
        .order_by("pk")
    ),
    "subquery in order and case": lambda of: list(
        of(A)
        .annotate(
            n=Case(
                When(Exists(Passport.objects.filter(owner=OuterRef("pk"))), then=Value(1)),
                default=Value(0),
                output_field=IntegerField(),
            )
        )
        .order_by(
            "-n", Subquery(Node.objects.filter(pk=OuterRef("pk")).values("weight")[:1]).desc()
        )
    ),
    "subquery in aggregate": lambda of: of(A).aggregate(
        n=Max(Subquery(Loan.objects.filter(book__author=OuterRef("pk")).values("due")[:1]))
    ),
    "filtered relation": lambda of: list(
        of(A)
        .annotate(thick=FilteredRelation("books", condition=Q(books__pages__gt=140)))
        .filter(thick__isnull=False)
        .order_by("pk", "thick__pk")
        .values_list("name", "thick__title")
    ),
    "union": lambda of: list(
        of(A).values_list("name").union(of(C).values_list("name")).order_by("name")
    ),
    "union all": lambda of: list(
        of(A).filter(rank=1).union(of(A).filter(rank__lt=3), all=True).order_by("pk")
    ),
    "intersection": lambda of: list(
        of(A).filter(rank__gt=1).intersection(of(A).filter(rank__lt=4)).order_by("pk")
    ),
    "difference": lambda of: list(of(A).all().difference(of(A).filter(rank__lt=4)).order_by("pk")),
    "union count": lambda of: of(A).filter(rank=1).union(of(A).filter(rank=2)).count(),
    "union of joins": lambda of: list(
        of(B)
        .filter(tags__label="roman")
        .order_by()
        .values_list("pk")
        .union(of(Loan.objects).values_list("book_id"))
        .order_by("pk")
    ),
    "in union": lambda of: list(
        of(A)
        .filter(
            pk__in=Book.objects.order_by().values("author").union(Passport.objects.values("owner"))
        )
        .order_by("pk")
    ),
}

RELATION_READS: dict[str, Reader_] = {
    "select_related": lambda of: list(of(B).select_related("author__country", "editor")),
    "select_related of all": lambda of: list(of(Passport.objects).select_related().order_by("pk")),
    "select_related reverse": lambda of: list(of(A).select_related("passport").order_by("pk")),
    "select_related only": lambda of: list(
        of(B).select_related("author").only("title", "author__name")
    ),
    "prefetch": lambda of: list(of(A).prefetch_related("books").order_by("pk")),
    "prefetch many": lambda of: list(
        of(B).prefetch_related("tags", "readers", "notes", "author__passport")
    ),
    "prefetch object": lambda of: list(
        of(A)
        .prefetch_related(
            Prefetch("books", of(B).filter(pages__gt=120), to_attr="thick"), "thick__tags"
        )
        .order_by("pk")
    ),
    "prefetch generic": lambda of: list(
        of(Note.objects).prefetch_related("subject").order_by("pk")
    ),
    "forward key": lambda of: [book.author for book in of(B)],
    "forward key of null": lambda of: [book.editor for book in of(B)],
    "reverse key": lambda of: [list(author.books.all()) for author in of(A).order_by("pk")],
    "reverse key count": lambda of: [author.books.count() for author in of(A).order_by("pk")],
    "reverse key filter": lambda of: list(
        of(A).get(pk=1).books.filter(pages__gt=110).values_list("title")
    ),
    "forward one to one": lambda of: [
        passport.owner for passport in of(Passport.objects).order_by("pk")
    ],
    "reverse one to one": lambda of: of(A).get(pk=1).passport,
    "many to many": lambda of: [list(book.tags.all()) for book in of(B)],
    "many to many reverse": lambda of: [list(tag.books.all()) for tag in of(Tag.objects)],
    "many to many exists": lambda of: [book.tags.filter(label="roman").exists() for book in of(B)],
    "many to many through": lambda of: [list(book.readers.order_by("pk")) for book in of(B)],
    "many to many of self": lambda of: list(of(A).get(pk=1).friends.order_by("pk")),
    "through model joined": lambda of: list(
        of(Loan.objects).select_related("book", "reader").order_by("pk")
    ),
    "join filter": lambda of: list(
        of(B).filter(author__country__name="Deutschland", tags__label="roman")
    ),
    "join to many": lambda of: list(
        of(A).filter(books__tags__label="poetry").distinct().order_by("pk")
    ),
    "generic relation": lambda of: [list(book.notes.all()) for book in of(B)],
    "generic relation filter": lambda of: list(of(B).filter(notes__text__contains="Book 1")),
    "generic foreign key": lambda of: [note.subject for note in of(Note.objects).order_by("pk")],
    "inheritance": lambda of: list(of(Restaurant.objects).order_by("pk")),
    "inheritance of two": lambda of: list(of(Diner.objects).filter(name="Dot", stars=1)),
    "inheritance parent": lambda of: list(of(Place.objects).order_by("pk")),
    "inheritance child": lambda of: of(Place.objects).get(name="Dot").restaurant.diner,
    "inheritance select_related": lambda of: list(
        of(Place.objects).select_related("restaurant__diner").order_by("pk")
    ),
    "inheritance only": lambda of: list(of(Diner.objects).only("hours").order_by("pk")),
    "self": lambda of: list(of(Node.objects).filter(parent__parent__weight=1).order_by("pk")),
    "self children": lambda of: [
        list(node.children.all()) for node in of(Node.objects).order_by("pk")[:3]
    ],
    "reverse of plain model": lambda of: list(of(B).filter(plains__name="plain")),
    "reverse key of proxy": lambda of: [
        list(author.books.all()) for author in of(RankedAuthor.objects)
    ],
}

READS = {**PLAIN_READS, **EXPRESSION_READS, **RELATION_READS}

# A few that between them touch every table: what the tests of writes compare.
SURVEY = [
    "list",
    "list ordered by Meta",
    "get",
    "count",
    "aggregate",
    "values",
    "values_list flat",
    "exists not",
    "empty",
    "annotate",
    "deep subquery",
    "union",
    "select_related",
    "select_related reverse",
    "prefetch many",
    "reverse key",
    "many to many reverse",
    "through model joined",
    "generic relation",
    "inheritance select_related",
    "inheritance of two",
    "self",
    "queryset methods",
    "reverse of plain model",
    "values named",
]

# What PostgreSQL alone can do, or SQLite can't.
POSTGRESQL_READS: dict[str, Reader_] = {
    "distinct on": lambda of: list(of(B).order_by("author", "-pages").distinct("author")),
    "server-side iterator": lambda of: list(of(B).order_by("pk").iterator(chunk_size=2)),
}


def outcome(read: Reader_, of: QuerySetOf) -> Any:
    """A read's result, or the Django error it raises (an object may be gone)."""
    from django.core.exceptions import ObjectDoesNotExist

    try:
        return read(of)
    except ObjectDoesNotExist as error:
        return type(error).__qualname__


def survey() -> dict[str, Any]:
    """All of SURVEY; also what the other process is asked for."""
    return {name: outcome(READS[name], cached) for name in SURVEY}


def plain_count() -> int:
    return Plain.objects.count()
