"""pytest-xdist and LiveServerTestCase with every model cached: nothing to configure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from settings import KIND

pytestmark = [pytest.mark.cached, pytest.mark.databases("sqlite")]

SETTINGS = """
import os
SECRET_KEY = "x"
INSTALLED_APPS = ["django_cache_manager", "shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "shop.urls"
ALLOWED_HOSTS = ["*"]
STATIC_URL = "static/"
DATABASES = {"default": {
    "ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3",
    "TEST": {"NAME": os.environ.get("PROJECT_TEST_NAME")},
}}
DJANGO_CACHE_MANAGER = {"LOCATION": os.getcwd(), "SIZE": "4M", "MODELS": ["*"]}
"""

MODELS = """
from django.db import models

class Item(models.Model):
    name = models.CharField(max_length=40)
"""

URLS = """
from django.http import HttpResponse
from django.urls import path
from shop.models import Item

def names(request):
    if "new" in request.GET:
        Item.objects.create(name=request.GET["new"])
    return HttpResponse(",".join(Item.objects.order_by("pk").values_list("name", flat=True)))

urlpatterns = [path("", names)]
"""

TESTS = """
import urllib.request
import pytest
from django.test import LiveServerTestCase, TestCase
from shop.models import Item


def names():
    return list(Item.objects.order_by("pk").values_list("name", flat=True))


class Live(LiveServerTestCase):
    def get(self, query=""):
        with urllib.request.urlopen(self.live_server_url + "/" + query) as answer:
            return answer.read().decode()

    def test_both_sides_see_each_write(self):
        for number in range(5):
            before = names()
            self.assertEqual(self.get(), ",".join(before))
            after = [*before, f"server{number}"]
            self.assertEqual(self.get(f"?new=server{number}"), ",".join(after))
            self.assertEqual(names(), after)
            Item.objects.create(name=f"test{number}")
            for _ in range(2):
                self.assertEqual(self.get(), ",".join(names()))
        self.assertEqual(len(names()), 10)

    def test_starts_empty(self):
        self.assertEqual((names(), self.get()), ([], ""))


@pytest.mark.django_db
@pytest.mark.parametrize("number", range(20))
def test_isolated(number):
    assert names() == names() == []
    Item.objects.create(name=f"{number}")
    assert names() == names() == [f"{number}"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(6))
def test_committed(number):
    assert names() == names() == []
    Item.objects.create(name=f"{number}")
    assert names() == names() == [f"{number}"]


class Data(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.item = Item.objects.create(name="class")

    def test_one(self):
        self.assertEqual(names(), ["class"])
        self.item.name = "changed"
        self.item.save()
        self.assertEqual(names(), ["changed"])

    def test_two(self):
        self.assertEqual((self.item.name, names()), ("class", ["class"]))


def test_hits_happened(django_db_blocker, django_db_setup):
    from django_cache_manager.api import stats
    with django_db_blocker.unblock():
        assert stats()["default"]["hits"] > 0
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    app = tmp_path / "shop"
    app.mkdir()
    (app / "__init__.py").touch()
    for path, text in {
        tmp_path / "project_settings.py": SETTINGS,
        tmp_path / "test_shop.py": TESTS,
        app / "models.py": MODELS,
        app / "urls.py": URLS,
    }.items():
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("workers", "in_file"), [("0", False), ("2", False), ("2", True)], ids=["one", "two", "files"]
)
def test_suite_passes(project: Path, workers: str, in_file: bool) -> None:
    import django_cache_manager

    package = str(Path(django_cache_manager.__file__).parents[1])
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project_settings",
        "PYTHONPATH": os.pathsep.join([str(project), package]),
    }
    if in_file:
        environment["PROJECT_TEST_NAME"] = str(project / "test.sqlite3")
    options = ["-q", "-p", "no:cacheprovider", "-n", workers, "--dist", "loadscope"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_shop.py"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "31 passed" in done.stdout
    segments = list(project.glob("dcm-*.segment"))
    if in_file and workers == "2":
        assert len(segments) >= 2, f"{KIND}: each worker has a database, and a segment, of its own"
