"""What an export can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024
DEFAULT_REPORT_BYTES: Final = 8 * MIB
"""A report of that size opens at once in every browser and passes through most mail."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What an export can be asked for; each format takes what concerns it.

    Attributes:
        paths: which values a table shows, as people write paths (`cart.items[0].qty`).
        max_bytes: about how large a report may get; entries are sampled to keep to it.
        made_ns: when the report is made, in nanoseconds since the epoch; None to leave it out.
    """

    paths: tuple[str, ...] = ()
    max_bytes: int = DEFAULT_REPORT_BYTES
    made_ns: int | None = None


DEFAULT_OPTIONS: Final = ExportOptions()
