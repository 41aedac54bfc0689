"""What a project calls: invalidate, uncached, stats, explain, last_invalidation."""

from __future__ import annotations

from contextlib import ContextDecorator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Manager, Model, QuerySet
from django.db.models.query import RawQuerySet
from django.db.models.sql.constants import MULTI

from . import conf, policy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextvars import Token

    from .connection_state import ConnectionState
    from .segments import OpenSegment

NO_ENGINE: Final = "the engine is not installed, so nothing is cached"

Target: TypeAlias = type[Model] | Model | str


class uncached(ContextDecorator):  # noqa: N801 - a context manager by use, like Django's atomic
    """Inside, no query is answered from the cache and none is stored; writes are seen all the same.

    A context manager and a decorator; holds for the current thread or task. May be nested.
    """

    def __init__(self) -> None:
        self._tokens: list[Token[int]] = []

    def _recreate_cm(self) -> uncached:
        return uncached()

    def __enter__(self) -> None:
        self._tokens.append(policy.uncached_depth.set(policy.uncached_depth.get() + 1))

    def __exit__(self, *exc: object) -> None:
        policy.uncached_depth.reset(self._tokens.pop())


@dataclass(frozen=True, slots=True)
class Explanation:
    """What explain() found.

    `cached` is whether the queryset would be answered from the cache now.
    """

    cached: bool
    cacheable: bool
    reason: str
    """Why it isn't cached or cacheable; empty when it is cached."""

    key: str
    """Hexadecimal digest of the key; empty where there is none."""

    sql: str
    dependencies: tuple[str, ...]
    """Tables whose writes make the result fall, sorted."""
    clashes: tuple[str, ...]
    """Other tables that share a cell with one of them: their writes make it fall too."""

    stamp: int | None
    """The clock the stored rows were read at."""

    size: int | None
    """Encoded bytes of the stored rows."""

    def __str__(self) -> str:
        state = "cached" if self.cached else f"not cached: {self.reason}"
        lines = [state, f"reads: {', '.join(self.dependencies) or '-'}"]
        if self.clashes:
            lines.append(f"shares cells with: {', '.join(self.clashes)}")
        if self.key:
            lines.append(f"key: {self.key}")
        if self.cached:
            lines.append(f"stamp: {self.stamp}, size: {self.size} bytes")
        return "\n".join(lines)


def has_engine() -> bool:
    """Whether the C engine can be imported; without it reads go to the database."""
    try:
        from . import _engine  # noqa: F401
    except ImportError:
        return False
    return True


def explain(queryset: QuerySet[Any] | RawQuerySet[Any] | Manager[Any]) -> Explanation:
    """Whether and why a queryset's rows are cached.

    Compiles it; runs no query of its own but what a first connection needs to learn who the server
    is.
    """
    if isinstance(queryset, Manager):
        queryset = queryset.all()
    if isinstance(queryset, RawQuerySet):
        return _explain_raw(queryset)
    query = queryset.query
    compiler = query.get_compiler(using=queryset.db)
    try:
        sql, params = compiler.as_sql()
    except EmptyResultSet:
        return Explanation(
            False, False, "it can match no row, so it reads nothing", "", "", (), (), None, None
        )
    if not has_engine():
        return Explanation(False, False, NO_ENGINE, "", sql, (), (), None, None)
    from .reads import explain_read

    return Explanation(**explain_read(compiler, sql, params, MULTI))


def _explain_raw(queryset: RawQuerySet[Any]) -> Explanation:
    sql = str(queryset.query.sql)
    if not has_engine():
        return Explanation(False, False, NO_ENGINE, "", sql, (), (), None, None)
    from .raw import explain_raw

    return Explanation(**explain_raw(queryset.query))


def invalidate(*targets: Target, using: str | None = None) -> None:
    """Makes results fall that read any of `targets`; without targets everything of the database.

    A target is a model, an instance (its model is meant), a label ("app.Model", or "app" for all
    its models) or the name of a table. `using` is an alias; None means every database that is
    supported. For changes made outside Django. Raises LookupError for a label that no model has,
    and SegmentUnavailable where no segment can be opened.
    """
    tables = frozenset(_tables(targets))
    if not has_engine():
        return
    from .brackets import Bracket
    from .invalidation import announce

    for alias in [using] if using is not None else list(connections):
        state = _met(alias)
        if state is None or state.session is None:
            continue
        bracket = Bracket()
        bracket.mark(state.session.facts, tables, database=not targets)
        state.overlay.clear()
        bracket.settle()
        announce(alias, tables if targets else None)


def _tables(targets: Iterable[Target]) -> Iterable[str]:
    for target in targets:
        if isinstance(target, str):
            for name in _named(target):
                yield conf.table_name(name)
        else:
            for parent in (target._meta.concrete_model, *target._meta.all_parents):
                if parent is not None:
                    yield conf.table_name(parent._meta.db_table)


def _named(target: str) -> list[str]:
    from django.apps import apps

    app, dot, model = target.partition(".")
    if dot:
        return [apps.get_model(app, model)._meta.db_table]
    if app in apps.app_configs:
        return [
            model._meta.db_table
            for model in apps.get_app_config(app).get_models(include_auto_created=True)
        ]
    return [target]


def _met(alias: str) -> ConnectionState | None:
    """The state of an alias's connection, connected so that the database is known."""
    if not has_engine():
        return None
    from .connection_state import state_of

    connection = connections[alias]
    state = state_of(connection)
    if state is not None:
        connection.ensure_connection()
        state.meet(connection)
    return state


def stats() -> dict[str, dict[str, Any]]:
    """An entry an alias: sizes in bytes, counts since the segment was made, by all processes, and
    the writes in flight.

    Aliases whose database isn't supported, or not cached, have a "reason" instead.
    """
    if not has_engine():
        return {alias: {"reason": NO_ENGINE} for alias in connections}
    from .stores import local_stats

    found: dict[str, dict[str, Any]] = {}
    for alias in connections:
        state = _met(alias)
        if state is None or state.session is None:
            found[alias] = {"reason": f"{connections[alias].vendor} is not supported"}
            continue
        segment = _segment(state)
        if segment is None:
            found[alias] = {"reason": "its segment can't be opened: see `manage.py check`"}
            continue
        found[alias] = {
            **segment.engine.stats(),
            "path": segment.engine.path,
            "uncached": state.off_reason(),
            "in_flight": segment.engine.slots(),
            "local": local_stats(),
        }
    return found


def segment_of(alias: str) -> OpenSegment | None:
    """The segment of an alias's database; None where there is none, or none can be opened."""
    state = _met(alias)
    return None if state is None else _segment(state)


def _segment(state: ConnectionState) -> OpenSegment | None:
    from . import _engine
    from .segments import registry

    if state.session is None or not state.session.facts.family:
        return None
    try:
        return registry.open(state.session.facts)
    except _engine.SegmentError:
        return None


def last_invalidation(
    target: Target | None = None, using: str = "default"
) -> dict[str, Any] | None:
    """The last settled write to a model's table (None: to everything) in this segment's life, by
    any process.

    A dict of "stamp", "writers" in flight now, "writes" since creation, "realtime_ms" and "pid";
    None when there was none. Tables share cells now and then: it may tell another's.
    """
    segment = segment_of(using)
    if segment is None:
        return None
    if target is None:
        return segment.engine.last_write(None)
    found = [segment.engine.last_write(table) for table in _tables([target])]
    return max(
        (one for one in found if one is not None), key=lambda one: one["stamp"], default=None
    )
