"""From a key to the last of its paint, one key at a time: steps, pages, far jumps, a cursor that moves alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from benchmarks import tui_targets as target
from benchmarks.measure import median, p99
from benchmarks.pty_latency import Paint, Session
from benchmarks.report import Row, absent, against, alone

_STEPS, _PAGES = 150, 60
_STEP_MOST, _STEP_P99_MOST, _STEP_P99_MS = 1.6, 2.5, 10.0
_PAGE_MOST, _PAGE_P99_MS, _LARGE_MOST = 2.5, 15.0, 1.10
_STEP_BYTES, _PAGE_BYTES, _CURSOR_BYTES = 5_000, 16_000, 1_000


def keys(sessions: Mapping[str, Session], ours: Sequence[str], part: int) -> list[Row]:
    """Measure steps, pages and jumps.

    Args:
        sessions: programs by name; one is `hello`.
        ours: names of the app's, from the fewest entries to the most.
        part: type only one key in so many.

    Raises:
        ProgramEnded: one did.
    """
    rng = random.Random(11)
    large = ours[-1]
    rows = _steps(sessions, ours, _STEPS // part, rng)
    jumps: list[tuple[str, Callable[[int], bytes]]] = [
        ("page", lambda number: (target.PAGE_DOWN, target.PAGE_UP)[number % 9 == 8]),
        ("jump by the mouse on the timeline", lambda number: _button_down(rng)),
    ]
    for what, typed in jumps:
        paints = _interleaved({"hello": sessions["hello"], large: sessions[large]}, typed, _PAGES // part, rng)
        last, base = ([paint.last_ms for paint in paints[name]] for name in (large, "hello"))
        if not last or not base:
            rows.append(absent(f"{large}: {what}", "nothing was painted"))
            continue
        rows += [
            against(f"{large}: {what}, p50", median(last), median(base), "ms", "hello", most=_PAGE_MOST),
            alone(f"{large}: {what}, p99", p99(last), "ms", most=_PAGE_P99_MS, note=f"hello {p99(base):.1f} ms"),
            alone(f"{large}: bytes written a {what.split()[0]}", median([p.bytes for p in paints[large]]), "B",
                  most=_PAGE_BYTES),
        ]  # fmt: skip
    return rows


def _steps(sessions: Mapping[str, Session], ours: Sequence[str], count: int, rng: random.Random) -> list[Row]:
    small, large = ours[0], ours[-1]
    paints = _interleaved(sessions, lambda _: target.NEXT, count, rng)
    times = {name: [paint.last_ms for paint in found] for name, found in paints.items()}
    silent = [name for name, found in times.items() if not found]
    if silent:
        return [absent("steps", f"{silent[0]} painted nothing")]
    hello, last = times["hello"], times[large]
    rows = [
        against(f"{name}: step, all panels painted, p50", median(times[name]), median(hello), "ms", "hello",
                most=_STEP_MOST if name == large else None)
        for name in ours
    ]  # fmt: skip
    return [
        *rows,
        against(f"{large}: step p99", p99(last), p99(hello), "ms", "hello", most=_STEP_P99_MOST),
        alone(f"{large}: step p99", p99(last), "ms", most=_STEP_P99_MS, note=f"hello {p99(hello):.1f} ms"),
        against(f"{large} against {small}: step p50", median(last), median(times[small]), "ms", "fewest entries",
                most=_LARGE_MOST),
        alone(f"{large}: bytes written a step", median([p.bytes for p in paints[large]]), "B", most=_STEP_BYTES),
    ]  # fmt: skip


def _button_down(rng: random.Random) -> bytes:
    return target.press_mouse(rng.randrange(target.TIMELINE_FROM, target.TIMELINE_TO))


def cursor(session: Session, name: str, part: int) -> list[Row]:
    """Measure a cursor that moves in a pane and changes nothing else.

    Raises:
        ProgramEnded: it did.
    """
    session.press(target.INSPECT_PANE)
    moves = (target.CURSOR_DOWN, target.CURSOR_UP)
    paints = [paint for number in range(_PAGES // part) if (paint := session.press(moves[number % 2]))]
    session.press(target.HISTORY_PANE)
    if not paints:
        return [absent(f"{name}: bytes of a cursor move", "the cursor did not move")]
    return [alone(f"{name}: bytes of a cursor move", median([p.bytes for p in paints]), "B", most=_CURSOR_BYTES)]


def _interleaved(
    sessions: Mapping[str, Session], typed_at: Callable[[int], bytes], count: int, rng: random.Random
) -> dict[str, list[Paint]]:
    """Type to every program in an order that is random anew each time, at no fixed phase of its frame timer."""
    order = list(sessions)
    paints: dict[str, list[Paint]] = {name: [] for name in order}
    for number in range(count):
        rng.shuffle(order)
        for name in order:
            sessions[name].settle(rng.random() * 0.02)
            typed = target.NEXT if name == "hello" else typed_at(number)
            paint = sessions[name].press(typed)
            if typed.startswith(target.MOUSE):
                # Letting the button go is no part of the jump.
                sessions[name].press(target.release_mouse(target.TIMELINE_FROM))
            if paint is not None:
                paints[name].append(paint)
    return paints
