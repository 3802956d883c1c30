"""Random programs under the agent against brute force: every entry is a state the program was in, and names its line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from support.live_host import Recorded, pythons, record
from support.live_programs import atoms, program, reference

SEEDS = range(int(os.environ.get("UNSPOOL_AGENT_SEEDS", "2")))
MANY = range(1000, 1000 + int(os.environ.get("UNSPOOL_AGENT_MANY", "40")))


def changes(seen: Recorded) -> list[tuple[int, Any, dict[str, Any]]]:
    """Return line and state of each entry that changed anything."""
    found: list[tuple[int, Any, dict[str, Any]]] = []
    for entry in seen.entries:
        state = atoms(entry["state"])
        if (state or found) and (not found or repr(found[-1][1]) != repr(state)):
            found.append((entry["line"], state, entry))
    return found


def check(folder: Path, seed: int, version: str) -> tuple[int, int]:
    """Hold one program against the reference; return changes, and those whose line was named."""
    source = program(seed)
    expected = reference(folder, pythons().get("3.11", pythons()[version]), source)
    seen = record(folder, source, version, name="program.py", watch=["ROOT"], exact=True, stores=True)
    assert seen.code == 0, seen.err
    assert seen.of_kind("bye")[0]["faults"] == []
    found = changes(seen)
    places = {repr(state): number for number, (_, state) in reversed(list(enumerate(expected)))}
    named = 0
    lines_of: dict[str, set[int]] = {}
    for line, state in expected:
        lines_of.setdefault(repr(state), set()).add(line)
    for line, state, entry in found:
        if entry.get("unseen"):
            continue
        assert repr(state) in places, (version, seed, line, entry["action"], state)
        if line in lines_of[repr(state)]:
            named += 1
    assert repr(found[-1][1]) == repr(expected[-1][1]), (version, seed)
    return len(expected), named


@pytest.mark.parametrize("version", pythons())
@pytest.mark.parametrize("seed", SEEDS)
def test_entries_are_what_brute_force_sees(tmp_path: Path, seed: int, version: str) -> None:
    expected, named = check(tmp_path, seed, version)
    assert named >= 0.8 * expected, (named, expected)


@pytest.mark.parametrize("version", pythons())
@pytest.mark.parametrize("seed", SEEDS)
def test_without_exactness_entries_are_right_or_marked(tmp_path: Path, seed: int, version: str) -> None:
    source = program(seed + 1)
    expected = reference(tmp_path, pythons().get("3.11", pythons()[version]), source)
    seen = record(tmp_path, source, version, name="program.py", watch=["ROOT"], stores=True)
    known = {repr(state) for _, state in expected}
    found = changes(seen)
    for _, state, entry in found:
        is_marked = any(entry.get(mark) for mark in ("unseen", "doubt", "merged", "capped", "cut"))
        assert is_marked or repr(state) in known, (version, seed, entry["action"])
    assert repr(found[-1][1]) == repr(expected[-1][1])


@pytest.mark.slow
@pytest.mark.parametrize("version", pythons())
def test_many_programs_are_what_brute_force_sees(tmp_path: Path, version: str) -> None:
    total = right = 0
    for seed in MANY:
        expected, named = check(tmp_path, seed, version)
        total += expected
        right += named
    assert right >= 0.95 * total, (right, total)
