"""The recorder's own rule: a full snapshot where the file store would begin a block anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from unspool.chain.strategy import ChainState

CHAIN_LENGTH: Final = 32
"""Entries of a chain under `auto`; two make a block of the file. Longer ones save little and read slower, unless the state is large."""
_LARGE: Final = 1 << 20
"""Bytes of a state that is not written again for a few small changes: decoding it takes longer than laying on many of them."""
_BYTES_OF_A_LINK: Final = 1024
"""Bytes of a large state for which its chain may have one entry."""
CHAIN_BYTES: Final = 256 * 1024
"""Delta bytes after which `auto` stores a full snapshot, unless the state itself is larger."""
_STEP_BYTES: Final = 48
"""Bytes of a state that are decoded in the time that a step of a patch takes."""
_LEAST_STEPS: Final = 256
"""Steps that are taken in no time whatever the state's size."""


@dataclass(frozen=True, slots=True)
class BlockStrategy:
    """Full when a block of the file is due, and where replaying the chain would cost far more than decoding a state.

    Rebuilding then never replays more than one block, and patches of many steps, as of a table whose every number
    changes, cost no more than decoding the state does.
    """

    name: str = "auto"

    def wants_full(self, state: ChainState) -> bool:
        """See `FullSnapshotStrategy`."""
        too_large = state.delta_bytes + state.candidate_bytes > max(CHAIN_BYTES, state.full_bytes)
        is_wide = state.patch_steps > max(_LEAST_STEPS, state.full_bytes // _STEP_BYTES)
        return state.length >= longest_chain(state.full_bytes) - 1 or too_large or is_wide


def longest_chain(full_bytes: int) -> int:
    """Return how many entries a chain may have, given the bytes of its full snapshot."""
    return CHAIN_LENGTH if full_bytes < _LARGE else full_bytes // _BYTES_OF_A_LINK
