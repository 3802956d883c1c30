"""The terminal app in a real pseudo-terminal, against a Textual hello-world in the same run."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable, Sequence

from benchmarks import tui_targets as target
from benchmarks.context import Context
from benchmarks.measure import median, p99
from benchmarks.pty_latency import Paint, ProgramEnded, Session
from benchmarks.report import Row, absent, against, alone
from benchmarks.tui_floods import arriving, drag, hold
from benchmarks.tui_targets import Target

TITLE = "Terminal app in a pseudo-terminal of 120x36; every program runs at once, keys go to them in random order"

_STARTS, _STEPS, _PAGES = 9, 150, 60
_IDLE_S = 6.0
_FIRST_MOST, _STEP_MOST, _STEP_P99_MOST, _STEP_P99_MS = 1.2, 1.6, 2.5, 10.0
_PAGE_MOST, _PAGE_P99_MS, _LARGE_MOST, _QUIT_MOST = 2.5, 15.0, 1.10, 1.1
_STEP_BYTES, _PAGE_BYTES, _CURSOR_BYTES = 5_000, 16_000, 1_000
_IDLE_CPU, _IDLE_WAKE_UPS, _RESIDENT_MB = 0.25, 11.0, 80.0

Sessions = dict[str, Session]


def run(context: Context) -> list[Row]:
    """Measure everything a user feels."""
    if importlib.util.find_spec("unspool_tui.cli.opening") is None:
        return [absent("terminal app", "unspool_tui has no `open` command yet")]
    home = context.folder / "home"
    ours = [target.app(context.many(count), home) for count in context.sizes]
    targets = [target.hello(), *ours]
    try:
        rows = _starts(targets, 3 if context.quick else _STARTS)
        sessions = {item.name: item.start_ready() for item in targets}
        try:
            rows += _at_rest(sessions, ours, 2.0 if context.quick else _IDLE_S)
            rows += _keys(sessions, ours, 6 if context.quick else 1)
            seconds = 2.0 if context.quick else 5.0
            rows += hold(sessions[ours[-1].name], sessions["hello"], ours[-1].name, seconds)
            rows += drag(sessions[ours[-1].name], ours[-1].name, seconds)
        finally:
            gone = {name: session.quit(target.QUIT) for name, session in sessions.items()}
        rows += _quits(gone, ours[-1].name)
        rows += arriving(context.folder, home, 2.0 if context.quick else 5.0)
    except ProgramEnded as why:
        return [absent("terminal app", str(why).partition("\n")[0])]
    return rows


def _starts(targets: Sequence[Target], runs: int) -> list[Row]:
    times: dict[str, list[float]] = {item.name: [] for item in targets}
    for _ in range(runs):
        for item in targets:
            session = item.start()
            times[item.name].append(session.wait_for(item.ready))
            session.settle()
            session.quit(target.QUIT)
    hello = median(times["hello"])
    return [
        against(f"{item.name}: start to first paint", median(times[item.name]), hello, "ms", "hello",
                most=_FIRST_MOST if item is targets[-1] else None)
        for item in targets[1:]
    ]  # fmt: skip


def _at_rest(sessions: Sessions, ours: Sequence[Target], seconds: float) -> list[Row]:
    before = {name: (s.processor_seconds(), s.wake_ups(), s.written) for name, s in sessions.items()}
    for number, session in enumerate(sessions.values()):
        # One after the other is read; the others have nothing to say, or the kernel keeps it.
        session.settle(seconds if number == 0 else 0.05, seconds)
    name = ours[-1].name
    used, woken, written = before[name]
    session, hello = sessions[name], sessions["hello"]
    cpu = (session.processor_seconds() - used) / seconds * 100
    return [
        alone(f"{name}: processor time at rest", cpu, "%", most=_IDLE_CPU,
              note=f"hello {(hello.processor_seconds() - before['hello'][0]) / seconds * 100:.2f} %"),
        alone(f"{name}: wake-ups at rest", (session.wake_ups() - woken) / seconds, "/s", most=_IDLE_WAKE_UPS,
              note=f"hello {(hello.wake_ups() - before['hello'][1]) / seconds:.1f}"),
        alone(f"{name}: bytes written at rest", (session.written - written) / seconds, "B/s", most=0),
        alone(f"{name}: resident memory", session.resident_mb(), "MB", most=_RESIDENT_MB,
              note=f"hello {hello.resident_mb():.0f} MB"),
    ]  # fmt: skip


def _keys(sessions: Sessions, ours: Sequence[Target], part: int) -> list[Row]:
    small, large = ours[0].name, ours[-1].name
    rng = random.Random(11)
    steps = _interleaved(sessions, lambda _: target.NEXT, _STEPS // part, rng)
    hello = [paint.last_ms for paint in steps["hello"]]
    rows = []
    for item in ours:
        last = [paint.last_ms for paint in steps[item.name]]
        most = _STEP_MOST if item is ours[-1] else None
        rows.append(
            against(
                f"{item.name}: step, all panels painted, p50", median(last), median(hello), "ms", "hello", most=most
            )
        )
    last = [paint.last_ms for paint in steps[large]]
    rows += [
        against(f"{large}: step p99", p99(last), p99(hello), "ms", "hello", most=_STEP_P99_MOST),
        alone(f"{large}: step p99", p99(last), "ms", most=_STEP_P99_MS),
        against(f"{large} against {small}: step p50", median(last), median([p.last_ms for p in steps[small]]), "ms",
                "fewest entries", most=_LARGE_MOST),
        alone(f"{large}: bytes written a step", median([p.bytes for p in steps[large]]), "B", most=_STEP_BYTES),
    ]  # fmt: skip
    jumps: list[tuple[str, Callable[[int], bytes]]] = [
        ("page", lambda number: (target.PAGE_DOWN, target.PAGE_UP)[number % 9 == 8]),
        ("jump by the mouse on the timeline", lambda number: _button_down(rng)),
    ]
    for what, keys in jumps:
        paints = _interleaved({"hello": sessions["hello"], large: sessions[large]}, keys, _PAGES // part, rng)
        last, base = ([paint.last_ms for paint in paints[name]] for name in (large, "hello"))
        rows += [
            against(f"{large}: {what}, p50", median(last), median(base), "ms", "hello", most=_PAGE_MOST),
            alone(f"{large}: {what}, p99", p99(last), "ms", most=_PAGE_P99_MS),
            alone(f"{large}: bytes written a {what.split()[0]}", median([p.bytes for p in paints[large]]), "B",
                  most=_PAGE_BYTES),
        ]  # fmt: skip
    return [*rows, *_cursor(sessions[large], large, _PAGES // part)]


def _button_down(rng: random.Random) -> bytes:
    return target.press_mouse(rng.randrange(target.TIMELINE_FROM, target.TIMELINE_TO))


def _cursor(session: Session, name: str, count: int) -> list[Row]:
    """Measure a cursor that moves in a pane and changes nothing else."""
    session.press(target.INSPECT_PANE)
    moves = (target.CURSOR_DOWN, target.CURSOR_UP)
    paints = [paint for number in range(count) if (paint := session.press(moves[number % 2]))]
    session.press(b"1")
    if not paints:
        return [absent(f"{name}: bytes of a cursor move", "the cursor did not move")]
    return [alone(f"{name}: bytes of a cursor move", median([p.bytes for p in paints]), "B", most=_CURSOR_BYTES)]


def _interleaved(
    sessions: Sessions, keys: Callable[[int], bytes], count: int, rng: random.Random
) -> dict[str, list[Paint]]:
    """Type to every program in an order that is random anew each time, at no fixed phase of its frame timer."""
    order = list(sessions)
    paints: dict[str, list[Paint]] = {name: [] for name in order}
    for number in range(count):
        rng.shuffle(order)
        for name in order:
            sessions[name].settle(rng.random() * 0.02)
            typed = target.NEXT if name == "hello" else keys(number)
            paint = sessions[name].press(typed)
            if typed.startswith(target.MOUSE):
                # Letting the button go is no part of the jump.
                sessions[name].press(target.release_mouse(target.TIMELINE_FROM))
            if paint is not None:
                paints[name].append(paint)
    return paints


def _quits(gone: dict[str, float | None], name: str) -> list[Row]:
    ours, hello = gone[name], gone["hello"]
    if ours is None or hello is None:
        return [absent(f"{name}: quit", "a program did not end by itself")]
    return [against(f"{name}: quit", ours, hello, "ms", "hello", most=_QUIT_MOST)]
