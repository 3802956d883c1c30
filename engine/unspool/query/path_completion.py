"""What a path that is being typed may go on with: the keys and indices below the value its beginning leads to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from unspool.errors import PathSyntaxError
from unspool.history.history import StateView
from unspool.model.keys import Path, Step, format_path
from unspool.model.paths import child_of, parse_path, parts_of

MOST: Final = 200
"""Paths that are offered at once."""
_LONGEST: Final = 2_000
"""Characters of what is typed beyond which nothing is offered."""
_MOST_CUTS: Final = 8
"""Places, from the end, at which the step being typed may begin: an odd key may hold dots and brackets of its own."""
_MOST_LOOKED_AT: Final = 20_000
"""Parts of one value that are held against what is typed."""
_NAME: Final = re.compile(r"[\w.\[\]-]*\Z")
_JMESPATH: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*|\[\d+\])*\Z", re.ASCII)


def completions(state: StateView, typed: str) -> list[str]:
    """Return the paths that begin with what is typed and are at most one step longer, at most `MOST`.

    Args:
        state: the state the path leads into.
        typed: the beginning of a path as `format_path` spells it, with or without the leading `$`.

    Returns:
        Paths that `parse_path` reads, in the order of the state; none where the beginning leads nowhere, and for
        JSON Pointers.
    """
    if len(typed) > _LONGEST or typed.startswith("/"):
        return []
    root = "$" if typed.startswith("$") else ""
    body = typed.removeprefix("$")
    for cut in islice(_cuts(body), _MOST_CUTS):
        steps = _steps_at(state, body[:cut])
        if steps is None:
            continue
        lead = "$" if root or cut else ""
        spelled = (f"{root}{body[:cut]}{format_path((step,), root=lead).removeprefix('$')}" for step in steps)
        found = list(islice((path for path in spelled if path.startswith(typed)), MOST))
        if found:
            return found
    return []


def expression_completions(state: StateView, typed: str) -> list[str]:
    """Return what a JMESPath expression that ends in a path may go on with, as whole expressions, at most `MOST`.

    Args:
        state: the state the expression is asked about.
        typed: the expression so far.
    """
    match = _NAME.search(typed)
    name = match[0] if match is not None else ""
    before = typed[: len(typed) - len(name)]
    if before.count("'") % 2 or before.count("`") % 2 or before.count('"') % 2:
        return []
    return [before + path for path in completions(state, name) if _JMESPATH.match(path)]


def _cuts(body: str) -> Iterator[int]:
    """Yield the places at which the last step may begin, the last one first."""
    yield from (at for at in range(len(body) - 1, 0, -1) if body[at] in ".[")
    yield 0


def _steps_at(state: StateView, text: str) -> Iterable[Step] | None:
    """Return the steps below the value that a path leads to; None where it leads to none, or to a leaf."""
    try:
        path: Path = parse_path(text)
    except PathSyntaxError:
        return None
    if not path:
        return islice(state, _MOST_LOOKED_AT)
    atom, *steps = path
    name = str(atom)
    if name not in state:
        return None
    form = state.encoded(name)
    for step in steps:
        found = child_of(form, step)
        if found is None:
            return None
        form = found[1]
    parts = parts_of(form)
    return None if parts is None else islice(parts if isinstance(parts, dict) else range(len(parts)), _MOST_LOOKED_AT)
