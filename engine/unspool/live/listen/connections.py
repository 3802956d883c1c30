"""HTTP and WebSocket on one port, bounded in bytes, time and number, whatever the other side sends.

h11 and wsproto read the protocols; what is said in them is the business of who is asked, see `Routes`.
"""

from __future__ import annotations

import asyncio
import errno
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final, Protocol

import h11
import msgspec
import wsproto
from wsproto import events
from wsproto.utilities import RemoteProtocolError

from unspool.live.listen.gate import Asked, Gate, Refused

MOST_MESSAGE_BYTES: Final = 64 << 20
"""Bytes of one message, or of one line of a body."""
_MOST_HELD_BYTES: Final = 256 << 20
"""Bytes of messages that have not ended, of all connections together."""
_MOST_UNREAD_BYTES: Final = 1 << 20
"""Bytes that the other side has not read, beyond which nothing more is sent to it."""
_MOST_HEADER_BYTES: Final = 16 << 10
_MOST_CONNECTIONS: Final = 128
_REQUEST_S: Final = 15.0
"""Seconds in which a request must have come, and a WebSocket have said what it is."""
_BODY_S: Final = 60.0
"""Seconds without a byte of a body that has begun."""
_MESSAGE_S: Final = 120.0
"""Seconds that one message may take."""
_GOODBYE_S: Final = 5.0
"""Seconds that a connection which is being closed has to read what it was told."""
_LOOK_S: Final = 2.0
_SEALED: Final = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


class Response(msgspec.Struct, frozen=True):
    """What is answered to a request."""

    status: int
    body: bytes
    kind: str = "application/json"


def told(status: int, words: str, **facts: object) -> Response:
    """Return an answer in words, as JSON, with facts."""
    return Response(status, json.dumps({**facts, "message": words} if words else facts).encode() + b"\n")


class Body(Protocol):
    """Takes the body of a request."""

    def take(self, data: bytes) -> None:
        """Take some bytes.

        Raises:
            Refused: what comes is of no use, and the rest is not read.
        """

    def end(self) -> Response:
        """Return the answer once all has come.

        Raises:
            Refused: what came is of no use.
        """

    def gone(self) -> None:
        """Learn that no more will come."""


class Talk(Protocol):
    """One side of a WebSocket."""

    @property
    def is_settled(self) -> bool:
        """Whether the other side has said what it is."""

    def hear(self, text: bytes) -> None:
        """Take a message.

        Raises:
            Refused: it breaks the protocol; the connection is closed with these words.
        """

    def end(self) -> None:
        """Learn that the connection is gone."""


class WebSocketLink(Protocol):
    """The way to the other side of a WebSocket."""

    def send(self, text: str) -> bool:
        """Send a message; False where the other side has not read the last ones, or is gone."""


class Routes(Protocol):
    """Who is asked."""

    def ask(self, asked: Asked) -> Body:
        """Return what takes the body of a request and answers it.

        Raises:
            Refused: it is not answered.
        """

    def together(self) -> AbstractContextManager[None]:
        """Return what is entered while messages are taken that came together."""

    def talk(self, asked: Asked, link: WebSocketLink) -> Talk:
        """Return our side of a WebSocket.

        Raises:
            Refused: there is none.
        """


class Held:
    """Bytes of messages that have not ended, of all connections together."""

    def __init__(self) -> None:
        self.size = 0

    def may_grow(self, size: int) -> bool:
        """Whether so many bytes more may be held."""
        return self.size + size <= _MOST_HELD_BYTES


class Connections:
    """All connections of a server."""

    def __init__(self, gate: Gate, routes: Routes, held: Held) -> None:
        """Begin without any.

        Args:
            gate: who may ask.
            routes: who is asked.
            held: counts what is held for all of them.
        """
        self.gate = gate
        self.routes = routes
        self.held = held
        self.open: set[Connection] = set()
        self._is_empty = asyncio.Event()
        self._looking: asyncio.TimerHandle | None = None

    def new(self) -> asyncio.Protocol:
        """Return what takes a connection that was made."""
        return _Closing() if len(self.open) >= _MOST_CONNECTIONS else Connection(self)

    def forget(self, connection: Connection) -> None:
        """Learn that a connection is gone."""
        self.open.discard(connection)
        if not self.open:
            self._is_empty.set()

    def look(self) -> None:
        """Close, from now on, what takes too long."""
        now = time.monotonic()
        for connection in tuple(self.open):
            connection.close_late(now)
        self._looking = asyncio.get_running_loop().call_later(_LOOK_S, self.look)

    async def ended(self, seconds: float) -> None:
        """Wait until all of them are gone; those that are not after so long are cut."""
        if self.open:
            self._is_empty.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._is_empty.wait()
        for connection in tuple(self.open):
            connection.cut()
        await asyncio.sleep(0)

    def close(self) -> None:
        """Close all of them."""
        if self._looking is not None:
            self._looking.cancel()
        for connection in tuple(self.open):
            connection.say_goodbye()


class _Closing(asyncio.Protocol):
    """What a connection too many gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Connection(asyncio.Protocol):
    """One connection: requests, until one of them becomes a WebSocket."""

    def __init__(self, all_of_them: Connections) -> None:
        self._all = all_of_them
        self._transport: asyncio.Transport | None = None
        self._http: h11.Connection | None = h11.Connection(h11.SERVER, _MOST_HEADER_BYTES)
        self._asked: Asked | None = None
        self._body: Body | None = None
        self._socket: _Socket | None = None
        self._late_at = time.monotonic() + _REQUEST_S
        self._gone_by = float("inf")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._all.open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._all.forget(self)
        self._transport = None
        if self._socket is not None:
            self._socket.end()
        if self._body is not None:
            self._body.gone()
        self._socket = self._body = None

    def data_received(self, data: bytes) -> None:
        try:
            with self._all.routes.together():
                if self._socket is not None:
                    self._socket.receive(data)
                elif self._http is not None:
                    self._http.receive_data(data)
                    self._serve(self._http)
        except Refused as error:
            self._refuse(error)
        except h11.RemoteProtocolError as error:
            self._refuse(Refused(error.error_status_hint, "That is no HTTP that is understood here."))

    def eof_received(self) -> bool:
        return False

    def cut(self) -> None:
        """End the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    def close_late(self, now: float) -> None:
        """Close the connection if what is under way takes too long."""
        if self._transport is not None and self._transport.is_closing():
            # What it was told last waits to be read.
            self._gone_by = min(self._gone_by, now + _GOODBYE_S)
        late_at = self._late_at if self._socket is None else self._socket.late_at
        if now > min(late_at, self._gone_by):
            self.say_goodbye()
            self.cut()

    def say_goodbye(self) -> None:
        """Close the connection in the words of its protocol."""
        if self._socket is not None:
            self._socket.close(1001, "unspool ends")
        elif self._transport is not None:
            self._transport.close()

    def _serve(self, http: h11.Connection) -> None:
        while True:
            event = http.next_event()
            if isinstance(event, h11.Request):
                self._begin(http, event)
                if self._socket is not None:
                    return
            elif isinstance(event, h11.Data):
                self._late_at = time.monotonic() + _BODY_S
                if self._body is not None:
                    self._body.take(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                if self._body is not None:
                    self._answer(self._body.end())
                self._body = None
                self._late_at = time.monotonic() + _REQUEST_S
                if http.our_state is h11.MUST_CLOSE and self._transport is not None:
                    self._transport.close()
                    return
            elif event is h11.PAUSED:
                if http.our_state is not h11.DONE:
                    return
                http.start_next_cycle()
            else:
                # It needs more bytes, or the other side is done.
                return

    def _begin(self, http: h11.Connection, request: h11.Request) -> None:
        self._asked = None
        asked = self._asked = self._all.gate.admit(request)
        if asked.wants_socket:
            self._upgrade(http, request, asked)
            return
        self._late_at = time.monotonic() + _BODY_S
        self._body = self._all.routes.ask(asked)
        if http.they_are_waiting_for_100_continue:
            self._write(http.send(h11.InformationalResponse(status_code=100, headers=[])))

    def _upgrade(self, http: h11.Connection, request: h11.Request, asked: Asked) -> None:
        assert self._transport is not None
        connection = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        try:
            connection.initiate_upgrade_connection(list(request.headers), request.target.decode("ascii", "replace"))
        except RemoteProtocolError:
            raise Refused(400, "That is no handshake of a WebSocket.") from None
        socket = _Socket(self._all, self._transport, connection)
        socket.talk = self._all.routes.talk(asked, socket)
        self._socket, self._http = socket, None
        socket.receive(b"")
        socket.receive(http.trailing_data[0])

    def _refuse(self, error: Refused) -> None:
        if self._socket is not None:
            self._socket.close(1008, error.words)
            return
        if self._body is not None:
            self._body.gone()
        self._body = None
        if self._http is not None and self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._answer(told(error.status, error.words, **error.facts), closes=True)
        if self._transport is not None:
            self._transport.close()

    def _answer(self, answer: Response, *, closes: bool = False) -> None:
        http = self._http
        assert http is not None
        origin = self._asked.origin if self._asked is not None else None
        headers = [*_SEALED, ("Content-Type", answer.kind), ("Content-Length", str(len(answer.body)))]
        if origin is not None:
            headers += [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
            headers += [("Access-Control-Allow-Headers", "authorization, content-type")]
        if closes:
            headers.append(("Connection", "close"))
        self._write(http.send(h11.Response(status_code=answer.status, headers=headers)))
        if self._asked is None or self._asked.method != "HEAD":
            self._write(http.send(h11.Data(data=answer.body)))
        self._write(http.send(h11.EndOfMessage()))

    def _write(self, data: bytes | None) -> None:
        if data and self._transport is not None:
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
                self._transport.abort()


class _Socket:
    """One WebSocket."""

    def __init__(
        self, all_of_them: Connections, transport: asyncio.Transport, connection: wsproto.WSConnection
    ) -> None:
        self.talk: Talk | None = None
        self._all = all_of_them
        self._transport = transport
        self._connection = connection
        self._pieces: list[bytes] = []
        self._size = 0
        self._began: float | None = None
        self._settle_by = time.monotonic() + _REQUEST_S

    @property
    def late_at(self) -> float:
        """When what is under way takes too long."""
        if self.talk is not None and not self.talk.is_settled:
            return self._settle_by
        return float("inf") if self._began is None else self._began + _MESSAGE_S

    def receive(self, data: bytes) -> None:
        """Take bytes.

        Raises:
            Refused: they break a protocol.
        """
        if data:
            try:
                self._connection.receive_data(data)
            except RemoteProtocolError:
                self._transport.abort()
                return
        for event in self._connection.events():
            self._take(event)
            if self._transport.is_closing():
                return

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.Request):
            self._transport.write(self._connection.send(events.AcceptConnection()))
        elif isinstance(event, events.TextMessage):
            self._piece(event.data.encode(), is_last=event.message_finished)
        elif isinstance(event, events.Ping):
            self._write(self._connection.send(event.response()))
        elif isinstance(event, events.BytesMessage):
            self.close(1003, "messages are text here")
        elif isinstance(event, events.CloseConnection):
            if self._connection.state is wsproto.connection.ConnectionState.REMOTE_CLOSING:
                self._write(self._connection.send(event.response()))
            elif self._connection.state is wsproto.connection.ConnectionState.OPEN:
                # What came breaks the protocol.
                self._write(self._connection.send(event))
            self._transport.close()

    def _piece(self, data: bytes, *, is_last: bool) -> None:
        if self._size + len(data) > MOST_MESSAGE_BYTES:
            self.close(1009, f"a message may have {MOST_MESSAGE_BYTES:,} bytes")
            return
        if is_last and not self._pieces:
            self._hear(data)
            return
        if not self._all.held.may_grow(len(data)):
            self.close(1013, "too much is being sent at once; try again")
            return
        self._pieces.append(data)
        self._size += len(data)
        self._all.held.size += len(data)
        self._began = time.monotonic() if self._began is None else self._began
        if is_last:
            whole = b"".join(self._pieces)
            self._forget()
            self._hear(whole)

    def _hear(self, text: bytes) -> None:
        if self.talk is not None:
            self.talk.hear(text)

    def _forget(self) -> None:
        self._all.held.size -= self._size
        self._pieces, self._size, self._began = [], 0, None

    def send(self, text: str) -> bool:
        """See `WebSocketLink`."""
        is_read = self._transport.get_write_buffer_size() <= _MOST_UNREAD_BYTES
        if self._transport.is_closing() or not is_read:
            return False
        self._transport.write(self._connection.send(events.TextMessage(data=text)))
        return True

    def close(self, code: int, reason: str) -> None:
        """Close it, with words that the other side may show."""
        if not self._transport.is_closing():
            if self._connection.state is wsproto.connection.ConnectionState.OPEN:
                # A reason takes 123 bytes at most.
                short = reason.encode()[:120].decode("utf-8", "ignore")
                self._transport.write(self._connection.send(events.CloseConnection(code=code, reason=short)))
            self._transport.close()

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
            # It asks, and does not read what it is answered.
            self._transport.abort()

    def end(self) -> None:
        """Learn that the connection is gone."""
        self._forget()
        talk, self.talk = self.talk, None
        if talk is not None:
            talk.end()


async def listening(connections: Connections, port: int) -> tuple[list[asyncio.Server], int]:
    """Open a port on the loopback, by both of its addresses where the machine has both.

    Args:
        connections: what takes the connections.
        port: the port; 0 for any that is free.

    Returns:
        The servers and the port.

    Raises:
        OSError: it cannot be opened.
    """
    loop = asyncio.get_running_loop()
    new: Callable[[], asyncio.Protocol] = connections.new
    first = await loop.create_server(new, "127.0.0.1", port, backlog=64)
    number: int = first.sockets[0].getsockname()[1]
    servers = [first]
    try:
        servers.append(await loop.create_server(new, "::1", number, backlog=64))
    except OSError as error:
        # Whoever has the port there would get what is sent to `localhost`.
        if error.errno == errno.EADDRINUSE:
            first.close()
            raise
    return servers, number
