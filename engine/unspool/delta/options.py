"""Options of computing and applying deltas (seed 000, rows N-12, N-13, N-18)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from unspool.delta.structural import Identity
from unspool.errors import ConfigError, UnspoolError
from unspool.model.options import require_bool, require_choice
from unspool.model.snapshots import Snapshot
from unspool.model.values import Value

Detection: TypeAlias = Literal["deep", "shallow", "reference"]
DETECTIONS: Final = ("deep", "shallow", "reference")
ChangeDetector: TypeAlias = Callable[[Value, Value], bool]
"""Given the old and the new value of an atom, says whether it changed."""
IdFactory: TypeAlias = Callable[[Snapshot, Snapshot], str]
"""Given the base and the target snapshot, returns the id of the delta between them."""


@dataclass(frozen=True, slots=True)
class DeltaOptions:
    """How a delta is computed.

    Attributes:
        change_detection: `deep` compares by structure at any depth; `shallow` compares the items of a container by
            identity; `reference` compares objects by identity and plain scalars by value. The last two need the
            objects the snapshots were captured from, and miss what was changed in place.
        deep_equal: the seed's older switch: true is `deep`, false is `shallow`; None leaves `change_detection`.
        change_detector: the app's own comparison, asked instead of `change_detection`.
        skip_empty: give None instead of a delta without changes.
        track_paths: tell for each change where inside the atom it lies.
        strict: let 1 and 1.0, and 0.0 and -0.0, differ.
        incremental: tell a modification by ops inside the atom where that is smaller.
        identity: identity keys of lists set by hand: pattern of a list's path, atom name first, to key name.
        validate: prove the delta by applying it to the base before handing it out.
        id_factory: gives delta ids; by default they follow from the two snapshots, so they are reproducible.
    """

    change_detection: Detection = "deep"
    deep_equal: bool | None = None
    change_detector: ChangeDetector | None = None
    skip_empty: bool = True
    track_paths: bool = False
    strict: bool = False
    incremental: bool = True
    identity: Identity | None = None
    validate: bool = False
    id_factory: IdFactory | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        require_choice("change_detection", self.change_detection, DETECTIONS)
        for option in ("skip_empty", "track_paths", "strict", "incremental", "validate"):
            require_bool(option, getattr(self, option))
        for option in ("change_detector", "id_factory"):
            if getattr(self, option) is not None and not callable(getattr(self, option)):
                raise ConfigError(f"{option} is {getattr(self, option)!r}; give a function of two arguments")
        if self.deep_equal is not None:
            require_bool("deep_equal", self.deep_equal)
            if self.deep_equal and self.change_detection != "deep":
                raise ConfigError(
                    f"deep_equal contradicts change_detection={self.change_detection!r}; give one of them"
                )
        if self.change_detector is not None and self.detection != "deep":
            raise ConfigError("change_detector replaces the comparison; leave change_detection and deep_equal out")

    @property
    def detection(self) -> Detection:
        """The comparison that is in force."""
        return "shallow" if self.deep_equal is False and self.change_detection == "deep" else self.change_detection


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How a delta is applied.

    Attributes:
        validate: refuse a delta for another base, an empty one, and one whose old values are not what stands there.
        skip_validation: the seed's other spelling of `validate=False`.
        immutable: give the result a read-only state; otherwise its `state` is a dict of its own. Neither shares
            anything writable with the base or the delta.
        on_error: is handed the error instead of having it raised; the result is None then.
    """

    validate: bool = True
    skip_validation: bool = False
    immutable: bool = True
    on_error: Callable[[UnspoolError], object] | None = None

    def __post_init__(self) -> None:
        for option in ("validate", "skip_validation", "immutable"):
            require_bool(option, getattr(self, option))
        if self.on_error is not None and not callable(self.on_error):
            raise ConfigError(f"on_error is {self.on_error!r}; give a function of one argument, the error")

    @property
    def checks(self) -> bool:
        """Whether validation is in force."""
        return self.validate and not self.skip_validation
