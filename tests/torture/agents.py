"""The agent in random programs: every entry held against brute force, and faults in it that its program must not see."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.agent_trials import exact_trial, faulty_trial, loose_trial
from support.live_host import monitored, pythons
from torture.campaign import Campaign, Outcome, Result, Skipped

_CASES = 1_000_000
_LEAST_NAMED = 0.8
"""Share of the changes of one program that an exact recording has the line of; of many programs it is far more."""


class _Agents(Campaign):
    """Cases go round the Pythons that are installed: all of them have the same programs."""

    limit_s = 120.0
    memory = 0

    def prepare(self, folder: Path, seed: int) -> int:
        self._versions = self.versions()
        if not self._versions:
            raise Skipped("no Python that the agent sees events in is installed")
        self._first = seed
        return _CASES

    def versions(self) -> list[str]:
        """Return the Pythons that cases run under."""
        return list(pythons())

    def run(self, case: int, folder: Path) -> Result:
        turn, number = divmod(case, len(self._versions))
        version, seed = self._versions[number], self._first + turn
        own = folder / "program"
        own.mkdir(exist_ok=True)
        try:
            self.trial(own, seed, version)
        except AssertionError as error:
            return Result(Outcome.WRONG, f"Python {version}, program {seed}: {str(error)[:400]}")
        finally:
            shutil.rmtree(own, ignore_errors=True)
        return Result(Outcome.RIGHT)

    def trial(self, folder: Path, seed: int, version: str) -> None:
        """Run one program; raise AssertionError where it is not as promised."""
        raise NotImplementedError


class Oracle(_Agents):
    """Random programs against a reference that walks their whole state after each instruction."""

    name = "agent"
    about = "random programs under the agent, exact and not: each entry is a state they had, or is marked"

    def trial(self, folder: Path, seed: int, version: str) -> None:
        changes, named = exact_trial(folder, seed, version)
        assert named >= _LEAST_NAMED * changes, f"{named} of {changes} changes have their line"
        loose_trial(folder, seed, version)


class AgentFaults(_Agents):
    """Errors planted at a random statement of the agent."""

    name = "agent faults"
    about = "an error at any statement of the agent: output, exit code and exceptions of the program stay its own"

    def versions(self) -> list[str]:
        return monitored()

    def trial(self, folder: Path, seed: int, version: str) -> None:
        faulty_trial(folder, seed, version)
