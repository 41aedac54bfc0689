"""Django's MySQL backend (mysqlclient) with `faults` around the driver's calls."""

import importlib
import os
import stat
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db.backends.mysql import base

from tests.consistency.faults import faults

IN_TRANSACTION = 1

# MySQLdb imports it at the first connection: who is interrupted there has it in part for good.
importlib.import_module("MySQLdb.connections")


def in_transaction(connection: Any) -> bool:
    from django_cache_manager import _engine

    return bool(_engine.mysql_status(connection) & IN_TRANSACTION)


def cutting(connection: Any, sql: Any = None) -> AbstractContextManager[None]:
    descriptor = connection.fileno()
    try:
        is_there = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        is_there = False
    # Of one that was lost before, the number may be another file's by now.
    return faults.cutting(descriptor, sql) if is_there else nullcontext()


class Cursor(base.CursorWrapper):
    def execute(self, query: Any, args: Any = None) -> Any:
        call = super().execute
        with cutting(self.cursor.connection, query):
            return faults.statement(query, lambda: call(query, args))

    def executemany(self, query: Any, args: Any) -> Any:
        call = super().executemany
        return faults.statement(query, lambda: call(query, args))


class DatabaseWrapper(base.DatabaseWrapper):
    def create_cursor(self, name: str | None = None) -> Any:
        return Cursor(self.connection.cursor())

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        plain = connection.commit

        def commit() -> None:
            if in_transaction(connection):
                with cutting(connection):
                    faults.commit(plain)
            else:
                plain()

        connection.commit = commit
        return connection
