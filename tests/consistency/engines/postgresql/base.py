"""Django's PostgreSQL backend (psycopg 3) with `faults` around the driver's calls."""

from typing import Any

from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

from tests.consistency.faults import faults


class _Faulty:
    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        call = super().execute  # type: ignore[misc]
        with faults.cutting(self.connection.pgconn.socket, query):  # type: ignore[attr-defined]
            return faults.statement(query, lambda: call(query, *args, **kwargs))

    def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        call = super().executemany  # type: ignore[misc]
        return faults.statement(query, lambda: call(query, *args, **kwargs))


class Cursor(_Faulty, base.Cursor):
    pass


class ServerSideCursor(_Faulty, base.ServerSideCursor):
    pass


# Django makes its named cursors of this name.
base.ServerSideCursor = ServerSideCursor


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        return {**super().get_connection_params(), "cursor_factory": Cursor}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        plain = connection.commit

        def commit() -> None:
            if connection.info.transaction_status == TransactionStatus.INTRANS:
                with faults.cutting(connection.pgconn.socket):
                    faults.commit(plain)
            else:
                plain()

        connection.commit = commit
        return connection
