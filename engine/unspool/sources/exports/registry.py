"""The formats there are to export to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import Final, Protocol, cast

from unspool.errors import ConfigError
from unspool.history.history import History
from unspool.model.entries import NOTE
from unspool.query.lineage import forks
from unspool.sources.exports.options import ExportOptions


class ExportModule(Protocol):
    """What each format's module offers."""

    lines: Callable[[History, ExportOptions], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Export:
    """A format to export to.

    Attributes:
        name: what `--format` takes.
        title: what it is, in a line.
        module: its module in this room.
        suffix: how files of this format alone end; empty where others end so too.
        opens_again: unspool opens what was written, with equal states.
        keeps_forks: it says which entry another one follows; other formats know one line only.
        keeps_notes: it tells notes from other entries.
    """

    name: str
    title: str
    module: str
    suffix: str = ""
    opens_again: bool = True
    keeps_forks: bool = False
    keeps_notes: bool = False

    def load(self) -> ExportModule:
        """Import the format's module."""
        return cast("ExportModule", import_module(f"unspool.sources.exports.{self.module}"))


EXPORTS: Final = (
    Export("jsonl", "JSON Lines of states, one entry a line", "jsonl", ".jsonl", keeps_forks=True,
           keeps_notes=True),
    Export("json-patch", "the first state, then an RFC 6902 patch a line", "json_patch", keeps_notes=True),
    Export("nexus", "nexus-state export list 1.0 of full snapshots", "nexus"),
    Export("redux", "Redux DevTools lifted state, for its Import button", "redux"),
    Export("csv", "a table of chosen paths over time", "csv_table", ".csv", opens_again=False),
    Export("html", "a report in one file, for any browser, without network", "html_report", ".html",
           opens_again=False, keeps_forks=True, keeps_notes=True),
)  # fmt: skip
"""The formats to export to; the first is the default."""


NOT_WRITTEN: Final = frozenset(
    (
        ".xlsx",
        ".xls",
        ".ods",
        ".parquet",
        ".yaml",
        ".yml",
        ".toml",
        ".xml",
        ".db",
        ".sqlite",
        ".pdf",
        ".zip",
        ".unspool",
    )
)
"""Endings of files that hold something else than any of the formats."""


def export_named(name: str) -> Export:
    """Return a format by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    for item in EXPORTS:
        if item.name == name:
            return item
    names = ", ".join(item.name for item in EXPORTS)
    raise ConfigError(f"{name!r} is no format to export to; write one of {names}")


def export_for(file_name: str) -> Export:
    """Return the format that a file's name tells of; the default one where it has no ending that tells anything.

    Raises:
        ConfigError: the ending is that of something that cannot be written.
    """
    suffix = PurePath(file_name).suffix.lower()
    if suffix in NOT_WRITTEN:
        names = ", ".join(item.name for item in EXPORTS)
        raise ConfigError(f"{file_name}: {suffix} files are not written; choose --format: {names}")
    return next((item for item in EXPORTS if item.suffix and item.suffix == suffix), EXPORTS[0])


def export_lines(history: History, name: str, options: ExportOptions | None = None) -> Iterator[str]:
    """Yield a history as the lines of a text file, without their ends.

    Entries that arrive meanwhile are not written. For those that never arrived a hole is written, and `options.holes`
    tells of them when all lines are drawn.

    Raises:
        ConfigError: there is no such format, or an option is not valid for it.
        CorruptHistory: a state cannot be rebuilt; raised while lines are drawn.
    """
    return export_named(name).load().lines(history, options or ExportOptions())


def losses(history: History, name: str) -> str:
    """Say what of a history a format has no words for, or return "" where it tells everything."""
    export, lost = export_named(name), []
    # The first entry follows none.
    count = 0 if export.keeps_forks else sum(1 for _ in forks(history, 0, len(history))) - 1
    if count > 0:
        which = "1 entry follows" if count == 1 else f"{count} entries follow"
        lost.append(f"{which} an earlier one than the one before, which {name} cannot say: all stand in one line")
    notes = 0 if export.keeps_notes else history.columns().kind.count(NOTE)
    if notes:
        which = "1 note stands" if notes == 1 else f"{notes} notes stand"
        lost.append(f"{which} in it as any entry that changes nothing")
    return "; ".join(lost)
