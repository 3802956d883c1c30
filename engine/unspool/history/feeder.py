"""What brings foreign entries into a history while it is open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from unspool.history.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Progress:
    """How far reading a source has come.

    Attributes:
        done: units read: bytes of a file, or items where a format has no bytes to count.
        total: units there are, as far as known.
        is_finished: everything that was there has been read, or reading was cancelled; a live source may still grow.
    """

    done: int
    total: int
    is_finished: bool


FINISHED: Final = Progress(0, 0, is_finished=True)
"""Nothing is being read."""


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

    @property
    def progress(self) -> Progress:
        """How far reading has come."""

    def pump(self) -> None:
        """Read what is new."""

    def cancel(self) -> None:
        """Read no further; what has arrived stays."""

    def close(self) -> None:
        """Let go of the source and of temporary files."""
