"""What is told of a write after it has been settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .signals import post_invalidation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import Model


def announce(alias: str, tables: frozenset[str] | None) -> None:
    """Sends `post_invalidation`, if anybody listens.

    `tables` None: everything of the database.
    """
    if post_invalidation.receivers:
        post_invalidation.send_robust(
            sender=None,
            using=alias,
            tables=tables,
            models=() if tables is None else tuple(models_of(tables)),
        )


def models_of(tables: Iterable[str]) -> list[type[Model]]:
    """Installed models that have one of these tables, auto-created ones included."""
    from django.apps import apps

    from .conf import table_name

    wanted = set(tables)
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if table_name(model._meta.db_table) in wanted
    ]
