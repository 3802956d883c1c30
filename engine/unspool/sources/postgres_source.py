"""A PostgreSQL address as a source: a history that a recorder keeps there, or LangGraph's checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

from unspool.errors import ConfigError
from unspool.sources.choices import Choice, by_thread
from unspool.sources.entries import Reader
from unspool.sources.langgraph_postgres import PostgresCheckpointReader
from unspool.store.postgres.connection import Link, parse_target
from unspool.store.postgres.tables import has_tables

_LANGGRAPH = "langgraph"
_PARTS = (
    "SELECT thread_id, checkpoint_ns, count(*) FROM checkpoints GROUP BY thread_id, checkpoint_ns "
    "ORDER BY max(checkpoint_id) DESC, checkpoint_ns"
)


def holds_histories(address: str) -> bool:
    """Say whether an address is that of a recorded history: it names one, or its database holds nothing else.

    Raises:
        UnreadableSource, MissingExtra: the server cannot be reached.
    """
    target = parse_target(address)
    if target.history is not None:
        return True
    link = Link(target, read_only=True)
    try:
        has_checkpoints = link.fetch("SELECT to_regclass('checkpoints')")[0][0] is not None
        return not has_checkpoints and link.ask(has_tables)
    finally:
        link.close()


def checkpoint_choices(address: str) -> tuple[Choice, ...]:
    """Return the threads and namespaces of LangGraph's checkpoints that can be shown one by one.

    Raises:
        UnreadableSource, MissingExtra: the server cannot be reached.
    """
    if holds_histories(address):
        return ()
    link = Link(parse_target(address), read_only=True)
    try:
        return by_thread((str(thread), str(name), count) for thread, name, count in link.fetch(_PARTS))
    finally:
        link.close()


def open_checkpoints(
    address: str, format_name: str | None, folds: Mapping[str, str], select: Mapping[str, str]
) -> tuple[str, Reader]:
    """Return what to call LangGraph's checkpoints in a database, and their reader.

    Raises:
        UnreadableSource: there are none, or the server cannot be reached.
        ConfigError: another format was asked for.
    """
    target = parse_target(address)
    if format_name not in (None, _LANGGRAPH):
        raise ConfigError(f"a PostgreSQL database is read as unspool or langgraph; leave --format {format_name} out")
    return target.shown, PostgresCheckpointReader(target, folds, select)
