"""The agent as one text of standard library only, which any Python from 3.11 on can run."""

from __future__ import annotations

import ast
import json
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

_PARTS: Final = (
    "wire", "redaction", "shapes", "nodes", "graph", "following", "sites", "names", "turns", "whereabouts", "recording",
    "notes", "libraries", "tracing", "events", "discovery", "writeback", "control", "running",
)  # fmt: skip
"""Modules of the agent, each after those it needs."""
_OWN: Final = "unspool.live.agent"
_START: Final = """
if __name__ == "__main__":
    run()
"""


@lru_cache(maxsize=1)
def agent_source() -> str:
    """Return the agent's modules joined into one text, without their imports of each other.

    Raises:
        SyntaxError: two modules give one name different meanings.
    """
    known: dict[str, str] = {}
    texts: list[str] = []
    for part in _PARTS:
        source = (files(_OWN) / f"{part}.py").read_text(encoding="utf-8")
        tree = ast.parse(source)
        _refuse_homonyms(tree, part, known)
        texts.append(_without_own_imports(source, tree, keep_future=not texts))
    return "\n".join([*texts, _START])


def _refuse_homonyms(tree: ast.Module, part: str, known: dict[str, str]) -> None:
    for node in tree.body:
        names: list[str] = []
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        for name in names:
            if name in known and known[name] != part:
                raise SyntaxError(f"{name} is defined in the agent's modules {known[name]} and {part}")
            known[name] = part


def _without_own_imports(source: str, tree: ast.Module, *, keep_future: bool) -> str:
    lines = source.splitlines()
    for node in tree.body:
        is_own = isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_OWN)
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if is_own or (is_future and not keep_future):
            assert node.end_lineno is not None
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(lines) + "\n"


def attach_text(agent_file: str, config: dict[str, Any]) -> str:
    """Return a line of Python that starts the agent in the process that runs it.

    Args:
        agent_file: where `agent_source()` was written to.
        config: as the wire contract has it.
    """
    call = (
        "import types; m = types.ModuleType('_unspool_agent'); f = {file!r}; "
        "exec(compile(open(f, 'rb').read(), f, 'exec'), m.__dict__); m.attach({config})"
    ).format(file=agent_file, config=f"__import__('json').loads({json.dumps(config)!r})")
    return f"exec({call!r}, {{}})"
