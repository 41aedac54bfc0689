"""Django's dbshell, followed by an invalidation: what was written there went round the hooks."""

from __future__ import annotations

from typing import Any

from django.core.management.commands.dbshell import Command as DBShellCommand


class Command(DBShellCommand):
    def handle(self, **options: Any) -> None:
        try:
            super().handle(**options)
        finally:
            try:
                from django_cache_manager import api
            except ImportError:  # no engine, no cache
                return
            api.invalidate(using=options["database"])
