"""Capturing a state: a private wire form of it, which atoms changed since the last one, and the record that keeps them.

Comparing encoded bytes makes mutable state safe: a captured state shares nothing with the app. The whole state is
encoded at once and compared with the last as one byte string; only atoms in which the two differ are looked at, so
the cost is that of one encoding however many atoms there are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from itertools import compress, count
from operator import ne
from types import MappingProxyType
from typing import Final

import msgspec

from unspool.codec import state_codec
from unspool.codec.records import (
    AtomWrite,
    Form,
    Record,
    RecordCodec,
    as_written,
    encode_delta,
    encode_full,
    patch_steps,
)
from unspool.codec.state_codec import DeltaStrategy, binary_available
from unspool.codec.strategies import BlockStrategy, ChainState, FullSnapshotStrategy, strategy_from_name
from unspool.delta.patch import SMALLEST_PATCHED, TooManySteps, make_frame, make_patch
from unspool.delta.structural import may_hide, same_value
from unspool.errors import ConfigError, MissingExtra
from unspool.model.values import MISSING, Value
from unspool.model.wire import NotSplittable, encode_json, is_one_value, shared_end, shared_from, split_map
from unspool.recorder.encoding import (
    Encoded,
    EncodedState,
    Encoding,
    StateLayout,
    StateWithForm,
    items_of,
    plain_text,
)

_FEW: Final = 24
"""Changed atoms up to which finding them one by one beats looking at every atom."""
_LARGE: Final = 2048
"""Bytes from which taking the encoded state apart beats encoding one value again."""
_NO_SECRETS: Final[frozenset[str]] = frozenset()
_NO_OBJECTS: Final[Mapping[str, Value]] = MappingProxyType({})


class AtomForms(msgspec.Struct, frozen=True, gc=False):
    """One atom's wire forms before and after; None where there is none.

    Attributes:
        atom: its name.
        old: before.
        new: after; a view of it where the state came laid out and the atom is new.
        ends: leading and trailing bytes the two share, where that is known.
    """

    atom: str
    old: bytes | None
    new: bytes | memoryview | None
    ends: tuple[int, int] | None = None


class CaptureResult(msgspec.Struct, frozen=True):
    """What a capture found.

    Attributes:
        changes: the atoms that changed; deleted ones first.
        base: what the next capture compares with, once this one is kept.
        objects: the atoms themselves, where the app never changes a value in place.
    """

    changes: list[AtomForms]
    base: StateLayout
    objects: Mapping[str, Value] = _NO_OBJECTS


class Captured(msgspec.Struct, frozen=True):
    """A state as bytes, not compared with anything yet.

    Attributes:
        ticket: larger than that of every state captured before.
        state: what was captured; looked at again only where that runs no code of the app.
        blob: the whole state in one wire form, or None where atoms had to be encoded one by one.
        forms: wire forms by atom, where `blob` is None.
        problems: a line for each of the first values that could not be kept.
        secrets: texts that were left out.
        objects: the atoms themselves, where the app never changes a value in place.
        is_part: all other atoms are as they were.
        gone: of a part, the atoms that are no more.
        base: the whole state laid out, where it came in wire form.
    """

    ticket: int
    state: Mapping[str, Value]
    blob: bytes | None = None
    forms: Mapping[str, bytes] | None = None
    problems: tuple[str, ...] = ()
    secrets: set[str] = set()
    objects: Mapping[str, Value] = _NO_OBJECTS
    is_part: bool = False
    gone: frozenset[str] = frozenset()
    base: StateLayout | None = None


class Capture:
    """Remembers the last captured state and returns the changes since."""

    def __init__(self, encoding: Encoding, *, immutable: bool = False) -> None:
        """Start with the empty state.

        Args:
            encoding: makes bytes of states.
            immutable: the app never changes a value in place, so an atom that is the same object is unchanged.
        """
        self._encoding = encoding
        self._immutable = immutable
        self._tickets = count()
        # Of atoms that are not encoded again, by the objects that they were found in.
        self._secrets: dict[str, tuple[Value, AbstractSet[str]]] = {}
        self.base = StateLayout.of({})
        # In one, so that a call on another thread finds objects and their bytes together.
        self._last: tuple[StateLayout, Mapping[str, Value]] = (self.base, _NO_OBJECTS)

    def ticket(self) -> int:
        """Return a number larger than the tickets of all states that were captured before."""
        return next(self._tickets)

    def encode(self, state: Mapping[str, Value], *, is_part: bool = False) -> Captured:
        """Encode a state. This runs code of the app: nothing may be held that it could wait for.

        Args:
            state: atoms by name.
            is_part: they are not all; the others are as they were, and those that are `MISSING` are no more.

        Raises:
            UnsupportedValue: names the path.
            RefusedEntry: an atom's name is no text.
            RuntimeError: another thread changed the state meanwhile.
        """
        ticket = self.ticket()
        if isinstance(state, EncodedState) and self._encoding.keeps_all and not is_part:
            return Captured(ticket, state, base=state.base)
        if type(state) is StateWithForm:
            if self._encoding.keeps_all and not (self._immutable or is_part):
                return Captured(ticket, state.state, state.form)
            state = state.state
        if type(state) is dict and not self._immutable and not is_part:
            blob = self._encoding.whole(state)
            if blob is not None:
                return Captured(ticket, state, blob)
        return self._encode_atoms(ticket, state, is_part)

    def _encode_atoms(self, ticket: int, state: Mapping[str, Value], is_part: bool) -> Captured:
        base, objects = self._last
        known = base.to_dict() if self._immutable else {}
        forms: dict[str, bytes] = {}
        problems: list[str] = []
        secrets: set[str] = set()
        gone: list[str] = []
        # What is not encoded again would not tell what is left out of it.
        learns = self._immutable and self._encoding.redaction is not None
        for name, value in items_of(state, "atoms of a state"):
            atom = plain_text(name, "the name of an atom")
            label = self._encoding.atom_name(atom)
            if is_part and value is MISSING:
                gone.append(label)
                self._secrets.pop(atom, None)
                continue
            before = known.get(label)
            is_same = before is not None and objects.get(atom, self) is value
            if before is not None and is_same and (not learns or self._knows(atom, value, secrets)):
                forms[label] = before
                continue
            found: set[str] = set() if learns else secrets
            if type(value) is Encoded:
                forms[label] = self._encoding.encoded(atom, value.form, problems, found)
            else:
                forms[label] = self._encoding.atom(atom, value, problems, found)
            if learns:
                self._secrets[atom] = (value, found)
                secrets |= found
        if not is_part and len(self._secrets) > len(forms):
            self._secrets = {atom: held for atom in state if (held := self._secrets.get(atom)) is not None}
        self._encoding.clean_errors(forms, secrets)
        kept = dict(state) if self._immutable else _NO_OBJECTS
        return Captured(ticket, state, None, forms, tuple(problems), secrets, kept, is_part, frozenset(gone))

    def _knows(self, atom: str, value: Value, secrets: set[str]) -> bool:
        """Add what was left out of an atom when it was encoded; say whether that is known of this very object."""
        held, found = self._secrets.get(atom, (self, _NO_SECRETS))
        if held is value:
            secrets |= found
        return held is value

    def compare(self, captured: Captured) -> CaptureResult:
        """Compare a captured state with the last one kept."""
        if captured.is_part:
            return self._compare_part(captured, captured.forms or {})
        if captured.base is not None:
            return self._compare_laid_out(captured.base) or self._compare_atoms(captured, captured.base.to_dict())
        if captured.blob is None:
            return self._compare_atoms(captured, captured.forms or {})
        result = self._compare_whole(captured.state, captured.blob)
        if result is None:
            forms = split_state(captured.blob)
            result = self._compare_many(captured.blob, forms) or self._compare_atoms(captured, forms)
        return result

    def keep(self, result: CaptureResult) -> None:
        """Make a captured state the one that the next is compared with."""
        self.base = result.base
        self._last = (result.base, result.objects)

    def _compare_laid_out(self, base: StateLayout) -> CaptureResult | None:
        """Compare value by value in place, or return None where the atoms are others, or one is the same in other bytes."""
        last = self.base
        if not last.names:
            return CaptureResult([AtomForms(name, None, value) for name, value in base.views().items()], base)
        if base.names != last.names:
            return None
        view = memoryview(last.blob)
        changes: list[AtomForms] = []
        places = zip(last.starts, last.ends, base.starts, base.ends, strict=True)
        for place, (old_start, old_end, start, end) in enumerate(places):
            if end - start == old_end - old_start and base.blob.startswith(view[old_start:old_end], start):
                continue
            lead = min(shared_from(last.blob, old_start, base.blob, start), end - start, old_end - old_start)
            change = _changed_atom(base.names[place], last.value(place), base.value(place), lead)
            if change is None:
                return None
            changes.append(change)
        return CaptureResult(changes, base)

    def _compare_whole(self, state: Mapping[str, Value], blob: bytes) -> CaptureResult | None:
        """Compare as one byte string, or return None where atoms have to be looked at one by one."""
        base = self.base
        if blob == base.blob:
            return CaptureResult([], base)
        changes: list[AtomForms] = []
        sizes: dict[int, int] = {}
        parts = _Parts(state, blob)
        old_at = new_at = 0
        while old_at < len(base.blob) or new_at < len(blob):
            position = old_at + shared_from(base.blob, old_at, blob, new_at)
            place = bisect_right(base.starts, position) - 1
            if place < 0 or position >= base.ends[place] or len(changes) == _FEW:
                return None
            begin, end = base.starts[place], base.ends[place]
            start = new_at + begin - old_at
            new = _last_value(base.blob, end, blob, start)
            is_last = new is not None
            if new is None:
                new = parts.value(base.names[place], end - begin)
                if new is None or not blob.startswith(new, start):
                    return None
            change = _changed_atom(base.names[place], base.blob[begin:end], new, position - begin)
            if change is None:
                return None
            changes.append(change)
            if len(new) != end - begin:
                sizes[place] = len(new)
            if is_last:
                break
            old_at, new_at = end, start + len(new)
            if len(base.blob) - old_at == len(blob) - new_at and blob.endswith(memoryview(base.blob)[old_at:]):
                break
        return CaptureResult(changes, base.moved(blob, sizes))

    def _compare_many(self, blob: bytes, forms: Mapping[str, bytes]) -> CaptureResult | None:
        """Compare all atoms at once, or return None where they are others, or one is the same in other bytes."""
        base = self.base
        if list(forms) != base.names:
            return None
        old, new = list(base.to_dict().values()), list(forms.values())
        places = list(compress(count(), map(ne, old, new)))
        hiding = may_hide(blob)
        if any(old[place][0] in hiding and same_value(old[place], new[place]) for place in places):
            return None
        changes = [AtomForms(base.names[place], old[place], new[place]) for place in places]
        sizes = {place: len(new[place]) for place in places if len(new[place]) != len(old[place])}
        return CaptureResult(changes, base.moved(blob, sizes))

    def _compare_part(self, captured: Captured, forms: Mapping[str, bytes]) -> CaptureResult:
        """Compare some atoms; the cost is theirs, and that of copying the state's bytes once."""
        base = self.base
        if any(base.place_of(atom) is not None for atom in captured.gone):
            whole = {atom: data for atom, data in {**base.to_dict(), **forms}.items() if atom not in captured.gone}
            result = self._compare_atoms(captured, whole)
            return CaptureResult(result.changes, result.base, {**self._last[1], **captured.objects})
        changes: list[AtomForms] = []
        values: dict[int, bytes] = {}
        added: dict[str, bytes] = {}
        for atom, data in forms.items():
            place = base.place_of(atom)
            if place is None:
                changes.append(AtomForms(atom, None, data))
                added[atom] = data
                continue
            before = base.value(place)
            change = None if before == data else _changed_atom(atom, before, data, shared_from(before, 0, data, 0))
            if change is not None:
                changes.append(change)
                values[place] = data
        objects = {**self._last[1], **captured.objects} if self._immutable else _NO_OBJECTS
        return CaptureResult(changes, base.extended(values, added) if values or added else base, objects)

    def _compare_atoms(self, captured: Captured, forms: Mapping[str, bytes]) -> CaptureResult:
        known = self.base.to_dict()
        taken: dict[str, bytes] = {}
        for atom, data in forms.items():
            before = known.get(atom)
            # An object whose keys only changed their order has not changed.
            unchanged = before is not None and (before == data or same_value(before, data))
            taken[atom] = before if unchanged and before is not None else data
        return CaptureResult(changes_between(known, taken), StateLayout.of(taken), captured.objects)


class _Parts:
    """The wire forms of single atoms of a state that is encoded already."""

    __slots__ = ("_blob", "_state", "_values")

    def __init__(self, state: Mapping[str, Value], blob: bytes) -> None:
        self._state = state
        self._blob = blob
        self._values: Mapping[str, bytes] | None = None

    def value(self, atom: str, size: int) -> bytes | None:
        """Return an atom's wire form, of about `size` bytes, or None where there is none.

        A small one is encoded again, and may have changed since: hold it against the state's bytes.
        """
        if size < _LARGE and self._values is None and atom in self._state:
            again = encode_json(self._state[atom])
            if again is not None:
                return again
        if self._values is None:
            self._values = split_state(self._blob)
        return self._values.get(atom)


def split_state(blob: bytes) -> Mapping[str, bytes]:
    """Return the wire forms of a state's atoms."""
    try:
        return split_map(blob)
    except NotSplittable:
        # Hardly any state needs it, and every recorder would wait for its import.
        from unspool.model.wire import split_map_deep

        return split_map_deep(blob)


def _last_value(old: bytes, end: int, blob: bytes, start: int) -> bytes | None:
    """Return the value that starts at a place if all that follows it is what followed its predecessor, else None.

    That spares a second encoding of the value.

    Args:
        old: the byte string before.
        end: where the predecessor ends in it.
        blob: the byte string now.
        start: where the value starts in it.
    """
    stop = len(blob) - (len(old) - end)
    if stop <= start or not blob.endswith(memoryview(old)[end:]):
        return None
    value = blob[start:stop]
    # What follows may look the same by chance, inside a later value that ends like the old bytes.
    return value if end == len(old) or is_one_value(value) else None


def _changed_atom(atom: str, old: bytes, new: bytes, lead: int) -> AtomForms | None:
    """Return the change of an atom whose wire forms share `lead` bytes, or None where its value is the same."""
    if len(new) < SMALLEST_PATCHED or len(old) < SMALLEST_PATCHED:
        return None if same_value(old, new) else AtomForms(atom, old, new)
    ends = (lead, shared_end(old, new, min(len(old), len(new)) - lead))
    return None if same_value(old, new, ends) else AtomForms(atom, old, new, ends)


def changes_between(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> list[AtomForms]:
    """Return the atoms that differ between two states given as wire forms by atom; deleted ones first."""
    changes = [AtomForms(atom, value, None) for atom, value in old.items() if atom not in new]
    for atom, value in new.items():
        known = old.get(atom)
        if known is None or (known is not value and known != value):
            changes.append(AtomForms(atom, known, value))
    return changes


def recording_strategy(strategy: str | FullSnapshotStrategy) -> FullSnapshotStrategy:
    """Return the strategy that an option names.

    Raises:
        ConfigError: unknown name.
    """
    if not isinstance(strategy, str):
        return strategy
    return BlockStrategy() if strategy == "auto" else strategy_from_name(strategy)


def strategy_name(strategy: FullSnapshotStrategy) -> str:
    """Return the name that a strategy can be made from again; "" where its settings are more than its name holds."""
    try:
        return strategy.name if recording_strategy(strategy.name) == strategy else ""
    except (ConfigError, AttributeError):
        return ""


def recording_codec(codec: str | DeltaStrategy) -> DeltaStrategy:
    """Return the codec that an option names.

    Raises:
        ConfigError: unknown name.
        MissingExtra: `binary` without bsdiff4.
    """
    try:
        chosen = DeltaStrategy(codec)
    except ValueError:
        names = ", ".join(item.value for item in DeltaStrategy)
        raise ConfigError(f"codec is {codec!r}; write one of {names}") from None
    if chosen is DeltaStrategy.BINARY and not binary_available():
        raise MissingExtra(
            "codec 'binary' needs bsdiff4; run `pip install 'unspool[binary]'`, or choose another codec"
        )
    return chosen


def full_record(codec: DeltaStrategy, state: StateLayout, intern: Callable[[str], int]) -> Record:
    """Return the record of a full snapshot."""
    if codec is DeltaStrategy.COMPRESS:
        return Record(RecordCodec.COMPRESS, state_codec.compress_full(state.to_dict()))
    return Record(RecordCodec.NONE, encode_full(state.views(), intern))


class DeltaWriter:
    """Writes the records of entries that are not wanted full, at a cost that is bounded by the state's size.

    A patch along the structure of a value costs Python time for each of its steps. An atom that would take many of
    them is written as a frame, and so are its next few changes: an atom that changed widely once will do so again.
    """

    __slots__ = ("_codec", "_intern", "_takes_frames", "_wide")

    def __init__(self, codec: DeltaStrategy, intern: Callable[[str], int], *, takes_frames: bool) -> None:
        """Write for one store.

        Args:
            codec: how entries are written.
            intern: gives an atom's number.
            takes_frames: patches may be frames; otherwise they may take any number of steps.
        """
        self._codec = codec
        self._intern = intern
        self._takes_frames = takes_frames
        self._wide: dict[str, int] = {}

    def record(self, old: StateLayout, result: CaptureResult) -> Record:
        """Return the record of a state; COMPRESS and NONE always hold it whole, AUTO where nearly all of it changed."""
        codec = self._codec
        if codec in (DeltaStrategy.COMPRESS, DeltaStrategy.NONE) or (codec is DeltaStrategy.AUTO and _is_new(result)):
            return full_record(codec, result.base, self._intern)
        if codec is DeltaStrategy.BINARY:
            return Record(RecordCodec.BINARY, state_codec.binary_delta(old.to_dict(), result.base.to_dict()))
        return Record(RecordCodec.DICT, encode_delta(map(self._write, result.changes), self._intern))

    def _write(self, change: AtomForms) -> AtomWrite:
        if change.new is None:
            return AtomWrite(change.atom, Form.DELETED)
        new = bytes(change.new)
        if change.old is None:
            return AtomWrite(change.atom, Form.ADDED, new)
        if not self._takes_frames or len(new) < _LEAST_FRAMED:
            return as_written(change.atom, new, make_patch(change.old, new, change.ends))
        return as_written(change.atom, new, self._bounded_patch(change.atom, change.old, new, change.ends))

    def _bounded_patch(self, atom: str, old: bytes, new: bytes, ends: tuple[int, int] | None) -> bytes | None:
        left = self._wide.get(atom, 0)
        try:
            return make_patch(old, new, ends, steps=0 if left else _MOST_STEPS + len(new) // _BYTES_OF_A_STEP)
        except TooManySteps:
            if left != 1:
                self._wide[atom] = left - 1 if left else _NEXT_CHANGES
            else:
                del self._wide[atom]
            return make_frame(old, new, ends)


_LEAST_FRAMED: Final = 1024
"""Bytes of a value below which a patch takes few steps anyway."""
_MOST_STEPS: Final = 64
"""Steps that a patch may take at least."""
_BYTES_OF_A_STEP: Final = 2048
"""Bytes of a value that take as long to encode as a step of a patch takes to be found, and a little longer."""
_NEXT_CHANGES: Final = 15
"""Changes of an atom, after one that took too many steps, that are not looked at along its structure."""
_MANY: Final = 24
"""Changed atoms above which a state may be written whole without comparing the sizes of both records."""


def _is_new(result: CaptureResult) -> bool:
    """Whether so many small atoms changed that a delta would be about as large as the whole state."""
    changes = result.changes
    if len(changes) <= _MANY:
        return False
    small = sum(
        len(change.new) + 4 for change in changes if change.new is not None and len(change.new) < SMALLEST_PATCHED
    )
    return 4 * small >= 3 * result.base.size


class RecordedChain:
    """The chain being written, as strategies see it.

    Attributes:
        begun: whether there is a full snapshot to build on.
    """

    __slots__ = ("_bytes", "_full", "_length", "_start_ns", "_steps", "begun")

    def __init__(self) -> None:
        """Begin without a full snapshot."""
        self.begun = False
        self._length = self._bytes = self._full = self._start_ns = self._steps = 0

    def state(self, record: Record, moment: int, changed: int) -> ChainState:
        """Return the chain as it stands, with the entry about to be written."""
        return ChainState(
            length=self._length,
            age_ms=(moment - self._start_ns) / 1e6,
            delta_bytes=self._bytes,
            full_bytes=self._full,
            changed_atoms=changed,
            candidate_bytes=len(record.payload),
            patch_steps=self._steps + patch_steps(record),
        )

    def add(self, record: Record, moment: int, size: int) -> None:
        """Take note of a written entry."""
        if record.codec.is_full:
            self.begun = True
            self._length = self._bytes = self._steps = 0
            self._start_ns, self._full = moment, size
        else:
            self._length += 1
            self._bytes += len(record.payload)
            self._steps += patch_steps(record)
