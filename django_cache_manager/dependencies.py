"""From a Query tree to the tables it reads, to any depth; and what in it forbids caching."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import FieldError
from django.db.models import expressions, functions
from django.db.models import fields as model_fields
from django.db.models.constants import LOOKUP_SEP
from django.db.models.sql import Query
from django.db.models.sql.where import ExtraWhere, WhereNode

from . import _engine, conf
from .sql_functions import cacheable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.db.models.sql.compiler import SQLCompiler

_KNOWN_MODULES: Final = (
    "django.db.models.",
    "django.contrib.postgres.",
    "django.contrib.contenttypes.",
)
_VOLATILE: Final = (expressions.RawSQL, ExtraWhere, functions.Now, functions.Random)
_VOLATILE_NAMES: Final = frozenset({"TransactionNow", "RandomUUID"})

_QUOTED_COLUMN: Final = re.compile(r'"[^"]+"\."[^"]+"|`[^`]+`\.`[^`]+`')

_CACHEABLE_FLAGS = _engine.READ


class Uncacheable(Exception):
    """A query that must not be cached; the message says why."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a statement's result depends on, names as the scanner gives them."""

    tables: frozenset[str]
    functions: frozenset[str]


def read_dependencies(compiler: SQLCompiler, sql: str, dialect: int) -> Dependencies:
    """The tables whose rows the compiled query reads, and the functions it calls.

    They come from the Query tree; the scanner is asked about the same SQL, and what it finds has to
    be among them. Aliases that the tree holds and the SQL doesn't (trimmed joins) don't count.
    Raises Uncacheable.
    """
    walk = _Walk(dialect)
    walk.query(compiler.query)
    scan = _scanned(sql, dialect)
    found = frozenset(scan.reads)
    unknown = found - walk.tables
    if unknown:
        raise Uncacheable(
            f"its SQL reads {', '.join(sorted(unknown))}, which its Query doesn't name"
        )
    return Dependencies((found & walk.tables) | walk.joined, frozenset(scan.functions))


def _scanned(sql: str, dialect: int) -> _engine.Scan:
    scan = _engine.scan(sql, dialect)
    if scan.flags != _CACHEABLE_FLAGS:
        raise Uncacheable(_flags_reason(scan.flags))
    known, declared = cacheable(dialect), conf.current().functions
    for name in scan.functions:
        if name not in known and name not in declared:
            raise Uncacheable(f"it calls the function {name}, which is not known to be repeatable")
    return scan


def _flags_reason(flags: int) -> str:
    if flags & _engine.LOCKING:
        return "it locks rows"
    if flags & _engine.SYSTEM:
        return "it reads the system's catalog"
    return "its SQL is not understood well enough to be sure what it reads"


def raw_dependencies(sql: str, dialect: int) -> Dependencies:
    """The same of a SELECT that somebody wrote: the scanner alone says what it reads, and what
    Django's compiler never writes has to be looked for.

    Words count wherever they stand, in a literal or a comment too. Raises Uncacheable.
    """
    scan = _scanned(sql, dialect)
    words = sql_words(sql)
    if words[:1] not in (["select"], ["with"], ["values"], ["table"]) or ";" in sql.strip(" \n\t;"):
        raise Uncacheable("it is not one plain SELECT")
    refused = (_RAW_WORDS | _RAW_WORDS_OF[dialect]).intersection(words)
    if refused or (dialect == _engine.MYSQL and "@" in sql):
        raise Uncacheable(f"it says {min(refused, default='@')}, and may change by itself")
    if dialect == _engine.POSTGRESQL:
        for kind in _cast_targets(sql, words):
            if kind not in _STEADY_TYPES:
                raise Uncacheable(f"it casts to {kind}, and 'now' may be cast to a time")
    return Dependencies(frozenset(scan.reads), frozenset(scan.functions))


def sql_words(sql: str) -> list[str]:
    """Everything in a statement that may be a name or a key word, in lower case."""
    return _WORD.findall(sql.lower())


def names_the_moment(value: Any) -> bool:
    """Whether PostgreSQL may take a text for a time that moves: 'now', 'today 12:00'."""
    if isinstance(value, (list, tuple)):
        return any(map(names_the_moment, value))
    if not isinstance(value, str) or len(value) > _LONGEST_TIME:
        return False
    words = sql_words(value)
    return len(words) <= _MOST_WORDS and not _MOMENTS.isdisjoint(words)


_WORD: Final = re.compile(r"[^\W\d]\w*")
# No time, and no range of two, is longer: prose may say "now".
_LONGEST_TIME: Final = 512
_MOST_WORDS: Final = 8
_MOMENTS: Final = frozenset({"now", "today", "tomorrow", "yesterday"})
# INTO writes; the others are chance, or what VACUUM and its like change.
_RAW_WORDS: Final = frozenset({"into", "tablesample", "raise"})
_RAW_WORDS_OF: Final = {
    _engine.SQLITE: frozenset({"rowid", "_rowid_", "oid"}),
    _engine.POSTGRESQL: _MOMENTS
    | {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}
    | {"json_populate_record", "jsonb_populate_record"},
    _engine.MYSQL: frozenset({"next"}),
}
_CAST: Final = re.compile(r"::\s*\"?(\w+)")
_CAST_AS: Final = re.compile(r"\bas\s+\"?(\w+)")
_STEADY_TYPES: Final = frozenset(
    """text varchar char character bpchar name citext int integer bigint smallint int2 int4 int8
    numeric decimal real float float4 float8 double bool boolean uuid json jsonb bytea inet cidr
    interval""".split()
)


def _cast_targets(sql: str, words: list[str]) -> list[str]:
    found: list[str] = _CAST.findall(sql.lower())
    if "cast" in words:
        found += _CAST_AS.findall(sql.lower())
    return found


class _Walk:
    """`tables`: all that the tree names; `joined`: those whose aliases are in use."""

    def __init__(self, dialect: int) -> None:
        self.dialect = dialect
        self.tables: set[str] = set()
        self.joined: set[str] = set()
        self._seen: set[int] = set()
        self._seen_names: set[tuple[int, str]] = set()

    def query(self, query: Any) -> None:
        if id(query) in self._seen:
            return
        self._seen.add(id(query))
        if not isinstance(query, Query) or not _is_known(type(query)):
            raise Uncacheable(f"it holds a {_path(type(query))}, which is not known")
        self._refuse_options(query)
        inner = getattr(query, "inner_query", None)
        if inner is not None:
            self.query(inner)
        for alias, join in query.alias_map.items():
            table = conf.table_name(join.table_name)
            self.tables.add(table)
            if query.alias_refcount.get(alias):
                self.joined.add(table)
            filtered = getattr(join, "filtered_relation", None)
            if filtered is not None:
                self.expression(getattr(filtered, "resolved_condition", None))
        self.expression(query.where)
        for expression in query.annotations.values():
            self.expression(expression)
        for part in (query.select, query.group_by):
            if isinstance(part, (tuple, list)):
                for expression in part:
                    self.expression(expression)
        options = query.get_meta() if query.model is not None else None
        for names in (query.order_by or _default_ordering(query, options), query.distinct_fields):
            self.names(query, names, options)
        for combined in query.combined_queries:
            self.query(combined)

    @staticmethod
    def _refuse_options(query: Any) -> None:
        plain = all(_is_prefetched_column(*item) for item in query.extra.items())
        if not plain or query.extra_tables or query.extra_order_by:
            raise Uncacheable("it uses extra()")
        if query.select_for_update:
            raise Uncacheable("it is a select_for_update()")
        if query.explain_info:
            raise Uncacheable("it is an explain()")
        if "?" in query.order_by or "-?" in query.order_by:
            raise Uncacheable("its order is random")

    def expression(self, node: Any) -> None:
        """Walks what can be compiled; plain values and names pass."""
        if node is None or isinstance(node, (str, int, float, bool, bytes)):
            return
        if isinstance(node, Query):
            self.query(node)
            return
        if isinstance(node, (list, tuple, set, frozenset)):
            for item in node:
                self.expression(item)
            return
        if not hasattr(node, "as_sql") and not hasattr(node, "resolve_expression"):
            return
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        _refuse_class(type(node))
        if self.dialect == _engine.POSTGRESQL and isinstance(node, functions.Cast):
            _refuse_moving_cast(node)
        for child in _children(node):
            self.expression(child)

    def names(self, query: Any, names: Iterable[Any], options: Any) -> None:
        """Walks an ordering, in which fields, their transforms and relations go by name."""
        for name in names:
            if not isinstance(name, str):
                self.expression(name)
                continue
            plain = name.lstrip("-+")
            if plain in query.annotations or plain in query.extra or plain.isdigit():
                continue
            if (id(options), plain) not in self._seen_names:
                self._seen_names.add((id(options), plain))
                self._name(query, plain, options)

    def _name(self, query: Any, name: str, options: Any) -> None:
        try:
            parts = name.split(LOOKUP_SEP)
            path, field, _, rest = query.names_to_path(parts, options, fail_on_missing=False)
        except (FieldError, AttributeError) as error:
            raise Uncacheable(f"its order names {name}, which is not known") from error
        for transform_name in rest:
            transform = field.get_transform(transform_name)
            kind = transform if isinstance(transform, type) else type(transform)
            if not _is_known(kind):
                raise Uncacheable(f"its order holds a {_path(kind)}, which is not known")
        by_key = name == "pk" or getattr(field, "attname", None) == parts[-1]
        if path and not rest and field.is_relation and not by_key:
            # Django then orders by what the related model is ordered by.
            related = path[-1].to_opts
            self.names(query, related.ordering, related)


def _default_ordering(query: Any, options: Any) -> Iterable[Any]:
    if not query.default_ordering or options is None:
        return ()
    return options.ordering or ()  # Django takes None for none


def _is_prefetched_column(name: str, extra: tuple[str, Any]) -> bool:
    """Whether this is the one extra() of Django's own: prefetch_related() over a many-to-many field
    selects a column of the table between."""
    sql, params = extra
    return (
        name.startswith("_prefetch_related_val_")
        and not params
        and _QUOTED_COLUMN.fullmatch(sql) is not None
    )


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, WhereNode):
        yield from node.children
        return
    if hasattr(node, "get_source_expressions"):
        yield from node.get_source_expressions()
    for name in ("lhs", "rhs", "query", "queryset"):
        # Lookups keep a right-hand side that isn't an expression; Subquery and Exists keep a Query.
        child = node.__dict__.get(name)
        if child is not None:
            yield getattr(child, "query", child) if name == "queryset" else child


def _refuse_class(kind: type) -> None:
    if issubclass(kind, _VOLATILE) or kind.__name__ in _VOLATILE_NAMES:
        raise Uncacheable(f"it holds {kind.__name__}, whose result changes by itself")
    if not _is_known(kind):
        raise Uncacheable(f"it holds a {_path(kind)}, which is not known")


def _refuse_moving_cast(node: functions.Cast) -> None:
    """PostgreSQL casts the text 'now', also one that a row holds, to the present time."""
    (source,) = node.get_source_expressions()
    target = node.output_field
    known = getattr(source, "_output_field_or_none", None)  # a list has no field
    if isinstance(known, _TIMES) and isinstance(target, _TIMES):
        return
    if isinstance(target, _TIMES) or hasattr(target, "base_field") or not _is_known(type(target)):
        raise Uncacheable(f"it casts to {type(target).__name__}, and 'now' may be cast to a time")


_TIMES: Final = (model_fields.DateField, model_fields.TimeField)


def _is_known(kind: type) -> bool:
    return (kind.__module__ + ".").startswith(_KNOWN_MODULES)


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
