"""The recorder's own rule: a full snapshot where the file store would begin a block anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from unspool.chain.strategy import ChainState

CHAIN_LENGTH: Final = 32
"""Entries of a chain under `auto`; two make a block of the file. Longer ones save little and read slower."""
CHAIN_BYTES: Final = 256 * 1024
"""Delta bytes after which `auto` stores a full snapshot, unless the state itself is larger."""


@dataclass(frozen=True, slots=True)
class BlockStrategy:
    """Full when a block of the file is due: rebuilding then never replays more than one block."""

    name: str = "auto"

    def wants_full(self, state: ChainState) -> bool:
        """See `FullSnapshotStrategy`."""
        too_large = state.delta_bytes + state.candidate_bytes > max(CHAIN_BYTES, state.full_bytes)
        return state.length >= CHAIN_LENGTH - 1 or too_large
