"""Fields of an application's own, and models that have them. Their tables are made by the tests."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from django.apps.registry import Apps
from django.db import connection, models

from testapp.managers import CacheManager

registry = Apps(["django.contrib.contenttypes", "testapp"])
"""Of models that `migrate` doesn't know."""

key = ContextVar("key", default=3)
"""What texts are encrypted with: another tenant's, another key."""


class EncryptedField(models.TextField):
    """As packages for encrypted fields do it: the database holds what only the key can read."""

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else shifted(value, key.get())

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else shifted(value, -key.get())


def shifted(text: str, by: int) -> str:
    return "".join(chr(ord(letter) + by) for letter in text)


class Money:
    """A value that its owner may change."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __repr__(self) -> str:
        return f"Money({self.cents})"


class MoneyField(models.IntegerField):
    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else Money(value)

    def get_prep_value(self, value: Any) -> Any:
        return value.cents if isinstance(value, Money) else value


class WordsField(models.TextField):
    """Its converter comes by get_db_converters(), and gives lists."""

    def get_db_converters(self, connection: Any) -> list[Any]:
        return [*super().get_db_converters(connection), self.split]

    @staticmethod
    def split(value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else value.split()

    def get_prep_value(self, value: Any) -> Any:
        return " ".join(value) if isinstance(value, list) else value


class ShortField(models.CharField):
    """Its converter gives texts, as long as the one who reads them may see."""

    def get_db_converters(self, connection: Any) -> list[Any]:
        return [lambda value, expression, connection: value[: key.get()]]


class LoudField(models.CharField):
    """The database changes what is selected."""

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        return f"upper({sql})", params


class FickleField(models.IntegerField):
    """The database is asked for another value each time."""

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        return f"({sql} + random())", params


case = ContextVar("case", default="upper")


class CasedField(models.CharField):
    """What is selected is for the reader to say, as his language might be."""

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        return f"{case.get()}({sql})", params


class Counting:
    """A descriptor that notes what is put there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else instance.__dict__[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = value
        instance.__dict__["sets"] = instance.__dict__.get("sets", 0) + 1


class CountedField(models.IntegerField):
    descriptor_class = Counting

    def contribute_to_class(self, cls: Any, name: str, private_only: bool = False) -> None:
        super().contribute_to_class(cls, name, private_only)
        setattr(cls, self.attname, Counting(self.attname))


class Fingers(models.Transform):
    """A transform of the application's own."""

    lookup_name = "fingers"
    function = "ABS"


class SameAs(models.Lookup):
    lookup_name = "same_as"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        left, params = self.process_lhs(compiler, connection)
        right, more = self.process_rhs(compiler, connection)
        return f"{left} = {right}", [*params, *more]


MoneyField.register_lookup(Fingers)
MoneyField.register_lookup(SameAs)


class Odd(models.Model):
    secret = EncryptedField(default="")
    price = MoneyField(default=0)
    words = WordsField(default="")
    loud = LoudField(max_length=40, default="")
    short = ShortField(max_length=40, default="abcdef")
    counted = CountedField(default=0)
    file = models.FileField(upload_to="odd", blank=True)
    picture = models.ImageField(upload_to="odd", blank=True)
    data = models.JSONField(default=dict)
    level = models.IntegerField(db_default=7)
    double = models.GeneratedField(
        expression=models.F("level") * 2, output_field=models.IntegerField(), db_persist=True
    )
    objects = CacheManager()

    class Meta:
        app_label = "testapp"
        apps = registry


class Fickle(models.Model):
    number = FickleField(default=0)
    objects = CacheManager()

    class Meta:
        app_label = "testapp"
        apps = registry


class Part(models.Model):
    odd = models.ForeignKey(Odd, models.CASCADE, related_name="parts")
    name = models.CharField(max_length=40, default="")
    objects = CacheManager()

    class Meta:
        app_label = "testapp"
        apps = registry


class Cased(models.Model):
    text = CasedField(max_length=40)
    source = models.ForeignKey("self", models.CASCADE, null=True)
    objects = CacheManager()

    class Meta:
        app_label = "testapp"
        apps = registry


class Remark(models.Model):
    cased = models.ForeignKey(Cased, models.CASCADE)
    objects = CacheManager()

    class Meta:
        app_label = "testapp"
        apps = registry


@contextlib.contextmanager
def tables(*made: type[models.Model]) -> Iterator[None]:
    """The tables of these models, for as long as the block runs."""
    with connection.schema_editor() as editor:
        for model in made:
            editor.create_model(model)
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            for model in reversed(made):
                editor.delete_model(model)
