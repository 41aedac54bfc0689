"""Models of the behaviour tests: a library. Other modules hold the odd ones (testapp.shapes)."""

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models

from testapp.managers import CacheManager, CachingQuerySet
from testapp.shapes import *  # noqa: F403


class Country(models.Model):
    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=80)
    objects = CacheManager()

    def __str__(self) -> str:
        return self.name


class Author(models.Model):
    name = models.CharField(max_length=80)
    email = models.EmailField(unique=True, null=True)
    born = models.DateField(null=True)
    rank = models.IntegerField(default=0)
    country = models.ForeignKey(Country, models.CASCADE, null=True, related_name="authors")
    friends = models.ManyToManyField("self", blank=True)
    objects = CacheManager()
    plain = models.Manager()

    class Meta:
        get_latest_by = "born"

    def __str__(self) -> str:
        return self.name


class RankedAuthorManager(CacheManager):
    def get_queryset(self) -> models.QuerySet:
        return super().get_queryset().filter(rank__gt=2)


class RankedAuthor(Author):
    objects = RankedAuthorManager()

    class Meta:
        proxy = True
        ordering = ["-rank"]


class Passport(models.Model):
    number = models.CharField(max_length=20)
    owner = models.OneToOneField(Author, models.CASCADE, related_name="passport")
    objects = CacheManager()


class Tag(models.Model):
    label = models.CharField(max_length=40, unique=True)
    objects = CacheManager()

    class Meta:
        ordering = ["label"]


class Note(models.Model):
    text = models.TextField()
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveBigIntegerField()
    subject = GenericForeignKey("content_type", "object_id")
    objects = CacheManager()


class Book(models.Model):
    title = models.CharField(max_length=200)
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    editor = models.ForeignKey(Author, models.SET_NULL, null=True, related_name="edited")
    pages = models.PositiveIntegerField(default=100)
    price = models.DecimalField(max_digits=8, decimal_places=2, default="9.90")
    published = models.DateTimeField(null=True)
    extra = models.JSONField(default=dict)
    tags = models.ManyToManyField(Tag, related_name="books")
    readers = models.ManyToManyField("Reader", through="Loan", related_name="books")
    notes = GenericRelation(Note)
    objects = CacheManager()

    class Meta:
        ordering = ["title", "pk"]

    def __str__(self) -> str:
        return self.title


class Reader(models.Model):
    name = models.CharField(max_length=80)
    objects = CacheManager()


class Loan(models.Model):
    book = models.ForeignKey(Book, models.CASCADE, related_name="loans")
    reader = models.ForeignKey(Reader, models.CASCADE, related_name="loans")
    due = models.DateField()
    objects = CacheManager()


class Place(models.Model):
    name = models.CharField(max_length=80)
    objects = CacheManager()


class Restaurant(Place):
    stars = models.IntegerField(default=0)
    objects = CacheManager()


class Diner(Restaurant):
    hours = models.CharField(max_length=20)
    objects = CacheManager()


class Node(models.Model):
    name = models.CharField(max_length=40)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    weight = models.IntegerField(default=1)
    objects = CacheManager()


class ShelfQuerySet(CachingQuerySet):
    def named(self, prefix: str) -> "ShelfQuerySet":
        return self.filter(name__startswith=prefix)

    def _private(self) -> "ShelfQuerySet":
        return self

    def names(self) -> list[str]:
        return list(self.order_by("name").values_list("name", flat=True))


class ShelfManager(CacheManager):
    def tall(self) -> models.QuerySet:
        return self.filter(height__gte=100)


class Shelf(models.Model):
    name = models.CharField(max_length=40)
    height = models.IntegerField(default=50)
    objects = ShelfManager.from_queryset(ShelfQuerySet)()
    by_queryset = ShelfQuerySet.as_manager()
    plain = models.Manager()


class Plain(models.Model):
    """No CacheManager: never cached unless MODELS names it."""

    name = models.CharField(max_length=40)
    book = models.ForeignKey(Book, models.CASCADE, null=True, related_name="plains")
