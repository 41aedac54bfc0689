"""What one run of the checker is: read from the command line, passed to its processes as a file."""

import dataclasses
import json
import os
from pathlib import Path

DATABASES = ("sqlite-wal", "sqlite-delete", "postgresql", "mariadb")
ENVIRONMENT = "PROVE_PLAN"

NEMESES = {
    "slow-statement": "a trigger sleeps inside autocommit statements",
    "slow-commit": "PostgreSQL: a deferred trigger sleeps inside COMMIT",
    "slow-store": "reads are held up between the database's answer and the store",
    "slow-write": "writes are held up between mark and statement, and between COMMIT and settle",
    "rollback": "transactions are rolled back",
    "savepoint": "savepoints are rolled back",
    "hand-off": "on_commit tells another process through a pipe, which reads at once",
    "kill": "processes are killed by SIGKILL at random moments",
    "failpoint": "processes are killed by SIGKILL at named places",
    "terminate": "sessions are ended at the server",
    "cut": "the network is cut while a write runs; the server finishes it",
    "server-kill": "the server is killed by SIGKILL and started again",
    "evict": "a tiny segment, whose entries are evicted all the time, and clashing cells",
    "remove-segment": "the segment's file is removed",
    "store-kill": "Redis is killed by SIGKILL and started again, empty",
    "interrupt": "a signal's handler raises in the middle of an operation, as soft time limits do",
    "threads": "two threads in every other process",
    "fork": "processes fork others that work on, and others that only live on",
}
STORES = ("segment", "redis", "locmem")
FAMILIES = ("counter", "twin", "owned", "part", "pile", "box")
OF_SERVERS = frozenset({"slow-statement", "slow-commit", "terminate", "cut", "server-kill"})
POSTGRESQL_ONLY = frozenset({"slow-commit"})
OF_REDIS = frozenset({"store-kill"})
LASTING = frozenset({"evict", "threads"})
"""What a run is built with, so that it takes no turns."""
TINY_SEGMENT = {"SIZE": "1M", "CELLS": 64, "SLOTS": 64, "MAX_ENTRY": "4K"}


@dataclasses.dataclass(frozen=True)
class Plan:
    database: str = "sqlite-wal"
    seconds: float = 60.0
    seed: int = 1
    processes: int = 8
    nemeses: tuple[str, ...] = ()
    cache: bool = True
    """False: ENABLED = False. Then nothing may be found, or the checker raises false alarms."""
    broken: str = ""
    """A name of `broken.PROTOCOLS`: what is taken out of the protocol. Then something must be
    found."""
    families: tuple[str, ...] = FAMILIES
    """What is read and written; fewer meet more often."""
    turns: float = 0.0
    """Seconds. The nemeses take turns: all of them, then one alone, then the next one alone, and
    again. 0: all of them, all the time."""
    store: str = "segment"
    """Where the rows are kept: the segment, or a Django cache."""
    folder: str = ""
    port: int = 0
    """The server's."""
    redis: str = ""
    """Its address."""

    @property
    def name(self) -> str:
        return self.database if self.store == "segment" else f"{self.database}, {self.store}"

    @property
    def is_sqlite(self) -> bool:
        return self.database.startswith("sqlite")

    @property
    def is_mysql(self) -> bool:
        return self.database == "mariadb"

    def has(self, nemesis: str) -> bool:
        return nemesis in self.nemeses

    def turn(self, deadline: int, now: int) -> tuple[int, tuple[str, ...]]:
        """Which turn it is of a run that ends at `deadline` (0: not known yet), and the nemeses
        it lets loose."""
        if not self.turns or not deadline:
            return 0, self.nemeses
        number = max(0, int((now - deadline + self.seconds * 1e9) / (self.turns * 1e9)))
        lasting = tuple(one for one in self.nemeses if one in LASTING)
        others = [one for one in self.nemeses if one not in LASTING]
        third, alone = divmod(number, 3)
        if alone == 0 or not others:
            return number, self.nemeses
        return number, (*lasting, others[(2 * third + alone - 1) % len(others)])

    def path(self, *parts: str) -> Path:
        return Path(self.folder, *parts)

    def save(self) -> Path:
        path = self.path("plan.json")
        path.write_text(json.dumps(dataclasses.asdict(self)))
        return path

    def command(self) -> str:
        """The command that does the same again, as far as the machine's scheduler lets it."""
        words = ["python -m tests.consistency.prove --database", self.database]
        words += ["--store", self.store] if self.store != "segment" else []
        words += ["--seconds", f"{self.seconds:g}", "--turns", f"{self.turns:g}"]
        words += ["--seed", str(self.seed)]
        words += ["--processes", str(self.processes)]
        words += ["--nemesis", ",".join(self.nemeses) or "none"]
        if self.families != FAMILIES:
            words += ["--families", ",".join(self.families)]
        words += [] if self.cache else ["--without-cache"]
        words += ["--broken", self.broken] if self.broken else []
        return " ".join(words)


def load() -> Plan:
    """The plan of the run that this process belongs to."""
    fields = json.loads(Path(os.environ[ENVIRONMENT]).read_text())
    for name in ("nemeses", "families"):
        fields[name] = tuple(fields[name])
    return Plan(**fields)


def nemeses_for(database: str, store: str = "segment") -> tuple[str, ...]:
    """All that a database can meet."""
    impossible = {"postgresql": frozenset(), "mariadb": POSTGRESQL_ONLY}.get(database, OF_SERVERS)
    if store != "redis":
        impossible |= OF_REDIS
    return tuple(name for name in NEMESES if name not in impossible)
