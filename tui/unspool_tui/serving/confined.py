"""Inside a visitor's process: it draws into a pipe, ends with its server, and writes nowhere but where it may.

`permits` refuses what a visitor may not do, with the reason, and is what a visitor meets. The hook here is the second
wall: it sees what the interpreter is about to open, rename, remove or run, whatever part of the program asks for it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TextIO

from textual import events
from textual.drivers.web_driver import WebDriver
from textual.geometry import Size
from textual.message import Message
from textual.messages import ExitApp

from unspool_tui.permits import Permits
from unspool_tui.serving import SCRATCH, clamped

GRACE_S: Final = 1.0
"""Seconds that the screen has to end by itself once its server is gone."""
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PROGRAMS: Final = frozenset({"git"})
"""Programs that reading a source needs."""
_NO_FOLDER: Final = -1


class VisitorDriver(WebDriver):
    """Textual's web driver, which also ends when its server does, and hands the browser no files and no addresses."""

    def process_message(self, message: Message) -> None:
        """Pass on what the browser sent; a terminal can tell its size in what looks like keys."""
        if isinstance(message, events.Resize):
            size = Size(*clamped(message.size.width, message.size.height))
            message = events.Resize(size, size)
        super().process_message(message)

    def run_input_thread(self) -> None:
        """Take input until there is no more, then leave: whoever sent it is gone."""
        super().run_input_thread()
        if self.exit_event.is_set():
            return
        self.send_message(ExitApp())
        # The screen may be in the middle of something long, or wait for a pipe that nobody empties.
        time.sleep(GRACE_S)
        atexit._run_exitfuncs()
        os._exit(1)

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Open nothing: what is recorded may hold any address."""

    def deliver_binary(
        self,
        binary: BinaryIO | TextIO,
        *,
        delivery_key: str,
        save_path: Path,
        open_method: Literal["browser", "download"] = "download",
        encoding: str | None = None,
        mime_type: str | None = None,
        name: str | None = None,
    ) -> None:
        """Deliver no file."""
        binary.close()


class Confinement:
    """What the process may write and run from now on; it holds until the process ends."""

    def __init__(self, permits: Permits) -> None:
        """Prepare to confine.

        Args:
            permits: where the visitor may write, if anywhere.
        """
        folder = Path(tempfile.gettempdir()).resolve()
        # Only a folder that the server made for this visitor is its own to fill and to remove.
        self._scratch = folder if folder.name.startswith(SCRATCH) else None
        self._below = tuple(place for place in (self._scratch, permits.below) if place is not None)
        self._watched: Mapping[str, Callable[..., None]] = {
            "open": self._open,
            "os.remove": self._change,
            "os.rmdir": self._change,
            "os.truncate": self._change,
            "os.mkdir": self._change_second,
            "os.chmod": self._change_second,
            "os.chown": self._change_third,
            "os.utime": self._change_third,
            "os.setxattr": self._change,
            "os.removexattr": self._change,
            "os.chflags": self._change,
            "os.rename": self._move,
            "os.link": self._move,
            "os.symlink": self._refuse,
            "sqlite3.connect": self._database,
            "subprocess.Popen": self._run,
            **dict.fromkeys(
                ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn"),
                self._refuse,
            ),
        }

    def begin(self) -> None:
        """Hold this process to it, and sweep its own folder for temporary files when it ends."""
        sys.dont_write_bytecode = True
        if self._scratch is not None:
            atexit.register(shutil.rmtree, self._scratch, ignore_errors=True)
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        watch = self._watched.get(event)
        if watch is not None:
            watch(*args)

    def _open(self, path: Any, mode: str | None, flags: int) -> None:
        if flags & _WRITING and not isinstance(path, int) and path != os.devnull:
            self._change(path)

    def _change(self, path: Any, folder: int = _NO_FOLDER, *_: Any) -> None:
        if isinstance(path, int):
            # An open file, which passed when it was opened.
            return
        place = _resolved(path, folder)
        if place is None or not any(place.is_relative_to(below) for below in self._below):
            raise PermissionError(1, "a served screen may not write there", os.fsdecode(path))

    def _change_second(self, path: Any, _: Any, folder: int = _NO_FOLDER) -> None:
        self._change(path, folder)

    def _change_third(self, path: Any, _: Any, __: Any, folder: int = _NO_FOLDER) -> None:
        self._change(path, folder)

    def _move(self, old: Any, new: Any, old_folder: int = _NO_FOLDER, new_folder: int = _NO_FOLDER) -> None:
        self._change(old, old_folder)
        self._change(new, new_folder)

    def _database(self, name: Any) -> None:
        text = os.fsdecode(name)
        if text in ("", ":memory:") or (text.startswith("file:") and "mode=ro" in text.partition("?")[2].split("&")):
            return
        self._change(text.removeprefix("file:").partition("?")[0] if text.startswith("file:") else text)

    def _run(self, program: Any, *_: Any) -> None:
        if Path(os.fsdecode(program)).name not in _PROGRAMS:
            self._refuse()

    def _refuse(self, *_: Any) -> None:
        raise PermissionError(1, "a served screen may not do that")


def _resolved(path: Any, folder: int) -> Path | None:
    """Return the place that a name means, every link followed; None when it cannot be told."""
    try:
        name = Path(os.fsdecode(path))
        if folder != _NO_FOLDER:
            base = Path(f"/proc/self/fd/{folder}").resolve()
            if not base.is_dir() or base.is_relative_to("/proc"):
                return None
            name = base / name
        return name.resolve()
    except (OSError, ValueError, RuntimeError):
        return None
