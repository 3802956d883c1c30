"""`SpooledStore`: what a recorder of a history in PostgreSQL appends to."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec

from unspool.codec.records import PackedRecords, Record, RecordCodec, encode_full
from unspool.errors import ConfigError, CorruptHistory, EntryNotFound, StorageFailed, UnspoolError
from unspool.model.entries import EntryKind
from unspool.model.values import Value
from unspool.store.file import Durability
from unspool.store.postgres import SpoolOptions
from unspool.store.postgres.connection import Target, load_driver, parse_target
from unspool.store.postgres.shipping import Shipper
from unspool.store.postgres.spool import NOTE, Spool, SpoolFile, spool_folder
from unspool.store.protocol import Draft, RecordRun

_DURABILITIES: Final = ("default", "fast", "full")


class StillInSpool(StorageFailed):
    """The server did not confirm an entry in time; it waits in the spool and is shipped later."""


class SpooledStore:
    """What a recorder of a history in PostgreSQL appends to: a spool, which a thread ships.

    Entries are numbered as the server will number them, as far as that can be known: where it was not reached on
    opening, numbers count from the first entry that waits here.

    Attributes:
        name: the history's address as people may see it.
        history_id: what tells the history from all others; "" where the server was not reached on opening.
        confirms: whether every entry is to be confirmed by the server.
        news: messages for people, a line each; whoever prints one takes it out.
    """

    def __init__(self, target: Target, spool: Spool, durability: Durability, options: SpoolOptions) -> None:
        """Use `open` instead."""
        self.name = target.shown
        self.history_id = ""
        self.takes_frames = True
        self.confirms = durability == "full"
        self._spool = spool
        self._options = options
        self._shipper = Shipper(target, spool, gathers=not self.confirms)
        self.news = self._shipper.news
        self._known: int | None = None
        """Entries that the server had on opening; None where it was not reached."""
        self._base = 0
        """Number of the first entry of this recorder."""
        self._stale: list[tuple[str, int, int]] = []
        """Lane, first place and length of what others left, in order."""
        self._before: Mapping[str, bytes] | None = None
        """The state before this recorder's first entry; None where it is not known."""
        self._has_begun = False
        """Whether it has an entry that holds a state."""
        self._settings: list[str] | None = None
        self._identity: dict[str, str] | None = None
        self._dropped = 0
        self._is_closed = False

    @classmethod
    def open(cls, address: str, *, durability: Durability = "default", options: SpoolOptions) -> SpooledStore:
        """Open a history for appending. A server that does not answer is not waited for.

        Args:
            address: `postgresql://USER@HOST/DATABASE?history=NAME`.
            durability: `default`: an entry whose `append` returned survives a kill of this process. `fast`: the same,
                and nothing waits for this machine's disk. `full`: `confirms` asks for `confirm` after each entry.
            options: where and how much is spooled.

        Raises:
            HistoryLocked: another recorder writes to it.
            StorageFailed: the spool's folder cannot be used.
            ConfigError: an unknown durability, a bound too small, or no history is named.
            UnreadableSource: the address is none.
            NewerSchema, MissingExtra: see `PostgresStore.open`.
        """
        target = named_target(address)
        if durability not in _DURABILITIES:
            raise ConfigError(f"durability is {durability!r}; write one of {', '.join(_DURABILITIES)}")
        load_driver()
        spool = Spool(spool_folder(options.folder, target), target, options.limit_bytes, durability)
        store = cls(target, spool, durability, options)
        try:
            store._begin()
        except BaseException:
            store._shipper.cut()
            with suppress(UnspoolError):
                spool.close()
            raise
        return store

    def _begin(self) -> None:
        left = self._spool.segments()
        self._stale = [(one.lane, one.first, one.stop - one.first) for one in left]
        for path in self._spool.damaged:
            self.news.append(
                f"{path}: what an earlier recorder left here is damaged; `unspool doctor` tells what reads"
            )
        self._spool.begin()
        if left and not left[-1].is_dropped:
            with suppress(CorruptHistory):
                self._before = left[-1].state(left[-1].stop - 1)
        self._shipper.start()
        found = self._shipper.wait_for_contact()
        if found is None:
            self._base = sum(length for *_, length in self._stale)
            self._shipper.report_trouble()
            if not self.news:
                self.news.append(f"{self.name}: does not answer. Entries wait in {self._spool.folder} meanwhile")
            return
        self.history_id = found.history_id
        self._known, self._base = found.count, found.count + found.waiting
        if found.state is not None:
            self._before = found.state

    def __len__(self) -> int:
        return self._base + self._spool.current.stop

    @property
    def begins_anew(self) -> bool:
        """Whether the next entry goes to a file of its own, so that it must be a full one."""
        return self._spool.current.first == self._spool.current.stop

    def intern(self, atom: str) -> int:
        """See `Store.intern`."""
        return self._spool.current.store.intern(atom)

    def atom_name(self, number: int, /) -> str:
        """See `Store.atom_name`."""
        return self._spool.current.store.atom_name(number)

    def holds(self, seq: int) -> bool:
        """Whether the state at an entry is at hand; those that were shipped long ago are on the server only."""
        return seq == self._base - 1 or self._holder(seq) is not None

    def run(self, seq: int) -> RecordRun:
        """See `Store.run`; only for an entry that `holds` says is at hand.

        Raises:
            EntryNotFound: it is not.
            CorruptHistory: its state cannot be rebuilt.
        """
        found = self._holder(seq)
        if found is not None:
            segment, place = found
            state: Mapping[str, bytes] = segment.state(place)
        elif seq == self._base - 1:
            state = self._before or {}
        else:
            raise EntryNotFound(f"{self.name}: entry {seq} is not on this machine any more; read it from the server")
        return RecordRun(seq, PackedRecords.of([Record(RecordCodec.NONE, encode_full(state, self.intern))]))

    def _holder(self, seq: int) -> tuple[SpoolFile, int] | None:
        lane, place = self._where(seq)
        segment = self._spool.holder(lane, place) if lane else None
        return None if segment is None else (segment, place)

    def _where(self, seq: int) -> tuple[str, int]:
        """Return lane and place of an entry; the lane is "" where the place is a number that the server gave."""
        if seq >= self._base:
            return self._spool.lane, seq - self._base
        behind = self._base - seq
        for lane, first, length in reversed(self._stale):
            if behind <= length:
                return lane, first + length - behind
            behind -= length
        return "", seq

    def append(self, draft: Draft) -> int:
        """See `Store.append`; never waits for the network.

        Raises:
            StorageFailed: the disk refused; nothing of the entry was kept.
        """
        note: dict[str, Value] = {}
        current = self._spool.current
        if current.first == current.stop:
            note |= {"at": current.stop, "settings": self._settings, "identity": self._identity}
        if not self._has_begun:
            is_known = self._known is not None and self._before is not None
            note["before"] = len(self) if is_known else None
        parent = draft.parent_seq
        if parent is not None:
            local = parent - self._base - current.first
            is_here = 0 <= local < current.stop - current.first
            if not is_here and parent != len(self) - 1:
                note |= {"parent": [*self._where(parent)], "away": not self.holds(parent)}
            parent = local if is_here else None
        meta: dict[str, Value] = dict(draft.meta or {})
        if NOTE in meta:
            note["given"] = meta[NOTE]
        if note:
            meta[NOTE] = note
        seq = self._base + self._spool.append(msgspec.structs.replace(draft, parent_seq=parent, meta=meta or None))
        self._has_begun = self._has_begun or draft.kind is not EntryKind.NOTE
        if self._spool.dropped and not self._dropped:
            self._report_dropped()
        self._shipper.wake()
        return seq

    def _report_dropped(self) -> None:
        self._dropped = self._spool.dropped
        self.news.append(
            f"{self.name}: the spool {self._spool.folder} was full, and up to {self._dropped} of its oldest entries were dropped; "
            "give it more room with `spool_bytes`"
        )

    def settle(self) -> None:
        """See `Forwards.settle`."""
        self._spool.settle()
        self._shipper.wake()

    def confirm(self, seq: int) -> None:
        """Return when the server has an entry on its disk.

        Raises:
            StillInSpool: it has not within the time given for that; the entry is shipped later.
        """
        seconds = self._options.server_s
        if seq < self._base or self._shipper.wait_for(seq - self._base, seconds):
            return
        trouble = self._shipper.trouble
        why = f"not within {seconds:g} s" if trouble is None else str(trouble)
        raise StillInSpool(
            f"{self.name}: entry {seq} is not confirmed by the server ({why}); it waits in {self._spool.folder}"
        )

    def note_recording(self, strategy: str, codec: str) -> None:
        """Keep the settings that entries from here on are written with."""
        self._settings = [strategy, codec]

    def note_identity(self, identity: Mapping[str, str]) -> None:
        """Keep the identity keys of lists that were set by hand."""
        self._identity = dict(identity)

    def abandon(self) -> None:
        """Let go of the spool without touching it: for a forked child, which has no thread that ships."""
        self._is_closed = True
        self._spool.abandon()

    def close(self) -> None:
        """Ship what can be shipped in the time given for that; the rest stays in the spool, and `news` says where.

        Raises:
            StorageFailed: a file of the spool could not be folded; no entry is lost.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._shipper.finish(self._options.close_s)
        self._shipper.cut()
        left = 0 if self._shipper.is_done else self._shipper.left()
        if self._spool.dropped > self._dropped:
            self._report_dropped()
        if left:
            self.news.append(
                f"{self.name}: {left} entries wait in {self._spool.folder}; the next recorder of this history, or "
                f"`unspool ship {self._spool.folder}`, ships them"
            )
        self._spool.close()


def named_target(address: str) -> Target:
    """Take the address of one history apart.

    Raises:
        ConfigError: it names none.
    """
    target = parse_target(address)
    if target.history is None:
        raise ConfigError(f"{target.shown}: names no history to record into; add ?history=NAME")
    return target
