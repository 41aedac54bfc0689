"""Private PostgreSQL, MariaDB, PgBouncer, Redis and memcached servers for a test run.

Each is started in a folder of its own, listens on loopback only and is stopped by the process id
it was started with. It
also dies with the test run (PR_SET_PDEATHSIG), so that a killed run leaves nothing behind.
"""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zoneinfo
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

START_SECONDS = 30
PR_SET_PDEATHSIG = 1
POSTGRESQL_FOLDERS = "/usr/lib/postgresql"
libc = ctypes.CDLL(None, use_errno=True)


class ServerError(Exception):
    """A server could not be found or did not start."""


def memory_folder(prefix: str) -> Path:
    """A new folder, in memory where the machine has room for it there."""
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and shutil.disk_usage(shared).free > 1 << 30
    return Path(tempfile.mkdtemp(prefix=prefix, dir=shared if roomy else None))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_python(*arguments: str, **where: Any) -> str:
    """What a Python prints that ends well. `where`: `cwd` and `env`, as subprocess.run() takes
    them."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **where,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def find_program(name: str, package: str, folders: Sequence[str] = ()) -> str:
    """The path of a program. A missing one is an error that names the Debian package, never a
    skipped test.
    """
    path = os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise ServerError(f"{name} is needed by this test: apt-get install {package}")
    return found


def die_with_parent(by: int = signal.SIGINT) -> None:
    """SIGINT is for PostgreSQL a fast shutdown, which frees its shared memory; most others end by
    it as well.
    """
    libc.prctl(PR_SET_PDEATHSIG, by)


def unprivileged() -> dict[str, object]:
    """PostgreSQL and its pooler refuse to run as root: then as the packaged user, or nobody."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class Server:
    """One process, started and stopped as often as a test likes; its port stays the same."""

    ended_by = signal.SIGINT

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = memory_folder(f"qc-{name}-")
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it accepts connections."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def start(self) -> None:
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=partial(die_with_parent, self.ended_by),
                **self.account(),
            )
        self.wait_until(self.ready)

    def account(self) -> dict[str, object]:
        """Popen arguments: whom the process runs as."""
        return {}

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if self.process is not None and self.process.poll() is not None:
                raise ServerError(f"{self.name} ended at its start:\n{self.log()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not answer in {START_SECONDS} s:\n{self.log()}")
            time.sleep(0.02)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(with_signal)
            self.process.wait(START_SECONDS)
            self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    def __init__(self, options: Sequence[str] = ()) -> None:
        super().__init__("redis")
        self.options = list(options)
        self.program = find_program("redis-server", "redis-server")

    def command(self) -> list[str]:
        port, folder = str(self.port), str(self.folder)
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        return [self.program, "--port", port, *options, *self.options]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


class Memcached(Server):
    def __init__(self) -> None:
        super().__init__("memcached")
        self.program = find_program("memcached", "memcached")

    def command(self) -> list[str]:
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        return [self.program, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", *user]

    @property
    def location(self) -> str:
        return f"127.0.0.1:{self.port}"


class PgBouncer(Server):
    """A pooler before `server`, in one of its modes, with few sessions of its own."""

    def __init__(self, server: "PostgreSQL", mode: str, sessions: int = 2) -> None:
        super().__init__("pgbouncer")
        self.mode = mode
        self.program = find_program("pgbouncer", "pgbouncer")
        (self.folder / "users").write_text(f'"{server.user}" ""\n')
        (self.folder / "ini").write_text(
            f"""[databases]
* = host=127.0.0.1 port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = trust
auth_file = users
pool_mode = {mode}
default_pool_size = {sessions}
ignore_startup_parameters = extra_float_digits
"""
        )
        account = self.account()
        if account:
            os.chown(self.folder, account["user"], account["group"])  # type: ignore[arg-type]

    def account(self) -> dict[str, object]:
        return unprivileged()

    def command(self) -> list[str]:
        return [self.program, "-q", "ini"]


class PostgreSQL(Server):
    """A cluster of its own: fsync and synchronous_commit stay on, logins need no password.

    `prepare` may come long before `start`: settings need the address, tests the server.
    """

    user = "tester"

    def __init__(self, port: int | None = None, options: Sequence[str] = ()) -> None:
        super().__init__("postgresql")
        self.port = port or self.port
        self.options = list(options)
        versions = sorted(Path(POSTGRESQL_FOLDERS).glob("*/bin"), reverse=True)
        folders = [str(folder) for folder in versions]
        self.program = find_program("postgres", "postgresql-15", folders)
        self.initdb = find_program("initdb", "postgresql-15", folders)

    def account(self) -> dict[str, object]:
        return unprivileged()

    def start(self) -> None:
        if not (self.folder / "data").exists():
            self.initialise()
        super().start()

    def initialise(self) -> None:
        account = self.account()
        if account:
            os.chown(self.folder, account["user"], account["group"])  # type: ignore[arg-type]
        data = str(self.folder / "data")
        arguments = ["-A", "trust", "-U", self.user, "-E", "UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(
            [self.initdb, "-D", data, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            **account,  # type: ignore[call-overload]
        )
        if done.returncode:
            raise ServerError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def command(self) -> list[str]:
        settings = [
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            "fsync=on",
            "synchronous_commit=on",
            "shared_buffers=32MB",
            "max_connections=60",
            "max_prepared_transactions=4",
            "autovacuum=off",
            *self.options,
        ]
        flags = [part for setting in settings for part in ("-c", setting)]
        return [self.program, "-D", str(self.folder / "data"), "-p", str(self.port), *flags]

    def ready(self) -> bool:
        """Asks for a session: the port alone answers while the server still recovers."""
        try:
            self.execute("SELECT 1")
        except subprocess.CalledProcessError:
            return False
        return True

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Runs a statement by psql, outside Django: a session the cache does not see."""
        psql = find_program("psql", "postgresql-client-15", [str(Path(self.program).parent)])
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.user, "-d", database]
        command = [psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *address]
        environment = {**os.environ, "PGCONNECT_TIMEOUT": "5"}
        done = subprocess.run(
            [*command, "-c", statement],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            cwd="/",
        )
        return done.stdout.strip()

    def stop(self, with_signal: int = signal.SIGINT) -> None:
        super().stop(with_signal)


class MariaDB(Server):
    """A server of its own on loopback and a socket, without a password; a commit is flushed."""

    user = "tester"
    ended_by = signal.SIGTERM  # the other leaves it running

    def __init__(self, port: int | None = None, options: Sequence[str] = ()) -> None:
        super().__init__("mariadb")
        self.port = port or self.port
        self.options = list(options)
        self.program = find_program("mariadbd", "mariadb-server")
        self.installer = find_program("mariadb-install-db", "mariadb-server")
        self.client = find_program("mariadb", "mariadb-client")
        self.socket = self.folder / "socket"

    def account(self) -> dict[str, object]:
        """It refuses to run as root: then it runs as the packaged user, or nobody."""
        if os.geteuid() != 0:
            return {}
        names = {entry.pw_name for entry in pwd.getpwall()}
        entry = pwd.getpwnam("mysql" if "mysql" in names else "nobody")
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def start(self) -> None:
        new = not (self.folder / "data").exists()
        if new:
            self.initialise()
        super().start()
        if new:
            self.learn_time_zones(["UTC", "Europe/Berlin", "America/New_York"])

    def learn_time_zones(self, names: Sequence[str]) -> None:
        """CONVERT_TZ knows a zone by name only when the server was told it."""
        teller = find_program("mariadb-tzinfo-to-sql", "mariadb-server")
        for name in names:
            path = next(p for folder in zoneinfo.TZPATH if (p := Path(folder, name)).is_file())
            told = subprocess.run([teller, path, name], capture_output=True, text=True, check=True)
            self.execute(told.stdout, "mysql")

    def initialise(self) -> None:
        account = self.account()
        if account:
            os.chown(self.folder, account["user"], account["group"])  # type: ignore[arg-type]
        users = self.folder / "users.sql"
        users.write_text(
            "FLUSH PRIVILEGES;\n"  # until then no statement about users is accepted
            f"CREATE USER '{self.user}'@'%';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{self.user}'@'%' WITH GRANT OPTION;\n"
            "DELETE FROM mysql.global_priv WHERE User = '';\n"
        )
        users.chmod(0o644)
        done = subprocess.run(
            [
                self.installer,
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                f"--datadir={self.folder / 'data'}",
                f"--extra-file={users}",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-log-file-size=8M",
            ],
            cwd=self.folder,
            capture_output=True,
            text=True,
            **account,  # type: ignore[call-overload]
        )
        if done.returncode:
            raise ServerError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")

    def command(self) -> list[str]:
        return [
            self.program,
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-log-file-size=8M",
            "--innodb-buffer-pool-size=32M",
            "--innodb-lock-wait-timeout=20",
            "--max-connections=80",
            *self.options,
        ]

    def ready(self) -> bool:
        try:
            self.execute("SELECT 1")
        except subprocess.CalledProcessError:
            return False
        return True

    def execute(self, statement: str, database: str = "", user: str = "") -> str:
        """Runs statements by the client program, outside Django: a session the cache does not
        see.
        """
        address = [f"--socket={self.socket}", f"--user={user or self.user}"]
        done = subprocess.run(
            [self.client, "--no-defaults", *address, "-B", "-N", "-e", statement, database],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
        )
        return done.stdout.strip()
