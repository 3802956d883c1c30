"""`open_history`: any source as a history."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from unspool.delta.identity import canonical_identity
from unspool.errors import is_postgres
from unspool.model.limits import Limits, asked_for
from unspool.model.paths import parse_path
from unspool.opened import NATIVE_NAMES, OpenHistory, is_native, open_native


def open_history(
    source: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - the name users know from --format
    identity: Mapping[str, str] | None = None,
    poll: float | None = None,
    follow: bool = True,
    wait: bool = True,
    folds: Mapping[str, str] | None = None,
    select: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    time: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    cache: bool = False,
) -> OpenHistory:
    """Open any source as a history.

    A foreign source is read into a temporary native file, which `close` removes. `OpenHistory.refresh` reads what came
    since; a file that an app rewrites is followed from a thread, so that no save is missed between two calls.

    Args:
        source: a path, `-` for standard input, `git:REPO:PATH[@REV]`, or `postgresql://USER@HOST/DATABASE`, with
            `?history=NAME` for one that a recorder keeps there.
        format: name of its format; detected by content when None.
        identity: keys that distinguish the records of a list, by path pattern, such as `{"Incidents[*]": "UniqueId"}`;
            they go before those that a native file was recorded with, and an empty key leaves the list to detection.
        poll: look for changes every so many seconds instead of waiting for events (network drives).
        follow: keep up with a source that grows.
        wait: return when everything that is there has been read; otherwise after the first entry, and a thread reads on.
        folds: how LangGraph channels stored as writes are folded: `append`, `merge` or `messages`, by channel.
        select: which part of a file that holds several is wanted: `{"player": "alice"}` (region files), `{"space": id}`
            (event logs), `{"thread": id}` (LangGraph), `{"order": "little"}` (region records without a header).
        limits: how much a foreign source may ask of this machine; those of the process when None.
        time: path to the time of each record (`header.sent`), where it stands under no usual name.
        progress: told how much of how much of a foreign source has been read, as often as an entry comes.
        cache: keep what is read of a foreign source in the user's cache folder, and take it from there as long as the source
            does not change; only where the source is waited for and not followed. `refresh` finds nothing new then.

    Raises:
        UnreadableSource: it is missing, unreadable, of an unknown format, or nothing in it could be read.
        ConfigError: an option is not valid.
        PathSyntaxError: an identity key's path is none.
        CorruptHistory: a native file is damaged.
    """
    name = os.fspath(source)
    keys = canonical_identity(identity)
    if is_in_postgres(name, format):
        return _open_postgres(name, keys)
    if is_native(name, format):
        if select:
            from unspool.sources.detection import NATIVE, check_parts  # see below

            check_parts(NATIVE, select)
        return open_native(Path(name), keys)
    # Everything that foreign formats need takes longer to import than a native file takes to open.
    from unspool.sources.entries import Reading

    reading = Reading(
        format=format,
        follow=follow,
        poll=poll,
        folds=dict(folds or {}),
        select=dict(select or {}),
        limits=limits or asked_for(),
        time=parse_path(time) if time else (),
        progress=progress,
    )
    if cache and wait and not follow:
        from unspool.sources.source_cache import (
            open_through_cache,  # reads what is kept without all that reads sources
        )

        return open_through_cache(name, reading, identity=keys)
    from unspool.sources.foreign import open_foreign  # see above: all that reads sources

    return open_foreign(name, reading, identity=keys, wait=wait)


def is_in_postgres(source: str, format_name: str | None) -> bool:
    """Whether a source is a history that a recorder keeps in PostgreSQL.

    Raises:
        UnreadableSource, MissingExtra: its server cannot be asked.
    """
    if not is_postgres(source):
        return False
    if format_name is not None:
        return format_name in NATIVE_NAMES
    from unspool.sources.formats.langgraph_postgres import holds_histories  # its driver is an extra

    return holds_histories(source)


def _open_postgres(address: str, identity: Mapping[str, str] | None) -> OpenHistory:
    # Its driver is an extra, and only such addresses need it.
    from unspool.store.postgres.reading import PostgresStore

    store = PostgresStore.open(address)
    keys = {**store.identity(), **(identity or {})}
    return OpenHistory(store, identity=keys, watch=lambda: store.watch_paths)
