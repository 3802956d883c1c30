"""Measured facts about a history: counts, chains, bytes, rebuild times."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from itertools import compress
from typing import Final, Self

from msgspec import Struct

from unspool.codec.records import RecordCodec
from unspool.errors import EntryDropped, UnspoolError
from unspool.history.rebuild import cold_rebuild_us
from unspool.history.verdict import Verdict, VerdictStatus
from unspool.model.cache import CacheStats
from unspool.model.entries import FULL, HOLE_ATOM, NOTE
from unspool.store.file import passed_over_by
from unspool.store.keeping import first_of, told_dropped
from unspool.store.protocol import HOLE, KINDS_BY_CODEC, Columns, Store


class Health(StrEnum):
    """The chains at a glance."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    BROKEN = "broken"


class AtomStats(Struct, frozen=True):
    """One atom's share.

    Attributes:
        changes: entries that changed it.
        stored_bytes: bytes of its values in those records; what stands around values in a record is in none.
    """

    changes: int
    stored_bytes: int


class RebuildTimes(Struct, frozen=True):
    """How long rebuilding a state took, in microseconds, over a sample of entries."""

    p50: float
    p95: float
    max: float


class Sizes(Struct, frozen=True):
    """What a history takes: the figures that every screen and command shows.

    Attributes:
        on_disk: bytes of the source on disk, side files included; 0 where it has none, or that is not known.
        records: bytes of the records as they were recorded, before blocks are compressed.
        whole: bytes if every entry but the notes were stored whole.
    """

    on_disk: int = 0
    records: int = 0
    whole: int = 0

    @classmethod
    def of(cls, columns: Columns, on_disk: int) -> Self:
        """Add up the sizes in columns, which begin with the first entry that is kept."""
        whole = sum(size for size, kind in zip(columns.full_bytes, columns.kind, strict=True) if kind != NOTE)
        return cls(on_disk, sum(columns.stored), whole)

    @property
    def held(self) -> int:
        """What it takes on disk, or in records where that is not known."""
        return self.on_disk or self.records

    @property
    def ratio(self) -> float:
        """How many times smaller it is than whole states; 1.0 for an empty history."""
        return self.whole / self.held if self.held and self.whole else 1.0


class HistoryStats(Struct, frozen=True):
    """What `unspool stats` reports.

    Attributes:
        entries: entries in all; those that a bound on the recording dropped do not count.
        first: the first of them.
        dropped: what a bound on the recording dropped, for people; "" for nothing.
        full: full ones.
        delta: those that hold changes.
        notes: those that hold no state of their own.
        passed_over: calls that recorders with a bound on their pace left out, as entries say.
        chains: full snapshots with the deltas that follow each.
        longest_chain: deltas of the longest chain.
        sizes: what it takes on disk, as records, and as whole states.
        codecs: entries but notes by codec.
        codec_ratios: by codec, the bytes that its entries would take stored whole over those they take.
        atoms: each atom's share, by name.
        rebuild_us: rebuild times of a sample, with nothing held of any state.
        cache: how the cache has served those who looked at one state after the other.
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
    sizes: Sizes
    codecs: Mapping[str, int]
    codec_ratios: Mapping[str, float]
    atoms: Mapping[str, AtomStats]
    rebuild_us: RebuildTimes
    cache: CacheStats
    health: Health
    problems: tuple[str, ...]
    verdict: Verdict

    @property
    def stored_bytes(self) -> int:
        """Bytes of the records as they were recorded; see `Sizes`."""
        return self.sizes.records

    @property
    def full_bytes(self) -> int:
        """Bytes if every entry but the notes were stored whole; see `Sizes`."""
        return self.sizes.whole

    @property
    def file_bytes(self) -> int:
        """Bytes on disk; see `Sizes`."""
        return self.sizes.on_disk

    @property
    def ratio(self) -> float:
        """How many times smaller it is than whole states; see `Sizes`."""
        return self.sizes.ratio


_SAMPLES: Final = 24
"""Entries rebuilt to tell the rebuild time, spread evenly over the history."""


def measure(
    store: Store,
    columns: Columns,
    on_disk: int,
    cache: CacheStats,
    verdict: Verdict,
) -> HistoryStats:
    """Verify every checksum and return what was found; damage is reported in `health`, never raised.

    Args:
        store: where the records are.
        columns: its columns.
        on_disk: bytes that the history takes on disk.
        cache: how the cache of rebuilt states has served.
        verdict: how much of the source could be read.
    """
    problems: list[str] = []
    shares = store.shares(problems)
    first = first_of(store)
    columns = columns.since(first)
    gaps, unreadable = _holes(store, columns, first)
    if unreadable:
        problems.append(f"{unreadable:,} entries cannot be read; run `unspool doctor`")
    if verdict.is_damaged:
        problems.extend(f"{problem.place}: {problem.message}" for problem in verdict.problems)
    times = _rebuild_times(store, first, problems)
    full, notes = columns.kind.count(FULL), columns.kind.count(NOTE)
    sizes = Sizes.of(columns, on_disk)
    health = Health.BROKEN if problems else Health.HEALTHY
    if store.atom_number(HOLE_ATOM) is not None:
        gaps.append(f"holes stand for entries that are lost; `unspool log --atom {HOLE_ATOM}` lists them")
    if health is Health.HEALTHY and (gaps or verdict.status is not VerdictStatus.COMPLETE):
        health = Health.DEGRADED
    problems += gaps
    return HistoryStats(
        entries=len(store) - first,
        first=first,
        dropped=told_dropped(store),
        full=full,
        delta=len(store) - first - full - notes,
        notes=notes,
        passed_over=passed_over_by(store),
        chains=full,
        longest_chain=longest_chain(columns),
        sizes=sizes,
        codecs={_codec(code): count for code, count in _counts(columns).items()},
        codec_ratios=_ratios(columns),
        atoms={atom: AtomStats(*shares[atom]) for atom in sorted(shares, key=lambda atom: -shares[atom][1])},
        rebuild_us=times,
        cache=cache,
        health=health,
        problems=tuple(dict.fromkeys(problems)),
        verdict=verdict,
    )


def _holes(store: Store, columns: Columns, first: int) -> tuple[list[str], int]:
    """Return what is to be said of entries that never arrived, and how many others cannot be read; `first` is the first row's."""
    gaps: list[str] = []
    unreadable, codecs = 0, columns.codec.tobytes()
    place = codecs.find(HOLE)
    while place >= 0:
        seq = last = first + place
        try:
            store.run(seq)
        except EntryDropped as gap:
            last = max(seq, gap.last or seq)
            gaps.append(f"entries {seq} to {last} never arrived: {gap.why}")
        except UnspoolError:
            unreadable += 1
        place = codecs.find(HOLE, last - first + 1)
    return gaps, unreadable


def _codec(code: int) -> str:
    return RecordCodec(code).name.lower()


def _ratios(columns: Columns) -> dict[str, float]:
    found, codecs = {}, columns.codec.tobytes()
    for code in _counts(columns):
        ours = codecs.translate(bytes(other == code for other in range(256)))
        stored = sum(compress(columns.stored, ours))
        if stored:
            found[_codec(code)] = sum(compress(columns.full_bytes, ours)) / stored
    return found


def _counts(columns: Columns) -> dict[int, int]:
    """Return the number of entries by codec, holes and notes left out, the codec that comes first first."""
    codecs = columns.codec.tobytes()
    present = [code for code in range(256) if code in codecs and code != HOLE and KINDS_BY_CODEC[code] != NOTE]
    return {code: codecs.count(code) for code in sorted(present, key=codecs.index)}


def longest_chain(columns: Columns) -> int:
    """Return the most deltas that follow one full snapshot."""
    kinds = columns.kind.tobytes().replace(bytes((NOTE,)), b"")
    return max((len(chain) for chain in kinds.split(b"\x01")), default=0)


def _rebuild_times(store: Store, first: int, problems: list[str]) -> RebuildTimes:
    count = len(store) - first
    times = []
    for place in range(min(_SAMPLES, count)):
        try:
            times.append(cold_rebuild_us(store, first + place * count // min(_SAMPLES, count)))
        except EntryDropped:
            # A gap was reported as a whole.
            continue
        except UnspoolError as error:
            problems.append(str(error))
    times.sort()
    if not times:
        return RebuildTimes(0.0, 0.0, 0.0)
    return RebuildTimes(times[len(times) // 2], times[min(len(times) - 1, len(times) * 95 // 100)], times[-1])
