"""States as JSON text, written anew only where they changed: most atoms stay the same from entry to entry."""

from __future__ import annotations

from collections.abc import Callable

from unspool.history.history import StateView
from unspool.model.json_text import to_json
from unspool.model.values import Value
from unspool.sources.tagged_values import to_tagged

Member = Callable[[str, Value], tuple[str, bool]]
"""Writes an atom as a member of an object (`"name":value`), and says whether tags were needed."""


class StateTexts:
    """Writes one state after the other."""

    def __init__(self, member: Member) -> None:
        """Begin with nothing written.

        Args:
            member: how an atom is written.
        """
        self._member = member
        self._written: dict[str, tuple[bytes, str, bool]] = {}

    def text(self, view: StateView) -> tuple[str, bool]:
        """Return a state as the text of an object, and whether tags were needed in it."""
        written: dict[str, tuple[bytes, str, bool]] = {}
        for atom in view:
            data = view.encoded(atom)
            known = self._written.get(atom)
            written[atom] = (
                known if known is not None and known[0] == data else (data, *self._member(atom, view[atom]))
            )
        self._written = written
        members = ",".join(text for _, text, _ in written.values())
        return f"{{{members}}}", any(is_tagged for _, _, is_tagged in written.values())


def tagged_member(atom: str, value: Value) -> tuple[str, bool]:
    """Write an atom with tags for what JSON lacks."""
    content, is_tagged = to_tagged(value)
    return f"{to_json(atom)}:{to_json(content)}", is_tagged
