"""One run: starts the database and the processes, lets the nemeses loose, and judges the
history."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tests.consistency import history, judge, worker
from tests.consistency.faults import FAILPOINT
from tests.consistency.plan import ENVIRONMENT, Plan
from tests.consistency.zygote import Child, Zygote
from tests.py import servers

ROOT = Path(__file__).parents[2]
FAILED_RUNS = ROOT / ".build" / "prove"
ENGINE_POINTS = (
    "before-mark after-list mid-mark after-mark between-clock-and-stamp mid-settle in-mutex "
    "mid-rebuild in-create in-shard in-fill"
).split()
DRIVER_POINTS = ("sent", "executed", "before-commit", "committed")
LEAST_HIT_SHARE = 0.3
REDIS_OPTIONS = ["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"]
HUNG_SECONDS = 60.0
LONGEST_TURN_WAIT = 3.0
"""Seconds: each nemesis comes at least once in its turn, however rare it is otherwise."""


class RunError(Exception):
    """The run itself could not be made: nothing is said about the package."""


@dataclasses.dataclass
class Result:
    plan: Plan
    verdict: judge.Verdict
    kills: int
    killed_at: dict[str, int]
    seconds: float
    kept: Path | None = None
    """Where the history of a failed run is."""

    @property
    def failed(self) -> bool:
        return bool(self.verdict.violations)


class Process:
    """One working process's place; another takes it when it has been killed."""

    def __init__(self, run: Run, number: int) -> None:
        self.run = run
        self.number = number
        self.life = 0
        self.done = False
        self.child: Child
        self.point = ""
        self.start()

    @property
    def name(self) -> str:
        return f"w{self.number}.{self.life}"

    def start(self) -> None:
        self.life += 1
        environment = {worker.PIPES: self.run.pipes_of(self.number)}
        if self.number % 3 == 2:
            environment[worker.WITHOUT_L1] = "1"
        self.point = ""
        if "failpoint" in self.run.loose() and self.run.random.random() < 0.7:
            self._choose_point(environment)
        self.child = self.run.fork(self.name, environment)

    def _choose_point(self, environment: dict[str, str]) -> None:
        chance = self.run.random
        self.point = chance.choice([*ENGINE_POINTS, *DRIVER_POINTS])
        count = chance.randint(1, chance.choice((5, 40, 200)))
        if self.point in DRIVER_POINTS:
            environment[FAILPOINT] = f"{self.point}={count}"
        else:
            environment["QC_FAILPOINT"] = f"{self.point}={count}:kill"

    def attend(self) -> None:
        """Starts it again when it was killed."""
        status = self.child.poll()
        if status is None:
            return
        self.run.ended(self, status)
        if self.run.over():
            self.done = True
        else:
            self.start()

    def says(self) -> str | None:
        """The next line it has said, if any; empty when it has ended."""
        if not select.select([self.child.stdout], [], [], 0)[0]:
            return None
        return self.child.stdout.readline().decode().strip()

    def has_begun(self) -> bool:
        return self.run.plan.path("history", f"{self.name}.jsonl").exists()


class Run:
    def __init__(self, plan: Plan, keep: bool | None) -> None:
        folder = servers.memory_folder("qc-prove-")
        self.server: servers.PostgreSQL | servers.MariaDB | None = None
        if plan.database == "postgresql":
            self.server = servers.PostgreSQL()
        elif plan.is_mysql:
            self.server = servers.MariaDB(options=["--innodb-lock-wait-timeout=3"])
        self.redis = servers.Redis(REDIS_OPTIONS) if plan.store == "redis" else None
        self.plan = dataclasses.replace(
            plan,
            folder=str(folder),
            port=self.server.port if self.server else 0,
            redis=self.redis.url if self.redis else "",
        )
        self.random = random.Random(f"nemeses {plan.seed}")
        self.deadline = 0
        self.pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(plan.processes)]
        self.processes: list[Process] = []
        self.zygote: Zygote | None = None
        self.keep = keep
        self.kills = 0
        self.killed_at: dict[str, int] = {}
        folder.chmod(0o755)
        for name in ("segments", "history", "locks", "logs"):
            self.plan.path(name).mkdir()
        self.log = history.Log(self.plan.path("history", "supervisor.jsonl"))

    # --- processes --------------------------------------------------------------------------------

    def pipes_of(self, number: int) -> str:
        own, _ = self.pipes[number % len(self.pipes)]
        others = [
            write for n, (_, write) in enumerate(self.pipes) if n != number or len(self.pipes) == 1
        ]
        return ",".join(str(one) for one in (own, *others))

    def fork(self, name: str, environment: dict[str, str]) -> Child:
        assert self.zygote is not None
        with self._log_of(name) as log:
            return self.zygote.start(name, environment, log.fileno())

    def spawn(
        self, what: str, *arguments: str, pass_fds: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        with self._log_of(what) as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.consistency.worker", what, *arguments],
                stdin=subprocess.DEVNULL,
                stderr=log,
                cwd=self.plan.folder,
                env=self._environment(),
                pass_fds=pass_fds,
            )

    def _spawn_zygote(self, descriptor: int) -> subprocess.Popen[bytes]:
        inherited = tuple(end for pipe in self.pipes for end in pipe)
        return self.spawn("zygote", str(descriptor), pass_fds=(descriptor, *inherited))

    def _log_of(self, name: str) -> IO[bytes]:
        return open(self.plan.path("logs", f"{name}.log"), "ab")

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QC_")}
        site = os.environ.get("QCACHE_FAILPOINT_SITE") or str(ROOT / ".build" / "failpoint-site")
        if self.plan.has("failpoint") and not Path(site).is_dir():
            raise RunError(f"no engine with failpoints in {site}: run `make setup-test` first")
        parts = [site, str(ROOT), os.environ.get("PYTHONPATH", "")]
        path = os.pathsep.join(part for part in parts if part)
        return {**kept, "PYTHONPATH": path, ENVIRONMENT: str(self.plan.path("plan.json"))}

    def ended(self, process: Process, status: int) -> None:
        """A process that nobody asked to end: killed, or a defect."""
        process.child.close()
        if status == -signal.SIGKILL:
            self.kills += 1
            at = process.point or "random"
            self.killed_at[at] = self.killed_at.get(at, 0) + 1
        elif status != 0 or not process.done:
            text = self.plan.path("logs", f"{process.name}.log").read_text(errors="replace")
            self.log.violation("crashed", f"{process.name} ended with {status}: {text[-1500:]}")

    # --- the course of a run ----------------------------------------------------------------------

    def __call__(self) -> Result:
        began = time.monotonic()
        try:
            self._prepare()
            self._let_loose()
            self._come_to_rest()
            self._once("verify")
            return self._result(time.monotonic() - began)
        finally:
            self._clean_up()

    def _prepare(self) -> None:
        self.plan.save()
        if self.server:
            self.server.start()
            self.server.execute("CREATE DATABASE registers")
        if self.redis:
            self.redis.start()
        self._once("prepare")
        self.zygote = Zygote(self._spawn_zygote)

    def _once(self, what: str) -> None:
        process = self.spawn(what)
        if process.wait(HUNG_SECONDS):
            raise RunError(
                self.plan.path("logs", f"{what}.log").read_text(errors="replace")[-3000:]
            )

    def _let_loose(self) -> None:
        for number in range(self.plan.processes):
            self.processes.append(Process(self, number))
        for process in self.processes:
            self._wait_for(lambda p=process: p.says() is not None, f"{process.name} did not start")
        self.deadline = history.now() + int(self.plan.seconds * 1e9)
        written = self.plan.path("deadline.new")
        written.write_text(str(self.deadline))
        written.rename(self.plan.path(worker.DEADLINE))
        timers = {
            "kill": Timer(self._kill, 0.8),
            "terminate": Timer(self._terminate, 0.5),
            "remove-segment": Timer(self._remove_segment, 5.0),
            "store-kill": Timer(self._kill_redis, 3.0),
            "server-kill": Timer(self._kill_server, 8.0),
        }
        while not self.over():
            time.sleep(0.02)
            for process in self.processes:
                process.attend()
            loose = self.loose()
            for name, timer in timers.items():
                timer.attend(self.random, name in loose)

    def loose(self) -> tuple[str, ...]:
        """The nemeses whose turn it is."""
        return self.plan.turn(self.deadline, history.now())[1]

    def over(self) -> bool:
        return bool(self.deadline) and history.now() >= self.deadline

    def _kill(self) -> None:
        begun = [process for process in self.processes if process.has_begun()]
        if not begun:
            return
        process = self.random.choice(begun)
        process.child.signal(signal.SIGKILL)

    def _terminate(self) -> None:
        if self.plan.is_mysql:
            # A client program's session has no database.
            self._tell_server(
                "EXECUTE IMMEDIATE CONCAT('KILL ', (SELECT ID FROM information_schema.PROCESSLIST"
                " WHERE DB = 'registers' AND COMMAND <> 'Sleep' ORDER BY RAND() LIMIT 1))"
            )
            return
        self._tell_server(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE datname = 'registers' AND state <> 'idle' ORDER BY random() LIMIT 1) AS one"
        )

    def _tell_server(self, statement: str) -> None:
        assert self.server is not None
        with contextlib.suppress(subprocess.CalledProcessError):
            self.server.execute(statement)

    def _remove_segment(self) -> None:
        for path in self.plan.path("segments").glob("*.segment"):
            path.unlink(missing_ok=True)
            self.log.note(f"removed {path.name}")

    def _kill_redis(self) -> None:
        assert self.redis is not None
        self.redis.kill()
        self.redis.start()

    def _kill_server(self) -> None:
        assert self.server is not None
        self.log.note("server killed")
        self.server.kill()
        deadline = time.monotonic() + servers.START_SECONDS
        while True:
            try:
                self.server.start()
            except servers.ServerError:
                # Its children end when they see that it has gone; until then the data folder is
                # theirs.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    # --- the end ----------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        self._wait_until_done(self.processes)
        with open(self.plan.path("children"), "wb") as children:
            self._wait_for(lambda: _locks(children), "a forked process did not end")
        for log in self.plan.path("logs").iterdir():
            text = log.read_text(errors="replace")
            if "Timeout (" in text:
                self.log.violation("hung", f"{log.name}: {text[text.index('Timeout (') :][:2000]}")
        fresh = Process(self, self.plan.processes)
        self._wait_until_done([fresh])
        resting = [one for one in (*self.processes, fresh) if one.child.poll() is None]
        for process in resting:
            with contextlib.suppress(BrokenPipeError):
                process.child.stdin.write(b"rest\n")
        for process in resting:
            if not self._wait_for(
                lambda p=process: p.child.poll() is not None, f"{process.name} did not end"
            ):
                self._show_hung(process)
            else:
                self.ended(process, process.child.poll() or 0)

    def _wait_until_done(self, processes: list[Process]) -> None:
        for process in processes:
            if not self._wait_for(
                lambda p=process: _is_done(p), f"{process.name} did not come to rest"
            ):
                self._show_hung(process)

    def _wait_for(self, condition: Callable[[], bool], failure: str) -> bool:
        deadline = time.monotonic() + HUNG_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                self.log.violation("hung", failure)
                return False
            time.sleep(0.01)
        return True

    def _show_hung(self, process: Process) -> None:
        process.child.signal(signal.SIGUSR1)
        time.sleep(0.5)
        text = self.plan.path("logs", f"{process.name}.log").read_text(errors="replace")
        self.log.violation("hung", f"{process.name} was at: {text[-6000:]}")
        process.child.signal(signal.SIGKILL)

    def _result(self, seconds: float) -> Result:
        verdict = judge.judge(history.read(self.plan.path("history")))
        if self.plan.cache and verdict.hits < verdict.reads * LEAST_HIT_SHARE:
            share = 100 * verdict.hits / max(verdict.reads, 1)
            verdict.add("too-few-hits", f"{share:.1f} % of the reads: such a run proves nothing")
        if not self.plan.cache and verdict.hits:
            verdict.add(
                "hit-when-off", f"{verdict.hits} reads reached no database with ENABLED = False"
            )
        result = Result(self.plan, verdict, self.kills, self.killed_at, seconds)
        if self.keep is not None and (result.failed or self.keep):
            result.kept = self._keep()
        return result

    def _keep(self) -> Path:
        FAILED_RUNS.mkdir(parents=True, exist_ok=True)
        name = f"{self.plan.database}-{self.plan.broken or 'failed'}-"
        kept = Path(tempfile.mkdtemp(prefix=name, dir=FAILED_RUNS))
        for part in ("history", "logs", "plan.json"):
            source = self.plan.path(part)
            if source.is_dir():
                shutil.copytree(source, kept / part)
            else:
                shutil.copy(source, kept / part)
        if self.server:
            shutil.copy(self.server.folder / "log", kept / "server.log")
        return kept

    def _clean_up(self) -> None:
        for process in self.processes:
            process.child.close()
        if self.zygote:
            self.zygote.close()
        for pipe in self.pipes:
            for end in pipe:
                os.close(end)
        for server in (self.server, self.redis):
            if server:
                server.remove()
        shutil.rmtree(self.plan.folder, ignore_errors=True)


class Timer:
    """Calls a nemesis again and again, `mean` seconds apart on average, while it is its turn."""

    def __init__(self, act: Callable[[], None], mean: float) -> None:
        self.act = act
        self.mean = mean
        self.next: float | None = None

    def attend(self, chance: random.Random, its_turn: bool) -> None:
        if not its_turn:
            self.next = None
        elif self.next is None:
            self.next = time.monotonic() + chance.random() * min(self.mean, LONGEST_TURN_WAIT)
        elif time.monotonic() >= self.next:
            self.act()
            self.next = time.monotonic() + chance.uniform(0.2, 1.8) * self.mean


def _is_done(process: Process) -> bool:
    """Whether it has said so, or has ended."""
    while not process.done and (line := process.says()) is not None:
        process.done = line in ("done", "")
        if not line:
            while (status := process.child.poll()) is None:
                time.sleep(0.002)
            process.run.ended(process, status)
    return process.done


def _locks(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def run(plan: Plan, keep: bool | None = False) -> Result:
    """Keeps the history of a run with violations; with `keep` of any, with None of none."""
    return Run(plan, keep)()
