"""Histories in PostgreSQL: read over a connection, recorded into a spool on this machine that a thread ships."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

SPOOL_BYTES: Final = 256 << 20
SERVER_S: Final = 30.0
CLOSE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class SpoolOptions:
    """How a recording into PostgreSQL is spooled.

    Attributes:
        folder: where spools lie; the user's state folder when None.
        limit_bytes: bound of one spool, in bytes.
        server_s: seconds that an entry waits for the server with durability `full`.
        close_s: seconds that closing goes on shipping.
    """

    folder: str | os.PathLike[str] | None = None
    limit_bytes: int = SPOOL_BYTES
    server_s: float = SERVER_S
    close_s: float = CLOSE_S
