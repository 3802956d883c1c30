"""What the doctor asks of each entry: does it follow from the one before, in time and in content?"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from unspool.errors import CorruptHistory
from unspool.history.diff import fork_base, same_value
from unspool.model.wire import decode
from unspool.query.doctor_findings import Code, Ledger
from unspool.query.doctor_replay import reason
from unspool.query.doctor_steps import ChainedSource, EncodedState, Facts, Step, Touched
from unspool.store.blocks import KIND_BITS, part_of
from unspool.store.protocol import HOLE_META

ADDED, MODIFIED, DELETED = 0, 1, 2
_KIND_MASK: Final = (1 << KIND_BITS) - 1
DOUBT_META: Final = "unspool.doubtful"
"""Key in the meta of an entry whose state is not certain, in a repaired file."""

Changes = dict[str, int]
"""What happened to each atom: `ADDED`, `MODIFIED` or `DELETED`."""


def _has_time_of_file(facts: Facts) -> bool:
    """Whether an entry of a foreign source carries the modification time of its file, for its record names none."""
    meta = facts.extra.get("meta")
    return isinstance(meta, Mapping) and meta.get("time_from") == "file"


class EntryChecks:
    """Looks at entries one after the other and notes what is out of order."""

    def __init__(self, source: ChainedSource, ledger: Ledger) -> None:
        """Prepare.

        Args:
            source: where states of earlier entries come from.
            ledger: where findings go.
        """
        self._source = source
        self._ledger = ledger
        self._time: int | None = None
        self._certain_from = 0
        self.doubtful: list[tuple[int, int]] = []
        """Entries, as first and last, that a full snapshot after them or their own parent puts in doubt."""

    def see(self, step: Step) -> None:
        """Check the next entry."""
        if step.fault is not None:
            self._ledger.add(step.fault.code, step.seq, step.last, step.fault.text)
        facts = step.facts
        if facts is None:
            return
        # The time of a file says when it was written last, which no clock of the app has to agree with.
        if not _has_time_of_file(facts):
            if self._time is not None and facts.time_ns < self._time:
                self._ledger.add(Code.CLOCK_BACKWARDS, step.seq, step.seq, "older than the entry before it")
            self._time = facts.time_ns
        self._look_at_marks(step, facts)
        if not facts.changed and step.seq > self._source.first and step.fault is None and not facts.codec.is_note:
            self._ledger.add(Code.NO_OP, step.seq, step.seq, "changed nothing")
        if step.state is not None:
            self._check_content(step, facts)

    def _look_at_marks(self, step: Step, facts: Facts) -> None:
        """Tell of what an earlier repair left in the meta."""
        meta = facts.extra.get("meta")
        if not isinstance(meta, Mapping):
            return
        if HOLE_META in meta:
            self._ledger.add(Code.HOLE, step.seq, step.seq, "lost before the file was repaired")
        if DOUBT_META in meta:
            self._ledger.add(Code.DOUBTFUL, step.seq, step.seq, "put in doubt when the file was repaired")

    def _check_content(self, step: Step, facts: Facts) -> None:
        seq = step.seq
        told = self._told(step, facts)
        if told is None:
            return
        parent = facts.extra.get("parent", seq - 1)
        if seq and type(parent) is int and 0 <= parent < self._source.first:
            # What it followed was dropped by a bound on the recording, so what it changed cannot be compared.
            self._certain_from = seq
        elif parent == seq - 1:
            self._check_against_previous(step, told)
        elif type(parent) is not int or not 0 <= parent < seq:
            text = f"follows entry {parent!r}, which is no earlier entry"
            self._ledger.add(Code.FORK_WITHOUT_PARENT, seq, seq, text)
            self._mark(seq, seq)
        else:
            self._check_fork(step, told, parent, part_of(facts.extra))

    def _told(self, step: Step, facts: Facts) -> Changes | None:
        """Return what the entry says it changed."""
        names = self._source.names
        try:
            told = {names[item >> KIND_BITS]: item & _KIND_MASK for item in facts.changed}
        except KeyError:
            told = {"": _KIND_MASK}
        if _KIND_MASK in told.values():
            text = "the list of what it changed names an impossible atom or kind"
            self._ledger.add(Code.UNKNOWN_ATOM, step.seq, step.seq, text)
            return None
        return told

    def _check_against_previous(self, step: Step, told: Changes) -> None:
        if step.touched is not None and step.state is not None:
            if told != _written(step.touched, step.state) and not _all_same(told, step.touched, step.state):
                text = "the list of changed atoms differs from what its delta changes"
                self._ledger.add(Code.WRONG_INDEX, step.seq, step.seq, text)
            return
        if step.before is not None and step.state is not None:
            wrong = differing(told, step.before, step.state)
            if wrong:
                self._doubt(step.seq, wrong)
        self._certain_from = step.seq

    def _doubt(self, seq: int, wrong: list[str]) -> None:
        """Between the last full snapshot that fits and this one, something is not as it was recorded."""
        first = min(self._certain_from + 1, seq)
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        text = f"the full snapshot at entry {seq} does not follow from the deltas before it: atom {wrong[0]!r}{more}"
        self._ledger.add(Code.REPLAY_DIFFERS, first, seq, text)
        self._mark(first, seq)

    def _mark(self, first: int, last: int) -> None:
        """Remember entries as doubtful; neighbours are one span, so that many take no room."""
        if self.doubtful and first <= self.doubtful[-1][1] + 1:
            known = self.doubtful[-1]
            self.doubtful[-1] = (min(first, known[0]), max(last, known[1]))
        else:
            self.doubtful.append((first, last))

    def _check_fork(self, step: Step, told: Changes, parent: int, part: tuple[str, ...] | None) -> None:
        seq = step.seq
        if part is None:
            # A fork of all atoms is stored whole.
            self._certain_from = seq
        origin = self._source.state_at(parent)
        before = self._source.state_at(seq - 1) if step.before is None else step.before
        if origin is not None and part is not None:
            origin = None if before is None else fork_base(before, origin, part)
        if origin is None:
            self._ledger.add(Code.FORK_WITHOUT_PARENT, seq, seq, f"follows entry {parent}, which does not read")
        elif step.state is not None and differing(told, origin, step.state):
            fits = before is not None and not differing(told, before, step.state)
            hint = f"it fits entry {seq - 1}" if fits else "it fits neither that nor the one before it"
            text = f"says it follows entry {parent}, but what it changed does not fit: {hint}"
            self._ledger.add(Code.FORK_WRONG_BRANCH, seq, seq, text)
            self._mark(seq, seq)


class ValueChecks:
    """Decodes the values that entries store, each once, as far as a number of bytes goes."""

    def __init__(self, ledger: Ledger, most: int | None) -> None:
        """Prepare.

        Args:
            ledger: where findings go.
            most: bytes that are decoded in all; None for no bound.
        """
        self._ledger = ledger
        self._left = sys.maxsize if most is None else most
        self.decoded = 0
        """Values that were decoded, or failed to."""
        self.left_out = 0
        """Values that were not looked at."""

    def see(self, step: Step) -> None:
        """Decode what the next entry stores."""
        state = step.state
        if state is None:
            return
        if step.touched is not None:
            stored = [atom for atom, _ in step.touched if atom in state]
        else:
            before = step.before or {}
            stored = [atom for atom, form in state.items() if before.get(atom) != form]
        for atom in stored:
            form = state[atom]
            if len(form) > self._left:
                self.left_out += 1
                continue
            self._left -= len(form)
            self.decoded += 1
            try:
                decode(form)
            except CorruptHistory as error:
                text = f"the value of atom {atom!r} does not decode ({reason(error)})"
                self._ledger.add(Code.MALFORMED, step.seq, step.seq, text, still_reads="every other value")


def differing(told: Changes, old: EncodedState, new: EncodedState) -> list[str]:
    """Return the atoms for which a list of changes does not say what the two states say."""
    get = old.get
    changed = {atom: MODIFIED if atom in old else ADDED for atom, value in new.items() if get(atom) != value}
    if len(new) - len(old) != sum(kind == ADDED for kind in changed.values()):
        changed.update((atom, DELETED) for atom in old.keys() - new.keys())
    if changed == told:
        return []
    wrong = [atom for atom, kind in changed.items() if told.get(atom) != kind and not _is_same(atom, told, old, new)]
    wrong.extend(atom for atom in told if atom not in changed)
    return wrong


def _is_same(atom: str, told: Changes, old: EncodedState, new: EncodedState) -> bool:
    """Say whether an atom that nothing is told of holds the same value in other bytes."""
    return atom not in told and atom in old and atom in new and same_value(old[atom], new[atom])


def _written(touched: Touched, state: EncodedState) -> Changes:
    return {atom: ADDED if old is None else MODIFIED if atom in state else DELETED for atom, old in touched}


def _all_same(told: Changes, touched: Touched, state: EncodedState) -> bool:
    """Say whether a delta and its list of changes differ only in atoms whose value stayed the same."""
    written = _written(touched, state)
    old = dict(touched)
    odd = {atom for atom in written.keys() | told.keys() if written.get(atom) != told.get(atom)}
    return all(
        written.get(atom) == MODIFIED and atom not in told and same_value(old[atom] or b"", state[atom])
        for atom in odd
    )
