"""Region files (seed 003) of every form as histories: one entry a delta, the layers of the region as atoms.

A delta's tick is the game's clock and no time of day, so every entry carries the file's modification time, as those of
all sources without times do (`time_from: file`), and its tick in the meta. What a file does not hold is not guessed:
without the generated land only what the deltas say is shown, and what they take from it is the atom `removed`.

A multiplayer file shows what everyone sees, and beside it, under the player's name, each layer that a player's
personal deltas made different (`alice items`). `--select player=NAME` shows the region as that player sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from unspool.errors import ConfigError, RegionError, UnreadableSource
from unspool.history.verdict import Cancelled, ChainFault
from unspool.model.values import Value
from unspool.regions.binary_form import MAGIC
from unspool.regions.checks import EMPTY
from unspool.regions.errors import AmbiguousByteOrder
from unspool.regions.folding import MERGED, merged_moments
from unspool.regions.multiplayer import MultiplayerRegionDelta
from unspool.regions.records import RECORD_HEAD_SIZE, RECORD_HEADS, ByteOrder
from unspool.regions.region_file import COMPONENT_SCHEMA, COMPONENT_TYPE
from unspool.regions.state import SNAPSHOT_FORM, RegionMoment, RegionSnapshot, region_history, region_state
from unspool.sources.bytestream import CutShort, read_whole
from unspool.sources.chains import SeqOf
from unspool.sources.choices import Choice, several
from unspool.sources.entries import TIME_FROM_FILE, Progress, Reader, SourceEntry
from unspool.sources.findings import Findings
from unspool.sources.probe import Probe, Shape
from unspool.sources.region_chains import conflicts, document_deltas, lost_deltas, out_of_order
from unspool.sources.region_players import Told, in_order, moments
from unspool.sources.region_salvage import ACTIONS, RegionSource, Salvaged, read_region

_ACTION_COUNT: Final = 19
_TELLING_KEYS: Final = (b'"baseTemplate"', b'"sharedDeltas"', b'"personalDeltas"')
_NAMED: Final = 5
_NO_BASE: Final = "the generated land is not in the file; what is shown is what its deltas tell"


def detect(probe: Probe) -> int:
    """Score a probe: a JSON document that says so, our binary form, or bytes that walk as records."""
    if probe.shape is Shape.DOCUMENT:
        return 92 if _is_region_document(probe.document) else 0
    head = probe.plain_head
    if head.startswith(MAGIC):
        return 95
    if head.lstrip()[:1] == b"{":
        # Damaged JSON: this reader can say where.
        return 60 if any(key in head for key in _TELLING_KEYS) else 0
    return 80 if any(_walks(head, order) for order in RECORD_HEADS) else 0


def _is_region_document(document: Value) -> bool:
    if not isinstance(document, dict):
        return False
    if document.get("$schema") == COMPONENT_SCHEMA or document.get("form") == SNAPSHOT_FORM:
        return True
    if document.get("type") == COMPONENT_TYPE and isinstance(document.get("data"), dict):
        return True
    has_base = "baseTemplate" in document or "baseSeed" in document
    return has_base and not document.keys().isdisjoint(("deltas", "sharedDeltas", "personalDeltas"))


def _walks(head: bytes, order: ByteOrder) -> bool:
    """Say whether bytes begin with records: known actions, JSON objects as data, lengths that lead on."""
    offset = objects = 0
    while offset + RECORD_HEAD_SIZE <= len(head):
        _, action, _, _, length = RECORD_HEADS[order].unpack_from(head, offset)
        start = offset + RECORD_HEAD_SIZE
        data = head[start : start + length]
        is_cut = len(data) < length
        if action >= _ACTION_COUNT or not (data == b"" or (data[:1] == b"{" and (is_cut or data[-1:] == b"}"))):
            return objects > 0
        objects += data != b""
        offset = start + length
    return objects > 0


class RegionReader:
    """Reads a region file, and reads on when the game has saved it again."""

    def __init__(self, probe: Probe) -> None:
        """Read the file.

        Raises:
            UnreadableSource: it is damaged beyond what can be left out, or holds nothing of the chosen player.
            ConfigError: a byte order was chosen that there is not.
        """
        self.findings = Findings()
        self.watch_paths: tuple[Path, ...] = (probe.path,)
        self._path = probe.path
        self._limits = probe.limits
        self._player = probe.select.get("player")
        self._order = _byte_order(probe.select.get("order"))
        self._signature: tuple[int, ...] = ()
        self._mtime_ns = 0
        self._told: Told = ()
        self._has_told = False
        self._done = 0
        self._pending = self._load()

    def read(self) -> Iterator[SourceEntry]:
        """Yield the entries that are new since the last call."""
        document, self._pending = self._pending or self._look_again(), None
        if document is None:
            return
        deltas = in_order(document, self._player)
        known = len(self._told)
        if deltas[:known] != self._told:
            self.findings.notice(
                str(self._path), "the file was saved with other deltas; its history is told again from its start"
            )
            known = 0
        is_first, self._has_told, self._told = not self._has_told, True, deltas
        if is_first and not isinstance(document, RegionSnapshot):
            self.findings.notice(str(self._path), _NO_BASE)
        extra = getattr(document, "extra", EMPTY)
        until, merged = merged_moments(extra)
        if is_first and merged:
            self.findings.notice(
                str(self._path),
                f"{merged} deltas up to tick {until} were merged when it was saved; what was between them is gone",
            )
        others = [*(name for name in extra if name != MERGED), *getattr(document, "data_extra", ())]
        if is_first and others:
            named = ", ".join(map(str, others[:_NAMED]))
            more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
            self.findings.notice(
                str(self._path), f"in no state, for no region file is known to have them: {named}{more}"
            )
        for number, entry in enumerate(self._entries(document, deltas)):
            if number >= known or (is_first and not deltas):
                self._done += 1
                yield entry

    def _look_again(self) -> RegionSource | None:
        try:
            return self._load()
        except UnreadableSource as error:
            self.findings.wait_for("torn", str(self._path), f"{error}; the last good state is kept")
            return None

    def _load(self) -> RegionSource | None:
        """Read the file, if it changed since the last time."""
        try:
            status = self._path.stat()
        except OSError as error:
            raise UnreadableSource(f"{self._path}: {error.strerror}; put it back, or open another file") from None
        signature = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if signature == self._signature:
            return None
        salvaged = self._salvaged()
        self._check_player(salvaged.document)
        self._signature, self._mtime_ns = signature, status.st_mtime_ns
        self.findings.came_right("torn")
        for loss in salvaged.losses:
            self.findings.loss(loss.place, loss.message)
        return salvaged.document

    def _salvaged(self) -> Salvaged:
        try:
            return read_region(read_whole(self._path, self._limits), str(self._path), self._order)
        except CutShort:
            raise UnreadableSource(f"{self._path}: its compressed data ends early; copy the file again") from None
        except RegionError as error:
            raise UnreadableSource(str(error)) from None

    def _check_player(self, document: RegionSource) -> None:
        players = document.players if isinstance(document, MultiplayerRegionDelta) else ()
        if self._player is not None and self._player not in players:
            known = f"it has those of {', '.join(map(repr, players))}" if players else "it has none of any player"
            raise UnreadableSource(f"{self._path}: no personal deltas of player {self._player!r}; {known}")

    def _entries(self, document: RegionSource, deltas: Told) -> Iterator[SourceEntry]:
        """Yield an entry for each delta; where there is none, or a snapshot stands behind them, one for the region."""
        for (owner, _), moment in zip(deltas, moments(document, deltas, self._player), strict=True):
            yield self._entry(moment, owner)
        if isinstance(document, RegionSnapshot):
            tick = deltas[-1][1].tick if deltas else 0
            yield self._entry(RegionMoment(tick, "snapshot", region_state(document.region), {}), is_full=True)
        elif not deltas:
            base = next(region_history(document, actions=ACTIONS, include_base=True))
            yield self._entry(base)

    def _entry(self, moment: RegionMoment, owner: str | None = None, *, is_full: bool = False) -> SourceEntry:
        meta = {"tick": moment.tick, **moment.meta, **TIME_FROM_FILE}
        if owner is not None:
            meta["player"] = owner
        return SourceEntry(moment.state, self._mtime_ns, moment.action, meta, is_full=is_full)

    def chain_faults(self, seq_of: SeqOf, total: int, cancelled: Cancelled) -> Iterator[ChainFault]:
        """See `ChainedReader.chain_faults`."""
        salvaged = self._salvaged()
        document, path = salvaged.document, str(self._path)
        listed = [] if isinstance(document, MultiplayerRegionDelta) else document_deltas(document)
        disorder = list(out_of_order(listed, path))
        in_one_order = not disorder and not isinstance(document, MultiplayerRegionDelta)
        yield from lost_deltas(salvaged.losses, total, in_order=in_one_order)
        yield from disorder
        if not cancelled():
            yield from conflicts(moments(document, in_order(document, self._player), self._player), path)

    def progress(self) -> Progress:
        """Say how many deltas were read."""
        return Progress(self._done, max(self._done, len(self._told)), self._pending is None)

    def close(self) -> None:
        """Nothing is held open."""


def _byte_order(chosen: str | None) -> ByteOrder | None:
    if chosen is None or chosen in RECORD_HEADS:
        return chosen
    raise ConfigError(f"{chosen!r} is no byte order; write --select order=little or order=big")


def open_reader(probe: Probe) -> Reader:
    """Read a region file.

    Raises:
        UnreadableSource: it is damaged beyond what can be left out, or holds nothing of the chosen player.
        ConfigError: a byte order was chosen that there is not.
    """
    return RegionReader(probe)


def choices(probe: Probe) -> tuple[Choice, ...]:
    """Return the players, or for records that decode either way the byte orders, that can be shown one by one."""
    try:
        document = read_region(read_whole(probe.path, probe.limits), str(probe.path), None).document
    except AmbiguousByteOrder:
        return several("order", ((order, None) for order in RECORD_HEADS))
    except CutShort:
        raise UnreadableSource(f"{probe.path}: its compressed data ends early; copy the file again") from None
    except RegionError as error:
        raise UnreadableSource(str(error)) from None
    players = document.personal_deltas if isinstance(document, MultiplayerRegionDelta) else {}
    # A player alone is a choice too: the others see the shared layers only.
    return tuple(Choice({"player": name}) for name in players)
