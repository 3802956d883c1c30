"""Listening to stores of running apps: Redux and its kin over their own protocols, any other program over HTTP."""

from __future__ import annotations

from unspool.live.listen.histories import Kept
from unspool.live.listen.server import Listener, Listening

__all__ = ["Kept", "Listener", "Listening"]
