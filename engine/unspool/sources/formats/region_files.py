"""Region files read as far as they are whole: a malformed delta or a cut tail costs itself and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from unspool.errors import ConfigError, RegionError, UnreadableSource
from unspool.history.verdict import ChainFault, Progress
from unspool.model.limits import Cancelled
from unspool.model.values import State, Value
from unspool.regions.address import EMPTY, AmbiguousByteOrder, InvalidRegionValue
from unspool.regions.formats import RegionDocument, decode_region
from unspool.regions.records import (
    MAGIC,
    RECORD_HEAD_SIZE,
    RECORD_HEADS,
    ByteOrder,
    HeaderlessRecords,
    decode_binary,
    dump_json,
    load_json,
    read_records,
    walk_records,
)
from unspool.regions.region import RegionDelta
from unspool.regions.region_file import COMPONENT_SCHEMA, COMPONENT_TYPE, MultiplayerRegionDelta
from unspool.regions.region_files import MERGED, merged_moments
from unspool.regions.state import SNAPSHOT_FORM, RegionMoment, RegionSnapshot, region_history, region_state
from unspool.regions.table import STANDARD_ACTIONS
from unspool.sources.bytestream import CutShort, read_whole
from unspool.sources.detection import Choice, Probe, SourceShape, several
from unspool.sources.entries import TIME_FROM_FILE, Findings, Reader, SeqOf, SourceEntry

ACTIONS: Final = STANDARD_ACTIONS.keeping_unknown()
"""Other games have other actions: those are kept and shown, and do nothing to the region."""

RegionSource = RegionDocument | HeaderlessRecords


class Loss(NamedTuple):
    """A delta that was left out.

    Attributes:
        place: where it stands.
        message: what is wrong with it.
        before: deltas before it in its list that were kept.
    """

    place: str
    message: str
    before: int


@dataclass(frozen=True, slots=True)
class SalvagedRegion:
    """A region file, and what of it could not be read."""

    document: RegionSource
    losses: tuple[Loss, ...] = ()


def read_region(data: bytes, name: str, byte_order: ByteOrder | None = None) -> SalvagedRegion:
    """Read a region file of any form.

    Args:
        data: the whole file.
        name: what it is called in messages.
        byte_order: of records without a header; where it is not given, both are tried.

    Raises:
        RegionError: it is no region file, its header is damaged, or its records read in both byte orders.
    """
    try:
        return SalvagedRegion(decode_region(data, name, actions=ACTIONS, byte_order=byte_order))
    except AmbiguousByteOrder as error:
        told = str(error).partition("; say which")[0]
        raise AmbiguousByteOrder(f"{told}; say which with --select order=little or order=big") from None
    except InvalidRegionValue as error:
        salvaged = _without_malformed(data, name)
        if salvaged is None:
            raise error from None
        return salvaged
    except RegionError as error:
        salvaged = None if _is_document(data) else _whole_records(data, name, byte_order)
        if salvaged is None:
            raise error from None
        return salvaged


def _is_document(data: bytes) -> bool:
    return data.startswith(MAGIC) or b"\0" not in data[:RECORD_HEAD_SIZE]


def _without_malformed(data: bytes, name: str) -> SalvagedRegion | None:
    """Leave malformed deltas out of a document; None where that does not mend it."""
    raw = decode_binary(data, name) if data.startswith(MAGIC) else load_json(data, name)
    losses: list[Loss] = []
    for place, deltas in _lists(raw):
        kept: list[Value] = []
        for index, item in enumerate(deltas):
            try:
                RegionDelta.from_json(item)
            except InvalidRegionValue as error:
                losses.append(Loss(f"{name}: {place}[{index}]", f"{error}; the delta was left out", len(kept)))
            else:
                kept.append(item)
        deltas[:] = kept
    if not losses:
        return None
    return SalvagedRegion(decode_region(dump_json(raw), name, actions=ACTIONS), tuple(losses))


def _lists(raw: Value) -> Iterator[tuple[str, list[Value]]]:
    """Yield the lists of deltas in a document, each with what it is called."""
    candidates = [(name, raw.get(name)) for name in ("deltas", "sharedDeltas", "folded")]
    personal, data = raw.get("personalDeltas"), raw.get("data")
    if isinstance(personal, dict):
        candidates += [(f"personalDeltas.{player}", deltas) for player, deltas in personal.items()]
    if isinstance(data, dict):
        candidates.append(("data.deltas", data.get("deltas")))
    for name, deltas in candidates:
        if isinstance(deltas, list):
            yield name, deltas


def _whole_records(data: bytes, name: str, byte_order: ByteOrder | None) -> SalvagedRegion | None:
    """Keep the records that are whole; None where no byte order, or either of them, makes sense of some."""
    orders: tuple[ByteOrder, ...] = tuple(RECORD_HEADS) if byte_order is None else (byte_order,)
    readings = [reading for order in orders if (reading := _records(data, name, order)).document.deltas_for()]
    return readings[0] if len(readings) == 1 else None


def _records(data: bytes, name: str, order: ByteOrder) -> SalvagedRegion:
    deltas: list[RegionDelta] = []
    losses: list[Loss] = []
    end = 0
    try:
        for record in walk_records(data, RECORD_HEADS[order], name):
            end = record.offset + RECORD_HEAD_SIZE + len(record.data)
            try:
                deltas += read_records(data[record.offset : end], order, name).deltas
            except RegionError as error:
                reason = str(error).removeprefix(f"{name}: record at byte 0: ")
                place = f"{name}: record at byte {record.offset}"
                losses.append(Loss(place, f"{reason}; the record was left out", len(deltas)))
    except RegionError as error:
        reason = str(error).removeprefix(f"{name}: ")
        losses.append(Loss(f"{name}: byte {end}", f"{reason}; nothing from here on was read", len(deltas)))
    return SalvagedRegion(HeaderlessRecords(tuple(deltas), order), tuple(losses))


def lost_deltas(losses: Iterable[Loss], total: int, *, in_order: bool) -> Iterator[ChainFault]:
    """Yield deltas that do not read, and what they put in doubt.

    Args:
        losses: what was left out.
        total: entries that were read.
        in_order: the file holds one list, and its deltas apply in the order they stand in.
    """
    for loss in losses:
        first = loss.before if in_order else 0
        yield ChainFault("malformed-record", loss.place, loss.message, first, is_lost=True)
        if first < total:
            text = "a delta before them is lost, so none of these states is certain"
            yield ChainFault("severed-base", loss.place, text, first, total - 1)


def document_deltas(document: RegionSource) -> tuple[RegionDelta, ...]:
    """Return the deltas of a document as they stand in it."""
    listed: tuple[RegionDelta, ...] = getattr(document, "folded", ()) or getattr(document, "deltas", ())
    return listed


def out_of_order(deltas: Iterable[RegionDelta], path: str) -> Iterator[ChainFault]:
    """Yield deltas of one list that stand behind later ones."""
    latest: RegionDelta | None = None
    for index, delta in enumerate(deltas):
        if latest is not None and delta.tick < latest.tick:
            text = f"its tick {delta.tick} lies before tick {latest.tick} of a delta before it; deltas apply by tick"
            yield ChainFault("clock-backwards", f"{path}: delta {index}", text)
        else:
            latest = delta


def conflicts(moments: Iterable[RegionMoment], path: str) -> Iterator[ChainFault]:
    """Yield deltas that contradict what the deltas before them left."""
    for seq, moment in enumerate(moments):
        for conflict in moment.meta.get("conflicts", ()):
            place = f"{path}: tick {moment.tick}, {moment.action}"
            yield ChainFault("contradicts-base", place, str(conflict), seq, severity="warning")


Told = tuple[tuple[str | None, RegionDelta], ...]
"""Deltas in the order they apply, each with the player whose personal one it is."""


def in_order(document: RegionSource, player: str | None) -> Told:
    """Return the deltas to tell: of a multiplayer file those of one player, or of all."""
    if not isinstance(document, MultiplayerRegionDelta):
        return tuple((None, delta) for delta in document.deltas_for())
    told: list[tuple[str | None, RegionDelta]] = [(None, delta) for delta in document.shared_deltas]
    for owner, deltas in document.personal_deltas.items():
        if player in (None, owner):
            told.extend((owner, delta) for delta in deltas)
    return tuple(sorted(told, key=lambda item: item[1].tick))


def moments(document: RegionSource, deltas: Told, player: str | None) -> Iterator[RegionMoment]:
    """Yield the region after each delta, as one player sees it, or as everyone does with each player's layers beside."""
    if player is not None or not isinstance(document, MultiplayerRegionDelta):
        yield from region_history(document, actions=ACTIONS, player=player)
        return
    shared = region_history(document, actions=ACTIONS)
    views = {name: _PlayerView(document, name) for name in document.players}
    state = state_before(document)
    for owner, _ in deltas:
        if owner is None:
            moment = next(shared)
            state = moment.state
            for view in views.values():
                view.follow()
        else:
            moment = views[owner].act()
        beside = {name: value for view in views.values() for name, value in view.layers().items()}
        yield moment._replace(state={**state, **beside})


def state_before(document: RegionSource) -> State:
    """Return what is known of a region before its first delta."""
    return next(region_history(document, actions=ACTIONS, include_base=True)).state


class _PlayerView:
    """The region as one player sees it, delta by delta."""

    def __init__(self, document: MultiplayerRegionDelta, player: str) -> None:
        self._moments = region_history(document, actions=ACTIONS, player=player)
        self._player = player
        self._state = state_before(document)
        self._own: dict[str, None] = {}

    def follow(self) -> None:
        """Go on by a delta that everyone sees."""
        self._state = next(self._moments).state

    def act(self) -> RegionMoment:
        """Go on by a delta of the player's own; the layers it touches are the player's from here on."""
        moment = next(self._moments)
        names = {**self._state, **moment.state}
        # Layers that a delta leaves alone are the same objects before and after it.
        self._own.update({name: None for name in names if self._state.get(name) is not moment.state.get(name)})
        self._state = moment.state
        return moment

    def layers(self) -> State:
        """Return the player's own layers, under the player's name."""
        return {f"{self._player} {name}": self._state[name] for name in self._own if name in self._state}


_ACTION_COUNT: Final = 19
_TELLING_KEYS: Final = (b'"baseTemplate"', b'"sharedDeltas"', b'"personalDeltas"')
_NAMED: Final = 5
_NO_BASE: Final = "the generated land is not in the file; what is shown is what its deltas tell"


def detect(probe: Probe) -> int:
    """Score a probe: a JSON document that says so, our binary form, or bytes that walk as records."""
    if probe.shape is SourceShape.DOCUMENT:
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
    """Whether bytes begin with records: known actions, JSON objects as data, lengths that lead on."""
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

    def _salvaged(self) -> SalvagedRegion:
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
