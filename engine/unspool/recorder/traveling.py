"""A recorded app goes back: commands of the control channel wait until the app itself asks for them in `poll`.

The server's thread only puts a command in line. The app's own function is called in the app's own thread, and only
there. What goes wrong is told to whoever asked; nothing is raised into the app.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import PurePath
from typing import Final, Protocol

import msgspec

from unspool.control.channel import NOT_PUT_BACK, Back, Instance, Jump, Look, Pause, Resume
from unspool.control.server import ControlServer, Request
from unspool.errors import UnspoolError
from unspool.model.encoding import REFERENCE
from unspool.model.values import Tagged, Unrepresentable, Value, walk
from unspool.model.wire import decode
from unspool.recorder.redact import REDACTED

OnTravel = Callable[[dict[str, Value], int], object]
"""Puts the app into a state: given the atoms of an entry by name, and the entry's number."""

_ID: Final = "main"
_CAN: Final = ("jump", "look", "pause", "resume")


class Travels(Protocol):
    """What a recorder offers to what is in here."""

    @property
    def recording(self) -> bool:
        """Whether calls still record."""

    def settle_before_travel(self) -> None:
        """Record the app as it is, as far as the recorder knows how to take that."""

    def state_for_travel(self, seq: int) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Return the wire forms of the state that is built upon now, and of that of an entry."""

    def follow(self, seq: int) -> None:
        """Have the next entry follow another one than the last."""

    @property
    def followed(self) -> int:
        """The entry that the next one follows."""

    @property
    def newest(self) -> int:
        """The last entry."""

    def unlike_followed(self) -> list[str]:
        """Return the atoms that are others than at the entry that is followed, where the recorder can take the app's state."""

    def shown_error(self, error: BaseException) -> str:
        """Return an error as a message may quote it."""


class Travel:
    """The commands of one recorder's control channel, and where they put the app.

    Attributes:
        waits: whether a command waits for `poll`.
        paused: whether nothing is to be recorded.
        wake: called in the server's thread when a command begins to wait; what it raises is left out.
    """

    def __init__(
        self,
        recorder: Travels,
        file: str | os.PathLike[str],
        on_travel: OnTravel,
        wake: Callable[[], object] | None = None,
    ) -> None:
        """Serve the channel of a recording.

        Args:
            recorder: the recorder; not kept alive.
            file: what it records into.
            on_travel: see `Recorder`.
            wake: see `Recorder.wake`.

        Raises:
            ControlUnavailable: the channel cannot be opened.
        """
        self.waits = False
        self.paused = False
        self.wake = wake
        self._on_travel = on_travel
        self._line: deque[Request] = deque()
        self._busy = threading.Lock()
        self._informing = threading.RLock()
        self._traveling: int | None = None
        self._instance = Instance(_ID, _program_name(), _CAN)
        self._came_from: int | None = None
        self._server = ControlServer(file, [self._instance], self._handle)
        server = self._server
        self._recorder = weakref.ref(recorder, lambda _: server.close())

    @property
    def is_in_app(self) -> bool:
        """Whether this thread is just putting the app into a state: what it does is no history."""
        return self._traveling == threading.get_ident()

    def close(self) -> None:
        """Refuse what waits, and end the channel."""
        self._server.close()
        while self._line:
            self._line.popleft().refuse("the program finished its recording")

    def after_fork(self) -> None:
        """Leave the channel to the parent."""
        self._server.after_fork()

    def recorded(self, seq: int) -> None:
        """Take note of a new entry: the app has left the one that it was put back to."""
        if self._instance.at is None:
            return
        self._inform(at=None)

    def _inform(self, **facts: object) -> None:
        # Pausing comes from the server's thread, all else from the app's.
        with self._informing:
            self._instance = msgspec.structs.replace(self._instance, **facts)
            self._server.update(self._instance)

    def _handle(self, request: Request) -> None:
        """Put a command in line, in the server's thread; what needs nothing of the app is done at once."""
        if isinstance(request.message, Pause | Resume):
            self.paused = isinstance(request.message, Pause)
            self._inform(paused=self.paused)
            request.answer(seq=self._instance.at)
            return
        self._line.append(request)
        self.waits = True
        request.waiting("for the program to call recorder.poll()")
        self.call_wake()

    def call_wake(self) -> None:
        """Call what the app wants to be woken by."""
        wake = self.wake
        if wake is not None:
            try:
                wake()
            except Exception:  # noqa: BLE001 - an app's loop that is closed by now; the command waits for `poll` all the same
                return

    def serve(self) -> None:
        """Do what waits, in the thread of the app that asks for it; of several places to go to, the last."""
        if self._busy.locked():
            return
        # Not by `acquire` and `try`: Ctrl-C between the two would leave it locked for good.
        with self._busy:
            self._serve_line()

    def _serve_line(self) -> None:
        # Those only that wait now: whoever asks without end must not keep the app in here.
        waiting = tuple(self._line)
        try:
            wanted = [request for request in waiting if request.is_open]
            for request in wanted[:-1]:
                request.refuse("another command came after it")
            for request in wanted[-1:]:
                self._obey(request)
        finally:
            for request in waiting:
                if request.is_open:
                    request.refuse("the program was interrupted before it was put back")
                with suppress(ValueError):
                    self._line.remove(request)
            self.waits = bool(self._line)

    def _obey(self, request: Request) -> None:
        recorder = self._recorder()
        if recorder is None or not recorder.recording:
            request.refuse("the program records nothing any more")
            return
        try:
            self._go(request, recorder)
        except UnspoolError as error:
            request.refuse(str(error))
        except Exception as error:  # noqa: BLE001 - whatever the app's own function raises is told to whoever asked
            request.refuse(f"on_travel raised {recorder.shown_error(error)}; the program may be put back in part")
        except BaseException:
            request.refuse("the program was interrupted while it was put back")
            raise

    def _go(self, request: Request, recorder: Travels) -> None:
        message = request.message
        if isinstance(message, Jump | Look):
            seq = message.seq
        elif isinstance(message, Back) and self._came_from is not None:
            seq = self._came_from
        else:
            request.refuse(NOT_PUT_BACK)
            return
        was_at, was_looking = self._instance.at, self._instance.looking
        if was_at in (None, recorder.newest):
            recorder.settle_before_travel()
        before, forms = recorder.state_for_travel(seq)
        origin = recorder.followed
        state, kept = _whole_atoms(forms)
        self._traveling = threading.get_ident()
        try:
            self._on_travel(state, seq)
        finally:
            self._traveling = None
        recorder.follow(seq)
        if isinstance(message, Back):
            self._came_from = None
        elif self._came_from is None or (was_at is None and not was_looking):
            # It went on from where it was last put back.
            self._came_from = origin
        # Whoever shows the newest entry can be shown another one, unlike whoever left its line.
        looks = isinstance(message, Look)
        self._inform(at=None if seq == recorder.newest and not looks else seq, looking=looks)
        differing = [atom for atom in recorder.unlike_followed() if atom not in kept]
        request.answer(
            seq=seq,
            changed=[
                atom for atom in {**before, **forms} if before.get(atom) != forms.get(atom) and atom not in kept
            ],
            kept=[f"{atom}: {why}" for atom, why in kept.items()],
            refused=[f"{atom}: is not as it was at entry {seq}" for atom in differing],
        )


def _program_name() -> str:
    return PurePath(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"


def _whole_atoms(forms: Mapping[str, bytes]) -> tuple[dict[str, Value], dict[str, str]]:
    """Return the values of a state's atoms, and of those that were not kept whole the reason by name."""
    state: dict[str, Value] = {}
    kept: dict[str, str] = {}
    for atom, form in forms.items():
        value = decode(form)
        why = "a part of it was left out (redact)" if REDACTED.encode() in form else _missing_part(value)
        if why or REDACTED in atom:
            kept[atom] = why or "its name was left out (redact)"
        else:
            state[atom] = value
    return state, kept


def _missing_part(value: Value) -> str:
    """Return why a recorded value is not what the app had; empty where it is."""
    for held in walk(value, keys=True):
        if type(held) is Unrepresentable:
            return f"a {held.type_name} in it was not kept ({held.reason})"
        if type(held) is Tagged and held.type_name == REFERENCE:
            return "it refers to itself, or to what stands elsewhere"
    return ""


__all__ = ["OnTravel", "Travel"]
