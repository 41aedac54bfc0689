"""What Django 6.1 lets the database do to other rows when one is deleted."""

from typing import Any

import django
import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

from observe import assert_cached, assert_right
from testapp.fields import tables
from testapp.managers import CacheManager

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("database")]

if django.VERSION >= (6, 1):

    @pytest.mark.parametrize("kind", ["DB_CASCADE", "DB_SET_NULL", "DB_SET_DEFAULT"])
    def test_cascades_of_the_database(kind: str) -> None:
        if kind == "DB_SET_DEFAULT" and not connection.features.supports_on_delete_db_default:
            pytest.fail("a database that is tested has no SET DEFAULT")
        with isolate_apps("testapp"):

            class Owner(models.Model):
                objects = CacheManager()

                class Meta:
                    app_label = "testapp"

            class Thing(models.Model):
                owner = models.ForeignKey(
                    Owner, getattr(models, kind), null=True, db_default=2, related_name="things"
                )
                objects = CacheManager()

                class Meta:
                    app_label = "testapp"

            class Screw(models.Model):
                thing = models.ForeignKey(Thing, models.DB_CASCADE, related_name="screws")
                objects = CacheManager()

                class Meta:
                    app_label = "testapp"

            with tables(Owner, Thing, Screw):
                Owner.objects.bulk_create([Owner(pk=1), Owner(pk=2)])
                Thing.objects.create(pk=1, owner_id=1)
                Screw.objects.create(thing_id=1)

                def owners() -> list[Any]:
                    return list(Thing.objects.values_list("owner", flat=True))

                assert assert_cached(owners) == [1]
                assert assert_cached(lambda: Screw.objects.count()) == 1
                Owner.objects.get(pk=1).delete()
                expected = {"DB_CASCADE": [], "DB_SET_NULL": [None], "DB_SET_DEFAULT": [2]}[kind]
                assert assert_right(owners) == expected
                assert assert_right(lambda: Screw.objects.count()) == len(expected)
