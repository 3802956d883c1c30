"""Exports and logs of Redux DevTools as entries: actions over states, with their markers read as plain typed values.

Markers are `{"$jsan": …}`, whose letters are those of the `jsan` package, and `{"__serializedType__": …}`. Functions come
back as their text and are never run.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import unquote

from unspool.errors import UnreadableSource
from unspool.model.entries import CALLER, NO_META, SourceLine
from unspool.model.json_exact import BrokenText, parse
from unspool.model.limits import Limits, in_force
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import State, Value, strict_equal
from unspool.sources.detection import Probe, SourceShape
from unspool.sources.entries import (
    EPOCH,
    SCALAR,
    TIME_FROM_FILE,
    Known,
    Reader,
    SourceEntry,
    UnusableRecord,
    as_state,
    to_ns,
    with_others,
)
from unspool.sources.formats.states import action_label
from unspool.sources.lines import ItemsReader, LinesReader
from unspool.sources.tagged_values import DROP, CopiedContainer, Leaf, Reference, plain_frame, revive_with

JSAN: Final = "$jsan"
SERIALIZED_TYPE: Final = "__serializedType__"
_STEP: Final = re.compile(r"\.(\w+)|\[(\d{1,18})\]|\[\"((?:[^\\\"]|\\.)*)\"\]")


def _date(text: str) -> Value:
    try:
        return EPOCH + dt.timedelta(milliseconds=int(text))
    except (ValueError, OverflowError):
        return Tagged("Date", text)


def _regular_expression(text: str) -> Value:
    flags, _, source = text.partition(",")
    # JavaScript tells flags in the order of the alphabet, whatever order they were written in.
    return Tagged("RegExp", {"source": source, "flags": "".join(sorted(flags))})


def _nested(type_name: str) -> Callable[[str], Value]:
    def restore(text: str) -> Value:
        try:
            return Tagged(type_name, revive(parse(text.encode("utf-8", "surrogatepass")).value))
        except BrokenText:
            return Tagged(type_name, text)

    return restore


_RESTORE: Final[dict[str, Callable[[str], Value]]] = {
    "d": _date,
    "r": _regular_expression,
    "f": lambda text: Tagged("Function", text),
    "u": lambda _: DROP,
    "e": lambda text: Tagged("Error", text),
    "s": lambda text: Tagged("Symbol", text),
    "g": lambda text: Tagged("Symbol.for", text),
    "m": _nested("Map"),
    "l": _nested("Set"),
    "n": lambda _: math.nan,
    "i": lambda _: math.inf,
    "y": lambda _: -math.inf,
}


def _target(root: Value, path: str) -> Value:
    """Follow a reference such as `$.computedStates[0].state` through the raw document."""
    current = root
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            return DROP
        position = match.end()
        if isinstance(current, list) and match[2] is not None and int(match[2]) < len(current):
            current = current[int(match[2])]
            continue
        key = match[1] or match[2] or re.sub(r"\\(.)", r"\1", match[3] or "")
        if not isinstance(current, dict) or key not in current:
            return DROP
        current = current[key]
    return current


def _open(value: Value) -> CopiedContainer:
    if not isinstance(value, dict):
        return plain_frame(value)
    # A user's own key of that name is written as a list of one.
    items = {
        key: item[0] if key == JSAN and isinstance(item, list) and len(item) == 1 else item
        for key, item in value.items()
    }
    type_name = items.get(SERIALIZED_TYPE)
    if not isinstance(type_name, str):
        return CopiedContainer(iter(items.items()), {})
    del items[SERIALIZED_TYPE]
    return CopiedContainer(iter(items.items()), {}, lambda content: Tagged(type_name, content))


def revive(document: Value, limits: Limits | None = None) -> Value:
    """Return a copy of a document with its markers turned into values.

    References are followed; where they run in a circle, an `Unrepresentable` stands for the second visit.

    Raises:
        TooMuch: references unfold to more than a state may hold.
    """

    def marker_of(value: dict[str, Value]) -> Leaf | Reference | None:
        marker = value.get(JSAN)
        if not isinstance(marker, str) or not marker or len(value) != 1:
            return None
        if not marker.startswith("$"):
            restore = _RESTORE.get(marker[0])
            return Leaf(Tagged(JSAN, marker) if restore is None else restore(marker[1:]))
        target = _target(document, marker)
        if target is DROP:
            return Leaf(Unrepresentable("reference", f"{marker} leads nowhere in the file"))
        return Reference(target)

    return revive_with(document, marker_of, _open, limits or in_force())


_LIFTED: Final = {"actionsById", "stagedActionIds"}
_OF_LIFTED: Final = frozenset((*_LIFTED, "computedStates", "committedState", "skippedActionIds", "currentStateIndex", "nextActionId",
                               "monitorState", "isLocked", "isPaused", "preloadedState", "lastAction", "dropIncomingActions"))  # fmt: skip
"""What every lifted state has: the states and actions, and how the tool stood."""
_OF_LIFTED_ACTION: Final[Known] = {"type": None, "action": None, "timestamp": None, "stack": SCALAR}
_NAMED: Final = 5
_PLACE: Final = r"(?P<file>[^()]{1,1000}?):(?P<line>\d{1,7})(?::\d{1,7})?"
_V8_FRAME: Final = re.compile(
    rf"at (?:async )?(?:(?P<function>[^()]{{1,200}}) \({_PLACE}\)|{_PLACE.replace('?P<', '?P<bare_')})"
)
_OTHER_FRAME: Final = re.compile(rf"(?P<function>[^@]{{0,200}})@{_PLACE}")
"""A frame as Firefox and Safari spell it."""
_NOT_THE_APPS: Final = ("node:", "internal/", "native", "<anonymous>", "webpack/")
_LONGEST_STACK: Final = 20_000
_MOST_FRAMES: Final = 60
_FLUX_KEYS: Final = frozenset(("type", "payload", "meta", "error"))
_INIT: Final[dict[str, Value]] = {"type": "@@INIT"}
"""Form A leaves the first action out; its place shows the state that the actions start from."""
_NO_REDUCER: Final = "it holds actions but no states between them, and rebuilding those needs the app's own reducer"


def _embedded(value: Value) -> Value:
    """Read JSON that a file keeps as a string; anything else is returned as it is."""
    if not isinstance(value, str):
        return value
    try:
        return parse(value.encode("utf-8", "surrogatepass")).value
    except BrokenText as error:
        raise UnusableRecord(f"its embedded JSON does not read ({error})") from None


def _is_lifted_action(record: Value) -> bool:
    return (
        isinstance(record, dict) and record.get("type") == "PERFORM_ACTION" and isinstance(record.get("action"), dict)
    )


def _is_bare_action(record: Value) -> bool:
    return isinstance(record, dict) and isinstance(record.get("type"), str) and record.keys() <= _FLUX_KEYS


def detect(probe: Probe) -> int:
    """Score a probe: an export of either form, or a list or log of actions."""
    if probe.shape is SourceShape.LINES:
        return 85 if all(map(_is_lifted_action, probe.records)) else 0
    document = probe.document
    if isinstance(document, dict):
        if document.keys() >= _LIFTED and isinstance(document["actionsById"], dict):
            return 95
        return 85 if "payload" in document and document.keys() <= {"payload", "preloadedState"} else 0
    if isinstance(document, list) and document:
        if all(map(_is_lifted_action, document)):
            return 85
        return 35 if len(document) > 1 and all(map(_is_bare_action, document)) else 0
    return 0


class ActionRecords:
    """Reads actions over one unchanging state."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._actions = 0

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entry of one action, bare or lifted.

        Raises:
            UnusableRecord: the record is no action.
        """
        lifted = record if _is_lifted_action(record) else {"action": record}
        action = lifted["action"]
        if not isinstance(action, dict) or not isinstance(action.get("type"), str):
            raise UnusableRecord("no action: it has no type")
        self._actions += record is not _INIT
        yield _entry(self._state, lifted, default_ns, {})

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Report that the states are missing."""
        if self._actions:
            yield f"{_NO_REDUCER}; the actions are shown over the state it starts from", True


def place_in(stack: str) -> SourceLine | None:
    """Return the innermost line of a JavaScript stack that belongs to the app, and not to a library that it uses.

    Args:
        stack: as V8, Firefox or Safari spell it.
    """
    for text in stack[:_LONGEST_STACK].splitlines()[:_MOST_FRAMES]:
        frame = _frame_in(text.strip())
        if frame is None:
            continue
        file, line, function = frame
        if "/node_modules/" in file or file.startswith(_NOT_THE_APPS):
            continue
        name = unquote(file.removeprefix("file://")) if file.startswith("file://") else file
        return SourceLine(name, line, "" if function == "<anonymous>" else function)
    return None


def _frame_in(text: str) -> tuple[str, int, str] | None:
    """Return file, line and function of a frame; None where it is none."""
    frame = _V8_FRAME.fullmatch(text)
    if frame is not None and frame["file"] is None:
        return frame["bare_file"].partition("?")[0], int(frame["bare_line"]), ""
    frame = frame or _OTHER_FRAME.fullmatch(text)
    return None if frame is None else (frame["file"].partition("?")[0], int(frame["line"]), frame["function"])


def _entry(
    state: State, lifted: dict[str, Value], default_ns: int, facts: dict[str, Value], entry_id: str | None = None
) -> SourceEntry:
    action = lifted.get("action")
    timestamp_ns = to_ns(lifted.get("timestamp"))
    meta = dict(facts)
    if isinstance(action, dict) and len(action) > 1:
        meta["action"] = {key: value for key, value in action.items() if key != "type"}
    if isinstance(lifted.get("stack"), str):
        meta["stack"] = lifted["stack"]
        place = place_in(lifted["stack"])
        if place is not None:
            meta[CALLER] = place.to_meta()
    meta.update(with_others(NO_META, lifted, _OF_LIFTED_ACTION))
    if timestamp_ns is None:
        meta.update(TIME_FROM_FILE)
    at = default_ns if timestamp_ns is None else timestamp_ns
    return SourceEntry(state, at, action_label(action), meta or NO_META, entry_id)


class LiftedState:
    """Reads a lifted state (form B): one record, all entries."""

    def __init__(self, *, is_revived: bool = False) -> None:
        """Prepare.

        Args:
            is_revived: its markers are values already.
        """
        self._is_revived = is_revived
        self._said: list[tuple[str, bool]] = []

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entries of a lifted state.

        Raises:
            UnusableRecord: its parts do not fit together.
        """
        try:
            lifted = record if self._is_revived else revive(record)
        except BrokenText as error:
            raise UnusableRecord(str(error)) from None
        if not isinstance(lifted, dict):
            raise UnusableRecord("it is no object")
        staged, by_id = lifted.get("stagedActionIds"), lifted.get("actionsById")
        if not isinstance(staged, list) or not isinstance(by_id, dict):
            raise UnusableRecord("its actionsById is no object, or its stagedActionIds no list")
        self._report_committed(staged)
        self._report_beside(lifted, staged, by_id)
        computed = lifted.get("computedStates")
        states = computed if isinstance(computed, list) else []
        state = as_state(lifted.get("committedState", {}))
        skipped = lifted.get("skippedActionIds")
        skipped = skipped if isinstance(skipped, list) else []
        missing = 0
        for index, action_id in enumerate(staged):
            result = states[index] if index < len(states) and isinstance(states[index], dict) else {}
            if "state" in result:
                state = as_state(result["state"])
            else:
                missing += 1
            facts: dict[str, Value] = {"skipped": True} if action_id in skipped else {}
            if result.get("error") is not None:
                facts["error"] = result["error"]
            # Beside its state and error a computed state has nothing of its own.
            facts.update((key, value) for key, value in result.items() if key not in ("state", "error"))
            if (
                index == 0
                and "state" in result
                and not strict_equal(state, as_state(lifted.get("committedState", state)))
            ):
                facts["committedState"] = lifted["committedState"]
            yield _entry(state, self._action(by_id, action_id), default_ns, facts, str(action_id))
        if missing:
            self._said.append(
                (f"{missing} of {len(staged)} actions have no computed state; they show the one before", True)
            )

    def _report_beside(self, lifted: dict[str, Value], staged: list[Value], by_id: dict[str, Value]) -> None:
        """Report what is in no state: parts of the export beside the states, and actions and states of nothing staged."""
        others = [str(key) for key in lifted if key not in _OF_LIFTED]
        known = {str(action_id) for action_id in staged}
        others += [f"actionsById.{key}" for key in by_id if key not in known]
        computed, skipped = lifted.get("computedStates"), lifted.get("skippedActionIds")
        others += [
            f"computedStates[{place}]"
            for place in range(len(staged), len(computed) if isinstance(computed, list) else 0)
        ]
        others += (
            [f"skippedActionIds: {item!r}" for item in skipped or () if str(item) not in known]
            if isinstance(skipped, list)
            else []
        )
        if others:
            more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
            self._said.append((f"in no state, for they stand beside them: {', '.join(others[:_NAMED])}{more}", False))

    def _action(self, by_id: dict[str, Value], action_id: Value) -> dict[str, Value]:
        action = by_id.get(str(action_id))
        if isinstance(action, dict):
            return action
        self._said.append((f"action {action_id!r} is staged but missing from actionsById", True))
        return {}

    def _report_committed(self, staged: list[Value]) -> None:
        ids = [action_id for action_id in staged if isinstance(action_id, int)]
        if len(ids) > 1 and ids[0] == 0 and ids[1] > 1:
            self._said.append(
                (f"actions 1 to {ids[1] - 1} were committed before the export and are not in the file", True)
            )

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Report what is missing from the export."""
        return tuple(self._said)


def open_reader(probe: Probe) -> Reader:
    """Read an export of either form, or a log of actions.

    Raises:
        UnreadableSource: the JSON embedded in the export does not read.
    """
    if probe.shape is SourceShape.LINES:
        return LinesReader(probe.path, ActionRecords({}), probe.limits, follows=probe.follows)
    mtime_ns = probe.status.st_mtime_ns
    document = probe.document
    try:
        payload = _embedded(document["payload"]) if isinstance(document, dict) and "payload" in document else document
        if isinstance(payload, dict):
            return ItemsReader(probe.path, [payload], LiftedState(), mtime_ns=mtime_ns, place="lifted state")
        preloaded = _embedded(document.get("preloadedState")) if isinstance(document, dict) else None
        state = as_state(revive(preloaded)) if preloaded is not None else {}
        actions = revive(payload)
    except (UnusableRecord, BrokenText) as error:
        raise UnreadableSource(f"{probe.path}: no Redux DevTools export: {error}; export it again") from None
    if not isinstance(actions, list):
        raise UnreadableSource(f"{probe.path}: no Redux DevTools export: its payload is no list; export it again")
    records = [_INIT, *actions] if isinstance(document, dict) else actions
    return ItemsReader(probe.path, records, ActionRecords(state), mtime_ns=mtime_ns, place="action")
