"""Measured facts about a history: counts, chains, bytes, rebuild times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from unspool.history.rebuild import CacheStats
from unspool.history.verdict import Verdict


class Health(StrEnum):
    """The chains at a glance."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class AtomStats:
    """One atom's share.

    Attributes:
        changes: entries that changed it.
        stored_bytes: bytes those entries' records spent on it.
    """

    changes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class RebuildTimes:
    """How long rebuilding a state took, in microseconds, over a sample of entries."""

    p50: float
    p95: float
    max: float


@dataclass(frozen=True, slots=True)
class HistoryStats:
    """What `unspool stats` tells.

    Attributes:
        entries: entries in all; those that a bound on the recording dropped do not count.
        first: the first of them.
        dropped: what a bound on the recording dropped, for people; "" for nothing.
        full: full ones.
        delta: those that hold what changed.
        notes: those that hold no state of their own.
        passed_over: calls that recorders with a bound on their pace left out, as entries say.
        chains: full snapshots with the deltas that follow each.
        longest_chain: deltas of the longest chain.
        stored_bytes: record bytes as recorded, before block compression.
        full_bytes: bytes if every entry but the notes were stored whole.
        ratio: `full_bytes / stored_bytes`; 1.0 for an empty history.
        file_bytes: bytes on disk, side files included.
        codecs: entries but notes by codec.
        codec_ratios: by codec, the bytes that its entries would take stored whole over those they take.
        atoms: each atom's share, by name.
        rebuild_us: rebuild times.
        cache: how the cache has served.
        health: the chains at a glance.
        problems: what made it less than healthy.
        verdict: how much of the source could be read.
    """

    entries: int
    first: int
    dropped: str
    full: int
    delta: int
    notes: int
    passed_over: int
    chains: int
    longest_chain: int
    stored_bytes: int
    full_bytes: int
    ratio: float
    file_bytes: int
    codecs: Mapping[str, int]
    codec_ratios: Mapping[str, float]
    atoms: Mapping[str, AtomStats]
    rebuild_us: RebuildTimes
    cache: CacheStats
    health: Health
    problems: tuple[str, ...]
    verdict: Verdict
