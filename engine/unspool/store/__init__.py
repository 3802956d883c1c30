"""Entries at rest, behind one small protocol."""

from unspool.store.file import FileStore
from unspool.store.memory import MemoryStore
from unspool.store.protocol import Columns, Draft, RecordRun, Store

__all__ = ["Columns", "Draft", "FileStore", "MemoryStore", "RecordRun", "Store"]
