"""`unspool jump`, `skip`, `pause`, `resume` and `replay`: a running program goes back, and what would have been without some entries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from unspool.errors import ConfigError
from unspool_tui.cli.disk_usage import refuse_foreign
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.help_pages import FiniteRange, command
from unspool_tui.cli.options import Common, complete_entry, entry_named, json_option
from unspool_tui.cli.output import Output
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.control import Answer, ControlClient

Options = Callable[[Callable[..., int | None]], Callable[..., int | None]]

_MOST_LINES: Final = 20


def _asking() -> Options:
    """Return the options that all commands have which ask a program for something."""
    instance = click.option("--instance", metavar="NAME", help="Which one, where a program has several.")
    timeout = click.option(
        "--timeout", type=FiniteRange(0.1, 3600), default=10.0, show_default=True, metavar="SECONDS",
        help="How long to wait for the program; then the request is withdrawn.",
    )  # fmt: skip
    quiet = click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
    return lambda function: instance(timeout(json_option()(quiet(function))))


@command("jump", context_settings={"ignore_unknown_options": True})
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("entry", metavar="[ENTRY]", shell_complete=complete_entry, required=False)
@click.option(
    "--look",
    is_flag=True,
    help="Only show the entry, until `jump --back`; `run` and `attach` take it back when they end.",
)
@click.option(
    "--back",
    is_flag=True,
    help="Go on from where the program was before it was last put back, also when it has gone on since.",
)
@_asking()
def jump_command(
    file: Path,
    entry: str | None,
    look: bool,
    back: bool,
    instance: str | None,
    timeout: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Have the program that records into FILE go on from ENTRY: a number, -1 (from the end), a time, words of its action.

    What it records next follows that entry; see docs/live.md for what cannot be put back.
    """
    if back == (entry is not None) or (back and look):
        raise click.UsageError("Give ENTRY, or --back without ENTRY and --look.")
    common = Common(str(file), quiet=quiet)
    with _client(file, timeout) as client:
        told = _telling(common)
        if entry is None:
            answer = client.back(instance=instance, timeout=timeout, on_waiting=told)
        else:
            seq = _resolved(file, entry)
            ask = client.look if look else client.jump
            answer = ask(seq, instance=instance, timeout=timeout, on_waiting=told)
    _tell_answer(common, answer, f"{'shows' if look else 'goes on from'} entry {answer.seq}", as_json=as_json)


@command("skip")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("entries", type=click.IntRange(0), metavar="ENTRY...", nargs=-1, required=True)
@_asking()
def skip_command(
    file: Path, entries: tuple[int, ...], instance: str | None, timeout: float, as_json: bool, quiet: bool
) -> None:
    """Have the store that is recorded into FILE work its state out without the actions of some entries, or with them again.

    Stores of Redux can, see docs/live.md; for other programs there is `unspool replay`.
    """
    with _client(file, timeout) as client:
        told = _telling(Common(str(file), quiet=quiet))
        answer = client.skip(list(entries), instance=instance, timeout=timeout, on_waiting=told)
    done = f"worked out its state anew, which is entry {answer.seq}"
    _tell_answer(Common(str(file), quiet=quiet), answer, done, as_json=as_json)


@command("pause")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@_asking()
def pause_command(file: Path, instance: str | None, timeout: float, as_json: bool, quiet: bool) -> None:
    """Have nothing recorded into FILE until `resume`; the program itself runs on."""
    with _client(file, timeout) as client:
        answer = client.pause(instance=instance, timeout=timeout)
    _tell_answer(Common(str(file), quiet=quiet), answer, "records nothing until `unspool resume`", as_json=as_json)


@command("resume")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@_asking()
def resume_command(file: Path, instance: str | None, timeout: float, as_json: bool, quiet: bool) -> None:
    """Have the program record into FILE again."""
    with _client(file, timeout) as client:
        answer = client.resume(instance=instance, timeout=timeout)
    _tell_answer(Common(str(file), quiet=quiet), answer, "records again", as_json=as_json)


@command("replay")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--reducer", required=True, metavar="MODULE:FUNCTION",
              help="Makes the next state of a state and an event. Its module is imported and run.")  # fmt: skip
@click.option("--skip", required=True, metavar="N,N", help="Entries to leave out.")
@click.option(
    "--at",
    default="latest",
    metavar="ENTRY",
    shell_complete=complete_entry,
    help="The end of the line that is replayed; the newest entry.",
)
@json_option()
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def replay_command(file: Path, reducer: str, skip: str, at: str, as_json: bool, quiet: bool) -> None:
    """Record what would have been without some entries, as a fork of FILE.

    Entries are replayed that were recorded with event=. First nothing is skipped: where the reducer does not make the states that
    were recorded, the first such entry is named, and nothing is recorded.
    """
    from unspool.live.replaying import reducer_named, replay  # loaded by the one command that needs it

    refuse_foreign(file)
    skipped = _numbers(skip)
    function = reducer_named(reducer)
    with interruptible() as interruption:
        found = replay(file, function, skipped, at=_resolved(file, at), cancelled=interruption)
    if as_json:
        with Output() as out:
            out.json(
                {
                    "parent": found.parent, "first": found.first, "last": found.last,
                    "skipped": list(found.skipped), "checked": found.checked, "taken": found.taken,
                }
            )  # fmt: skip
    elif not quiet:
        left_out = ", ".join(map(str, found.skipped))
        click.echo(
            f"unspool: {visible(str(file))}: without {left_out}, entries {found.first} to {found.last} follow entry "
            f"{found.parent}; the reducer made {found.checked} recorded states before",
            err=True,
        )
        if found.taken:
            click.echo(f"unspool: {found.taken} entries before hold no event, and were taken as recorded", err=True)


def _client(file: Path, timeout: float) -> ControlClient:
    from unspool.control import ControlClient  # loaded by the one command that needs it

    refuse_foreign(file)
    return ControlClient(file, timeout=timeout)


def _resolved(file: Path, entry: str) -> int:
    """Return the number of a named entry; whether there is one of a plain number is for the program to judge."""
    if entry.isdigit() and len(entry) < 19:
        return int(entry)
    from unspool.sources.opening import open_history  # loaded by the one command that needs it

    with open_history(str(file)) as history:
        return entry_named(Common(str(file)), history, entry)


def _telling(common: Common) -> Callable[[str], None]:
    told: set[str] = set()

    def tell(why: str) -> None:
        if not common.quiet and why not in told:
            told.add(why)
            click.echo(f"unspool: waiting: {visible(why)}", err=True)

    return tell


def _tell_answer(common: Common, answer: Answer, done: str, *, as_json: bool) -> None:
    if as_json:
        with Output() as out:
            out.json(
                {
                    "seq": answer.seq, "changed": list(answer.changed), "kept": list(answer.kept),
                    "rebuilt": list(answer.rebuilt), "refused": list(answer.refused), "message": answer.message,
                }
            )  # fmt: skip
        return
    if common.quiet:
        return
    click.echo(f"unspool: the program of {visible(common.source)} {done}", err=True)
    for what, texts in (
        ("left as it is", answer.kept),
        ("made anew", answer.rebuilt),
        ("not put back", answer.refused),
        ("", (answer.message,) if answer.message else ()),
    ):
        for text in texts[:_MOST_LINES]:
            click.echo(f"unspool: {what}{': ' if what else ''}{visible(text)}", err=True)
        if len(texts) > _MOST_LINES:
            click.echo(f"unspool: {what}: and {len(texts) - _MOST_LINES} more; --json lists them", err=True)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--skip {text}: write numbers of entries, such as 12,13") from None
