"""What commands print: text in columns, the JSON shapes of docs/cli.md, and how far an answer is complete."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Self, cast

import click

from unspool.delta.structural import changed_part, diff_values
from unspool.errors import StorageFailed
from unspool.model.entries import OpKind, caller_of, iso_time
from unspool.model.json_text import in_one_line, to_json
from unspool.model.keys import Key, format_path, to_pointer
from unspool.model.values import MISSING, Value
from unspool_tui.cli.ending import Interruption
from unspool_tui.cli.options import Common, stdout_is_terminal
from unspool_tui.rendering.sanitize import visible, visible_json

if TYPE_CHECKING:
    from unspool.history.diff import Change, Diff
    from unspool.history.stats import HistoryStats
    from unspool.history.verdict import Problem, Verdict
    from unspool.model.entries import Entry, Op, SourceLine
    from unspool.query.checkers import CheckFinding, CheckReport
    from unspool.query.compare import CrossCheck
    from unspool.query.doctor.diagnosis import Diagnosis
    from unspool.query.path_writes import PathWrite
    from unspool.query.repair import RepairReport
    from unspool.query.simulator import Candidate, Simulation

_IN_MEMORY: Final = 16 * 1024 * 1024
"""Bytes of output kept in memory; longer output waits in a temporary file."""
_MOST_STEPS: Final = 3
"""Steps between two long values that are told."""
_COLORS: Final = {"+": "green", "~": "yellow", "-": "red", "dim": "bright_black", "name": "cyan", "head": None}


class Output:
    """Collects a command's output and hands it over when the command succeeded.

    A source may turn out to be damaged half-way; a script must then not see half a result and take it for all.
    """

    def __init__(self, common: Common | None = None) -> None:
        """Begin with nothing written."""
        self.is_terminal = stdout_is_terminal()
        self.ascii = common is not None and common.ascii
        self._may_page = common is not None and common.pager
        self._has_color = self.is_terminal and common is not None and common.color
        self._spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by __exit__

    def json(self, value: Value, *, indent: int | None = None) -> None:
        """Write a value as JSON, on a line of its own."""
        text = to_json(value, indent=indent)
        self.raw(visible_json(text) if self.is_terminal else text)

    def line(self, text: str = "") -> None:
        """Write a line made of program words and text that is inert already."""
        self.raw(text.encode("ascii", "backslashreplace").decode() if self.ascii else text)

    def raw(self, text: str) -> None:
        """Write a line as it is."""
        self._spool.write(text.encode("utf-8", "backslashreplace") + b"\n")

    def paint(self, text: str, role: str) -> str:
        """Colour a text by its role, where colours may be used."""
        if not self._has_color:
            return text
        return click.style(text, fg=_COLORS[role], bold=role == "head")

    def flush(self) -> None:
        """Hand over what was written so far: for a command that goes on until it is ended.

        Raises:
            StorageFailed: standard output takes no more.
        """
        self._hand_over()
        self._spool.seek(0)
        self._spool.truncate()

    def _hand_over(self, *, may_page: bool = False) -> None:
        try:
            sys.stdout.flush()
            if may_page and self._may_page and _paged(self._spool):
                return
            self._spool.seek(0)
            shutil.copyfileobj(self._spool, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as failed:
            reason = failed.strerror or failed
            raise StorageFailed(f"standard output: {reason}; free some space") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._hand_over(may_page=True)
        finally:
            self._spool.close()


class TextOutput(Output):
    """Collects what a command shows people as plain lines, for those who are not answered on standard output."""

    def __init__(self) -> None:
        """Begin with no lines."""
        self.is_terminal = self.ascii = self._has_color = self._may_page = False
        self.lines: list[str] = []

    def raw(self, text: str) -> None:
        """Add a line."""
        self.lines.append(text)


def _paged(text: IO[bytes]) -> bool:
    """Show what is longer than the screen in the person's pager, and wait until they leave it.

    Which one is named by UNSPOOL_PAGER, else by PAGER; `less` where neither is set. As for git, an empty name means none.

    Args:
        text: what to show; read from its beginning.

    Returns:
        Whether it was shown; not where standard output is no terminal, the text fits it, or there is no pager that works.
    """
    if sys.stdout is None or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return False
    size = shutil.get_terminal_size()
    text.seek(0)
    if not any(number >= size.lines - 1 for number, _ in enumerate(text)):
        return False
    # Only a long answer on a terminal needs these.
    import shlex
    import subprocess

    try:
        words = shlex.split(os.environ.get("UNSPOOL_PAGER", os.environ.get("PAGER", "less")))
    except ValueError:
        # A quote without its other one names no program.
        return False
    program = shutil.which(words[0]) if words else None
    if program is None:
        return False
    # Quit when all fits, show colours, and leave the text on the screen: what git asks of less.
    environment = {"LESS": "FRX", **os.environ}
    text.seek(0)
    try:
        with subprocess.Popen([program, *words[1:]], stdin=subprocess.PIPE, env=environment) as pager:
            # Ctrl-C is the pager's own key; to end here would leave two programs reading one terminal.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                # Whoever leaves the pager early has read enough.
                with suppress(BrokenPipeError), cast("IO[bytes]", pager.stdin) as pipe:
                    shutil.copyfileobj(text, pipe, 1 << 16)
                pager.wait()
            finally:
                signal.signal(signal.SIGINT, before)
    except OSError:
        # It cannot be started; the text itself is still wanted.
        return False
    if pager.returncode == 0 or -pager.returncode in _LEFT or pager.returncode in _LEFT_SO:
        return True
    click.echo(
        f"unspool: the pager {visible(words[0])} failed ({pager.returncode}); all of the text follows", err=True
    )
    return False


_LEFT: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE") if hasattr(signal, name)
)
"""Signals that end a pager which a person leaves."""
_LEFT_SO: Final = (2, *(128 + number for number in _LEFT))
"""How `less` and shells tell that Ctrl-C ended them."""


def brief(value: Value, limit: int = 60) -> str:
    """Return a value in a few characters, inert."""
    text = visible(in_one_line(value))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def brief_change(old: Value, new: Value, limit: int = 60) -> str:
    """Return two values in a few characters each, inert; of two long ones only where they differ."""
    before, after = brief(old, limit), brief(new, limit)
    if isinstance(old, str) and isinstance(new, str) and max(len(before), len(after)) >= limit:
        old, new = changed_part(old, new)
        return f"{brief(old, limit)} -> {brief(new, limit)}"
    if before.endswith("…") and after.endswith("…") and isinstance(old, Container) and isinstance(new, Container):
        return _brief_steps(old, new, limit) or f"{before} -> {after}"
    return f"{before} -> {after}"


def _brief_steps(old: Value, new: Value, limit: int) -> str:
    """Return the first steps from one list or object to another, and how many more there are."""
    ops = diff_values(old, new)
    told: list[str] = []
    for op in ops[:_MOST_STEPS]:
        place = visible(format_path(op.path, root=""))
        if not op.path:
            return ""
        if op.kind is OpKind.ADD:
            told.append(f"+ {place} {brief(op.new, limit)}")
        elif op.kind is OpKind.REMOVE:
            told.append(f"- {place} {brief(op.old, limit)}")
        elif op.kind is OpKind.MOVE:
            told.append(f"~ {place} moved from {visible(format_path(op.source, root=''))}")
        else:
            told.append(f"~ {place} {brief_change(op.old, op.new, limit)}")
    more = f"; {len(ops) - _MOST_STEPS:,} more steps" if len(ops) > _MOST_STEPS else ""
    return "; ".join(told) + more


_SHOWN: Final = 3
_FOUND_PROBLEMS: Final = 1
_INTERRUPTED: Final = 130


def skip_damaged_option(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Add the option `--skip-damaged`."""
    return click.option(
        "--skip-damaged", is_flag=True, help="Step over entries that cannot be read, name them, and exit with 1."
    )(function)


def first_options(what: str) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Add the options `-n` and `--first`, which a command gets as `most`: None where neither is given.

    Args:
        what: what there may be many of, for the help.
    """

    def decorate(function: Callable[..., int | None]) -> Callable[..., int | None]:
        @functools.wraps(function)
        def call(*args: object, limit: int | None, first: bool, **given: object) -> int | None:
            if first and limit is not None:
                raise click.UsageError("--first is -n 1: give one of the two.")
            return function(*args, most=1 if first else limit, **given)

        limit = click.option(
            "-n", "--limit", type=click.IntRange(min=1), metavar="N", help=f"Only the first N {what}, oldest first."
        )
        return limit(click.option("--first", is_flag=True, help="Only the first one: -n 1.")(call))

    return decorate


def fail_if_option(what: str) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Return the option `--fail-if`, which commands get as `fail_if`; see `gate`.

    Args:
        what: what may be found, for the help.
    """
    return click.option(
        "--fail-if",
        type=click.Choice(["found", "nothing"]),
        help=f"Exit with 1 where there is {what} (found), or none (nothing); where that cannot be known too.",
    )


def gate(fail_if: str | None, *sources: Verdict, is_found: bool, is_known: bool = True) -> int:
    """Return the exit code that `--fail-if` asks for.

    Args:
        fail_if: `found`, `nothing`, or None where the option was not given.
        sources: what opening what was asked came to: of what was passed over there, nothing is known.
        is_found: something was found.
        is_known: all was looked at; what was not found may be there where it was not.
    """
    if fail_if is None:
        return 0
    if fail_if == "nothing":
        return 0 if is_found else _FOUND_PROBLEMS
    is_whole = all(source.status == "complete" for source in sources)
    return 0 if is_whole and is_known and not is_found else _FOUND_PROBLEMS


def conclude(common: Common, code: int, problems: Sequence[Problem], interruption: Interruption) -> int:
    """Say on standard error why an answer is partial, and return the exit code that follows."""
    if not common.quiet:
        for problem in problems[:_SHOWN]:
            click.echo(f"unspool: stepped over {visible(problem.place)}: {visible(problem.message)}", err=True)
        if len(problems) > _SHOWN:
            click.echo(f"unspool: stepped over {entries(len(problems) - _SHOWN)} more", err=True)
    if interruption.came:
        click.echo("unspool: interrupted: the answer is partial", err=True)
        return _INTERRUPTED
    return max(code, _FOUND_PROBLEMS if problems else 0)


def refuse_doubtful(common: Common, doubts: Sequence[str], *, is_answered: bool) -> None:
    """Say on standard error what in an expression can hardly be meant.

    Args:
        common: the options of the call.
        doubts: what was noticed.
        is_answered: something was found all the same; then doubts are remarks.

    Raises:
        ExpressionError: nothing was found, and the doubts say why.
    """
    from unspool.errors import ExpressionError  # only questions in expressions need it

    if doubts and not is_answered:
        raise ExpressionError("; ".join(doubts))
    for doubt in () if common.quiet else doubts:
        click.echo(f"unspool: {visible(doubt)}", err=True)


def entries(count: int) -> str:
    """Spell a number of entries: `1 entry`, `2,575 entries`."""
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def problem_shapes(problems: Sequence[Problem]) -> list[Value]:
    """Return problems for JSON."""
    return [{"place": problem.place, "message": problem.message} for problem in problems]


def caller_shape(caller: SourceLine | None) -> dict[str, Value] | None:
    """Return the line of code behind an entry for JSON; null where the recording kept none."""
    return None if caller is None else caller.to_meta()


def happened(action: str, caller: SourceLine | None, doubt: str = "") -> str:
    """Return why an entry happened, the line of code behind it, and why other code may have made its changes, as the
    inert end of a line.
    """
    parts = (action, str(caller or ""), f"({doubt})" if doubt else "")
    return "".join(f"  {visible(part)}" for part in parts if part)


def setter(seq: int, *, certain: bool, older: bool) -> str:
    """Spell the entry that set a value: `<=N` where that was at N or in what was dropped before it, `N?` for a doubt."""
    return f"<={seq}" if older else f"{seq}{'' if certain else '?'}"


def dated(entry: Entry) -> dict[str, Value]:
    """Return when and why an entry happened for JSON."""
    return {
        "timestamp": iso_time(entry.timestamp_ns),
        "action": entry.action,
        "caller": caller_shape(caller_of(entry.meta)),
        **doubt_shape(entry.doubt),
    }


def doubt_shape(doubt: str) -> dict[str, Value]:
    """Return for JSON why other code than an entry names may have made its changes; nothing where it is beyond doubt."""
    return {"doubt": doubt} if doubt else {}


def write_shape(write: PathWrite, doubt: str = "") -> dict[str, Value]:
    """Return one write of a value for JSON; `doubt` is that of its entry."""
    shape: dict[str, Value] = {"seq": write.seq, "kind": write.kind.value, "path": format_path(write.path)}
    if write.old is not MISSING:
        shape["old"] = write.old
    if write.new is not MISSING:
        shape["new"] = write.new
    return shape if write.certain and not doubt else {**shape, "certain": False}


def entry_shape(entry: Entry, context: Mapping[str, Value] | None = None) -> dict[str, Value]:
    """Return one line of `log --json`; `context` is what surrounded the call that recorded it, where that is known."""
    # Only what lists entries waits for the room that holds histories.
    from unspool.history.history import without_context

    shape: dict[str, Value] = {
        "seq": entry.seq,
        "id": entry.id,
        "kind": entry.kind.value,
        "base_seq": entry.base_seq,
        "timestamp": iso_time(entry.timestamp_ns),
        "action": entry.action,
        "added": entry.added,
        "modified": entry.modified,
        "deleted": entry.deleted,
        "stored_bytes": entry.stored_bytes,
        "full_bytes": entry.full_bytes,
        "meta": without_context(entry.meta),
    }
    if context is not None:
        shape["context"] = dict(context)
    return shape


def show_shape(entry: Entry, state: dict[str, Value]) -> dict[str, Value]:
    """Return what `show --json` prints."""
    return {"seq": entry.seq, "timestamp": iso_time(entry.timestamp_ns), "action": entry.action, "state": state}


def _op_shape(op: Op) -> dict[str, Value]:
    shape: dict[str, Value] = {"op": op.kind.value, "path": to_pointer(op.path)}
    if any(isinstance(step, Key) for step in (*op.path, *op.source)):
        # A pointer cannot tell a key that is no text from its spelling.
        shape["at"] = format_path(op.path)
    if op.source:
        shape["from"] = to_pointer(op.source)
    if op.old is not MISSING:
        shape["old"] = op.old
    if op.new is not MISSING:
        shape["new"] = op.new
    return shape


def _change_shape(change: Change) -> dict[str, Value]:
    shape: dict[str, Value] = {"atom": change.atom, "kind": change.kind.value}
    if change.old is not MISSING:
        shape["old"] = change.old
    if change.new is not MISSING:
        shape["new"] = change.new
    shape["ops"] = [_op_shape(op) for op in change.ops]
    if change.key_changes:
        shape["key_changes"] = [
            {"list": format_path(changed.path), "old": changed.old, "new": changed.new}
            for changed in change.key_changes
        ]
    return shape


def diff_shape(diff: Diff) -> dict[str, Value]:
    """Return what `diff --json` prints."""
    return {"from": diff.from_seq, "to": diff.to_seq, "changes": [_change_shape(change) for change in diff.changes]}


def verdict_shape(verdict: Verdict) -> dict[str, Value]:
    """Return a verdict: how much of the source could be read."""
    return {
        "status": verdict.status.value,
        "problems": [{"place": problem.place, "message": problem.message} for problem in verdict.problems],
        "dropped": verdict.dropped,
        "notes": list(verdict.notes),
    }


def stats_shape(stats: HistoryStats) -> dict[str, Value]:
    """Return what `stats --json` prints."""
    cache = stats.cache
    return {
        "entries": stats.entries,
        "first": stats.first,
        "full": stats.full,
        "delta": stats.delta,
        "notes": stats.notes,
        "passed_over": stats.passed_over,
        "chains": stats.chains,
        "longest_chain": stats.longest_chain,
        "stored_bytes": stats.stored_bytes,
        "full_bytes": stats.full_bytes,
        "ratio": stats.ratio,
        "file_bytes": stats.file_bytes,
        "codecs": dict(stats.codecs),
        "atoms": {
            name: {"changes": atom.changes, "stored_bytes": atom.stored_bytes} for name, atom in stats.atoms.items()
        },
        "rebuild_us": {"p50": stats.rebuild_us.p50, "p95": stats.rebuild_us.p95, "max": stats.rebuild_us.max},
        "cache": {
            "size": cache.size,
            "max_size": cache.max_size,
            "hits": cache.hits,
            "misses": cache.misses,
            "evictions": cache.evictions,
        },
        "health": stats.health.value,
        "problems": list(stats.problems),
        "verdict": verdict_shape(stats.verdict),
    }


def diagnosis_shape(diagnosis: Diagnosis) -> dict[str, Value]:
    """Return what `doctor --json` prints."""
    return {
        "source": diagnosis.source,
        "verdict": diagnosis.verdict.value,
        "entries": diagnosis.entries,
        "readable": diagnosis.readable,
        "findings": [_plain(asdict(finding)) for finding in diagnosis.findings],
        "counts": dict(diagnosis.counts),
        "unlisted": dict(diagnosis.unlisted),
        "doubtful": [list(pair) for pair in diagnosis.doubtful],
        "chains": [_plain(asdict(row)) for row in diagnosis.chains],
        "chain_count": diagnosis.chain_count,
        "strategy": diagnosis.strategy,
        "strategy_from": diagnosis.strategy_from.value,
        "complete": diagnosis.complete,
        "decoded": diagnosis.decoded,
        "undecoded": diagnosis.undecoded,
    }


def cross_check_shape(crossed: CrossCheck) -> dict[str, Value]:
    """Return what `doctor --cross-check --json` prints of its judgement."""
    return {
        "asked": crossed.asked,
        "judged": crossed.judged,
        "atoms": crossed.atoms,
        "partly": crossed.partly,
        "agrees": crossed.agrees,
        "disagreements": [_plain(asdict(one)) for one in crossed.disagreements],
        "unjudged": [{"seq": seq, "reason": reason} for seq, reason in crossed.unjudged],
        "complete": crossed.complete,
    }


def repair_shape(report: RepairReport) -> dict[str, Value]:
    """Return what `doctor --repair --json` prints of the repair."""
    return {
        "out": report.out,
        "health": report.health.value,
        "entries": report.entries,
        "kept": report.kept,
        "without_facts": report.without_facts,
        "holes": [_plain(asdict(hole)) for hole in report.holes],
        "doubtful": [list(pair) for pair in report.doubtful],
        "left_out": list(report.left_out),
        "reindexed": report.reindexed,
        "lost_names": list(report.lost_names),
        "renumbered_from": report.renumbered_from,
        "complete": report.complete,
    }


def simulation_shape(simulation: Simulation) -> dict[str, Value]:
    """Return what `simulate --json` prints."""
    best = simulation.recommended
    return {
        "source": simulation.source,
        "entries": simulation.entries,
        "sampled": simulation.sampled,
        "windows": [list(window) for window in simulation.windows],
        "candidates": [_candidate_shape(candidate) for candidate in simulation.candidates],
        "recommended": None if best is None else _candidate_shape(best),
        "reason": simulation.reason,
        "line": simulation.line,
        "notes": list(simulation.notes),
        "complete": simulation.complete,
    }


def check_shape(report: CheckReport) -> dict[str, Value]:
    """Return what `check --json` prints."""
    return {
        "source": report.source,
        "entries": report.entries,
        "findings": [_finding_shape(finding) for finding in report.findings],
        "counts": dict(report.counts),
        "problems": list(report.problems),
        "doubts": list(report.doubts),
        "complete": report.complete,
    }


def _finding_shape(finding: CheckFinding) -> dict[str, Value]:
    return {
        "checker": finding.checker,
        "severity": finding.severity,
        "seq": finding.seq,
        "since": finding.since,
        "path": finding.path,
        "message": finding.message,
        "timestamp": iso_time(finding.timestamp_ns),
        "action": finding.action,
        "caller": caller_shape(finding.caller),
        "entries": finding.entries,
        "recovered_at": finding.recovered_at,
    }


def _candidate_shape(candidate: Candidate) -> dict[str, Value]:
    return {**asdict(candidate), "line": candidate.line}


def _plain(fields: dict[str, Value]) -> dict[str, Value]:
    """Spell enums as their values."""
    return {name: str(value) if isinstance(value, str) else value for name, value in fields.items()}
