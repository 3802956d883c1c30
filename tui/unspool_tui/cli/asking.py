"""What the commands that ask a whole history have in common: damage, interruption, partial answers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import click

from unspool.model.values import MISSING, Value
from unspool_tui.cli.ending import Interruption
from unspool_tui.cli.options import Common
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.history.verdict import Problem
    from unspool.model.caller import Caller
    from unspool.model.entries import Entry
    from unspool.query.path_writes import PathWrite

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
    from unspool.query.errors import ExpressionError

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


def caller_shape(caller: Caller | None) -> dict[str, Value] | None:
    """Return the line of code behind an entry for JSON; null where the recording kept none."""
    return None if caller is None else caller.to_meta()


def happened(action: str, caller: Caller | None, passed_over: int = 0) -> str:
    """Return why an entry happened, the line of code behind it, and how many calls before it were left out, as the inert
    end of a line.
    """
    parts = (action, str(caller or ""), f"({passed_over} calls passed over before it)" if passed_over else "")
    return "".join(f"  {visible(part)}" for part in parts if part)


def setter(seq: int, *, certain: bool, older: bool) -> str:
    """Spell the entry that set a value: `<=N` where that was at N or in what was dropped before it, `N?` for a doubt."""
    return f"<={seq}" if older else f"{seq}{'' if certain else '?'}"


def dated(entry: Entry) -> dict[str, Value]:
    """Return when and why an entry happened for JSON."""
    from unspool.model.caller import caller_of
    from unspool.sources.timestamps import iso_time

    return {
        "timestamp": iso_time(entry.timestamp_ns),
        "action": entry.action,
        "caller": caller_shape(caller_of(entry.meta)),
    }


def write_shape(write: PathWrite) -> dict[str, Value]:
    """Return one write of a value for JSON."""
    from unspool.model.paths import format_path

    shape: dict[str, Value] = {"seq": write.seq, "kind": write.kind.value, "path": format_path(write.path)}
    if write.old is not MISSING:
        shape["old"] = write.old
    if write.new is not MISSING:
        shape["new"] = write.new
    return shape if write.certain else {**shape, "certain": False}
