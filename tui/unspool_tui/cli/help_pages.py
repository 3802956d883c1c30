"""What `--help` shows: the first screen, examples of each command, and a command's own options before those of all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from unspool.query import SEARCHED

_LONG_OPTION: Final = re.compile(r"--[a-z]")

START: Final = (
    ("unspool demo", "watch a small shop record itself"),
    ("unspool app.unspool", "scrub through its history, or follow it"),
    ("unspool run --watch cart app.py", "record any Python program"),
    ("unspool blame app.unspool cart.total", "who set a value, and in which line"),
    ("unspool doctor app.unspool", "are all chains and checksums sound"),
)
"""The five things that most people come for."""

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Look": ("open", "demo", "serve", "step", "log", "show", "shape", "diff", "stats", "bytes", "notes"),
    "Ask": ("blame", "why", "search", "bisect", "compare", "check"),
    "Record": ("run", "attach", "listen", "events", "note", "jump", "skip", "pause", "resume", "replay"),
    "Keep": ("convert", "export", "share", "compact", "vacuum", "ship", "doctor", "simulate"),
    "More": ("mcp", "formats", "schema", "completion"),
}
"""Every command, by what it is for; a test holds this to the list of commands."""

EXAMPLES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "open": (
        ("unspool app.unspool", "the newest entry, followed while the app records"),
        ("unspool open app.unspool --at 94 --atom carts.ada", "the value as entry 94 left it"),
        ("unspool open before.unspool after.unspool", "two histories side by side, as tabs"),
    ),
    "demo": (
        ("unspool demo", "live, five moments a second"),
        ("unspool demo --steps 400 --file shop.unspool", "a whole day at once, kept in a file"),
    ),
    "run": (
        ("unspool run app.py", "ask which objects change, then record the chosen ones"),
        ("unspool run --watch cart --settle return -o app.unspool -- app.py --port 80", "an entry a function"),
    ),
    "attach": (
        ("unspool attach", "list the Python programs that run"),
        ("unspool attach 4711 --watch shop:STATE", "record one until Ctrl-C"),
    ),
    "serve": (("unspool serve app.unspool", "print the address for a browser on this machine"),),
    "listen": (("unspool listen recordings/", "Redux DevTools' clients connect to port 8000"),),
    "step": (
        ("unspool step app.unspool", "one question a line, answered in sentences"),
        ("unspool step app.unspool --at 94", "beginning at an entry; lines may come over a pipe"),
    ),
    "log": (
        ("unspool log app.unspool -n 20", "the newest twenty"),
        ("unspool log app.unspool --since 12:00:18 --atom carts", "what changed an atom since then"),
        ("unspool log app.unspool 90..94", "entries 90 to 94"),
    ),
    "show": (
        ("unspool show app.unspool", "the newest state"),
        ("unspool show app.unspool latest~3 --path carts.ada.total", "one value, three entries ago"),
    ),
    "shape": (("unspool shape app.unspool orders", "fields and ranges of all orders"),),
    "diff": (
        ("unspool diff app.unspool 94", "what entry 94 did"),
        ("unspool diff app.unspool 90..latest --patch", "an RFC 6902 patch from 90 to the newest"),
    ),
    "stats": (("unspool stats app.unspool", "chains, sizes, and the ratio to full snapshots"),),
    "blame": (
        ("unspool blame app.unspool carts.ada.total", "the entry and the line that set it last"),
        ("unspool blame app.unspool carts.ada.total --writes", "all that ever wrote it"),
    ),
    "why": (("unspool why app.unspool carts.ada.total", "the chain of causes behind a value"),),
    "search": (
        ("unspool search app.unspool tea", f"in {SEARCHED}"),
        ("unspool search app.unspool --expr 'till.revenue > `300`' --first", "the first entry where it holds"),
    ),
    "bisect": (
        ("unspool bisect app.unspool 'length(orders) > `10`'", "where it begins and ends to hold"),
        ("unspool bisect app.unspool 'till.revenue < `0`' --fail-if found", "a gate in a pipeline"),
    ),
    "compare": (("unspool compare good.unspool bad.unspool --ignore clock", "where two runs part"),),
    "note": (
        ("unspool note app.unspool 94 'tea went missing here'", "on an entry"),
        ("unspool note app.unspool latest carts.ada.total 'should be 37.05'", "on a value at it"),
    ),
    "notes": (
        ("unspool notes app.unspool", "all that was written, by entry"),
        ("unspool notes app.unspool --remove c2eddc2d", "one of them goes"),
    ),
    "bytes": (("unspool bytes app.unspool --top 5", "what takes the most space"),),
    "convert": (("unspool convert states.jsonl states.unspool", "any source as a native file"),),
    "export": (
        ("unspool export app.unspool report.html", "a report for any browser"),
        ("unspool export app.unspool - --format jsonl", "all states, a line each"),
    ),
    "share": (
        (
            "unspool share app.unspool bug.html --range 90..99 --redact password",
            "ten entries as a page, to send to somebody",
        ),
        ("unspool share app.unspool part.unspool --range latest~50..latest", "the end of a day as a file of its own"),
    ),
    "events": (("unspool events record settings.py --log history.db", "keep what is saved from now on"),),
    "jump": (
        ("unspool jump app.unspool 94", "the running program goes on from entry 94"),
        ("unspool jump app.unspool --back", "and back to where it was"),
    ),
    "skip": (("unspool skip app.unspool 12 13", "the store without these two actions"),),
    "pause": (("unspool pause app.unspool", "nothing is recorded until `resume`"),),
    "resume": (("unspool resume app.unspool", "go on recording"),),
    "replay": (("unspool replay app.unspool --reducer shop:reduce --skip 12", "the day without entry 12"),),
    "compact": (("unspool compact app.unspool small.unspool", "verified entry by entry"),),
    "vacuum": (("unspool vacuum app.unspool", "give empty pages back"),),
    "ship": (("unspool ship", "all spools that are left on this machine"),),
    "doctor": (
        ("unspool doctor app.unspool", "exit code 1 when something is wrong"),
        ("unspool doctor app.unspool --repair saved.unspool", "keep all that is sound"),
    ),
    "simulate": (("unspool simulate app.unspool", "which strategy and codec would be smallest"),),
    "check": (
        ("unspool check app.unspool", "what looks wrong in the app's own state"),
        ("unspool check app.unspool --rules rules.toml", "with rules of your own"),
    ),
    "mcp": (("unspool mcp app.unspool", "to be started by a language model's client"),),
    "formats": (("unspool formats", "what opens, and by which name"),),
    "schema": (("unspool schema log", "what each line of `unspool log --json` holds"),),
    "completion": (
        ("unspool completion bash > ~/.local/share/bash-completion/completions/unspool", "for every new shell"),
    ),
}
"""Lines that work as they stand, given such a file, and what each is for."""


class HelpfulCommand(click.Command):
    """A command whose help shows its own options, then examples, then the options that all commands share."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse misspelt options where others pass: `-1` names an entry, `--jsn` does not."""
        if ctx.ignore_unknown_options and ctx.allow_interspersed_args:
            self._refuse_misspelt_option(ctx, args)
        return super().parse_args(ctx, args)

    def _refuse_misspelt_option(self, ctx: click.Context, args: list[str]) -> None:
        options = {
            name: param for param in self.get_params(ctx) if isinstance(param, click.Option) for name in param.opts
        }
        takes_next = False
        for word in args:
            if word == "--":
                return
            name = word.partition("=")[0]
            known = options.get(name)
            if known is None and not takes_next and _LONG_OPTION.match(name):
                from difflib import get_close_matches  # only a misspelt option needs it

                raise click.NoSuchOption(name, possibilities=get_close_matches(name, options), ctx=ctx)
            takes_next = known is not None and not known.is_flag and not known.count and "=" not in word

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options before the common ones."""
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                (common if isinstance(param, CommonOption) else own).append(record)
        with formatter.section("Options"):
            formatter.write_dl(own)
        write_examples(self.name or "", formatter)
        if common:
            with formatter.section("Options of all commands that read a source"):
                formatter.write_dl(common)


class FiniteRange(click.FloatRange):
    """A number within bounds; `nan` and `inf` are none, though Python reads them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number.

        Raises:
            BadParameter: it is none, or not within the bounds.
        """
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class CommonOption(click.Option):
    """An option that all commands share which read a source."""


def command(name: str, **attributes: Any) -> Callable[[Callable[..., Any]], HelpfulCommand]:
    """Return a decorator that makes a command with the help of this module; the arguments are click's."""
    return click.command(name, cls=HelpfulCommand, **attributes)


def write_examples(name: str, formatter: click.HelpFormatter) -> None:
    """Write the examples of a command: each line as it is typed, and below it what it is for."""
    examples = EXAMPLES.get(name, ())
    if not examples:
        return
    with formatter.section("Examples"):
        for line, purpose in examples:
            # A line to be copied is never broken, however narrow the terminal is.
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
            formatter.write(f"{'':>{formatter.current_indent + 4}}{purpose}\n")


def write_first_screen(formatter: click.HelpFormatter) -> None:
    """Write what `unspool --help` shows: it fits a terminal of 80 columns and 24 lines."""
    formatter.write("Usage: unspool COMMAND [ARGUMENTS]...   or   unspool SOURCE...\n")
    formatter.write_paragraph()
    formatter.write("  Go back to any state that an application went through.\n")
    formatter.write_paragraph()
    width = max(len(line) for line, _ in START) + 2
    for line, purpose in START:
        formatter.write(f"  {line:{width}}{purpose}\n")
    formatter.write_paragraph()
    for heading, names in GROUPS.items():
        formatter.write(f"  {heading:8}{' '.join(names)}\n")
    formatter.write_paragraph()
    formatter.write("  unspool help            every command in a line\n")
    formatter.write("  unspool help COMMAND    its arguments, options and examples\n")
    formatter.write_paragraph()
    formatter.write("  -h, --help  --version  --last-failed: what the test recorded that failed last\n")
