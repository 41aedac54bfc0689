"""A TCP proxy before a server, that cuts a connection at a request: before the server has it, or
after, so that its answer never comes.
"""

import contextlib
import socket
import threading
from typing import Literal

CHUNK_BYTES = 65536


class Proxy:
    """Listens on a port of its own on loopback; a connection has a thread each way."""

    def __init__(self, port: int) -> None:
        self.target = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.needle = b""
        self.place: Literal["before", "after"] = "after"
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, request: bytes, place: Literal["before", "after"]) -> None:
        """Cuts the next connection that sends `request`: before it is passed on, or when it has
        been and an answer comes, which isn't passed on."""
        self.needle, self.place = request, place

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
                ends = client, server, threading.Event()
                for function in (self._requests, self._answers):
                    threading.Thread(target=function, args=ends, daemon=True).start()

    def _requests(
        self, client: socket.socket, server: socket.socket, muted: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK_BYTES):
                if self.needle and self.needle in data:
                    self.needle = b""
                    self.cuts += 1
                    if self.place == "after":
                        muted.set()  # before the server can answer
                        server.sendall(data)
                        # The server keeps its end until it notices: as with a lost network.
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    break
                server.sendall(data)
        self._end(client, server)

    def _answers(
        self, client: socket.socket, server: socket.socket, muted: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(CHUNK_BYTES):
                if muted.is_set():
                    break
                client.sendall(data)
        self._end(client, server)

    @staticmethod
    def _end(*ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
