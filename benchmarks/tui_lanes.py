"""The timeline with twelve lanes over the longest history, on a tall screen: first paint, how long it refines, keys meanwhile and after."""

from __future__ import annotations

import random
from collections.abc import Sequence

from benchmarks import tui_targets as target
from benchmarks.measure import median, p99
from benchmarks.pty_latency import Session, now
from benchmarks.report import Row, absent, against, alone
from benchmarks.tui_targets import Target

_LINES = 76
"""Lines of a terminal with room for twelve lanes."""
_BARS = frozenset("▁▂▃▄▅▆▇█░▒▓")
_FIRST_LANE = 4
_LANES = 12
_STEPS = 60
_FIRST_MOST, _STEP_MOST = 1.2, 1.6
_REFINED_S = 30.0
_STILL_S = 1.0


def lanes(app: Target, hello: Target, part: int) -> list[Row]:
    """Measure the app on a history against a Textual hello-world on a screen of the same size.

    Raises:
        ProgramEnded: one of them did.
    """
    sessions = {item.name: _start(item) for item in (hello, app)}
    name, session, other = app.name, sessions[app.name], sessions[hello.name]
    rng = random.Random(12)
    try:
        first = {item.name: sessions[item.name].wait_for(item.ready) for item in (hello, app)}
        other.settle(0.3)
        early = _steps(session, _STEPS // 4 // part, rng)
        refined = _refined(session)
        steps, base = _steps(session, _STEPS // part, rng), _steps(other, _STEPS // part, rng)
        drawn = _drawn(session)
    finally:
        for each in sessions.values():
            each.quit(target.QUIT)
    if not steps or not base or not early:
        return [absent(f"{name}: {_LANES} lanes", "nothing was painted")]
    return [
        against(f"{name}: {_LANES} lanes, start to first paint", first[name], first[hello.name], "ms", "hello",
                most=_FIRST_MOST),
        alone(f"{name}: {_LANES} lanes, lanes drawn", drawn, "", least=_LANES),
        alone(f"{name}: {_LANES} lanes, all that is in sight worked out after", refined, "ms"),
        against(f"{name}: {_LANES} lanes, step right after the first paint, p50", median(early), median(base), "ms", "hello"),
        against(f"{name}: {_LANES} lanes, step, p50", median(steps), median(base), "ms", "hello", most=_STEP_MOST),
        alone(f"{name}: {_LANES} lanes, step, p99", p99(steps), "ms", note=f"hello {p99(base):.1f} ms"),
    ]  # fmt: skip


def _start(item: Target) -> Session:
    return Session(item.command, item.position, rows=_LINES, environment=item.environment)


def _steps(session: Session, count: int, rng: random.Random) -> list[float]:
    found = []
    for _ in range(max(3, count)):
        session.settle(rng.random() * 0.02)
        paint = session.press(target.NEXT)
        if paint is not None:
            found.append(paint.last_ms)
    return found


def _refined(session: Session) -> float:
    """Return the milliseconds from the start until the lanes did not change any more for a while."""
    end = now() + _REFINED_S
    last = now()
    while now() < end and now() - last < _STILL_S:
        session.read_until(now() + 0.05)
        frames = session.frames()
        if frames:
            last = frames[-1].moment
    return (last - session.started) * 1000


def _drawn(session: Session) -> int:
    lines: Sequence[str] = session.screen.text().split("\n")[_FIRST_LANE : _FIRST_LANE + _LANES]
    return sum(bool(_BARS & set(line)) for line in lines)
