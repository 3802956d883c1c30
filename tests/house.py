"""The numbers of the house: circles, imports inside functions without a reason and public class names used twice fail.

`make lint` runs it. Imports under `TYPE_CHECKING` and inside functions count as any other: a circle that is closed by a
late import is a circle. Modules, lines and the median are printed and not judged.
"""

from __future__ import annotations

import ast
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
PACKAGES = {"unspool": ROOT / "engine" / "unspool", "unspool_tui": ROOT / "tui" / "unspool_tui"}
ALONE = ("unspool.live.agent",)
"""Packages that run inside other programs and import nothing of the house; their class names are their own."""
PRESCRIBED = frozenset(("DeltaChain", "Snapshot", "DeltaRecord", "SnapshotReconstructor"))
"""Class names that the source documents use for more than one thing."""


@dataclass
class Module:
    """One module: what it imports, where it does so inside functions, and its public classes."""

    name: str
    path: Path
    lines: int = 0
    imports: set[str] = field(default_factory=set)
    unexplained: list[int] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)


def _names() -> Iterator[tuple[str, Path]]:
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join((package, *(part for part in parts if part != "__init__"))), path


def _targets(node: ast.Import | ast.ImportFrom, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
    elif node.module:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            if inner in known:
                yield inner
            elif node.module in known:
                yield node.module


def _commented_lines(path: Path) -> set[int]:
    with path.open("rb") as file:
        return {token.start[0] for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT}


def _inner_imports(tree: ast.Module) -> Iterator[list[ast.Import | ast.ImportFrom]]:
    """Yield the runs of imports that stand together inside functions."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
                run: list[ast.Import | ast.ImportFrom] = []
                for statement in block if isinstance(block, list) else ():
                    if isinstance(statement, ast.Import | ast.ImportFrom):
                        run.append(statement)
                    elif run:
                        yield run
                        run = []
                if run:
                    yield run


def read(name: str, path: Path, known: set[str]) -> Module:
    """Read one module."""
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    module = Module(name, path, text.count("\n"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module.imports.update(_targets(node, known))
    module.imports.discard(name)
    commented = _commented_lines(path)
    seen: set[int] = set()
    for run in _inner_imports(tree):
        first, last = run[0].lineno, run[-1].end_lineno or run[-1].lineno
        if first not in seen and not commented & set(range(first - 1, last + 1)):
            module.unexplained.append(first)
        seen.update(node.lineno for node in run)
    if not name.startswith(ALONE):
        module.classes = [
            node.name for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        ]
    return module


def circles(modules: dict[str, Module]) -> list[list[str]]:
    """Return the groups of modules that import each other, by Tarjan's algorithm without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    for start in modules:
        if start in index:
            continue
        work = [(start, iter(sorted(modules[start].imports)))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            name, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(sorted(modules[other].imports))))
                    break
                if other in on_stack:
                    low[name] = min(low[name], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    group = []
                    while not group or group[-1] != name:
                        group.append(stack.pop())
                        on_stack.discard(group[-1])
                    if len(group) > 1:
                        found.append(sorted(group))
    return found


def main() -> int:
    """Print the numbers; return 1 where a rule is broken."""
    paths = dict(_names())
    modules = {name: read(name, path, set(paths)) for name, path in paths.items()}
    sizes = [module.lines for module in modules.values()]
    small = sum(size < 80 for size in sizes)
    print(f"{len(sizes)} modules, {sum(sizes):,} lines, median {median(sizes):.0f}; {small} under 80 lines")
    broken = 0
    for group in circles(modules):
        broken += 1
        print(f"a circle of {len(group)}: {', '.join(group)}", file=sys.stderr)
    for module in modules.values():
        for line in module.unexplained:
            broken += 1
            place = module.path.relative_to(ROOT)
            print(f"{place}:{line}: an import inside a function; say why in a comment beside it", file=sys.stderr)
    homes = defaultdict(list)
    for module in modules.values():
        for name in module.classes:
            homes[name].append(module.name)
    for name, where in sorted(homes.items()):
        if len(where) > 1 and name not in PRESCRIBED:
            broken += 1
            print(f"the class name {name} is used in {' and '.join(where)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
