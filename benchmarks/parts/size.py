"""Bytes on disk for the same states."""

from __future__ import annotations

from pathlib import Path

import orjson

from benchmarks.context import Context
from benchmarks.loads import Load
from benchmarks.measure import geometric_mean
from benchmarks.peers import PeerAbsent
from benchmarks.peers.deepdiff_log import delta_bytes
from benchmarks.peers.full_state import whole_state_bytes
from benchmarks.peers.jsonpatch_log import patch_bytes
from benchmarks.peers.mercurial import MercurialFile
from benchmarks.peers.sqlite_rows import SqliteRows
from benchmarks.peers.whole_history import xz_bytes
from benchmarks.report import Row, absent, against
from benchmarks.sampling import pairs
from unspool.store.compacting import compact

TITLE = "Bytes per entry, every peer keeping the same states"

_MOST = 0.9
_GIT_MEAN, _HG_MEAN, _XZ_MOST = 0.5, 0.6, 2.0
UNIT = "B/entry"


def run(context: Context) -> list[Row]:
    """Measure every load, and the means over all of them."""
    rows: list[Row] = []
    for load in context.loads:
        rows.extend(_one_load(context, load))
    return [*rows, *_means(rows)]


def _one_load(context: Context, load: Load) -> list[Row]:
    recorded = context.recorded(load)
    small = context.folder / f"{load.name}-compacted.unspool"
    compact(recorded.path, small)
    per = 1 / load.count
    live, compacted = recorded.path.stat().st_size * per, small.stat().st_size * per
    rows = [
        _against_git(context, load, live),
        _against_mercurial(context.folder / f"{load.name}.hg", load, live),
        against(f"{load.name}: compacted, against xz -9 of the whole history", compacted,
                xz_bytes(load.states()) * per, UNIT, "xz -9", most=_XZ_MOST),
    ]  # fmt: skip
    as_json, as_msgpack = whole_state_bytes(load.states())
    table = SqliteRows(context.folder / f"{load.name}-rows.sqlite", synchronous="OFF")
    for state in load.states():
        table.record(state)
    rows += [
        against(f"{load.name}: while recording, -wal included", recorded.live_bytes * per, live, UNIT, "closed"),
        against(f"{load.name}: closed, against full states", live, as_json * per, UNIT, "JSON + zstd each"),
        against(f"{load.name}: closed, against full states", live, as_msgpack * per, UNIT, "msgpack + zstd each"),
        against(f"{load.name}: closed, against full states", live, table.close() * per, UNIT, "SQLite rows"),
    ]
    return [*rows, *_against_logs(load, live, 3 if context.quick else 12)]


def _against_git(context: Context, load: Load, live: float) -> Row:
    what = f"{load.name}: closed, against git pack + index"
    try:
        pack, index = context.git(load).pack_bytes()
    except PeerAbsent as why:
        return absent(what, str(why))
    note = f"pack alone {pack / load.count:,.0f}"
    return against(what, live, (pack + index) / load.count, UNIT, "git", most=_MOST, note=note)


def _against_mercurial(folder: Path, load: Load, live: float) -> Row:
    what = f"{load.name}: closed, against Mercurial's filelog"
    try:
        peer = MercurialFile(folder)
        peer.fill(load.states())
    except PeerAbsent as why:
        return absent(what, str(why))
    return against(what, live, peer.stored_bytes() / load.count, UNIT, "hg", most=_MOST)


def _against_logs(load: Load, live: float, samples: int) -> list[Row]:
    """Compare with logs of deltas from a few steps; their first full state is shared out like ours."""
    rows = []
    first = len(orjson.dumps(next(load.states(1)))) / load.count
    for name, make in (("JSON Patch log", patch_bytes), ("DeepDiff Delta log", delta_bytes)):
        what = f"{load.name}: closed, against a log of deltas"
        try:
            sizes = [len(make(old, new)) for old, new in pairs(load, samples)]
        except PeerAbsent as why:
            rows.append(absent(what, str(why)))
            continue
        mean = first + sum(sizes) / len(sizes)
        rows.append(against(what, live, mean, UNIT, name, note=f"{len(sizes)} sampled steps"))
    return rows


def _means(rows: list[Row]) -> list[Row]:
    means = []
    for peer, goal in (("git", _GIT_MEAN), ("hg", _HG_MEAN)):
        ratios = [row.ratio for row in rows if row.peer_name == peer and row.ratio]
        if ratios:
            mean = geometric_mean(ratios)
            means.append(
                Row(f"closed, against {peer}: geometric mean over {len(ratios)} loads", None, "", peer, None, mean,
                    f"≤ {goal:g}x", mean <= goal, f"worst {max(ratios):.2f}x")
            )  # fmt: skip
    return means
