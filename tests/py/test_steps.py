"""The steps of the protocol stand where they stand: what can happen between two of them is made to
happen there."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from django_cache_manager.api import uncached
from django_cache_manager.plain_writes import MEMO_LENGTH
from testapp.actions import name_of, names, rename, sql, titles_of
from worker import Killed, OtherProcess

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library")]

HERE = Path(__file__).parent
SITE = os.environ.get("QCACHE_FAILPOINT_SITE") or HERE.parents[1] / ".build" / "failpoint-site"


def rename_in_a_block() -> None:
    with transaction.atomic():
        rename("in a block")


def rename_by_hand() -> None:
    sql("BEGIN")
    rename("by hand")
    sql("COMMIT")


def rename_in_autocommit() -> None:
    assert not titles_of(-1)  # a miss: with the catalog known the write goes the short way
    rename("in autocommit")


def rename_by_a_script() -> None:
    """Nobody knows beforehand what such a statement writes."""
    sql("UPDATE testapp_author SET name = 'by a script' WHERE id = 1; SELECT 1") if (
        connection.vendor == "postgresql"
    ) else connection.cursor().executescript(
        "UPDATE testapp_author SET name = 'by a script' WHERE id = 1; SELECT 1;"
    )


WRITES = (rename_in_autocommit, rename_in_a_block, rename_by_hand, rename_by_a_script)
CASES = [("before-mark", write) for write in WRITES] + [
    (step, rename_in_a_block) for step in ("after-mark", "between-clock-and-stamp", "mid-settle")
]


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Callable[[str], OtherProcess]]:
    """A process that dies at a step of its first write."""
    started: list[OtherProcess] = []

    def at(step: str) -> OtherProcess:
        path = os.pathsep.join((str(SITE), str(HERE), os.environ.get("PYTHONPATH", "")))
        environment = {"PYTHONPATH": path, "QC_FAILPOINT": f"{step}=kill"}
        started.append(OtherProcess(tmp_path / "mortal.log", environment))
        return started[-1]

    yield at
    for process in started:
        process.kill()


def forget_the_dead() -> None:
    """Of the cases before: whoever proves them gone settles too, and would die of it."""
    from django_cache_manager.segments import registry

    for segment in registry.all():
        for slot in segment.engine.slots():
            segment.engine.settle(slot["ticket"], force=True)


@pytest.mark.databases("sqlite-wal", "postgresql")
@pytest.mark.parametrize(("step", "write"), CASES)
def test_writer_that_dies_at_a_step_leaves_no_old_row(
    step: str,
    write: Callable[[], None],
    mortal: Callable[[str], OtherProcess],
    other_process: OtherProcess,
) -> None:
    """A row committed by a writer that died is nowhere hidden by an older one: it was marked before
    the statement or the COMMIT was sent."""
    names(), name_of()
    forget_the_dead()
    other_process.call(names)
    writer = mortal(step)
    writer.send(write)
    with pytest.raises(Killed):
        writer.receive()
    with uncached():
        true_name, true_names = name_of(), names()
    assert (true_name == "Ánna") == (step in ("before-mark", "after-mark"))
    for _ in range(2):
        assert name_of() == true_name
        assert names() == true_names
        assert [eval(item[1]) for item in other_process.call(names)[2]] == true_names


def rename_after_a_failed_begin() -> None:
    sql("PRAGMA busy_timeout = 0")
    blocker = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"):
        sql("BEGIN IMMEDIATE")
    blocker.close()
    rename("after a failed BEGIN")


@pytest.mark.databases("sqlite-wal")
def test_write_after_a_begin_that_failed_is_marked(
    mortal: Callable[[str], OtherProcess], other_process: OtherProcess
) -> None:
    """The driver says whether a transaction is open, not what was sent to it."""
    name_of()
    writer = mortal("after-mark")
    writer.send(rename_after_a_failed_begin)
    with pytest.raises(Killed):
        writer.receive()
    with uncached():
        assert name_of() == "Ánna", "it was marked after it had been committed"
    other_process.call(rename_after_a_failed_begin)
    assert name_of() == names()[0] == "after a failed BEGIN"


@pytest.mark.databases("sqlite-wal")
@pytest.mark.parametrize("length", [0, MEMO_LENGTH], ids=["plain-write", "bracket"])
def test_segment_that_is_replaced_during_a_write_is_stamped(
    length: int, other_process: OtherProcess
) -> None:
    """What another fills in the new one from before the commit falls with it."""
    from django_cache_manager.api import segment_of
    from django_cache_manager.segments import segment_path

    name_of()
    segment = segment_of("default")
    assert segment is not None
    path = segment_path(segment.facts)
    seen = []

    def replace_the_segment() -> int:
        path.unlink()
        path.with_name(path.name + ".lock").unlink()
        seen.extend(eval(other_process.call(name_of)[1]) for _ in range(2))
        return 1

    connection.connection.create_function("meanwhile", 0, replace_the_segment)
    sql("UPDATE testapp_author SET name = 'late' WHERE id = 1 AND meanwhile()" + " " * length)
    assert seen == ["Ánna", "Ánna"]
    assert eval(other_process.call(name_of)[1]) == name_of() == "late"


def test_statement_is_what_a_wrapper_makes_of_it(library: None) -> None:
    """The hook is the innermost: it sees what is sent (PROTOCOL 2.7)."""

    def write_instead(execute: Any, statement: str, *rest: Any) -> Any:
        return execute("UPDATE testapp_author SET name = 'instead' WHERE id = 1", *rest)

    name_of()
    with connection.execute_wrapper(write_instead), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert name_of() == names()[0] == "instead"


@pytest.mark.databases("sqlite-wal", "postgresql")
def test_row_overtaken_while_it_is_read_is_not_kept(other_process: OtherProcess) -> None:
    """The clock is read before the statement is sent (F1)."""

    def overtake(execute: Any, *statement: Any) -> Any:
        result = execute(*statement)
        other_process.call(rename, "meanwhile")
        return result

    sql("SELECT 1")
    with connection.execute_wrapper(overtake):
        assert name_of() == "Ánna"
    assert name_of() == "meanwhile"
