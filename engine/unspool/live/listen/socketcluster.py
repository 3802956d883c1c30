"""The Redux DevTools remote protocol: stores over SocketCluster, as `@redux-devtools/remote` and its elders speak it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from unspool.errors import UnspoolError
from unspool.live.listen.connections import WebSocketLink
from unspool.live.listen.gate import Refused
from unspool.live.listen.histories import Histories
from unspool.live.listen.redux_store import KnownActions, ReduxStore
from unspool.model.json_exact import BrokenText, parse_javascript
from unspool.model.json_text import to_json
from unspool.model.values import Value

PATH: Final = "/socketcluster/"
_PINGS: Final = (b"", b"#1", b"#2")
_PING_TIMEOUT_MS: Final = 2**31 - 1
"""The app need not hear from us: an app or its debugger may stand still for an hour, and a closed connection is told."""
_MOST_STORES: Final = 16
_MOST_REMEMBERED: Final = 32
_MOST_ID: Final = 128
_LOGS: Final = ("log", "log-noid")


class Remotes:
    """All apps that speak the protocol, also those whose connection is broken."""

    def __init__(self, histories: Histories) -> None:
        """Begin without any."""
        self.histories = histories
        self._remembered: dict[str, KnownActions] = {}

    def remember(self, instance: str, remembered: KnownActions) -> None:
        """Keep what is known of a store whose app is gone."""
        self._remembered[instance] = remembered
        if len(self._remembered) > _MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    def recall(self, instance: str) -> KnownActions | None:
        """Return what is known of a store, once."""
        return self._remembered.pop(instance, None)


class Remote:
    """One app that speaks the protocol; it may have several stores."""

    def __init__(self, link: WebSocketLink, remotes: Remotes) -> None:
        self._remotes = remotes
        self.is_settled = False
        self._link = link
        self._histories = remotes.histories
        self._id = secrets.token_hex(10)
        self._channel = f"unspool-{self._id}"
        self._stores: dict[str, ReduxStore] = {}
        self._refused: set[str] = set()

    def hear(self, text: bytes) -> None:
        """Take a message, which may be several.

        Raises:
            Refused: it is none of the protocol.
        """
        if text in _PINGS:
            return
        try:
            packets = parse_javascript(text)
        except BrokenText as error:
            raise Refused(400, f"no message of SocketCluster: {error}") from None
        for packet in packets if isinstance(packets, list) else [packets]:
            if not isinstance(packet, dict):
                raise Refused(400, "a message of SocketCluster is an object")
            self._take(packet)

    def _take(self, packet: Mapping[str, Value]) -> None:
        event, data, call = packet.get("event"), packet.get("data"), packet.get("cid")
        if event in _LOGS and isinstance(data, dict):
            self.is_settled = True
            self._log(data)
        elif event == "#handshake":
            self._reply(call, {"id": self._id, "isAuthenticated": False, "pingTimeout": _PING_TIMEOUT_MS})
        elif event == "login":
            self.is_settled = True
            self._reply(call, self._channel)
        elif event == "#subscribe" and isinstance(data, dict) and data.get("channel") == self._channel:
            self._reply(call, None)
            # From now on the app tells of its actions.
            self.publish({"type": "START"})
        elif event in ("#authenticate", "#removeAuthToken", "#unsubscribe", "#disconnect"):
            self._reply(call, None)
        elif type(call) is int:
            error: dict[str, Value] = {"name": "InvalidActionError", "message": "unspool does not know that"}
            self._send({"rid": call, "error": error})

    def _reply(self, call: Value, data: Value) -> None:
        if type(call) is int:
            self._send({"rid": call} if data is None else {"rid": call, "data": data})

    def publish(self, message: Mapping[str, Value]) -> bool:
        """Send the app a message on its channel."""
        data: dict[str, Value] = {"channel": self._channel, "data": dict(message)}
        return self._link.send(to_json({"event": "#publish", "data": data}))

    def _send(self, packet: dict[str, Value]) -> None:
        if not self._link.send(to_json(packet)):
            raise Refused(400, "what is answered is not read")

    def _log(self, message: Mapping[str, Value]) -> None:
        given = message.get("instanceId") or message.get("id") or self._id
        instance = str(given)[:_MOST_ID] if isinstance(given, str | int) else self._id
        store = self._stores.get(instance)
        if store is None and message.get("type") in ("STATE", "ACTION") and instance not in self._refused:
            store = self._begin(instance, message.get("name"))
        if store is not None:
            store.hear(message)

    def _begin(self, instance: str, name: Value) -> ReduxStore | None:
        if len(self._stores) + len(self._refused) >= _MOST_STORES:
            raise Refused(400, f"an app may have {_MOST_STORES} stores here")
        try:
            called = name if isinstance(name, str) else "redux"
            store = ReduxStore(called, self._histories, self.publish, self._remotes.recall(instance))
        except UnspoolError as error:
            self._refused.add(instance)
            self._histories.tell(str(error))
            return None
        self._stores[instance] = store
        return store

    def end(self) -> None:
        """Learn that the app is gone."""
        for instance, store in self._stores.items():
            self._remotes.remember(instance, store.remember())
            store.close()
        self._stores.clear()
