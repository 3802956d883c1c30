"""Where the bytes of a history are: by atom, by path, by action and by codec, and what leaving something out saves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

from unspool.codec.records import FULL_CODECS, RecordCodec
from unspool.errors import CorruptHistory
from unspool.history.history import History
from unspool.model.entries import NOTE
from unspool.query.checkers_patterns import parse_pattern
from unspool.query.footprint_entries import Ledger
from unspool.query.footprint_facts import Exclusion, Footprint, Share, Spent
from unspool.query.footprint_kinds import Kind, spell
from unspool.query.footprint_tally import Tally
from unspool.query.lineage import Stretch, windows
from unspool.query.reading import Cancelled, Progress, StateReader, never, untold
from unspool.store.protocol import HOLE

_TOP: Final = 20
_NOTES: Final = "(notes)"


def footprint(
    history: History,
    *,
    top: int = _TOP,
    exclude: Iterable[str] = (),
    skip_damaged: bool = False,
    cancelled: Cancelled = never,
    progress: Progress = untold,
) -> Footprint:
    """Tell where the bytes of a history are.

    Args:
        history: where to look.
        top: how many kinds of paths are listed.
        exclude: patterns of paths, such as `clock` or `rows[*].note`; of each it is projected what not recording it
            would save.
        skip_damaged: step over entries that cannot be read instead of raising.
        cancelled: ends the count when it says yes; what was counted by then is returned.
        progress: told how far it is.

    Raises:
        ExpressionError: an excluded path is no pattern.
        CorruptHistory: an entry cannot be read.
    """
    patterns = {text: parse_pattern(text) for text in exclude}
    reader = StateReader(history, skip_damaged=skip_damaged)
    ledger = Ledger(reader, patterns)
    columns = history.columns()
    totals: Counter[str] = Counter()
    actions: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    codecs: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    complete = True
    for stretch in windows(history):
        names = _actions(reader, stretch)
        for seq in range(stretch.first, stretch.last + 1):
            complete = complete and not cancelled()
            if not complete:
                break
            progress(seq, len(columns.stored))
            stored = columns.stored[seq]
            if not ledger.take(seq, stretch, stored, full=columns.codec[seq] in FULL_CODECS):
                continue
            is_note = columns.kind[seq] == NOTE
            totals.update(entries=1, stored=stored, full=0 if is_note else columns.full_bytes[seq])
            # What a note says is no action that others share.
            for spent in (actions[_NOTES if is_note else names.get(seq, "")], codecs[_codec(columns.codec[seq])]):
                spent[0] += 1
                spent[1] += stored
    return Footprint(
        entries=totals["entries"],
        stored_bytes=totals["stored"],
        full_bytes=totals["full"],
        atoms=_ranked({name: tally.share(name) for name, tally in ledger.atoms.by_key.items()}.values()),
        paths=_paths(ledger)[:top],
        actions=_spent(actions),
        codecs=_spent(codecs),
        exclusions=_exclusions(ledger),
        complete=complete and not reader.problems,
        problems=reader.problems,
    )


def _actions(reader: StateReader, stretch: Stretch) -> dict[int, str]:
    try:
        return {entry.seq: entry.action for entry in reader.history[stretch.first : stretch.last + 1]}
    except CorruptHistory as error:
        reader.note(stretch.first, error)
        return {}


def _codec(code: int) -> str:
    return "unreadable" if code == HOLE else RecordCodec(code).name.lower()


def _ranked(shares: Iterable[Share]) -> tuple[Share, ...]:
    return tuple(sorted(shares, key=lambda share: (-share.stored_bytes, share.name)))


def _paths(ledger: Ledger) -> tuple[Share, ...]:
    folded: defaultdict[Kind, Tally] = defaultdict(Tally)
    for kind, tally in ledger.paths.by_key.items():
        folded[ledger.kinds.folded(kind)].add(tally)
    return _ranked(tally.share(spell(kind)) for kind, tally in folded.items())


def _spent(counted: dict[str, list[int]]) -> tuple[Spent, ...]:
    spent = (Spent(name, entries, stored) for name, (entries, stored) in counted.items())
    return tuple(sorted(spent, key=lambda item: (-item.stored_bytes, item.name)))


def _exclusions(ledger: Ledger) -> tuple[Exclusion, ...]:
    found = []
    for text, left in ledger.left.items():
        covered = [(kind, tally) for kind, tally in ledger.paths.by_key.items() if left.covers(kind)]
        matched = len({ledger.kinds.folded(kind) for kind, _ in covered})
        stored = round(sum(tally.stored for _, tally in covered))
        found.append(Exclusion(text, matched, stored, left.full, left.entries))
    return tuple(found)
