"""When a growing source is looked at: minutes of flood in simulated time, and timers that always fire."""

from __future__ import annotations

import random
from heapq import heappop, heappush
from pathlib import Path

import pytest
from tui_driver import drive, make_app, open_file

from unspool_tui.screens import follower
from unspool_tui.screens.follower import (
    BEAT,
    BEHIND,
    FOLLOWING_SHARE,
    LEAST_GAP,
    MOST_GAP,
    OVERDUE,
    Rhythm,
    after,
)

MINUTES = 10


class _Simulated:
    """A screen that follows a source in simulated time, with the follower's moves and timers that may be lost."""

    def __init__(self, chance: random.Random, *, lost: float, failing: float) -> None:
        self.now = 0.0
        self.written = self.shown = self.looks = 0
        self.worst = 0.0
        self._chance = chance
        self._lost = lost
        self._failing = failing
        self._rhythm = Rhythm()
        self._queue: list[tuple[float, int, str]] = []

    def put(self, wait: float, what: str) -> None:
        heappush(self._queue, (self.now + wait, len(self._queue), what))

    def run(self, until: float) -> None:
        """Let everything happen that is due by then."""
        while self._queue and self._queue[0][0] <= until:
            self.now, _, what = heappop(self._queue)
            getattr(self, what)()
            self.worst = max(self.worst, self._rhythm.behind(self.now))
        self.now = until

    def write(self) -> None:
        self.written += 1
        self._next(self._rhythm.told(self.now, LEAST_GAP))
        # Waits of every size come about, those far below a millisecond too.
        self.put(self._chance.choice((1 / 29, 1 / 29, LEAST_GAP + self._chance.random() * 1e-5)), "write")

    def timer(self) -> None:
        if not self._rhythm.is_looking:
            self.look()

    def look(self) -> None:
        assert not self._rhythm.is_looking
        self.looks += 1
        self._rhythm.begin(self.now)
        self._seen = self.written
        self.put(self._chance.choice((0.0004, 0.002, 0.05)), "looked")

    def looked(self) -> None:
        fails = self._chance.random() < self._failing
        if not fails:
            self.shown = self._seen
        self._next(self._rhythm.end(self.now, LEAST_GAP, found=not fails))

    def beat(self) -> None:
        self.put(BEAT, "beat")
        late = self._rhythm.overdue(self.now) or self._rhythm.behind(self.now)
        if late and not self._rhythm.is_looking:
            self.look()

    def _next(self, wait: float | None) -> None:
        if wait == 0:
            self.look()
        elif wait is not None and self._chance.random() >= self._lost:
            self.put(wait, "timer")


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("lost", "failing"), [(0.0, 0.0), (0.002, 0.0), (0.5, 0.0), (1.0, 0.0), (0.01, 0.2)])
def test_minutes_of_flood_never_stop_the_looks_however_many_timers_are_lost(lost: float, failing: float) -> None:
    screen = _Simulated(random.Random(7), lost=lost, failing=failing)
    screen.put(0, "write")
    screen.put(0, "beat")
    screen.run(MINUTES * 60)
    assert screen.written > MINUTES * 60 * 25
    assert screen.written - screen.shown <= 29 * BEHIND
    assert screen.worst < BEAT * (8 if failing else 1.2)
    assert screen.looks > MINUTES * 60 * (2 if lost == 1 else 10)
    # Two looks never begin within the gap, unless one failed or was lost.
    assert screen.looks < MINUTES * 60 * 32


def test_what_is_due_within_milliseconds_is_due_now() -> None:
    times = Rhythm()
    times.begin(10.0)
    times.end(10.001, LEAST_GAP)
    assert times.told(10.0 + LEAST_GAP - 1e-7, LEAST_GAP) == 0.0
    assert times.told(10.0 + LEAST_GAP - 0.02, LEAST_GAP) == pytest.approx(0.02)


def test_a_wait_that_does_not_end_is_made_up_for_by_the_next_word_or_by_asking() -> None:
    times = Rhythm()
    times.begin(10.0)
    times.end(10.001, LEAST_GAP)
    wait = times.told(10.01, LEAST_GAP)
    assert wait is not None
    assert wait > 0
    due = 10.01 + wait
    assert times.told(due + 0.01, LEAST_GAP) is None
    assert not times.overdue(due + 0.01)
    assert times.overdue(due + OVERDUE + 0.01)
    assert times.told(due + OVERDUE + 0.01, LEAST_GAP) == 0.0
    assert times.behind(due + 1) == pytest.approx(due + 1 - 10.01)


def test_what_came_during_a_look_is_looked_at_after_it_and_a_failed_one_leaves_the_source_newer() -> None:
    times = Rhythm()
    assert times.told(1.0, LEAST_GAP) == 0.0
    times.begin(1.0)
    assert times.told(1.5, LEAST_GAP) is None
    assert times.end(2.0, LEAST_GAP) == 0.0
    times.begin(2.0)
    assert times.end(2.1, LEAST_GAP, found=False) is None
    assert times.behind(4.0) == pytest.approx(2.5)
    assert times.since_look(4.0) == pytest.approx(3.0)


async def test_the_shortest_waits_end_every_time(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file))) as driver:
        fired: list[int] = []
        for number in range(300):
            after(driver.app.main, 1e-7, lambda number=number: fired.append(number))
        await driver.until(lambda: len(fired) == 300)
        called_off = after(driver.app.main, 0.01, lambda: fired.append(-1))
        called_off.cancel()
        after(driver.app.main, 0.03, lambda: fired.append(300))
        await driver.until(lambda: fired[-1] == 300)
        assert -1 not in fired


def test_no_part_of_the_app_uses_timers_that_can_be_lost() -> None:
    package = Path(follower.__file__).parent
    users = [path.name for path in package.rglob("*.py") if "set_timer(" in path.read_text("utf-8")]
    assert users == []


async def test_no_wait_outlives_the_look_that_it_was_for(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file))) as driver:
        following = driver.app.main.follower
        following._look_in(60.0)
        first = following._waiting
        following._look_in(60.0)
        second = following._waiting
        assert first is not None
        assert second is not None
        assert first.cancelled()
        following.look()
        assert second.cancelled(), "two waits at once have every later look done twice as often"
        await driver.settle()


async def test_looks_that_cost_much_are_further_apart_and_never_too_far(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file))) as driver:
        following = driver.app.main.follower
        for cost, gap in ((0.0, LEAST_GAP), (0.5 * LEAST_GAP * FOLLOWING_SHARE, LEAST_GAP), (9.0, MOST_GAP)):
            following._cost = cost
            assert following._gap == gap
        following._cost = 0.06 * FOLLOWING_SHARE
        assert following._gap == pytest.approx(0.06)
