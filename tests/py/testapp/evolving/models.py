"""A model whose table changes from migration to migration. What is here is the state after the
last one.
"""

from django.db import models

from testapp.managers import CacheManager


class GaugeManager(CacheManager):
    use_in_migrations = True

    def high(self) -> models.QuerySet:
        return self.filter(name__gte="m")


class Gauge(models.Model):
    name = models.CharField(max_length=40)
    value = models.CharField(max_length=40)
    unit = models.CharField(max_length=10, default="mm")
    objects = GaugeManager()
