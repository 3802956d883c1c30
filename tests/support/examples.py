"""How many examples hypothesis draws: all of them in `make test-all`, a share in `make test`, few for one room, more when exploring."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

ALL: Final = 60
"""Examples of a test that asks for no number of its own, in `make test-all`."""
_FEWEST: Final = 8


def examples(count: int) -> int:
    """Return how many examples to draw where `make test-all` draws `count`."""
    return max(min(_FEWEST, settings().max_examples), count * settings().max_examples // ALL)
