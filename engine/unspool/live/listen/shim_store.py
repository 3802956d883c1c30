"""A store that tells of itself through the stand-in for the browser extension, which is `shim.js`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Final

from unspool.control import Request
from unspool.errors import ConfigError, UnspoolError
from unspool.live.listen.app_store import (
    AppReply,
    AppStore,
    Can,
    Unusable,
    differing,
    sendable,
    value_of,
    value_of_bytes,
)
from unspool.live.listen.connections import WebSocketLink
from unspool.live.listen.gate import Refused
from unspool.live.listen.histories import Histories
from unspool.model.entries import Entry
from unspool.model.json_text import to_json
from unspool.model.tags import Unrepresentable
from unspool.model.values import Value
from unspool.sources.entries import UnusableRecord
from unspool.sources.exports.text_forms import to_jsan
from unspool.sources.formats.redux import ActionRecords
from unspool.sources.opening import open_history

PATH: Final = "/shim"
_INIT: Final = "@@INIT"
_MOST_STORES: Final = 32
_MOST_ID: Final = 128
_MOST_REPLAYED: Final = 10_000
"""Actions that are worked out anew when one of them is skipped."""


class ShimStore(AppStore):
    """Records such a store, and puts its app back.

    One that only tells of its states (`connect`) takes a state, and does not say what came of it. One with a reducer
    (an enhancer) says so, and its states can be worked out anew.
    """

    def __init__(
        self,
        name: str,
        histories: Histories,
        send: Callable[[Mapping[str, Value]], bool],
        *,
        has_reducer: bool,
        is_sanitized: bool = False,
    ) -> None:
        """See `AppStore`.

        Args:
            name, histories, send: see there.
            has_reducer: its states can be worked out from actions.
            is_sanitized: the app tells of its states only what it wants to be seen, so it cannot be put back to them.
        """
        travels: tuple[Can, ...] = ("jump", "look", "skip") if has_reducer else ("jump", "look")
        takes_actions: tuple[Can, ...] = ("dispatch",) if has_reducer else ()
        self.can = (*(() if is_sanitized else travels), "pause", "resume", *takes_actions)
        self._has_reducer = has_reducer
        self._requests = count(1)
        self._came_from: int | None = None
        super().__init__(name, histories, send)

    def hear(self, message: Mapping[str, Value]) -> None:
        """Take a message of the app."""
        for fact, told in (("missed", "not sent"), ("passed", "paused")):
            number = message.get(fact)
            if type(number) is int and 0 < number < 1 << 53:
                self.history.miss(told, number)
        try:
            match message.get("type"):
                case "INIT":
                    self._take({**message, "action": {"type": _INIT}})
                case "ACTION":
                    self._take(message)
                case "STATE":
                    self._take_lifted(message.get("lifted"))
                case "ERROR":
                    self.history.note(str(message.get("words", "")), "error")
                case "DONE":
                    self._done(message)
        except (Unusable, UnusableRecord) as error:
            self.complain(error)
        except UnspoolError as error:
            self._histories.tell_seldom(str(error))

    def _take(self, message: Mapping[str, Value]) -> None:
        state = _state_of(message)
        lifted: dict[str, Value] = {"type": "PERFORM_ACTION", "action": message.get("action")}
        lifted.update((key, message[key]) for key in ("timestamp", "stack") if message.get(key) is not None)
        for entry in ActionRecords({}).read(lifted, 0):
            meta = dict(entry.meta)
            at_ns = None if meta.pop("time_from", None) else entry.timestamp_ns
            if message.get("skipped") is True:
                meta["skipped"] = True
            if isinstance(message.get("error"), str):
                meta["error"] = message["error"]
            seq = self.keep(state, entry.action, at_ns=at_ns, meta=meta, parent=self._follows)
            self._follows = self._follows if seq is None else seq

    def _take_lifted(self, lifted: Value) -> None:
        """Record the state that a lifted state shows, as NgRx sends it."""
        computed = lifted.get("computedStates") if isinstance(lifted, dict) else None
        index = lifted.get("currentStateIndex") if isinstance(lifted, dict) else None
        if not isinstance(computed, list) or type(index) is not int or not 0 <= index < len(computed):
            raise Unusable("a lifted state without the state that it shows")
        shown = computed[index]
        state = shown.get("state") if isinstance(shown, dict) else None
        if differing(self._state, state):
            seq = self.keep(state, "state replaced", parent=self._follows)
            self._follows = self._follows if seq is None else seq

    def _done(self, message: Mapping[str, Value]) -> None:
        number = message.get("request")
        self.app_said(AppReply(request=number if type(number) is int else None, facts=message))

    def _ask(
        self, request: Request, message: Mapping[str, Value], done: Callable[[Mapping[str, Value]], None]
    ) -> None:
        number = next(self._requests)

        def is_met(said: AppReply) -> bool:
            if said.request != number:
                return False
            error = said.facts.get("error")
            if error is not None:
                request.refuse(f"{self.name}: the app raised {str(error)[:200]}")
            else:
                done(said.facts)
            return True

        self.ask_app(request, {**message, "request": number}, is_met)

    def jump(self, request: Request, seq: int) -> None:
        """See `AppStore`."""
        came_from = self._follows
        self._put(request, seq, lambda: self._stand(seq, came_from))

    def look(self, request: Request, seq: int) -> None:
        """See `AppStore`: what the app does meanwhile follows the entry."""
        came_from = self._follows if self._looks_from is None else self._looks_from
        self._put(request, seq, lambda: self._stand(seq, came_from, looks=True))

    def back(self, request: Request) -> None:
        """See `AppStore`."""
        seq = self._came_from
        if seq is None:
            raise ConfigError(f"{self.name}: the app was put nowhere that it could come back from")
        self._put(request, seq, lambda: self._stand(None, None))

    def _stand(self, seq: int | None, came_from: int | None, *, looks: bool = False) -> None:
        self._came_from = came_from
        self.stands_at(seq, looks_from=came_from if looks else None)

    def _put(self, request: Request, seq: int, stand: Callable[[], None]) -> None:
        state, _ = self.history.state_of(seq)
        text = sendable(state, seq)

        def done(facts: Mapping[str, Value]) -> None:
            there = _state_of(facts) if self._has_reducer else state
            off = differing(state, there)
            changed = differing(self._state, there)
            self._follows, self._state = seq, there
            stand()
            told = "" if self._has_reducer else "the app took the state; what came of it, it does not tell"
            if facts.get("heard") == 0:
                told = "nobody in the app listens to what the extension asks"
            request.answer(seq=seq, changed=changed, kept=off, message=told)

        payload: dict[str, Value] = {"type": "JUMP_TO_ACTION", "actionId": seq}
        self._ask(request, {"type": "DISPATCH", "payload": payload, "state": text}, done)

    def pause(self, request: Request, *, is_paused: bool) -> None:
        """See `AppStore`: the app goes on, and is not told of."""

        def done(_: Mapping[str, Value]) -> None:
            self._is_paused = is_paused
            self.tell_status()
            request.answer(seq=self._follows)

        self._ask(request, {"type": "PAUSE", "status": is_paused}, done)

    def dispatch(self, request: Request, action: Mapping[str, Value]) -> None:
        """See `AppStore`."""
        message: dict[str, Value] = {"type": "PERFORM", "action": to_jsan(dict(action))}
        self._ask(request, message, lambda _: request.answer(seq=self._follows))

    def skip(self, request: Request, seqs: Sequence[int]) -> None:
        """See `AppStore`: all actions from the first of them on are worked out anew, and recorded as a fork."""
        line = self._line_down_to(min(seqs))
        there = {entry.seq for entry in line}
        for seq in seqs:
            if seq not in there or (line[0].seq == seq and line[0].parent_seq is None):
                raise ConfigError(f"entry {seq} is no action on the line of the app's present state")
        base = line[0].parent_seq
        assert base is not None
        state, _ = self.history.state_of(base)
        actions: list[Value] = [
            {"action": _action_of(entry), "skipped": (entry.meta.get("skipped") is True) != (entry.seq in seqs)}
            for entry in line
        ]
        before, newest = self._state, self._follows
        self._follows = base

        def done(_: Mapping[str, Value]) -> None:
            request.answer(seq=self._follows, changed=differing(before, self._state))

        message: dict[str, Value] = {"type": "REPLAY", "state": sendable(state, base), "actions": actions}
        self._ask(request, message, done)
        if not request.is_open:
            self._follows = newest

    def _line_down_to(self, seq: int) -> list[Entry]:
        """Return the entries that led to the present state from one of them on, oldest first."""
        line: list[Entry] = []
        with open_history(self.history.path, follow=False) as history:
            at = self._follows
            while at is not None and at >= seq and len(line) < _MOST_REPLAYED:
                line.append(history[at])
                at = line[-1].parent_seq
        if not line or line[-1].seq != seq:
            raise ConfigError(
                f"entry {seq} is not on the line of the app's present state, or more than {_MOST_REPLAYED:,} actions ago"
            )
        return line[::-1]


def _state_of(message: Mapping[str, Value]) -> Value:
    """Return the state that a message brings.

    Raises:
        Unusable: its text is no JSON.
    """
    if isinstance(message.get("unsent"), str):
        return Unrepresentable("state", f"the app could not make JSON of it: {message['unsent'][:200]}")
    held = message.get("state")
    if isinstance(held, dict) and "value" in held:
        return held["value"]
    if isinstance(held, dict) and "text" in held:
        return value_of(held["text"])
    return Unrepresentable("state", "undefined")


def _action_of(entry: Entry) -> dict[str, Value]:
    rest = entry.meta.get("action")
    whole: dict[str, Value] = {"type": entry.action, **(rest if isinstance(rest, dict) else {})}
    plain = to_jsan(whole)
    assert isinstance(plain, dict)
    return plain


class ShimPage:
    """One page or process with the stand-in; it may have several stores."""

    def __init__(self, link: WebSocketLink, histories: Histories) -> None:
        self.is_settled = False
        self._link = link
        self._histories = histories
        self._stores: dict[str, ShimStore] = {}
        self._refused: set[str] = set()

    def hear(self, text: bytes) -> None:
        """Take a message.

        Raises:
            Refused: it is none of the stand-in.
        """
        self.is_settled = True
        try:
            message = value_of_bytes(text)
        except Unusable as error:
            raise Refused(400, f"no message of the stand-in: {error}") from None
        instance = message.get("instanceId") if isinstance(message, dict) else None
        if not isinstance(instance, str) or len(instance) > _MOST_ID:
            raise Refused(400, "no message of the stand-in")
        store = self._stores.get(instance)
        if store is None and instance not in self._refused and message.get("type") != "DONE":
            store = self._begin(instance, message)
        if store is not None:
            store.hear(message)

    def _begin(self, instance: str, message: Mapping[str, Value]) -> ShimStore | None:
        if len(self._stores) + len(self._refused) >= _MOST_STORES:
            raise Refused(400, f"a page may have {_MOST_STORES} stores here")

        def send(given: Mapping[str, Value]) -> bool:
            return self._link.send(to_json({**given, "instanceId": instance}))

        name = message.get("name")
        try:
            store = ShimStore(
                name if isinstance(name, str) else "",
                self._histories,
                send,
                has_reducer=message.get("kind") == "reducer",
                is_sanitized=message.get("sanitized") is True,
            )
        except UnspoolError as error:
            self._refused.add(instance)
            self._histories.tell(str(error))
            return None
        self._stores[instance] = store
        return store

    def end(self) -> None:
        """Learn that the page is gone."""
        for store in self._stores.values():
            store.close()
        self._stores.clear()
