"""Starting and ending: the agent as the script that runs a program, or as text that was put into one that runs."""

from __future__ import annotations

import _thread
import atexit
import json
import os
import sys
import time
from collections.abc import Callable
from types import CodeType, ModuleType, TracebackType
from typing import Any

from unspool.live.agent.control import Control
from unspool.live.agent.discovery import Discovery
from unspool.live.agent.events import HeldByAnother, Monitoring
from unspool.live.agent.recording import DEFAULTS, Session
from unspool.live.agent.tracing import HeldByTracer, Tracing
from unspool.live.agent.whereabouts import TEXT_FILE, current_folder, own_folders
from unspool.live.agent.wire import Link

_VARIABLE = "UNSPOOL_AGENT"
_MONITORING_SINCE = (3, 12)
_TEXTS_ARE_SHOWN_SINCE = (3, 13)
_here: list[Agent] = []
"""The agent of this process, while there is one."""


class Agent:
    """One recording of this process, from hello to bye."""

    def __init__(self, config: dict[str, Any], main_file: str, *, is_attached: bool) -> None:
        """Connect, and say hello.

        Args:
            config: as the wire contract has it.
            main_file: file of the main module, "" where there is none.
            is_attached: the program ran before.

        Raises:
            OSError: nobody listens.
            HeldByAnother: another tool is in the way.
        """
        full = {**DEFAULTS, **config}
        full["prefix"] = [
            *own_folders(main_file, is_started_here=is_attached or sys.argv[:1] == ["-m"]),
            *full["prefix"],
        ]
        self._is_attached = is_attached
        self.link = Link(str(full["socket"]), waits=full["behind"] == "wait")
        try:
            self.session = Session(full, self.link, main_file)
            if is_attached:
                self.session.where.main_thread = _main_thread()
                _take_running_text(self.session)
            self._eyes = self._open_eyes(full)
        except BaseException:
            self.link.close()
            raise
        self.session.on_too_many_faults = lambda: self.give_up()
        self.control = Control(self.session, self.link, self._look_again, self.detach)
        if not full["watch"]:
            found = self.control.discovery = Discovery(self.session, has_events=self._eyes is not None)
            if self._eyes is not None:
                self.session.on_store = found.saw
        self.link.send(self._hello(full, main_file))

    def _open_eyes(self, config: dict[str, Any]) -> Monitoring | Tracing | None:
        if sys.version_info >= _MONITORING_SINCE:
            return Monitoring(self.session)
        return Tracing(self.session) if config["stores"] or config["exact"] else None

    def _hello(self, config: dict[str, Any], main_file: str) -> dict[str, Any]:
        how = "sweep" if self._eyes is None else self._eyes.how
        notes = []
        if how == "sweep":
            notes.append(
                "this Python is older than 3.12: changes are found by looking at times, without their lines; --stores, or a "
                "program run by --python python3.12, tells of each with its line"
            )
        if config["notes"] and how != "monitoring":
            which = (
                "none of the notes asked for can" if how == "sweep" else "statements of SQL to drivers in C cannot"
            )
            notes.append(f"this Python is older than 3.12: {which} be put down")
        if how == "sweep" and config["trace"]:
            notes.append("without --stores this Python, older than 3.12, tells of no call that --trace names")
        if how == "settrace":
            notes.append("this Python is older than 3.12: stores are seen by sys.settrace, which slows the program")
        return {
            "m": "hello",
            "v": 1,
            "pid": os.getpid(),
            "python": ".".join(map(str, sys.version_info[:3])),
            "executable": sys.executable,
            "argv": sys.argv,
            "cwd": current_folder(),
            "main": main_file,
            "how": how,
            "settle": config["settle"],
            "watch": config["watch"],
            "can": ["jump", "pause", "resume", "detach"],
            "notes": notes,
            "token": config["token"],
            "t": time.time_ns(),
        }

    def start(self) -> None:
        """Begin to look."""
        session = self.session
        if session.enter(is_planned=True):
            try:
                if self._is_attached:
                    if isinstance(self._eyes, Monitoring):
                        self._eyes.instrument_running()
                    session.look_at_all(None, None)
                if self._eyes is not None:
                    self._eyes.start()
            finally:
                session.leave()
        self.control.start()

    def _look_again(self) -> None:
        """Bring back what was disabled; called at every turn of the timer."""
        if isinstance(self._eyes, Monitoring):
            self._eyes.bring_back()

    def end(self, why: str) -> None:
        """Say goodbye; the program goes on as if nobody had ever looked."""
        session = self.session
        if session.pid != os.getpid():
            return
        # No thread can be started at the end of a program.
        session.on_event = None
        if why == "exit":
            session.take_back()
        if session.enter(is_planned=True):
            try:
                if why == "exit" and self.control.discovery is not None:
                    self.control.discovery.turn(is_last=True)
                if why == "exit":
                    session.flush_pending(None, is_last=True)
                    session.look_at_all(None, None)
                if self._eyes is not None:
                    self._eyes.stop()
                session.bye(why)
                if why != "exit":
                    session.let_go()
            finally:
                session.leave()
        self.link.close()
        self.control.stop()
        _here.clear()

    def detach(self, why: str = "detach") -> None:
        """End the recording while the program goes on."""
        atexit.unregister(self._at_exit)
        self.end(why)

    def give_up(self) -> None:
        """End the recording in the middle of a turn, after too many faults."""
        session = self.session
        if self._eyes is not None:
            self._eyes.stop()
        session.bye("fault")
        atexit.unregister(self._at_exit)
        _here.clear()

    def _at_exit(self) -> None:
        try:
            self.end("exit")
        except Exception:  # noqa: BLE001 - the end of the program is its own
            self.link.close()

    def until_exit(self) -> None:
        """Say goodbye at the end of the program."""
        atexit.register(self._at_exit)

    def in_child(self) -> None:
        """Let go of everything in a forked child, which is not recorded."""
        self.session.is_over = True
        self.link.close()
        self.control.forget()
        if self._eyes is not None:
            self._eyes.stop()
        atexit.unregister(self._at_exit)


def _main_thread() -> int:
    module = sys.modules.get("threading")
    ident = getattr(getattr(module, "_main_thread", None), "_ident", None)
    return ident if isinstance(ident, int) else _thread.get_ident()


def attach(config: dict[str, Any]) -> None:
    """Record the process that this is called in; a refusal goes to the host, and the program goes on.

    Args:
        config: as the wire contract has it.
    """
    main = sys.modules.get("__main__")
    main_file = getattr(main, "__file__", None)
    try:
        if _here:
            _refuse(config, "an agent of unspool records this process already: detach it first")
            return
        agent = Agent(config, main_file if type(main_file) is str else "", is_attached=True)
        _here.append(agent)
        agent.until_exit()
        agent.start()
    except (HeldByAnother, HeldByTracer) as error:
        _refuse(config, str(error))
    except Exception as error:  # noqa: BLE001 - the program must not notice
        _refuse(config, f"{type(error).__name__}: {error}")


def _refuse(config: dict[str, Any], why: str) -> None:
    try:
        link = Link(str(config["socket"]), waits=False)
    except OSError:
        return
    token = config.get("token", "")
    link.send({"m": "error", "text": why, "fatal": True, "where": "start", "token": token, "pid": os.getpid()})
    link.finish()


def run() -> None:
    """Run the program that the arguments name, as Python itself would, and record it."""
    config = json.loads(os.environ.pop(_VARIABLE))
    arguments = sys.argv[1:]
    own = sys.modules["__main__"]
    sys.modules["_unspool_agent"] = own
    run_program, main_file = _program(arguments)
    agent: Agent | None = None
    try:
        del sys.orig_argv[_place_of_agent(sys.orig_argv)]
        agent = Agent(config, main_file, is_attached=False)
        _here.append(agent)
        agent.until_exit()
        _tell_of_forks(agent)
        agent.start()
    except (HeldByAnother, HeldByTracer) as error:
        _refuse(config, str(error))
    except Exception as error:  # noqa: BLE001 - the program runs all the same
        sys.stderr.write(f"unspool: not recorded: {error}\n")
    try:
        run_program()
    except BaseException as error:
        _hide_own_frames(error)
        raise


def _place_of_agent(arguments: list[str]) -> int:
    for number, item in enumerate(arguments):
        if item == sys.argv[0]:
            return number
    return len(arguments) - 1


def _tell_of_forks(agent: Agent) -> None:
    def before() -> None:
        try:
            if _here:
                _here[0].control.pause()
        except Exception as error:  # noqa: BLE001 - the program must not see a fault of ours
            agent.session.fault(error)

    def in_child() -> None:
        try:
            if _here:
                _here.pop().in_child()
        except Exception:  # noqa: BLE001 - the child is not recorded, whatever it is
            agent.session.is_over = True

    os.register_at_fork(before=before, after_in_child=in_child)


def _program(arguments: list[str]) -> tuple[Callable[[], None], str]:
    """Return what runs the program, and the file of its main module."""
    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    sys.modules["__main__"] = main
    if arguments[0] == "-m":
        import runpy  # only where a module is run by name

        name = arguments[1]
        sys.argv[:] = ["-m", *arguments[2:]]
        sys.path[0] = os.getcwd()
        run_module = runpy._run_module_as_main  # type: ignore[attr-defined]
        try:
            file = _file_of_module(name)
        except Exception:  # noqa: BLE001 - whatever it is, the program meets it by itself
            file = ""
        return lambda: run_module(name), file
    if arguments[0] == "-c":
        sys.argv[:] = ["-c", *arguments[2:]]
        sys.path[0] = ""
        text = arguments[1]
        return lambda: _run_text(text, main), ""
    file = arguments[0]
    sys.argv[:] = arguments
    if os.path.isdir(file) or file.endswith((".zip", ".pyz")):
        import runpy  # only where a folder or an archive is run

        sys.path[0] = file
        return lambda: runpy._run_module_as_main("__main__", alter_argv=False), file  # type: ignore[attr-defined]
    sys.path[0] = os.path.dirname(os.path.realpath(file))
    return lambda: _run_file(file, main), os.path.abspath(file)


def _run_text(text: str, main: ModuleType) -> None:
    code = compile(text, TEXT_FILE, "exec")
    try:
        _tell_of_text(code, text)
    except Exception as error:  # noqa: BLE001 - the program runs all the same
        for agent in _here:
            agent.session.fault(error)
    exec(code, main.__dict__)  # noqa: S102 - what the person asked to run


def _tell_of_text(code: CodeType, text: str) -> None:
    """Have the lines of `-c` known to the agent and, as Python itself does from 3.13 on, to tracebacks."""
    for agent in _here:
        agent.session.where.take_text(code, text)
    if sys.version_info >= _TEXTS_ARE_SHOWN_SINCE:
        import linecache  # the program has it from its start there

        linecache.cache[TEXT_FILE] = (len(text), None, [f"{line}\n" for line in text.splitlines()], TEXT_FILE)


def _take_running_text(session: Session) -> None:
    """Take what `-c` was given for the program's own, where it runs already."""
    given = [number for number, item in enumerate(sys.orig_argv) if item.startswith("-") and item.endswith("c")]
    texts = sys.orig_argv[given[0] + 1 :] if given else []
    frame = sys._current_frames().get(session.where.main_thread)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    if texts and frame is not None and frame.f_code.co_filename == TEXT_FILE:
        session.where.take_text(frame.f_code, texts[0])


def _file_of_module(name: str) -> str:
    import importlib.util  # only where a module is run by name

    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    return spec.origin if spec is not None and spec.origin is not None else ""


def _run_file(file: str, main: ModuleType) -> None:
    from importlib.machinery import SourceFileLoader  # nothing that the program would load by itself

    try:
        with open(file, "rb") as stream:
            data = stream.read()
    except OSError as error:
        sys.stderr.write(
            f"{sys.executable}: can't open file {os.path.abspath(file)!r}: [Errno {error.errno}] {error.strerror}\n"
        )
        raise SystemExit(2) from None
    place = os.path.abspath(file)
    main.__dict__.update(
        __file__=place,
        __cached__=None,
        __spec__=None,
        __package__=None,
        __loader__=SourceFileLoader("__main__", place),
    )
    exec(compile(data, place, "exec"), main.__dict__)  # noqa: S102 - what the person asked to run


def _hide_own_frames(error: BaseException) -> None:
    """Have the traceback that is shown begin where the program begins."""
    shown = sys.excepthook

    def hook(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        sys.excepthook = shown
        own = run.__code__.co_filename
        while trace is not None and trace.tb_frame.f_code.co_filename == own:
            trace = trace.tb_next
        value.__traceback__ = trace
        shown(kind, value, trace)

    sys.excepthook = hook
