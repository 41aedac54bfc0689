"""Every kind of write. Each raises one register by one version and leaves its token there.

Counters and twins count in the database; for the others `version` is what the writer, who holds the
register's lock, found plus one. A kind returns the version it made if the statement tells, else
None.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connections, models, transaction
from django.db.models import F

from tests.consistency.registers.models import Box, Counter, Mark, Owned, Part, Stone, Twin


@dataclasses.dataclass(frozen=True)
class Order:
    """What to write."""

    db: str
    k: int
    token: str
    version: int
    """The next version; 0 where the database counts."""
    statement_delay: float = 0.0
    commit_delay: float = 0.0

    @property
    def delays(self) -> dict[str, float]:
        """Only when there are any, so that the columns are not always written."""
        if not self.statement_delay and not self.commit_delay:
            return {}
        return {"statement_delay": self.statement_delay, "commit_delay": self.commit_delay}

    @property
    def next(self) -> dict[str, Any]:
        return {"version": F("version") + 1, "token": self.token, **self.delays}

    @property
    def exact(self) -> dict[str, Any]:
        return {"version": self.version, "token": self.token}


Write = Callable[[Order], int | None]
BY_FAMILY: dict[str, list[Write]] = {}
COUNTED = ("counter", "twin")
"""Families that the database counts; the others need the lock."""


def kind(family: str) -> Callable[[Write], Write]:
    def register(write: Write) -> Write:
        BY_FAMILY.setdefault(family, []).append(write)
        return write

    return register


def _table(model: type[models.Model]) -> str:
    return model._meta.db_table


def _run(order: Order, sql: str, params: list[Any]) -> None:
    with connections[order.db].cursor() as cursor:
        cursor.execute(sql, params)


# --- counters -------------------------------------------------------------------------------------


@kind("counter")
def update(order: Order) -> None:
    Counter.objects.using(order.db).filter(pk=order.k).update(**order.next)


@kind("counter")
def update_by_subquery(order: Order) -> None:
    inner = Counter.objects.filter(pk=order.k).values("pk")
    Counter.objects.using(order.db).filter(pk__in=inner).update(**order.next)


@kind("counter")
def save_expression(order: Order) -> None:
    Counter(pk=order.k, **order.next).save(using=order.db, update_fields=list(order.next))


@kind("counter")
def bulk_update_expression(order: Order) -> None:
    rows = [Counter(pk=order.k, **order.next)]
    Counter.objects.using(order.db).bulk_update(rows, list(order.next))


@kind("counter")
def async_update(order: Order) -> None:
    async_to_sync(Counter.objects.using(order.db).filter(pk=order.k).aupdate)(**order.next)


_RAISE = f"UPDATE {_table(Counter)} SET version = version + 1, token = %s WHERE id = %s"


@kind("counter")
def raw_update(order: Order) -> None:
    _run(order, _RAISE, [order.token, order.k])


@kind("counter")
def raw_update_of_many(order: Order) -> None:
    with connections[order.db].cursor() as cursor:
        cursor.executemany(_RAISE, [(order.token, order.k)])


@kind("counter")
def raw_update_returning(order: Order) -> int:
    with connections[order.db].cursor() as cursor:
        if connections[order.db].vendor == "mysql":  # which has no such UPDATE
            sql = _RAISE.replace("version + 1", "(@made := version + 1)") + "; SELECT @made"
            cursor.execute(sql, [order.token, order.k])
            cursor.nextset()
            return int(cursor.fetchone()[0])
        cursor.execute(f"{_RAISE} RETURNING version", [order.token, order.k])
        return int(cursor.fetchone()[0])


@kind("counter")
def raw_returning_left_unread(order: Order) -> None:
    cursor = connections[order.db].cursor()
    if connections[order.db].vendor == "mysql":  # another answer is left unread there
        cursor.execute(f"{_RAISE}; SELECT 1", [order.token, order.k])
    else:
        cursor.execute(f"{_RAISE} RETURNING version", [order.token, order.k])
    cursor.close()


@kind("counter")
def raw_with(order: Order) -> int | None:
    """PostgreSQL: the write is inside a SELECT."""
    params = [order.token, order.k]
    if connections[order.db].vendor == "mysql":
        sql = f"UPDATE {_table(Counter)} c, (WITH it AS (SELECT %s AS id) SELECT id FROM it) w"
        sql += " SET c.version = c.version + 1, c.token = %s WHERE c.id = w.id"
        _run(order, sql, params[::-1])
        return None
    if connections[order.db].vendor != "postgresql":
        sql = f"WITH it(id) AS (SELECT %s) UPDATE {_table(Counter)} SET version = version + 1"
        _run(order, f"{sql}, token = %s WHERE id IN (SELECT id FROM it)", params[::-1])
        return None
    with connections[order.db].cursor() as cursor:
        cursor.execute(f"WITH it AS ({_RAISE} RETURNING version) SELECT version FROM it", params)
        return int(cursor.fetchone()[0])


# --- twins ----------------------------------------------------------------------------------------


@kind("twin")
def update_both(order: Order) -> None:
    both = Twin.objects.using(order.db).filter(pk__in=[2 * order.k, 2 * order.k + 1])
    both.update(**order.next)


@kind("twin")
def update_one_by_one(order: Order) -> None:
    with transaction.atomic(using=order.db):
        for pk in (2 * order.k, 2 * order.k + 1):
            Twin.objects.using(order.db).filter(pk=pk).update(**order.next)


@kind("twin")
def bulk_update_both(order: Order) -> None:
    rows = [Twin(pk=pk, **order.next) for pk in (2 * order.k, 2 * order.k + 1)]
    Twin.objects.using(order.db).bulk_update(rows, list(order.next))


# --- owned rows -----------------------------------------------------------------------------------


@kind("owned")
def save(order: Order) -> int:
    Owned(pk=order.k, **order.exact, **order.delays).save(using=order.db)
    return order.version


@kind("owned")
def save_some_fields(order: Order) -> int:
    Owned(pk=order.k, **order.exact).save(using=order.db, update_fields=["version", "token"])
    return order.version


@kind("owned")
def update_owned(order: Order) -> int:
    Owned.objects.using(order.db).filter(pk=order.k).update(**order.exact, **order.delays)
    return order.version


@kind("owned")
def bulk_update(order: Order) -> int:
    rows = [Owned(pk=order.k, **order.exact)]
    Owned.objects.using(order.db).bulk_update(rows, ["version", "token"])
    return order.version


@kind("owned")
def update_or_create(order: Order) -> int:
    Owned.objects.using(order.db).update_or_create(pk=order.k, defaults=order.exact)
    return order.version


@kind("owned")
def upsert(order: Order) -> int:
    Owned.objects.using(order.db).bulk_create(
        [Owned(pk=order.k, **order.exact)],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["version", "token"],
    )
    return order.version


@kind("owned")
def delete_and_create(order: Order) -> int:
    """Past Django's cascade, which would take the part along; the constraint looks at the end
    only."""
    with transaction.atomic(using=order.db):
        _run(order, f"DELETE FROM {_table(Owned)} WHERE id = %s", [order.k])
        Owned.objects.using(order.db).create(pk=order.k, **order.exact)
    return order.version


# --- parts ----------------------------------------------------------------------------------------


@kind("part")
def save_part(order: Order) -> int:
    Part(pk=order.k, owned_id=order.k, **order.exact).save(using=order.db)
    return order.version


@kind("part")
def update_by_related_manager(order: Order) -> int:
    owned = Owned(pk=order.k)
    owned._state.db = order.db
    owned.parts.update(**order.exact)
    return order.version


@kind("part")
def update_by_join(order: Order) -> int:
    Part.objects.using(order.db).filter(owned__id=order.k, owned__version__gte=0).update(
        **order.exact
    )
    return order.version


@kind("part")
def delete_and_create_part(order: Order) -> int:
    with transaction.atomic(using=order.db):
        Part.objects.using(order.db).filter(pk=order.k).delete()
        Part.objects.using(order.db).create(pk=order.k, owned_id=order.k, **order.exact)
    return order.version


@kind("part")
def raw_part(order: Order) -> int:
    sql = f"UPDATE {_table(Part)} SET version = %s, token = %s WHERE id = %s"
    _run(order, sql, [order.version, order.token, order.k])
    return order.version


# --- piles ----------------------------------------------------------------------------------------


@kind("pile")
def create(order: Order) -> int:
    Stone.objects.using(order.db).create(pile=order.k, number=order.version, token=order.token)
    return order.version


@kind("pile")
def bulk_create(order: Order) -> int:
    stone = Stone(pile=order.k, number=order.version, token=order.token)
    Stone.objects.using(order.db).bulk_create([stone])
    return order.version


@kind("pile")
def async_create(order: Order) -> int:
    new = async_to_sync(Stone.objects.using(order.db).acreate)
    new(pile=order.k, number=order.version, token=order.token)
    return order.version


_INSERT = f"INSERT INTO {_table(Stone)} (pile, number, token) VALUES (%s, %s, %s)"


@kind("pile")
def raw_insert(order: Order) -> int:
    _run(order, _INSERT, [order.k, order.version, order.token])
    return order.version


@kind("pile")
def raw_insert_of_many(order: Order) -> int:
    with connections[order.db].cursor() as cursor:
        cursor.executemany(_INSERT, [(order.k, order.version, order.token)])
    return order.version


@kind("pile")
def raw_insert_from_select(order: Order) -> int:
    columns = "(pile, number, token)"
    select = f"SELECT pile, %s, %s FROM {_table(Stone)} WHERE pile = %s AND number = 0"
    params = [order.version, order.token, order.k]
    _run(order, f"INSERT INTO {_table(Stone)} {columns} {select}", params)
    return order.version


# --- boxes ----------------------------------------------------------------------------------------


def _box(order: Order) -> Box:
    box = Box(pk=order.k)
    box._state.db = order.db
    return box


@kind("box")
def set_marks(order: Order) -> int:
    with transaction.atomic(using=order.db):
        mark = Mark.objects.using(order.db).create(**order.exact)
        _box(order).marks.set([mark])
    return order.version


@kind("box")
def clear_and_add(order: Order) -> int:
    with transaction.atomic(using=order.db):
        box = _box(order)
        box.marks.clear()
        box.marks.create(**order.exact)
    return order.version


@kind("box")
def delete_marks_and_add(order: Order) -> int:
    """Old marks go for good, and by Django's cascade their rows in the table between."""
    with transaction.atomic(using=order.db):
        Mark.objects.using(order.db).filter(boxes=order.k).delete()
        _box(order).marks.add(Mark.objects.using(order.db).create(**order.exact))
    return order.version


@kind("box")
def between_by_sql(order: Order) -> int:
    table = _table(Box.marks.through)
    with transaction.atomic(using=order.db):
        mark = Mark.objects.using(order.db).create(**order.exact)
        _run(order, f"UPDATE {table} SET mark_id = %s WHERE box_id = %s", [mark.pk, order.k])
    return order.version


@kind("box")
def update_mark(order: Order) -> int:
    Mark.objects.using(order.db).filter(boxes=order.k).update(**order.exact)
    return order.version
