"""A store with the instrument of Redux DevTools in its app: it keeps its last actions, and can work their states out anew.

The app sends each action with the state after it, and its whole lifted state whenever anything else happened to it: a jump, a
skipped action, a reset. What was recorded already is recognised in that by action, time and state; what is new or became
another state is recorded as what follows the last entry before it that is still so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from unspool.control import Request
from unspool.errors import ConfigError, UnspoolError
from unspool.live.listen.app_store import (
    AppReply,
    AppStore,
    Can,
    IsMet,
    Unusable,
    differing,
    now_ms,
    sendable,
    value_of,
)
from unspool.live.listen.histories import Histories
from unspool.model.encoding import encode
from unspool.model.json_text import to_json
from unspool.model.tags import Unrepresentable
from unspool.model.values import MISSING, Value, strict_equal
from unspool.model.wire import encode_json
from unspool.sources.entries import SourceEntry, UnusableRecord
from unspool.sources.formats.redux import ActionRecords, LiftedState

_INIT: Final = "@@INIT"
_NOT_SENT: Final = Unrepresentable("state", "the app sends no state that is 0, '', false, null or undefined")
_MOST_STATES: Final = 10_000
"""States that are recognised when an app goes back to one."""


class _Known(msgspec.Struct):
    """A staged action that is recorded.

    Attributes:
        action: what it is called.
        timestamp: as the app tells it; None where the app sent the action bare.
        digest: of the state after it.
        told: whether it is skipped, and the error that it ended in.
        seq: its entry; None where it could not be kept.
    """

    action: str
    timestamp: Value
    digest: bytes
    told: tuple[bool, Value]
    seq: int | None

    def is_same(self, other: _Known) -> bool:
        """Whether both are one action with one outcome."""
        is_time_same = self.timestamp == other.timestamp or self.timestamp is None or other.timestamp is None
        return (self.action, self.digest, self.told) == (other.action, other.digest, other.told) and is_time_same


class KnownActions(msgspec.Struct):
    """What is known of an app's actions, also while its connection is broken.

    Attributes:
        path: the recording.
        entries: how many it had when the connection broke.
        known: the staged actions that are recorded, by id.
        staged: their ids in order.
        by_digest: entries by their states.
        follows: the entry that the next one follows.
    """

    path: Path
    entries: int = 0
    known: dict[int, _Known] = {}
    staged: list[int] = []
    by_digest: dict[bytes, int] = {}
    follows: int | None = None


class ReduxStore(AppStore):
    """Records such a store, and puts its app back."""

    can: tuple[Can, ...] = ("jump", "look", "skip", "pause", "resume", "dispatch")

    def __init__(
        self,
        name: str,
        histories: Histories,
        send: Callable[[Mapping[str, Value]], bool],
        remembered: KnownActions | None = None,
    ) -> None:
        """See `AppStore`.

        Args:
            name, histories, send: see there.
            remembered: what `remember` gave before the app's connection broke.
        """
        self._known: dict[int, _Known] = {}
        self._staged: list[int] = []
        self._by_digest: dict[bytes, int] = {}
        self._next_id = 1
        self._is_fresh = False
        self._is_filtered = False
        self._shows_past = False
        self._looks_at: int | None = None
        self._has_asked = False
        self._last_ms = 0
        self._put: tuple[int, Value] | None = None
        self._came_from: int | None = None
        self._has_left_line = False
        super().__init__(name, histories, send)
        # Another may have recorded into the file meanwhile.
        if remembered is not None and (remembered.path, remembered.entries) == (self.history.path, len(self.history)):
            self._known, self._staged = remembered.known, remembered.staged
            self._by_digest, self._follows = remembered.by_digest, remembered.follows

    def remember(self) -> KnownActions:
        """Return what is to be known when the app comes back."""
        return KnownActions(
            self.history.path, len(self.history), self._known, self._staged, self._by_digest, self._follows
        )

    def hear(self, message: Mapping[str, Value]) -> None:
        """Take a message of the app."""
        try:
            match message.get("type"):
                case "ACTION":
                    self._take_action(message)
                case "STATE":
                    self._take_lifted(value_of(message.get("payload")))
                case "ERROR":
                    self.history.note(str(message.get("payload", "")), "error")
        except (Unusable, UnusableRecord) as error:
            self.complain(error)
        except UnspoolError as error:
            self._histories.tell_seldom(str(error))

    def _take_action(self, message: Mapping[str, Value]) -> None:
        if self._is_paused:
            self.history.miss("paused")
            return
        next_id = message.get("nextActionId")
        action_id = next_id - 1 if type(next_id) is int else self._next_id
        expected, self._next_id, self._is_fresh = self._next_id, action_id + 1, False
        if self._shows_past or self._has_asked or (action_id > expected and not self._is_filtered):
            # The state that came with it is not the one after it, or actions before it are not told of: the lifted
            # state tells all of them.
            if not self._has_asked:
                self._has_asked = self.send({"type": "UPDATE"})
            return
        text = message.get("action")
        lifted = value_of(text) if isinstance(text, str) else text
        state = value_of(message["payload"]) if "payload" in message else _NOT_SENT
        # The state that it reads the action over is not asked for.
        for entry in ActionRecords({}).read(lifted, 0):
            form = encode_json(state)
            known = _known_of(lifted, entry, state, form)
            before = self._known.get(action_id)
            if before is not None and before.is_same(known):
                # A subscriber that dispatches has the app tell of its newest action twice.
                return
            self._record(known, entry, state, self._follows, form)
            self._known[action_id] = known
            self._staged.append(action_id)
        while len(self._staged) > _MOST_STATES:
            self._known.pop(self._staged.pop(0), None)
        if self.is_asked:
            self.app_said(AppReply(timestamp=lifted.get("timestamp") if isinstance(lifted, dict) else None))

    def _record(
        self, known: _Known, entry: SourceEntry, state: Value, parent: int | None, form: bytes | None
    ) -> None:
        meta = dict(entry.meta)
        # What has no time of its own came now.
        at_ns = None if meta.pop("time_from", None) else entry.timestamp_ns
        known.seq = self.keep(state, entry.action, at_ns=at_ns, meta=meta, parent=parent, form=form)
        if known.seq is None:
            return
        self._follows = known.seq
        self._by_digest.pop(known.digest, None)
        self._by_digest[known.digest] = known.seq
        if len(self._by_digest) > _MOST_STATES:
            del self._by_digest[next(iter(self._by_digest))]

    def _take_lifted(self, lifted: Value) -> None:
        staged = lifted.get("stagedActionIds") if isinstance(lifted, dict) else None
        if not isinstance(staged, list) or not staged or any(type(action_id) is not int for action_id in staged):
            raise Unusable("a lifted state without a list of staged actions")
        # Whatever the app told of before this, this has.
        self._has_asked = False
        entries = list(LiftedState(is_revived=True).read(lifted, 0))
        if lifted.get("isPaused") is not True:
            self._merge(lifted, staged, entries)
        self._next_id = _whole(lifted.get("nextActionId"), self._next_id)
        self._is_fresh = True
        self._understand(lifted, staged)
        self.app_said(AppReply(lifted=lifted, staged=staged))

    def _merge(self, lifted: Mapping[str, Value], staged: Sequence[int], entries: Sequence[SourceEntry]) -> None:
        """Record what is new among the staged actions, each as what follows the one before it."""
        fresh: dict[int, _Known] = {}
        follows = self._follows
        by_id, states = lifted["actionsById"], _states_of(lifted)
        for index, (action_id, entry) in enumerate(zip(staged, entries, strict=True)):
            state = states[index] if index < len(states) and states[index] is not MISSING else entry.state
            form = encode_json(state)
            known = _known_of(by_id.get(str(action_id)), entry, state, form)
            before = self._known.get(action_id)
            if (
                before is not None
                and before.seq is not None
                and (before.is_same(known) or self._was_put(known, state))
            ):
                known = before
            elif index == 0 and known.digest in self._by_digest:
                # What was committed, or gone back to, is a state that is recorded already.
                known.seq = self._by_digest[known.digest]
            else:
                if self._is_paused and not self.history.has_missed:
                    # The app does not tell how many actions led here, but it was one at least.
                    self.history.miss("paused")
                is_put = (
                    index == 0 and before is not None and self._put is not None and known.timestamp == self._put[0]
                )
                self._record(known, entry, state, before.seq if is_put and before is not None else follows, form)
            fresh[action_id] = known
            follows = follows if known.seq is None else known.seq
        self._known, self._staged, self._follows = fresh, list(staged), follows

    def _was_put(self, known: _Known, state: Value) -> bool:
        """Whether a state is the one that the app was put back to; its keys may have come in another order."""
        return self._put is not None and known.timestamp == self._put[0] and strict_equal(state, self._put[1])

    def _understand(self, lifted: Mapping[str, Value], staged: Sequence[int]) -> None:
        """Take note of how the app stands."""
        by_id = lifted["actionsById"]
        self._is_filtered = len(by_id) > len(staged)
        index = _whole(lifted.get("currentStateIndex"), len(staged) - 1)
        if self._looks_at not in staged[:-1]:
            self._looks_at = None
        self._shows_past = self._looks_at is not None or (not self._is_filtered and index < len(staged) - 1)
        is_paused = lifted.get("isPaused") is True
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            self.tell_status()

    def jump(self, request: Request, seq: int) -> None:
        """See `AppStore`: the app gets a lifted state that begins with the entry's, so any entry will do."""
        self._import(request, seq, came_from=self._follows)

    def _import(
        self, request: Request, seq: int, *, came_from: int | None = None, looks_from: int | None = None
    ) -> None:
        state, _ = self.history.state_of(seq)
        text = sendable(state, seq)
        self._last_ms = moment = max(now_ms(), self._last_ms + 1)
        init: dict[str, Value] = {"type": "PERFORM_ACTION", "action": {"type": _INIT}, "timestamp": moment}
        rest: dict[str, Value] = {
            "monitorState": {},
            "actionsById": {"0": init},
            "nextActionId": self._next_id,
            "stagedActionIds": [0],
            "skippedActionIds": [],
            "currentStateIndex": 0,
            "computedStates": [],
        }
        before = self._state

        def is_met(said: AppReply) -> bool:
            if said.lifted is None or list(said.staged) != [0] or _time_of(said.lifted, 0) != moment:
                return False
            off = differing(state, _states_of(said.lifted)[0])
            self._came_from = came_from
            self._has_left_line = looks_from is not None
            self.stands_at(seq if came_from is not None or self._has_left_line else None, looks_from=looks_from)
            told = "the app's reducer made another state of it at once" if off else ""
            if looks_from is not None:
                told = told or "the app no longer keeps that action; what it does meanwhile follows the entry"
            request.answer(seq=seq, changed=differing(before, state), kept=off, message=told)
            if not off:
                self._state = state
            return True

        lifted = f'{to_json(rest)[:-1]},"committedState":{text}}}'
        if self.ask_app(request, {"type": "IMPORT", "state": lifted}, is_met):
            # By this the answer is recognised: where the state is the entry's, nothing is recorded for it.
            self._put = (moment, state)
            self._known[0] = _Known(_INIT, moment, _digest(state, encode_json(state)), (False, None), seq)
            self._looks_at = None

    def look(self, request: Request, seq: int) -> None:
        """See `AppStore`: the app shows it, and its own actions go on from its newest state while it keeps the action."""
        self._when_told_all(request, lambda: self._look(request, seq))

    def _look(self, request: Request, seq: int) -> None:
        newest = self._follows if self._looks_from is None else self._looks_from
        action_id = self._staged_at(seq)
        if action_id is None or self._has_left_line:
            self._import(request, seq, looks_from=newest)
            return
        before = self._state
        state, _ = self.history.state_of(seq)

        def is_met(said: AppReply) -> bool:
            if said.lifted is None:
                return False
            self.stands_at(seq, looks_from=newest)
            request.answer(seq=seq, changed=differing(before, state))
            return True

        if self._dispatch_lifted(request, {"type": "JUMP_TO_ACTION", "actionId": action_id}, is_met):
            self._looks_at = action_id

    def back(self, request: Request) -> None:
        """See `AppStore`."""
        came_from = self._came_from if self._looks_from is None else self._looks_from
        if came_from is None:
            raise ConfigError(f"{self.name}: the app was put nowhere that it could come back from")
        if self._looks_from is None or self._has_left_line:
            self._import(request, came_from)
            return

        def is_met(said: AppReply) -> bool:
            if said.lifted is None:
                return False
            self.stands_at(None)
            request.answer(seq=self._follows)
            return True

        if self._dispatch_lifted(request, {"type": "JUMP_TO_ACTION", "actionId": self._staged[-1]}, is_met):
            self._looks_at = None

    def skip(self, request: Request, seqs: Sequence[int]) -> None:
        """See `AppStore`: the actions are toggled, and what follows them is recorded anew."""
        self._when_told_all(request, lambda: self._skip(request, seqs))

    def _skip(self, request: Request, seqs: Sequence[int]) -> None:
        ids = []
        for seq in dict.fromkeys(seqs):
            action_id = self._staged_at(seq)
            if not action_id:
                raise ConfigError(
                    f"entry {seq} is of no action that the app still keeps (its maxAge), or of a line that it left, so it cannot be skipped"
                )
            ids.append(action_id)
        before = self._state
        awaited = len(ids)

        def is_met(said: AppReply) -> bool:
            nonlocal awaited
            awaited -= said.lifted is not None
            if awaited:
                return False
            request.answer(seq=self._follows, changed=differing(before, self._state))
            return True

        toggles: list[dict[str, Value]] = [{"type": "TOGGLE_ACTION", "id": action_id} for action_id in ids]
        if self._dispatch_lifted(request, toggles[0], is_met):
            for toggle in toggles[1:]:
                self.send({"type": "DISPATCH", "action": toggle})

    def pause(self, request: Request, *, is_paused: bool) -> None:
        """See `AppStore`: the app itself keeps no more actions."""

        def is_met(said: AppReply) -> bool:
            if said.lifted is None or self._is_paused != is_paused:
                return False
            request.answer(seq=self._follows)
            return True

        self._dispatch_lifted(request, {"type": "PAUSE_RECORDING", "status": is_paused}, is_met)

    def dispatch(self, request: Request, action: Mapping[str, Value]) -> None:
        """See `AppStore`."""
        if self._is_paused:
            raise ConfigError(
                f"{self.name}: recording is paused, so nobody would learn what the action did; resume first"
            )
        self._last_ms = moment = max(now_ms(), self._last_ms + 1)

        def is_met(said: AppReply) -> bool:
            if said.timestamp != moment and said.lifted is None:
                return False
            request.answer(seq=self._follows)
            return True

        performed: dict[str, Value] = {"type": "PERFORM_ACTION", "action": dict(action), "timestamp": moment}
        self._dispatch_lifted(request, performed, is_met)

    def _dispatch_lifted(self, request: Request, action: Mapping[str, Value], is_met: IsMet) -> bool:
        return self.ask_app(request, {"type": "DISPATCH", "action": dict(action)}, is_met)

    def _when_told_all(self, request: Request, act: Callable[[], None]) -> None:
        """Act once it is known which actions the app still keeps: it forgets old ones and tells nobody."""

        def is_met(said: AppReply) -> bool:
            if said.lifted is None:
                return False
            try:
                act()
            except UnspoolError as error:
                request.refuse(str(error))
            return True

        if self._is_fresh:
            act()
        else:
            self.ask_app(request, {"type": "UPDATE"}, is_met)

    def _staged_at(self, seq: int) -> int | None:
        """Return the action that an entry is of, where the app still keeps it."""
        return next((action_id for action_id, known in self._known.items() if known.seq == seq), None)


def _known_of(action: Value, entry: SourceEntry, state: Value, form: bytes | None) -> _Known:
    timestamp = action.get("timestamp") if isinstance(action, dict) else None
    told = (entry.meta.get("skipped") is True, entry.meta.get("error"))
    return _Known(entry.action, timestamp, _digest(state, form), told, None)


def _digest(state: Value, form: bytes | None) -> bytes:
    """Return what a state is recognised by, given its wire form where it is JSON-like."""
    return blake2b(encode(state) if form is None else form, digest_size=16).digest()


def _states_of(lifted: Mapping[str, Value]) -> list[Value]:
    """Return the computed states of a lifted state; `MISSING` for those that are not there."""
    computed = lifted.get("computedStates")
    results = computed if isinstance(computed, list) else []
    return [result.get("state", MISSING) if isinstance(result, dict) else MISSING for result in results]


def _time_of(lifted: Mapping[str, Value], action_id: int) -> Value:
    action = lifted["actionsById"].get(str(action_id))
    return action.get("timestamp") if isinstance(action, dict) else None


def _whole(value: Value, otherwise: int) -> int:
    return value if type(value) is int else otherwise
