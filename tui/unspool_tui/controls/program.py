"""The program that records into the source in front: it is asked to go back to an entry, or to pause its recording.

A thread of its own keeps up the connection to the program, and each command has one as well: neither the screen nor its
worker waits for a program. Whatever a program says has been made inert and cut by the client of its channel.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool.control import Answer, ControlClient, Instance, TravelRefused, served_at
from unspool.errors import UnspoolError
from unspool_tui.screens.modal import Menu, MenuLine, Prompt
from unspool_tui.source import NamedSource
from unspool_tui.view.model import RecordingProgram

if TYPE_CHECKING:
    from unspool_tui.live_programs import LiveProgram, Message
    from unspool_tui.screens.protocols import HistoryApp, HistoryScreen

LOOK_SECONDS: Final = 1.0
"""Between two looks whether a program serves the source by now."""
_STEP_SECONDS: Final = 0.05
"""Between two looks where the head is, while the program shows it."""
_GREETING_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 10.0
_DIGITS: Final = 10
"""Numbers that one key chooses in a menu."""
_MOST_TOLD: Final = 20
"""Lines of an answer that the message log gets."""


class ProgramWatch:
    """Keeps `view.program` true: which program serves the source, and what state it runs."""

    def __init__(self, main: HistoryScreen, file: Path) -> None:
        """Prepare to watch.

        Args:
            main: the screen that shows the source.
            file: the recording.
        """
        self._main = main
        self._file = file
        self._ended = threading.Event()
        self._told: tuple[Instance, ...] = ()
        self._refused: int | None = None
        self._thread = threading.Thread(target=self._run, name="unspool-program", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; what is under way is not waited for."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            if served_at(self._file) is not None:
                try:
                    self._listen()
                except UnspoolError:
                    # It ended, or does not speak to us: both are looked at again.
                    self._tell(())
            self._ended.wait(LOOK_SECONDS)

    def _listen(self) -> None:
        with ControlClient(self._file, timeout=_GREETING_SECONDS) as client:
            self._tell(client.instances)
            while not self._ended.is_set():
                program = self._main.view.program
                follows = program is not None and program.follows
                if client.wait(_STEP_SECONDS if follows else LOOK_SECONDS):
                    self._tell(client.instances)
                self._show_head(client)

    def _show_head(self, client: ControlClient) -> None:
        """Have the program show where the head went; where it returned, or left its line by itself, it is let go."""
        view = self._main.view
        program, head = view.program, view.head
        if program is None or not program.follows:
            return
        # What the screen knows may be older than what the program last told.
        told = next((instance for instance in client.instances if instance.id == program.id), None)
        if told is None or not told.looking or told.at is None or head == told.at:
            self._refused = None
            return
        if head == self._refused:
            return
        try:
            client.look(head, instance=program.id, timeout=_ANSWER_SECONDS)
        except TravelRefused as error:
            self._refused = head
            self._main.call_later(partial(_tell_refusal, self._main, self._file, program, error))
        self._tell(client.instances)

    def _tell(self, instances: tuple[Instance, ...]) -> None:
        if instances != self._told and not self._ended.is_set():
            self._told = instances
            self._main.call_later(partial(_changed, self._main, instances))


def watch(main: HistoryScreen) -> None:
    """Watch for a program, where the source is a recording and whoever looks may reach into this machine."""
    history = main.scene.history
    paths = history.watch_paths
    if history.is_foreign or not paths or main.view.permits.why_not("program.jump"):
        return
    found = ProgramWatch(main, paths[-1])
    main.at_end.append(found.stop)
    found.start()


def _changed(main: HistoryScreen, instances: tuple[Instance, ...]) -> None:
    """Take note of who can be asked; of several, the one that was shown stays, unless another one was put back."""
    before = main.view.program
    able = [instance for instance in instances if instance.can]
    known = next((instance for instance in able if before is not None and instance.id == before.id), None)
    moved = next((instance for instance in able if instance.at is not None or instance.looking), None)
    shown = moved or known or (able[0] if able else None)
    program = None
    if shown is not None:
        # What it was just asked to show, it does not show yet.
        has_returned = before is not None and before.looking and not shown.looking
        follows = before is not None and before.follows and shown is known and not has_returned
        program = _program_of(shown, follows=follows)
    main.apply(replace(main.view, program=program))
    if before is None and program is not None:
        main.flash(f"{program.name} records into this and can be asked to go back (J)")
    elif before is not None and program is None:
        main.flash(f"{before.name} has ended", "warning")


def _program_of(instance: Instance, *, follows: bool) -> RecordingProgram:
    return RecordingProgram(
        id=instance.id,
        name=instance.name,
        can=frozenset(instance.can),
        at=instance.at,
        looking=instance.looking,
        paused=instance.paused,
        follows=follows,
    )


def jump(main: HistoryScreen) -> None:
    """Ask once more before the program goes on from the head: what it does then cannot be taken back."""
    program, seq = main.view.program, main.view.head
    if program is None:
        return
    choices = [MenuLine("g", f"go on from #{seq:,}", "jump", "what it records next follows that")]
    if "look" in program.can:
        choices.append(MenuLine("s", f"only show #{seq:,}", "look", "until R"))

    def chosen(what: str | None) -> None:
        if what == "jump":
            _ask(main, f"goes on from #{seq:,}", lambda client, name: client.jump(seq, instance=name))
        elif what == "look":
            look(main)

    main.open(Menu(f"Put {program.name} back", choices), chosen)


def look(main: HistoryScreen) -> None:
    """Have the program show the head, wherever it goes from here on."""
    seq, program = main.view.head, main.view.program
    if program is not None:
        main.apply(replace(main.view, program=replace(program, follows=True)))
    _ask(
        main, f"shows #{seq:,} and follows the head; R returns", lambda client, name: client.look(seq, instance=name)
    )


def back(main: HistoryScreen) -> None:
    """Have the program go on from where it was."""
    program = main.view.program
    if program is not None:
        main.apply(replace(main.view, program=replace(program, follows=False)))
    _ask(main, "goes on from where it was", lambda client, name: client.back(instance=name))


def skip(main: HistoryScreen) -> None:
    """Have the program's store leave the head's action out, or take it in again."""
    seq = main.view.head
    _ask(main, f"worked out its state anew from #{seq:,} on", lambda client, name: client.skip([seq], instance=name))


def pause(main: HistoryScreen) -> None:
    """Pause the program's recording, or have it go on."""
    program = main.view.program
    if program is not None and program.paused:
        _ask(main, "records again", lambda client, name: client.resume(instance=name))
    else:
        _ask(main, "records nothing until F", lambda client, name: client.pause(instance=name))


def _ask(main: HistoryScreen, done: str, ask: Callable[[ControlClient, str], Answer]) -> None:
    """Ask the program in a thread of its own, and say what came of it.

    Args:
        main: the screen.
        done: what the program does when it obeyed.
        ask: asks, given the connection and the instance.
    """
    program, paths = main.view.program, main.scene.history.watch_paths
    if program is None or not paths:
        return
    file, name = paths[-1], program.id

    def work() -> None:
        try:
            with ControlClient(file, timeout=_GREETING_SECONDS) as client:
                answer = ask(client, name)
        except UnspoolError as error:
            main.call_later(partial(_tell_refusal, main, file, program, error))
        else:
            main.call_later(partial(_tell_answer, main, f"{program.name} {done}", answer))

    threading.Thread(target=work, name="unspool-command", daemon=True).start()


def _tell_refusal(main: HistoryScreen, file: Path, program: RecordingProgram, error: UnspoolError) -> None:
    told = str(error).removeprefix(f"{os.fspath(file)}: ")
    now = main.view.program
    if now is not None and not now.looking:
        main.apply(replace(main.view, program=replace(now, follows=False)))
    main.flash(f"{program.name}: {told}", "error")


def _tell_answer(main: HistoryScreen, done: str, answer: Answer) -> None:
    """Say what the program did; what it could not put back is in the messages, and counted in the footer."""
    told = [f"left as it is: {text}" for text in answer.kept] + [f"not put back: {text}" for text in answer.refused]
    told += [f"made anew: {text}" for text in answer.rebuilt]
    for line in told[:_MOST_TOLD]:
        main.messages.add(line, "warning")
    if len(told) > _MOST_TOLD:
        main.messages.add(f"and {len(told) - _MOST_TOLD:,} more; `unspool jump --json` lists all", "warning")
    incomplete = len(answer.kept) + len(answer.refused)
    if incomplete:
        main.flash(f"{done}; {incomplete:,} not as they were there: ! lists them", "warning")
    else:
        main.flash(f"{done}{f'; {answer.message}' if answer.message else ''}")


def list_programs(main: HistoryScreen) -> None:
    """List what runs: Enter opens a recording, or attaches."""
    from unspool_tui.screens.programs import ProgramsPage  # loaded when it is first opened

    def leave(pid: int) -> bool:
        program = main.unspool_app.attached.get(pid)
        if program is None or not program.is_running:
            return False
        program.leave()
        return True

    main.open(ProgramsPage(main, partial(_choose_program, main), leave))


def _choose_program(main: HistoryScreen, program: LiveProgram) -> None:
    if program.file is None:
        _ask_what_to_record(main, program.pid)
        return
    instance = None if program.instance is None else _program_of(program.instance, follows=False)
    main.unspool_app.tab_screens.open(NamedSource(os.fspath(program.file)), instance)


def _ask_what_to_record(main: HistoryScreen, pid: int) -> None:
    """Ask for names, and attach; where none are given, it is told what changes most."""
    before = main.unspool_app.attached.get(pid)
    if before is not None and before.is_running:
        main.flash(f"process {pid} is being attached to already", "warning")
        return

    def typed(text: str | None) -> None:
        if text is not None:
            _attach(main, pid, text.split())

    hint = "what to record: NAME, module:NAME, @Class …, several with blanks between; nothing lists what changes most"
    main.open(Prompt(f"watch in {pid}", hint, history=main.typed.setdefault("attach", [])), typed)


def _attach(main: HistoryScreen, pid: int, names: Sequence[str]) -> None:
    from unspool_tui.live_programs import AttachedProgram  # no program is attached to by most who look

    def tell(message: Message) -> None:
        # The screen it was begun at may be behind another one by then.
        app = main.unspool_app
        app.main.call_later(partial(_attached, app, pid, message))

    try:
        main.unspool_app.attached[pid] = AttachedProgram(pid, names, tell)
    except UnspoolError as error:
        main.flash(str(error), "error")
        return
    main.flash(f"attaching to process {pid}")


def _attached(app: HistoryApp, pid: int, message: Message) -> None:
    """Take what is said of a program that is attached to."""
    main = app.main
    if message.get("recorded") and isinstance(message.get("file"), str):
        app.tab_screens.open(NamedSource(message["file"]))
        app.main.flash(f"process {pid} is recorded; it is left with this screen, or by D in its list (A)")
    elif isinstance(message.get("found"), list):
        _choose_names(app, pid, [str(name) for name in message["found"]])
    elif message.get("said"):
        main.flash(str(message["said"]), "warning")
    elif "ended" in message:
        program = app.attached.pop(pid, None)
        if program is not None and not message["ended"]:
            main.flash(f"process {pid} was left")


def _choose_names(app: HistoryApp, pid: int, names: Sequence[str]) -> None:
    """Have one of what changes most recorded, unless something else is in front by now."""
    program, main = app.attached.get(pid), app.main
    if program is None:
        return
    lines = [MenuLine(str(number) if number < _DIGITS else "", name, name) for number, name in enumerate(names, 1)]

    def chosen(name: str | None) -> None:
        if name is None:
            program.leave()
        else:
            program.watch([name])

    main.open(Menu(f"Record what of process {pid}?", lines), chosen)


CONTROLS: Final[Mapping[str, Callable[[HistoryScreen], None]]] = {
    "program.jump": jump,
    "program.look": look,
    "program.back": back,
    "program.skip": skip,
    "program.pause": pause,
    "program.list": list_programs,
}
