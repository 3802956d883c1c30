"""LangGraph checkpoints in PostgreSQL: the same entries as from SQLite, put together from three tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from unspool.errors import ConfigError, UnreadableSource
from unspool.history.verdict import ChainFault, Progress
from unspool.model.json_exact import BrokenText, parse
from unspool.model.limits import Cancelled
from unspool.model.tags import Unrepresentable
from unspool.model.values import MISSING, Value
from unspool.sources.detection import Choice, by_thread
from unspool.sources.entries import Findings, Reader, SeqOf, SourceEntry, UnusableRecord
from unspool.sources.formats.langgraph import (
    PARTS_QUERY,
    CheckpointChains,
    Key,
    broken_parents,
    link_of,
    parents_query,
    stray_query,
    stray_writes,
)
from unspool.sources.formats.langgraph_timeline import (
    CheckpointRow,
    CheckpointTimeline,
    WrittenChannels,
    decode_value,
    metadata_of,
    selection,
    stored_values,
)
from unspool.store.postgres.connection import ServerConnection, Target, parse_target
from unspool.store.postgres.reading import Pulse
from unspool.store.postgres.tables import has_tables

_KEYS: Final = (
    "SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints WHERE {chosen} "
    "ORDER BY checkpoint_id, thread_id, checkpoint_ns"
)
_NEWEST: Final = "SELECT count(*), max(checkpoint_id) FROM checkpoints"
_ROW: Final = (
    "SELECT parent_checkpoint_id, checkpoint::text, metadata::text FROM checkpoints "
    "WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = %s"
)
_BLOBS: Final = (
    "SELECT channel, version, type, blob FROM checkpoint_blobs "
    "JOIN unnest(%s::text[], %s::text[]) AS wanted(channel, version) USING (channel, version) "
    "WHERE thread_id = %s AND checkpoint_ns = %s"
)
_WRITES: Final = (
    "SELECT channel, type, blob FROM checkpoint_writes "
    "WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = %s ORDER BY {path}task_id, idx"
)
_HAS_TASK_PATH: Final = (
    "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('checkpoint_writes') AND attname = 'task_path'"
)
_EMPTY: Final = "empty"
"""Type of a blob that says that its channel holds nothing."""
_NOTHING: Final[tuple[str, Value]] = ("", MISSING)


class PostgresCheckpointReader:
    """Reads checkpoints in the order of their ids, which are ordered by time; never writes."""

    def __init__(self, target: Target, folds: Mapping[str, str], select: Mapping[str, str]) -> None:
        """Connect.

        Raises:
            UnreadableSource: the server cannot be reached, or holds no checkpoints, or none that are selected.
            ConfigError: something is selected that checkpoints have not, or an unknown fold.
        """
        self.findings = Findings()
        self._target = target
        chosen, self._chosen = selection(select, "%s")
        self._where = chosen
        self._keys = _KEYS.format(chosen=chosen)
        self._link = ServerConnection(target, read_only=True)
        self._pulse: Pulse | None = None
        self._values: dict[Key, tuple[str, Value]] = {}
        """The newest value of each channel that was read, with its version; most checkpoints change a few."""
        self._known: set[Key] = set()
        self._done = self._total = 0
        self._is_finished = False
        try:
            self._timeline = self._begin(folds, select)
        except BaseException:
            self._link.close()
            raise

    def _begin(self, folds: Mapping[str, str], select: Mapping[str, str]) -> CheckpointTimeline:
        shown = self._target.shown
        if self._link.fetch("SELECT to_regclass('checkpoints'), to_regclass('checkpoint_blobs')")[0].count(None):
            raise UnreadableSource(
                f"{shown}: no LangGraph checkpoints in it; for a history recorded by unspool, add ?history=NAME"
            )
        path = "task_path, " if self._link.fetch(_HAS_TASK_PATH)[0][0] else ""
        self._writes_query = _WRITES.format(path=path)
        threads = list(dict.fromkeys(key[:2] for key in self._link.fetch(self._keys, self._chosen)))
        if select and not threads:
            raise UnreadableSource(f"{shown}: holds no such {' and '.join(select)}; leave --select out")
        return CheckpointTimeline(WrittenChannels(self._writes, folds), threads)

    def _writes(self, thread: str, namespace: str, identity: str) -> list[tuple[str, str | None, bytes]]:
        return self._link.fetch(self._writes_query, (thread, namespace, identity))

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        """A file that changes when there may be more; a thread looks at the server from the first call on."""
        if self._pulse is None:
            self._pulse = Pulse(self._target, None, (_NEWEST, ()))
        return (self._pulse.path,)

    @property
    def source_paths(self) -> tuple[Path, ...]:
        """Nothing: it lies on a server."""
        return ()

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each checkpoint since the last call."""
        self._is_finished = False
        try:
            keys = [key for key in self._link.fetch(self._keys, self._chosen) if key not in self._known]
            self._total += len(keys)
            for key in keys:
                yield from self._entry(key)
                self._known.add(key)
                self._done += 1
        except UnreadableSource as error:
            self.findings.wait_for("gone", self._target.shown, f"{error}; reading goes on when it is back")
            self._total = self._done
        else:
            self.findings.came_right("gone")
        self._is_finished = True
        for message in self._timeline.notices():
            self.findings.notice(self._target.shown, message)

    def _entry(self, key: Key) -> Iterator[SourceEntry]:
        rows = self._link.fetch(_ROW, key)
        if not rows:
            return
        parent, checkpoint, metadata = rows[0]
        row = CheckpointRow(*key, parent, metadata_of(metadata))
        try:
            entry = self._timeline.entry(row, self._whole(key, checkpoint, self.findings), 0)
        except (UnusableRecord, BrokenText) as error:
            self.findings.loss(self._place_of(key), f"{error}; it was left out")
            return
        yield entry

    def _whole(self, key: Key, text: str, findings: Findings) -> dict[str, Value]:
        """Return a checkpoint with the values of its channels, which stand in another table unless they are plain."""
        checkpoint = parse(text.encode("utf-8", "surrogatepass")).value
        inline = stored_values(checkpoint)
        versions = checkpoint.get("channel_versions")
        wanted = (
            {channel: str(version) for channel, version in versions.items()} if isinstance(versions, dict) else {}
        )
        return {**checkpoint, "channel_values": {**inline, **self._blobs(key, wanted, findings)}}

    def _blobs(self, key: Key, wanted: Mapping[str, str], findings: Findings) -> dict[str, Value]:
        thread, namespace, _ = key
        held = {channel: self._values.get((thread, namespace, channel), _NOTHING) for channel in wanted}
        missing = [channel for channel, (version, _) in held.items() if version != wanted[channel]]
        if missing:
            # What stands in no row there is plain and stands in the checkpoint itself.
            held.update({channel: (wanted[channel], MISSING) for channel in missing})
            query = (missing, [wanted[channel] for channel in missing], thread, namespace)
            for channel, version, kind, data in self._link.fetch(_BLOBS, query):
                value = MISSING if kind == _EMPTY else self._decoded(key, channel, kind, data, findings)
                held[channel] = (version, value)
            self._values.update({(thread, namespace, channel): held[channel] for channel in missing})
        return {channel: value for channel, (_, value) in held.items() if value is not MISSING}

    def _decoded(self, key: Key, channel: str, kind: str, data: bytes, findings: Findings) -> Value:
        try:
            return decode_value(kind, data)
        except UnusableRecord as error:
            findings.loss(self._place_of(key), f"channel {channel!r}: {error}")
            return Unrepresentable("unreadable channel", str(error))

    def chain_faults(self, seq_of: SeqOf, total: int, cancelled: Cancelled) -> Iterator[ChainFault]:
        """See `ChainedReader.chain_faults`."""
        parents = self._link.fetch(parents_query(self._where), self._chosen)
        yield from broken_parents(parents, self._place, seq_of, cancelled)
        chains = CheckpointChains(self._place, seq_of)
        for key in self._link.fetch(self._keys, self._chosen):
            if cancelled():
                return
            if key in self._known and (rows := self._link.fetch(_ROW, key)):
                parent, checkpoint, metadata = rows[0]
                row = CheckpointRow(*key, parent, metadata_of(metadata))
                # What does not read was reported when it was read first.
                yield from chains.visit(link_of(row, partial(self._whole, key, checkpoint, Findings())))
        stray = self._link.fetch(stray_query(self._where, "checkpoint_writes"), self._chosen)
        yield from stray_writes(stray, self._place)

    def _place_of(self, key: Key) -> str:
        return self._place(key[2])

    def _place(self, identity: str) -> str:
        return f"{self._target.shown}: checkpoint {identity}"

    def progress(self) -> Progress:
        """Say how many checkpoints were read."""
        return Progress(self._done, self._total, self._is_finished)

    def close(self) -> None:
        """Disconnect."""
        if self._pulse is not None:
            self._pulse.stop()
        self._link.close()


_LANGGRAPH = "langgraph"


def holds_histories(address: str) -> bool:
    """Whether an address is that of a recorded history: it names one, or its database holds nothing else.

    Raises:
        UnreadableSource, MissingExtra: the server cannot be reached.
    """
    target = parse_target(address)
    if target.history is not None:
        return True
    link = ServerConnection(target, read_only=True)
    try:
        has_checkpoints = link.fetch("SELECT to_regclass('checkpoints')")[0][0] is not None
        return not has_checkpoints and link.ask(has_tables)
    finally:
        link.close()


def checkpoint_choices(address: str) -> tuple[Choice, ...]:
    """Return the threads and namespaces of LangGraph's checkpoints that can be shown one by one.

    Raises:
        UnreadableSource, MissingExtra: the server cannot be reached.
    """
    if holds_histories(address):
        return ()
    link = ServerConnection(parse_target(address), read_only=True)
    try:
        return by_thread((str(thread), str(name), count) for thread, name, count in link.fetch(PARTS_QUERY))
    finally:
        link.close()


def open_checkpoints(
    address: str, format_name: str | None, folds: Mapping[str, str], select: Mapping[str, str]
) -> tuple[str, Reader]:
    """Return what to call LangGraph's checkpoints in a database, and their reader.

    Raises:
        UnreadableSource: there are none, or the server cannot be reached.
        ConfigError: another format was asked for.
    """
    target = parse_target(address)
    if format_name not in (None, _LANGGRAPH):
        raise ConfigError(f"a PostgreSQL database is read as unspool or langgraph; leave --format {format_name} out")
    return target.shown, PostgresCheckpointReader(target, folds, select)
