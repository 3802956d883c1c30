"""Where the bytes of a history are."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.history.verdict import Problem


@dataclass(frozen=True, slots=True)
class Share:
    """What an atom, or all values at one kind of path, takes.

    Attributes:
        name: the atom's name, or the path with `[*]` for list items and `*` for keys of which there are many.
        stored_bytes: bytes of records spent on it.
        changes: entries that changed it.
        alone: those of them that changed nothing else, and would not be there without it.
        rewritten: times it was stored although nothing in it had changed, in full snapshots and whole values.
        rewritten_bytes: bytes that took.
    """

    name: str
    stored_bytes: int
    changes: int
    alone: int
    rewritten: int
    rewritten_bytes: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What the entries of one action, or of one codec, take.

    Attributes:
        name: the action or codec.
        entries: how many there are.
        stored_bytes: bytes of their records.
    """

    name: str
    entries: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What not recording something would save, projected from what it takes now.

    Attributes:
        pattern: what would be left out, as it was asked for.
        matched: kinds of paths that it covers.
        stored_bytes: bytes of records saved.
        full_bytes: bytes that the whole states would be smaller, over all entries.
        entries: entries that would change nothing any more.
    """

    pattern: str
    matched: int
    stored_bytes: int
    full_bytes: int
    entries: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """Where the bytes of a history are: of its records as recorded, before blocks of them are compressed.

    A record's bytes are shared out over atoms exactly where it is written key by key, and by size otherwise; those of
    an atom are shared out over its values by their size.

    Attributes:
        entries: entries looked at.
        stored_bytes: bytes of their records.
        full_bytes: bytes of their whole states, notes aside.
        atoms: the largest first.
        paths: the largest first; at most as many as asked for.
        actions: the largest first; all notes are one of them.
        codecs: the largest first.
        exclusions: in the order asked for.
        complete: False when cancelled, or when entries that cannot be read were stepped over.
        problems: those entries.
    """

    entries: int
    stored_bytes: int
    full_bytes: int
    atoms: tuple[Share, ...]
    paths: tuple[Share, ...]
    actions: tuple[Spent, ...]
    codecs: tuple[Spent, ...]
    exclusions: tuple[Exclusion, ...]
    complete: bool
    problems: tuple[Problem, ...]
