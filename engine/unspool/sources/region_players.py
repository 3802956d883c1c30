"""What the players of one region see: each alone, or all beside one another."""

from __future__ import annotations

from collections.abc import Iterator

from unspool.model.values import State
from unspool.regions.deltas import RegionDelta
from unspool.regions.multiplayer import MultiplayerRegionDelta
from unspool.regions.state import RegionMoment, region_history
from unspool.sources.region_salvage import ACTIONS, RegionSource

Told = tuple[tuple[str | None, RegionDelta], ...]
"""Deltas in the order they apply, each with the player whose personal one it is."""


def in_order(document: RegionSource, player: str | None) -> Told:
    """Return the deltas to tell: of a multiplayer file those of one player, or of all."""
    if not isinstance(document, MultiplayerRegionDelta):
        return tuple((None, delta) for delta in document.deltas_for())
    told: list[tuple[str | None, RegionDelta]] = [(None, delta) for delta in document.shared_deltas]
    for owner, deltas in document.personal_deltas.items():
        if player in (None, owner):
            told.extend((owner, delta) for delta in deltas)
    return tuple(sorted(told, key=lambda item: item[1].tick))


def moments(document: RegionSource, deltas: Told, player: str | None) -> Iterator[RegionMoment]:
    """Yield the region after each delta, as one player sees it, or as everyone does with each player's layers beside."""
    if player is not None or not isinstance(document, MultiplayerRegionDelta):
        yield from region_history(document, actions=ACTIONS, player=player)
        return
    shared = region_history(document, actions=ACTIONS)
    views = {name: _PlayerView(document, name) for name in document.players}
    state = state_before(document)
    for owner, _ in deltas:
        if owner is None:
            moment = next(shared)
            state = moment.state
            for view in views.values():
                view.follow()
        else:
            moment = views[owner].act()
        beside = {name: value for view in views.values() for name, value in view.layers().items()}
        yield moment._replace(state={**state, **beside})


def state_before(document: RegionSource) -> State:
    """Return what is known of a region before its first delta."""
    return next(region_history(document, actions=ACTIONS, include_base=True)).state


class _PlayerView:
    """The region as one player sees it, delta by delta."""

    def __init__(self, document: MultiplayerRegionDelta, player: str) -> None:
        self._moments = region_history(document, actions=ACTIONS, player=player)
        self._player = player
        self._state = state_before(document)
        self._own: dict[str, None] = {}

    def follow(self) -> None:
        """Go on by a delta that everyone sees."""
        self._state = next(self._moments).state

    def act(self) -> RegionMoment:
        """Go on by a delta of the player's own; the layers it touches are the player's from here on."""
        moment = next(self._moments)
        names = {**self._state, **moment.state}
        # Layers that a delta leaves alone are the same objects before and after it.
        self._own.update({name: None for name in names if self._state.get(name) is not moment.state.get(name)})
        self._state = moment.state
        return moment

    def layers(self) -> State:
        """Return the player's own layers, under the player's name."""
        return {f"{self._player} {name}": self._state[name] for name in self._own if name in self._state}
