"""Small histories of every kind of file, what is true of each, and whether a damaged one tells anything else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torture.campaign import Outcome, Result, worst
from unspool import History, open_history
from unspool.errors import UnspoolError
from unspool.history.stats import Health
from unspool.model.values import strict_equal
from unspool.query.blame import blame
from unspool.query.doctor.blocks import DOUBT_META, HOLE_META
from unspool.query.doctor.diagnosis import Diagnosis, diagnose
from unspool.query.repair import repair
from unspool.store.protocol import HOLE

ENTRIES = 90
"""Entries of a small file: enough for blocks of two chains and a tail behind them."""
SUFFIXES = ("", "-wal")
_TESTS = Path(__file__).parents[1]

PROGRAM = """
import json, sys
from unspool import Recorder
from torture.truth import moments
recorder = Recorder(sys.argv[1], on_error="raise")
for number, (state, facts) in enumerate(moments(int(sys.argv[2]))):
    recorder.record(state, **facts)
    print(number, flush=True)
recorder.store._writer.sealer.finish()
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "more":
        recorder.record({"after": 1})
        print("more", flush=True)
    if line.strip() == "close":
        recorder.close()
        print("closed", flush=True)
"""


def moments(count: int = ENTRIES) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield small states with what else is recorded of them: actions, times, ids, meta, forks."""
    rows = [{"id": number, "n": 0} for number in range(3)]
    state: dict[str, Any] = {"cart": {"items": rows, "total": 0}, "user": "ann", "flag": False}
    for step in range(count):
        rows = [{**row, "n": row["n"] + (row["id"] == step % 3)} for row in rows]
        state = {**state, "cart": {"items": rows, "total": step * 3}}
        if step % 7 == 3:
            state["flag"] = not state["flag"]
        if step % 11 == 5:
            state[f"extra{step % 4}"] = "x" * (step % 13)
        if step % 23 == 22:
            state.pop("extra1", None)
        facts: dict[str, Any] = {"action": f"step {step % 5}", "timestamp_ns": 10**18 + step * 10**9}
        if step % 10 == 4:
            facts["meta"] = {"who": step}
        if step % 29 == 28:
            facts["entry_id"] = f"id{step}"
        if step == 41:
            facts["parent_seq"] = 30
        yield state, facts


def recording_process(path: Path, count: int = ENTRIES) -> subprocess.Popen[str]:
    """Start a process that records small states; it says so and waits."""
    return started(PROGRAM, str(path), str(count))


def started(program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that records, and wait until it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_TESTS)},
    )
    assert process.stdout is not None
    while process.stdout.readline().strip() != "ready":
        assert process.poll() is None, "the recording process ended"
    return process


def told(process: subprocess.Popen[str], word: str) -> None:
    """Tell a recording process something, and wait until it is done."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()
    while process.stdout.readline().strip() != {"close": "closed"}.get(word, word):
        assert process.poll() is None, "the recording process ended"


@dataclass(frozen=True)
class Specimen:
    """A small file of one kind, with its log where it has one.

    Attributes:
        kind: which kind.
        parts: bytes of the main file and of what lies beside it, by suffix.
        answers: what is true, by question.
        closed: the recording was closed: nothing may be missing. None while it goes on.
    """

    kind: str
    parts: dict[str, bytes]
    answers: dict[tuple[Any, ...], Any]
    closed: bool | None

    def put(self, path: Path, changed: dict[str, bytes] | None = None) -> None:
        """Write it to a path, with some of its parts changed."""
        for suffix in ("", "-wal", "-shm", "-lock", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        for suffix, content in {**self.parts, **(changed or {})}.items():
            path.with_name(path.name + suffix).write_bytes(content)

    def check(self, recorded: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        """Compare the answers of the unharmed file with what was recorded, so that truth is not what we answer."""
        assert len(recorded) == self.answers[("length",)], self.kind
        for seq, (state, facts) in enumerate(recorded):
            assert strict_equal(self.answers["state", seq], state)
            entry = self.answers["entry", seq]
            assert (entry["action"], entry["timestamp_ns"]) == (facts["action"], facts["timestamp_ns"])


def specimens(folder: Path) -> list[Specimen]:
    """Make a small file of each kind."""
    folder.mkdir(exist_ok=True)
    closed = _closed(folder / "closed.unspool")
    compacted = folder / "compacted.unspool"
    _compact(closed, compacted)
    killed = _killed(folder / "killed.unspool", ENTRIES)
    tail_only = _folded(_killed(folder / "young.unspool", 30))
    folded = _folded(_killed(folder / "folded.unspool", ENTRIES))
    return [
        _specimen("closed", closed, closed=True),
        _specimen("compacted", compacted, closed=True),
        _specimen("killed", killed, closed=False),
        _specimen("tail only", tail_only, closed=False),
        _specimen("blocks and tail", folded, closed=False),
    ]


def _closed(path: Path) -> Path:
    process = recording_process(path)
    told(process, "close")
    process.communicate()
    return path


def _killed(path: Path, count: int) -> Path:
    process = recording_process(path, count)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()
    return path


def _folded(path: Path) -> Path:
    """Have the log folded into the file, as a tool that looks into it does on leaving."""
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


def _compact(path: Path, out: Path) -> None:
    from unspool.store.compacting import compact

    compact(path, out)


def _specimen(kind: str, path: Path, *, closed: bool) -> Specimen:
    parts = {}
    for suffix in SUFFIXES:
        side = path.with_name(path.name + suffix)
        if side.exists() and side.stat().st_size:
            parts[suffix] = side.read_bytes()
    found = answered(Specimen(kind, parts, {}, closed), path.with_name("copy.unspool"))
    found.check(list(moments(found.answers[("length",)])))
    assert found.answers[("length",)] in (ENTRIES, 30), kind
    return found


def answered(specimen: Specimen, copy: Path) -> Specimen:
    """Return a specimen with the answers of the unharmed file, asked in a copy."""
    specimen.put(copy)
    with open_history(copy) as history:
        answers = {question: answer() for question, answer in questions(history)}
    return Specimen(specimen.kind, specimen.parts, answers, specimen.closed)


def questions(history: History, recorded: int | None = None) -> Iterator[tuple[tuple[Any, ...], Callable[[], Any]]]:
    """Yield each question with what answers it.

    Args:
        history: what is asked.
        recorded: how many entries there were before the damage; as many as there are where None.
    """
    count = len(history)
    every = 3 if (count if recorded is None else recorded) > 20 else 1
    yield ("length",), lambda: count
    yield ("columns",), lambda: _columns(history)
    for seq in range(count):
        yield ("entry", seq), lambda seq=seq: _entry(history, seq)
        yield ("state", seq), lambda seq=seq: history.state(seq)
    for seq in range(0, count, every):
        yield ("changed", seq), lambda seq=seq: sorted((atom, str(kind)) for atom, kind in history.changed_atoms(seq))
        yield ("value", seq), lambda seq=seq: _value(history, seq)
        yield ("diff", seq), lambda seq=seq: _diff(history, seq)
    for atom in ("cart", "flag", "extra0", "extra1", "extra2", "extra3", "never"):
        yield ("writes", atom), lambda atom=atom: list(history.writes(atom))
    yield ("log",), lambda: [entry.seq for entry in history]
    yield ("ids",), lambda: [entry.id for entry in history[0:count]]
    if count:
        yield ("blame",), lambda: _blame(history)
        yield ("range",), lambda: _range(history)
    yield ("stats",), lambda: _stats(history)
    yield ("identity",), lambda: history.history_id


def _entry(history: History, seq: int) -> dict[str, Any]:
    entry = history[seq]
    return {
        "seq": entry.seq, "id": entry.id, "kind": str(entry.kind), "timestamp_ns": entry.timestamp_ns,
        "action": entry.action, "counts": (entry.added, entry.modified, entry.deleted),
        "bytes": (entry.stored_bytes, entry.full_bytes), "meta": dict(entry.meta), "parent": entry.parent_seq,
    }  # fmt: skip


def _value(history: History, seq: int) -> Any:
    try:
        return history.value(seq, "cart")
    except KeyError:
        return "no such atom"


def _diff(history: History, seq: int) -> list[Any]:
    return [(change.atom, str(change.kind)) for change in history.changes(seq).changes]


def _range(history: History) -> list[Any]:
    found = history.diff(0, -1)
    return [(change.atom, str(change.kind)) for change in found.changes]


def _blame(history: History) -> list[Any]:
    found = blame(history)
    return [(one.path, one.seq, one.action, one.certain) for one in found.values]


def _columns(history: History) -> list[Any]:
    columns = history.columns()
    return [
        list(zip(columns.timestamp_ns, columns.codec, columns.added, columns.modified, columns.deleted, strict=True))
    ]


def _stats(history: History) -> dict[str, Any]:
    stats = history.stats()
    return {
        "entries": stats.entries, "full": stats.full, "chains": stats.chains, "codecs": dict(stats.codecs),
        "atoms": {name: one.changes for name, one in stats.atoms.items()}, "health": str(stats.health),
    }  # fmt: skip


def judged(specimen: Specimen, path: Path, *, with_repair: bool = True) -> Result:
    """Ask a damaged file everything and compare with the truth.

    Args:
        specimen: what it was before.
        path: the damaged file.
        with_repair: repair it too, which takes as long as all the rest.
    """
    before = _contents(path)
    found = Examined(specimen, path)
    results = found.answers()
    # A repair examines what it repairs: there is no need to have the doctor do it once more.
    kept, health = repaired(specimen, path, found.right) if with_repair else ([], None)
    results += found.health(health, results) + kept
    if _contents(path) != before:
        results.append(Result(Outcome.LOST, f"{specimen.kind}: looking changed the file"))
    return worst(results)


def _contents(path: Path) -> dict[str, bytes]:
    return {
        suffix: side.read_bytes()
        for suffix in SUFFIXES
        if (side := path.with_name(path.name + suffix)).exists() and side.stat().st_size
    }


class Examined:
    """A damaged file's answers beside the true ones.

    Attributes:
        right: entries that read as they were, with all that is told of them.
    """

    def __init__(self, specimen: Specimen, path: Path) -> None:
        self._specimen = specimen
        self._path = path
        self.right: set[int] = set()
        self._facts: set[int] = set()
        self._short = self._long = False

    def answers(self) -> list[Result]:
        """Return what each answer came to."""
        try:
            history = open_history(self._path, format="unspool")
        except UnspoolError as error:
            return [self._result(Outcome.TYPED, f"open: {error}")]
        truth = self._specimen.answers
        results = []
        with history:
            for question, answer in questions(history, truth[("length",)]):
                results.append(self._compared(question, answer, truth.get(question, _NOTHING)))
        return results

    def health(self, health: Diagnosis | None, answers: list[Result]) -> list[Result]:
        """Return what the doctor's findings come to beside the answers.

        Args:
            health: the findings; asked for where None.
            answers: what the answers came to.
        """
        if health is None:
            try:
                health = diagnose(self._path)
            except UnspoolError as error:
                return [self._result(Outcome.TYPED, f"doctor: {error}")]
        results = []
        says_healthy = health.verdict is Health.HEALTHY and not _is_told_unclosed(health)
        if self._long and says_healthy:
            results.append(
                self._result(Outcome.WRONG, "there are more entries than were recorded, and the doctor says healthy")
            )
        if self._short and says_healthy:
            results.append(self._result(Outcome.LOST, "entries are missing, and the doctor says healthy"))
        elif any(one.outcome is Outcome.TYPED for one in answers) and health.verdict is Health.HEALTHY:
            results.append(self._result(Outcome.WRONG, "an answer is refused, and the doctor says healthy"))
        elif self._specimen.closed is False and says_healthy:
            results.append(self._result(Outcome.WRONG, "it was not closed, and the doctor says plainly healthy"))
        return results

    def _compared(self, question: tuple[Any, ...], answer: Callable[[], Any], true: Any) -> Result:
        try:
            found = answer()
        except UnspoolError as error:
            return self._result(Outcome.TYPED, f"{question}: {error}")
        if _agree(question, found, true):
            if question[0] == "entry":
                self._facts.add(question[1])
            if question[0] == "state" and question[1] in self._facts:
                self.right.add(question[1])
            return Result(Outcome.RIGHT)
        if question == ("length",):
            # Whether that is fine is for the doctor to say.
            self._short, self._long = found < true, found > true
            return self._result(Outcome.TYPED, f"{found} of {true} entries")
        if self._short and _is_part(question, found, true):
            return self._result(Outcome.TYPED, f"{question}: the answer of a shorter history")
        if self._long and true is not _NOTHING and _is_part(question, true, found):
            return self._result(Outcome.TYPED, f"{question}: the answer of a longer history")
        if _is_without_ids(question, found, true):
            return self._result(Outcome.TYPED, f"{question}: ids are not known")
        if question == ("stats",) and found["health"] != "healthy":
            return self._result(Outcome.TYPED, f"stats says {found['health']}")
        return self._result(Outcome.WRONG, f"{question}: {found!r:.200} instead of {true!r:.200}")

    def _result(self, outcome: Outcome, text: str) -> Result:
        return Result(outcome, f"{self._specimen.kind}: {text}")


def _agree(question: tuple[Any, ...], found: Any, true: Any) -> bool:
    if question == ("columns",):
        # An entry that does not read is a hole in them, marked as such.
        rows = [*true[0], *[None] * (len(found[0]) - len(true[0]))]
        return all(one == other or one[1] == HOLE for one, other in zip(found[0], rows, strict=False))
    return bool(strict_equal(found, true))


def _is_without_ids(question: tuple[Any, ...], found: Any, true: Any) -> bool:
    """Whether an answer is right but for ids of entries that it does not tell."""
    if question[0] == "entry" and true is not _NOTHING:
        return bool(strict_equal(found, {**true, "id": ""}))
    if question == ("identity",):
        return bool(found == "")
    return question == ("ids",) and all(one in ("", other) for one, other in zip(found, true, strict=False))


def _is_part(question: tuple[Any, ...], found: Any, true: Any) -> bool:
    """Whether an answer is right for a history that ends earlier."""
    if isinstance(found, list):
        if question[0] in ("blame", "range"):
            return True
        return bool(found == true[: len(found)])
    if question == ("identity",):
        return bool(found == "")
    return question == ("stats",) and found["entries"] < true["entries"]


def _is_told_unclosed(health: Diagnosis) -> bool:
    return any("not closed" in finding.meaning for finding in health.findings)


def repaired(specimen: Specimen, path: Path, right: set[int]) -> tuple[list[Result], Diagnosis | None]:
    """Repair a damaged file and compare what was kept with the truth.

    Args:
        specimen: what it was.
        path: the damaged file.
        right: entries that read as they were before the repair.

    Returns:
        What that came to, and what the doctor found before, unless the repair was refused.
    """
    out = path.with_name("repaired.unspool")
    for suffix in ("", "-wal", "-shm", "-lock"):
        out.with_name(out.name + suffix).unlink(missing_ok=True)
    try:
        report = repair(path, out)
    except UnspoolError as error:
        if right:
            return [
                Result(Outcome.LOST, f"{specimen.kind}: {len(right)} entries read, and repair says: {error}")
            ], None
        return [Result(Outcome.TYPED, f"{specimen.kind}: repair: {error}")], None
    if report.renumbered_from is not None:
        return [Result(Outcome.TYPED, f"{specimen.kind}: repair renumbered")], report.before
    if report.lost_names:
        return [Result(Outcome.TYPED, f"{specimen.kind}: repair lost names of atoms, and says so")], report.before
    with open_history(out) as history:
        results = [_kept(specimen, history, seq, seq in right) for seq in range(specimen.answers[("length",)])]
        if len(history) > specimen.answers[("length",)] and not report.holes:
            results.append(Result(Outcome.WRONG, f"{specimen.kind}: repair made entries up"))
    return results, report.before


def _kept(specimen: Specimen, history: History, seq: int, is_right: bool) -> Result:
    state, facts = specimen.answers["state", seq], specimen.answers["entry", seq]
    if seq >= len(history):
        return Result(
            Outcome.LOST if is_right else Outcome.TYPED,
            f"{specimen.kind}: repair dropped entry {seq} of {len(history)}",
        )
    entry = history[seq]
    if HOLE_META in entry.meta:
        return Result(
            Outcome.LOST if is_right else Outcome.TYPED, f"{specimen.kind}: a hole at entry {seq} that read"
        )
    if DOUBT_META in entry.meta:
        return Result(Outcome.TYPED, f"{specimen.kind}: entry {seq} is marked as doubtful")
    if not strict_equal(history.state(seq), state):
        return Result(Outcome.WRONG, f"{specimen.kind}: repair keeps another state of entry {seq}")
    if (entry.action, entry.timestamp_ns, dict(entry.meta)) != (
        facts["action"],
        facts["timestamp_ns"],
        facts["meta"],
    ):
        return Result(Outcome.WRONG, f"{specimen.kind}: repair keeps other facts of entry {seq}")
    return Result(Outcome.RIGHT)


_NOTHING = object()
"""What is true of an entry that was never recorded: nothing but an error is right."""


def scratch(base: Path) -> Path:
    """Return a folder in memory where there is one: campaigns write hundreds of thousands of small files."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30:
        return memory
    return base


def shown(value: object) -> str:
    """Return a value as one short line."""
    return json.dumps(value, default=repr)[:200]
