"""What a diff event says: operations on a source, and how far they reach (seed 004, "Types").

An operation names a place in the source's tree (`path`), and the value there before and after. That is the seed's
form, and all there is for a source that is a JSON document: see `object_paths` for how it is applied.

A change of text carries three fields more, so that layout and comments survive byte for byte and no parser is needed
to replay it: `at` is an offset in code points into the text as the operations before have left it; `cut` is the text
taken out there, `put` the text put in. Where `cut` or `put` is missing, `before` or `after` is that text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from unspool.events.errors import InvalidEvent
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
