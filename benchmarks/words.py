"""Words that look like words, from a random generator."""

from __future__ import annotations

import random

_STARTS = ("b", "br", "c", "d", "f", "g", "gl", "h", "k", "l", "m", "n", "p", "pr", "r", "s", "st", "t", "tr", "v")
_MIDDLES = ("a", "e", "i", "o", "u", "ai", "ea", "io", "ou")
_ENDS = ("", "n", "r", "s", "t", "l", "nd", "st", "rm")


def word(rng: random.Random) -> str:
    """Return a word of one to three syllables; about 100,000 differ."""
    return "".join(
        rng.choice(_STARTS) + rng.choice(_MIDDLES) + rng.choice(_ENDS) for _ in range(rng.choice((1, 2, 2, 3)))
    )


def sentence(rng: random.Random, words: int) -> str:
    """Return some words with blanks between them."""
    return " ".join(word(rng) for _ in range(words))
