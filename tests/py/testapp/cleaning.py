"""Empties the tables between tests."""

import contextlib
from functools import cache

from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from observe import invalidate_all
from settings import ALIASES

KEPT = {"django_content_type", "django_migrations", "auth_permission"}
RESET_IDENTITIES = {
    "sqlite": "DELETE FROM sqlite_sequence",
    "postgresql": "SELECT setval(format('%%I.%%I', schemaname, sequencename)::regclass, 1, false)"
    " FROM pg_sequences WHERE last_value IS NOT NULL AND sequencename <> ALL(%s)",
}
KEPT_SEQUENCES = [f"{table}_id_seq" for table in KEPT]


@cache
def tables(alias: str) -> list[str]:
    introspection = connections[alias].introspection
    names = introspection.django_table_names(only_existing=True, include_views=False)
    return [connections[alias].ops.quote_name(name) for name in names if name not in KEPT]


def empty_tables() -> None:
    for alias in ALIASES:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            used = " UNION ALL ".join(
                f"SELECT {n} WHERE EXISTS (SELECT 1 FROM {name})"
                for n, name in enumerate(tables(alias))
            )
            cursor.execute(used)
            vendor = connections[alias].vendor
            filled = [tables(alias)[number] for (number,) in cursor.fetchall()]
            if vendor == "mysql":
                with connections[alias].constraint_checks_disabled():
                    for table in filled:
                        cursor.execute(f"TRUNCATE {table}")  # a DELETE goes on counting
                continue
            for table in filled:
                cursor.execute(f"DELETE FROM {table}")
            params = [KEPT_SEQUENCES] if vendor == "postgresql" else []
            cursor.execute(RESET_IDENTITIES[vendor], params)
            cursor.fetchall()
    ContentType.objects.clear_cache()
    invalidate_all()


def end_transactions() -> None:
    for connection in connections.all(initialized_only=True):
        end_transaction(connection)


def end_transaction(connection: BaseDatabaseWrapper) -> None:
    """Whatever a failed test left open is rolled back."""
    with contextlib.suppress(Exception):
        if connection.connection is not None:
            connection.connection.rollback()
    connection.savepoint_ids = []
    connection.atomic_blocks = []
    connection.in_atomic_block = False
    connection.needs_rollback = False
