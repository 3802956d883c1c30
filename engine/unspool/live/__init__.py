"""Live: recording a program that nobody instrumented: what runs in it, and what holds the other end."""

from unspool.live.source import agent_source, attach_text

__all__ = ["agent_source", "attach_text"]
