"""Histories for programs that speak the Model Context Protocol: read-only tools over standard input and output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from itertools import islice
from typing import Any, Final

from unspool.delta.json_patch import state_patch
from unspool.errors import MissingExtra, PathSyntaxError
from unspool.history.history import History
from unspool.model.json_text import to_json
from unspool.model.paths import format_path, parse_path
from unspool.model.values import Value
from unspool.sources.timestamps import iso_time
from unspool_tui.cli.shapes import diff_shape, entry_shape, show_shape, stats_shape

MOST_CHARACTERS: Final = 60_000
"""Characters of one answer: whoever asks reads all of it, so a larger one is refused with the way to ask for less."""
_HITS: Final = 200
_ENTRIES: Final = 500
_HOMES: Final = (("mcp.server.mcpserver", "MCPServer"), ("mcp.server.fastmcp", "FastMCP"))
"""Where releases 2 and 1 of the package keep the server."""

Tool = Callable[..., str]


class HistoryTools:
    """What can be asked about one history; every answer is JSON text."""

    def __init__(self, history: History) -> None:
        """Answer about an open history, which is brought up to date before each question."""
        self._history = history

    def list_entries(self, start: int = 0, count: int = 50, atom: str = "") -> str:
        """List entries in order: number, kind, time, action, how many atoms changed, sizes.

        A negative start counts from the end. With an atom, only entries that changed it are listed.
        """
        history = self._now()
        first = max(len(history) + start, 0) if start < 0 else start
        wanted = min(max(count, 1), _ENTRIES)
        if atom:
            entries = [history[seq] for seq in islice(history.writes(atom, first), wanted)]
        else:
            entries = history[first : first + wanted]
        return _answer(
            {"total": len(history), "entries": [entry_shape(entry) for entry in entries]}, "a smaller count"
        )

    def show(self, entry: int = -1, path: str = "") -> str:
        """Show the state at an entry, or the value at a path such as cart.items[2].qty.

        Negative entries count from the end; -1 is the newest.
        """
        history = self._now()
        found = history[entry]
        if not path:
            return _answer(show_shape(found, history.state(entry)), "a path, or the list of atoms in stats")
        shape = show_shape(found, {})
        del shape["state"]
        return _answer({**shape, "path": path, "value": _value_at(history, entry, path)}, "a longer path")

    def diff(self, a: int, b: int, patch: bool = False) -> str:
        """Tell what changed from entry a to entry b, atom by atom; with patch, as an RFC 6902 JSON Patch."""
        history = self._now()
        if patch:
            return _answer(
                state_patch(history.state(a), history.state(b), history.identity), "entries that are closer"
            )
        return _answer(diff_shape(history.diff(a, b)), "entries that are closer")

    def blame(self, path: str = "", entry: int = -1) -> str:
        """Tell for each value at and below a path which entry last set it, when, and by which action."""
        from unspool.query.blame import blame

        found = blame(self._now(), entry, parse_path(path), skip_damaged=True)
        values = [
            {
                "path": format_path(one.path, root=""), "value": one.value, "seq": one.seq, "action": one.action,
                "timestamp": iso_time(one.timestamp_ns), "certain": one.certain,
            }
            for one in found.values
        ]  # fmt: skip
        return _answer({"at": found.at, "values": values, "complete": found.complete}, "a longer path")

    def bisect(self, expression: str) -> str:
        """Find the entries at which an expression over the state, such as `cart.total > 100`, flips its answer."""
        from unspool.query.bisect import bisect

        found = bisect(self._now(), expression, skip_damaged=True)
        flips = [{"seq": flip.seq, "holds": flip.holds} for flip in found.flips[:_HITS]]
        return _answer(
            {
                "holds_first": found.holds_first, "holds_last": found.holds_last, "flips": flips,
                "flips_in_all": len(found.flips), "complete": found.complete,
            },
            "a simpler expression",
        )  # fmt: skip

    def search(self, text: str, start: int = 0, limit: int = 50) -> str:
        """Find a text, or a comparison such as `qty > 3`, in keys, paths and values of all entries, oldest first."""
        from unspool.query.search import search
        from unspool.query.search_queries import parse_query

        running = search(self._now(), parse_query(text), start=max(start, 0), skip_damaged=True)
        wanted = min(max(limit, 1), _HITS)
        hits = [
            {"seq": hit.seq, "path": format_path(hit.path, root=""), "kind": hit.kind.value, "text": hit.text}
            for hit in islice(running, wanted)
        ]
        return _answer({"hits": hits, "complete": running.complete}, "a smaller limit")

    def stats(self) -> str:
        """Tell counts, chains, sizes, codecs, bytes by atom, rebuild times and health."""
        return _answer(stats_shape(self._now().stats()), "the entries one by one")

    def _now(self) -> History:
        self._history.refresh()
        return self._history

    def tools(self) -> Mapping[str, Tool]:
        """Return the tools by name."""
        return {
            "list": self.list_entries, "show": self.show, "diff": self.diff, "blame": self.blame,
            "bisect": self.bisect, "search": self.search, "stats": self.stats,
        }  # fmt: skip


def _value_at(history: History, entry: int, path: str) -> Value:
    value: Value = history.view(entry)
    for step in parse_path(path):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            raise PathSyntaxError(
                f"entry {entry} has nothing at {path}; show without a path lists what it has"
            ) from None
    return value


def _answer(value: Value, instead: str) -> str:
    text = to_json(value)
    if len(text) <= MOST_CHARACTERS:
        return text
    return to_json(
        {"error": f"the answer has {len(text)} characters, more than {MOST_CHARACTERS}; ask for {instead}"}
    )


def make_server(history: History) -> Any:
    """Return an MCP server over a history.

    Raises:
        MissingExtra: the package `mcp` is not installed.
    """
    server = _server_class()(
        "unspool",
        instructions=f"Every recorded state of {history.source_name}; entries are numbered from 0. Read-only.",
    )
    for name, tool in HistoryTools(history).tools().items():
        server.tool(name=name, description=_plain(tool.__doc__))(_telling(tool))
    return server


def _server_class() -> Any:
    for module, name in _HOMES:
        try:
            return getattr(import_module(module), name)
        except ImportError:
            continue
    raise MissingExtra("the MCP server needs the package mcp; run `pip install 'unspool[mcp]'`")


def _telling(tool: Tool) -> Tool:
    """Return a tool that tells what is wrong with a question instead of failing."""
    import functools

    from unspool.errors import UnspoolError

    @functools.wraps(tool)
    def call(*args: Any, **kwargs: Any) -> str:
        try:
            return tool(*args, **kwargs)
        except UnspoolError as error:
            return to_json({"error": str(error)})

    return call


def _plain(text: str | None) -> str:
    return " ".join((text or "").split())
