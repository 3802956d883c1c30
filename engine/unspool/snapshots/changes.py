"""The changes between two snapshots, atom by atom: options, comparison, ops inside atoms, and applying deltas to a state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from unspool.delta.apply import apply_ops, invert_ops
from unspool.delta.structural import Identity, diff_encoded, encoded_equal
from unspool.errors import ConfigError, ContradictoryDelta, DeltaError, UnspoolError
from unspool.model.encoding import encode
from unspool.model.entries import ChangeKind, Op, OpKind
from unspool.model.keys import Path
from unspool.model.limits import require_bool, require_choice
from unspool.model.values import MISSING, Value, json_equal, strict_equal
from unspool.snapshots.atoms import PRIMITIVE, AtomChange, AtomEntry, pack_ops
from unspool.snapshots.packing import packed_size, without_values
from unspool.snapshots.snapshot import DeltaMetadata, DeltaSnapshot, Snapshot

Detection: TypeAlias = Literal["deep", "shallow", "reference"]
DETECTIONS: Final = ("deep", "shallow", "reference")
ChangeDetector: TypeAlias = Callable[[Value, Value], bool]
"""Given the old and the new value of an atom, says whether it changed."""
IdFactory: TypeAlias = Callable[[Snapshot, Snapshot], str]
"""Given the base and the target snapshot, returns the id of the delta between them."""


@dataclass(frozen=True, slots=True)
class DeltaOptions:
    """How a delta is computed.

    Attributes:
        change_detection: `deep` compares by structure at any depth; `shallow` compares the items of a container by
            identity; `reference` compares objects by identity and plain scalars by value. The last two need the
            objects the snapshots were captured from, and miss what was changed in place.
        deep_equal: the seed's older switch: true is `deep`, false is `shallow`; None leaves `change_detection`.
        change_detector: the app's own comparison, asked instead of `change_detection`.
        skip_empty: give None instead of a delta without changes.
        track_paths: tell for each change where inside the atom it lies.
        strict: let 1 and 1.0, and 0.0 and -0.0, differ.
        incremental: tell a modification by ops inside the atom where that is smaller.
        identity: identity keys of lists set by hand: pattern of a list's path, atom name first, to key name.
        validate: prove the delta by applying it to the base before handing it out.
        id_factory: gives delta ids; by default they follow from the two snapshots, so they are reproducible.
    """

    change_detection: Detection = "deep"
    deep_equal: bool | None = None
    change_detector: ChangeDetector | None = None
    skip_empty: bool = True
    track_paths: bool = False
    strict: bool = False
    incremental: bool = True
    identity: Identity | None = None
    validate: bool = False
    id_factory: IdFactory | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        require_choice("change_detection", self.change_detection, DETECTIONS)
        for option in ("skip_empty", "track_paths", "strict", "incremental", "validate"):
            require_bool(option, getattr(self, option))
        for option in ("change_detector", "id_factory"):
            if getattr(self, option) is not None and not callable(getattr(self, option)):
                raise ConfigError(f"{option} is {getattr(self, option)!r}; give a function of two arguments")
        if self.deep_equal is not None:
            require_bool("deep_equal", self.deep_equal)
            if self.deep_equal and self.change_detection != "deep":
                raise ConfigError(
                    f"deep_equal contradicts change_detection={self.change_detection!r}; give one of them"
                )
        if self.change_detector is not None and self.detection != "deep":
            raise ConfigError("change_detector replaces the comparison; leave change_detection and deep_equal out")

    @property
    def detection(self) -> Detection:
        """The comparison that is in force."""
        return "shallow" if self.deep_equal is False and self.change_detection == "deep" else self.change_detection


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How a delta is applied.

    Attributes:
        validate: refuse a delta for another base, an empty one, and one whose old values are not what is there.
        skip_validation: the seed's other spelling of `validate=False`.
        immutable: give the result a read-only state; otherwise its `state` is a dict of its own. Neither shares
            anything writable with the base or the delta.
        on_error: is handed the error instead of having it raised; the result is None then.
    """

    validate: bool = True
    skip_validation: bool = False
    immutable: bool = True
    on_error: Callable[[UnspoolError], object] | None = None

    def __post_init__(self) -> None:
        for option in ("validate", "skip_validation", "immutable"):
            require_bool(option, getattr(self, option))
        if self.on_error is not None and not callable(self.on_error):
            raise ConfigError(f"on_error is {self.on_error!r}; give a function of one argument, the error")

    @property
    def checks(self) -> bool:
        """Whether validation is in force."""
        return self.validate and not self.skip_validation


_SCALARS: Final = (str, int, float, bool, bytes, type(None))


def value_changed(old: AtomEntry, new: AtomEntry, options: DeltaOptions) -> bool:
    """Whether the value of an atom changed; kind, name and id are not looked at."""
    if options.change_detector is not None:
        return bool(options.change_detector(old.value, new.value))
    if options.detection != "deep" and old.origin is not MISSING and new.origin is not MISSING:
        same = _same_reference if options.detection == "reference" else _same_items
        return not same(old.origin, new.origin)
    return not same_value(old, new, strict=options.strict)


def same_value(old: AtomEntry, new: AtomEntry, *, strict: bool = False) -> bool:
    """Whether two entries hold the same value, by structure at any depth."""
    if old.encoded == new.encoded:
        return True
    if not old.encoded or not new.encoded:
        return False
    return encoded_equal(old.encoded, new.encoded, strict=strict)


def same_entry(old: AtomEntry, new: AtomEntry, *, strict: bool = False) -> bool:
    """Whether two entries are the same: value, kind, display name and id."""
    return old.has_facts_of(new) and same_value(old, new, strict=strict)


def _same_reference(old: Value, new: Value) -> bool:
    if old is new:
        return True
    return type(old) is type(new) and type(old) in _SCALARS and strict_equal(old, new)


def _same_items(old: Value, new: Value) -> bool:
    if _same_reference(old, new):
        return True
    if type(old) is not type(new):
        return False
    if isinstance(old, Mapping):
        return old.keys() == new.keys() and all(_same_reference(value, new[key]) for key, value in old.items())
    if isinstance(old, list | tuple):
        return len(old) == len(new) and all(map(_same_reference, old, new))
    return False


_SMALLEST: Final = 64
"""Bytes of old and new value together below which ops cannot pay."""


def difference(old: bytes, new: bytes, options: DeltaOptions, atom: str) -> bytes | None:
    """Return the ops by which one wire form became another, found by structure.

    Args:
        old: the wire form before.
        new: the wire form after.
        options: what counts as equal, and whether ops are wanted.
        atom: name of the atom, for looking up identity keys.

    Returns:
        None when the values are equal; else packed ops, or nothing where both values take no more bytes.
    """
    if old == new:
        return None
    whole = len(old) + len(new)
    if not options.incremental or whole < _SMALLEST:
        return None if encoded_equal(old, new, strict=options.strict) else b""
    ops = diff_encoded(old, new, at=(atom,), identity=options.identity, text_splices=True)
    if not ops or (not options.strict and _tells_nothing(ops, old, new)):
        return None
    packed = pack_ops(ops)
    return packed if len(packed) < whole else b""


def _tells_nothing(ops: tuple[Op, ...], old: bytes, new: bytes) -> bool:
    """Whether strict ops only exchange numbers that are equal as JSON compares them."""
    if all(op.kind is OpKind.REPLACE for op in ops):
        return all(json_equal(op.old, op.new) for op in ops)
    # With items added, removed or moved the ops may pair equal numbers of two places: only the values tell.
    return all(op.kind is not OpKind.SPLICE for op in ops) and encoded_equal(old, new)


def ops_if_smaller(old: bytes, new: bytes, identity: Identity | None, atom: str) -> bytes:
    """Return packed ops that lead from one wire form to the other, or nothing where both values are no larger."""
    whole = len(old) + len(new)
    if whole < _SMALLEST or old == new:
        return b""
    packed = pack_ops(diff_encoded(old, new, at=(atom,), identity=identity, text_splices=True))
    return packed if len(packed) < whole else b""


def changed_paths(old: bytes, new: bytes, identity: Identity | None, atom: str) -> tuple[Path, ...]:
    """Return where inside an atom two wire forms differ, each place once."""
    ops = diff_encoded(old, new, at=(atom,), identity=identity)
    return tuple(dict.fromkeys(op.path for op in ops))


def with_values(delta: DeltaSnapshot, base: dict[str, AtomEntry]) -> DeltaSnapshot:
    """Return the delta with old and new values in every change.

    Args:
        delta: a delta that may tell changes by ops alone.
        base: entries of the state it stands on.

    Raises:
        ContradictoryDelta: the ops do not fit that state.
    """
    changes = {}
    for name, change in delta.changes.items():
        if change.is_incremental and change.old is not None and change.new is not None:
            if name not in base:
                raise ContradictoryDelta(f"delta {delta.id!r} modifies atom {name!r}, which its base does not have")
            old = base[name]
            new = encode(apply_checked(old.value, change.ops))
            change = replace(change, old=change.old.with_encoded(old.encoded), new=change.new.with_encoded(new))
        changes[name] = change
    return replace(delta, changes=changes)


def apply_checked(value: Value, ops: tuple[Op, ...]) -> Value:
    """Apply ops whose old values must be what is there, as JSON compares them.

    Raises:
        ContradictoryDelta: they are not.
    """
    try:
        return apply_ops(value, ops, check_old=True)
    except ContradictoryDelta:
        # Ops compare strictly; a 1 where they were given 1.0 is no contradiction.
        after = apply_ops(value, ops)
        if json_equal(apply_ops(after, invert_ops(ops)), value):
            return after
        raise


class Replay:
    """A state under way; after an error it is spoilt and must be dropped."""

    __slots__ = ("_entries", "_open", "_unsettled")

    def __init__(self, state: Mapping[str, AtomEntry]) -> None:
        """Start from a state, which is never changed."""
        self._entries = dict(state)
        self._open: dict[str, Value] = {}
        self._unsettled: set[str] = set()

    def apply(self, delta: DeltaSnapshot, *, validate: bool = True) -> None:
        """Apply one delta to the state.

        Args:
            delta: what changes; ids are not looked at.
            validate: refuse changes whose old value is not what is there.

        Raises:
            ContradictoryDelta: it does not fit; the message names the delta and the atom.
        """
        for name, change in delta.changes.items():
            try:
                self._change(name, change, validate)
            except ContradictoryDelta as error:
                raise ContradictoryDelta(f"delta {delta.id!r}, atom {name!r}: {error}") from None

    def _change(self, name: str, change: AtomChange, validate: bool) -> None:
        before = self._entries.get(name)
        if validate:
            self._check(name, change, before)
        if change.new is None:
            self._entries.pop(name, None)
            self._close(name)
            return
        if not change.new.encoded:
            if before is None:
                raise ContradictoryDelta("its base does not have this atom to modify")
            if name not in self._open:
                self._open[name] = before.value
            apply = apply_checked if validate else apply_ops
            self._open[name] = apply(self._open[name], change.ops)
            self._unsettled.add(name)
        else:
            self._close(name)
        self._entries[name] = _with_facts(change.new, before)

    def _check(self, name: str, change: AtomChange, before: AtomEntry | None) -> None:
        if change.kind is ChangeKind.ADDED:
            if before is not None:
                raise ContradictoryDelta("it is called added, but its base has this atom")
            return
        if before is None:
            raise ContradictoryDelta(f"it is called {change.kind}, but its base does not have this atom")
        if change.old is not None and change.old.encoded and not same_value(change.old, self._settled(name)):
            raise ContradictoryDelta("the old value it tells is not the one its base has")

    def _close(self, name: str) -> None:
        self._open.pop(name, None)
        self._unsettled.discard(name)

    def _settled(self, name: str) -> AtomEntry:
        if name in self._unsettled:
            # The decoded value stays: the next ops go on from it, and never change what was handed out.
            self._entries[name] = self._entries[name].with_encoded(encode(self._open[name]))
            self._unsettled.discard(name)
        return self._entries[name]

    def state(self) -> dict[str, AtomEntry]:
        """Return the entries as they stand, as a dict of the caller's own."""
        for name in tuple(self._unsettled):
            self._settled(name)
        return dict(self._entries)


def _with_facts(new: AtomEntry, before: AtomEntry | None) -> AtomEntry:
    """Fill in the facts a foreign delta does not tell: those of the atom before, or a plain atom's."""
    if new.type:
        return new
    if before is None:
        return AtomEntry.from_encoded(new.encoded, PRIMITIVE, new.name, new.atom_id)
    atom_id = new.atom_id if new.atom_id is not None else before.atom_id
    return AtomEntry.from_encoded(new.encoded, before.type, before.name, atom_id)


_ID_DIGITS: Final = 16


def changes_between(
    previous: Mapping[str, AtomEntry], current: Mapping[str, AtomEntry], options: DeltaOptions
) -> dict[str, AtomChange]:
    """Return the changes by atom name; own names only, deletions first, then in the order of the target."""
    whole: tuple[Path, ...] = ((),) if options.track_paths else ()
    by_structure = options.change_detector is None and options.detection == "deep"
    changes = {
        name: AtomChange(name, ChangeKind.DELETED, old=_stored(entry), paths=whole)
        for name, entry in previous.items()
        if name not in current
    }
    for name, new in current.items():
        old = previous.get(name)
        if old is None:
            changes[name] = AtomChange(name, ChangeKind.ADDED, new=_stored(new), paths=whole)
        elif by_structure and old[:_COMPARED] == new[:_COMPARED]:
            continue
        else:
            change = _modification(name, old, new, options, by_structure=by_structure)
            if change is not None:
                changes[name] = change
    return changes


_COMPARED: Final = 4
"""Parts of an entry that count: wire form, kind, display name and id."""


def _modification(
    name: str, old: AtomEntry, new: AtomEntry, options: DeltaOptions, *, by_structure: bool
) -> AtomChange | None:
    if by_structure:
        ops = difference(old.encoded, new.encoded, options, name)
    elif value_changed(old, new, options):
        ops = ops_if_smaller(old.encoded, new.encoded, options.identity, name) if options.incremental else b""
    else:
        ops = None
    if ops is None and old.has_facts_of(new):
        return None
    paths = changed_paths(old.encoded, new.encoded, options.identity, name) if options.track_paths else ()
    return AtomChange(name, ChangeKind.MODIFIED, _stored(old), _stored(new), ops or b"", paths)


def _stored(entry: AtomEntry) -> AtomEntry:
    return entry.with_encoded(entry.encoded)


def delta_between(
    previous: Snapshot, current: Snapshot, options: DeltaOptions, *, measured: bool = True
) -> DeltaSnapshot | None:
    """Compute the delta that leads from one snapshot to another.

    Args:
        previous: the base.
        current: the target.
        options: how.
        measured: tell sizes in the metadata; who packs the delta anyway knows them better.

    Returns:
        The delta, or None when nothing changed and `skip_empty` holds.

    Raises:
        DeltaError: `validate` was asked for and the delta does not lead there.
    """
    changes = changes_between(previous.state, current.state, options)
    if not changes and options.skip_empty:
        return None
    metadata = DeltaMetadata(
        timestamp=current.metadata.timestamp,
        action=current.metadata.action,
        atom_count=len(current.state),
        base_timestamp=previous.metadata.timestamp,
        change_count=len(changes),
        original_size=packed_size(current) if measured else 0,
        extra=current.metadata.extra,
    )
    identity = options.id_factory(previous, current) if options.id_factory else _reproducible_id(previous, current)
    delta = DeltaSnapshot(identity, previous.id, changes, metadata, current.id)
    if measured:
        delta = with_sizes(delta, stored_size(delta), metadata.original_size)
    if options.validate:
        _prove(previous, current, delta, options)
    return delta


def with_sizes(delta: DeltaSnapshot, compressed_size: int, original_size: int) -> DeltaSnapshot:
    """Return the delta with measured sizes in its metadata."""
    sizes = replace(delta.metadata, compressed_size=compressed_size, original_size=original_size)
    return replace(delta, metadata=sizes)


def stored_size(delta: DeltaSnapshot) -> int:
    """Return the bytes of a delta in the form it is stored in."""
    return packed_size(without_values(delta))


def _reproducible_id(previous: Snapshot, current: Snapshot) -> str:
    told = (previous.id, current.id, previous.metadata.timestamp, current.metadata.timestamp)
    return f"delta-{hashlib.blake2b(repr(told).encode('utf-8', 'surrogatepass'), digest_size=_ID_DIGITS // 2).hexdigest()}"


def _prove(previous: Snapshot, current: Snapshot, delta: DeltaSnapshot, options: DeltaOptions) -> None:
    replay = Replay(previous.state)
    replay.apply(without_values(delta))
    left = changes_between(replay.state(), current.state, replace(options, incremental=False, track_paths=False))
    if left:
        raise DeltaError(
            f"the delta from {previous.id!r} to {current.id!r} does not lead there: atom {next(iter(left))!r} differs; "
            "use incremental=False and report it"
        )
