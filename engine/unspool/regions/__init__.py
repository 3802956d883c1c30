"""Region deltas: a generated base plus recorded actions (seed 003).

A game gives a `World` its generator; `RegionStore.load` returns a region as generated with every recorded change on
it, `DeltaRecorder` records the next ones. Nothing is stored for regions that nobody changed.
"""

from unspool.errors import RegionError
from unspool.regions.address import Position, RegionAddress, RingworldAddress, hash_seed
from unspool.regions.apply import Applied, apply_delta, apply_deltas, replay_to
from unspool.regions.checks import (
    AmbiguousByteOrder,
    DeltaConflict,
    FateRequired,
    InvalidRegionValue,
    NotInRegion,
    OutOfRange,
    RegionFileError,
    RegionStorageError,
    RegionWarning,
    SnapshotMissing,
    UnknownAction,
    UnknownFate,
)
from unspool.regions.conservation import Audit, ItemAccount, audit, require_fate
from unspool.regions.deltas import (
    Conflict,
    Effect,
    Movement,
    MovementKind,
    Reducer,
    RegionDelta,
    Write,
    in_tick_order,
)
from unspool.regions.folding import compress_deltas
from unspool.regions.formats import (
    DirectoryStorage,
    FileForm,
    RegionDocument,
    RegionStorage,
    SqliteStorage,
    decode_region,
    encode_region,
    read_region_file,
    write_region_file,
)
from unspool.regions.generator import RegionTemplate, World, demo_world, generate_region
from unspool.regions.payloads import (
    BuildingDelta,
    CustomDelta,
    DeltaAction,
    Fate,
    FateKind,
    ItemDelta,
    NPCDelta,
    NPCState,
    Payload,
    TerrainDelta,
)
from unspool.regions.recorder import DeltaRecorder
from unspool.regions.records import HeaderlessRecords, read_records, write_records
from unspool.regions.region import Building, ItemStack, Layer, Npc, Region, RegionView, unknown_region
from unspool.regions.region_file import (
    Base,
    MultiplayerRegionDelta,
    RegionDeltaComponent,
    RegionDeltaFile,
    SnapshotReference,
)
from unspool.regions.state import RegionMoment, RegionSnapshot, region_history, region_state
from unspool.regions.store import LoadedRegion, RegionStore
from unspool.regions.table import STANDARD_ACTIONS, ActionRule, ActionTable

__all__ = [
    "STANDARD_ACTIONS",
    "ActionRule",
    "ActionTable",
    "AmbiguousByteOrder",
    "Applied",
    "Audit",
    "Base",
    "Building",
    "BuildingDelta",
    "Conflict",
    "CustomDelta",
    "DeltaAction",
    "DeltaConflict",
    "DeltaRecorder",
    "DirectoryStorage",
    "Effect",
    "Fate",
    "FateKind",
    "FateRequired",
    "FileForm",
    "HeaderlessRecords",
    "InvalidRegionValue",
    "ItemAccount",
    "ItemDelta",
    "ItemStack",
    "Layer",
    "LoadedRegion",
    "Movement",
    "MovementKind",
    "MultiplayerRegionDelta",
    "NPCDelta",
    "NPCState",
    "NotInRegion",
    "Npc",
    "OutOfRange",
    "Payload",
    "Position",
    "Reducer",
    "Region",
    "RegionAddress",
    "RegionDelta",
    "RegionDeltaComponent",
    "RegionDeltaFile",
    "RegionDocument",
    "RegionError",
    "RegionFileError",
    "RegionMoment",
    "RegionSnapshot",
    "RegionStorage",
    "RegionStorageError",
    "RegionStore",
    "RegionTemplate",
    "RegionView",
    "RegionWarning",
    "RingworldAddress",
    "SnapshotMissing",
    "SnapshotReference",
    "SqliteStorage",
    "TerrainDelta",
    "UnknownAction",
    "UnknownFate",
    "World",
    "Write",
    "apply_delta",
    "apply_deltas",
    "audit",
    "compress_deltas",
    "decode_region",
    "demo_world",
    "encode_region",
    "generate_region",
    "hash_seed",
    "in_tick_order",
    "read_records",
    "read_region_file",
    "region_history",
    "region_state",
    "replay_to",
    "require_fate",
    "unknown_region",
    "write_records",
    "write_region_file",
]
