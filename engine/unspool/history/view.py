"""A state to look at: atoms are decoded when they are looked at, and only then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from unspool.model.values import State, Value
from unspool.model.wire import decode, decode_all


class StateView(Mapping[str, Value]):
    """A read-only state. Values are decoded once and shared between looks: do not change them."""

    __slots__ = ("_decoded", "_encoded", "seq")

    def __init__(self, seq: int, encoded: dict[str, bytes]) -> None:
        """Take over a state given as wire forms by atom."""
        self.seq = seq
        self._encoded = encoded
        self._decoded: dict[str, Value] = {}

    def __getitem__(self, atom: str) -> Value:
        try:
            return self._decoded[atom]
        except KeyError:
            value = self._decoded[atom] = decode(self._encoded[atom])
            return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._encoded)

    def __len__(self) -> int:
        return len(self._encoded)

    def __contains__(self, atom: object) -> bool:
        return atom in self._encoded

    def encoded(self, atom: str) -> bytes:
        """Return an atom's wire form; raises KeyError for an unknown atom."""
        return self._encoded[atom]

    @property
    def wire(self) -> Mapping[str, bytes]:
        """All atoms as wire forms."""
        return self._encoded

    def to_dict(self) -> State:
        """Return the state as a dict that is safe to change."""
        return dict(zip(self._encoded, decode_all(self._encoded.values()), strict=True))
