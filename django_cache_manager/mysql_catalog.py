"""The catalog of a MariaDB or MySQL server, as one user is shown it (PROTOCOL 2.8, 2.9)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from . import _engine
from .catalog import Catalog, ascii_lower
from .sql_functions import cacheable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Query = Callable[[str], list[tuple[Any, ...]]]

_OURS = "NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')"

_TABLES = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, @@lower_case_table_names
FROM information_schema.TABLES WHERE TABLE_SCHEMA {_OURS}
"""

_CASCADES = f"""
SELECT REFERENCED_TABLE_NAME, TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS
WHERE CONSTRAINT_SCHEMA {_OURS}
  AND (DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
       OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))
"""

_TRIGGERS = f"""
SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS
WHERE TRIGGER_SCHEMA {_OURS}
"""

_GENERATED = f"""
SELECT TABLE_NAME, COLUMN_NAME, GENERATION_EXPRESSION FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA {_OURS} AND GENERATION_EXPRESSION <> ''
"""

_FUNCTIONS = f"""
SELECT DISTINCT ROUTINE_NAME FROM information_schema.ROUTINES
WHERE ROUTINE_TYPE = 'FUNCTION' AND ROUTINE_SCHEMA {_OURS}
"""

_GRANTEE = """
CONCAT("'", LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER())
                                 - CHAR_LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1),
       "'@'", SUBSTRING_INDEX(CURRENT_USER(), '@', -1), "'")
"""

# Schemas whose triggers are shown: to those who may make some.
_SHOWN_TRIGGERS = f"""
SELECT SCHEMA_NAME FROM information_schema.SCHEMATA
WHERE EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES
              WHERE PRIVILEGE_TYPE = 'TRIGGER' AND GRANTEE = {_GRANTEE})
   OR EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES
              WHERE PRIVILEGE_TYPE = 'TRIGGER' AND GRANTEE = {_GRANTEE}
                AND SCHEMA_NAME LIKE TABLE_SCHEMA)
"""

# Engines that keep what they are given in files of their own: a write to one of their tables is to
# that table alone. Others may stand for tables elsewhere.
_PLAIN_ENGINES: Final = frozenset(
    {"innodb", "myisam", "aria", "memory", "csv", "archive", "blackhole"}
)

_KINDS: Final = {
    "VIEW": "is a view",
    "SYSTEM VIEW": "is a view",
    "SYSTEM VERSIONED": "is system-versioned",
    "SEQUENCE": "is a sequence",
    "TEMPORARY": "is temporary",
    "TEMPORARY SEQUENCE": "is temporary",
}


def read_catalog(query: Query) -> Catalog:
    shown = {str(schema) for (schema,) in query(_SHOWN_TRIGGERS)}
    tables: set[str] = set()
    views: set[str] = set()
    refused: dict[str, str] = {}
    triggered: dict[str, str] = {}
    for schema, name, kind, engine, folds in query(_TABLES):
        folded = ascii_lower(name)
        reason = _refusal(name, kind, engine, bool(folds))
        if reason is None:
            tables.add(folded)
        else:
            refused[folded] = f"{name} {reason}"
        if (engine or "").lower() not in _PLAIN_ENGINES:
            triggered[folded] = f"{name} {reason}"
        elif schema not in shown:
            triggered[folded] = (
                f"{name} may have triggers, which a user without the TRIGGER privilege isn't shown"
            )
        if kind == "VIEW":
            views.add(folded)
    for table, trigger in query(_TRIGGERS):
        triggered[ascii_lower(table)] = f"{table} has the trigger {trigger}"
    refused.update(_changing_by_itself(query(_GENERATED)))
    cascades: defaultdict[str, set[str]] = defaultdict(set)
    for target, source in query(_CASCADES):
        cascades[ascii_lower(target)].add(ascii_lower(source))
    functions = frozenset(ascii_lower(name) for (name,) in query(_FUNCTIONS))
    return Catalog(
        # Two schemas may hold one name: what refuses one refuses both.
        tables=frozenset(tables - refused.keys()),
        refused=refused,
        cascades={table: frozenset(others) for table, others in cascades.items()},
        triggered=triggered,
        suspect_functions=functions,
        suspect_views=frozenset(views if functions else ()),
        partial=True,
    )


def _refusal(name: str, kind: str, engine: str | None, folds: bool) -> str | None:
    if kind != "BASE TABLE":
        return _KINDS.get(kind, f"is a {kind.lower()}")
    if (engine or "").lower() != "innodb":
        return f"is kept by {engine or 'an engine that is not there'}, not by InnoDB"  # 2.9
    if folds and not name.isascii():
        return "has a name that the server folds otherwise than we do"
    return None


def _changing_by_itself(columns: Iterable[tuple[Any, ...]]) -> dict[str, str]:
    """Tables with a generated column that is computed when it is read, by a clock or by who
    asks."""
    found: dict[str, str] = {}
    known = cacheable(_engine.MYSQL)
    for table, column, expression in columns:
        scan = _engine.scan(f"SELECT {expression}", _engine.MYSQL)
        if scan.flags != _engine.READ or not known.issuperset(scan.functions):
            found[ascii_lower(table)] = f"{table} has the generated column {column}"
    return found
