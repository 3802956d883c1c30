"""Faults of the disk: every call of the system that looks at or changes a file fails once, or from then on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from torture.campaign import Campaign, Outcome, Result, worst
from torture.scenarios import SCENARIOS, Scenario
from torture.shimmed import ACKS, ERRORS, Server, compiled
from unspool import Recorder
from unspool.errors import UnspoolError

WAYS = (("full", True), ("failing", False), ("failing", True), ("short", False))
"""What a call meets, and whether all later ones meet it too."""


class Faults(Campaign):
    """One call of the system after the other fails, in each scenario."""

    name = "I/O faults"
    about = "ENOSPC, EIO and short writes at every open, read, write, sync, rename, link, unlink of every scenario"

    def prepare(self, folder: Path, seed: int) -> int:
        self._shim = compiled(folder)
        self._before = folder / "before"
        self._server: Server | None = None
        server = Server(self._shim)
        self.cases = []
        try:
            for scenario in SCENARIOS.values():
                calls = self._calls_of(scenario, server)
                self.cases += [(scenario, at, way) for at in range(calls) for way in WAYS]
        finally:
            server.close()
        return len(self.cases)

    def _calls_of(self, scenario: Scenario, server: Server) -> int:
        before = self._folder_before(scenario)
        before.mkdir(parents=True)
        scenario.prepare(before)
        (before / ACKS).touch()
        work = before.with_name(f"{before.name}-work")
        shutil.copytree(before, work)
        found = server.run(scenario=scenario.name, folder=str(work))
        if found["outcome"] != Outcome.RIGHT:
            raise AssertionError(f"{scenario.name} fails without a fault: {found['told']}")
        return int(found["calls"])

    def _folder_before(self, scenario: Scenario) -> Path:
        return self._before / scenario.name.replace(" ", "")

    def run(self, case: int, folder: Path) -> Result:
        scenario, at, (what, stays) = self.cases[case]
        if self._server is None:
            self._server = Server(self._shim)
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self._folder_before(scenario), work)
        found = self._server.run(
            scenario=scenario.name,
            folder=str(work),
            at=at,
            error=ERRORS.get(what, 0),
            stays=stays,
            short=what == "short",
        )
        results = [Result(Outcome(found["outcome"]), found["told"])]
        if results[0].outcome is not Outcome.UNTYPED:
            results.append(scenario.check(work, found["acks"], False))
            results.append(_nothing_left(work, found["left"]))
        result = worst(results)
        return Result(
            result.outcome, f"{scenario.name}: {result.told} [call {at}: {what}{', and all later' if stays else ''}]"
        )

    def finish(self) -> Iterator[Result]:
        if self._server is not None:
            self._server.close()
        yield from ()


def _nothing_left(folder: Path, descriptors: list[str]) -> Result:
    """Nothing stays open, and the file can be recorded into again as soon as the disk works."""
    if descriptors:
        return Result(Outcome.LOST, f"{len(descriptors)} descriptors stay open: {descriptors[0]}")
    try:
        with Recorder(folder / "again.unspool", on_error="raise") as recorder:
            recorder.record({"a": 1})
    except UnspoolError as error:
        return Result(Outcome.LOST, f"the folder cannot be recorded into afterwards: {error}")
    return Result(Outcome.RIGHT)
