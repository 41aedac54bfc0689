"""Django's SQLite backend with `faults` around the driver's calls."""

import sqlite3
from typing import Any

from django.db.backends.sqlite3 import base

from tests.consistency.faults import faults, is_select


class Cursor(base.SQLiteCursorWrapper):
    writes = False

    def fetchall(self) -> Any:
        return faults.fetch(super().fetchall) if self.writes else super().fetchall()

    def fetchone(self) -> Any:
        return faults.fetch(super().fetchone) if self.writes else super().fetchone()

    def execute(self, query: Any, params: Any = None) -> Any:
        self.writes = not is_select(query)
        return faults.statement(query, lambda: super(Cursor, self).execute(query, params))

    def executemany(self, query: Any, param_list: Any) -> Any:
        return faults.statement(query, lambda: super(Cursor, self).executemany(query, param_list))


class Connection(sqlite3.Connection):
    def commit(self) -> None:
        if self.in_transaction:
            faults.commit(super().commit)
        else:
            super().commit()


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        return {**super().get_connection_params(), "factory": Connection}

    def create_cursor(self, name: str | None = None) -> Any:
        return self.connection.cursor(factory=Cursor)
