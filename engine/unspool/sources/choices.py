"""The parts that a source can be looked at one by one: threads, namespaces, players, spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from unspool.sources.probe import Probe

MOST: Final = 1_000
"""Parts that are listed; a source with more of them is better asked by name."""
MANY: Final = 50
"""Parts above which all of them together tell little: they are listed before anything else is shown."""
_NO_NAME: Final = '""'
_NAMED: Final = 5
"""Parts that a message names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One part of a source.

    Attributes:
        select: what shows it, as `open_history` takes it: `{"thread": "a"}`.
        entries: how many entries it has, where that is known without reading them.
    """

    select: Mapping[str, str]
    entries: int | None = None

    @property
    def title(self) -> str:
        """What it is called: `thread a, namespace sub`."""
        return ", ".join(f"{what} {name or _NO_NAME}" for what, name in self.select.items())


Choices = Callable[[Probe], tuple[Choice, ...]]
"""What the module of a format offers as `choices`, where its files can hold several parts."""


def by_thread(rows: Iterable[tuple[str, str, int]]) -> tuple[Choice, ...]:
    """Return the threads of a database of checkpoints, and their namespaces where a thread has several.

    Args:
        rows: thread, namespace and number of checkpoints, in order.
    """
    threads: dict[str, dict[str, int]] = {}
    for thread, namespace, count in rows:
        threads.setdefault(thread, {})[namespace] = count
    choices: list[Choice] = []
    for thread, namespaces in threads.items():
        if len(threads) > 1:
            choices.append(Choice({"thread": thread}, sum(namespaces.values())))
        if len(namespaces) > 1:
            found = namespaces.items()
            choices.extend(Choice({"thread": thread, "namespace": name}, count) for name, count in found)
    return tuple(choices[:MOST])


def several(what: str, parts: Iterable[tuple[str, int | None]]) -> tuple[Choice, ...]:
    """Return parts of one kind as choices; one alone is no choice."""
    found = tuple(Choice({what: name}, count) for name, count in parts)
    return found[:MOST] if len(found) > 1 else ()


def named(names: Iterable[str]) -> str:
    """Name the first few of what there is, for messages."""
    known = list(dict.fromkeys(names))
    listed = ", ".join(map(repr, known[:_NAMED])) or "none"
    return f"{listed} and {len(known) - _NAMED} more" if len(known) > _NAMED else listed
