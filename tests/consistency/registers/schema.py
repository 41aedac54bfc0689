"""The tables of a run, the servers' sleeping triggers and the first rows."""

from django.core.management import call_command
from django.db import connection

from tests.consistency.registers.models import Box, Counter, Filler, Mark, Owned, Part, Stone, Twin

WIDTH = 3
"""Registers of each kind."""

_TRIGGERS = """
CREATE FUNCTION sleep_in_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.statement_delay > 0 AND NEW.statement_delay IS DISTINCT FROM OLD.statement_delay THEN
        PERFORM pg_sleep(NEW.statement_delay);
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION sleep_in_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.commit_delay > 0 AND NEW.commit_delay IS DISTINCT FROM OLD.commit_delay THEN
        PERFORM pg_sleep(NEW.commit_delay);
    END IF;
    RETURN NULL;
END $$;
"""
_TABLE_TRIGGERS = """
CREATE TRIGGER slow_statement BEFORE UPDATE ON {table}
    FOR EACH ROW EXECUTE FUNCTION sleep_in_statement();
CREATE CONSTRAINT TRIGGER slow_commit AFTER UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION sleep_in_commit();
"""
_MYSQL_TRIGGERS = """
CREATE TRIGGER slow_{table} BEFORE UPDATE ON {table} FOR EACH ROW
BEGIN
    IF NEW.statement_delay > 0 AND NEW.statement_delay <> OLD.statement_delay THEN
        DO SLEEP(NEW.statement_delay);
    END IF;
END
"""


def prepare(fillers: int) -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_TRIGGERS)
            for model in (Counter, Twin, Owned):
                cursor.execute(_TABLE_TRIGGERS.format(table=model._meta.db_table))
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            for model in (Counter, Twin, Owned):
                cursor.execute(_MYSQL_TRIGGERS.format(table=model._meta.db_table))
    for k in range(1, WIDTH + 1):
        Counter.objects.create(pk=k)
        Twin.objects.create(pk=2 * k)
        Twin.objects.create(pk=2 * k + 1)
        Owned.objects.create(pk=k)
        Part.objects.create(pk=k, owned_id=k)
        Box.objects.create(pk=k).marks.add(Mark.objects.create(version=0, token=""))
        Stone.objects.create(pile=k, number=0, token="")
    Filler.objects.bulk_create(Filler(text=f"{n}" * 60) for n in range(fillers))
