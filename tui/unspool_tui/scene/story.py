"""Who set a value and when it was set before: looked up for the one value that is selected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from unspool.model.paths import Path
from unspool.model.values import MISSING, Value, strict_equal
from unspool_tui.present.inspect_lines import Origin
from unspool_tui.present.values import preview_text
from unspool_tui.scene.states import Decoded, SharedState
from unspool_tui.view.history_port import HistoryPort
from unspool_tui.view.outline import value_at

Story = tuple[Path, int, Origin]
_EARLIER: Final = 4
"""Earlier writers told; there is no room for more."""
_MOST_WRITES: Final = 400
"""Writes of the atom looked at on the way back; a value that stayed the same longer is told without its earlier ones."""


def tell(history: HistoryPort, decoded: Decoded, address: Path, head: int) -> Iterator[Story | None]:
    """Yield who set the value at an address as of a head; None between, so that the worker can turn to other things."""
    if not isinstance(address[0], str):
        return
    found: list[int] = []
    before: Value = MISSING
    for seq, older in value_writes(history, decoded, address, head + 1):
        if seq is not None:
            if not found:
                before = older
            found.append(seq)
            if len(found) > _EARLIER + 1:
                break
        yield None
    if found:
        first, *earlier = found
        shown = tuple(earlier[:_EARLIER])
        text = preview_text(before, 40) if before is not MISSING else ""
        yield address, head, Origin(first, history.action(first), shown, len(earlier) > _EARLIER, text)


def value_writes(
    history: HistoryPort, decoded: Decoded, address: Path, before: int
) -> Iterator[tuple[int | None, Value]]:
    """Yield the entries that set the value at an address, newest first, each with the value it had before.

    Entries that wrote the atom but not the value are yielded as None.
    """
    atom = str(address[0])
    write = history.previous_write(atom, before)
    newer = _value(history, decoded, address, write) if write is not None else MISSING
    for _ in range(_MOST_WRITES):
        if write is None:
            return
        earlier = history.previous_write(atom, write)
        older = _value(history, decoded, address, earlier) if earlier is not None else MISSING
        same = len(address) > 1 and strict_equal(older, newer) and older is not MISSING
        yield (None if same else write), older
        write, newer = earlier, older


def _value(history: HistoryPort, decoded: Decoded, address: Path, seq: int) -> Value:
    return value_at(SharedState(history.view(seq), decoded), address)


def next_value_write(history: HistoryPort, decoded: Decoded, address: Path, after: int) -> Iterator[int | None]:
    """Yield None while looking, then the first entry after one that sets the value at an address, if there is any."""
    atom = str(address[0])
    value = _value(history, decoded, address, after)
    write = history.next_write(atom, after)
    while write is not None:
        newer = _value(history, decoded, address, write)
        if len(address) == 1 or not strict_equal(value, newer):
            yield write
            return
        yield None
        write = history.next_write(atom, write)


def previous_value_write(history: HistoryPort, decoded: Decoded, address: Path, before: int) -> Iterator[int | None]:
    """Yield None while looking, then the last entry before one that sets the value at an address, if there is any."""
    for seq, _ in value_writes(history, decoded, address, before):
        yield seq
        if seq is not None:
            return
