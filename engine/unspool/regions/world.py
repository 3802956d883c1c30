"""What a game plugs in: how its regions are made, and what its actions do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unspool.regions.address import RegionAddress, hash_seed
from unspool.regions.checks import Number
from unspool.regions.region import Region
from unspool.regions.region_file import Base
from unspool.regions.table import STANDARD_ACTIONS, ActionTable

Generator = Callable[[RegionAddress, str, Number], Region]
"""Makes a region from its address, template and seed; the same ones always give the same region."""


def companion_seed(address: RegionAddress, template: str) -> int:
    """Return the seed of the companion document's rule (`hash_seed`)."""
    return hash_seed(address.megasegment, address.region, template)


@dataclass(frozen=True, slots=True)
class World:
    """A game's rules for regions.

    Attributes:
        generate: makes a region.
        select_template: which template a region is made from.
        seed_of: which seed a region is made with; the companion document's rule unless the game has its own.
        actions: what the actions do.
    """

    generate: Generator
    select_template: Callable[[RegionAddress], str]
    seed_of: Callable[[RegionAddress, str], Number] = companion_seed
    actions: ActionTable = STANDARD_ACTIONS

    def base_of(self, address: RegionAddress, template: str | None = None, seed: Number | None = None) -> Base:
        """Return what a region is generated from; a template or seed that the caller knows comes first."""
        chosen = self.select_template(address) if template is None else template
        return Base(chosen, self.seed_of(address, chosen) if seed is None else seed)

    def pristine(self, address: RegionAddress, base: Base) -> Region:
        """Return the region as generated."""
        return self.generate(address, base.template, base.seed)
