"""A project as `django-admin startproject` makes it, with two settings more, and its admin.

It is served by its own `runserver`, in a process of its own, and used as a browser does.
"""

import http.cookiejar
import os
import re
import shutil
import signal
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "py"))

import servers

PACKAGE = Path(__file__).parents[2]
ADDED = """
INSTALLED_APPS += ["django_cache_manager"]
DJANGO_CACHE_MANAGER = {{"MODELS": ["*"], "LOCATION": {location!r}, "SIZE": "4M"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""
STATS = "from django_cache_manager.api import stats; print(stats()['default']['hits'])"


class Project(servers.Server):
    def __init__(self, folder: Path) -> None:
        super().__init__("fresh")
        self.place = folder / "fresh"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(PACKAGE),
            "DJANGO_SUPERUSER_PASSWORD": "secret",
        }
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)
        self.place.mkdir()
        self.run("-m", "django", "startproject", "fresh", str(self.place))
        with open(self.place / "fresh" / "settings.py", "a") as settings:
            settings.write(ADDED.format(location=str(folder)))

    def run(self, *arguments: str) -> str:
        return servers.run_python(*arguments, cwd=self.place, env=self.environment)

    def manage(self, *arguments: str) -> str:
        return self.run("manage.py", *arguments)

    def hits(self) -> int:
        return int(self.manage("shell", "--verbosity", "0", "-c", STATS))

    def command(self) -> list[str]:
        return [
            sys.executable,
            str(self.place / "manage.py"),
            *("runserver", "--noreload", f"127.0.0.1:{self.port}"),
        ]

    def account(self) -> dict[str, object]:
        return {"env": self.environment}


class Browser:
    """Keeps cookies, follows redirects and sends each form with its token."""

    def __init__(self, port: int) -> None:
        self.host = f"http://127.0.0.1:{port}"
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(cookies)
        self.page = ""

    def get(self, path: str) -> str:
        with self.opener.open(self.host + path, timeout=30) as answer:
            assert answer.status == 200
            self.page = answer.read().decode()
            return self.page

    def post(self, path: str, **values: str | list[str]) -> str:
        """To the form of the page that was seen last."""
        (token, *_) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page)
        data = urllib.parse.urlencode({**values, "csrfmiddlewaretoken": token}, doseq=True)
        with self.opener.open(self.host + path, data.encode(), timeout=30) as answer:
            assert answer.status == 200
            self.page = answer.read().decode()
            return self.page


@pytest.fixture
def project() -> Iterator[Project]:
    folder = servers.memory_folder("qc-fresh-")
    made = Project(folder)
    try:
        made.manage("migrate", "--verbosity", "0")
        made.manage("createsuperuser", "--noinput", "--username", "boss", "--email", "b@x.org")
        made.start()
        yield made
    finally:
        made.stop(signal.SIGKILL)
        made.remove()
        shutil.rmtree(folder)


def listed(page: str) -> list[str]:
    """The links of a change list's rows."""
    return re.findall(r'<th class="field-\w+[^"]*"><a href="[^"]*">([^<]*)</a>', page)


def test_admin_of_a_fresh_project(project: Project) -> None:
    assert "no issues" in project.manage("check")
    browser = Browser(project.port)
    browser.get("/admin/")
    assert "Log out" in browser.post(
        "/admin/login/?next=/admin/", username="boss", password="secret"
    )
    before = project.hits()
    groups = "/admin/auth/group/"
    for name in ("first", "second", "third"):
        browser.get(groups + "add/")
        assert name in browser.post(groups + "add/", name=name)
        for _ in range(3):
            assert name in listed(browser.get(groups))
    browser.get(groups + "2/change/")
    browser.post(groups + "2/change/", name="changed", permissions=["1", "2"])
    for _ in range(2):
        assert listed(browser.get(groups)) == ["changed", "first", "third"]
        assert listed(browser.get(groups + "?q=fir")) == ["first"]
        assert browser.get(groups + "2/change/").count("selected") >= 2
        assert "Changed" in browser.get(groups + "2/history/")

    browser.get("/admin/auth/user/add/")
    password = {"password1": "Zq8!kdle", "password2": "Zq8!kdle", "usable_password": "true"}
    assert "clerk" in browser.post("/admin/auth/user/add/", username="clerk", **password)
    for _ in range(2):
        assert listed(browser.get("/admin/auth/user/")) == ["boss", "clerk"]
    browser.get(groups)
    assert "Are you sure" in browser.post(groups, action="delete_selected", _selected_action="1")
    browser.post(groups, action="delete_selected", _selected_action="1", post="yes")
    for _ in range(2):
        assert listed(browser.get(groups)) == ["changed", "third"]
    assert "Recent actions" in browser.get("/admin/")
    # What another process writes, the next page shows.
    project.manage("shell", "--verbosity", "0", "-c", RENAME)
    assert listed(browser.get(groups)) == ["from the shell", "third"]
    assert project.hits() > before + 50

    browser.post("/admin/logout/")
    assert "Log in" in browser.get("/admin/")


RENAME = """
from django.contrib.auth.models import Group
Group.objects.filter(name="changed").update(name="from the shell")
"""
