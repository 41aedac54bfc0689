"""A user's own test suite passes as without the cache, except that a hit is not a query.

A small project is written to a folder and its tests are run by Django's runner: with the cache,
with ENABLED = False, and
without the package.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.cached

SETTINGS = """
import os
SECRET_KEY = "x"
USE_TZ = True
CACHED = os.environ["PROJECT_MODE"] != "without"
INSTALLED_APPS = (["django_cache_manager"] if CACHED else []) + ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if os.environ.get("QC_TEST_PG_PORT"):
    DATABASES = {"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": "project", "USER": "tester",
        "HOST": "127.0.0.1", "PORT": os.environ["QC_TEST_PG_PORT"],
    }}
else:
    DATABASES = {"default": {
        "ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3",
        "TEST": {"NAME": os.environ.get("PROJECT_TEST_NAME")},
    }}
DJANGO_CACHE_MANAGER = {
    "LOCATION": os.environ["QC_TEST_FOLDER"] + "/segments", "SIZE": "8M",
    "ENABLED": os.environ["PROJECT_MODE"] == "with",
}
"""

MODELS = """
from django.conf import settings
from django.db import models
if settings.CACHED:
    from django_cache_manager.cache_manager import CacheManager
else:
    CacheManager = models.Manager

class Maker(models.Model):
    name = models.CharField(max_length=40)
    objects = CacheManager()

class Item(models.Model):
    name = models.CharField(max_length=40)
    maker = models.ForeignKey(Maker, models.CASCADE, related_name="items")
    stock = models.IntegerField(default=1)
    objects = CacheManager()
"""

TESTS = """
import os
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.test import TestCase, TransactionTestCase, SimpleTestCase
from django.test.utils import CaptureQueriesContext
from shop.models import Item, Maker

CACHING = os.environ["PROJECT_MODE"] == "with"


def names():
    return list(Maker.objects.order_by("pk").values_list("name", flat=True))


class Isolated(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.maker = Maker.objects.create(name="made in setUpTestData")
        Item.objects.create(name="item", maker=cls.maker)

    def test_a_sees_the_class_data(self):
        self.assertEqual(names(), ["made in setUpTestData"])
        self.assertEqual(self.maker.items.count(), 1)

    def test_b_writes(self):
        Maker.objects.create(name="b")
        self.assertEqual(names(), ["made in setUpTestData", "b"])
        self.maker.name = "changed"
        self.maker.save()
        self.assertEqual(names(), ["changed", "b"])
        self.assertEqual(names(), ["changed", "b"])

    def test_c_does_not_see_b(self):
        self.assertEqual(names(), ["made in setUpTestData"])
        self.assertEqual(self.maker.name, "made in setUpTestData")

    def test_d_savepoint(self):
        with self.assertRaises(IntegrityError), transaction.atomic():
            Item.objects.create(name="broken", maker_id=None)
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            Maker.objects.update(name="never")
            self.assertEqual(names(), ["never"])
            1 / 0
        self.assertEqual(names(), ["made in setUpTestData"])

    def test_e_on_commit(self):
        seen = []
        with self.captureOnCommitCallbacks(execute=True):
            Maker.objects.update(name="committed, as the test believes")
            transaction.on_commit(lambda: seen.append(names()))
        self.assertEqual(seen, [["committed, as the test believes"]])

    def test_f_counts_queries(self):
        with self.assertNumQueries(1):
            names()
        if "PROJECT_PARALLEL" in os.environ:
            # The catalog is read in autocommit only: a worker process that met its database
            # inside this transaction may have to ask each time.
            with CaptureQueriesContext(connection) as captured:
                names()
            self.assertLessEqual(len(captured), 1)
            return
        with self.assertNumQueries(0 if CACHING else 1):
            names()
        with self.assertNumQueries(1 if CACHING else 2):
            Maker.objects.update(name="x")
            connection.cursor().close()
            if not CACHING:
                names()

    def test_g_subtests_and_deletes(self):
        for n in range(3):
            with self.subTest(n=n):
                maker = Maker.objects.create(name=f"sub {n}")
                self.assertIn(maker, Maker.objects.all())
                maker.delete()
                self.assertNotIn(f"sub {n}", names())


class Committed(TransactionTestCase):
    def test_a_commits(self):
        Maker.objects.create(name="a")
        self.assertEqual(names(), ["a"])

    def test_b_starts_empty(self):
        self.assertEqual(names(), [])
        with transaction.atomic():
            Maker.objects.create(name="b")
            self.assertEqual(names(), ["b"])
        self.assertEqual(names(), ["b"])

    def test_c_starts_empty_again(self):
        self.assertEqual(names(), [])
        seen = []
        with transaction.atomic():
            Maker.objects.create(name="c")
            transaction.on_commit(lambda: seen.append(names()))
        self.assertEqual(seen, [["c"]])

    def test_d_rolls_back(self):
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            Maker.objects.create(name="never")
            names()
            1 / 0
        self.assertEqual(names(), [])


class Serialized(TransactionTestCase):
    serialized_rollback = True

    def test_a(self):
        Maker.objects.create(name="a")
        self.assertEqual(names(), ["a"])

    def test_b(self):
        self.assertEqual(names(), [])


class WithFixture(TestCase):
    fixtures = ["makers"]

    def test_a_fixture_is_loaded(self):
        self.assertEqual(names(), ["from a fixture"])
        Maker.objects.all().delete()
        self.assertEqual(names(), [])

    def test_b_again(self):
        self.assertEqual(names(), ["from a fixture"])


class NoDatabase(SimpleTestCase):
    def test_queries_are_forbidden_as_ever(self):
        from django.test.testcases import DatabaseOperationForbidden
        with self.assertRaises(DatabaseOperationForbidden):
            names()
"""

FIXTURE = '[{"model": "shop.maker", "pk": 1, "fields": {"name": "from a fixture"}}]'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, schema: None) -> Path:
    folder = tmp_path_factory.mktemp("project")
    files = {
        "project_settings.py": SETTINGS,
        "shop/__init__.py": "",
        "shop/models.py": MODELS,
        "shop/tests.py": TESTS,
        "shop/fixtures/makers.json": FIXTURE,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def run(project: Path, mode: str, *options: str, **environment: str) -> str:
    package = find_spec("django_cache_manager")
    home = str(Path(package.origin).parents[1]) if package and package.origin else ""
    python_path = os.pathsep.join([str(project), home, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "django", "test", "shop", "--noinput", "-v", "2", *options],
        cwd=project,
        env={
            **os.environ,
            "PYTHONPATH": python_path,
            "DJANGO_SETTINGS_MODULE": "project_settings",
            "PROJECT_MODE": mode,
            **environment,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def results(output: str) -> dict[str, str]:
    return dict(re.findall(r"^(test_\w+ \(\S+\)).* \.\.\. (\w+)$", output, re.MULTILINE))


@pytest.mark.parametrize("mode", ["with", "disabled"])
def test_suite_passes_as_without_the_cache(project: Path, mode: str) -> None:
    expected = results(run(project, "without"))
    assert len(expected) == 16
    assert set(expected.values()) == {"ok"}
    assert results(run(project, mode)) == expected


@pytest.mark.parametrize("option", ["--reverse", "--shuffle=7", "--debug-sql"])
def test_suite_passes_with_options_of_the_runner(project: Path, option: str) -> None:
    run(project, "with", option)


def test_suite_passes_in_parallel(project: Path) -> None:
    run(project, "with", "--parallel", "2", PROJECT_PARALLEL="1")


def test_suite_passes_twice_on_a_kept_database(project: Path) -> None:
    name = str(project / "kept.sqlite3")
    for _ in range(2):
        run(project, "with", "--keepdb", PROJECT_TEST_NAME=name)


@pytest.mark.databases("sqlite")
def test_suite_passes_on_a_test_database_in_a_file(project: Path) -> None:
    for _ in range(2):
        run(project, "with", PROJECT_TEST_NAME=str(project / "file.sqlite3"))
