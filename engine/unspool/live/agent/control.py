"""What the host asks for while the program runs, and the timer: one thread that nothing of the program can see."""

from __future__ import annotations

import _thread
import os
import select
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from unspool.live.agent.discovery import Discovery
from unspool.live.agent.recording import Session
from unspool.live.agent.sites import Place
from unspool.live.agent.whereabouts import is_in_loop, running_frames
from unspool.live.agent.wire import Link
from unspool.live.agent.writeback import WriteBack

_JOIN_SECONDS = 1.0
_JUMP_SECONDS = 5.0
_LONGEST_WAIT = 60.0
_JUMP_PAUSE = 0.002
_LONG_INTERVAL = 30.0
"""Seconds after which other threads may interrupt a jump; only one that waits already may do so before."""
_IDLE_TURNS = 5
"""Turns of the timer in which nothing happened, after which it turns less often."""


class ShownEntry:
    """An entry that the program only shows.

    Attributes:
        seq: the entry.
        count: entries of this recording until then.
        home: the entry that the program was at before; None until the host has told.
        state: the state there.
    """

    def __init__(self, seq: Any, count: int) -> None:
        self.seq = seq
        self.count = count
        self.home: Any = None
        self.state: Any = None


class Control:
    """The thread that reads what the host says, and looks for what nobody saw.

    Attributes:
        discovery: counts changes, where nothing is watched.
    """

    def __init__(
        self, session: Session, link: Link, look_again: Callable[[], None], detach: Callable[[], None]
    ) -> None:
        """Take what it asks.

        Args:
            session: the recording.
            link: to the host.
            look_again: brings back events that were disabled.
            detach: ends the recording.
        """
        self._session = session
        self._link = link
        self._look_again = look_again
        self._detach = detach
        self._ended = _thread.allocate_lock()
        self._is_running = False
        self._is_wanted = False
        self._thread = 0
        self._task = 0
        self.discovery: Discovery | None = None
        self._has_jumped = False
        self._look: ShownEntry | None = None
        self._reading, self._writing = os.pipe()

    def start(self) -> None:
        """Start the thread."""
        if self._is_running or self._session.is_over:
            return
        self._is_running = self._is_wanted = True
        self._ended.acquire()
        self._thread = self._session.where.timer_thread = _thread.start_new_thread(self._run, ())

    def pause(self) -> None:
        """End the thread, until the next event: a process that forks must have no other."""
        if not self._is_running or _thread.get_ident() == self._thread:
            return
        self._is_wanted = False
        os.write(self._writing, b"x")
        if self._ended.acquire(timeout=_JOIN_SECONDS):
            self._ended.release()
            end = time.monotonic() + 0.05
            while os.path.exists(f"/proc/self/task/{self._task}") and time.monotonic() < end:
                time.sleep(0.0005)
        self._session.on_event = self.start

    def stop(self) -> None:
        """End the thread for good."""
        self.pause()
        self._session.on_event = None
        self._close()

    def forget(self) -> None:
        """Let go of a thread that a forked child does not have."""
        self._session.on_event = None
        self._close()

    def _close(self) -> None:
        if self._reading >= 0 and _thread.get_ident() != self._thread:
            os.close(self._reading)
            os.close(self._writing)
            self._reading = self._writing = -1

    def _run(self) -> None:
        session = self._session
        self._task = _thread.get_native_id()
        session.where.timer_thread = _thread.get_ident()
        idle = 0
        try:
            while self._is_wanted and not session.is_over:
                pause = session.config["sweep"] / 1000 * (1 if idle < _IDLE_TURNS else 5)
                self._wait(pause)
                if not self._is_wanted or session.is_over:
                    return
                idle = 0 if self._turn() else idle + 1
        except Exception as error:  # noqa: BLE001 - the program must not see a traceback of ours
            session.faults.append(f"{type(error).__name__}: {error}")
        finally:
            self._is_running = False
            self._thread = 0
            if session.is_over:
                self._close()
            self._ended.release()

    def _wait(self, seconds: float) -> None:
        poller = select.poll()
        poller.register(self._reading, select.POLLIN)
        link = self._link
        poller.register(link.fileno(), select.POLLIN | (select.POLLOUT if link.has_pending else 0))
        for number, _ in poller.poll(seconds * 1000):
            if number == self._reading:
                os.read(self._reading, 100)

    def _turn(self) -> bool:
        """Do what is due; return whether anything happened in the program."""
        session = self._session
        link = self._link
        for message in link.receive():
            self._answer(message)
        if session.is_over:
            return False
        if not link.is_open:
            self._end_look(None)
            self._detach()
            return False
        if not session.enter(is_planned=True):
            return False
        try:
            link.push()
            if self.discovery is not None:
                self.discovery.turn()
            found = False
            if session.is_sweep_due() and not session.is_amid():
                before = session.statistics["entries"]
                self._look_again()
                session.flush_pending(None)
                if not session.is_paused and (not session.exact or session.is_idle()):
                    session.look_at_all(
                        session.where.place_of(self._main_frame()), None, seconds=session.config["walk"] / 1000
                    )
                found = session.statistics["entries"] != before
            return found or not session.is_idle()
        finally:
            session.leave()

    def _main_frame(self) -> FrameType | None:
        return sys._current_frames().get(self._session.where.main_thread)

    def _answer(self, message: dict[str, Any]) -> None:
        session = self._session
        kind, number = message.get("m"), message.get("id")
        answer: dict[str, Any] = {"m": "done", "id": number, "ok": True}
        if kind == "detach":
            answer |= self._end_look(number)
            if not self._has_jumped:
                session.link.send(answer)
            self._detach()
            return
        if kind == "home":
            if self._look is not None:
                self._look.home, self._look.state = message.get("seq"), message.get("state")
            session.link.send(answer)
            return
        if kind == "jump":
            answer |= self._jump(message)
            if self._has_jumped:
                # It was sent before the entry of the jump.
                self._has_jumped = False
            else:
                session.link.send(answer)
            return
        if not session.enter(is_planned=True):
            return
        try:
            if kind == "pause":
                session.is_paused = True
            elif kind == "resume":
                session.is_paused = False
                session.look_at_all(session.where.place_of(self._main_frame()), None)
            elif kind == "sweep":
                session.look_at_all(session.where.place_of(self._main_frame()), None)
            elif kind == "watch":
                answer["unknown"] = session.watch_now(message.get("names"))
            else:
                answer |= {"ok": False, "why": f"the agent knows no message {kind!r}"}
        finally:
            session.leave()
        session.link.send(answer)

    # Travel.

    def _jump(self, message: dict[str, Any]) -> dict[str, Any]:
        """Put the program into a state, once no thread is in the middle of anything; return the answer."""
        within = message.get("within", _JUMP_SECONDS)
        seconds = min(float(within), _LONGEST_WAIT) if type(within) in (int, float) else _JUMP_SECONDS
        end = time.monotonic() + seconds
        busy: Place | None = None
        while True:
            busy, answer = self._try_jump(message)
            if answer is not None:
                return answer
            if time.monotonic() > end:
                break
            time.sleep(_JUMP_PAUSE)
        at = f"{busy.name}, {busy.file.rpartition('/')[2]}:{busy.line}" if busy is not None else "its own code"
        return {
            "ok": False,
            "why": f"the program was inside {at} for {seconds:g} s: jump while it waits, or allow longer",
        }

    def _end_look(self, number: Any) -> dict[str, Any]:
        """Take a look back before the recording ends, unless the program went on from what it shows.

        Args:
            number: of the question that is answered; None where nobody asks.

        Returns:
            What became of it, for people; {} where the program shows no past entry. A look that was taken back is answered already.
        """
        look, self._look = self._look, None
        if look is None:
            return {}
        if look.home is None:
            return {
                "look": f"the program stays at entry {look.seq}, which it was to show only: where it was before is not known"
            }
        told = f"the program, which showed entry {look.seq}, goes on from entry {look.home}, where it was before"
        message = {
            "id": number, "seq": look.home, "state": look.state, "unless_beyond": look.count, "is_back": True, "look": told,
        }  # fmt: skip
        answer = self._jump(message)
        if self._has_jumped:
            return {}
        return {"look": f"the program stays at entry {look.seq}, which it was to show only: {answer.get('why')}"}

    def _try_jump(self, message: dict[str, Any]) -> tuple[Place | None, dict[str, Any] | None]:
        session = self._session
        # Whoever runs on while it is looked at would be found in the middle of something each time.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(_LONG_INTERVAL)
        try:
            busy = self._busy_place()
            if busy is not None:
                return busy, None
            if not session.enter(is_planned=True):
                return None, {"ok": False, "why": "the recording is over"}
            try:
                # Sending lets others run.
                self._link.hold()
                return self._put_back(message)
            finally:
                self._link.let_go()
                session.leave()
        finally:
            sys.setswitchinterval(interval)

    def _put_back(self, message: dict[str, Any]) -> tuple[Place | None, dict[str, Any] | None]:
        session = self._session
        try:
            began, turns = time.perf_counter(), session.turns
            session.look_at_all(session.where.place_of(self._main_frame()), None)
            count = message.get("unless_beyond")
            if type(count) is int and session.has_gone_on(count):
                return None, {"ok": False, "why": "it has changed something since"}
            plan = WriteBack(session, force=message.get("force") is True)
            plan.plan(message.get("state"))
            # The program may have gone on while that was planned.
            busy = self._busy_place()
            if busy is not None or session.turns != turns:
                return busy, None
            plan.apply()
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            return None, {"ok": False, "why": f"the state cannot be put back: {error}"}
        seq = message.get("seq")
        if type(seq) is int:
            session.follow_from(seq)
        self._has_jumped = True
        took = round((time.perf_counter() - began) * 1000, 3)
        answer = {"ms": took, **plan.report.message()}
        if message.get("is_back"):
            answer |= {"is_back": True, "look": message["look"]}
        session.link.send({"m": "done", "id": message.get("id"), "ok": True, **answer})
        # Before anything else runs: an entry between would hold what was put back in one place and what was there in another.
        session.emit_jump()
        self._look = ShownEntry(seq, session.statistics["entries"]) if message.get("look") is True else None
        return None, answer

    def _busy_place(self) -> Place | None:
        """Return where a thread is in the middle of something: below a loop of the project, or what its loop called."""
        session = self._session
        for top in running_frames():
            own: list[FrameType] = []
            frame: FrameType | None = top
            while frame is not None:
                if session.where.owns(frame.f_code):
                    own.append(frame)
                frame = frame.f_back
            if not own:
                continue
            own.reverse()
            looping = next((item for item in own if is_in_loop(item)), own[0])
            if own[-1] is not looping and own[-1] is not own[0]:
                return session.where.places.of(own[-1].f_code, own[-1].f_lineno or 0)
        return None
