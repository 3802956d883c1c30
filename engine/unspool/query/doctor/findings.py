"""What the doctor can find, what each finding means for a person, and the ledger findings are kept in."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from unspool.codec.records import Record, RecordCodec
from unspool.history.stats import Health
from unspool.model.values import Value
from unspool.model.wire import EncodedState


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """Something that was recorded does not read, or is not certain."""
    WARNING = "warning"
    """All states read, but an answer may be wrong or something is out of order."""
    NOTE = "note"
    """Worth knowing; nothing is wrong."""


class Code(StrEnum):
    """What was found."""

    SQLITE_DAMAGE = "sqlite-damage"
    LOG_DAMAGED = "log-damaged"
    LOG_TORN = "log-torn"
    LOG_KEPT = "log-kept"
    CHECKSUM = "checksum-mismatch"
    MALFORMED = "malformed-record"
    SEVERED_BASE = "severed-base"
    REPLAY_DIFFERS = "replay-differs"
    MISSING_ENTRIES = "missing-entries"
    MISSING_RECORDS = "missing-records"
    MISSING_KEYFRAME = "missing-keyframe"
    UNKNOWN_ATOM = "unknown-atom"
    CONTRADICTS = "contradicts-base"
    HASH_CHAIN = "hash-chain-broken"
    CHECKSUM_CHAIN = "checksum-chain-broken"
    DAMAGED_FACT = "damaged-fact"
    WRONG_END = "wrong-end"
    NOT_CLOSED = "not-closed"
    CYCLE = "parent-cycle"
    FORK_WITHOUT_PARENT = "fork-without-parent"
    FORK_WRONG_BRANCH = "fork-on-wrong-branch"
    DUPLICATE = "duplicate-entries"
    UNREACHABLE = "unreachable-records"
    WRONG_INDEX = "wrong-index"
    IDENTITY_LOST = "identity-lost"
    CLOCK_BACKWARDS = "clock-backwards"
    SOURCE_PARTIAL = "source-partial"
    HOLE = "hole"
    DROPPED = "dropped"
    NOT_KEPT = "not-kept"
    DOUBTFUL = "doubtful"
    OVER_LIMIT = "chain-over-limit"
    NO_OP = "no-op"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    Attributes:
        code: what it is.
        severity: how much it matters.
        first: the first entry it concerns; None where it concerns the file.
        last: the last one.
        meaning: what is the matter, in one line.
        still_reads: what can be read all the same.
        remedy: what to do about it.
        where: the place in a foreign source's own file; "" where the entries say it all.
    """

    code: Code
    severity: Severity
    first: int | None
    last: int | None
    meaning: str
    still_reads: str
    remedy: str
    where: str = ""

    @property
    def place(self) -> str:
        """The entries it concerns, for people."""
        if self.first is None or self.last is None:
            return self.where or "the file"
        return f"entry {self.first}" if self.first == self.last else f"entries {self.first} to {self.last}"


REPAIR: Final = "`unspool doctor FILE --repair OUT` writes a new file"
"""Beginning of a remedy; what is said behind it is true of the new file."""
_REPAIR: Final = f"{REPAIR} with all that is intact"
_OTHERS: Final = "every other entry"
_ALL: Final = "every entry"

_KINDS: Final[Mapping[Code, tuple[Severity, str, str]]] = {
    Code.SQLITE_DAMAGE: (Severity.ERROR, "what no other finding names", f"check the disk; {_REPAIR}"),
    Code.LOG_DAMAGED: (
        Severity.ERROR,
        "what was written before the damage",
        f"copy the file and its -wal before anything writes to them; {_REPAIR}",
    ),
    Code.LOG_TORN: (
        Severity.WARNING,
        "what was written before it; the newest entries may be missing",
        f"copy the file and its -wal before anything writes to them; {_REPAIR}",
    ),
    Code.LOG_KEPT: (
        Severity.WARNING,
        "every entry that is there; what was in the log reads from the log itself",
        "`unspool doctor LOG --repair OUT`, LOG being its name, writes a new file of what is intact; then move the log away",
    ),
    Code.CHECKSUM: (Severity.ERROR, _OTHERS, _REPAIR),
    Code.MALFORMED: (Severity.ERROR, _OTHERS, _REPAIR),
    Code.SEVERED_BASE: (Severity.ERROR, "what they changed, not their states", _REPAIR),
    Code.REPLAY_DIFFERS: (
        Severity.ERROR,
        "every state, but those of the deltas before it are not certain",
        f"{_REPAIR} and marks these entries as doubtful",
    ),
    Code.MISSING_ENTRIES: (Severity.ERROR, _OTHERS, _REPAIR),
    Code.MISSING_RECORDS: (Severity.ERROR, "when they happened and what they changed, not their states", _REPAIR),
    Code.MISSING_KEYFRAME: (Severity.ERROR, "when they happened and what they changed, not their states", _REPAIR),
    Code.UNKNOWN_ATOM: (Severity.ERROR, "entries that do not name the atom", f"{_REPAIR}, the atom under its number"),
    Code.CONTRADICTS: (
        Severity.ERROR,
        "every state; this one and its base are not certain",
        f"{_REPAIR} and marks these entries as doubtful",
    ),
    Code.HASH_CHAIN: (
        Severity.ERROR,
        "every event as it stands; from here on they may not be what was written",
        f"restore the log from a copy; {_REPAIR} and marks what is not certain",
    ),
    Code.CHECKSUM_CHAIN: (
        Severity.ERROR,
        "every entry as it stands; some may be of another copy of the history, or stand in another's place",
        f"compare with a backup; {_REPAIR}",
    ),
    Code.DAMAGED_FACT: (Severity.ERROR, _ALL, _REPAIR),
    Code.WRONG_END: (Severity.ERROR, "every entry that is there", f"look for a backup; {_REPAIR}"),
    Code.NOT_CLOSED: (
        Severity.WARNING,
        "every entry that is there",
        "none is needed where the program was killed; after a power cut compare with what should be there",
    ),
    Code.CYCLE: (Severity.ERROR, "every entry, in the order it was stored", _REPAIR),
    Code.FORK_WITHOUT_PARENT: (Severity.ERROR, "the state; not what it changed", _REPAIR),
    Code.FORK_WRONG_BRANCH: (Severity.ERROR, "the state; what it is said to have changed is wrong", _REPAIR),
    Code.DUPLICATE: (Severity.WARNING, "the sealed copy", _REPAIR),
    Code.UNREACHABLE: (Severity.WARNING, _ALL, _REPAIR),
    Code.WRONG_INDEX: (
        Severity.WARNING,
        "every state; questions such as `when did this atom change` may miss entries",
        f"{_REPAIR} and a right index",
    ),
    Code.IDENTITY_LOST: (
        Severity.WARNING,
        "every entry, under an id that may differ from what it was",
        f"{_REPAIR} and a new identity",
    ),
    Code.CLOCK_BACKWARDS: (
        Severity.WARNING,
        _ALL,
        "go to entries by number; check the clock of the machine that recorded",
    ),
    Code.SOURCE_PARTIAL: (
        Severity.WARNING,
        "what could be read of the source",
        "repair the source and open it again",
    ),
    Code.HOLE: (Severity.WARNING, "the entries around it", "look for a backup of the file it was repaired from"),
    Code.DROPPED: (
        Severity.WARNING,
        "the entries around it",
        "give the recorder a larger spool (`spool_bytes`) or a server that it reaches more often",
    ),
    Code.NOT_KEPT: (
        Severity.NOTE,
        "every entry that is kept",
        "none needed; Recorder(..., keep=…) with a wider bound keeps more",
    ),
    Code.DOUBTFUL: (
        Severity.WARNING,
        "the state, which may not be what was recorded",
        "look for a backup of the file it was repaired from",
    ),
    Code.OVER_LIMIT: (
        Severity.NOTE,
        _ALL,
        "`unspool simulate FILE` tells which strategy would suit; `unspool convert FILE OUT --strategy NAME` applies it",
    ),
    Code.NO_OP: (Severity.NOTE, _ALL, "none needed; Recorder(..., skip_unchanged=True) leaves such entries out"),
}


def usual_severity(code: Code) -> Severity:
    """Return how much a finding usually matters."""
    return _KINDS[code][0]


LISTED: Final = 100
"""Findings of one code that are listed; the others are counted."""


class ErrorWatch(Protocol):
    """Follows what is found while it is."""

    def doubted(self, first: int | None, last: int | None, meaning: str) -> None:
        """Take an error about entries; None for the history as a whole."""


class FindingLog:
    """Findings in the order they come: neighbours that say the same are one, and no code floods the others."""

    def __init__(self, watch: ErrorWatch | None = None) -> None:
        """Start with nothing found; every error is told to `watch`, listed or not."""
        self._watch = watch
        self._findings: list[Finding] = []
        self._open: dict[Code, int] = {}
        self._listed: Counter[Code] = Counter()
        self._beyond: dict[Code, tuple[str, str, int | None]] = {}
        self.counts: Counter[Code] = Counter()
        """Entries by what was found of them; 1 for each finding about the file."""
        self.unlisted: Counter[Code] = Counter()
        """Findings beyond those listed."""

    def add(
        self,
        code: Code,
        first: int | None,
        last: int | None,
        meaning: str,
        severity: Severity | None = None,
        *,
        where: str = "",
        still_reads: str = "",
    ) -> None:
        """Note a finding; `meaning` should not name the entries, so that neighbours can be joined."""
        self.counts[code] += 1 if first is None or last is None else last - first + 1
        if self._watch is not None and (severity or usual_severity(code)) is Severity.ERROR:
            self._watch.doubted(first, last, meaning)
        place = self._open.get(code)
        if place is not None:
            known = self._findings[place]
            same = (known.meaning, known.where) == (meaning, where)
            if same and known.last is not None and known.last + 1 == first:
                self._findings[place] = replace(known, last=last)
                return
        if self._listed[code] >= LISTED:
            # Neighbours are one finding here too.
            self.unlisted[code] += first is None or self._beyond.get(code) != (meaning, where, first - 1)
            self._beyond[code] = (meaning, where, last)
            return
        usual, reads, remedy = _KINDS[code]
        self._listed[code] += 1
        self._open[code] = len(self._findings)
        self._findings.append(
            Finding(code, severity or usual, first, last, meaning, still_reads or reads, remedy, where)
        )

    def findings(self) -> tuple[Finding, ...]:
        """Return the findings, worst first, then in the order of entries."""
        rank = list(Severity)
        return tuple(
            sorted(self._findings, key=lambda f: (rank.index(f.severity), -1 if f.first is None else f.first))
        )

    def health(self) -> Health:
        """Return what the findings come to: errors break a history, warnings degrade it, notes do nothing."""
        severities = {finding.severity for finding in self._findings}
        if Severity.ERROR in severities:
            return Health.BROKEN
        return Health.DEGRADED if Severity.WARNING in severities else Health.HEALTHY


Touched = list[tuple[str, bytes | None]]
"""Atoms that a delta wrote, each with its wire form before."""
Report = Callable[[Code, int | None, int | None, str], None]
"""Where a source reports what it finds besides faults of entries."""

PLACEHOLDER: Final = "atom#{number}"
"""Name of an atom whose name was lost."""
FARTHEST_ATOM: Final = 1 << 16
"""Numbers beyond the last known one that are still taken for atoms with a lost name."""


class Names(dict[int, str]):
    """Names of atoms by number; numbers without a name get a placeholder and are remembered in `unknown`.

    Attributes:
        lost: numbers whose name did not read.
        unknown: those of them that were met beyond all names.
    """

    def __init__(self, known: Mapping[int, str], lost: Collection[int] = ()) -> None:
        """Start from the names that are known; `lost` ones get a placeholder."""
        super().__init__(known)
        self.update((number, PLACEHOLDER.format(number=number)) for number in lost)
        self.lost = set(lost)
        self.unknown: set[int] = set()
        self._limit = max(known, default=-1) + 1 + FARTHEST_ATOM

    def __missing__(self, number: int) -> str:
        if type(number) is not int or not 0 <= number < self._limit:
            raise KeyError(number)
        self.unknown.add(number)
        self.lost.add(number)
        name = self[number] = PLACEHOLDER.format(number=number)
        return name


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an entry cannot be read.

    Attributes:
        code: what is the matter.
        text: the same in words, without the entry's number.
    """

    code: Code
    text: str


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What is known of an entry besides its state.

    Attributes:
        time_ns: nanoseconds since the epoch.
        codec: how its record was written when it was recorded.
        action: why it happened.
        changed: postings of what it changed.
        extra: id, parent and meta where they are not the usual ones.
        stored: bytes of its record as recorded.
        full_bytes: bytes of the whole state.
    """

    time_ns: int
    codec: RecordCodec
    action: str
    changed: array[int]
    extra: Mapping[str, Value]
    stored: int
    full_bytes: int


@dataclass(slots=True)
class Step:
    """One entry, or several in a row of which nothing at all is known.

    Attributes:
        seq: its number.
        last: number of the last one, where there are several.
        facts: what is known besides the state; None when that is lost.
        fault: why the state does not read, or with a state why nothing else is known; None when all reads.
        record: its record.
        state: the state, until the next step is taken; None when it does not read.
        before: the state before it, where it is still at hand.
        touched: what its delta wrote, where it is a readable key-wise delta.
    """

    seq: int
    last: int
    facts: Facts | None = None
    fault: Fault | None = None
    record: Record | None = None
    state: EncodedState | None = None
    before: EncodedState | None = None
    touched: Touched | None = field(default=None)


class ChainedSource(Protocol):
    """A source with chains that the doctor can walk over. The native file and any open store are such sources."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def first(self) -> int:
        """The first entry it should hold: 0, unless a bound on the recording dropped those before it."""

    @property
    def total(self) -> int:
        """One past the last entry it should hold."""

    @property
    def names(self) -> Names:
        """Names of atoms by number."""

    def steps(self) -> Iterator[Step]:
        """Yield every entry from `first` to `total - 1` in order; damage is reported in the steps, never raised."""

    def state_at(self, seq: int) -> EncodedState | None:
        """Return the state at an earlier entry, or None where it does not read."""

    def close(self) -> None:
        """Let go of files."""
