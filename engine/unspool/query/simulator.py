"""The simulator: what each strategy and codec would have cost on this very history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from unspool.codec.binary_patch import binary_available
from unspool.codec.strategies import DeltaStrategy, parse_strategy
from unspool.errors import ConfigError
from unspool.files.leftovers import ScratchFolder
from unspool.history.history import History
from unspool.query.doctor_rules import rule_named
from unspool.query.simulator_choice import Candidate, front, recommend
from unspool.query.simulator_projection import Reference, reference_of
from unspool.query.simulator_records import Differences, RecordMaker
from unspool.query.simulator_sample import DEFAULT_BYTES, DEFAULT_ENTRIES, Sample, take_sample
from unspool.query.simulator_trial import Timing, Trial, try_out

Progress = Callable[[int, int], None]
"""Called with configurations done and configurations in all."""
Cancelled = Callable[[], bool]
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
        progress: told how far it is.
        cancelled: asked whether to stop; what was tried so far is returned then.

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


def _with_reference(plan: list[Key], reference: Reference | None) -> list[Key]:
    """Put the settings that the history was recorded with first, whether somebody asked for them or not."""
    if reference is None:
        return plan
    known = (reference.codec, reference.strategy)
    return [known, *(key for key in plan if key != known)]


def _factor(trials: Mapping[Key, Trial], reference: Reference | None) -> float:
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


__all__ = ["CODECS", "DEFAULT_ENTRIES", "STRATEGIES", "Candidate", "Simulation", "Timing", "simulate"]
