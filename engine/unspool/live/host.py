"""The host of an agent: lets it in, records what it tells, and passes on what is asked of the program.

The host runs in a process of its own; the program never waits for a disk, and goes on where the host dies.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from unspool.control import (
    NOT_PUT_BACK,
    Back,
    ControlServer,
    ControlUnavailable,
    Instance,
    Jump,
    Look,
    Pause,
    Request,
    Resume,
)
from unspool.errors import UnspoolError
from unspool.live.cells import NotOfTheAgent, state_cell
from unspool.live.link import AgentLink, AgentSocket
from unspool.live.processes import waits_in
from unspool.live.taking import AgentRecording
from unspool.model.values import Value
from unspool.recorder import Recorder
from unspool.sources.opening import open_history

_INSTANCE: Final = "main"
_PROTOCOL: Final = 1
_JUMP: Final = "jump"
"""What the agent calls the entry that a jump makes."""
_JUMP_WITHIN_S: Final = 5.0
"""Seconds that the program may take until none of its code is running, so that it can be put back."""
_ENDING_S: Final = 10.0
"""Seconds that a program that is gone may still be read for, without a word."""
_TROUBLED_S: Final = 2.0
"""Seconds after which a trouble that did not show again is over."""
_MOST_SAID: Final = 500
"""Letters of a line for people."""


@dataclass(frozen=True, slots=True)
class WatchableObject:
    """An object that changes, for who has to choose what to watch.

    Attributes:
        watch: how it is named.
        changes: how often it changed while it was looked at.
        type_name: its class.
        nodes: how many objects it is made of.
        place: where it changed last; "" where that is not known.
        is_new: it came about while nobody could count how often it changed.
    """

    watch: str
    changes: int
    type_name: str
    nodes: int
    place: str
    is_new: bool = False


class ProgramListener:
    """Hears of what happens; each method is called in the host's thread, and does nothing unless it is overridden."""

    def began(self, host: Host) -> None:
        """The agent is in the program, and tells who it is."""

    def recorded(self) -> None:
        """The first entry with something in it is recorded."""

    def said(self, text: str, level: str) -> None:
        """Something for people; the level is info, warning or error."""

    def found(self, host: Host, names: list[WatchableObject], *, is_over: bool) -> None:
        """Nothing was named to be watched; these objects change most.

        Args:
            host: of the program.
            names: those objects.
            is_over: the program has ended, so that none of them can be watched any more.
        """

    def ended(self, why: str) -> None:
        """The agent left the program: exit, detach, fault, or "" where it said nothing."""


@dataclass(slots=True)
class Program:
    """What an agent says of its program.

    Attributes:
        pid: the process.
        python: version of the interpreter.
        name: the script, or module.
        how: how changes are noticed: monitoring, settrace or sweep.
        can: what it can be asked for.
        watch: what is watched.
        notes: lines for people.
    """

    pid: int = 0
    python: str = ""
    name: str = ""
    how: str = ""
    can: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: dict[str, Value] = field(default_factory=dict)


class Host:
    """Records one program into one file.

    Attributes:
        door: where the agent comes in.
        program: what it says of itself; None before.
        statistics: what it said when it left.
        entries: how many entries were recorded.
    """

    def __init__(self, recorder: Recorder, file: Path, listener: ProgramListener, *, user: int | None = None) -> None:
        """Open the door; nothing is read before `start`.

        Args:
            recorder: takes the entries, raising where it cannot; closed by `close`.
            file: what it records into.
            listener: hears of what happens.
            user: whose program it is; this process's own user when None.

        Raises:
            StorageFailed: there is no place for the socket.
        """
        self._recorder = recorder
        self._file = file
        self._listener = listener
        self.door = AgentSocket(user)
        self.program: Program | None = None
        self.statistics: Mapping[str, Value] = {}
        self.failure: UnspoolError | None = None
        self._link: AgentLink | None = None
        self._taking: AgentRecording | None = None
        self._is_leaving = threading.Event()
        self._is_in = threading.Event()
        self._moved = 0
        self._thread = threading.Thread(target=self._serve, name="unspool host", daemon=True)
        self._travel: AgentTravel | None = None

    @property
    def entries(self) -> int:
        """How many entries were recorded."""
        return 0 if self._taking is None else self._taking.entries

    @property
    def is_empty(self) -> bool:
        """Whether nothing that is watched was ever there."""
        return self._taking is None or self._taking.is_empty

    def missing(self) -> tuple[tuple[str, ...], tuple[str, ...], str]:
        """Return names that never stood for anything, traced functions that were never called, and why a condition never held.

        All are empty where the agent said no goodbye.
        """
        said = self.statistics
        return (
            _texts(said.get("unseen_names")),
            _texts(said.get("uncalled")),
            str(said.get("when") or "")[:_MOST_SAID],
        )

    def start(self) -> None:
        """Wait for the agent and record what it tells, in a thread."""
        self._thread.start()

    def wait_for_agent(self, seconds: float) -> bool:
        """Whether the agent came in, and said who it is, within some seconds."""
        return self._is_in.wait(seconds) and self.program is not None

    def wait(self, seconds: float | None = None) -> bool:
        """Whether the agent left within some seconds; None waits for as long as it takes."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def drain(self) -> None:
        """Return when all that a program which is gone had sent is recorded."""
        before = -1
        while not self.wait(_ENDING_S) and before != self._moved:
            before = self._moved

    def watch(self, names: list[str]) -> list[str]:
        """Have the agent watch other names, and return a line for each that is not there.

        Raises:
            AgentGone: it does not answer.
        """
        said = self._asked({"m": "watch", "names": names})
        unknown = said.get("unknown")
        if isinstance(unknown, list) and unknown:
            return [str(line) for line in unknown]
        return [] if said.get("ok") else [str(said.get("why") or "the program refused")]

    def detach(self) -> None:
        """Have the agent leave the program; hang up where it does not answer."""
        self._is_leaving.set()
        if self._link is not None:
            try:
                said = self._link.ask({"m": "detach"}, _ENDING_S)
            except UnspoolError:
                self._link.close()
            else:
                if isinstance(said.get("look"), str):
                    self._say(said["look"][:_MOST_SAID], "info" if said.get("is_back") else "warning")
        self.door.close()
        if self._thread.is_alive() and not self.wait(_ENDING_S) and self._link is not None:
            self._link.close()
            self.wait(_ENDING_S)

    def close(self) -> None:
        """Hang up and finish the recording.

        Raises:
            UnspoolError: the recording could not be finished.
        """
        self._is_leaving.set()
        self.door.close()
        if self._link is not None:
            self._link.close()
        if self._thread.is_alive():
            self.wait(_ENDING_S)
        if self._travel is not None:
            self._travel.close()
        self._recorder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _asked(self, message: Mapping[str, Value]) -> Mapping[str, Value]:
        if self._link is None:
            raise UnspoolError("the agent is not in the program yet")
        return self._link.ask(message)

    def _serve(self) -> None:
        try:
            while self.program is None and self._let_in() is not None and self._link is not None:
                self._read(self._link)
        except UnspoolError as error:
            # Neither what does not read nor a full disk is the program's fault: it goes on, unrecorded.
            self.failure = error
            self._say(f"recording ends here: {error}", "error")
        finally:
            if self._link is not None:
                self._link.close()
            self.door.close()
            self._is_in.set()
            if self._travel is not None:
                self._travel.close()
            self._listener.ended(str(self.statistics.get("why") or ""))

    def _let_in(self) -> AgentLink | None:
        while not self._is_leaving.is_set():
            connection = self.door.wait(1.0)
            if connection is not None:
                self._link = AgentLink(connection)
                return self._link
        return None

    def _read(self, link: AgentLink) -> None:
        """Read until the agent leaves. The door stays open until somebody said the token: who else finds it is sent away.

        Raises:
            UnspoolError: what comes does not read, or cannot be recorded.
        """
        try:
            link.read(self._take, self._together)
        except NotOfTheAgent:
            if self.program is not None:
                raise
        link.close()
        if self.failure is not None:
            self._is_leaving.set()

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Store what came together, when the program is faster than the disk, together."""
        was_empty = self.is_empty
        with nullcontext() if self._taking is None else self._taking.batch():
            yield
        if was_empty and not self.is_empty:
            self._listener.recorded()

    def _take(self, message: dict[str, Value]) -> None:
        self._moved += 1
        kind = message.get("m")
        if self.program is None:
            self._begin(kind, message)
            return
        if self._taking is None:
            return
        match kind:
            case "r":
                self._taking.entry(message)
                if self._travel is not None:
                    self._travel.recorded(message)
            case "site":
                self._taking.site(message)
            case "notes":
                moment = message.get("t")
                for note in message["notes"] if isinstance(message.get("notes"), list) else ():
                    self._taking.note(note, moment if type(moment) is int else None)
            case "say":
                place = self._taking.place_of(message.get("site"))
                self._tell(message.get("text"), "info", "" if place is None else f" ({place})")
            case "error":
                self._tell(message.get("text"), "warning")
            case "found":
                self._listener.found(self, self._found(message), is_over=message.get("over") is True)
            case "bye":
                self.statistics = message

    def _begin(self, kind: Value, message: dict[str, Value]) -> None:
        if kind == "error":
            self.failure = UnspoolError(str(message.get("text") or "the agent could not begin")[:_MOST_SAID])
            self._say(str(self.failure), "error")
            return
        if kind != "hello" or message.get("token") != self.door.token:
            raise NotOfTheAgent("what came in is no agent of this recording")
        if message.get("v") != _PROTOCOL:
            raise NotOfTheAgent(f"the agent speaks version {message.get('v')!r}, this unspool {_PROTOCOL}")
        self.door.close()
        main = str(message.get("main") or message.get("executable") or "")
        self.program = Program(
            pid=message["pid"] if type(message.get("pid")) is int else 0,
            python=str(message.get("python") or ""),
            name=Path(main).name,
            how=str(message.get("how") or ""),
            can=_texts(message.get("can")),
            watch=_texts(message.get("watch")),
            notes=_texts(message.get("notes")),
            facts=message,
        )
        self._taking = AgentRecording(self._recorder, self.program.pid, str(message.get("cwd") or ""))
        self._travel = AgentTravel(self, self._recorder, self._file, self.program)
        self._is_in.set()
        self._listener.began(self)
        for note in self.program.notes:
            self._tell(note, "info", moment=message.get("t"))

    def _found(self, message: Mapping[str, Value]) -> list[WatchableObject]:
        found = []
        names = message.get("names")
        for item in names if isinstance(names, list) else ():
            if isinstance(item, Mapping) and isinstance(item.get("watch"), str):
                place = None if self._taking is None else self._taking.place_of(item.get("site"))
                changes, nodes = item.get("changes"), item.get("nodes")
                found.append(
                    WatchableObject(
                        item["watch"],
                        changes if type(changes) is int else 0,
                        str(item.get("type") or ""),
                        nodes if type(nodes) is int else 0,
                        "" if place is None else str(place),
                        is_new=item.get("new") is True,
                    )
                )
        return found

    def _tell(self, text: Value, level: str, more: str = "", moment: Value = None) -> None:
        """Pass a line of the agent on, and keep it in the recording: a screen has no standard error."""
        if not isinstance(text, str) or not text:
            return
        line = f"{text[:_MOST_SAID]}{more}"
        self._say(line, level)
        if self._taking is not None:
            self._taking.note({"text": line, "kind": f"unspool {level}"}, moment if type(moment) is int else None)

    def _say(self, text: str, level: str) -> None:
        self._listener.said(text, level)

    def ask_agent(
        self, message: Mapping[str, Value], seconds: float, waiting: Callable[[], None]
    ) -> Mapping[str, Value]:
        """See `AgentLink.ask`.

        Raises:
            AgentGone: it does not answer.
        """
        if self._link is None:
            raise UnspoolError("the agent is not in the program")
        return self._link.ask(message, seconds, waiting)


def _texts(given: Value) -> tuple[str, ...]:
    return tuple(str(item)[:_MOST_SAID] for item in given[:100]) if isinstance(given, list) else ()


class AgentTravel:
    """Serves the control channel of a recording: what a screen or command asks for is passed on to the agent."""

    def __init__(self, host: Host, recorder: Recorder, file: Path, program: Program) -> None:
        """Serve it; where there is no place for the channel, nobody can ask for anything, and that is said.

        Args:
            host: passes questions on to the agent.
            recorder: tells which entry is the last.
            file: the recording.
            program: what the agent can be asked for.
        """
        self._host = host
        self._recorder = recorder
        self._file = file
        self._pid = program.pid
        self._home: int | None = None
        """The entry that the program was at before it was last put back; None where `Back` has been there, or nobody put it back."""
        self._has_landed = threading.Event()
        """The entry of the last jump is recorded."""
        abilities = [*program.can, "look"] if "jump" in program.can else [*program.can]
        can = tuple(name for name in ("jump", "look", "pause", "resume") if name in abilities)
        self._instance = Instance(
            id=_INSTANCE, name=program.name or f"process {program.pid}", can=can, pid=program.pid
        )
        self._troubles: dict[str, float] = {}
        """By trouble: when it last showed."""
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._server: ControlServer | None = None
        try:
            self._server = ControlServer(file, [self._instance], self._requests.put)
        except ControlUnavailable as error:
            host._say(str(error), "warning")
            return
        threading.Thread(target=self._work, name="unspool travel", daemon=True).start()

    def close(self) -> None:
        """Serve nobody any more."""
        if self._server is not None:
            self._requests.put(None)
            self._server.close()
            self._server = None

    def recorded(self, message: Mapping[str, Value]) -> None:
        """Take note of an entry: what comes after a jump is the program's newest state, and it may not be all that happened."""
        if message.get("merged"):
            self._troubles["capped" if message.get("capped") else "behind"] = time.monotonic()
        if self._troubles:
            self._look_at_troubles()
        if message.get("action") == _JUMP:
            # Whoever is answered finds it in the file.
            self._recorder.flush()
            self._has_landed.set()
        if self._instance.at is not None and message.get("action") != _JUMP:
            self._become(at=None, looking=False)

    def _look_at_troubles(self) -> None:
        now = time.monotonic()
        self._troubles = {name: since for name, since in self._troubles.items() if now - since < _TROUBLED_S}
        troubles = tuple(sorted(self._troubles))
        if troubles != self._instance.troubles:
            self._become(at=self._instance.at, looking=self._instance.looking, troubles=troubles)

    def _become(
        self, *, at: int | None, looking: bool, paused: bool | None = None, troubles: tuple[str, ...] | None = None
    ) -> None:
        now = self._instance
        self._instance = Instance(
            id=now.id,
            name=now.name,
            can=now.can,
            pid=now.pid,
            at=at,
            looking=looking,
            paused=now.paused if paused is None else paused,
            troubles=now.troubles if troubles is None else troubles,
        )
        server = self._server
        if server is not None:
            server.update(self._instance)

    def _work(self) -> None:
        while True:
            request = self._requests.get()
            if request is None:
                return
            if request.is_open:
                try:
                    self._do(request)
                except UnspoolError as error:
                    request.refuse(str(error))

    def _do(self, request: Request) -> None:
        match request.message:
            case Jump(seq=seq):
                self._put_back(request, seq, looking=False)
            case Look(seq=seq):
                self._put_back(request, seq, looking=True)
            case Back():
                if self._home is None:
                    request.refuse(NOT_PUT_BACK)
                else:
                    self._put_back(request, self._home, looking=False)
                    self._home = None
                    self._become(at=None, looking=False)
            case Pause() | Resume() as message:
                pauses = isinstance(message, Pause)
                _answer(request, self._asked(request, {"m": "pause" if pauses else "resume"}), None)
                self._become(at=self._instance.at, looking=self._instance.looking, paused=pauses)

    def _put_back(self, request: Request, seq: int, *, looking: bool) -> None:
        self._recorder.flush()
        with open_history(os.fspath(self._file), follow=False) as history:
            number = history.resolve(seq)
            state = history.state(number)
            newest = len(history) - 1
        kept = self._home if self._instance.looking else None
        self._has_landed.clear()
        self._become(at=number, looking=looking)
        message = {"m": "jump", "seq": number, "state": state_cell(state), "within": _JUMP_WITHIN_S, "look": looking}
        try:
            said = self._asked(request, message)
        except UnspoolError:
            self._become(at=None, looking=False)
            raise
        # Whoever is answered finds the entry in the recording.
        self._has_landed.wait(_JUMP_WITHIN_S)
        self._leave_from(newest, kept, looking=looking)
        _answer(request, said, number)

    def _leave_from(self, newest: int, kept: int | None, *, looking: bool) -> None:
        """Take note of the entry that the program was at before it was put back, and tell the agent its state for the end of a look.

        Args:
            newest: the last entry before the program was asked; what it did until it was put back comes after that one.
            kept: the entry to go back to, where it only showed another one before.
            looking: it is only to show an entry.
        """
        with open_history(os.fspath(self._file), follow=False) as history:
            if kept is None:
                jumps = (seq for seq in range(len(history) - 1, newest, -1) if history[seq].action == _JUMP)
                kept = next(jumps, newest + 1) - 1
            self._home = kept
            if looking:
                self._host.ask_agent(
                    {"m": "home", "seq": kept, "state": state_cell(history.state(kept))}, _ENDING_S, lambda: None
                )

    def _place(self) -> str:
        return waits_in(self._pid) or "the program's own code"

    def _asked(self, request: Request, message: Mapping[str, Value]) -> Mapping[str, Value]:
        """Ask the agent, and return what it says.

        Raises:
            UnspoolError: it refuses, or is gone.
        """
        said = self._host.ask_agent(
            message, _JUMP_WITHIN_S + _ENDING_S, lambda: request.waiting(f"the main thread is in {self._place()}")
        )
        if not said.get("ok"):
            raise UnspoolError(str(said.get("why") or "the program refused")[:_MOST_SAID])
        return said


def _answer(request: Request, said: Mapping[str, Value], seq: int | None) -> None:
    """Answer a request with what the agent says."""
    request.answer(
        seq=seq,
        changed=_places(said.get("changed")),
        kept=_places(said.get("kept")),
        rebuilt=_places(said.get("rebuilt")),
        refused=_places(said.get("refused")),
    )


def _places(given: Value) -> list[str]:
    """Return places that the agent names, each with its reason where there is one."""
    if not isinstance(given, list):
        return []
    return [": ".join(map(str, item)) if isinstance(item, list) else str(item) for item in given]


__all__ = ["AgentTravel", "Host", "Program", "ProgramListener", "WatchableObject"]
