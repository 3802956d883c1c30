"""Names that tell sources apart: the last part of a path, and as much before it as is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from unspool.model.addresses import is_postgres, without_password


def distinct_names(sources: Sequence[str]) -> list[str]:
    """Return a short name for each source; two that end alike get the folders that differ, the same one a number."""
    parts = [_parts(source) for source in sources]
    lengths = [1] * len(parts)
    while True:
        names = ["/".join(part[-length:]) for part, length in zip(parts, lengths, strict=True)]
        counts = Counter(names)
        longer = [counts[name] > 1 and length < len(part)
                  for name, length, part in zip(names, lengths, parts, strict=True)]  # fmt: skip
        if not any(longer):
            return _numbered(names)
        lengths = [length + more for length, more in zip(lengths, longer, strict=True)]


def _parts(source: str) -> list[str]:
    if source == "-":
        return ["stdin"]
    if source.startswith("git:"):
        return [source]
    if "://" in source:
        # What stands before an @ may be a password.
        source = source.partition("://")[2].rpartition("@")[2]
    if is_postgres(source):
        return [without_password(source)]
    return [part for part in source.split("/") if part not in ("", ".")] or [source]


def _numbered(names: Sequence[str]) -> list[str]:
    met: Counter[str] = Counter()
    numbered = []
    for name in names:
        met[name] += 1
        numbered.append(name if met[name] == 1 else f"{name} ({met[name]})")
    return numbered
