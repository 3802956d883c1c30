"""The recorder's own rule: a full snapshot where the file store would begin a block anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from unspool.chain.strategy import ChainState

CHAIN_LENGTH: Final = 32
"""Entries of a chain under `auto`; two make a block of the file. Longer ones save little and read slower."""
CHAIN_BYTES: Final = 256 * 1024
"""Delta bytes after which `auto` stores a full snapshot, unless the state itself is larger."""
_WIDE_SHARE: Final = 4
"""Deltas that come to more than one part in so many of the state are wide: laying them on costs more than decoding it."""
_LEAST_WIDE: Final = 16 * 1024
"""Delta bytes that are laid on in no time whatever the state's size."""


@dataclass(frozen=True, slots=True)
class BlockStrategy:
    """Full when a block of the file is due, and where replaying the chain would cost far more than decoding a state.

    Rebuilding then never replays more than one block. What a delta costs is told by its bytes: a patch of many steps is
    long, and every step costs as much as decoding many bytes.
    """

    name: str = "auto"

    def wants_full(self, state: ChainState) -> bool:
        """See `FullSnapshotStrategy`."""
        total = state.delta_bytes + state.candidate_bytes
        is_wide = total > max(_LEAST_WIDE, state.full_bytes // _WIDE_SHARE)
        return state.length >= CHAIN_LENGTH - 1 or is_wide
