"""What can go wrong with regions; every message names the place and the remedy."""

from __future__ import annotations

from unspool.errors import RegionError


class InvalidRegionValue(RegionError, ValueError):
    """A delta, address, position or field that does not have the shape it must have."""


class OutOfRange(InvalidRegionValue):
    """A number outside what its field can hold; nothing is ever wrapped around (row R-42)."""


class UnknownAction(InvalidRegionValue):
    """An action that neither the 19 of the seed nor the game's own table knows."""


class UnknownFate(InvalidRegionValue):
    """A disposition outside the closed set; there is no "deleted" (row R-56)."""


class FateRequired(InvalidRegionValue):
    """An item leaves its place in conservation mode without saying where it went (row R-57)."""


class DeltaConflict(RegionError):
    """A delta says the region was one thing and the region is another (row R-06)."""


class RegionFileError(RegionError):
    """A region file that is damaged, cut off, or of no form known here."""


class AmbiguousByteOrder(RegionFileError):
    """Records without a header that read equally well in both byte orders."""


class SnapshotMissing(RegionError):
    """A region file stands on a snapshot that is not there."""


class RegionStorageError(RegionError):
    """The disk or database refused; nothing was changed."""


class NotInRegion(RegionError):
    """A recorder was used outside a visit, or left a region with unsaved changes."""


class RegionWarning(UserWarning):
    """Something a player should know: a file kept aside, a change that did not fit its base."""
