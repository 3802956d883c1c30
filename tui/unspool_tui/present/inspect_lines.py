"""Rows of Inspect: the tree of a state, each value with the entry that last set it."""

from __future__ import annotations

from msgspec import Struct

from unspool.model.keys import spell_key
from unspool_tui.present import humane
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import Row, Span, Spans, on_grid, pad, spans_width
from unspool_tui.present.values import leaf, preview, shape
from unspool_tui.view.outline import Node, container_of

_INDENT = 2
_KEY_ROOM = 14


class Origin(Struct, frozen=True):
    """Who last set a value.

    Attributes:
        seq: the entry; None while unknown.
        action: why.
        earlier: entries that set it before, newest first; only looked up for the selected value.
        more: there are still earlier ones.
        before: the value before, as text; only looked up for the selected value.
        caller: the line of code that recorded the entry, where the recording kept it; likewise.
        age_ns: how long before the head it was set; likewise.
        older: it was set at that entry or in what was dropped before it.
    """

    seq: int | None = None
    action: str = ""
    earlier: tuple[int, ...] = ()
    more: bool = False
    before: str = ""
    caller: str = ""
    age_ns: int = 0
    older: bool = False


UNKNOWN = Origin()


def inspect_row(node: Node, origin: Origin, head: int, width: int, glyphs: Glyphs) -> Row:
    """Return the row of one value."""
    container = container_of(node.value)
    fold = " " if container is None else glyphs.opened if node.unfolded else glyphs.closed
    fresh = origin.seq == head and node.depth == 0 and not origin.older
    indent, deep = _indent(node.depth, width)
    step = node.address[-1]
    key = on_grid(spell_key(step)[:200]) or '""'
    left: tuple[Span, ...] = (
        (" " * indent, "text"),
        *deep,
        (f"{fold} ", "dim"),
        *(((glyphs.modified if fresh else " ", "modified"),) if node.depth == 0 else ()),
        (pad(key, max(_key_room(width), len(key[:24]))), "json.index" if isinstance(step, int) else _key_style(node)),
        (" ", "text"),
    )
    right = _origin(origin, head)
    if container is None:
        room = width - spans_width(left) - spans_width(right) - 1
        return Row((*left, *preview(node.value, max(8, room))), right)
    held: Spans = (
        () if node.unfolded else (("  ", "text"), *_dimmed(preview(node.value, max(8, width - indent - 24))))
    )
    return Row((*left, (shape(node.value), "json.type"), *held), right)


def _key_room(width: int) -> int:
    return max(_KEY_ROOM, min(24, width * 3 // 10))


def _key_style(node: Node) -> str:
    return "strong" if node.depth == 0 else "json.key"


def _indent(depth: int, width: int) -> tuple[int, Spans]:
    most = max(2, width // 3)
    if depth * _INDENT <= most:
        return depth * _INDENT, ()
    return most, ((f"{depth} deep ", "faint"),)


def _dimmed(spans: Spans) -> Spans:
    return tuple((text, "faint") for text, _ in spans)


def _origin(origin: Origin, head: int) -> Spans:
    if origin.seq is None:
        return ()
    if origin.older:
        return ((f"<=#{origin.seq} ", "faint"),)
    if origin.seq == head:
        return ((f"set here #{origin.seq} ", "modified"),)
    return ((f"#{origin.seq} ", "faint"),)


def story(origin: Origin, glyphs: Glyphs) -> Spans:
    """Return the whole story of the selected value: what it was, and when it was set before."""
    if origin.seq is None:
        return ()
    if origin.older:
        return (("set at or before ", "faint"), (f"#{origin.seq}", "accent"), (" older entries were dropped", "dim"))
    spans: list[Span] = [("set ", "faint"), (f"#{origin.seq}", "accent")]
    if origin.action:
        spans.append((f" {on_grid(origin.action[:40])}", "dim"))
    if origin.age_ns:
        spans.append((f" {humane.duration(origin.age_ns)} ago", "faint"))
    if origin.caller:
        spans.append((f"  {on_grid(origin.caller)}", "accent"))
    if origin.before:
        spans += [("  was ", "faint"), (origin.before, "old")]
    if origin.earlier:
        earlier = " ".join(f"#{seq}" for seq in origin.earlier)
        spans += [("  earlier ", "faint"), (earlier + (glyphs.ellipsis if origin.more else ""), "dim")]
    return tuple(spans)


def plain_value(value: object) -> Spans:
    """Return a leaf as it stands in the tree."""
    return (leaf(value),)
