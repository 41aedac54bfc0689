"""Runs every scenario in one process and writes the responses to the file named on the command
line.

Two runs get the same random numbers and the same time, so that whatever differs comes from the
cache.
"""

import datetime
import json
import os
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django.core.signing  # noqa: E402
import django.utils.crypto  # noqa: E402
import django.utils.timezone  # noqa: E402

SHOWN_HEADERS = ("Content-Type", "Location", "Allow", "Vary")


class Clock:
    """Stands still within a request."""

    now = datetime.datetime(2024, 1, 1, 10, tzinfo=datetime.UTC)

    @classmethod
    def tick(cls) -> None:
        cls.now += datetime.timedelta(seconds=1)


class SameEachTime:
    """What django.utils.crypto takes from `secrets`."""

    choice = random.Random(1).choice
    compare_digest = staticmethod(django.utils.crypto.secrets.compare_digest)


def main(target: str) -> None:
    django.utils.timezone.now = lambda: Clock.now
    django.utils.crypto.secrets = SameEachTime
    django.core.signing.time = SimpleNamespace(time=lambda: Clock.now.timestamp())
    django.setup()
    from django.core.management import call_command
    from scenarios import SCENARIOS, load

    call_command("migrate", verbosity=0)
    found = {}
    for name, scenario in SCENARIOS.items():
        load()
        before = hits()
        responses: list[Any] = []
        scenario(recorder(responses))
        found[name] = {"responses": responses, "hits": hits() - before}
    Path(target).write_text(json.dumps(found))


def recorder(responses: list[Any]) -> Any:
    def visit(method: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        Clock.tick()
        try:
            response = method(path, *args, **kwargs)
        except Exception as error:  # the client lets a view's exception through
            responses.append([method.__name__, path, repr(error)])
            return None
        shown = [response.headers.get(name) for name in SHOWN_HEADERS]
        # When a cookie expires is told by the machine's clock.
        cookies = sorted(f"{one.key}={one.value}" for one in response.cookies.values())
        chain = getattr(response, "redirect_chain", [])
        text = response.content.decode()
        responses.append([method.__name__, path, response.status_code, shown, cookies, chain, text])
        return response

    return visit


def hits() -> int:
    if os.environ["APPS_MODE"] == "without":
        return 0
    from django_cache_manager.api import stats

    return int(stats()["default"]["hits"])


if __name__ == "__main__":
    main(sys.argv[1])
