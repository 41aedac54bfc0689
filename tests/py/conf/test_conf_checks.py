"""`manage.py check`: ids, levels, cures, and that it opens nothing."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core import checks as django_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from django_cache_manager import checks, conf, logind

pytestmark = pytest.mark.cached


def messages(**setting: Any) -> list[django_checks.CheckMessage]:
    with override_settings(DJANGO_CACHE_MANAGER=setting):
        return django_checks.run_checks(tags=[checks.TAG])


def test_sound_setting_has_no_message(tmp_path: Path) -> None:
    assert messages(LOCATION=tmp_path, SIZE="8M") == []


def test_check_opens_no_file_and_no_connection(tmp_path: Path) -> None:
    from django.db import connections

    connections.close_all()
    with override_settings(DJANGO_CACHE_MANAGER={"LOCATION": tmp_path, "SIZE": "8M"}):
        call_command("check")
    assert list(tmp_path.iterdir()) == []
    assert all(connection.connection is None for connection in connections.all())


def test_bad_setting_fails_the_command_with_id_and_hint(tmp_path: Path) -> None:
    setting = {"LOCATION": tmp_path, "SIZE": "lots"}
    with (
        override_settings(DJANGO_CACHE_MANAGER=setting),
        pytest.raises(SystemCheckError) as caught,
    ):
        call_command("check", stderr=io.StringIO())
    text = str(caught.value)
    assert "(django_cache_manager.E003) DJANGO_CACHE_MANAGER['SIZE'] ('lots')" in text
    assert "HINT: Set it to bytes" in text


def test_levels_follow_the_ids(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    found = messages(LOCATION=tmp_path, SIZE="8M", MODELS=["nosuchapp.*"])
    assert {(message.id, message.level) for message in found} == {
        ("django_cache_manager.E011", django_checks.ERROR),
        ("django_cache_manager.W004", django_checks.WARNING),
    }
    assert all(message.hint for message in found)


def test_information_is_of_that_level() -> None:
    message = checks._message(conf.Problem("I001", "m.", "h.", is_error=False))
    assert (message.level, message.hint) == (django_checks.INFO, "h.")


def test_registering_again_does_not_double_the_messages() -> None:
    before = len(messages(SIZE="lots"))
    checks.register()
    assert len(messages(SIZE="lots")) == before


def test_checks_run_under_their_own_tag() -> None:
    assert django_checks.tag_exists(checks.TAG)


@pytest.mark.parametrize(
    ("platform", "hint"), [("linux", "Install a wheel"), ("darwin", "SILENCED_SYSTEM_CHECKS")]
)
def test_missing_engine_is_the_one_warning(
    platform: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "ENGINE", "django_cache_manager._no_such_engine")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(logind, "removes_shared_memory", lambda: True)
    (message,) = messages(LOCATION="/dev/shm/no-such-folder")
    assert (message.id, message.level) == ("django_cache_manager.W001", django_checks.WARNING)
    assert "_no_such_engine" in message.msg
    assert hint in message.hint


def test_missing_engine_does_not_hide_a_bad_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ENGINE", "django_cache_manager._no_such_engine")
    found = {message.id for message in messages(SIZE="lots")}
    assert found == {"django_cache_manager.W001", "django_cache_manager.E003"}


def test_hook_that_does_not_fit_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_cache_manager import hooks

    monkeypatch.setattr(hooks, "mismatches", lambda: ["CursorWrapper.execute has changed"])
    (message,) = messages(LOCATION=tmp_path, SIZE="8M")
    assert (message.id, message.level) == ("django_cache_manager.E013", django_checks.ERROR)
    assert "CursorWrapper.execute" in message.msg


@pytest.mark.parametrize(
    ("location", "clears", "warned"),
    [
        ("/dev/shm", True, True),
        ("/dev/shm", False, False),
        ("/run", True, False),
    ],
)
def test_session_manager_that_clears_the_default_place_is_a_warning(
    location: str, clears: bool, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logind, "removes_shared_memory", lambda: clears)
    with override_settings(DJANGO_CACHE_MANAGER={"LOCATION": location, "SIZE": "8M"}):
        found = checks.check_session_manager()
    assert [message.id for message in found] == ["django_cache_manager.W002"] * warned


def test_link_to_shared_memory_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logind, "removes_shared_memory", lambda: True)
    (tmp_path / "link").symlink_to("/dev/shm")
    with override_settings(DJANGO_CACHE_MANAGER={"LOCATION": tmp_path / "link"}):
        assert checks.check_session_manager()


def test_warning_of_a_bad_setting_does_not_stop_a_process(tmp_path: Path) -> None:
    """A process starts with a bad setting, and says so once when the cache is first asked for."""
    code = (
        "import django; from django.conf import settings\n"
        "settings.configure(DJANGO_CACHE_MANAGER={'SIZE': -1}, INSTALLED_APPS=[])\n"
        "django.setup()\n"
        "from django_cache_manager import conf\n"
        "print(conf.current().enabled, conf.current().valid)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(conf.__file__).parents[1])},
    )
    assert run.stdout == "False False\n"
    assert run.stderr.count("every read goes to the database") == 1


def test_every_id_is_in_the_docs() -> None:
    package = Path(conf.__file__).parent
    docs = Path(__file__).parents[3] / "docs" / "settings.md"
    source = "".join(
        (package / f"{name}.py").read_text()
        for name in ("conf", "setting_values", "location", "checks")
    )
    ids = set(re.findall(r"\b[EWI]0\d\d\b", source))
    text = docs.read_text()
    assert len(ids) >= 18
    assert [check for check in sorted(ids) if f"| {check} |" not in text] == []
    assert [
        field.upper()
        for field in conf.Settings.__dataclass_fields__
        if field not in ("backend", "valid") and f"| `{field.upper()}` |" not in text
    ] == []
