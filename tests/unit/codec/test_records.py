"""Records of the file: what one entry stores, written, read, replayed and refused."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.codec.records import (
    AtomWrite,
    Form,
    PackedRecords,
    Record,
    RecordCodec,
    Slices,
    apply_form,
    apply_write,
    decode_delta,
    decode_full,
    encode_delta,
    encode_full,
    patch_steps,
    raw_items,
    renumbered,
    replay_delta,
    write_atom,
    write_atoms,
)
from unspool.delta.patch import patch_work
from unspool.errors import BrokenChain, CorruptHistory
from unspool.model.encoding import encode
from unspool.model.entries import ChangeKind

LONG = encode("one line after the other, " * 40)
LONGER = encode("one line after the other, " * 40 + "and the end")
SMALL = st.sampled_from([encode(value) for value in (None, 0, 1, "", "a", [1, 2], {"k": 1})] + [LONG, LONGER])
STATES = st.dictionaries(st.sampled_from("abcdefg"), SMALL, max_size=7)


class Names:
    """Numbers atoms as a store does."""

    def __init__(self, first: int = 0) -> None:
        self._names: list[str] = [f"unused{number}" for number in range(first)]

    def intern(self, atom: str) -> int:
        if atom not in self._names:
            self._names.append(atom)
        return self._names.index(atom)

    def name(self, number: int) -> str:
        if not 0 <= number < len(self._names):
            raise KeyError(number)
        return self._names[number]


def packed(*items: int | bytes | str) -> bytes:
    return msgspec.msgpack.encode(list(items))


@given(state=STATES)
def test_a_full_record_gives_its_state_back_in_order(state: dict[str, bytes]) -> None:
    names = Names(3)
    found = decode_full(encode_full(state, names.intern), names.name)
    assert list(found.items()) == list(state.items())


@given(old=STATES, new=STATES)
def test_every_way_to_apply_a_delta_gives_the_new_state(old: dict[str, bytes], new: dict[str, bytes]) -> None:
    names = Names(2)
    writes = write_atoms(old, new)
    record = encode_delta(writes, names.intern)
    assert decode_delta(record, names.name) == writes
    one, two, three = dict(old), dict(old), dict(old)
    undo: list[tuple[str, bytes | None]] = []
    for write in writes:
        apply_write(one, write)
        form = apply_form(write.atom, three.pop(write.atom, None), int(write.form), write.payload)
        if form is not None:
            three[write.atom] = form
    replay_delta(two, record, names.name, undo)
    assert one == two == three == new
    assert undo == [(write.atom, old.get(write.atom)) for write in writes]
    replay_delta(again := dict(old), record, names.name, None)
    assert again == new


@given(old=STATES, new=STATES)
def test_the_writes_name_what_happened_and_nothing_else(old: dict[str, bytes], new: dict[str, bytes]) -> None:
    told = {write.atom: write.kind for write in write_atoms(old, new)}
    expected = {atom: ChangeKind.DELETED for atom in old if atom not in new}
    expected |= {atom: ChangeKind.ADDED for atom in new if atom not in old}
    expected |= {atom: ChangeKind.MODIFIED for atom in new if atom in old and old[atom] != new[atom]}
    assert told == expected


def test_a_modified_atom_is_a_patch_where_that_is_smaller_and_its_value_elsewhere() -> None:
    patch = write_atom("a", LONG, LONGER)
    assert (patch.form, patch.kind) == (Form.PATCH, ChangeKind.MODIFIED)
    assert len(patch.payload) < len(LONGER) // 4
    assert write_atom("a", encode(1), encode(2)) == AtomWrite("a", Form.VALUE, encode(2))


MISFITS = [
    (AtomWrite("a", Form.ADDED, b"\x01"), {"a": b"\x02"}, "'a' is already in"),
    (AtomWrite("a", Form.VALUE, b"\x01"), {}, "'a' is missing from"),
    (AtomWrite("a", Form.PATCH, write_atom("a", LONG, LONGER).payload), {}, "'a' is missing from"),
    (AtomWrite("a", Form.DELETED), {"b": b"\x01"}, "'a' is missing from"),
]


@pytest.mark.parametrize(("write", "state", "problem"), MISFITS)
def test_a_write_that_does_not_fit_its_base_is_refused_whichever_way_it_is_applied(
    write: AtomWrite, state: dict[str, bytes], problem: str
) -> None:
    names = Names()
    record = encode_delta([write], names.intern)
    ways: list[Callable[[], object]] = [
        lambda: apply_write(dict(state), write),
        lambda: replay_delta(dict(state), record, names.name, None),
        lambda: apply_form(write.atom, state.get(write.atom), int(write.form), write.payload),
    ]
    for way in ways:
        with pytest.raises(BrokenChain, match=problem):
            way()


def test_an_unknown_form_is_refused_whichever_way_it_is_applied() -> None:
    record = packed(0, 7, b"\x01")
    for way in (
        lambda: decode_delta(record, lambda _: "a"),
        lambda: replay_delta({"a": b"\x02"}, record, lambda _: "a", None),
        lambda: apply_form("a", b"\x02", 7, b"\x01"),
    ):
        with pytest.raises(CorruptHistory, match="7"):
            way()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("record", [b"", b"\xc1", b"\x81\x01\x02", packed(0, "text", b""), packed(0, 1.5)])
def test_bytes_that_are_no_record_are_one_type_of_error(record: bytes) -> None:
    for way in (
        lambda: decode_full(record, lambda _: "a"),
        lambda: decode_delta(record, lambda _: "a"),
        lambda: replay_delta({}, record, lambda _: "a", None),
    ):
        with pytest.raises(CorruptHistory, match="unspool doctor"):
            way()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("items", "width"), [(1, 2), (3, 2), (1, 3), (2, 3), (4, 3), (5, 3)])
def test_a_record_that_ends_within_a_group_is_refused(items: int, width: int) -> None:
    with pytest.raises(CorruptHistory, match="ends early"):
        raw_items(packed(*range(items)), width)
    assert raw_items(packed(*range(6)), width) == list(range(6))


def test_an_atom_without_a_name_is_refused() -> None:
    names = Names()
    with pytest.raises(CorruptHistory, match="full record is malformed"):
        decode_full(packed(4, b"\x01"), names.name)
    for way in (
        lambda: decode_delta(packed(4, 0, b"\x01"), names.name),
        lambda: replay_delta({}, packed(4, 0, b"\x01"), names.name, None),
    ):
        with pytest.raises(CorruptHistory, match="delta record is malformed"):
            way()  # type: ignore[no-untyped-call]


@given(old=STATES, new=STATES, shift=st.integers(0, 5))
def test_renumbering_changes_the_numbers_and_nothing_else(
    old: dict[str, bytes], new: dict[str, bytes], shift: int
) -> None:
    here, there = Names(), Names(shift)
    writes = write_atoms(old, new)
    delta = Record(RecordCodec.DICT, encode_delta(writes, here.intern))
    full = Record(RecordCodec.NONE, encode_full(new, here.intern))
    moved = renumbered(delta, lambda number: there.intern(here.name(number)))
    assert decode_delta(moved.payload, there.name) == writes
    assert decode_full(renumbered(full, lambda n: there.intern(here.name(n))).payload, there.name) == new
    assert renumbered(delta, lambda number: number) is delta


@pytest.mark.parametrize("codec", [RecordCodec.COMPRESS, RecordCodec.BINARY])
def test_records_without_numbers_of_their_own_are_left_as_they_are(codec: RecordCodec) -> None:
    record = Record(codec, b"anything")
    assert renumbered(record, lambda number: number + 1) is record


def test_the_numbers_of_codecs_and_forms_never_change() -> None:
    assert {codec.name: int(codec) for codec in RecordCodec} == {
        "DICT": 0, "NONE": 1, "COMPRESS": 2, "BINARY": 3, "NOTE": 4, "NOTE_FULL": 5,
    }  # fmt: skip
    assert {form.name: int(form) for form in Form} == {"ADDED": 0, "VALUE": 1, "PATCH": 2, "DELETED": 3}
    assert [codec.name for codec in RecordCodec if codec.is_full] == ["NONE", "COMPRESS", "NOTE_FULL"]


def test_packed_records_are_a_sequence_of_records() -> None:
    kinds = [RecordCodec.NONE, RecordCodec.DICT, RecordCodec.BINARY, RecordCodec.COMPRESS, RecordCodec.DICT]
    records = [Record(codec, bytes((place,))) for place, codec in enumerate(kinds)]
    rows = PackedRecords.of(iter(records))
    assert list(rows) == records
    assert (len(rows), rows[-1]) == (5, records[-1])
    assert list(rows[1:3]) == records[1:3]
    assert [rows.full_at_or_before(place) for place in range(5)] == [0, 0, 0, 3, 3]
    assert rows[1:3].full_at_or_before(1) == -1


def test_slices_are_a_sequence_of_their_parts() -> None:
    parts = [b"a", b"", b"bcd", b"ef"]
    slices = Slices(b"--" + b"".join(parts) + b"--", [2, 3, 3, 6, 8])
    assert len(slices) == 4
    assert list(slices) == parts
    assert [slices[at] for at in range(-4, 4)] == parts + parts
    assert slices[1:] == parts[1:]
    assert slices[::-1] == parts[::-1]
    assert slices.joined(1, 3) == b"bcd"


def test_the_steps_of_all_patches_of_a_large_delta_count_and_only_those() -> None:
    old = [encode([f"{number}" * 20 for number in range(start, start + 40)]) for start in (0, 100, 200)]
    new = [
        encode([f"{number}" * 20 + "!" * (number % 9 == 0) for number in range(at, at + 40)]) for at in (0, 100, 200)
    ]
    writes = [AtomWrite("value", Form.VALUE, new[0])]
    writes += [write_atom(f"patched {place}", old[place], new[place]) for place in range(3)]
    writes.append(AtomWrite("gone", Form.DELETED))
    patches = [write.payload for write in writes if write.form is Form.PATCH]
    assert len(patches) == 3
    record = Record(RecordCodec.DICT, encode_delta(writes, [write.atom for write in writes].index))
    assert patch_steps(record) == sum(map(patch_work, patches)) > 6
    assert patch_steps(Record(RecordCodec.NONE, record.payload)) == 0
    few = encode_delta([write_atom("a", encode("x" * 90), encode("x" * 45 + "y" + "x" * 45))], lambda _: 0)
    assert patch_steps(Record(RecordCodec.DICT, few)) == 0
