"""Questions that cannot be asked as they are put."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from unspool.errors import ConfigError

_SHOWN: Final = 4
"""Names that are told where none is near."""


class QuestionError(ConfigError):
    """A question that has no meaning for this history; the message names the place and what would be valid."""


class ExpressionError(QuestionError):
    """An expression or pattern that does not parse; the message names the column."""


class EvaluationStopped(QuestionError):
    """A question that takes longer than the limits allow; the message names the limit and how to raise it."""


class PathNotFound(QuestionError, LookupError):
    """A path at which the state asked about has nothing; the message names where it ends."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return what a message says of a name that is none: the nearest one there is, or which there are."""
    known = sorted(map(str, names))
    near = near_name(name, known)
    if near:
        return f"; did you mean {near}?"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"; there {'is' if len(known) == 1 else 'are'} {', '.join(known[:_SHOWN])}{more}" if known else ""


def near_name(name: str, names: Iterable[str]) -> str:
    """Return the name that was probably meant by one that is none: in another letter case, or mistyped; "" for none."""
    from difflib import get_close_matches  # only a name that is none needs it

    known = sorted(names)
    folded = {item.casefold(): item for item in known}
    return folded.get(name.casefold()) or next(iter(get_close_matches(name, known, n=1, cutoff=0.6)), "")
