"""How many examples hypothesis draws: all of them in `make test-all`, a share in `make test`, more when exploring."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

ALL: Final = 60
"""Examples of a test that asks for no number of its own, in `make test-all`."""
_FEWEST: Final = 8


def examples(count: int) -> int:
    """Return how many examples to draw where `make test-all` draws `count`."""
    return max(_FEWEST, count * settings().max_examples // ALL)
