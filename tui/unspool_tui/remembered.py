"""What is remembered of a source beside the place in it: identity keys set by hand, and the part that was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from unspool.errors import ConfigError, UnspoolError
from unspool.model.addresses import without_password
from unspool_tui.places import file_name, keep, state_folder
from unspool_tui.source import Source

_FOLDER: Final = "sources"


class Remembered(Struct, omit_defaults=True):
    """What holds whenever a source is opened.

    Attributes:
        source: the source, for whoever looks into the file.
        identity: keys that tell the records of lists apart, by path pattern; an empty one leaves it to detection.
        select: which part of it was chosen in the app.
    """

    source: str = ""
    identity: dict[str, str] = field(default_factory=dict)
    select: dict[str, str] = field(default_factory=dict)


def recall(source: Source) -> Remembered:
    """Return what is remembered of a source; damage means nothing is."""
    path = _file_of(source)
    if path is None or not path.exists() or not _may_remember():
        return Remembered()
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(path.read_bytes(), type=Remembered)
    return Remembered()


def keep_identity(source: Source, identity: Mapping[str, str]) -> None:
    """Remember identity keys of a source, beside those that are remembered already."""
    known = recall(source)
    _write(source, replace(known, identity={**known.identity, **identity}))


def keep_choice(source: Source, select: Mapping[str, str]) -> None:
    """Remember which part of a source was chosen, in place of what was."""
    _write(source, replace(recall(source), select=dict(select)))


def with_identity(source: Source) -> Source:
    """Return a source with the identity keys that are remembered of it; those given with it go first."""
    known = recall(source).identity
    return replace(source, identity={**known, **source.identity}) if known else source


def with_choice(source: Source) -> Source:
    """Return a source with the part that was chosen when it was last looked at, unless one is named with it."""
    known = {} if source.select else recall(source).select
    return replace(source, select=known) if known else source


def _file_of(source: Source) -> Path | None:
    key = source.key
    return state_folder() / _FOLDER / f"{file_name(key)}.json" if key else None


def _may_remember() -> bool:
    """Say whether the person lets the app remember; settings that are not valid are told where they matter."""
    from unspool_tui.settings import load_settings

    with suppress(ConfigError):
        return load_settings().remember
    return True


def _write(source: Source, remembered: Remembered) -> None:
    path = _file_of(source)
    if path is None or not _may_remember():
        return
    content = msgspec.json.encode(replace(remembered, source=without_password(source.name)))
    with suppress(UnspoolError):
        keep(path, content)
