"""Another rule for full snapshots: where it would begin the chains of a history, and what that costs in bytes and time.

Costs are measured on a sample: a real file is written and read.
"""

from __future__ import annotations

import random
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from operator import add
from pathlib import Path
from typing import Final

from unspool.codec.records import Record, note_record, patch_steps
from unspool.codec.state_codec import DeltaStrategy, binary_available, parse_strategy
from unspool.codec.strategies import ChainState, FullSnapshotStrategy
from unspool.errors import ConfigError
from unspool.files import ScratchFolder
from unspool.history.history import History
from unspool.history.rebuild import cold_rebuild_us
from unspool.model.entries import FULL, NOTE, ChangeKind
from unspool.model.limits import Cancelled, Progress, never
from unspool.query.doctor.chains import USUAL, rule_named
from unspool.query.lineage import forks
from unspool.query.simulator_sample import (
    DEFAULT_BYTES,
    DEFAULT_ENTRIES,
    Density,
    Differences,
    FileFacts,
    RecordMaker,
    Sample,
    SampleEntry,
    density_of,
    reference_of,
    take_sample,
)
from unspool.store.file import FileStore
from unspool.store.protocol import Columns, Draft

REBUILDS: Final = 48
"""States rebuilt to tell the rebuild time, in one fixed random order."""
_SEED: Final = 20240917


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in microseconds.

    Attributes:
        p50: the median.
        p95: what 95 of 100 stay under.
    """

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What a configuration came to.

    Attributes:
        file_bytes: bytes of the finished file, beyond those of an empty one.
        empty_bytes: bytes of an empty one.
        density: what its blocks hold.
        record_bytes: bytes of the records before blocks were compressed.
        full: entries stored whole.
        longest_chain: deltas of the longest chain.
        rebuild: time to rebuild a state, none of it cached.
        record: time to write an entry, the capture of the state not counted.
    """

    file_bytes: int
    empty_bytes: int
    density: Density
    record_bytes: int
    full: int
    longest_chain: int
    rebuild: Timing
    record: Timing


def try_out(
    entries: Sequence[SampleEntry],
    maker: RecordMaker,
    rule: FullSnapshotStrategy,
    path: Path,
    cancelled: Callable[[], bool],
) -> Trial | None:
    """Write a sample by a configuration, read it back, and return what that cost; None when it was cancelled."""
    empty = _empty_size(path.with_suffix(".empty"))
    book = _Book()
    with closing(FileStore.create(path, durability="fast")) as store:
        for name in maker.names:
            store.intern(name)
        for place, entry in enumerate(entries):
            if cancelled():
                return None
            book.write(store, maker, rule, place, entry)
    with closing(FileStore.open(path)) as reading:
        rebuild = _rebuild_times(reading, len(entries))
    return Trial(
        max(path.stat().st_size - empty, 0),
        empty,
        density_of(path),
        book.bytes,
        book.full,
        book.longest,
        rebuild,
        timing(book.times),
    )


class _Book:
    """Follows the chain being written, as a recorder does, and adds up what it costs."""

    def __init__(self) -> None:
        self.bytes = self.full = self.longest = 0
        self.times: list[float] = []
        self._length = self._delta_bytes = self._full_bytes = self._start_ns = self._steps = 0

    def write(
        self, store: FileStore, maker: RecordMaker, rule: FullSnapshotStrategy, place: int, entry: SampleEntry
    ) -> None:
        """Append an entry, whole or as a delta."""
        if entry.is_note:
            self._append(store, note_record(None, store.intern), [], entry, 0.0)
            return
        record, spent = maker.delta(place)
        changed = maker.changed(place)
        whole = record is None or entry.begins or entry.is_fork
        if record is not None and not whole:
            state = ChainState(
                self._length, (entry.time_ns - self._start_ns) / 1e6, self._delta_bytes, self._full_bytes,
                len(changed), len(record.payload), patch_steps=self._steps + patch_steps(record),
            )  # fmt: skip
            whole = rule.wants_full(state)
        if record is None or whole:
            record, more = maker.full(place)
            spent += more
        self._append(store, record, changed, entry, spent)
        if record.codec.is_full:
            self.full += 1
            self._length = self._delta_bytes = self._steps = 0
            self._full_bytes, self._start_ns = entry.size, entry.time_ns
        else:
            self._length += 1
            self._delta_bytes += len(record.payload)
            self._steps += patch_steps(record)
            self.longest = max(self.longest, self._length)

    def _append(
        self,
        store: FileStore,
        record: Record,
        changed: Sequence[tuple[int, ChangeKind]],
        entry: SampleEntry,
        spent: float,
    ) -> None:
        started = time.perf_counter_ns()
        store.append(
            Draft(
                record.codec.kind, record, changed, entry.time_ns,
                entry.action, entry.size, entry.meta, entry.entry_id,
            )
        )  # fmt: skip
        self.times.append((time.perf_counter_ns() - started) / 1000 + spent)
        self.bytes += len(record.payload)


def _rebuild_times(store: FileStore, count: int) -> Timing:
    places = list(range(count))
    # Every configuration is asked for the same entries in the same order.
    random.Random(_SEED).shuffle(places)  # noqa: S311 - no secret
    return timing([cold_rebuild_us(store, seq) for seq in places[:REBUILDS]])


def timing(times: Sequence[float]) -> Timing:
    """Return the median and the 95th percentile of times in microseconds."""
    if not times:
        return Timing(0.0, 0.0)
    ranked = sorted(times)
    return Timing(ranked[len(ranked) // 2], ranked[min(len(ranked) - 1, len(ranked) * 95 // 100)])


def _empty_size(path: Path) -> int:
    FileStore.create(path, durability="fast").close()
    size = path.stat().st_size
    path.unlink()
    return size


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
    if largest is not None and best.projected_bytes:
        # Other figures compare with the bytes of whole states; this one with a file, whose blocks are compressed.
        texts.append(
            f"a file of full snapshots would take {largest.projected_bytes / best.projected_bytes:.1f} times as much"
        )
    return ", ".join(texts)


Key = tuple[str, str]
"""Codec and strategy."""

STRATEGIES: Final = (
    "auto", "changes:10", "changes:20", "changes:50", "changes:100", "adaptive", "adaptive:4", "size:65536",
    "size:1048576", "time:60000", "time:300000", "significance:10", "composite:changes:50,size:262144", "manual",
)  # fmt: skip
"""Strategies tried with key-wise deltas."""
SLOW_STRATEGIES: Final = ("auto", "changes:10", "changes:50")
"""Strategies tried with binary patches, which take long to make and to apply."""
CODECS: Final = ("auto", "dict", "binary", "compress", "none")
"""Codecs tried."""
_TASTED: Final = 5
"""Binary patches made before it is decided whether to try them all."""
_UNBEARABLE_US: Final = 10_000.0
"""Microseconds a patch may take: beyond that it holds up any app that records."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a simulation came to.

    Attributes:
        source: what people call the history.
        entries: entries of the history.
        sampled: entries tried.
        windows: which, as first and last.
        candidates: the configurations tried, smallest file first.
        recommended: the one to use; None when there was nothing to try.
        reason: why.
        line: the line of configuration to copy; "" without a recommendation.
        notes: what was left out and why.
        complete: everything was tried; False after a cancel.
    """

    source: str
    entries: int
    sampled: int
    windows: tuple[tuple[int, int], ...]
    candidates: tuple[Candidate, ...]
    recommended: Candidate | None
    reason: str
    line: str
    notes: tuple[str, ...]
    complete: bool


def simulate(
    history: History,
    *,
    strategies: Sequence[str] = STRATEGIES,
    codecs: Sequence[str] = CODECS,
    most_entries: int = DEFAULT_ENTRIES,
    most_bytes: int = DEFAULT_BYTES,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Simulation:
    """Try configurations on a sample of a history: each writes a real file, which is then read.

    Args:
        history: what is tried on; it is only read.
        strategies: when full snapshots are stored, as `Recorder` reads it.
        codecs: how entries are written, as `Recorder` reads it.
        most_entries: entries sampled at most.
        most_bytes: bytes of whole states sampled at most.
        progress: called with how far it is.
        cancelled: called to find out whether to stop; what was tried so far is returned then.

    Raises:
        ConfigError: an unknown strategy or codec, or a limit that is no positive number.
    """
    if most_entries < 1 or most_bytes < 1:
        raise ConfigError("most_entries and most_bytes are at least 1")
    stop = cancelled or _never
    notes: list[str] = []
    plan = list(_plan(strategies, codecs, notes))
    sample = take_sample(history, most_entries, most_bytes, stop)
    notes.extend(_notes_on(sample))
    reference = None if sample.is_whole else reference_of(history)
    trials, complete = _try_all(sample, _with_reference(plan, reference), notes, progress, stop)
    if not complete:
        notes.append(f"stopped early: {len(trials)} of {len(plan)} configurations were tried")
    factor = _factor(trials, reference)
    candidates = [_candidate(key, trial, sample, factor) for key, trial in trials.items() if key in plan]
    return _conclude(history, sample, candidates, notes, complete=complete)


def _with_reference(plan: list[Key], reference: FileFacts | None) -> list[Key]:
    """Put the settings that the history was recorded with first, whether somebody asked for them or not."""
    if reference is None:
        return plan
    known = (reference.codec, reference.strategy)
    return [known, *(key for key in plan if key != known)]


def _factor(trials: Mapping[Key, Trial], reference: FileFacts | None) -> float:
    """Return how many times as much an entry takes in the whole history as in the sample."""
    if reference is None or (reference.codec, reference.strategy) not in trials:
        return 1.0
    sampled = trials[reference.codec, reference.strategy].density.per_entry
    return reference.density.per_entry / sampled if sampled else 1.0


def _plan(strategies: Sequence[str], codecs: Sequence[str], notes: list[str]) -> Iterator[Key]:
    """Yield the configurations to try, as codec and strategy."""
    for name in strategies:
        rule_named(name)
    for codec in codecs:
        match parse_strategy(codec):
            case DeltaStrategy.DICT:
                yield from ((codec, name) for name in strategies)
            case DeltaStrategy.BINARY if not binary_available():
                notes.append("binary was not tried: it needs bsdiff4 (`pip install 'unspool[binary]'`)")
            case DeltaStrategy.BINARY:
                slow = [name for name in strategies if name in SLOW_STRATEGIES] or strategies[:1]
                yield from ((codec, name) for name in slow)
            case _:
                # These look at no strategy, or leave the choice to the recorder.
                yield codec, "auto"


def _try_all(
    sample: Sample, plan: list[Key], notes: list[str], progress: Progress | None, cancelled: Cancelled
) -> tuple[dict[Key, Trial], bool]:
    """Try configurations; return what they cost, and whether all were tried."""
    trials: dict[Key, Trial] = {}
    if not sample.entries:
        return trials, not cancelled()
    differences = Differences(sample.entries)
    makers: dict[str, RecordMaker] = {}
    plan = _without_slow(plan, makers, differences, notes)
    with ScratchFolder() as folder:
        for place, (codec, strategy) in enumerate(plan):
            if progress is not None:
                progress(place, len(plan))
            maker = makers.setdefault(codec, RecordMaker(DeltaStrategy(codec), differences))
            path = folder / f"{place}.unspool"
            trial = None if cancelled() else try_out(sample.entries, maker, rule_named(strategy), path, cancelled)
            if trial is None:
                return trials, False
            path.unlink()
            trials[codec, strategy] = trial
    if progress is not None:
        progress(len(plan), len(plan))
    return trials, True


def _without_slow(
    plan: list[Key], makers: dict[str, RecordMaker], differences: Differences, notes: list[str]
) -> list[Key]:
    """Leave binary patches out where one takes so long that no app would bear it."""
    if all(codec != DeltaStrategy.BINARY for codec, _ in plan):
        return plan
    maker = makers[DeltaStrategy.BINARY] = RecordMaker(DeltaStrategy.BINARY, differences)
    spent = sorted(maker.delta(place)[1] for place in range(1, min(_TASTED, len(differences.entries) - 1) + 1))
    if not spent or spent[len(spent) // 2] <= _UNBEARABLE_US:
        return plan
    notes.append(f"binary was not tried: a patch takes {spent[len(spent) // 2] / 1000:.0f} ms to make here")
    return [(codec, strategy) for codec, strategy in plan if codec != DeltaStrategy.BINARY]


def _candidate(key: Key, trial: Trial, sample: Sample, factor: float) -> Candidate:
    codec, strategy = key
    whole = trial.empty_bytes + int(trial.file_bytes * factor * sample.total / len(sample.entries))
    return Candidate(
        strategy, codec, trial.file_bytes, whole, trial.record_bytes,
        trial.full, trial.longest_chain, trial.rebuild, trial.record,
    )  # fmt: skip


def _notes_on(sample: Sample) -> Iterator[str]:
    if not sample.is_whole:
        spans = ", ".join(f"{first} to {last}" for first, last in sample.windows)
        yield f"tried on {len(sample.entries)} of {sample.total} entries ({spans}); chains longer than that are not seen"
    if sample.unreadable:
        yield f"{sample.unreadable} entries could not be read and were left out; run `unspool doctor`"


def _conclude(
    history: History, sample: Sample, candidates: list[Candidate], notes: list[str], *, complete: bool
) -> Simulation:
    best, reason = recommend(candidates) if candidates else (None, "nothing was tried")
    if best is not None and not complete:
        reason += "; of what was tried so far"
    best_places = {id(one) for one in front(candidates)}
    marked = {id(one): replace(one, on_front=id(one) in best_places) for one in candidates}
    ranked = sorted(marked.values(), key=lambda one: (one.file_bytes, one.rebuild_us.p95))
    return Simulation(
        history.source_name, sample.total, len(sample.entries), sample.windows, tuple(ranked),
        None if best is None else marked[id(best)], reason, "" if best is None else best.line, tuple(notes), complete,
    )  # fmt: skip


def _never() -> bool:
    return False


ALTERNATIVES: Final = (
    "changes:20",
    "changes:50",
    "changes:100",
    "changes:10",
    "adaptive",
    "size:65536",
    "auto",
    "manual",
)
"""Rules to compare with the one that a history was recorded by, the usual ones first."""
_ASKED_EVERY: Final = 4096
"""Entries between two questions whether to stop."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """What another rule would come to.

    Attributes:
        rule: its name.
        starts: the entries at which chains would begin, in order.
        chains: how many chains there are now.
        sampled: entries that it was tried on; 0 where it was not.
        rebuild_us: how much longer the slowest of 20 rebuilds takes than now, in microseconds; negative where it is quicker.
        file_bytes: how many bytes more the file would take, projected from the sample; negative where it is fewer.
        complete: nothing was left out after a cancel.
    """

    rule: str
    starts: array[int]
    chains: int
    sampled: int = 0
    rebuild_us: float = 0.0
    file_bytes: int = 0
    complete: bool = True

    @property
    def more(self) -> int:
        """How many chains there would be more; negative for fewer."""
        return len(self.starts) - self.chains

    def begins(self, seq: int) -> bool:
        """Whether a chain would begin at an entry."""
        at = bisect_left(self.starts, seq)
        return at < len(self.starts) and self.starts[at] == seq

    def between(self, first: int, last: int) -> list[int]:
        """Return the entries from one to another at which chains would begin."""
        return list(self.starts[bisect_left(self.starts, first) : bisect_left(self.starts, last + 1)])


def starts_by(
    columns: Columns, rule: str, *, first: int = 0, apart: Collection[int] = (), cancelled: Cancelled = never
) -> tuple[array[int], bool]:
    """Return where a rule would begin chains, and whether all entries were looked at.

    What an entry that is stored whole would take as a delta is not known; it is taken to be as large as the delta before it.

    Args:
        columns: the columns of the history.
        rule: the rule's name, as `Recorder` reads it.
        first: the first entry.
        apart: entries that do not follow the one before them: those are stored whole whatever the rule.
        cancelled: called to find out whether to stop.

    Raises:
        ConfigError: an unknown rule.
    """
    wants_full, whole = rule_named(rule).wants_full, frozenset(apart)
    starts = array("q")
    length = delta_bytes = full_bytes = start_ns = usual = 0
    for begin in range(first, len(columns), _ASKED_EVERY):
        if cancelled():
            return starts, False
        for seq, kind, stored, changed, time_ns, whole_bytes in _rows(columns, begin):
            if kind == NOTE:
                continue
            size = usual if kind == FULL else stored
            state = ChainState(length, (time_ns - start_ns) / 1e6, delta_bytes, full_bytes, changed, size)
            if not starts or seq in whole or wants_full(state):
                starts.append(seq)
                length = delta_bytes = 0
                full_bytes, start_ns = whole_bytes, time_ns
            else:
                length, delta_bytes, usual = length + 1, delta_bytes + size, size
    return starts, True


def _rows(columns: Columns, begin: int) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Return number, kind, bytes of the record, changed atoms, time and bytes of the state of the next `_ASKED_EVERY` entries."""
    part = slice(begin, begin + _ASKED_EVERY)
    changed = map(add, map(add, columns.added[part], columns.modified[part]), columns.deleted[part])
    sizes, times = columns.stored[part], columns.timestamp_ns[part]
    return zip(count(begin), columns.kind[part], sizes, changed, times, columns.full_bytes[part], strict=False)


def alternative(history: History, rule: str, *, now: str, chains: int, cancelled: Cancelled = never) -> Alternative:
    """Return what another rule would come to, tried on a sample beside the one of now.

    Args:
        history: what it is tried on; it is only read.
        rule: the other rule.
        now: the rule of now.
        chains: how many chains there are now.
        cancelled: called to find out whether to stop.

    Raises:
        ConfigError: an unknown rule.
    """
    apart = [fork.seq for fork in forks(history, history.first, len(history))]
    starts, complete = starts_by(history.columns(), rule, first=history.first, apart=apart, cancelled=cancelled)
    tried = simulate(history, strategies=[now, rule], codecs=["dict"], cancelled=cancelled)
    by_rule: dict[str, Candidate] = {one.strategy: one for one in tried.candidates}
    if rule not in by_rule or now not in by_rule:
        return Alternative(rule, starts, chains, complete=False)
    other, mine = by_rule[rule], by_rule[now]
    return Alternative(
        rule,
        starts,
        chains,
        tried.sampled,
        other.rebuild_us.p95 - mine.rebuild_us.p95,
        other.projected_bytes - mine.projected_bytes,
        complete and tried.complete,
    )


__all__ = ["CODECS", "DEFAULT_ENTRIES", "STRATEGIES", "Candidate", "Simulation", "Timing", "simulate"]
