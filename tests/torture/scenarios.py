"""Work on files that is interrupted at every step: by a power cut, a full disk, a failing one."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torture.campaign import Outcome, Result
from torture.truth import moments, recording_process
from unspool import Recorder, open_history
from unspool.errors import UnspoolError
from unspool.model.values import strict_equal
from unspool.query.repair import repair
from unspool.store.compacting import compact, vacuum
from unspool_tui.cli import run
from unspool_tui.source import keep

Ack = Callable[[str], None]
"""Says, in a way that outlives a power cut, that something is done."""
ENTRIES = 150
OLD = 20
"""Entries of a file that is there before."""
_known: dict[int, bytes] = {}
"""Closed files by their number of entries: most scenarios begin with the same one."""
PLACE = b'{"head": 3}' * 40


@dataclass(frozen=True)
class Scenario:
    """Work on files in one folder.

    Attributes:
        name: what it is called.
        prepare: makes what is there before.
        act: does the work.
        check: says whether what is there afterwards is as promised, given what was said to be done, and whether the power
            was cut.
        writes: it writes anything.
    """

    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Path, Ack], None]
    check: Callable[[Path, list[str], bool], Result]
    writes: bool = True


def states(count: int) -> list[dict[str, Any]]:
    """Return the states that scenarios record."""
    return [state for state, _ in moments(count)]


def acked(acks: list[str], word: str) -> int:
    """Return the highest number that was said together with a word; -1 where it never was."""
    return max((int(ack.split()[1]) for ack in acks if ack.startswith(word + " ")), default=-1)


def _nothing(folder: Path) -> None:
    """There is nothing before."""


def _old_file(folder: Path, name: str = "app.unspool", count: int = ENTRIES) -> None:
    if count not in _known:
        with Recorder(folder / name, on_error="raise") as recorder:
            for state, facts in moments(count):
                recorder.record(state, **facts)
        _known[count] = (folder / name).read_bytes()
    (folder / name).write_bytes(_known[count])


def _killed_file(folder: Path) -> None:
    process = recording_process(folder / "app.unspool", ENTRIES)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (folder / "app.unspool-shm").unlink(missing_ok=True)


def _with_old_out(folder: Path) -> None:
    _old_file(folder)
    _old_file(folder, "out.unspool", OLD)


def _with_old_text(folder: Path) -> None:
    _old_file(folder)
    (folder / "out.jsonl").write_text("old\n" * 50)


def _recording(durability: str) -> Callable[[Path, Ack], None]:
    def act(folder: Path, ack: Ack) -> None:
        recorder = Recorder(folder / "app.unspool", durability=durability)  # type: ignore[arg-type]
        for number, (state, facts) in enumerate(moments(ENTRIES)):
            if recorder.record(state, **facts) is None:
                break
            ack(f"entry {number}")
        is_whole = recorder.recording
        recorder.close()
        if is_whole:
            ack("closed 0")

    return act


def _continue(folder: Path, ack: Ack) -> None:
    """A recorder seals what a killed one left, and goes on."""
    recorder = Recorder(folder / "app.unspool")
    for number in range(10):
        if recorder.record({"more": number}) is None:
            break
        ack(f"more {number}")
    recorder.close()


def _command(*words: str) -> Callable[[Path, Ack], None]:
    def act(folder: Path, ack: Ack) -> None:
        code = run([word.format(folder=folder) for word in words])
        if code == 0:
            ack("done 0")
        elif code not in (1, 2, 3):
            raise AssertionError(f"exit code {code}")

    return act


def _call(work: Callable[[Path], object]) -> Callable[[Path, Ack], None]:
    def act(folder: Path, ack: Ack) -> None:
        work(folder)
        ack("done 0")

    return act


def _ask(folder: Path, ack: Ack) -> None:
    """Look only: nothing is written, so only reads can fail."""
    with open_history(folder / "app.unspool") as history:
        for seq in range(len(history)):
            if not strict_equal(history.state(seq), states(seq + 1)[seq]):
                raise AssertionError(f"entry {seq} reads otherwise")
        history.stats()
    if run(["doctor", str(folder / "app.unspool")]) not in (0, 1, 3):
        raise AssertionError("the doctor ends in another way")
    ack("done 0")


def _read(path: Path) -> list[dict[str, Any]] | Result:
    try:
        with open_history(path, format="unspool") as history:
            return [history.state(seq) for seq in range(len(history))]
    except UnspoolError as error:
        return Result(Outcome.LOST, f"{path.name} does not read: {error}")


def _has(path: Path, whole: list[dict[str, Any]], at_least: int) -> Result:
    """A file holds the first entries of a list, as many as were promised."""
    if not path.exists() or path.stat().st_size == 0:
        return Result(Outcome.LOST, f"{path.name} is gone") if at_least else Result(Outcome.RIGHT)
    found = _read(path)
    if isinstance(found, Result):
        if not at_least and "empty database" in found.told:
            return Result(Outcome.TYPED, found.told)
        return found
    if not strict_equal(found, whole[: len(found)]):
        return Result(Outcome.WRONG, f"{path.name} holds other states than those recorded")
    if len(found) < at_least:
        return Result(Outcome.LOST, f"{path.name} holds {len(found)} entries, {at_least} were promised")
    return Result(Outcome.RIGHT)


def _check_consistent(folder: Path, acks: list[str], was_cut: bool) -> Result:
    """A power cut leaves what was recorded up to some entry, and a closed file whole; nothing else loses an entry."""
    is_promised = not was_cut or "closed 0" in acks
    return _has(folder / "app.unspool", states(ENTRIES), acked(acks, "entry") + 1 if is_promised else 0)


def _check_full(folder: Path, acks: list[str], was_cut: bool) -> Result:
    return _has(folder / "app.unspool", states(ENTRIES), acked(acks, "entry") + 1)


def _check_continued(folder: Path, acks: list[str], was_cut: bool) -> Result:
    whole = [*states(ENTRIES), *({"more": number} for number in range(10))]
    return _has(folder / "app.unspool", whole, ENTRIES + (0 if was_cut else acked(acks, "more") + 1))


def _check_same(folder: Path, acks: list[str], was_cut: bool) -> Result:
    return _has(folder / "app.unspool", states(ENTRIES), ENTRIES)


def _check_new(folder: Path, acks: list[str], was_cut: bool) -> Result:
    """The source is as it was; the new file is whole or not there, and it is there once that was said."""
    source, out = _check_same(folder, acks, was_cut), folder / "out.unspool"
    if not source.outcome.is_fine:
        return source
    if not out.exists():
        return Result(Outcome.LOST, "the new file is not there") if acks else Result(Outcome.RIGHT)
    return _has(out, states(ENTRIES), ENTRIES)


def _check_replaced(folder: Path, acks: list[str], was_cut: bool) -> Result:
    """The new file or the old one, whole."""
    source, found = _check_same(folder, acks, was_cut), _read(folder / "out.unspool")
    if not source.outcome.is_fine:
        return source
    if isinstance(found, Result):
        return found
    kept = [states(ENTRIES)] if acks else [states(ENTRIES), states(OLD)]
    return Result(Outcome.RIGHT) if found in kept else Result(Outcome.WRONG, f"out holds {len(found)} entries")


def _check_text(folder: Path, acks: list[str], was_cut: bool) -> Result:
    content = (folder / "out.jsonl").read_text() if (folder / "out.jsonl").exists() else None
    if content is None:
        return Result(Outcome.LOST, "neither the old file nor the new one is there")
    if content == "old\n" * 50:
        return (
            Result(Outcome.LOST, "the old file is there after the new one was promised")
            if acks
            else Result(Outcome.RIGHT)
        )
    lines = content.splitlines()
    if len(lines) != ENTRIES or not all(_parses(line) for line in lines):
        return Result(Outcome.WRONG, f"the new file has {len(lines)} lines")
    return _check_same(folder, acks, was_cut)


def _parses(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _check_place(folder: Path, acks: list[str], was_cut: bool) -> Result:
    path = folder / "place.json"
    content = path.read_bytes() if path.exists() else b""
    if content == PLACE or (content == b"{}" and not acks):
        return Result(Outcome.RIGHT)
    return Result(Outcome.LOST, f"the remembered place is {content[:20]!r}")


SCENARIOS = {
    one.name: one
    for one in (
        Scenario("record", _nothing, _recording("default"), _check_consistent),
        Scenario("record full", _nothing, _recording("full"), _check_full),
        Scenario("continue", _killed_file, _continue, _check_continued),
        Scenario(
            "compact",
            _old_file,
            _call(lambda folder: compact(folder / "app.unspool", folder / "out.unspool")),
            _check_new,
        ),
        Scenario("vacuum", _old_file, _call(lambda folder: vacuum(folder / "app.unspool")), _check_same),
        Scenario(
            "repair",
            _old_file,
            _call(lambda folder: repair(folder / "app.unspool", folder / "out.unspool")),
            _check_new,
        ),
        Scenario(
            "convert",
            _old_file,
            _command("convert", "{folder}/app.unspool", "{folder}/out.unspool", "-q"),
            _check_new,
        ),
        Scenario(
            "convert --force",
            _with_old_out,
            _command("convert", "--force", "{folder}/app.unspool", "{folder}/out.unspool", "-q"),
            _check_replaced,
        ),
        Scenario(
            "export --force",
            _with_old_text,
            _command("export", "--force", "--format", "jsonl", "{folder}/app.unspool", "{folder}/out.jsonl"),
            _check_text,
        ),
        Scenario(
            "remember",
            lambda folder: (folder / "place.json").write_bytes(b"{}") and None,
            _call(lambda folder: keep(folder / "place.json", PLACE)),
            _check_place,
        ),
        Scenario("look", _old_file, _ask, _check_same, writes=False),
    )
}
