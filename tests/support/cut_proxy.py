"""A proxy on loopback that passes bytes on to a server's socket, and cuts or holds connections as it is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class CutProxy:
    """Passes connections on until it has seen some bytes from the client.

    Attributes:
        port: where it listens on 127.0.0.1.
        allowance: bytes from clients that are still passed on; then every connection is cut. None: without end.
        held: nothing is passed on, and nobody is told.
        cuts: connections that were cut.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.allowance: int | None = None
        self.held = threading.Event()
        self.cuts = 0
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._place))
            except OSError:
                client.close()
                continue
            self._open += (client, server)
            for source, sink, is_client in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(source, sink, is_client), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_client: bool) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                if self.held.is_set():
                    continue
                with self._lock:
                    if is_client and self.allowance is not None:
                        data, rest = data[: self.allowance], data[self.allowance :]
                        self.allowance -= len(data)
                        if rest:
                            self.cuts += 1
                            sink.sendall(data)
                            break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no more, and cut all connections."""
        for end in (self._listener, *self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def cut_proxy(place: Path) -> Iterator[CutProxy]:
    """Run a proxy in front of a socket."""
    proxy = CutProxy(place)
    try:
        yield proxy
    finally:
        proxy.close()
