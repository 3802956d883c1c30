"""A store of an app while it is there: its history, the way to it, and what is asked of it over the control channel."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from unspool.control import (
    Back,
    ControlServer,
    ControlUnavailable,
    Dispatch,
    Instance,
    Jump,
    Look,
    Pause,
    Request,
    Resume,
    Skip,
)
from unspool.errors import ConfigError, UnspoolError
from unspool.live.listen.histories import Histories, StoreHistory
from unspool.model.json_exact import BrokenText, parse_javascript
from unspool.model.json_text import to_json
from unspool.model.values import Value, strict_equal
from unspool.sources.entries import as_state
from unspool.sources.exports.text_forms import to_jsan
from unspool.sources.formats.redux import JSAN, SERIALIZED_TYPE, revive

Can = Literal["jump", "look", "skip", "pause", "resume", "dispatch"]
_ANSWER_S: Final = 9.0
"""Seconds that an app has to answer; who asked waits ten."""
_MOST_NAMED: Final = 200
_MOST_SENT: Final = 64 << 20
_JSAN: Final = f'"{JSAN}"'.encode()
_SERIALIZED: Final = f'"{SERIALIZED_TYPE}"'.encode()


class Unusable(Exception):
    """What an app sent means nothing; the message says why."""


def value_of(text: Value) -> Value:
    """Return the value of JSON that came as text, markers of Redux DevTools turned into values.

    Raises:
        Unusable: it is no JSON, or more than the limits allow.
    """
    if not isinstance(text, str):
        raise Unusable("it holds no text where JSON belongs")
    return value_of_bytes(text.encode("utf-8", "surrogatepass"))


def value_of_bytes(data: bytes) -> Value:
    """See `value_of`."""
    try:
        value = parse_javascript(data)
        # Only text that has markers is walked, as jsan itself does.
        return revive(value) if _JSAN in data or _SERIALIZED in data else value
    except BrokenText as error:
        raise Unusable(str(error)) from None


def differing(before: Value, after: Value) -> list[str]:
    """Return the atoms in which two states differ; the first ones where they are many."""
    old, new = as_state(before), as_state(after)
    names = (*old, *(name for name in new if name not in old))
    off = [name for name in names if name not in old or name not in new or not strict_equal(old[name], new[name])]
    return off[:_MOST_NAMED]


class AppReply(msgspec.Struct, frozen=True):
    """What an app says that may answer what was asked of it.

    Attributes:
        lifted: its lifted state, where it told that.
        staged: the ids of the actions in it.
        timestamp: of an action that it told of.
        request: the number of what it was asked, where it tells that.
        facts: what else it says.
    """

    lifted: Mapping[str, Value] | None = None
    staged: Sequence[int] = ()
    timestamp: Value = None
    request: int | None = None
    facts: Mapping[str, Value] = {}


IsMet = Callable[[AppReply], bool]
"""Says whether what an app says is the answer that is waited for, and answers the request then."""


class _Awaited(msgspec.Struct):
    """What was asked of an app, until it answers.

    Attributes:
        request: who asked.
        is_met: see `IsMet`.
        timer: refuses it when it takes too long.
    """

    request: Request
    is_met: IsMet
    timer: asyncio.TimerHandle


class AppStore(ABC):
    """One store of an app.

    Attributes:
        name: what the app calls it.
        history: its history.
    """

    can: tuple[Can, ...] = ()

    def __init__(self, name: str, histories: Histories, send: Callable[[Mapping[str, Value]], bool]) -> None:
        """Begin to record a store.

        Args:
            name: what the app calls it.
            histories: opens its history.
            send: sends a message to the app in the words of its protocol; False where it cannot be sent.

        Raises:
            UnspoolError: its history cannot be opened.
        """
        self.name = name
        self.history: StoreHistory = histories.start(name)
        self._histories = histories
        self.send = send
        self._loop = asyncio.get_running_loop()
        self._awaited: list[_Awaited] = []
        self._follows: int | None = None
        self._state: Value = {}
        self._is_paused = False
        self._looks_from: int | None = None
        self._at: int | None = None
        self._control: ControlServer | None = None
        try:
            self._control = ControlServer(self.history.path, [self._instance()], self._called)
        except ControlUnavailable as error:
            histories.tell(f"{error}; {self.history.path.name} is recorded, and its app cannot be put back")

    def _instance(self) -> Instance:
        return Instance(
            id="main",
            name=self.history.name,
            can=self.can,
            at=self._at,
            looking=self._looks_from is not None,
            paused=self._is_paused,
        )

    def tell_status(self) -> None:
        """Tell whoever holds the control channel how the store stands."""
        if self._control is not None:
            self._control.update(self._instance())

    def _called(self, request: Request) -> None:
        """Take a request, in the control channel's thread."""
        try:
            self._loop.call_soon_threadsafe(self._serve, request)
        except RuntimeError:
            request.refuse("unspool listen has ended")

    def _serve(self, request: Request) -> None:
        if not request.is_open:
            return
        try:
            match request.message:
                case Jump(seq=seq):
                    self.jump(request, seq)
                case Look(seq=seq):
                    self.look(request, seq)
                case Back():
                    self.back(request)
                case Skip(seqs=()):
                    request.refuse("name the entries whose actions are to be skipped")
                case Skip(seqs=seqs):
                    self.skip(request, seqs)
                case Pause():
                    self.pause(request, is_paused=True)
                case Resume():
                    self.pause(request, is_paused=False)
                case Dispatch(action=action):
                    self.dispatch(request, _action_in(action))
        except UnspoolError as error:
            request.refuse(str(error))

    @abstractmethod
    def jump(self, request: Request, seq: int) -> None:
        """Have the app go on from an entry."""

    @abstractmethod
    def look(self, request: Request, seq: int) -> None:
        """Have the app show an entry until `back`."""

    @abstractmethod
    def back(self, request: Request) -> None:
        """Have the app go on from where it was before a look or jump."""

    @abstractmethod
    def pause(self, request: Request, *, is_paused: bool) -> None:
        """Have no more recorded, or have it recorded again."""

    def skip(self, request: Request, seqs: Sequence[int]) -> None:
        """Have the app's state worked out anew without some actions, or with them again."""
        request.refuse(f"{self.name}: this store has no reducer that actions could be left out of")

    def dispatch(self, request: Request, action: Mapping[str, Value]) -> None:
        """Have the app take an action."""
        request.refuse(f"{self.name}: this store takes no actions from here")

    def ask_app(self, request: Request, message: Mapping[str, Value], is_met: IsMet) -> bool:
        """Send a message to the app, and wait for its answer.

        Args:
            request: who asks.
            message: what is sent.
            is_met: see `IsMet`.

        Returns:
            Whether it was sent; the request is refused otherwise.
        """
        if not self.send(message):
            request.refuse(f"{self.name}: the app does not read what is sent to it; is it stopped in a debugger?")
            return False
        timer = self._loop.call_later(_ANSWER_S, self._give_up, request)
        self._awaited.append(_Awaited(request, is_met, timer))
        return True

    @property
    def is_asked(self) -> bool:
        """Whether an answer of the app is waited for."""
        return bool(self._awaited)

    def app_said(self, said: AppReply) -> None:
        """Look whether what the app says answers what was asked."""
        if self._awaited:
            # Whoever is answered finds the entry in the file.
            self.history.flush()
        for awaited in tuple(self._awaited):
            if not awaited.request.is_open or awaited.is_met(said):
                awaited.timer.cancel()
                self._awaited = [other for other in self._awaited if other is not awaited]

    def _give_up(self, request: Request) -> None:
        self._awaited = [awaited for awaited in self._awaited if awaited.request is not request]
        request.refuse(f"{self.name}: the app did not answer within {_ANSWER_S:.0f} s; is it stopped in a debugger?")

    def keep(
        self,
        state: Value,
        action: str,
        *,
        at_ns: int | None = None,
        meta: Mapping[str, Value] | None = None,
        parent: int | None = None,
        form: bytes | None = None,
    ) -> int | None:
        """Record a state; None where it could not be, which is told and counted."""
        try:
            seq = self.history.record(state, action, at_ns=at_ns, meta=meta, parent=parent, form=form)
        except UnspoolError as error:
            self._histories.tell_seldom(str(error))
            return None
        self._state = state
        if self._at is not None and self._looks_from is None:
            self._at = None
            self.tell_status()
        return seq

    def complain(self, error: Exception) -> None:
        """Count what an app sent that means nothing, and tell of it."""
        self.history.miss("unreadable")
        self._histories.tell_seldom(f"{self.history.path}: a message of the app was left out: {error}")

    def stands_at(self, seq: int | None, *, looks_from: int | None = None) -> None:
        """Take note of the entry that the app was put back to, and tell of it."""
        self._at, self._looks_from = seq, looks_from
        self.tell_status()

    def close(self) -> None:
        """Finish: the store is gone."""
        for awaited in self._awaited:
            awaited.timer.cancel()
            awaited.request.refuse(f"{self.name}: the app went away")
        self._awaited.clear()
        if self._control is not None:
            self._control.close()
        self._histories.stop(self.history)


def _action_in(text: msgspec.Raw) -> dict[str, Value]:
    """Return the action that JSON tells; never as text, which apps would run as a program.

    Raises:
        ConfigError: it tells none.
    """
    try:
        action = value_of_bytes(bytes(text))
    except Unusable as error:
        raise ConfigError(f"that is no action: {error}") from None
    if not isinstance(action, dict) or not isinstance(action.get("type"), str):
        raise ConfigError('an action is an object with a type, such as {"type": "cart/cleared"}')
    return action


def now_ms() -> int:
    """Return milliseconds since the epoch, as JavaScript counts them."""
    return time.time_ns() // 1_000_000


def sendable(state: Value, seq: int) -> str:
    """Return a state as the text that an app is put back by.

    Args:
        state: the state.
        seq: its entry.

    Raises:
        ConfigError: it is larger than what is sent.
    """
    text = to_json(to_jsan(state))
    if len(text) > _MOST_SENT:
        raise ConfigError(f"entry {seq}: its state takes {len(text):,} characters, and {_MOST_SENT:,} can be sent")
    return text
