"""Which code belongs to the program that is looked at, and where in it something happens: line, caller, thread, task."""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Iterable
from itertools import islice
from types import CodeType, FrameType, ModuleType

from unspool.live.agent.sites import SOURCES, Place, Places
from unspool.live.agent.wire import module_name, mro_of, type_name

TEXT_FILE = "<string>"
"""What Python calls the file of the text that `-c` was given, and of whatever text a program runs."""
OUTWARDS = 60
"""Frames that are looked through for a caller in the project."""
_MOST_LOOKED_INTO = 40
"""Files of libraries that are looked into because classes of theirs are watched."""
_AGENT_FILE = type_name.__code__.co_filename
_LIBRARY = os.path.join(os.path.realpath(os.path.dirname(os.__file__)), "")
"""Where the standard library is, whose code is nobody's own, wherever it lies."""


def current_folder() -> str:
    """Return the current folder; "" where it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def own_folders(main_file: str, *, is_started_here: bool) -> list[str]:
    """Return the folders whose code is the program's own.

    Args:
        main_file: file of the main module, "" where there is none.
        is_started_here: the current folder is as likely as that of the main module, which may be a library's, as in `-m flask`, or a
            server's that loads the program.
    """
    folder = os.path.dirname(os.path.abspath(main_file)) if main_file else ""
    is_others = "-packages" in folder or folder == os.path.dirname(os.path.abspath(sys.executable))
    is_others = is_others or (is_started_here and is_installed(folder))
    # The command of a package, as `flask` is, wherever it is kept.
    is_others = is_others or (os.path.basename(folder) in ("bin", "Scripts") and not main_file.endswith(".py"))
    found = [] if not folder or is_others else [folder]
    here = current_folder()
    if here and (not found or (is_started_here and here not in (*found, "/"))):
        found.append(here)
    return found


def is_installed(place: str) -> bool:
    """Whether a file or folder lies where packages are installed: in `site-packages`, or whatever `pip --target` was told."""
    if "-packages" in place:
        return True
    folder = os.path.dirname(place)
    known = _INSTALLED.get(folder)
    if known is None:
        try:
            with os.scandir(folder) as entries:
                known = any(entry.name.endswith(".dist-info") for entry in islice(entries, _MOST_LISTED))
        except OSError:
            known = False
        outer = os.path.dirname(folder)
        known = _INSTALLED[folder] = known or (outer != folder and is_installed(folder))
    return known


_MOST_LISTED = 10_000
_INSTALLED: dict[str, bool] = {}


class Whereabouts:
    """The project's folders, and its places."""

    def __init__(self, folders: list[str]) -> None:
        """Begin.

        Args:
            folders: whose code is the program's own.
        """
        self.prefixes = tuple(os.path.join(os.path.realpath(item), "") for item in folders)
        self.places = Places()
        self.main_thread = _thread.get_ident()
        self.timer_thread = 0
        self._is_project: dict[str, bool] = {}
        self._looked_into: set[str] = set()
        self._given: dict[int, CodeType] = {}

    def is_project(self, file: str) -> bool:
        """Whether a file belongs to the program that is looked at, rather than to a library."""
        known = self._is_project.get(file)
        if known is None:
            known = self._is_project[file] = self._belongs(file)
        return known

    def _belongs(self, file: str) -> bool:
        if file.startswith("<") or file == _AGENT_FILE:
            return False
        place = os.path.realpath(file)
        if place.startswith(_LIBRARY) and "-packages" not in place:
            return any(place.startswith(prefix) for prefix in self.prefixes if prefix.startswith(_LIBRARY))
        found = [prefix for prefix in self.prefixes if place.startswith(prefix)]
        if not found:
            return False
        return not is_installed(place) or any(is_installed(prefix) for prefix in found)

    def owns(self, code: CodeType) -> bool:
        """Whether code belongs to the program that is looked at: by its file, or as part of the text that `-c` was given."""
        file = code.co_filename
        return id(code) in self._given if file == TEXT_FILE else self.is_project(file)

    def owns_module(self, module: object) -> bool:
        """Whether a module belongs to the program that is looked at."""
        if type(module) is not ModuleType:
            return False
        file = vars(module).get("__file__")
        return (
            self.is_project(file)
            if type(file) is str
            else bool(self._given) and module is sys.modules.get("__main__")
        )

    def take_text(self, code: CodeType, text: str) -> None:
        """Take the text that `-c` was given for the program's own, unlike others that Python calls by the same name.

        Args:
            code: of its module.
            text: its lines; "" where they are not to be had.
        """
        self._given[id(code)] = code
        for part in code.co_consts:
            if type(part) is CodeType:
                self.take_text(part, "")
        if text:
            SOURCES.keep(TEXT_FILE, text)

    def is_looked_into(self, code: CodeType) -> bool:
        """Whether stores of code are looked at: the program's own, and that of classes which are watched."""
        return self.owns(code) or code.co_filename in self._looked_into

    def look_into(self, kinds: Iterable[type]) -> bool:
        """Look into the modules of classes too; return whether any is new."""
        before = len(self._looked_into)
        for base in {base for kind in kinds for base in mro_of(kind)}:
            module = sys.modules.get(module_name(base))
            file = getattr(module, "__file__", None)
            if type(file) is not str or len(self._looked_into) >= _MOST_LOOKED_INTO or self.is_project(file):
                continue
            place = os.path.realpath(file)
            if file.endswith(".py") and (is_installed(place) or not place.startswith(_LIBRARY)):
                self._looked_into.add(file)
        return len(self._looked_into) != before

    def blamed(self, place: Place | None, frame: FrameType | None) -> tuple[Place | None, FrameType | None]:
        """Return the line of the program that caused what library code did at a place: the innermost one that led there.

        Where none did, as in a server's own thread, it is the place itself.
        """
        if frame is None or self.owns(frame.f_code):
            return place, frame
        outer = frame.f_back
        for _ in range(OUTWARDS):
            if outer is None:
                break
            if self.owns(outer.f_code):
                return self.places.of(outer.f_code, outer.f_lineno or 0), outer
            outer = outer.f_back
        return place, frame

    def unit_of(self, frame: FrameType) -> FrameType:
        """Return the frame whose end settles what a frame changes, under `call`.

        It is the outermost project frame below one of a library (a framework's handler) or below one that is in a loop.
        """
        inward = [frame]
        while (outer := inward[-1].f_back) is not None and len(inward) < 500:
            inward.append(outer)
        candidate: FrameType | None = None
        previous: FrameType | None = None
        for item in reversed(inward):
            is_own = self.owns(item.f_code)
            if is_own:
                if previous is not None and item.f_code.co_name != "<module>":
                    is_outer_own = self.owns(previous.f_code)
                    if not is_outer_own or is_in_loop(previous):
                        return item
                if item.f_code.co_name != "<module>":
                    candidate = candidate or item
            if is_own or candidate is not None or previous is not None:
                previous = item
        return candidate or frame

    def thread(self) -> str:
        """Return the name of this thread; "" for the main one, and for the timer's, which is none of the program's."""
        return "" if _thread.get_ident() in (self.main_thread, self.timer_thread) else _thread_name()

    def is_alone(self) -> bool:
        """Whether no other thread of the program may do anything meanwhile."""
        return not sys._current_frames().keys() - {_thread.get_ident(), self.timer_thread}

    def caller(self, frame: FrameType) -> Place | None:
        """Return the innermost line of the project that called a frame."""
        outer = frame.f_back
        for _ in range(OUTWARDS):
            if outer is None:
                return None
            if self.owns(outer.f_code):
                return self.places.of(outer.f_code, outer.f_lineno or 0)
            outer = outer.f_back
        return None

    def place_of(self, frame: FrameType | None) -> Place | None:
        """Return the innermost line of the project that a frame stands at or below."""
        for _ in range(OUTWARDS):
            if frame is None:
                return None
            if self.owns(frame.f_code):
                return self.places.of(frame.f_code, frame.f_lineno or 0)
            frame = frame.f_back
        return None


def running_frames() -> list[FrameType]:
    """Return the innermost frame of each thread of the program; of this thread, the one that the agent was called from.

    A frame of the agent that held itself would keep all frames around it, and what is in their variables, until garbage is collected.
    """
    found = sys._current_frames()
    del found[_thread.get_ident()]
    outer: FrameType | None = sys._getframe().f_back
    while outer is not None and outer.f_code.co_filename == _AGENT_FILE:
        outer = outer.f_back
    return [*found.values(), *(() if outer is None else (outer,))]


def is_in_loop(frame: FrameType) -> bool:
    """Whether a frame is within a loop of its code: what it calls there is done again and again."""
    at = frame.f_lasti
    return any(start <= at <= end for start, end in _loops_of(frame.f_code))


def _loops_of(code: CodeType) -> list[tuple[int, int]]:
    """Return where the loops of code begin and end."""
    known = _LOOPS.get(id(code))
    if known is None or known[0] is not code:
        import dis  # the program need not wait for it

        # Awaiting is a loop of instructions too, but none of the source.
        jumps = [item for item in dis.get_instructions(code) if "JUMP_BACKWARD" in item.opname]
        found = [(item.argval, item.offset) for item in jumps if not item.opname.endswith("NO_INTERRUPT")]
        known = (code, found)
        if len(_LOOPS) > 10_000:
            _LOOPS.clear()
        _LOOPS[id(code)] = known
    return known[1]


_LOOPS: dict[int, tuple[CodeType, list[tuple[int, int]]]] = {}


def _thread_name() -> str:
    module = sys.modules.get("threading")
    thread = getattr(module, "_active", {}).get(_thread.get_ident())
    name = getattr(thread, "__dict__", {}).get("_name")
    return name if type(name) is str else f"thread {_thread.get_native_id()}"


def task_name() -> str:
    """Return the name of the asyncio task that runs in this thread; "" for none."""
    module = sys.modules.get("_asyncio")
    if module is None:
        return ""
    loop = module._get_running_loop()
    task = module.current_task(loop) if loop is not None and hasattr(module, "current_task") else None
    if task is None:
        tasks = sys.modules.get("asyncio.tasks")
        task = getattr(tasks, "_current_tasks", {}).get(loop) if loop is not None else None
    return str(task.get_name()) if task is not None and type_name(type(task)).startswith("_asyncio.") else ""
