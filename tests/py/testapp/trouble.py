"""What the tests of bad input do in a process of their own."""

import os
import threading
from typing import Any

from django.db import connection

from observe import uncached
from testapp.actions import names, rename
from testapp.models import Author


def right() -> bool:
    """Reads twice, as cached as may be, and compares with the database."""
    with uncached():
        truth = names()
    return names() == truth and names() == truth


def hits() -> bool:
    """Whether a second read runs no SQL."""
    from observe import count_sql

    names()
    with count_sql() as log:
        names()
    return not log


def segment_path() -> str | None:
    from django_cache_manager.api import segment_of

    segment = segment_of("default")
    return None if segment is None else segment.engine.path


def checks() -> list[str]:
    from django.core.checks import run_checks

    return [f"{message.id}: {message.msg} {message.hint}" for message in run_checks()]


def rename_often(times: int) -> None:
    for turn in range(times):
        rename(f"turn {turn}", 1 + turn % 6)


def rename_forever() -> None:
    turn = 0
    while True:
        rename(f"turn {turn}", 1 + turn % 6)
        turn += 1


def rename_in_a_child(name: str) -> list[Any]:
    """Forks; the child writes with a connection of its own. What the parent reads before and
    after.
    """
    before = names()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            connection.connection = None
            rename(name)
            status = 0 if names()[0] == name else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return [before[0], names()[0], status]


def fork_with_an_open_write(name: str) -> list[Any]:
    """A child of a process with a write in flight ends; the write goes on and is seen."""
    from django.db import transaction

    with transaction.atomic():
        rename(name)
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    return [names()[0], right()]


def in_threads(count: int) -> bool:
    """Threads that read and write at once; each has its own connection."""
    from django.db import connections

    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(10):
                rename(f"thread {number} turn {turn}", number + 1)
                assert Author.objects.get(pk=number + 1).name == f"thread {number} turn {turn}"
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return right()
