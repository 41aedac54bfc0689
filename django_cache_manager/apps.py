"""The app's configuration: hooks and checks go in when Django is ready."""

from __future__ import annotations

from django.apps import AppConfig


class DjangoCacheManagerConfig(AppConfig):
    name = "django_cache_manager"
    verbose_name = "Cache manager"

    def ready(self) -> None:
        from . import checks

        checks.register()
        try:
            from . import _engine  # noqa: F401
        except ImportError:
            return  # nothing is cached, and a check says so
        from . import hooks

        hooks.install()
