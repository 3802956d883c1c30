"""The terminal app in a real pseudo-terminal, against a Textual hello-world in the same run."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable, Sequence

from benchmarks import tui_floods, tui_keys, tui_lanes, tui_quits
from benchmarks import tui_targets as target
from benchmarks.context import Context
from benchmarks.measure import median
from benchmarks.pty_latency import ProgramEnded, Session, now
from benchmarks.report import Row, absent, against, alone
from benchmarks.tui_targets import Target

TITLE = "Terminal app in a pseudo-terminal of 120x36; every program runs at once, keys go to them in random order"

_STARTS = 9
_IDLE_S = 6.0
_WORK_ENDS_S = 30.0
_FIRST_MOST = 1.2
_IDLE_CPU, _IDLE_WAKE_UPS, _RESIDENT_MB, _RESIDENT_MOST = 0.25, 11.0, 80.0, 2.5

Sessions = dict[str, Session]


def run(context: Context) -> list[Row]:
    """Measure everything a user feels; what cannot be measured is a row that says why."""
    if importlib.util.find_spec("unspool_tui.cli.opening") is None:
        return [absent("terminal app", "unspool_tui has no `open` command yet")]
    home = context.folder / "home"
    ours = [target.app(context.many(count), home) for count in context.sizes]
    targets = [target.hello(), *ours]
    quits = tui_quits.Quits()
    seconds = 2.0 if context.quick else 5.0
    return [
        *_told("start", lambda: _starts(targets, 3 if context.quick else _STARTS, quits)),
        *_told("running", lambda: _running(context, targets, seconds)),
        *_told("lanes", lambda: tui_lanes.lanes(ours[-1], targets[0], 6 if context.quick else 1)),
        *_told("quit", lambda: tui_quits.rows(ours[-1], targets[0], quits, 2 if context.quick else 5)),
        *_told("arriving", lambda: tui_floods.arriving(context.folder, home, seconds)),
    ]


def _told(what: str, measure: Callable[[], list[Row]]) -> list[Row]:
    """Measure; a program that ends or hangs costs its rows and no others."""
    try:
        return measure()
    except (ProgramEnded, OSError, subprocess.SubprocessError) as why:
        return [Row(what, None, "", goal="measured", met=False, note=str(why).partition("\n")[0])]


def _starts(targets: Sequence[Target], runs: int, quits: tui_quits.Quits) -> list[Row]:
    times: dict[str, list[float]] = {item.name: [] for item in targets}
    # The first round fills the page cache and compiles.
    for number in range(runs + 1):
        for item in targets:
            session = item.start()
            taken = session.wait_for(item.ready)
            session.settle(0.3)
            gone = session.quit(target.QUIT)
            if number:
                times[item.name].append(taken)
                quits.add(item.name, gone)
    hello = median(times["hello"])
    return [
        against(f"{item.name}: start to first paint", median(times[item.name]), hello, "ms", "hello",
                most=_FIRST_MOST if item is targets[-1] else None)
        for item in targets[1:]
    ]  # fmt: skip


def _running(context: Context, targets: Sequence[Target], seconds: float) -> list[Row]:
    sessions: Sessions = {}
    ours = targets[1:]
    name = ours[-1].name
    part = 6 if context.quick else 1
    try:
        for item in targets:
            sessions[item.name] = item.start_ready()
        large, hello = sessions[name], sessions["hello"]
        return [
            *_at_rest(sessions, ours, 2.0 if context.quick else _IDLE_S),
            *_told("keys", lambda: tui_keys.keys(sessions, [item.name for item in ours], part)),
            *_told("held key", lambda: tui_floods.hold(large, hello, name, seconds)),
            *_told("drag", lambda: tui_floods.drag(large, name, seconds)),
            *_told("cursor", lambda: tui_keys.cursor(large, name, part)),
        ]
    finally:
        for session in sessions.values():
            session.quit(target.QUIT)


def _at_rest(sessions: Sessions, ours: Sequence[Target], seconds: float) -> list[Row]:
    name = ours[-1].name
    session, hello = sessions[name], sessions["hello"]
    # A long history is read through after the first paint; rest begins when that is done.
    session.rest(_WORK_ENDS_S)
    before = {each: (s.processor_seconds(), s.wake_ups(), s.written) for each, s in sessions.items()}
    session.read_until(now() + seconds)
    hello.settle(0.01, 0.1)
    used, woken, written = before[name]
    cpu = (session.processor_seconds() - used) / seconds * 100
    return [
        alone(f"{name}: processor time at rest", cpu, "%", most=_IDLE_CPU,
              note=f"hello {(hello.processor_seconds() - before['hello'][0]) / seconds * 100:.2f} %"),
        alone(f"{name}: wake-ups at rest", (session.wake_ups() - woken) / seconds, "/s", most=_IDLE_WAKE_UPS,
              note=f"hello {(hello.wake_ups() - before['hello'][1]) / seconds:.1f}"),
        alone(f"{name}: bytes written at rest", (session.written - written) / seconds, "B/s", most=0),
        alone(f"{name}: resident memory", session.resident_mb(), "MB", most=_RESIDENT_MB),
        against(f"{name}: resident memory", session.resident_mb(), hello.resident_mb(), "MB", "hello",
                most=_RESIDENT_MOST),
    ]  # fmt: skip
