"""What brings foreign entries into a history while it is open."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from unspool.history.verdict import Verdict


class Feeder(Protocol):
    """Reads a foreign source into the store that a `History` reads from."""

    @property
    def verdict(self) -> Verdict:
        """How much could be read so far."""

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        """Files whose change means that there may be more."""

    @property
    def source_name(self) -> str:
        """What people call the source."""

    def pump(self) -> None:
        """Read what is new."""

    def close(self) -> None:
        """Let go of the source and of temporary files."""
