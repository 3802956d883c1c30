"""rrweb recordings: a full copy of a page, then the changes in it.

Atoms: `page` (address and size), `nodes` (the document, a flat object of nodes by id), `inputs`, `scroll`, `mouse`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from unspool.codec.state_codec import GZIP_MAGIC
from unspool.model.entries import NO_META
from unspool.model.json_exact import BrokenText, parse
from unspool.model.limits import in_force
from unspool.model.values import State, Value
from unspool.sources.detection import SAMPLED_LINES, Probe, SourceShape
from unspool.sources.entries import (
    SCALAR,
    TIME_FROM_FILE,
    Known,
    Reader,
    SourceEntry,
    UnusableRecord,
    to_ns,
    with_others,
)
from unspool.sources.lines import ItemsReader, LinesReader, beside

_TYPES: Final = (
    "DomContentLoaded",
    "Load",
    "FullSnapshot",
    "IncrementalSnapshot",
    "Meta",
    "Custom",
    "Plugin",
    "Asset",
)
_SOURCES: Final = ("Mutation", "MouseMove", "MouseInteraction", "Scroll", "ViewportResize", "Input", "TouchMove",
                   "MediaInteraction", "StyleSheetRule", "CanvasMutation", "Font", "Log", "Drag", "StyleDeclaration",
                   "Selection", "AdoptedStyleSheet", "CustomElement")  # fmt: skip
_FULL, _INCREMENTAL, _META, _CUSTOM = 2, 3, 4, 5
_CHILDREN: Final = "children"
_OF_EVENT: Final[dict[str, Known]] = dict.fromkeys(("type", "timestamp", "delay", "cv", "windowId", "seq"))
_PLACE: Final[Known] = {"source": SCALAR, "id": SCALAR, "x": SCALAR, "y": SCALAR}
_MOVES: Final[Known] = {
    "source": SCALAR,
    "positions": [{"x": SCALAR, "y": SCALAR, "id": SCALAR, "timeOffset": SCALAR}],
}
_OF_DATA: Final[dict[tuple[int, Value], Known]] = {
    (_FULL, None): {"node": None, "initialOffset": {"top": SCALAR, "left": SCALAR}},
    (_META, None): {"href": SCALAR, "width": SCALAR, "height": SCALAR},
    (_INCREMENTAL, 0): {
        "source": SCALAR, "isAttachIframe": SCALAR,
        "texts": [{"id": SCALAR, "value": SCALAR}],
        "attributes": [{"id": SCALAR, "attributes": None}],
        "removes": [{"parentId": SCALAR, "id": SCALAR, "isShadow": SCALAR}],
        "adds": [{"parentId": SCALAR, "previousId": SCALAR, "nextId": SCALAR, "node": None}],
    },
    (_INCREMENTAL, 1): _MOVES, (_INCREMENTAL, 3): _PLACE,
    (_INCREMENTAL, 4): {"source": SCALAR, "width": SCALAR, "height": SCALAR},
    (_INCREMENTAL, 5): dict.fromkeys(("source", "id", "text", "isChecked", "userTriggered"), SCALAR),
    (_INCREMENTAL, 6): _MOVES,
}  # fmt: skip
"""What is known of the data of an event that changes the page; of any other event all of it is kept."""
_PACKED_PARTS: Final = ("texts", "attributes", "removes", "adds")
_ZLIB_MAGIC: Final = b"\x78"
_ANY_WINDOW: Final = 47
"""zlib's way of saying: a zlib or gzip header, whichever stands there."""


def is_event(record: Value) -> bool:
    """Whether a record is an rrweb event."""
    if not isinstance(record, dict) or "data" not in record:
        return False
    kind, timestamp = record.get("type"), record.get("timestamp")
    return type(kind) is int and 0 <= kind <= 7 and type(timestamp) in (int, float)


def detect(probe: Probe) -> int:
    """Score a probe: all records are rrweb events, packed or not, in lines, in a list or in an object around one."""
    records: Sequence[Value] = probe.records
    if probe.shape is SourceShape.DOCUMENT and isinstance(probe.document, dict):
        records = (_listed(probe.document) or [])[:SAMPLED_LINES]
    return 85 if records and all(is_event(unpacked(record)) for record in records) else 0


def _listed(document: Value) -> list[Value] | None:
    """Return the events of a document: a list, `{"events": [...]}`, or PostHog's `{"data": {"snapshots": [...]}}`."""
    if isinstance(document, dict):
        inner = document.get("data")
        holders = (document, inner if isinstance(inner, dict) else {})
        document = next(
            (held[key] for held in holders for key in ("events", "snapshots") if isinstance(held.get(key), list)),
            None,
        )
    return document if isinstance(document, list) else None


def unpacked(record: Value) -> Value:
    """Return an event that was packed into a text (@rrweb/packer), or whose parts were (posthog-js), as it was before.

    What does not unpack is returned as it is: the reader of the event reports it.
    """
    if isinstance(record, str):
        return _unfolded(record, record)
    if not isinstance(record, dict) or "cv" not in record:
        return record
    data = record.get("data")
    if isinstance(data, str):
        return {**record, "data": _unfolded(data, data)}
    if isinstance(data, dict):
        parts = {key: _unfolded(data[key], data[key]) for key in _PACKED_PARTS if isinstance(data.get(key), str)}
        return {**record, "data": {**data, **parts}} if parts else record
    return record


def _unfolded(text: str, otherwise: Value) -> Value:
    """Read compressed JSON that stands in a text, a byte a character."""
    try:
        packed = text.encode("latin-1")
        if not packed.startswith((GZIP_MAGIC, _ZLIB_MAGIC)):
            return otherwise
        # Both kinds of header are distinguished by zlib itself.
        unfolder = zlib.decompressobj(_ANY_WINDOW)
        limit = in_force().line_bytes
        data = unfolder.decompress(packed, limit + 1)
        if len(data) > limit or not unfolder.eof:
            return otherwise
        return parse(data).value
    except (UnicodeEncodeError, zlib.error, BrokenText):
        return otherwise


class PageRecords:
    """Rebuilds a page from a full snapshot and the changes after it."""

    def __init__(self) -> None:
        self._page: dict[str, Value] = {}
        self._nodes: dict[str, dict[str, Value]] = {}
        self._inputs: dict[str, Value] = {}
        self._scroll: dict[str, Value] = {}
        self._mouse: Value = None
        self._lost = 0
        self._not_understood = 0
        self._appliers: dict[int, Callable[[dict[str, Value]], None]] = {
            0: self._mutation, 1: self._move, 3: self._scrolled, 4: self._resize, 5: self._input, 6: self._move,
        }  # fmt: skip

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entry of one event.

        Raises:
            UnusableRecord: it is no rrweb event.
        """
        record = unpacked(record)
        if not is_event(record):
            raise UnusableRecord("no rrweb event")
        kind, data = record["type"], record["data"] if isinstance(record["data"], dict) else {}
        label = _TYPES[kind]
        if isinstance(record["data"], str) and record["data"]:
            self._not_understood += 1
        is_told = kind in (_META, _FULL)
        if kind == _META:
            self._page.update({key: data[key] for key in ("href", "width", "height") if key in data})
        elif kind == _FULL:
            self._nodes = _flatten(data.get("node"))
            self._not_understood += not self._nodes and not isinstance(record["data"], str)
            self._inputs, self._scroll = {}, {}
        elif kind == _CUSTOM:
            label = f"Custom {data.get('tag', '')}".rstrip()
        elif kind == _INCREMENTAL:
            source = data.get("source")
            label = _SOURCES[source] if type(source) is int and 0 <= source < len(_SOURCES) else f"source {source}"
            apply = self._appliers.get(source) if type(source) is int else None
            if apply is not None:
                apply(data)
                is_told = True
        timestamp_ns = to_ns(record["timestamp"])
        at = default_ns if timestamp_ns is None else timestamp_ns
        meta: dict[str, Value] = {} if timestamp_ns is not None else dict(TIME_FROM_FILE)
        if not is_told and record["data"]:
            # What changes nothing of the page is not passed over in silence.
            meta["data"] = record["data"]
        source = data.get("source") if kind == _INCREMENTAL else None
        known = {**_OF_EVENT, "data": _OF_DATA.get((kind, source)) if source is None or type(source) is int else None}
        meta.update(with_others(NO_META, record, known))
        yield SourceEntry(self._state(), at, label, meta or NO_META, is_full=kind == _FULL)

    def _state(self) -> State:
        state: State = {"page": self._page, "nodes": self._nodes, "inputs": self._inputs, "scroll": self._scroll}
        if self._mouse is not None:
            state["mouse"] = self._mouse
        return state

    def _move(self, data: dict[str, Value]) -> None:
        positions = data.get("positions")
        if isinstance(positions, list) and positions and isinstance(positions[-1], dict):
            self._mouse = {key: positions[-1].get(key) for key in ("x", "y")}

    def _scrolled(self, data: dict[str, Value]) -> None:
        self._scroll[str(data.get("id"))] = {key: data.get(key) for key in ("x", "y")}

    def _resize(self, data: dict[str, Value]) -> None:
        self._page.update({key: data[key] for key in ("width", "height") if key in data})

    def _input(self, data: dict[str, Value]) -> None:
        self._inputs[str(data.get("id"))] = {key: data[key] for key in ("text", "isChecked") if key in data}

    def _mutation(self, data: dict[str, Value]) -> None:
        self._not_understood += any(data.get(part) and not isinstance(data[part], list) for part in _PACKED_PARTS)
        for change in _objects(data.get("removes")):
            self._remove(str(change.get("id")), str(change.get("parentId")))
        for change in _objects(data.get("adds")):
            self._add(change)
        for change in _objects(data.get("texts")):
            node = self._node(change)
            if node is not None:
                node["textContent"] = change.get("value")
        for change in _objects(data.get("attributes")):
            node, attributes = self._node(change), change.get("attributes")
            if node is not None and isinstance(attributes, dict):
                _merge_attributes(node, attributes)

    def _node(self, change: dict[str, Value]) -> dict[str, Value] | None:
        node = self._nodes.get(str(change.get("id")))
        self._lost += node is None
        return node

    def _remove(self, node_id: str, parent_id: str) -> None:
        parent = self._nodes.get(parent_id)
        if parent is not None and node_id in parent.get(_CHILDREN, []):
            parent[_CHILDREN].remove(node_id)
        pending = [node_id]
        while pending:
            node = self._nodes.pop(pending.pop(), None)
            if node is not None:
                pending.extend(node.get(_CHILDREN, []))

    def _add(self, change: dict[str, Value]) -> None:
        parent = self._nodes.get(str(change.get("parentId")))
        node = change.get("node")
        if parent is None or not isinstance(node, dict):
            self._lost += 1
            return
        self._nodes.update(_flatten(node))
        siblings = parent.setdefault(_CHILDREN, [])
        following = str(change.get("nextId"))
        place = siblings.index(following) if following in siblings else len(siblings)
        siblings.insert(place, str(node.get("id")))

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Report changes to nodes that are not there, and what does not read."""
        if self._not_understood:
            yield (
                "some events hold what is no page and no change (packed in a way not known here?); they change nothing",
                True,
            )
        if self._lost:
            yield "some changes are about nodes that the recording never showed; they were left out", True


def _objects(value: Value) -> list[dict[str, Value]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _merge_attributes(node: dict[str, Value], changes: dict[str, Value]) -> None:
    attributes = node.get("attributes")
    if not isinstance(attributes, dict):
        attributes = node["attributes"] = {}
    for name, value in changes.items():
        if value is None:
            attributes.pop(name, None)
        elif name == "style" and isinstance(value, dict):
            attributes[name] = _merge_styles(attributes.get(name), value)
        else:
            attributes[name] = value


def _merge_styles(style: Value, changes: dict[str, Value]) -> str:
    """Return a style after changes to some of its properties, which rrweb writes where that is shorter."""
    written = style.split(";") if isinstance(style, str) else []
    pairs = [part.partition(":") for part in written if part.strip()]
    properties: dict[str, Value] = {name.strip(): value.strip() for name, _, value in pairs}
    for name, value in changes.items():
        if value is False:
            properties.pop(name, None)
        else:
            # A list is a value and its priority.
            properties[name] = " !".join(map(str, value)) if isinstance(value, list) else value
    return " ".join(f"{name}: {value};" for name, value in properties.items())


def _flatten(root: Value) -> dict[str, dict[str, Value]]:
    """Return a tree of nodes as a flat object by node id; children are named by their ids."""
    nodes: dict[str, dict[str, Value]] = {}
    pending = [root]
    while pending:
        node = pending.pop()
        if not isinstance(node, dict):
            continue
        children = _objects(node.get("childNodes"))
        flat = {key: value for key, value in node.items() if key not in ("childNodes", "id", _CHILDREN)}
        if children:
            flat[_CHILDREN] = [str(child.get("id")) for child in children]
        nodes[str(node.get("id"))] = flat
        pending.extend(reversed(children))
    return nodes


def open_reader(probe: Probe) -> Reader:
    """Read a recording: a list of events, an object around one, or one a line."""
    events = _listed(probe.document) if probe.shape is SourceShape.DOCUMENT else None
    if events is not None:
        return ItemsReader(
            probe.path,
            events,
            PageRecords(),
            mtime_ns=probe.status.st_mtime_ns,
            place="event",
            beside=beside(probe.document, events),
        )
    return LinesReader(probe.path, PageRecords(), probe.limits, follows=probe.follows)
