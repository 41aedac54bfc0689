"""The cars of the old package's sample, on today's Django."""

from django.db import models

from django_cache_manager.cache_manager import CacheManager


class Manufacturer(models.Model):
    name = models.CharField(max_length=128)

    objects = CacheManager()

    def __str__(self) -> str:
        return self.name


class Engine(models.Model):
    name = models.CharField(max_length=128)
    horse_power = models.IntegerField()
    torque = models.CharField(max_length=128)

    objects = CacheManager()

    def __str__(self) -> str:
        return self.name


class Car(models.Model):
    make = models.ForeignKey(Manufacturer, models.CASCADE, related_name="cars")
    model = models.CharField(max_length=128)
    year = models.IntegerField()
    engine = models.OneToOneField(Engine, models.CASCADE)

    objects = CacheManager()

    def __str__(self) -> str:
        return f"{self.model} ({self.year})"


class Driver(models.Model):
    first_name = models.CharField(max_length=128)
    last_name = models.CharField(max_length=128)
    cars = models.ManyToManyField(Car, related_name="drivers")

    objects = CacheManager()

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"
