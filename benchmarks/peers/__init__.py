"""What unspool is compared with, one module a peer. A peer that is not installed says so and is left out."""

from __future__ import annotations


class PeerAbsent(Exception):
    """A peer is not installed or cannot run here; the message says which and why."""
