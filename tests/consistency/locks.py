"""Who may write a register whose next version the writer itself decides.

Two locks at once: one on a file, which falls with the process; on a server also an advisory one of
the writing session, which falls with the session, so that a dead process's statement that still
runs is never overtaken.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from pathlib import Path
from typing import Any

from django.db import connections


class Lock:
    def __init__(self, folder: Path, register: str, db: str) -> None:
        self.register = register
        self._path = folder / register
        self._connection: Any = connections[db]
        self._file: int | None = None

    def take(self) -> bool:
        """False when somebody else has it. Outside a transaction only."""
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._close()
            return False
        try:
            free = self._advisory("pg_try_advisory_lock(%s)", "GET_LOCK(%s, 0)")
        except BaseException:
            self._close()
            raise
        if not free:
            self._close()
        return free

    def release(self) -> None:
        """After a lost connection there is nothing to release at the server: its session has ended,
        or will."""
        try:
            if self._connection.connection is not None:
                self._advisory("pg_advisory_unlock(%s)", "RELEASE_LOCK(%s)")
        except Exception:
            with contextlib.suppress(Exception):
                self._connection.close()
        finally:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _advisory(self, of_postgresql: str, of_mysql: str) -> bool:
        """Asked of the driver, so that the package sees no statement."""
        if self._connection.vendor == "sqlite":
            return True
        call = of_mysql if self._connection.vendor == "mysql" else of_postgresql
        self._connection.ensure_connection()
        key = int.from_bytes(hashlib.sha256(self.register.encode()).digest()[:4], "big")
        with self._connection.wrap_database_errors, self._connection.connection.cursor() as cursor:
            cursor.execute(f"SELECT {call}", [key])
            return bool(cursor.fetchone()[0])
