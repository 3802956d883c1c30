"""LangGraph's tables in PostgreSQL, filled as its saver fills them, from a database of its saver for SQLite."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import ormsgpack

TABLES = """
CREATE TABLE checkpoints (thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '', checkpoint_id TEXT NOT NULL,
  parent_checkpoint_id TEXT, type TEXT, checkpoint JSONB NOT NULL, metadata JSONB NOT NULL DEFAULT '{}',
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id));
CREATE TABLE checkpoint_blobs (thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '', channel TEXT NOT NULL,
  version TEXT NOT NULL, type TEXT NOT NULL, blob BYTEA, PRIMARY KEY (thread_id, checkpoint_ns, channel, version));
CREATE TABLE checkpoint_writes (thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '',
  checkpoint_id TEXT NOT NULL, task_id TEXT NOT NULL, idx INTEGER NOT NULL, channel TEXT NOT NULL, type TEXT,
  blob BYTEA NOT NULL, task_path TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx));
"""


def read_rows(path: Path) -> tuple[list[Any], list[Any]]:
    """Return the checkpoints and writes of an SQLite database."""
    connection = sqlite3.connect(path)
    try:
        checkpoints = "SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata FROM checkpoints ORDER BY checkpoint_id"
        writes = "SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, value FROM writes"
        return connection.execute(checkpoints).fetchall(), connection.execute(writes).fetchall()
    finally:
        connection.close()


def put_checkpoint(connection: Any, row: Any) -> None:
    """Store one checkpoint: plain values in its JSON, everything else in a row of its own for each version."""
    thread, namespace, identity, parent, data, metadata = row
    checkpoint = ormsgpack.unpackb(data, ext_hook=ormsgpack.Ext, option=ormsgpack.OPT_NON_STR_KEYS)
    values = checkpoint.pop("channel_values")
    inline = {
        name: value for name, value in values.items() if value is None or isinstance(value, str | int | float | bool)
    }
    for channel, version in checkpoint["channel_versions"].items():
        if channel in inline:
            continue
        held = ("msgpack", ormsgpack.packb(values[channel])) if channel in values else ("empty", None)
        connection.execute(
            "INSERT INTO checkpoint_blobs VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (thread, namespace, channel, version, *held),
        )
    document = json.dumps({**checkpoint, "channel_values": inline})
    connection.execute(
        "INSERT INTO checkpoints VALUES (%s, %s, %s, %s, NULL, %s, %s)",
        (
            thread,
            namespace,
            identity,
            parent,
            document,
            metadata.decode() if isinstance(metadata, bytes) else metadata,
        ),
    )


def put_writes(connection: Any, rows: list[Any]) -> None:
    """Store writes."""
    for row in rows:
        connection.execute("INSERT INTO checkpoint_writes VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", row)
