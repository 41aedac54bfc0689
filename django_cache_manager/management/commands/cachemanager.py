"""manage.py cachemanager stats | clear | explain | verify."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import FieldError, ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from django_cache_manager import conf

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    help = "Shows, empties, explains or verifies the query cache."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        stats = actions.add_parser(
            "stats", help="What each database's segment holds, and writes in flight."
        )
        clear = actions.add_parser("clear", help="Makes every result fall and empties the store.")
        clear.add_argument(
            "--recreate",
            action="store_true",
            help="Retire the segment; the next process makes a new one, with the SIZE set now.",
        )
        clear.add_argument(
            "--marks",
            action="store_true",
            help="Also settle writes of unknown outcome. Only when you know that they are over.",
        )
        explain = actions.add_parser("explain", help="Whether and why a model's rows are cached.")
        explain.add_argument("label", help="app_label.Model")
        explain.add_argument(
            "lookups", nargs="*", metavar="lookup=value", help="Arguments of filter()."
        )
        verify = actions.add_parser(
            "verify", help="Checks every structure; exit status 1 on damage."
        )
        for action in (stats, clear, explain, verify):
            action.add_argument("--database", default=None, help="An alias; all by default.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from django_cache_manager import _engine  # noqa: F401
        except ImportError as error:
            raise CommandError(
                f"the engine can't be imported, so nothing is cached: {error}"
            ) from error
        alias = options["database"]
        if alias is not None and alias not in connections:
            raise CommandError(f"--database {alias!r} is no alias in DATABASES")
        aliases = list(connections) if alias is None else [alias]
        getattr(self, f"_{options['action']}")(aliases, options)

    def _stats(self, aliases: list[str], options: dict[str, Any]) -> None:
        from django_cache_manager import api

        found = api.stats()
        for alias in aliases:
            self.stdout.write(self.style.MIGRATE_HEADING(alias))
            for name, value in found[alias].items():
                if name == "in_flight":
                    self._write_in_flight(value)
                elif value is not None:
                    self.stdout.write(f"  {name:<14} {_plain(value)}")

    def _write_in_flight(self, slots: list[dict[str, Any]]) -> None:
        self.stdout.write(f"  {'in flight':<14} {len(slots)}")
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        for slot in slots:
            alive = "alive" if slot["owner_alive"] else "gone"
            age = now - slot["since_us"] / 1e6
            who = slot["session"].decode(errors="replace").replace("\0", " ") or "no server session"
            self.stdout.write(
                f"    process {slot['pid']} ({alive}), {slot['state']} for {age:.1f} s, "
                f"{len(slot['cells']) // 4} cells, {who}"
            )

    def _clear(self, aliases: list[str], options: dict[str, Any]) -> None:
        from django_cache_manager import api
        from django_cache_manager.segments import registry

        for alias in aliases:
            api.invalidate(using=alias)
            segment = api.segment_of(alias)
            if segment is None:
                self.stdout.write(f"{alias}: no segment")
                continue
            if options["marks"]:
                settled = sum(
                    segment.engine.settle(slot["ticket"], force=True)
                    for slot in segment.engine.slots()
                )
                self.stdout.write(f"{alias}: {settled} writes in flight settled")
            if options["recreate"]:
                segment.engine.retire()
                registry.drop(segment)
                self.stdout.write(f"{alias}: segment retired; the next query makes a new one")
            else:
                segment.engine.clear()
                self.stdout.write(f"{alias}: emptied")

    def _explain(self, aliases: list[str], options: dict[str, Any]) -> None:
        from django_cache_manager import api

        try:
            model = apps.get_model(options["label"])
        except (LookupError, ValueError) as error:
            raise CommandError(f"{options['label']!r} is no model: {error}") from error
        lookups = dict(_lookup(text) for text in options["lookups"])
        queryset = model._default_manager.all()
        if options["database"] is not None:
            queryset = queryset.using(options["database"])
        try:
            queryset = queryset.filter(**lookups)
        except (FieldError, ValueError, TypeError, ValidationError) as error:
            raise CommandError(str(error)) from error
        explanation = api.explain(queryset)
        self.stdout.write(explanation.sql)
        self.stdout.write(str(explanation))

    def _verify(self, aliases: list[str], options: dict[str, Any]) -> None:
        from django_cache_manager import api

        damaged = False
        for alias in aliases:
            segment = api.segment_of(alias)
            if segment is None:
                self.stdout.write(f"{alias}: no segment")
                continue
            findings = segment.engine.problems()
            damaged = damaged or bool(findings)
            self.stdout.write(f"{alias}: {'damaged' if findings else 'sound'}")
            for finding in findings:
                self.stdout.write(f"  {finding}")
        if damaged:
            raise CommandError(
                "a segment is damaged: `manage.py cachemanager clear --recreate` makes a new one"
            )


def _lookup(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CommandError(f"{text!r} is not lookup=value")
    return name, value


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace").replace("\0", " ")
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, int) and not isinstance(value, bool) and value >= conf.MIB:
        return f"{value} ({value / conf.MIB:.1f} M)"
    return str(value)
