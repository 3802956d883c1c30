"""What a foreign file may ask of this machine before it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds of reading; each is far above real histories and far below what would hurt.

    Attributes:
        line_bytes: longest line of a JSON Lines file; longer ones are counted as unreadable and skipped.
        document_bytes: largest single document (one snapshot, one version in git), decompressed.
        decompressed_bytes: most that one compressed file may unfold to.
        depth: deepest nesting of one value.
        nodes: most values inside one document once YAML aliases are followed.
        files: most files of a directory of snapshots.
    """

    line_bytes: int = 256 * MIB
    document_bytes: int = 256 * MIB
    decompressed_bytes: int = 32 * 1024 * MIB
    depth: int = 100_000
    nodes: int = 5_000_000
    files: int = 1_000_000


DEFAULT_LIMITS: Final = Limits()
