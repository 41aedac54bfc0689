"""SQLite's write-ahead log keeps what a killed writer had already appended: who opens the database
next, when everybody has died, finds it committed."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections

import worker
from observe import assert_right, uncached
from testapp.actions import name_of, rename
from worker import Killed, OtherProcess

pytestmark = [
    pytest.mark.cached,
    pytest.mark.databases("sqlite-wal"),
    pytest.mark.usefixtures("library"),
]

WRITE_AND_DIE = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA wal_autocheckpoint = 0")
connection.execute("UPDATE testapp_author SET name = 'zombie' WHERE id = 1")
os.kill(os.getpid(), signal.SIGKILL)
"""


def die_in_a_write() -> None:
    """Marked, and then dead."""
    from django_cache_manager.connection_state import state_of

    name_of()
    wrapper = connections[DEFAULT_DB_ALIAS]
    state = state_of(wrapper)
    state.mark(state.meet(wrapper), frozenset({"testapp_author"}))
    os.kill(os.getpid(), signal.SIGKILL)


def append_unpublished_commit(path: Path, folder: Path) -> None:
    """Leaves the log as a writer does that dies after its commit is in it, and before the index of
    the log, in shared memory, tells others."""
    copy, log = folder / "copy.sqlite3", Path(f"{path}-wal")
    copied_log = Path(f"{copy}-wal")
    shutil.copy(path, copy)
    shutil.copy(log, copied_log)
    before = log.stat().st_size
    subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(copy)], check=False)
    appended = copied_log.read_bytes()[before:]
    assert appended
    with log.open("r+b") as file:
        file.seek(before)
        file.write(appended)


@pytest.mark.parametrize("log", ["emptied", "held"])
def test_commit_of_a_killed_writer_that_comes_back_is_seen(
    log: str, other_process: OtherProcess, tmp_path: Path
) -> None:
    """With the log emptied, to prove the writer over, it does not come back. While a reader's
    snapshot keeps the log, nothing is proved, and nothing kept that it would make wrong."""
    path = Path(connection.settings_dict["NAME"])
    with contextlib.closing(sqlite3.connect(path)) as plain:
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    rename("before")
    reader, writer = OtherProcess(tmp_path / "reader"), OtherProcess(tmp_path / "writer")
    other_process.call(name_of)
    if log == "held":
        reader.call(worker.begin)
        reader.call(name_of)
    connection.close()
    writer.send(die_in_a_write)
    with pytest.raises(Killed):
        writer.receive()
    writer.stop()
    append_unpublished_commit(path, tmp_path)
    deadline = time.monotonic() + 3  # longer than it takes to look for the dead
    while time.monotonic() < deadline:
        # As long as somebody is connected, the database shows it to nobody.
        assert eval(other_process.call(name_of)[1]) == "before"
    assert bool(other_process.sql) == (log == "held")
    other_process.kill()
    reader.kill()
    with uncached():
        assert name_of() == ("zombie" if log == "held" else "before")
    assert_right(name_of)
