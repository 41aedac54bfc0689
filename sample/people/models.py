"""People and their groups: a many-to-many relation with a model of its own in between."""

from django.db import models

from django_cache_manager.cache_manager import CacheManager


class Person(models.Model):
    name = models.CharField(max_length=128)

    objects = CacheManager()

    class Meta:
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.name


class Group(models.Model):
    name = models.CharField(max_length=128)
    members = models.ManyToManyField(Person, through="Membership", related_name="groups")

    objects = CacheManager()

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    person = models.ForeignKey(Person, models.CASCADE)
    group = models.ForeignKey(Group, models.CASCADE)
    date_joined = models.DateField()
    invite_reason = models.CharField(max_length=64)

    objects = CacheManager()

    def __str__(self) -> str:
        return f"{self.person} in {self.group}"
