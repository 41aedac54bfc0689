"""Chains of queryset calls, valid and invalid, and what comes of them."""

import contextlib
import datetime
import decimal
import enum
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import (
    Avg,
    Case,
    Count,
    ExpressionWrapper,
    F,
    Max,
    Min,
    Prefetch,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Lower, Random
from django.utils.functional import lazystr
from django.utils.safestring import SafeString
from hypothesis import strategies as st

from observe import (
    portable,
)
from testapp.models import Author, Book, Country, Node, Passport


class Colour(models.TextChoices):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


VALUES: list[Any] = [
    0, 1, 2, True, False, 1.0, -1, 2**63, 2**70, None, "", "1", "Ánna", "x' OR 1", "a%", "\x00",
    float("nan"), float("inf"), decimal.Decimal(1), decimal.Decimal("1.0"),
    decimal.Decimal("NaN"), datetime.date(1970, 1, 1), datetime.datetime(1970, 1, 1),
    datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(1), uuid.UUID(int=1),
    b"1", [], [1, 2], (1, 2), {1, 2}, [1, None], ["1"], [1, "1"], [True, 1], range(2),
    Colour.RED, Number.ONE, SafeString("Ánna"), lazystr("Ánna"), F("pk"), Q(pk=1), {"a": 1},
    [[1], [2]], object, Author(pk=1), Author(), Country(pk="DE"), Book(pk=1),
]  # fmt: skip

LOOKUPS = [
    "", "__exact", "__iexact", "__gt", "__gte", "__lt", "__lte", "__in", "__isnull", "__contains",
    "__icontains", "__startswith", "__endswith", "__range", "__regex", "__year", "__date",
    "__nonsense",
]  # fmt: skip

FIELDS = {
    Author: [
        "pk", "id", "name", "email", "born", "rank", "country", "country_id", "country__name",
        "country__pk", "friends", "friends__name", "books", "books__title", "books__author__rank",
        "passport", "passport__number", "nothing", "made", "made", "other",
    ],
    Book: [
        "pk", "title", "author", "author_id", "author__name", "author__country__code", "editor",
        "editor__country", "pages", "price", "published", "extra", "extra__a", "tags",
        "tags__label", "loans__due", "notes__text", "nothing", "made", "made", "other",
    ],
    Node: ["pk", "name", "parent", "parent__parent", "parent__name", "children", "weight", "made"],
    Passport: ["pk", "number", "owner", "owner_id", "owner__country", "owner__books"],
}  # fmt: skip


@st.composite
def lookups_of(draw: st.DrawFn, model: type[models.Model]) -> dict[str, Any]:
    fields, lookups = st.sampled_from(FIELDS[model]), st.sampled_from(LOOKUPS)
    # Twice as often what is likely to be understood.
    names = st.builds(str.__add__, fields, st.just("") | lookups)
    return draw(st.dictionaries(names, st.sampled_from(VALUES), max_size=2))


@st.composite
def trees_of(draw: st.DrawFn, model: type[models.Model]) -> Q:
    """Of Q objects, as deep as three."""

    def joined(inner: st.SearchStrategy[Q]) -> st.SearchStrategy[Q]:
        connectors = st.sampled_from([Q.AND, Q.OR, Q.XOR])
        made = st.builds(
            lambda children, connector: Q(*children, _connector=connector),
            st.lists(inner, max_size=2),
            connectors,
        )
        return made | inner.map(lambda q: ~q)

    leaves = lookups_of(model).map(lambda lookups: Q(**lookups))
    return draw(st.recursive(leaves, joined, max_leaves=3))


@st.composite
def expressions_of(draw: st.DrawFn, model: type[models.Model]) -> Any:
    """Understood and not: what may be annotated, or compared to."""
    field = draw(st.sampled_from(FIELDS[model]))
    value = draw(st.sampled_from(VALUES))
    number = draw(st.sampled_from([0, 1, True, 1.0, 2, decimal.Decimal("1.0"), decimal.Decimal(1)]))
    aggregate = draw(st.sampled_from([Count, Count, Sum, Max, Min, Avg]))
    condition = draw(st.none() | trees_of(model))
    kind = draw(st.integers(0, 10))
    with contextlib.suppress(TypeError):
        match kind:
            case 0:
                return F(field)
            case 1:
                return Value(value)
            case 2:
                return F(field) + number
            case 3:
                return number - F(field) * F("pk")
            case 4:
                return aggregate(field, filter=condition)
            case 5:
                return Count(field, distinct=draw(st.booleans()))
            case 6:
                return Sum(field, default=number)
            case 7:
                return Case(When(condition or Q(pk=1), then=Value(number)), default=F("pk"))
            case 8:
                return Coalesce(Lower(field), Value("x"))
            case 9:
                return ExpressionWrapper(F(field) * number, output_field=models.FloatField())
            case 10:
                return Coalesce(Value(1.5), Random(), output_field=models.FloatField())  # not known
    return Count(field)


Step = tuple[str, tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Fetch:
    """A Prefetch, made anew for each run: of a plain queryset, or one of the manager's."""

    lookup: str
    model: type[models.Model] | None
    steps: tuple[Step, ...]
    to_attr: str | None

    def made(self, plain: bool) -> Any:
        queryset: Any = None
        if self.model is not None:
            queryset = QuerySet(self.model) if plain else traced(self.model)
            for step in self.steps:
                queryset = applied(queryset, step, plain)
        return Prefetch(self.lookup, queryset, self.to_attr)


RELATED: dict[type[models.Model], list[tuple[str, type[models.Model]]]] = {
    Author: [("books", Book), ("friends", Author), ("passport", Passport)],
    Book: [("author", Author), ("editor", Author), ("author__books", Book)],
    Node: [("children", Node), ("parent", Node), ("children__children", Node)],
    Passport: [("owner", Author), ("owner__books", Book)],
}


@st.composite
def fetches_of(draw: st.DrawFn, model: type[models.Model]) -> Fetch:
    lookup, related = draw(st.sampled_from(RELATED[model]))
    steps = draw(st.none() | st.lists(step_of(related), max_size=2))
    to_attr = draw(st.sampled_from([None, None, "found", "name"]))
    return Fetch(lookup, None if steps is None else related, tuple(steps or ()), to_attr)


@st.composite
def step_of(draw: st.DrawFn, model: type[models.Model]) -> Step:
    name = draw(
        st.sampled_from(
            "filter filter filter exclude trees annotate annotate alias order_by order_by values"
            " values_list only defer select_related prefetch_related distinct reverse all slice"
            " slice using none".split()
        )
    )
    field = st.sampled_from(FIELDS[model])
    if name in ("filter", "exclude"):
        return name, (), draw(lookups_of(model))
    if name == "trees":
        trees = draw(st.lists(trees_of(model), min_size=1, max_size=2))
        compared = draw(st.dictionaries(field, expressions_of(model), max_size=1))
        return draw(st.sampled_from(["filter", "exclude"])), tuple(trees), compared
    if name in ("annotate", "alias"):
        unnamed = draw(st.lists(expressions_of(model), max_size=1))
        aliases = st.sampled_from(["made", "made", "other", "name"])
        named = draw(st.dictionaries(aliases, expressions_of(model), max_size=2))
        return name, tuple(unnamed), named
    if name == "order_by":
        signs = st.sampled_from(["", "-", "-", "+", "?"])
        names = st.builds(str.__add__, signs, field) | field
        return name, tuple(draw(st.lists(names, max_size=2))), {}
    if name == "prefetch_related" and draw(st.booleans()):
        return name, tuple(draw(st.lists(field | fetches_of(model), min_size=1, max_size=2))), {}
    if name in ("values", "values_list", "only", "defer", "select_related", "prefetch_related"):
        flags = {}
        if name == "values_list":
            flags = draw(st.sampled_from([{}, {"flat": True}, {"named": True}, {"flat": 1}]))
        least = 1 if name == "prefetch_related" else 0
        return name, tuple(draw(st.lists(field, min_size=least, max_size=2))), flags
    if name == "slice":
        bound = st.none() | st.integers(-1, 4)
        return "__getitem__", (slice(draw(bound), draw(bound)),), {}
    if name == "using":
        return name, ("default",), {}
    return name, (), {}


Chain = tuple[type[models.Model], list[Step], str]
TERMINALS = "list count exists first last get len bool index in_bulk query repr".split()


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    model = draw(st.sampled_from(list(FIELDS)))
    steps = draw(st.lists(step_of(model), max_size=4))
    return model, steps, draw(st.sampled_from(TERMINALS))


def end(queryset: Any, terminal: str) -> Any:
    match terminal:
        case "list":
            return list(queryset)
        case "len":
            return len(queryset)
        case "bool":
            return bool(queryset)
        case "index":
            return queryset[0]
        case "in_bulk":
            return queryset.in_bulk([1, 2])
        case "query":
            return queryset.query.sql_with_params()
        case "repr":
            return repr(queryset)
    return getattr(queryset, terminal)()


def applied(queryset: Any, step: Step, plain: bool) -> Any:
    """The queryset after a step. `plain`: what the step brings with it isn't cached either."""
    name, args, kwargs = step
    args = tuple([each.made(plain) if type(each) is Fetch else each for each in args])
    return getattr(queryset, name)(*args, **kwargs)


def run(start: Any, steps: list[Step], terminal: str) -> tuple[int, Any]:
    """How far it came, and what came of it."""
    done, queryset, plain = 0, start, type(start) is QuerySet
    try:
        for step in steps:
            queryset = applied(queryset, step, plain)
            done += 1
        return done, portable(end(queryset, terminal))
    except Exception as error:
        return done, [type(error).__qualname__, str(error)]


def traced(model: type[models.Model]) -> QuerySet[Any]:
    manager: Any = model.objects  # type: ignore[attr-defined]
    queryset: QuerySet[Any] = manager.all()
    return queryset
