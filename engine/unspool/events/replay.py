"""The model of a source, the operations of a diff event, and how one event changes a source. Pure: no database.

A source is text. Its *model* is a tree: the JSON object or list that the text is, or else `{"source": text}`.

- At genesis the source hash is SHA-256 over the text itself.
- After a diff it is SHA-256 over the canonical form of the model.
- A diff of values (operations without `at`) changes the model; the source is then the model's canonical form, or the
  text again where the model is still `{"source": text}` and nothing else.
- A diff of text (operations with `at`) changes the text and keeps its layout; the model follows from the text.

An operation (seed 004, "Types") names a place in the source's tree (`path`), and the value there before and after. That
is the seed's form, and all there is for a source that is a JSON document: see `object_paths` for how it is applied.

A change of text carries three fields more, so that layout and comments survive byte for byte and no parser is needed
to replay it: `at` is an offset in code points into the text as the operations before have left it; `cut` is the text
taken out there, `put` the text put in. Where `cut` or `put` is missing, `before` or `after` is that text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final, Literal, NoReturn

from unspool.events.canonical import ARRAY_INDEX, canonical_json, canonical_parsed, plain_json, sha256_hex
from unspool.events.records import Event, InvalidEvent
from unspool.model.json_exact import container_of_doubles, parse_doubles
from unspool.model.values import MISSING, Value


class DiffOperationType(StrEnum):
    """What an operation does at its path."""

    ADD = "add"
    MODIFY = "modify"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class AstDiffOperation:
    """A single change in a source.

    Attributes:
        path: dot-separated place in the tree; list items by index; a dot in a key is written `\\.`, a backslash
            before a dot or a backslash `\\\\`.
        operation: add, modify or remove.
        before: the value before (modify, remove).
        after: the value after (add, modify).
        at: where in the text the change is, in code points; None for an operation on values alone.
        cut: the text taken out at `at`; `before` where it is None.
        put: the text put in at `at`; `after` where it is None.
    """

    path: str
    operation: DiffOperationType
    before: Value = MISSING
    after: Value = MISSING
    at: int | None = None
    cut: str | None = None
    put: str | None = None

    def to_wire(self) -> dict[str, Value]:
        """Return the operation as a payload holds it, without what is not set."""
        wire: dict[str, Value] = {"path": self.path, "operation": self.operation.value}
        if self.before is not MISSING:
            wire["before"] = self.before
        if self.after is not MISSING:
            wire["after"] = self.after
        for name, value in (("at", self.at), ("cut", self.cut), ("put", self.put)):
            if value is not None:
                wire[name] = value
        return wire

    @property
    def cut_text(self) -> str:
        """The text that a change of text takes out."""
        return _slice_text(self.cut, self.before)

    @property
    def put_text(self) -> str:
        """The text that a change of text puts in."""
        return _slice_text(self.put, self.after)


@dataclass(frozen=True, slots=True)
class ScopeMetadata:
    """How far a diff reaches.

    Attributes:
        changed_nodes: number of tree nodes changed.
        total_nodes: number of tree nodes in the source after the diff.
        affected_functions: names of the functions touched.
    """

    changed_nodes: int
    total_nodes: int
    affected_functions: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Value]:
        """Return the metadata as a payload holds it."""
        return {
            "changedNodes": self.changed_nodes,
            "totalNodes": self.total_nodes,
            "affectedFunctions": list(self.affected_functions),
        }


_NEEDS: Final = {
    DiffOperationType.ADD: ("after",),
    DiffOperationType.MODIFY: ("before", "after"),
    DiffOperationType.REMOVE: ("before",),
}


def operations_of(ast_diff: object) -> tuple[AstDiffOperation, ...]:
    """Read and check the operations of a diff.

    Args:
        ast_diff: operations, as values of this module or as payloads hold them.

    Raises:
        InvalidEvent: it is empty, or an operation is not whole; `field` is `astDiff`, the message has its index.
    """
    if isinstance(ast_diff, str | bytes | Mapping) or not isinstance(ast_diff, Iterable):
        raise InvalidEvent("astDiff must be a list of operations", field="astDiff")
    operations = tuple(_operation(item, index) for index, item in enumerate(ast_diff))
    if not operations:
        raise InvalidEvent("astDiff has no operations; write no event where nothing changed", field="astDiff")
    if len({operation.at is None for operation in operations}) > 1:
        raise InvalidEvent("astDiff mixes changes of text with changes of values; write two events", field="astDiff")
    return operations


def scope_of(scope_metadata: object) -> ScopeMetadata:
    """Read and check scope metadata.

    Raises:
        InvalidEvent: counts are no integers from 0, or the functions are no list of texts.
    """
    if isinstance(scope_metadata, ScopeMetadata):
        scope_metadata = scope_metadata.to_wire()
    if not isinstance(scope_metadata, Mapping):
        raise InvalidEvent("scopeMetadata must be an object", field="scopeMetadata")
    counts = [scope_metadata.get(name) for name in ("changedNodes", "totalNodes")]
    for name, count in zip(("changedNodes", "totalNodes"), counts, strict=True):
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise InvalidEvent(f"scopeMetadata.{name} {count!r} must be an integer from 0", field="scopeMetadata")
    functions = scope_metadata.get("affectedFunctions")
    if not isinstance(functions, list | tuple) or not all(isinstance(name, str) for name in functions):
        raise InvalidEvent("scopeMetadata.affectedFunctions must be a list of names", field="scopeMetadata")
    return ScopeMetadata(int(counts[0] or 0), int(counts[1] or 0), tuple(functions))


def _operation(item: object, index: int) -> AstDiffOperation:
    if isinstance(item, AstDiffOperation):
        item = item.to_wire()
    if not isinstance(item, Mapping):
        raise _refused(index, "is no object")
    path, name = item.get("path"), item.get("operation")
    if not isinstance(path, str) or not path:
        raise _refused(index, "needs a path that is not empty")
    if name not in list(DiffOperationType):
        raise _refused(index, f"has the operation {name!r}; it must be add, modify or remove")
    kind = DiffOperationType(str(name))
    for field in _NEEDS[kind]:
        # null is a value; only what is not there at all is missing.
        if item.get(field, MISSING) is MISSING:
            raise _refused(index, f"({kind}) needs {field!r}")
    operation = AstDiffOperation(
        path,
        kind,
        item.get("before", MISSING),
        item.get("after", MISSING),
        item.get("at"),
        item.get("cut"),
        item.get("put"),
    )
    _check_text_fields(operation, index)
    return operation


def _check_text_fields(operation: AstDiffOperation, index: int) -> None:
    if operation.at is None:
        if operation.cut is not None or operation.put is not None:
            raise _refused(index, "has 'cut' or 'put' but no 'at'")
        return
    if not isinstance(operation.at, int) or isinstance(operation.at, bool) or operation.at < 0:
        raise _refused(index, f"has at={operation.at!r}; it must be an integer from 0")
    for given, value, name in ((operation.cut, operation.before, "cut"), (operation.put, operation.after, "put")):
        if not (isinstance(given, str) or (given is None and (isinstance(value, str) or value is MISSING))):
            raise _refused(index, f"changes text, so {name!r} must be text")


def _slice_text(given: str | None, value: Value) -> str:
    if given is not None:
        return given
    return value if isinstance(value, str) else ""


def _refused(index: int, reason: str) -> InvalidEvent:
    return InvalidEvent(f"astDiff operation {index} {reason}", field="astDiff")


def apply_text_operations(text: str, operations: Sequence[AstDiffOperation]) -> str:
    """Apply changes of text, each to what the one before has left.

    Raises:
        InvalidEvent: the text at an offset is not the one to be taken out.
    """
    if not _run_backwards(operations):
        for index, operation in enumerate(operations):
            _check(text, operation, index)
            at = operation.at or 0
            text = text[:at] + operation.put_text + text[at + len(operation.cut_text) :]
        return text
    # From the end to the start no change moves the next one's offset: one pass joins all pieces.
    pieces: list[str] = []
    end = len(text)
    for index, operation in enumerate(operations):
        _check(text, operation, index)
        at = operation.at or 0
        pieces.append(text[at + len(operation.cut_text) : end])
        pieces.append(operation.put_text)
        end = at
    pieces.append(text[:end])
    return "".join(reversed(pieces))


def _run_backwards(operations: Sequence[AstDiffOperation]) -> bool:
    return all((later.at or 0) + len(later.cut_text) <= (earlier.at or 0) for earlier, later in pairwise(operations))


def _check(text: str, operation: AstDiffOperation, index: int) -> None:
    at = operation.at or 0
    if at > len(text) or not text.startswith(operation.cut_text, at):
        raise InvalidEvent(
            f"astDiff operation {index} ({operation.operation} {operation.path[:200]!r}) does not fit the source: the"
            f" text at {at} is not the one to be taken out",
            field="astDiff",
        )


_STEP: Final = re.compile(r"(?:\\[\\.]|[^.])*")
_ESCAPED: Final = re.compile(r"\\([\\.])")
_NOTHING: Final = object()


def join_path(steps: Iterable[str | int]) -> str:
    """Spell a path: dots between steps, `\\.` for a dot in a key, `\\\\` for a backslash."""
    return ".".join(str(step).replace("\\", "\\\\").replace(".", "\\.") for step in steps)


def split_path(path: str) -> list[str]:
    """Read a path; a backslash escapes only a dot or another backslash, elsewhere it is itself."""
    steps: list[str] = []
    position = 0
    while position <= len(path):
        match = _STEP.match(path, position)
        step = match[0] if match else ""
        steps.append(_ESCAPED.sub(r"\1", step))
        position += len(step) + 1
    return steps


def apply_operations(tree: Value, operations: Sequence[AstDiffOperation]) -> None:
    """Apply operations to a tree of dicts and lists, in order and in place.

    Raises:
        InvalidEvent: a value before does not match, or a path leads nowhere; the tree is then half changed.
    """
    for index, operation in enumerate(operations):
        steps = split_path(operation.path)
        container = _walk(tree, steps, operation, index)
        if isinstance(container, list):
            _change_list(container, steps[-1], operation, index)
        else:
            _change_dict(container, steps[-1], operation, index)


def apply_as_original(tree: dict[str, Value], operations: Sequence[AstDiffOperation]) -> None:
    """Apply operations as the original did, so that its own hashes come out."""
    for operation in operations:
        steps = operation.path.split(".")
        is_removal = operation.operation is DiffOperationType.REMOVE
        container: dict[str, Value] | None = tree
        for step in steps[:-1]:
            child = container.get(step) if container is not None else None
            if not isinstance(child, dict):
                if is_removal or container is None:
                    container = None
                    break
                child = container[step] = {}
            container = child
        if container is None:
            continue
        if is_removal:
            container.pop(steps[-1], None)
        else:
            container[steps[-1]] = own_copy(operation.after)


def own_copy(value: Value) -> Value:
    """Copy a JSON value, so that a change of the tree does not reach the operation it came from."""
    return value if value is None or isinstance(value, str | int | float) else parse_doubles(plain_json(value))


def _walk(tree: Value, steps: Sequence[str], operation: AstDiffOperation, index: int) -> Any:
    container = tree
    for depth, step in enumerate(steps[:-1]):
        child = _child(container, step)
        if child is _NOTHING:
            if operation.operation is not DiffOperationType.ADD or not isinstance(container, dict):
                _mismatch(operation, index, f"there is nothing at {join_path(steps[: depth + 1])!r}")
            child = container[step] = {}
        if not isinstance(child, dict | list):
            _mismatch(operation, index, f"{join_path(steps[: depth + 1])!r} is no object or list")
        container = child
    return container


def _child(container: Any, step: str) -> Any:
    if isinstance(container, dict):
        return container.get(step, _NOTHING)
    return container[int(step)] if ARRAY_INDEX.match(step) and int(step) < len(container) else _NOTHING


def _change_dict(container: dict[str, Value], key: str, operation: AstDiffOperation, index: int) -> None:
    if operation.operation is not DiffOperationType.ADD:
        _check_before(container.get(key, _NOTHING), operation, index)
    if operation.operation is DiffOperationType.REMOVE:
        del container[key]
    else:
        container[key] = own_copy(operation.after)


def _change_list(container: list[Value], step: str, operation: AstDiffOperation, index: int) -> None:
    position = int(step) if ARRAY_INDEX.match(step) else -1
    if operation.operation is DiffOperationType.ADD:
        if not 0 <= position <= len(container):
            _mismatch(operation, index, f"a list of {len(container)} items has no place {step!r} to add at")
        container.insert(position, own_copy(operation.after))
        return
    _check_before(container[position] if 0 <= position < len(container) else _NOTHING, operation, index)
    if operation.operation is DiffOperationType.REMOVE:
        del container[position]
    else:
        container[position] = own_copy(operation.after)


def _check_before(actual: Any, operation: AstDiffOperation, index: int) -> None:
    if actual is _NOTHING:
        _mismatch(operation, index, "there is nothing there")
    if canonical_json(actual) != canonical_json(operation.before):
        _mismatch(operation, index, "'before' is not the value there")


def _mismatch(operation: AstDiffOperation, index: int, reason: str) -> NoReturn:
    raise InvalidEvent(
        f"astDiff operation {index} ({operation.operation} {operation.path[:200]!r}) does not fit the source: {reason}",
        field="astDiff",
    )


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
    form = SourceForm.TEXT if container_of_doubles(source) is None else SourceForm.DOCUMENT
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
    container = container_of_doubles(text)
    return _text_hash(text) if container is None else model_hash(container)


def state_hash(state: SourceState) -> str:
    """Hash the model of a state."""
    return _text_hash(state.text) if state.form is SourceForm.TEXT else model_hash(parse_doubles(state.text))


def model_hash(model: Value) -> str:
    """Hash a model that came from the text of a JSON document."""
    return sha256_hex(canonical_parsed(model))


def _text_hash(text: str) -> str:
    """Hash the model of plain text."""
    return sha256_hex(canonical_json({SOURCE_KEY: text}))


def model_of(state: SourceState) -> Value:
    """Build the model of a state, free to be changed."""
    return parse_doubles(state.text) if state.form is SourceForm.DOCUMENT else {SOURCE_KEY: state.text}


def _changed_text(
    state: SourceState, operations: tuple[AstDiffOperation, ...], declared: str
) -> tuple[str, SourceForm]:
    text = apply_text_operations(state.text, operations)
    container = container_of_doubles(text)
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
        value = parse_doubles(state.text)
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
