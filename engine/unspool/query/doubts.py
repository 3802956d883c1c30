"""Expressions that cannot be meant: a mistyped path reads as null, and null gives a confident wrong answer.

An atom that no entry has is refused before anything is asked. Everything else is watched while states are asked: a
field that was looked for and never there, a comparison of a number with a text, a text that differs from what is there
in upper and lower case only. What was never reached (the right side of an `&&` that was never true) is not doubted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from unspool.errors import CorruptHistory
from unspool.history.history import History
from unspool.model.keys import format_path
from unspool.model.paths import value_parts
from unspool.model.values import Value
from unspool.query.errors import ExpressionError, nearest
from unspool.query.expression_text import Node, is_root

_SPELLINGS: Final = {
    "True": "true", "TRUE": "true", "False": "false", "FALSE": "false",
    "None": "null", "NULL": "null", "nil": "null", "undefined": "null", "NaN": "null",
}  # fmt: skip
_LITERALS: Final = frozenset(("true", "false", "null"))
_MOST_NAMES: Final = 64
"""Names and texts remembered of one place, to suggest from."""
_WITH_INNER: Final = frozenset(("projection", "value_projection", "filter_projection", "flatten"))
_KINDS: Final = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


class DoubtWatch:
    """Watches an expression being asked, and reports afterwards the parts of it that can hardly be meant."""

    def __init__(self, tree: Node, text: str) -> None:
        """Watch an expression.

        Args:
            tree: its tree.
            text: as it was written, for messages.
        """
        self.text = text
        self._places: dict[int, str] = {}
        self._missing: dict[int, tuple[str, set[str]]] = {}
        self._clashing: dict[int, tuple[Value, Value] | None] = {}
        self._texts: dict[int, tuple[str, set[str]]] = {}
        self._compared: list[Node] = []
        self._failure = ""
        self._was_answered = False
        self._walk(tree, "")

    def _walk(self, node: Node, prefix: str) -> str:
        """Note the path of every field below a node, given the path it starts from; return the path it leads to."""
        kind, inner = node["type"], [child for child in node["children"] if isinstance(child, dict)]
        if is_root(node):
            return ""
        if kind == "field":
            step = format_path((node["value"],), root="")
            path = self._places[id(node)] = step if not prefix else f"{prefix}.{step}".replace(".[", "[")
            return path
        if kind in ("subexpression", "index_expression", "pipe"):
            for child in inner:
                prefix = self._walk(child, prefix)
            return prefix
        if kind in _WITH_INNER:
            base = f"{self._walk(inner[0], prefix)}[*]"
            ends = [self._walk(child, base) for child in inner[1:]]
            return ends[0] if ends else base
        if kind == "comparator":
            self._compared.append(node)
        for child in inner:
            self._walk(child, prefix)
        return prefix

    @property
    def right_sides(self) -> frozenset[str]:
        """Names that stand alone right of a comparison, where a value is usual."""
        return self._names(1)

    @property
    def left_sides(self) -> frozenset[str]:
        """Names that stand alone left of a comparison."""
        return self._names(0)

    def _names(self, side: int) -> frozenset[str]:
        sides = (node["children"][side] for node in self._compared)
        return frozenset(str(child["value"]) for child in sides if child["type"] == "field")

    def field(self, node: Node, value: Value) -> None:
        """Note that a field was looked for in a value."""
        if not isinstance(value, dict):
            return
        known = self._missing.get(id(node))
        if node["value"] in value:
            self._missing[id(node)] = ("", set())
        elif known is None or known[0]:
            names = known[1] if known is not None else set()
            if len(names) < _MOST_NAMES:
                names.update(list(value)[:_MOST_NAMES])
            self._missing[id(node)] = (self._places.get(id(node), str(node["value"])), names)

    def comparison(self, node: Node, left: Value, right: Value) -> None:
        """Note that two values were compared."""
        if left is None or right is None:
            return
        kind = _KINDS.get(type(left))
        ordered = node["value"] not in ("eq", "ne")
        fits = kind == _KINDS.get(type(right)) and (not ordered or kind in _ORDERED)
        if fits:
            self._clashing[id(node)] = None
        elif id(node) not in self._clashing:
            self._clashing[id(node)] = (left, right)
        if fits and isinstance(left, str) and isinstance(right, str):
            self._note_text(node, left, right)

    def _note_text(self, node: Node, left: str, right: str) -> None:
        if node["children"][1]["type"] != "literal":
            return
        known = self._texts.setdefault(id(node), (right, set()))
        if len(known[1]) < _MOST_NAMES:
            known[1].add(left)

    def failed(self, failure: str) -> None:
        """Note that a state could not be asked."""
        self._failure = self._failure or failure

    def answered(self) -> None:
        """Note that a state could be asked."""
        self._was_answered = True

    def doubts(self) -> tuple[str, ...]:
        """Return a sentence for each part of the expression that can hardly be meant, as far as it was asked."""
        failed = (f"it could be worked out at no entry: {self._failure}",) if self._failure else ()
        return (*(() if self._was_answered else failed), *self._absent(), *self._mixed(), *self._other_case())

    def _absent(self) -> Iterator[str]:
        for path, names in self._missing.values():
            if path:
                yield f"no entry that was asked has {path}{nearest(path.rpartition('.')[2], names)}"

    def _mixed(self) -> Iterator[str]:
        for node in self._compared:
            pair = self._clashing.get(id(node))
            if pair is None:
                continue
            (left, right), sign = pair, _SIGNS[node["value"]]
            kinds = (_KINDS.get(type(left), "a value"), _KINDS.get(type(right), "a value"))
            place = self._places_below(node["children"][0])
            if kinds[0] == kinds[1]:
                yield f"{place} is {kinds[0]}, and {sign} compares numbers and texts only"
                continue
            hint = _retyped(left, right)
            told = f"; write {sign} {hint}" if hint else ""
            yield f"{place} is {kinds[0]} and is compared with {kinds[1]}{told}"

    def _places_below(self, node: Node) -> str:
        found = [self._places[id(node)]] if id(node) in self._places else []
        pending = [child for child in node["children"] if isinstance(child, dict)]
        while pending:
            child = pending.pop()
            found += [self._places[id(child)]] if id(child) in self._places else []
            pending.extend(item for item in child["children"] if isinstance(item, dict))
        return max(found, key=len, default="what stands left")

    def _other_case(self) -> Iterator[str]:
        for node in self._compared:
            wanted, seen = self._texts.get(id(node), ("", set()))
            if not wanted or wanted in seen:
                continue
            near = next((text for text in sorted(seen) if text.strip().casefold() == wanted.strip().casefold()), None)
            if near is not None:
                yield f'{self._places_below(node["children"][0])} is never "{wanted}"; it is "{near}"'


_ORDERED: Final = frozenset(("a number", "text"))
_SIGNS: Final = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "lte": "<=", "gte": ">="}


def _retyped(left: Value, right: Value) -> str:
    """Return the right side as the left side's kind, where it reads as that; else ""."""
    if isinstance(right, str) and isinstance(left, bool):
        return right.lower() if right.lower() in ("true", "false") else ""
    if isinstance(right, str) and isinstance(left, int | float):
        try:
            float(right)
        except ValueError:
            return ""
        return right.strip()
    if isinstance(left, str) and isinstance(right, int | float):
        return f'"{str(right).lower() if isinstance(right, bool) else right}"'
    if isinstance(left, bool) and right in (0, 1):
        return "true" if right else "false"
    return ""


def refuse_unknown(watch: DoubtWatch, reads: frozenset[str] | None, history: History) -> None:
    """Refuse an expression that reads an atom which no entry has.

    Args:
        watch: the watch over the expression, for its text and its comparisons.
        reads: the atoms it reads; None when it may read any.
        history: where it is to be asked; nothing is refused while more of its source is still being read.

    Raises:
        ExpressionError: names the atom and, where there is one, the nearest name or the usual spelling.
    """
    if not reads or not len(history) or not history.progress.is_finished:
        return
    for atom in sorted(reads):
        if history.store.atom_number(atom) is None:
            raise ExpressionError(f"{watch.text[:80]!r}: {_unknown(watch, atom, history)}")


def _unknown(watch: DoubtWatch, atom: str, history: History) -> str:
    told = f"no entry has {format_path((atom,), root='')}"
    names = _names(history)
    if atom in _SPELLINGS:
        return f"{told}; write {_SPELLINGS[atom]}"
    if atom in _LITERALS and atom in watch.left_sides:
        return f"{told}; write the value {atom} right of the comparison"
    near = nearest(atom, names)
    if f'"{atom}"' in watch.text and "did you mean" not in near:
        if atom in watch.left_sides:
            return f'{told}; write the text right of the comparison: path == "{atom}"'
        return f"{told}; a text given to a function stands in single quotes: '{atom}'"
    if atom in watch.right_sides and "did you mean" not in near:
        return f'{told}; a text is written in double quotes: "{atom}"'
    if "did you mean" not in near:
        holder = next((name for name in names if _holds(history, name, atom)), None)
        if holder is not None:
            return f"{told}; did you mean {format_path((holder, atom), root='')}?"
    return f"{told}{near}"


def _holds(history: History, name: str, field: str) -> bool:
    """Whether an atom of the newest state is an object with a field of that name."""
    try:
        value = history.view(-1).get(name)
    except CorruptHistory:
        return False
    parts = value_parts(value)
    return isinstance(parts, dict) and field in parts


def _names(history: History) -> list[str]:
    """Return names of atoms: those of the newest and the first state that read."""
    names: dict[str, None] = {}
    for seq in (len(history) - 1, history.first):
        try:
            names.update(dict.fromkeys(history.view(seq)))
        except CorruptHistory:
            continue
    return list(names)
