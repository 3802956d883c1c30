"""Sockets have a folder whose path leaves room for their names, however deep the usual ones lie."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from unspool.control.channel import LONGEST_PLACE, control_places, make_runtime_folder, runtime_folder


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_a_deep_folder_is_passed_over(tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv(variable, str(deep))
    monkeypatch.setattr(tempfile, "tempdir", None)
    places = control_places(deep / "shop.unspool")
    assert places
    assert all(len(os.fsencode(place)) <= LONGEST_PLACE for place in places)
    make_runtime_folder(runtime_folder())
    with socket.socket(socket.AF_UNIX) as bound:
        place = runtime_folder() / f"{os.getpid():032}.sock"
        bound.bind(str(place))
        place.unlink()
