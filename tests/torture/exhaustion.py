"""A machine that has nothing left: every work on files is done with few file descriptors, and with no inotify instance."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from support.exhausting import few_descriptors, no_inotify_instances
from support.foreign_sources import FILES
from support.open_files import descriptors
from torture.campaign import Campaign, Outcome, Result, worst
from torture.scenarios import SCENARIOS, Scenario
from unspool import open_history
from unspool.errors import UnspoolError

MOST_LEFT = 30
"""File descriptors that are enough for anything."""
_FOREIGN = FILES[:: max(1, len(FILES) // 12)]


def _open_foreign(place: Path, *, follow: bool) -> Callable[[Path], object]:
    def work(folder: Path) -> None:
        with open_history(place, follow=follow) as history:
            for seq in range(min(len(history), 20)):
                history.state(seq)

    return work


class Exhaustion(Campaign):
    """Each work with so many descriptors left, with inotify or without."""

    name = "exhaustion"
    about = "every work on files with 0 to 30 file descriptors left, and with no inotify instance left"
    workers = 1

    def prepare(self, folder: Path, seed: int) -> int:
        self._before = folder / "before"
        works: list[tuple[str, Scenario | Callable[[Path], object]]] = []
        for scenario in SCENARIOS.values():
            before = self._before / scenario.name.replace(" ", "")
            before.mkdir(parents=True)
            scenario.prepare(before)
            works.append((scenario.name, scenario))
        for place in _FOREIGN:
            for follow in (False, True):
                works.append(
                    (f"open {place.name}{' and follow' if follow else ''}", _open_foreign(place, follow=follow))
                )
        self._begun: set[str] = set()
        self.cases = [
            (*work, left, taken) for left in range(MOST_LEFT + 1) for taken in (False, True) for work in works
        ]
        return len(self.cases)

    def run(self, case: int, folder: Path) -> Result:
        name, work, left, taken = self.cases[case]
        if name not in self._begun:
            # What is imported late is imported now: an app that has no descriptor left has long been running.
            first = self._do(name, work, folder / "first", ExitStack())
            if not first.outcome.is_fine:
                raise AssertionError(f"{name} fails with all that it needs: {first.told}")
            self._begun.add(name)
        limits = ExitStack()
        result = self._do(name, work, folder / "work", limits, left, taken)
        return Result(
            result.outcome, f"{name}: {result.told} [{left} descriptors left{', no inotify' if taken else ''}]"
        )

    def _do(
        self,
        name: str,
        work: Scenario | Callable[[Path], object],
        folder: Path,
        limits: ExitStack,
        left: int | None = None,
        taken: bool = False,
    ) -> Result:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(work, Scenario):
            shutil.copytree(self._before / name.replace(" ", ""), folder)
        else:
            folder.mkdir()
        acks: list[str] = []
        results = []
        with ExitStack() as silence:
            null = silence.enter_context(Path(os.devnull).open("w"))
            silence.enter_context(redirect_stdout(null))
            silence.enter_context(redirect_stderr(null))
            known = descriptors()
            if taken:
                limits.enter_context(no_inotify_instances())
            if left is not None:
                limits.enter_context(few_descriptors(left))
            with limits, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results.append(_attempt(work, folder, acks))
            stays = {leads for _, leads in descriptors() - known if not leads.startswith("/dev/")}
        if stays and results[0].outcome.is_fine:
            results.append(Result(Outcome.LOST, f"{len(stays)} descriptors stay open: {sorted(stays)[0]}"))
        if isinstance(work, Scenario) and results[0].outcome.is_fine:
            results.append(work.check(folder, acks, False))
        return worst(results)


def _attempt(work: Scenario | Callable[[Path], object], folder: Path, acks: list[str]) -> Result:
    try:
        if isinstance(work, Scenario):
            work.act(folder, acks.append)
        else:
            work(folder)
    except UnspoolError as error:
        return Result(Outcome.TYPED, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the case came to
        return Result(Outcome.UNTYPED, f"{type(error).__name__}: {error} {_place(error)}")
    return Result(Outcome.RIGHT)


def _place(error: BaseException) -> str:
    import traceback

    steps: Any = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(steps))
