"""A simulation with numpy and pandas: fields grow from week to week, and a storm takes half of one twice.

python examples/harvest.py harvest.unspool
unspool blame harvest.unspool 'farm.grain.values[2]'
unspool blame harvest.unspool farm.weather      # each cell, with the week that added it
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from unspool import Recorder

recorder = Recorder(sys.argv[1], caller=True)


@dataclass
class Farm:
    """Grain that stands in each field, in tons, and what the weather was."""

    grain: np.ndarray
    week: int = 0
    weather: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"week": [], "rain": []}))


def changed(farm: Farm, action: str) -> None:
    recorder.record({"farm": farm}, f"week {farm.week}: {action}", stacklevel=2)


def grow(farm: Farm, random: np.random.Generator) -> None:
    rain = random.uniform(0.5, 1.5)
    farm.week += 1
    farm.weather.loc[len(farm.weather)] = [farm.week, rain]
    farm.grain *= 1 + 0.2 * rain
    changed(farm, "grow")


def storm(farm: Farm, place: int) -> None:
    farm.grain[place] /= 2
    struck = np.argsort(farm.grain)[:1]
    # The weakest field is struck, which is the same one again.
    farm.grain[struck] /= 2
    changed(farm, f"storm over field {place}")  # wrong


def harvest(farm: Farm, place: int) -> float:
    tons = float(farm.grain[place])
    farm.grain[place] = 0
    changed(farm, f"harvest field {place}")
    return tons


def main() -> None:
    random = np.random.default_rng(7)
    farm = Farm(np.array([10.0, 12.0, 11.0, 9.5]))
    for _ in range(4):
        grow(farm, random)
    tons = harvest(farm, 3)
    storm(farm, 2)
    print(round(tons + farm.grain.sum(), 2))


if __name__ == "__main__":
    main()
