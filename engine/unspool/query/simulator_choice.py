"""Which of the tried configurations to recommend, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from unspool.query.doctor_rules import USUAL
from unspool.query.simulator_trial import Timing

PROMPT_US: Final = 5000.0
"""A rebuild within this time feels instant; one that is faster still wins nothing."""
_SLOWER: Final = 2.0
"""Where nothing rebuilds within that time: how much slower than the fastest a configuration may be."""
_RECORD_US: Final = 1000.0
"""Writing an entry within this time does not disturb an app."""
_WORTH: Final = 0.9
"""Deltas must save at least a tenth over full snapshots to be worth their chains."""
_ALIKE: Final = 1.05
"""Files that differ by less than this are alike."""
_AS_FAST: Final = 1.25
"""Rebuilds whose times differ by less than this are as fast as each other."""
_UNFELT_US: Final = 200.0
"""Microseconds that nobody feels."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One configuration and what it costs.

    Attributes:
        strategy: when a full snapshot is stored, as `Recorder` reads it.
        codec: how entries are written, as `Recorder` reads it.
        file_bytes: bytes of the file for the sample, beyond those of an empty file.
        projected_bytes: bytes that the file of the whole history would have.
        record_bytes: bytes of the sample's records before blocks are compressed.
        full: entries of the sample that are stored whole.
        longest_chain: deltas of the longest chain.
        rebuild_us: time to rebuild a state.
        record_us: time to write an entry, the capture of the state not counted.
        on_front: no other configuration is both smaller and faster to rebuild.
    """

    strategy: str
    codec: str
    file_bytes: int
    projected_bytes: int
    record_bytes: int
    full: int
    longest_chain: int
    rebuild_us: Timing
    record_us: Timing
    on_front: bool = False

    @property
    def name(self) -> str:
        """Codec and strategy in one word each; full snapshots have no strategy."""
        return self.codec if self.is_full else f"{self.codec} {self.strategy}"

    @property
    def is_full(self) -> bool:
        """Whether every entry is stored whole, whatever the strategy."""
        return self.codec in ("none", "compress")

    @property
    def line(self) -> str:
        """The line of configuration to copy."""
        if self.is_full:
            return f'Recorder(path, codec="{self.codec}")'
        return f'Recorder(path, strategy="{self.strategy}", codec="{self.codec}")'


def front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the configurations that no other beats in bytes and in rebuild time, smallest first."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: (one.file_bytes, one.rebuild_us.p95)):
        if not kept or candidate.rebuild_us.p95 < kept[-1].rebuild_us.p95:
            kept.append(candidate)
    return kept


def recommend(candidates: Sequence[Candidate]) -> tuple[Candidate, str]:
    """Return the configuration to use, and why.

    The smallest file among those that rebuild promptly and do not hold up the app; full snapshots where deltas
    would save less than a tenth; of files that are alike, the recorder's own choice, or the one that rebuilds faster.
    """
    fit = _fit(candidates)
    smallest = min(one.file_bytes for one in fit)
    alike = [one for one in fit if one.file_bytes <= smallest * _ALIKE]
    best = min(alike, key=lambda one: (one.rebuild_us.p95, one.record_us.p50))
    usual = next((one for one in alike if one.codec == one.strategy == USUAL), best)
    if usual.rebuild_us.p95 <= max(_AS_FAST * best.rebuild_us.p95, best.rebuild_us.p95 + _UNFELT_US):
        # Times vary from run to run; where nothing is gained the recorder may be left as it is.
        best = usual
    whole = min((one for one in fit if one.is_full), key=lambda one: one.file_bytes, default=None)
    if best.is_full:
        return best, "full snapshots are smallest here: keep them"
    if whole is not None and best.file_bytes > _WORTH * whole.file_bytes:
        saved = 100 - 100 * best.file_bytes // max(whole.file_bytes, 1)
        return whole, f"deltas would save only {saved} %: keep full snapshots, which need no chain to be read"
    return best, _reason(best, candidates)


def _fit(candidates: Sequence[Candidate]) -> list[Candidate]:
    fastest = min(one.rebuild_us.p95 for one in candidates)
    cheapest = min(one.record_us.p50 for one in candidates)
    prompt = max(PROMPT_US, _SLOWER * fastest)
    light = max(_RECORD_US, _SLOWER * cheapest)
    fit = [one for one in candidates if one.rebuild_us.p95 <= prompt and one.record_us.p50 <= light]
    return fit or list(candidates)


def _reason(best: Candidate, candidates: Sequence[Candidate]) -> str:
    texts = ["the smallest file of those that rebuild promptly and do not hold up the app"]
    largest = max((one for one in candidates if one.codec == "none"), key=lambda one: one.file_bytes, default=None)
    if largest is not None and best.file_bytes:
        texts.append(f"{largest.file_bytes / best.file_bytes:.1f} times smaller than full snapshots")
    return ", ".join(texts)
