"""Completion as a person meets it: Tab in a real, interactive shell."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from journeys.terminal_harness import Terminal
from unspool import Recorder

SHELLS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "--interactive"],
}
WITH_ITS_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Starts a shell as the program that the terminal belongs to, without which fish does not begin."""
LOADED = {
    "bash": 'eval "$(unspool completion bash)"; echo loa""ded',
    "zsh": 'autoload -U compinit; compinit -u; eval "$(unspool completion zsh)"; echo loa""ded',
    "fish": 'unspool completion fish | source; echo loa""ded',
}


@pytest.mark.parametrize(
    "shell",
    [
        pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"))
        for name in SHELLS
    ],
)
def test_tab_completes_commands_files_paths_and_entries(shell: str, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "unspool"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m unspool_tui.cli "$@"\n')
    program.chmod(0o755)
    with Recorder(tmp_path / "shop.unspool") as recorder:
        recorder.record({"carts": {"ada": {"total": 12.5}}, "stock": 3}, action="open")
    place = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PS1": "$ ",
        "PWD": str(tmp_path),
        "INPUTRC": os.devnull,
    }
    with Terminal([sys.executable, "-c", WITH_ITS_TERMINAL, shell, *SHELLS[shell]], env=place) as terminal:
        # What is typed before the shell has taken its terminal may be thrown away.
        terminal.wait_for(r"[$>#%]\s*\Z")
        terminal.send(f"cd {tmp_path}; {LOADED[shell]}", "enter")
        terminal.wait_for(r"(?m)^loaded")
        terminal.send("unspool bla\t")
        terminal.wait_for("unspool blame")
        terminal.send("sho\t")
        terminal.wait_for("blame shop.unspool")
        terminal.send("carts.ada.to\t")
        terminal.wait_for("carts.ada.total")
        terminal.send(" --at lat\t")
        terminal.wait_for("--at latest")
        terminal.send("enter")
        terminal.wait_for("carts.ada.total = 12.5")
