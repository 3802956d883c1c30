"""The model of a source, and how one event changes it. Pure: no database.

A source is text. Its *model* is a tree: the JSON object or list that the text is, or else `{"source": text}`.

- At genesis the source hash is SHA-256 over the text itself.
- After a diff it is SHA-256 over the canonical form of the model (E-04).
- A diff of values (operations without `at`) changes the model; the source is then the model's canonical form, or the
  text again where the model is still `{"source": text}` and nothing else (E-18, E-19).
- A diff of text (operations with `at`) changes the text and keeps its layout; the model follows from the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from unspool.events.canonical import canonical_json, canonical_parsed, sha256_hex
from unspool.events.diff_types import AstDiffOperation, operations_of
from unspool.events.errors import InvalidEvent
from unspool.events.json_text import parse_json, parse_json_container
from unspool.events.object_paths import apply_as_original, apply_operations
from unspool.events.records import Event
from unspool.events.text_edits import apply_text_operations
from unspool.model.values import Value

SOURCE_KEY: Final = "source"

ReplayManner = Literal["exact", "original", "either"]
"""How value diffs are applied: right, as the original did, or right first and as the original did where that fails."""


class SourceForm(StrEnum):
    """What a source's model is."""

    TEXT = "text"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source at one event.

    Attributes:
        text: the source.
        form: whether its model is a JSON document or wraps the text.
        source_hash: the hash as the event at `sequence` declares it.
        diffs: diffs applied so far.
        sequence: the event that made this state (in the space it came from).
        damaged: a diff was applied in the original's manner, since its hash fits no other.
    """

    text: str
    form: SourceForm
    source_hash: str
    diffs: int
    sequence: int
    damaged: bool = False


def genesis_state(event: Event) -> SourceState:
    """Read the source of a `space_created` event.

    Raises:
        InvalidEvent: the payload has no source, or its hash is another one.
    """
    source, declared = event.payload.get("source"), event.payload.get("sourceHash")
    if not isinstance(source, str) or not isinstance(declared, str):
        raise InvalidEvent(f"{_place(event)} has no source with a sourceHash", field="payload")
    actual = sha256_hex(source)
    if actual != declared:
        raise InvalidEvent(
            f"{_place(event)}: its sourceHash is {declared}, its source's {actual}", field="sourceHash"
        )
    form = SourceForm.TEXT if parse_json_container(source) is None else SourceForm.DOCUMENT
    return SourceState(source, form, declared, 0, event.sequence_number)


def evolved_state(state: SourceState, event: Event, manner: ReplayManner) -> SourceState:
    """Apply a `space_evolved` event.

    Raises:
        InvalidEvent: the diff does not fit, or its hash is another one; the message names the step and the event.
    """
    declared = event.payload.get("sourceHash")
    if not isinstance(declared, str) or not isinstance(event.payload.get("astDiff"), list):
        raise InvalidEvent(f"{_place(event)} has no astDiff with a sourceHash", field="payload")
    try:
        operations = operations_of(event.payload["astDiff"])
        text, form, damaged = changed(state, operations, declared, manner)
    except InvalidEvent as error:
        hint = "" if manner != "exact" else "; an archive of the original may need manner='either'"
        raise InvalidEvent(f"step {state.diffs + 1}, {_place(event)}: {error}{hint}", field=error.field) from error
    return SourceState(text, form, declared, state.diffs + 1, event.sequence_number, state.damaged or damaged)


def changed(
    state: SourceState, operations: tuple[AstDiffOperation, ...], declared: str, manner: ReplayManner
) -> tuple[str, SourceForm, bool]:
    """Apply operations and check the result's hash.

    Returns:
        The new text, its form, and whether the original's manner was needed.

    Raises:
        InvalidEvent: the operations do not fit the source, or the result's hash is not the declared one.
    """
    if operations[0].at is not None:
        return (*_changed_text(state, operations, declared), False)
    if manner == "original":
        return (*_changed_as_original(state, operations, declared), True)
    try:
        return (*_changed_values(state, operations, declared), False)
    except InvalidEvent as error:
        if manner == "exact":
            raise
        try:
            return (*_changed_as_original(state, operations, declared), True)
        except InvalidEvent:
            raise error from None


def source_hash(text: str) -> str:
    """Hash a source as a diff event declares it: over the canonical form of its model."""
    container = parse_json_container(text)
    return _text_hash(text) if container is None else model_hash(container)


def state_hash(state: SourceState) -> str:
    """Hash the model of a state."""
    return _text_hash(state.text) if state.form is SourceForm.TEXT else model_hash(parse_json(state.text))


def model_hash(model: Value) -> str:
    """Hash a model that came from the text of a JSON document."""
    return sha256_hex(canonical_parsed(model))


def _text_hash(text: str) -> str:
    """Hash the model of plain text."""
    return sha256_hex(canonical_json({SOURCE_KEY: text}))


def model_of(state: SourceState) -> Value:
    """Build the model of a state, free to be changed."""
    return parse_json(state.text) if state.form is SourceForm.DOCUMENT else {SOURCE_KEY: state.text}


def _changed_text(
    state: SourceState, operations: tuple[AstDiffOperation, ...], declared: str
) -> tuple[str, SourceForm]:
    text = apply_text_operations(state.text, operations)
    container = parse_json_container(text)
    if container is not None and model_hash(container) == declared:
        return text, SourceForm.DOCUMENT
    wrapped = _text_hash(text)
    _check_hash(declared, wrapped if container is None else model_hash(container), is_same=wrapped == declared)
    return text, SourceForm.TEXT


def _changed_values(
    state: SourceState, operations: tuple[AstDiffOperation, ...], declared: str
) -> tuple[str, SourceForm]:
    model = model_of(state)
    apply_operations(model, operations)
    return _finished(state, model, declared)


def _changed_as_original(
    state: SourceState, operations: tuple[AstDiffOperation, ...], declared: str
) -> tuple[str, SourceForm]:
    model = _spread(state)
    apply_as_original(model, operations)
    return _finished(state, model, declared)


def _finished(state: SourceState, model: Value, declared: str) -> tuple[str, SourceForm]:
    canonical = canonical_parsed(model)
    actual = sha256_hex(canonical)
    _check_hash(declared, actual, is_same=actual == declared)
    is_wrapper = state.form is SourceForm.TEXT and isinstance(model, Mapping) and list(model) == [SOURCE_KEY]
    if is_wrapper and isinstance(model[SOURCE_KEY], str):
        return model[SOURCE_KEY], SourceForm.TEXT
    return canonical, SourceForm.DOCUMENT


def _spread(state: SourceState) -> dict[str, Value]:
    """Build the object that the original works on: it spreads whatever JSON the genesis is into an object."""
    if state.form is SourceForm.TEXT and state.diffs:
        return {SOURCE_KEY: state.text}
    try:
        value = parse_json(state.text)
    except ValueError:
        return {SOURCE_KEY: state.text}
    if isinstance(value, dict):
        return value
    return {str(index): item for index, item in enumerate(value)} if isinstance(value, list | str) else {}


def _check_hash(declared: str, actual: str, *, is_same: bool) -> None:
    if not is_same:
        raise InvalidEvent(f"sourceHash is {declared}, the result's is {actual}", field="sourceHash")


def _place(event: Event) -> str:
    return f"event {event.sequence_number} ({event.id}) of space {event.space_id!r}"
