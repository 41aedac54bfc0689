"""Models of unusual shape: every field type, non-ASCII names, composite keys, generated and
default columns.
"""

import uuid
from typing import Any

from django.db import models
from django.db.models.functions import Upper

from testapp.managers import CacheManager

__all__ = ["AllTypes", "Bare", "Enrolment", "Generated", "Shout", "Straße"]


class Shout(str):
    """A str subclass that a field's converter makes."""

    __slots__ = ()


class ShoutField(models.CharField):
    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else Shout(value)

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return None if value is None else str(value)


class Colour(models.TextChoices):
    RED = "r", "Red"
    BLUE = "b", "Blue"


class AllTypes(models.Model):
    big = models.BigIntegerField(null=True)
    binary = models.BinaryField(null=True)
    boolean = models.BooleanField(null=True)
    char = models.CharField(max_length=200, null=True)
    colour = models.CharField(max_length=1, choices=Colour, null=True)
    date = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    decimal = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    duration = models.DurationField(null=True)
    file = models.FileField(null=True, upload_to="files")
    real = models.FloatField(null=True)
    address = models.GenericIPAddressField(null=True)
    json = models.JSONField(null=True)
    shout = ShoutField(max_length=40, null=True)
    slug = models.SlugField(null=True)
    text = models.TextField(null=True)
    time = models.TimeField(null=True)
    uuid = models.UUIDField(null=True, default=uuid.uuid4)
    objects = CacheManager()


class Bare(models.Model):
    """Nothing but its key."""

    objects = CacheManager()


class Straße(models.Model):
    größe = models.IntegerField(default=0)
    名前 = models.CharField(max_length=80, db_column="имя колонки")
    objects = CacheManager()

    class Meta:
        db_table = "straßen тест täble"


class Enrolment(models.Model):
    pk = models.CompositePrimaryKey("course", "student")
    course = models.IntegerField()
    student = models.CharField(max_length=20)
    mark = models.IntegerField(null=True)
    objects = CacheManager()


class Generated(models.Model):
    word = models.CharField(max_length=40)
    loud = models.GeneratedField(
        expression=Upper("word"), output_field=models.CharField(max_length=40), db_persist=True
    )
    level = models.IntegerField(db_default=7)
    objects = CacheManager()
