"""What the app does when much comes at once: a held key, a drag, entries that arrive by the thousand."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from benchmarks import tui_targets as target
from benchmarks.bytecode import as_installed
from benchmarks.context import ROOT
from benchmarks.measure import median, p99
from benchmarks.pty_latency import Frame, Session, now
from benchmarks.report import Row, absent, against, alone

_KEY_RATE, _DRAG_RATE, _ENTRY_RATE = 60.0, 250.0, 10_000
_PAINT_S = 0.002
"""Changes closer than this are parts of one paint."""
_LAG_MS, _DRAIN_MS, _FRAMES = 17.0, 17.0, 59.0
_DRAG_FRAMES, _DRAG_GAP_MS, _DRAG_DRAIN_MS = 60.0, 25.0, 30.0
_LIVE_P50_MS, _LIVE_P99_MS, _LIVE_CPU, _LIVE_KEYS_MS = 20.0, 40.0, 12.0, 20.0
_KEY_WINDOW_S = 0.12
"""How long a key's paint is waited for while the screen never rests."""
_PATIENCE_S = 20.0
_NO_INSPECT = rf"(?s)\A(?!.*{target.INSPECT_HAS_KEYS})"


def hold(session: Session, hello: Session, name: str, seconds: float) -> list[Row]:
    """Hold the key for the next entry at 60 a second."""
    base = _lags(hello, seconds)[0]
    start = session.position() or 0
    lags, frames, sent = _lags(session, seconds)
    end = session.position()
    painted = [moment for moment in _paints(frames) if sent[0] <= moment <= sent[-1]]
    return [
        against(f"{name}: held key, lag p99", p99(lags), p99(base), "ms", "hello"),
        alone(f"{name}: held key, lag p99", p99(lags), "ms", most=_LAG_MS),
        alone(f"{name}: held key, last paint after release", (frames[-1].moment - sent[-1]) * 1000, "ms", most=_DRAIN_MS),
        alone(f"{name}: held key, paints", len(painted) / (sent[-1] - sent[0]), "/s", least=_FRAMES),
        alone(f"{name}: held key, entries off the mark at the end", abs((end or 0) - start - len(sent)), "entries", most=0),
    ]  # fmt: skip


def _lags(session: Session, seconds: float) -> tuple[list[float], list[Frame], list[float]]:
    """Hold the key; return each key's milliseconds to a frame that shows its entry, the frames, and when keys went."""
    start = session.position() or 0
    sent = session.pour([target.NEXT] * int(seconds * _KEY_RATE), _KEY_RATE)
    frames = session.frames()
    lags = []
    place = 0
    for number, moment in enumerate(sent, start=1):
        while place < len(frames) and (
            (frames[place].position or 0) < start + number or frames[place].moment < moment
        ):
            place += 1
        if place < len(frames):
            lags.append((frames[place].moment - moment) * 1000)
    return lags or [float("inf")], frames or [Frame(float("inf"), None)], sent


def _paints(frames: Sequence[Frame]) -> list[float]:
    moments = [frame.moment for frame in frames]
    return [moment for place, moment in enumerate(moments) if not place or moment - moments[place - 1] > _PAINT_S]


def drag(session: Session, name: str, seconds: float) -> list[Row]:
    """Drag back and forth over the timeline at 250 reports a second."""
    span = target.TIMELINE_TO - target.TIMELINE_FROM
    session.press(target.press_mouse(target.TIMELINE_FROM))
    places = [number % (2 * span) for number in range(1, int(seconds * _DRAG_RATE))]
    columns = [target.TIMELINE_FROM + (place if place < span else 2 * span - place) for place in places]
    sent = session.pour([target.move_mouse(column) for column in columns], _DRAG_RATE)
    frames = session.frames()
    session.press(target.release_mouse(columns[-1]))
    painted = _paints(frames)
    if len(painted) < 3:
        return [absent(f"{name}: drag on the timeline", "nothing was painted")]
    gaps = [(later - earlier) * 1000 for earlier, later in pairwise(painted)]
    during = sum(sent[0] <= moment <= sent[-1] for moment in painted)
    return [
        alone(f"{name}: drag, paints", during / (sent[-1] - sent[0]), "/s", least=_DRAG_FRAMES),
        alone(f"{name}: drag, gap between paints p99", p99(gaps), "ms", most=_DRAG_GAP_MS),
        alone(f"{name}: drag, last paint after the last report", (painted[-1] - sent[-1]) * 1000, "ms",
              most=_DRAG_DRAIN_MS),
    ]  # fmt: skip


def arriving(folder: Path, home: Path, seconds: float) -> list[Row]:
    """Follow a recorder that writes 10,000 entries a second; then type while it does.

    Raises:
        ProgramEnded: the app did.
        subprocess.SubprocessError: the recorder did not come to an end.
    """
    return [*_shown(folder / "arriving.unspool", home, seconds), *_typed(folder / "typed.unspool", home, seconds)]


@contextmanager
def _recorder(path: Path, home: Path, seconds: float) -> Iterator[tuple[subprocess.Popen[str], Session]]:
    """Start a recorder and the app that follows it; the recorder begins when told, and is ended if it does not end."""
    command = (sys.executable, "-m", "benchmarks.live_writer", str(path), str(_ENTRY_RATE), str(seconds))
    environment = as_installed(os.environ)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as writer:
        session = None
        try:
            assert writer.stdout is not None
            if not select.select([writer.stdout], [], [], _PATIENCE_S)[0] or not writer.stdout.readline():
                raise subprocess.SubprocessError("the recorder did not start")
            session = target.app_at(path, home, "arriving").start_ready()
            yield writer, session
        finally:
            if session is not None:
                session.quit(target.QUIT)
            writer.kill()


def _go(writer: subprocess.Popen[str]) -> None:
    assert writer.stdin is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()


def _shown(path: Path, home: Path, seconds: float) -> list[Row]:
    with _recorder(path, home, seconds) as (writer, session):
        session.rest(_PATIENCE_S)
        used, started = session.processor_seconds(), now()
        _go(writer)
        while writer.poll() is None and now() < started + 4 * seconds + _PATIENCE_S:
            session.read(0.02)
        cpu = (session.processor_seconds() - used) / (now() - started) * 100
        session.settle(0.3)
        frames = session.frames()
        if writer.poll() is None:
            return [absent("entries arriving", "the recorder did not end")]
        assert writer.stdout is not None
        written = [(int(seq), float(moment)) for seq, moment in map(str.split, writer.stdout.read().splitlines())]
    lags = []
    place = 0
    for seq, moment in written:
        while place < len(frames) and ((frames[place].position or 0) < seq or frames[place].moment < moment):
            place += 1
        if place < len(frames):
            lags.append((frames[place].moment - moment) * 1000)
    if not lags:
        return [absent("entries arriving", "none was shown")]
    rate = written[-1][0] / (written[-1][1] - written[0][1])
    name = f"{rate:,.0f} entries/s arriving"
    return [
        alone(f"{name}: visible lag p50", median(lags), "ms", most=_LIVE_P50_MS),
        alone(f"{name}: visible lag p99", p99(lags), "ms", most=_LIVE_P99_MS),
        alone(f"{name}: processor time", cpu, "%", most=_LIVE_CPU),
        alone(f"{name}: shown in the end", 100 * len(lags) / len(written), "%", least=100),
    ]


def _typed(path: Path, home: Path, seconds: float) -> list[Row]:
    """Type keys that move the focus; what tells that one was obeyed is the line of keys at the bottom."""
    what = "entries arriving: key to its paint p99"
    with _recorder(path, home, seconds) as (writer, session):
        session.rest(_PATIENCE_S)
        _go(writer)
        session.read_until(now() + 0.3)
        end = now() + seconds - 0.5
        times: list[float] = []
        lost = 0
        while now() < end and session.alive:
            for key, shown in ((target.INSPECT_PANE, target.INSPECT_HAS_KEYS), (target.HISTORY_PANE, _NO_INSPECT)):
                found = session.shown_after(key, shown, _KEY_WINDOW_S)
                times += [] if found is None else [found]
                lost += found is None
    if not times:
        return [absent(what, "no key was obeyed")]
    return [
        alone(what, p99(times), "ms", most=_LIVE_KEYS_MS, note=f"p50 {median(times):.1f} ms, {len(times)} keys"),
        alone("entries arriving: keys not obeyed in time", lost, "keys", most=0),
    ]
