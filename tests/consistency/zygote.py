"""A process that has loaded Django and forks working processes: a killed one is replaced in
milliseconds.

Requests go through a socket: {"start": name, "environment": {...}} with the descriptors that become
the child's input, output and error, or {"kill": pid, "signal": number}. It answers each start with
{"pid": pid} and tells each end by {"ended": pid, "status": status}. It alone signals its children:
what it hasn't reaped yet can't be another process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable
from typing import IO, Any

LONGEST_MESSAGE = 65536
LOOK_SECONDS = 0.005


class Child:
    """A working process as the supervisor sees it, with the attributes of subprocess.Popen that it
    uses."""

    def __init__(self, zygote: Zygote, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self._zygote = zygote
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.status: int | None = None
        """As subprocess has it: negative for a signal."""

    def poll(self) -> int | None:
        self._zygote.listen(0)
        return self.status

    def signal(self, number: int) -> None:
        self._zygote.send({"kill": self.pid, "signal": number})

    def close(self) -> None:
        for stream in (self.stdin, self.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()


class Zygote:
    """The supervisor's side."""

    def __init__(self, start: Callable[[int], subprocess.Popen[bytes]]) -> None:
        """`start` is given the descriptor of the socket that the zygote is to serve."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._children: dict[int, Child] = {}
        self.process = start(theirs.fileno())
        theirs.close()

    def send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        socket.send_fds(self._socket, [json.dumps(message).encode()], descriptors)

    def start(self, name: str, environment: dict[str, str], error: int) -> Child:
        input_, stdin = os.pipe()
        stdout, output = os.pipe()
        self.send({"start": name, "environment": environment}, (input_, output, error))
        os.close(input_)
        os.close(output)
        pid = 0
        while not pid:
            pid = self.listen(None)
        child = Child(self, pid, os.fdopen(stdin, "wb", 0), os.fdopen(stdout, "rb", 0))
        self._children[pid] = child
        return child

    def listen(self, timeout: float | None) -> int:
        """Takes what the zygote tells; the pid it answers a start with, or 0."""
        while select.select([self._socket], [], [], timeout)[0]:
            told = self._socket.recv(LONGEST_MESSAGE)
            if not told:
                raise RuntimeError(f"the zygote has ended with {self.process.wait()}")
            message = json.loads(told)
            if "pid" in message:
                return int(message["pid"])
            self._children.pop(message["ended"]).status = message["status"]
        return 0

    def close(self) -> None:
        """Its children end with it (PR_SET_PDEATHSIG)."""
        self._socket.close()
        self.process.wait()


def serve(descriptor: int, work: Callable[[str], None]) -> None:
    """The zygote's side: until the socket closes. `work` runs in the children."""
    server = socket.socket(fileno=descriptor)
    alive: set[int] = set()
    while True:
        _tell_ends(server, alive)
        if not select.select([server], [], [], LOOK_SECONDS)[0]:
            continue
        told, descriptors, _, _ = socket.recv_fds(server, LONGEST_MESSAGE, 3)
        if not told:
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
            return
        message = json.loads(told)
        if "kill" in message:
            if message["kill"] in alive:
                os.kill(message["kill"], message["signal"])
            continue
        pid = os.fork()
        if pid == 0:
            server.close()
            _become(message, descriptors, work)
        for one in descriptors:
            os.close(one)
        alive.add(pid)
        server.send(json.dumps({"pid": pid}).encode())


def _tell_ends(server: socket.socket, alive: set[int]) -> None:
    while alive:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        alive.discard(pid)
        end = {"ended": pid, "status": os.waitstatus_to_exitcode(status)}
        server.send(json.dumps(end).encode())


def _become(message: dict[str, Any], descriptors: list[int], work: Callable[[str], None]) -> None:
    """The child's life. Never returns."""
    status = 1
    try:
        for number, one in enumerate(descriptors):
            os.dup2(one, number)
            os.close(one)
        os.environ.update(message["environment"])
        work(message["start"])
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)
