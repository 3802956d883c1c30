"""Rows of the chains screen: one chain a line, its size against its limits, and what the doctor says."""

from __future__ import annotations

from msgspec import Struct

from unspool_tui.present import humane
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.grid import on_grid
from unspool_tui.present.line import Row, Spans, pad

_BAR = 12


class Chain(Struct, frozen=True):
    """One chain.

    Attributes:
        first: its full snapshot.
        last: its newest entry.
        deltas: entries after the full snapshot.
        age_ns: time from the first to the last.
        full_bytes: bytes of the full snapshot's record.
        delta_bytes: bytes of the deltas' records.
        most_deltas: deltas at which its strategy ends a chain; None where it does not count them.
        most_bytes: bytes at which it does; None likewise.
        checksums: `intact` or `damaged`; empty while nobody looked.
        verdict: `keep`, `create base` or `broken`; empty while nobody looked.
        reason: why.
    """

    first: int
    last: int
    deltas: int
    age_ns: float
    full_bytes: int
    delta_bytes: int
    most_deltas: int | None = None
    most_bytes: int | None = None
    checksums: str = ""
    verdict: str = ""
    reason: str = ""


def chain_heading(width: int) -> Row:
    """Return the names of the columns."""
    text = f" {'entries':<17} {'deltas':>7}  {'age':>8}  {'full':>9}  {'deltas':>9}  {'of its limit':<{_BAR}}"
    return Row(((text, "faint"), ("  checksums  verdict", "faint")), ground="bar")


def chain_row(chain: Chain, width: int, glyphs: Glyphs) -> Row:
    """Return the line of one chain."""
    style = {"broken": "error", "create base": "warning"}.get(chain.verdict, "good")
    checks = {"": ("not checked", "faint"), "damaged": (f"{glyphs.cross} damaged", "error")}
    checked = checks.get(chain.checksums, (f"{glyphs.tick} intact", "good"))
    return Row(
        (
            (f" {pad(f'#{chain.first:,}–{chain.last:,}', 17)} ", "text"),
            (f"{chain.deltas:>7,}  ", "dim"),
            (f"{humane.duration(chain.age_ns):>8}  ", "dim"),
            (f"{humane.size(chain.full_bytes):>9}  ", "full"),
            (f"{humane.size(chain.delta_bytes):>9}  ", "dim"),
            *_share(chain, glyphs),
            (f"  {pad(checked[0], 11)}", checked[1]),
            (f"{chain.verdict}", style),
            (f"  {on_grid(chain.reason[:200])}" if chain.reason else "", "dim"),
        )
    )


def _share(chain: Chain, glyphs: Glyphs) -> Spans:
    shares = [
        part / most
        for part, most in ((chain.deltas, chain.most_deltas), (chain.delta_bytes, chain.most_bytes))
        if most
    ]
    if not shares:
        return ((pad("", _BAR), "text"),)
    share = min(1.0, max(shares))
    filled = round(share * _BAR)
    style = "good" if share < 0.8 else "warning" if share < 1 else "error"
    return ((glyphs.bar_full * filled, style), (glyphs.bar_rest * (_BAR - filled), "border"))


def finding_row(severity: str, place: str, meaning: str, remedy: str, glyphs: Glyphs) -> list[Row]:
    """Return the lines of one thing that the doctor found."""
    style = {"error": "error", "warning": "warning"}.get(severity, "dim")
    return [
        Row(((f" {glyphs.dot} {place}: ", style), (on_grid(meaning[:400]), "text"))),
        Row((("   ", "text"), (on_grid(remedy[:400]), "dim"))),
    ]


def progress_row(done: int, total: int, width: int, glyphs: Glyphs) -> Row:
    """Return a bar of how far the doctor is."""
    room = max(10, min(40, width - 40))
    filled = done * room // max(1, total)
    return Row(
        (
            (" examining ", "text"),
            (glyphs.bar_full * filled, "key"),
            (glyphs.bar_rest * (room - filled), "border"),
            (f" {done:,} of {total:,}", "dim"),
        ),
        (("Esc stops ", "faint"),),
    )


def summary_row(verdict: str, entries: int, readable: int, chains: int) -> Row:
    """Return the doctor's verdict in one line."""
    style = {"healthy": "good", "degraded": "warning"}.get(verdict, "error")
    said = f"{readable:,} of {entries:,} entries read  {humane.count(chains, 'chain')}"
    return Row(((f" {verdict} ", style), (f" {said}", "dim")))
