"""Registers: things that have a version, which every committed write raises by one.

`token` names the write that made a version. Counters and twins are raised inside the database by
any number of writers at once; the others are written by whoever holds the register's lock
(`locks.py`), as kinds of writes that know what they write need.
"""

from django.db import models

from django_cache_manager.cache_manager import CacheManager


class Register(models.Model):
    version = models.BigIntegerField(default=0)
    token = models.CharField(max_length=60, default="")
    statement_delay = models.FloatField(default=0)
    """Seconds that a server's trigger sleeps in the statement that changes it."""
    commit_delay = models.FloatField(default=0)
    objects = CacheManager()

    class Meta:
        abstract = True


class Counter(Register):
    pass


class Twin(Register):
    """Rows 2k and 2k + 1 are always written together, so whoever sees both sees them equal."""


class Owned(Register):
    pass


class Part(models.Model):
    owned = models.ForeignKey(Owned, models.CASCADE, related_name="parts")
    version = models.BigIntegerField(default=0)
    token = models.CharField(max_length=60, default="")
    objects = CacheManager()


class Stone(models.Model):
    """A pile's version is how many stones it has."""

    pile = models.IntegerField(db_index=True)
    number = models.BigIntegerField()
    token = models.CharField(max_length=60)
    objects = CacheManager()


class Mark(models.Model):
    version = models.BigIntegerField()
    token = models.CharField(max_length=60)
    objects = CacheManager()


class Box(models.Model):
    """Its version is that of the one mark in it."""

    marks = models.ManyToManyField(Mark, related_name="boxes")
    objects = CacheManager()


class Filler(models.Model):
    """Rows that are read to evict others."""

    text = models.CharField(max_length=400)
    objects = CacheManager()
