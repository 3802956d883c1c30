"""What all commands that read a source have in common: their options and how those are completed, opening, progress."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from unspool.delta.identity import canonical_identity
from unspool.errors import ConfigError, EntryNotFound, UnspoolError
from unspool.model import limits
from unspool_tui.cli.help_pages import CommonOption, FiniteRange, command
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from unspool.history.history import History, StateView
    from unspool.history.verdict import Verdict
    from unspool_tui.source import NamedSource

_SHOWN_PROBLEMS: Final = 3


@dataclass(frozen=True, slots=True)
class Common:
    """The common options of one call.

    Attributes:
        source: what to open.
        format: name of its format; None to detect it.
        identity: keys that distinguish the records of lists, by path pattern.
        folds: how channels stored as writes are folded (LangGraph).
        select: which part of a file that holds several is wanted, by name.
        ascii: print plain ASCII only.
        color: colours may be used.
        mouse: the terminal UI may use the mouse.
        time: path to the time of each record; None looks under the usual names.
        poll: seconds between looks at the source; None waits for events.
        quiet: say nothing on standard error but errors.
        strict: end with exit code 1 when something of the source could not be read.
        pager: what is longer than the screen may be shown in a pager.
        cache: what is read of a foreign source may be kept for the next time.
    """

    source: str
    format: str | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    folds: Mapping[str, str] = field(default_factory=dict)
    select: Mapping[str, str] = field(default_factory=dict)
    ascii: bool = False
    color: bool = True
    mouse: bool = True
    time: str | None = None
    poll: float | None = None
    quiet: bool = False
    strict: bool = False
    cache: bool = True
    pager: bool = True


def _pairs(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Take `NAME=VALUE` apart; the last equals sign separates, so names may hold some."""
    pairs: dict[str, str] = {}
    for text in given:
        name, mark, value = text.rpartition("=")
        if not mark or not value:
            raise click.BadParameter(f"{text!r} is not written as {getattr(param, 'metavar', None)}", ctx, param)
        pairs[name] = value
    return pairs


def _identity(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Take `PATH=KEY` apart; an empty key takes back what was set before.

    Raises:
        PathSyntaxError: a path is none.
    """
    if not given:
        return {}

    pairs: dict[str, str] = {}
    for text in given:
        path, mark, key = text.rpartition("=")
        if not mark or not path:
            raise click.BadParameter(f"{text!r} is not written as {getattr(param, 'metavar', None)}", ctx, param)
        pairs[path] = key
    return canonical_identity(pairs)


def _choices(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Take `WHAT=NAME` apart; the first equals sign separates, since it is the names that may hold some."""
    choices: dict[str, str] = {}
    for text in given:
        what, mark, name = text.partition("=")
        if not mark or not what:
            raise click.BadParameter(f"{text!r} is not written as {getattr(param, 'metavar', None)}", ctx, param)
        choices[what] = name
    return choices


_common = functools.partial(click.option, cls=CommonOption)

_OPTIONS: Final = (
    _common("--identity", multiple=True, callback=_identity, metavar="PATH=KEY",
                 help="Tell the records of a list apart by this key, now and later; PATH= takes it back; repeatable."),
    _common("--fold", "folds", multiple=True, callback=_pairs, metavar="CHANNEL=HOW",
                 help="Fold a LangGraph channel stored as writes: append, merge or messages."),
    _common("--select", multiple=True, callback=_choices, metavar="WHAT=NAME",
                 help="Which part of a source that holds several: thread=NAME, player=NAME, space=ID, order=little|big."),
    _common("--raise-limit", "limits", multiple=True, metavar="NAME=N",
                 help="Let a source that is trusted ask for more: nodes=20M, document_bytes=1Gi; repeatable."),
    _common("--time", metavar="PATH", help="Where each record has its time, such as header.sent."),
    _common("--ascii", show_envvar=True, envvar="UNSPOOL_ASCII", is_flag=True, help="Plain ASCII only."),
    _common("--no-color", show_envvar=True, envvar="UNSPOOL_NO_COLOR", is_flag=True, help="No colours; also with NO_COLOR and TERM=dumb."),
    _common("--no-mouse", show_envvar=True, envvar="UNSPOOL_NO_MOUSE", is_flag=True, help="Leave the mouse to the terminal."),
    _common("--poll", show_envvar=True, envvar="UNSPOOL_POLL", type=FiniteRange(min=0, min_open=True), metavar="SECONDS",
                 help="Look for changes every so often instead of waiting for events."),
    _common("--no-pager", is_flag=True, help="Print long output as it is, not in UNSPOOL_PAGER, PAGER or less."),
    _common("--no-cache", is_flag=True, help="Read a foreign source anew, and keep nothing of it; also UNSPOOL_NO_CACHE=1."),
    _common("--strict", show_envvar=True, envvar="UNSPOOL_STRICT", is_flag=True, help="Exit with 1 when a part of the source could not be read."),
    _common("--quiet", "-q", show_envvar=True, envvar="UNSPOOL_QUIET", is_flag=True, help="Nothing on standard error but errors."),
)  # fmt: skip


def source_command(
    *, format_option: str = "--format", many: bool = False
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Give a command the argument SOURCE and the common options; it gets them as one `Common` first.

    Args:
        format_option: how the option that names the source's format is called.
        many: several sources may be named; the command gets them as `sources` too, and the first one in its `Common`.
    """

    def decorate(function: Callable[..., int | None]) -> Callable[..., int | None]:
        @functools.wraps(function)
        def call(**given: Any) -> int | None:
            if many:
                given["source"] = given["sources"][0]
            common = _taken_from(given)
            return function(common, **given)

        decorated: Callable[..., int | None] = call
        for option in reversed(_OPTIONS):
            decorated = option(decorated)
        decorated = _common(
            format_option,
            "source_format",
            metavar="NAME",
            shell_complete=complete_format,
            help="Format of the source; see `formats`.",
        )(decorated)
        if many:
            return click.argument(
                "sources", metavar="SOURCE...", nargs=-1, required=True, shell_complete=complete_file
            )(decorated)
        return click.argument("source", shell_complete=complete_file)(decorated)

    return decorate


def _set_limits(given: tuple[str, ...]) -> None:
    """Put the limits of a call in force, on top of those of the environment.

    Raises:
        ConfigError: a name or value is none.
    """
    limits.use(None)
    base = limits.asked_for()
    if given:
        limits.use(limits.parse_limits(given, base))


def _taken_from(given: dict[str, Any]) -> Common:
    _set_limits(given.pop("limits"))
    no_color = given.pop("no_color") or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Common(
        source=given.pop("source"),
        format=given.pop("source_format"),
        identity=given.pop("identity"),
        folds=given.pop("folds"),
        time=given.pop("time"),
        select=given.pop("select"),
        ascii=given.pop("ascii"),
        color=not no_color,
        mouse=not given.pop("no_mouse"),
        poll=given.pop("poll"),
        quiet=given.pop("quiet"),
        strict=given.pop("strict"),
        cache=not given.pop("no_cache"),
        pager=not given.pop("no_pager"),
    )


def json_option(help_text: str = "Print JSON.") -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Return the option `--json`, which commands get as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


@contextmanager
def opened(common: Common, *, follow: bool = False, wait: bool = True) -> Iterator[History]:
    """Open the source of a call, and close it in the end.

    Raises:
        UnspoolError: it cannot be opened.
    """

    with shown_progress(common, "reading") as progress:
        history = source_of(common, follow=follow).open(wait=wait, progress=progress if wait else None)
    with history:
        if wait:
            keep_matching(common, history)
        yield history


def keep_matching(common: Common, history: History) -> None:
    """Remember the identity keys that were given, once it is known that they tell records apart.

    Raises:
        ConfigError: one of them tells nothing apart: obeyed in silence, a misspelt one would give wrong answers.
    """
    if not common.identity:
        return
    from unspool.query.entry_names import unmatched  # only --identity needs it
    from unspool_tui.source import keep_identity  # only --identity needs it

    for sentence in unmatched(history, common.identity):
        raise ConfigError(f"--identity: {sentence}")
    keep_identity(source_of(common, follow=False), common.identity)


def source_of(common: Common, *, follow: bool) -> NamedSource:
    """Return the source of a call as it is opened: with the identity keys that are remembered of it."""
    from unspool_tui.source import NamedSource, with_identity  # the program's help needs no source

    source = NamedSource(
        common.source,
        format=common.format,
        identity=common.identity,
        folds=common.folds,
        time=common.time,
        select=common.select,
        poll=common.poll,
        follow=follow,
        cache=common.cache,
    )
    return with_identity(source)


def entry_named(common: Common, history: History, text: str) -> int:
    """Return the entry that a word of the command line means; see `unspool.query.entry_names`.

    Raises:
        EntryNotFound: there is none.
    """
    from unspool.query import entry_names  # loaded by the commands that name entries

    try:
        return entry_names.entry_named(history, text, bookmarks=_bookmarks(common, history, text))
    except EntryNotFound:
        if os.path.exists(text):  # noqa: PTH110 - any text may be given, and a path object refuses some
            raise click.UsageError(
                f"{text!r} is a file, and this command reads one SOURCE: `unspool open A B` shows several side by side, "
                "`unspool compare A B` compares two, merge:A:B joins them."
            ) from None
        raise


def range_named(common: Common, history: History, text: str) -> tuple[int, int]:
    """Return the first and the last entry of a range of the command line, such as `90..94`.

    Raises:
        EntryNotFound: one of its ends is no entry.
    """
    from unspool.query import entry_names  # loaded by the commands that name entries

    return entry_names.range_named(history, text, bookmarks=_bookmarks(common, history, text))


def _bookmarks(common: Common, history: History, text: str) -> list[int]:
    """Return the bookmarks of a source, where a word may name one: those that the app remembers, else those kept with its notes."""
    if "mark:" not in text:
        return []
    # Only where a bookmark is named.
    from unspool.sources.written_notes import SourceNotes, bookmarks_among

    source = source_of(common, follow=False)
    return kept_bookmarks(common, history) or bookmarks_among(
        SourceNotes(source.name, select=source.select, history=history).read().notes, history
    )


def kept_bookmarks(common: Common, history: History) -> list[int]:
    """Return the bookmarks that the app remembers of a source on this machine."""
    # Only where bookmarks are asked for.
    from unspool_tui.session import SourceSession
    from unspool_tui.source import state_folder

    place = SourceSession.of(history, state_folder(), source_of(common, follow=False).place_key).place
    return sorted(set(place.bookmarks))


def judge(common: Common, verdict: Verdict) -> int:
    """Say on standard error what could not be read, and return the exit code that follows from it.

    What a damaged file lost is an error, so it is said and told by the exit code however the command is called.
    """
    if not common.quiet or verdict.is_damaged:
        for note in verdict.notes[:_SHOWN_PROBLEMS]:
            click.echo(f"unspool: {visible(note)}", err=True)
        shown = verdict.problems[:_SHOWN_PROBLEMS]
        for problem in shown:
            click.echo(f"unspool: partly read: {visible(problem.place)}: {visible(problem.message)}", err=True)
        more = len(verdict.problems) + verdict.dropped - len(shown)
        if more > 0:
            click.echo(f"unspool: partly read: {more} more problems; `unspool stats --json` lists them", err=True)
    return 1 if verdict.is_damaged or (common.strict and verdict.status != "complete") else 0


def stdout_is_terminal() -> bool:
    """Whether there is a screen to draw on: a terminal, or a browser that a server speaks for."""
    if os.environ.get("TEXTUAL_DRIVER", "").endswith(("WebDriver", "VisitorDriver")):
        return True
    return sys.stdout is not None and sys.stdout.isatty()


_SILENT_S: Final = 1.0
"""Seconds before anything is shown: most commands are done by then."""
_EVERY_S: Final = 0.1
"""Seconds between two looks at the clock's worth of news; a reader of the line sees no more than that."""
_KNOWN_S: Final = 2.0
"""Seconds of work from which an estimate means something."""
_Item = TypeVar("_Item")


class Meter:
    """Shows one line such as `bytes  34 %, about 12 s left` and takes it away in the end.

    It is asked as often as its caller likes, and looks at the clock each time: entries may take microseconds or seconds.
    """

    def __init__(self, what: str, *, is_shown: bool) -> None:
        """Begin to count.

        Args:
            what: what is being done, in a word.
            is_shown: there is somebody to read it.
        """
        self._what = what
        self._is_shown = is_shown
        self._begun = monotonic()
        self._next = self._begun + _SILENT_S
        self._first: tuple[float, float] | None = None
        self._width = 0

    def __call__(self, done: int, total: int) -> None:
        """Take note of how many of how many are done."""
        if not self._is_shown:
            return
        now = monotonic()
        if self._first is None:
            self._first = now, done / total if total else 0.0
        if now < self._next:
            return
        self._next = now + _EVERY_S
        self._show(f"{self._what} {_share(done, total)}{self._left(now, done, total)}")

    def counted(self, items: Iterable[_Item], total: int) -> Iterator[_Item]:
        """Yield items as they are, and take note of each; `total` is about how many there are."""
        for done, item in enumerate(items):
            self(min(done, total), total)
            yield item

    def clear(self) -> None:
        """Take the line away; the next news brings it back."""
        if self._width:
            click.echo(f"\r{' ' * self._width}\r", err=True, nl=False)
            self._width = 0

    def _show(self, text: str) -> None:
        click.echo(f"\r{text.ljust(self._width)}", err=True, nl=False)
        self._width = len(text)

    def _left(self, now: float, done: int, total: int) -> str:
        """Return the estimate: what was done since the first news goes on at that rate."""
        if self._first is None or not total or now - self._begun < _KNOWN_S:
            return ""
        since, share_then = self._first
        share = done / total
        if not share_then < share <= 1 or now == since:
            return ""
        seconds = (1 - share) * (now - since) / (share - share_then)
        return f", about {_duration(seconds)} left"


def _share(done: int, total: int) -> str:
    return f"{min(100, done * 100 // total):3d} %" if total else f"{done:,}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{max(1, whole)} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


@contextmanager
def shown_progress(common: Common, what: str) -> Iterator[Meter]:
    """Give a meter, and take its line away in the end."""
    is_shown = not common.quiet and sys.stderr is not None and sys.stderr.isatty()
    meter = Meter(what, is_shown=is_shown)
    try:
        yield meter
    finally:
        meter.clear()


@command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script for SHELL.

    For bash: unspool completion bash > ~/.local/share/bash-completion/completions/unspool
    """
    from click.shell_completion import get_completion_class  # only a shell that completes needs it

    kind = get_completion_class(shell)
    if kind is None:
        raise ConfigError(f"there is no completion for {shell}")
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "unspool", "_UNSPOOL_COMPLETE").source().rstrip("\n"))


def complete_file(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Leave names of files to the shell, which knows them best."""
    from click.shell_completion import CompletionItem  # only a shell that completes needs it

    return [CompletionItem(typed, type="file")]


def complete_format(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the names of formats that begin with what is typed."""
    # Only a shell that completes needs these.
    from click.shell_completion import CompletionItem

    from unspool.sources.detection import FORMATS

    return [CompletionItem(each.name, help=each.title) for each in FORMATS if each.name.startswith(typed)]


def complete_entry(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return names of entries that begin with what is typed: the ends, and the newest numbers with their actions."""
    from click.shell_completion import CompletionItem  # only a shell that completes needs it

    before, dots, word = typed.rpartition("..")
    with _completed(context) as history:
        if history is None or not len(history):
            return []
        named = {name: len(history) - 1 - back for back, name in enumerate(("latest", "latest~1", "latest~2"))}
        named |= {"first": history.first}
        newest = range(len(history) - 1, max(history.first - 1, len(history) - 1 - _NEWEST), -1)
        named |= {str(seq): seq for seq in newest}
        return [
            CompletionItem(f"{before}{dots}{name}", help=visible(history[seq].action)[:_LONGEST_HELP])
            for name, seq in named.items()
            if name.startswith(word) and history.first <= seq < len(history)
        ]


_NEWEST: Final = 1000
"""Entries, from the newest on, whose numbers are offered."""
_LONGEST_HELP: Final = 60


def complete_path(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the paths into the source's newest state that begin with what is typed."""
    from unspool.query.entry_names import completions  # only a shell that completes needs it

    return _offered(context, typed, completions)


def complete_expression(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return what an expression that ends in a path may go on with."""
    from unspool.query.entry_names import expression_completions  # only a shell that completes needs it

    return _offered(context, typed, expression_completions)


def complete_atom(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the names of atoms of the source's newest state that begin with what is typed."""
    return _offered(context, typed, lambda state, text: [name for name in state if name.startswith(text)])


def _offered(context: click.Context, typed: str, offer: Callable[[StateView, str], list[str]]) -> list[str]:
    """Return what is offered for the state a command line asks about; nothing where its source cannot be read."""

    with _completed(context) as history:
        if history is None:
            return []
        given = _given(context)
        named_entry = given.get("at_entry", given.get("entry"))
        try:
            state = history.view(
                -1 if named_entry is None else entry_named(_common_of(given), history, str(named_entry))
            )
        except (UnspoolError, click.UsageError):
            return []
        # A shell takes a line for each, and shows it as it is.
        return [text for text in offer(state, typed) if text.isprintable()]


def _given(context: click.Context) -> dict[str, Any]:
    """Return what was typed so far, by the names of the parameters."""
    given: dict[str, Any] = context.params
    if given.get("source") is None and context.args:
        # An option whose value is being typed ends click's reading, before the words that are no options are assigned.
        read = context.command.make_context("", list(context.args), context.parent, resilient_parsing=True)
        given = read.params
    return given


def _common_of(given: Mapping[str, Any]) -> Common:
    named = {name: given[name] for name in ("identity", "folds", "select", "time") if given.get(name)}
    source = given.get("source") or str(given.get("file") or "") or next(iter(given.get("sources") or ()), "")
    return Common(source, format=given.get("source_format"), quiet=True, **named)


@contextmanager
def _completed(context: click.Context) -> Iterator[History | None]:
    """Open the source of a command line that is being typed, and read it for a second at most; None where it cannot be read."""
    common = _common_of(_given(context))
    if common.source in ("", "-"):
        yield None
        return
    with ExitStack() as stack:
        try:
            history = stack.enter_context(opened(common, wait=False))
            _read_awhile(history)
        except UnspoolError:
            yield None
            return
        yield history


def _read_awhile(history: History) -> None:
    """Wait until a source is read, but not for long: its earlier states have much the same paths."""
    deadline = time.monotonic() + _PATIENCE_S
    while not history.progress.is_finished and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
    history.cancel_reading()


_PATIENCE_S: Final = 1.0
_PAUSE_S: Final = 0.005
