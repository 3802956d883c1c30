"""Rows of the page that tells the causes behind a value: writes as facts, what may explain them as guesses."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

from unspool.model.paths import Path, format_path
from unspool.model.values import MISSING
from unspool_tui.present import humane
from unspool_tui.present.line import Row, on_grid
from unspool_tui.present.values import preview_text

if TYPE_CHECKING:
    from unspool.query.why import Guess, Link, Why

_INDENT: Final = 2
_DEEPEST: Final = 12
_LONGEST: Final = 400


class WhyRow(NamedTuple):
    """A row, and where Enter goes from it.

    Attributes:
        row: what it shows.
        seq: the entry; None where there is nowhere to go.
        address: the value.
    """

    row: Row
    seq: int | None
    address: Path


def why_heading() -> Row:
    """Return the names of the columns."""
    return Row(
        ((f" {'written at':>10}  value, what was written, why; ? what may explain it, a guess", "faint"),),
        ground="bar",
    )


def why_summary(found: Why) -> list[Row]:
    """Return what is told above the list."""
    many = humane.count(len(found.links), "value")
    rows = [
        Row(((f" {many}", "strong"), (f" in the chain of entry {found.at}; writes are facts, ? are guesses", "dim")))
    ]
    if found.stopped:
        rows.append(Row(((f" the chain may go on: {on_grid(found.stopped)}", "warning"),)))
    if found.problems:
        first = found.problems[0].place
        rows.append(Row(((f" partial: {len(found.problems):,} could not be read, from {first} on", "warning"),)))
    return rows


def why_rows(found: Why) -> list[WhyRow]:
    """Return a row for each link, one for each guess about it, and one where its chain ends."""
    rows: list[WhyRow] = []
    for link in found.in_order():
        seq = None if link.write is None else link.write.seq
        rows.append(WhyRow(_link_row(link), seq, link.path))
        for guess in link.guesses:
            led = next((found.links[s.link] for s in guess.sources if s.link is not None), None)
            goes = led is not None and led.write is not None
            rows.append(
                WhyRow(
                    _guess_row(guess, link.depth),
                    led.write.seq if led is not None and led.write is not None and goes else seq,
                    led.path if led is not None and goes else link.path,
                )
            )
        if link.end:
            rows.append(WhyRow(_dim(link.depth, f"ends here: {link.end}"), seq, link.path))
    return rows


def _link_row(link: Link) -> Row:
    is_older = link.write is not None and link.write.kind.value == "older"
    doubt = "" if link.write is None or link.write.certain or is_older else "?"
    seq = "unknown" if link.write is None else f"{'<=' if is_older else ''}#{link.write.seq:,}{doubt}"
    before = "" if link.old is MISSING else f"{preview_text(link.old, 30)} → "
    why = link.action
    if link.caller is not None:
        why += f"  {PurePath(link.caller.file).name}:{link.caller.line}"
    return Row(
        (
            (f" {seq:>10}  {_indent(link.depth)}", "text"),
            (f"{on_grid(format_path(link.path, root='')[:_LONGEST])} ", "key"),
            (on_grid(f"{before}{preview_text(link.value, 60)}"), "strong"),
            (f"  {on_grid(why[:_LONGEST])}", "dim"),
        )
    )


def _guess_row(guess: Guess, depth: int) -> Row:
    reasons = f"  ({'; '.join(guess.reasons)})" if guess.reasons else ""
    return Row(
        (
            (f" {'':>10}  {_indent(depth)}? ", "warning"),
            (f"{guess.word}, {guess.sureness:.0%}: ", "warning"),
            (on_grid(guess.formula.told()[:_LONGEST]), "text"),
            (on_grid(reasons[:_LONGEST]), "dim"),
        )
    )


def _dim(depth: int, text: str) -> Row:
    return Row(((f" {'':>10}  {_indent(depth)}{on_grid(text[:_LONGEST])}", "dim"),))


def _indent(depth: int) -> str:
    return " " * _INDENT * min(depth, _DEEPEST)
