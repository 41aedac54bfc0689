"""What a user's first minutes look like, for an installed package: `python smoke.py PART FOLDER`.

cached  queries of two processes, and a write that both see
plain   the package without its engine: reads go to the database, one check says so
reader  the second process of `cached`: reads a name for each line it is given
"""

import subprocess
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core import checks
from django.db import connection, models

PART, FOLDER = sys.argv[1], Path(sys.argv[2])

(FOLDER / "segments").mkdir(exist_ok=True)
settings.configure(
    INSTALLED_APPS=["django_cache_manager"],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(FOLDER / "db.sqlite3")}
    },
    DJANGO_CACHE_MANAGER={"LOCATION": str(FOLDER / "segments"), "SIZE": "8M"},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django_cache_manager import api  # noqa: E402
from django_cache_manager.cache_manager import CacheManager  # noqa: E402


class Planet(models.Model):
    name = models.CharField(max_length=40)
    objects = CacheManager()

    class Meta:
        app_label = "smoke"


def statements_of(action):
    """How many statements an action sends to the database."""
    sent = []

    def note(execute, *arguments):
        sent.append(arguments[0])
        return execute(*arguments)

    with connection.execute_wrapper(note):
        action()
    return len(sent)


def names():
    return sorted(planet.name for planet in Planet.objects.all())


def ask(reader):
    reader.stdin.write("read\n")
    reader.stdin.flush()
    count, _, text = reader.stdout.readline().strip().partition(" ")
    return int(count), text.split(",")


def cached():
    with connection.schema_editor() as editor:
        editor.create_model(Planet)
    Planet.objects.create(name="Mercury")
    venus = Planet.objects.create(name="Venus")

    assert statements_of(names) == 1
    assert statements_of(names) == 0, "the second read was not a hit"
    explained = api.explain(Planet.objects.all())
    assert explained.cached, explained
    assert explained.dependencies == ("smoke_planet",), explained

    command = [sys.executable, "-I", __file__, "reader", str(FOLDER)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert ask(reader) == (0, ["Mercury", "Venus"]), "the processes don't share what they cache"
        venus.name = "Earth"
        venus.save()
        assert ask(reader) == (1, ["Earth", "Mercury"])
        with connection.cursor() as cursor:
            cursor.execute("UPDATE smoke_planet SET name = %s WHERE name = %s", ["Mars", "Earth"])
        assert statements_of(names) == 1
        assert ask(reader) == (0, ["Mars", "Mercury"])
        reader.stdin.close()
    assert reader.returncode == 0


def reader():
    found = []
    for _ in sys.stdin:
        count = statements_of(lambda: found.append(names()))
        print(count, ",".join(found.pop()), flush=True)


def plain():
    with connection.schema_editor() as editor:
        editor.create_model(Planet)
    Planet.objects.create(name="Mercury")
    assert [statements_of(names) for _ in range(3)] == [1, 1, 1]
    assert names() == ["Mercury"]
    assert not api.explain(Planet.objects.all()).cached
    found = [
        message for message in checks.run_checks() if message.id.startswith("django_cache_manager")
    ]
    assert [message.id for message in found] == ["django_cache_manager.W001"], found


if __name__ == "__main__":
    {"cached": cached, "plain": plain, "reader": reader}[PART]()
    if PART != "reader":
        print("smoke", PART, "ok: Django", django.get_version(), "Python", sys.version.split()[0])
