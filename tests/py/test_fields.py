"""Fields, converters, descriptors and receivers of every kind: a hit makes what Django would have
made, at the moment of the hit, or the query isn't cached and explain() says why.
"""

import datetime
import decimal
from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from django.core.files.base import ContentFile
from django.db import connection, models
from django.db.models import F, Value
from django.db.models.fields.files import FieldFile, ImageFieldFile
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Length
from django.test.utils import isolate_apps

from observe import (
    assert_cached,
    assert_hit,
    assert_not_cached,
    assert_right,
    count_sql,
    invalidate_all,
)
from settings import KIND
from testapp.fields import (
    Fickle,
    Fingers,
    Money,
    MoneyField,
    Odd,
    Part,
    key,
    registry,
    tables,
)
from testapp.managers import CacheManager

pytestmark = [pytest.mark.usefixtures("odd"), pytest.mark.cached]

POSTGRESQL = KIND in ("postgresql", "psycopg2")


@pytest.fixture
def odd(database: None) -> Iterator[Odd]:
    with tables(Odd, Fickle, Part):
        made = Odd.objects.create(
            secret="attack at dawn",
            price=Money(250),
            words=["one", "two"],
            loud="quiet",
            counted=5,
            data={"a": [1, {"b": "x"}], "n": 3, "none": None},
        )
        Odd.objects.create(data={"a": []})
        Part.objects.create(odd=made, name="part")
        yield made


def first() -> Odd:
    return Odd.objects.get(pk=1)


def reason(queryset: models.QuerySet) -> str:
    from django_cache_manager.api import explain

    list(queryset)
    found = explain(queryset)
    assert not found.cached
    assert not found.cacheable
    return found.reason


# --- converters ---------------------------------------------------------------------------------


READS: dict[str, Callable[[], Any]] = {
    "instances": lambda: list(Odd.objects.order_by("pk")),
    "values": lambda: list(Odd.objects.order_by("pk").values()),
    "values_list": lambda: list(Odd.objects.order_by("pk").values_list("secret", "price", "words")),
    "flat": lambda: list(Odd.objects.order_by("pk").values_list("words", flat=True)),
    "related": lambda: list(Part.objects.select_related("odd")),
    "related values": lambda: list(Part.objects.values("odd__secret", "odd__price")),
    "prefetched": lambda: list(Odd.objects.order_by("pk").prefetch_related("parts")),
    "deferred": lambda: list(Odd.objects.order_by("pk").defer("secret", "counted")),
    "only": lambda: list(Odd.objects.order_by("pk").only("price")),
    "aggregate": lambda: Odd.objects.aggregate(models.Max("price"), models.Min("secret")),
    "annotation": lambda: list(Odd.objects.annotate(p=F("price"), s=F("secret")).order_by("pk")),
    "raw": lambda: list(Odd.objects.raw("SELECT * FROM testapp_odd ORDER BY id")),
    "raw join": lambda: list(
        Part.objects.raw(
            "SELECT p.id, p.name, o.price, o.words FROM testapp_part p"
            " JOIN testapp_odd o ON o.id = p.odd_id"
        )
    ),
    "json path": lambda: list(Odd.objects.order_by("pk").values_list("data__a__0", "data__n")),
    "json text": lambda: list(Odd.objects.annotate(t=KT("data__a__1__b")).order_by("pk")),
    "json cast": lambda: list(
        Odd.objects.annotate(n=Cast(KT("data__n"), models.IntegerField())).order_by("pk")
    ),
    "json filter": lambda: list(Odd.objects.filter(data__a__1__b="x", data__none=None)),
    "json has key": lambda: list(Odd.objects.filter(data__has_key="n")),
    "generated": lambda: list(Odd.objects.filter(double=14).order_by("pk")),
    "file filter": lambda: list(Odd.objects.filter(file="").order_by("pk")),
}


@pytest.mark.parametrize("name", READS)
def test_read_is_cached_and_equal(name: str) -> None:
    assert_cached(READS[name])


def test_custom_types_come_back() -> None:
    found = assert_cached(first)
    assert found.secret == "attack at dawn"
    assert (type(found.price), found.price.cents) == (Money, 250)
    assert found.words == ["one", "two"]
    assert found.loud == "QUIET"


def test_converter_runs_at_each_hit() -> None:
    """What from_db_value() makes may depend on more than the row: here on the key in use."""
    first_read = assert_cached(lambda: first().secret)
    listed = list(Odd.objects.order_by("pk").values_list("secret"))
    list(Odd.objects.values_list("short"))
    assert assert_hit(lambda: list(Odd.objects.values_list("short")))[0] == ("abc",)
    token = key.set(4)
    try:
        assert_hit(lambda: first().secret)
        assert first().secret != first_read
        assert assert_hit(lambda: list(Odd.objects.values_list("short")))[0] == ("abcd",)
        assert_hit(lambda: list(Odd.objects.order_by("pk").values_list("secret")))
        assert list(Odd.objects.order_by("pk").values_list("secret")) != listed
        assert_right(lambda: Odd.objects.raw("SELECT * FROM testapp_odd WHERE id = 1")[0].secret)
    finally:
        key.reset(token)
    assert first().secret == first_read


def test_parameter_is_what_the_field_makes_of_it() -> None:
    read = lambda: [odd.pk for odd in Odd.objects.filter(secret="attack at dawn")]  # noqa: E731
    assert assert_cached(read) == [1]
    token = key.set(4)
    try:
        assert assert_right(read) == []
    finally:
        key.reset(token)


def test_converted_values_are_never_shared() -> None:
    for read in (first, lambda: Odd.objects.raw("SELECT * FROM testapp_odd WHERE id = 1")[0]):
        for _ in range(3):
            found = assert_right(read)
            assert (found.price.cents, found.words) == (250, ["one", "two"])
            found.price.cents = 0
            found.words.append("mutated")
            found.data["a"].append("mutated")
        assert_hit(read)
    values = list(Odd.objects.values_list("price", "words", "data"))
    values[0][0].cents = 0
    values[0][1].clear()
    values[0][2].clear()
    assert Odd.objects.values_list("price", "words", "data")[0][1] == ["one", "two"]


def test_decoder_of_a_json_field_runs_at_each_hit() -> None:
    import json

    made: list[str] = []

    class Decoder(json.JSONDecoder):
        def decode(self, text: str, *args: Any) -> Any:  # type: ignore[override]
            made.append(text)
            return len(made)

    with isolate_apps("testapp"):

        class Decoded(models.Model):
            data = models.JSONField(decoder=Decoder)
            objects = CacheManager()

            class Meta:
                app_label = "testapp"
                db_table = "testapp_odd"
                managed = False

    seen = [Decoded.objects.only("data").get(pk=1).data for _ in range(3)]
    assert seen == [1, 2, 3]


def test_select_format_of_a_field() -> None:
    assert assert_cached(lambda: Odd.objects.values_list("loud", flat=True)[0]) == "QUIET"
    Fickle.objects.create(number=1)
    assert_not_cached(lambda: list(Fickle.objects.all()))
    assert "random" in reason(Fickle.objects.all())


# --- lookups and transforms ---------------------------------------------------------------------


def test_transform_of_the_application_is_not_cached() -> None:
    for queryset in (
        Odd.objects.filter(price__fingers=250),
        Odd.objects.order_by("price__fingers"),
        Odd.objects.filter(pk__in=Odd.objects.filter(price__fingers=250).values("pk")),
    ):
        assert_not_cached(lambda queryset=queryset: list(queryset.all()))
        assert "Fingers" in reason(queryset)


def test_default_ordering_by_a_transform_of_the_application_is_not_cached() -> None:
    with isolate_apps("testapp"):

        class Ranked(models.Model):
            price = MoneyField()
            objects = CacheManager()

            class Meta:
                app_label = "testapp"
                db_table = "testapp_odd"
                managed = False
                ordering = ["-price__fingers"]

        class RankedPart(models.Model):
            odd = models.ForeignKey(Ranked, models.CASCADE)
            name = models.CharField(max_length=40)
            objects = CacheManager()

            class Meta:
                app_label = "testapp"
                db_table = "testapp_part"
                managed = False
                ordering = ["odd", "name"]

        class Worked(RankedPart):
            class Meta:
                app_label = "testapp"
                proxy = True
                ordering = [Fingers(F("odd__price")).desc()]

    for queryset in (
        Ranked.objects.all(),
        RankedPart.objects.all(),
        Worked.objects.all(),
        RankedPart.objects.filter(pk__in=RankedPart.objects.values("pk")[:1]).order_by("name"),
    ):
        assert_not_cached(lambda queryset=queryset: list(queryset.all()))
        assert "Fingers" in reason(queryset)
    assert_cached(lambda: list(Ranked.objects.order_by("price", "-pk")))
    assert_cached(lambda: list(RankedPart.objects.order_by("odd__pk", "name")))
    assert_cached(lambda: list(RankedPart.objects.order_by("odd_id")))
    assert_cached(lambda: list(Odd.objects.order_by("data__n", "data__a__1__b")))


def test_lookup_of_the_application_is_not_cached() -> None:
    assert_not_cached(lambda: list(Odd.objects.filter(price__same_as=250)))
    assert "SameAs" in reason(Odd.objects.filter(price__same_as=250))


# --- instances ----------------------------------------------------------------------------------


def test_descriptor_of_a_field_is_asked() -> None:
    assert first().__dict__["sets"] == 1
    found = assert_hit(first)
    assert (found.counted, found.__dict__["sets"]) == (5, 1)


def test_files_belong_to_their_instance(odd: Odd) -> None:
    odd.file.save("a.txt", ContentFile(b"text"))
    odd.picture.name = "odd/none.png"
    odd.save()

    def read() -> tuple[Any, ...]:
        found = first()
        with found.file.open() as file:
            return type(found.file), found.file.name, file.read(), found.picture.name

    assert assert_cached(read)[:2] == (FieldFile, odd.file.name)
    one, two = first(), first()
    assert type(one.picture) is ImageFieldFile
    assert one.file is not two.file
    assert (one.file.instance, two.file.instance) == (one, two)
    one.file.name = "changed"
    assert first().file.name == odd.file.name


def test_receivers_are_called_as_without_the_cache() -> None:
    made: list[Any] = []

    def before(sender: Any, args: Any, kwargs: Any, **_: Any) -> None:
        made.append((sender, len(args), sorted(kwargs)))

    def after(sender: Any, instance: Any, **_: Any) -> None:
        made.append((sender, instance.pk))

    def seen(read: Callable[[], Any]) -> list[Any]:
        made.clear()
        read()
        return list(made)

    for name in ("instances", "related", "prefetched", "deferred", "raw"):
        READS[name]()  # without receivers first: how instances are made may be remembered
    models.signals.pre_init.connect(before)
    models.signals.post_init.connect(after)
    try:
        for name in ("instances", "related", "prefetched", "deferred", "raw"):
            read = READS[name]
            calls = seen(read)
            with count_sql() as log:
                assert seen(read) == calls
            assert log.none()
            invalidate_all()
            assert seen(read) == calls
            assert len(calls) >= 4
    finally:
        models.signals.pre_init.disconnect(before)
        models.signals.post_init.disconnect(after)
    assert seen(READS["instances"]) == []


def test_receiver_may_change_the_instance() -> None:
    def after(instance: Any, **_: Any) -> None:
        instance.added = len(vars(instance))

    models.signals.post_init.connect(after, sender=Odd)
    try:
        assert assert_cached(first).added > 5
    finally:
        models.signals.post_init.disconnect(after, sender=Odd)
    assert not hasattr(first(), "added")


def test_classes_made_by_hand_are_called() -> None:
    made: list[Any] = []

    with isolate_apps("testapp"):

        class Watched(models.Model):
            level = models.IntegerField()
            data = models.JSONField()
            objects = CacheManager()

            class Meta:
                app_label = "testapp"
                db_table = "testapp_odd"
                managed = False

            @classmethod
            def from_db(cls, db: str, field_names: Any, values: Any, **mode: Any) -> "Watched":
                made.append((db, list(field_names), type(values)))
                return super().from_db(db, field_names, values, **mode)

            def __setattr__(self, name: str, value: Any) -> None:
                made.append(name)
                super().__setattr__(name, value)

    def calls() -> list[Any]:
        made.clear()
        list(Watched.objects.order_by("pk"))
        return list(made)

    invalidate_all()
    once = calls()
    with count_sql() as log:
        assert calls() == once
    assert log.none()
    assert len(once) > 4


def test_deferred_field_is_read_when_asked_for(odd: Odd) -> None:
    def read() -> Any:
        found = Odd.objects.only("loud").get(pk=1)
        return found.get_deferred_fields(), found.secret, found.get_deferred_fields()

    assert_cached(read)
    Odd.objects.filter(pk=1).update(secret="retreat")
    assert read()[1] == "retreat"


def test_generated_and_default_columns_follow_writes(odd: Odd) -> None:
    assert (assert_cached(first).level, first().double) == (7, 14)
    odd.refresh_from_db()
    odd.level = 10
    odd.save()
    assert (first().level, first().double) == (10, 20)
    Odd.objects.update(level=F("level") + 1)
    assert (first().level, first().double) == (11, 22)
    assert assert_cached(lambda: Odd.objects.filter(double=22).count()) == 1


# --- fetch modes of Django 6.1 ------------------------------------------------------------------

if django.VERSION >= (6, 1):

    def test_fetch_modes() -> None:
        from django.core.exceptions import FieldFetchBlocked

        def peers() -> Any:
            parts = list(Part.objects.order_by("pk").fetch_mode(models.FETCH_PEERS))
            return [(part.odd.pk, part._state.fetch_mode, len(part._state.peers)) for part in parts]

        Part.objects.create(odd_id=2, name="second")
        invalidate_all()
        with count_sql() as log:
            uncached_answer = peers()
        assert len(log) == 2
        with count_sql() as log:
            assert peers() == uncached_answer
        assert log.none()

        def deferred_peers() -> Any:
            found = list(Odd.objects.only("loud").order_by("pk").fetch_mode(models.FETCH_PEERS))
            return [(odd.secret, sorted(odd.get_deferred_fields())) for odd in found]

        assert_cached(deferred_peers)

        def raised() -> str:
            part = Part.objects.fetch_mode(models.FETCH_RAISE).get(pk=1)
            with pytest.raises(FieldFetchBlocked) as caught:
                part.odd  # noqa: B018 - what is looked at
            return str(caught.value)

        assert assert_cached(raised)
        one_by_one = list(Part.objects.order_by("pk"))
        assert_right(lambda: one_by_one[0].odd)
        assert one_by_one[0]._state.fetch_mode is models.FETCH_ONE


# --- PostgreSQL's own ---------------------------------------------------------------------------

if POSTGRESQL:
    from django.contrib.postgres.fields import (
        ArrayField,
        DateRangeField,
        DateTimeRangeField,
        DecimalRangeField,
        HStoreField,
        IntegerRangeField,
    )
    from django.contrib.postgres.search import SearchVectorField

    class Native(models.Model):
        numbers = ArrayField(models.IntegerField(), default=list)
        nested = ArrayField(ArrayField(models.CharField(max_length=9)), default=list)
        prices = ArrayField(MoneyField(), default=list)
        span = IntegerRangeField(null=True)
        amounts = DecimalRangeField(null=True)
        days = DateRangeField(null=True)
        moments = DateTimeRangeField(null=True)
        pairs = HStoreField(null=True)
        vector = SearchVectorField(null=True)
        network = models.GenericIPAddressField(null=True)
        objects = CacheManager()

        class Meta:
            app_label = "testapp"
            apps = registry


@pytest.fixture
def native(odd: Odd) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS hstore")
    connection.close()  # the driver looks for the type when it connects
    from django.contrib.postgres.signals import register_type_handlers

    with tables(Native):
        register_type_handlers(connection)
        Native.objects.create(
            numbers=[1, None, 3],
            nested=[["a", "b"], ["c", "d"]],
            prices=[Money(1), Money(2)],
            span=(1, 5),
            amounts=(decimal.Decimal("1.5"), None),
            days=(datetime.date(2020, 1, 1), datetime.date(2020, 2, 1)),
            moments=(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), None),
            pairs={"a": "1", "b": None},
            network="10.0.0.1",
        )
        Native.objects.update(vector=Value("plain words"))
        yield


NATIVE: dict[str, Callable[[], Any]] = {
    "arrays": lambda: list(Native.objects.values_list("numbers", "nested")),
    "arrays in instances": lambda: [
        (one.numbers, one.nested) for one in Native.objects.only("numbers", "nested")
    ],
    "array item": lambda: list(Native.objects.filter(numbers__0=1).values_list("nested__0__1")),
    "array contains": lambda: list(Native.objects.filter(numbers__contains=[3]).values("pk")),
    "array overlaps": lambda: list(Native.objects.filter(numbers__overlap=[3, 9]).values("pk")),
    "array length": lambda: list(Native.objects.filter(numbers__len=3).values("numbers__len")),
    "array of custom values": lambda: list(Native.objects.values_list("prices", flat=True)),
    "hstore": lambda: list(Native.objects.values_list("pairs", "pairs__a")),
    "hstore filter": lambda: list(Native.objects.filter(pairs__has_key="a").values("pk")),
    "range starts": lambda: list(Native.objects.values_list("span__startswith", "days__endswith")),
    "range filter": lambda: list(Native.objects.filter(span__contains=3).values("pk")),
    "search": lambda: list(Native.objects.filter(vector="words").values("pk")),
    "vector": lambda: list(Native.objects.values_list("vector", flat=True)),
    "raw arrays": lambda: list(Native.objects.raw("SELECT id, numbers FROM testapp_native")),
}


@pytest.mark.databases("postgresql")
@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", NATIVE)
def test_native_read_is_cached_and_equal(name: str) -> None:
    assert_cached(NATIVE[name])


@pytest.mark.databases("postgresql")
@pytest.mark.usefixtures("native")
def test_native_values_are_never_shared() -> None:
    def read() -> Any:
        return Native.objects.only("numbers", "nested", "prices").get()

    def raw() -> Any:
        return Native.objects.raw("SELECT id, numbers, nested, prices FROM testapp_native")[0]

    for one in (read, raw):
        for _ in range(3):
            found = assert_right(one)
            assert (found.numbers, found.nested[0]) == ([1, None, 3], ["a", "b"])
            assert [price.cents for price in found.prices] == [1, 2]
            found.numbers.append("mutated")
            found.nested[0].clear()
            found.prices[0].cents = 0
        assert_hit(one)

    def pairs() -> Any:
        return Native.objects.values_list("pairs", flat=True)[0]

    for _ in range(3):
        found = assert_right(pairs)
        assert found == {"a": "1", "b": None}
        found["added"] = "mutated"


RANGES = ("span", "amounts", "days", "moments")


@pytest.mark.databases("postgresql")
@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", RANGES)
def test_ranges_are_right_and_explain_says_why_they_are_not_cached(name: str) -> None:
    assert_not_cached(lambda: list(Native.objects.values_list(name, flat=True)))
    assert_right(lambda: list(Native.objects.values_list(name, flat=True)))
    assert "Range" in reason_kept(Native.objects.values_list(name, flat=True))


def reason_kept(queryset: models.QuerySet) -> str:
    from django_cache_manager.api import explain

    list(queryset.all())
    return explain(queryset).reason


@pytest.mark.databases("postgresql")
@pytest.mark.usefixtures("native")
def test_length_of_a_text_is_known() -> None:
    assert_cached(lambda: list(Odd.objects.annotate(n=Length("loud")).order_by("pk")))
