"""`manage.py load_garage`: a little data for `make shell`."""

import datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from garage.models import Car, Driver, Engine, Manufacturer
from people.models import Group, Membership, Person

CARS = [
    # manufacturer, model, year, engine, horse power, torque
    ("Citroën", "DS 21", 1968, "DX 2.2", 109, "174 Nm"),
    ("Citroën", "2CV 6", 1975, "M28", 29, "39 Nm"),
    ("Lancia", "Fulvia", 1969, "V4 1.6", 115, "152 Nm"),
    ("Saab", "900 Turbo", 1984, "B201", 145, "235 Nm"),
    ("Škoda", "110 R", 1973, "718 K", 62, "87 Nm"),
]
DRIVERS = {
    ("Ada", "Lovelace"): ["DS 21", "Fulvia"],
    ("Émilie", "du Châtelet"): ["2CV 6"],
    ("Grace", "Hopper"): ["900 Turbo", "110 R", "2CV 6"],
}
GROUPS = {
    "Sunday drivers": [("Ada", datetime.date(2024, 3, 3), "has the longest coat")],
    "Night shift": [
        ("Grace", datetime.date(2023, 11, 9), "found the first bug"),
        ("Émilie", datetime.date(2024, 1, 17), "reads by candlelight"),
    ],
}


class Command(BaseCommand):
    help = "A few manufacturers, cars, drivers, people and groups, where there are none."

    @transaction.atomic
    def handle(self, **options: Any) -> None:
        if Manufacturer.objects.exists():
            return
        makers = {row[0]: Manufacturer.objects.get_or_create(name=row[0])[0] for row in CARS}
        cars = {}
        for maker, model, year, name, power, torque in CARS:
            engine = Engine.objects.create(name=name, horse_power=power, torque=torque)
            cars[model] = Car.objects.create(
                make=makers[maker], model=model, year=year, engine=engine
            )
        for (first, last), models in DRIVERS.items():
            driver = Driver.objects.create(first_name=first, last_name=last)
            driver.cars.set([cars[model] for model in models])
        for group_name, members in GROUPS.items():
            group = Group.objects.create(name=group_name)
            for name, joined, reason in members:
                person, _ = Person.objects.get_or_create(name=name)
                Membership.objects.create(
                    person=person, group=group, date_joined=joined, invite_reason=reason
                )
