"""`POST /v1/NAME`: entries as lines of JSON, from a program in any language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unspool.errors import UnspoolError
from unspool.live.listen.app_store import Unusable
from unspool.live.listen.connections import MOST_MESSAGE_BYTES, Held, Response, told
from unspool.live.listen.gate import Refused
from unspool.live.listen.histories import Histories, StoreHistory
from unspool.model.json_exact import BrokenText, parse
from unspool.model.values import Value
from unspool.sources.entries import UnusableRecord, to_ns
from unspool.sources.formats.patches import PatchedDocument, operations_of
from unspool.sources.formats.states import action_label

PREFIX: Final = "/v1/"
_KEYS: Final = frozenset(("state", "patch", "action", "at", "meta", "id", "parent"))
_MOST_TOLD: Final = 300


class Posted:
    """A store whose states are posted; it stays as long as unspool listens."""

    def __init__(self, history: StoreHistory) -> None:
        self.history = history
        self.document = PatchedDocument(history.last())

    def take(self, line: bytes) -> None:
        """Record a line.

        Raises:
            Unusable: it says nothing that can be recorded; nothing of it was taken over.
            UnspoolError: it cannot be kept.
        """
        try:
            record = parse(line).value
        except BrokenText as error:
            raise Unusable(str(error)) from None
        if not isinstance(record, dict) or ("state" in record) == ("patch" in record):
            raise Unusable('write an object with a "state", or with a "patch"')
        if strange := sorted(record.keys() - _KEYS)[:5]:
            raise Unusable(f'unknown: {", ".join(map(repr, strange))}; facts of your own go into "meta"')
        meta = record.get("meta", {})
        if not isinstance(meta, dict):
            raise Unusable('"meta" is an object')
        at_ns = to_ns(record["at"]) if "at" in record else None
        if "at" in record and at_ns is None:
            raise Unusable('"at" is no time: write seconds or milliseconds since 1970, or ISO 8601')
        parent, entry_id = self._parent(record), record.get("id", "")
        if not isinstance(entry_id, str):
            raise Unusable('"id" is text')
        before = self.document
        after = self._after(record, parent)
        action = record.get("action")
        facts: Mapping[str, Value] = (
            {**meta, "action": action} if isinstance(action, dict) and len(action) > 1 else meta
        )
        self.document = after
        try:
            self.history.record(
                after.value, action_label(action), at_ns=at_ns, meta=facts, parent=parent, entry_id=entry_id
            )
        except UnspoolError:
            self.document = before
            raise

    def _parent(self, record: Mapping[str, Value]) -> int | None:
        if "parent" not in record:
            return None
        parent = record["parent"]
        seq = self.history.seq_of(parent) if isinstance(parent, str) else parent
        if type(seq) is not int or not 0 <= seq < len(self.history):
            raise Unusable('"parent" is no entry: write its number, or the "id" of one that was posted before')
        return seq

    def _after(self, record: Mapping[str, Value], parent: int | None) -> PatchedDocument:
        if "state" in record:
            return PatchedDocument(record["state"])
        operations = operations_of({"patch": record["patch"]})
        if operations is None:
            raise Unusable('"patch" is no list of JSON Patch operations')
        document = self.document
        if parent is not None and parent != len(self.history) - 1:
            document = PatchedDocument(self.history.state_of(parent)[0])
        try:
            return document.after(operations)
        except UnusableRecord as error:
            raise Unusable(f"the patch does not fit: {error}") from None


class BodyLines:
    """The body of a request: lines, each an entry as soon as it has come."""

    def __init__(self, store: Posted, held: Held) -> None:
        self._store = store
        self._held = held
        self._rest: list[bytes] = []
        self._size = 0
        self._recorded = 0
        self._line = 0
        self._lost_before = store.history.lost

    def take(self, data: bytes) -> None:
        """See `Body`."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole = b"".join((*self._rest, line)) if self._rest else line
            self._forget()
            self._record(whole)
        if not rest:
            return
        if self._size + len(rest) > MOST_MESSAGE_BYTES:
            raise self._refused(413, f"a line may have {MOST_MESSAGE_BYTES:,} bytes")
        if not self._held.may_grow(len(rest)):
            raise self._refused(503, "too much is being sent at once; try again")
        self._rest.append(rest)
        self._size += len(rest)
        self._held.size += len(rest)

    def end(self) -> Response:
        """See `Body`."""
        whole = b"".join(self._rest)
        self._forget()
        self._record(whole)
        history = self._store.history
        history.flush()
        lost = history.lost - self._lost_before
        if lost:
            self._recorded = max(0, self._recorded - lost)
            raise self._refused(507, history.trouble)
        return told(200, "", recorded=self._recorded, entries=len(history))

    def gone(self) -> None:
        """See `Body`."""
        self._forget()

    def _forget(self) -> None:
        self._held.size -= self._size
        self._rest, self._size = [], 0

    def _record(self, line: bytes) -> None:
        self._line += 1
        if not line.strip():
            return
        try:
            self._store.take(line)
        except Unusable as error:
            raise self._refused(400, str(error)) from None
        except UnspoolError as error:
            raise self._refused(507, str(error)) from None
        self._recorded += 1

    def _refused(self, status: int, words: str) -> Refused:
        self._forget()
        told_words = f"line {max(1, self._line)}: {words[:_MOST_TOLD]}; the lines after it were not looked at"
        return Refused(status, told_words, recorded=self._recorded)


class Ingest:
    """The stores that are posted to."""

    def __init__(self, histories: Histories, held: Held) -> None:
        self._histories = histories
        self._held = held
        self._stores: dict[str, Posted] = {}

    def lines(self, name: str) -> BodyLines:
        """Return what takes lines for a store.

        Raises:
            Refused: its history cannot be opened.
        """
        store = self._stores.get(name)
        if store is None:
            try:
                store = self._stores[name] = Posted(self._histories.start(name))
            except UnspoolError as error:
                raise Refused(507, str(error)) from None
        return BodyLines(store, self._held)
