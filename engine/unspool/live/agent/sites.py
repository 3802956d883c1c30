"""Where code may change the state: its stores and deletes, each with the chain of names that leads to what it changes.

A chain is read from the source of the instruction, once, and followed through locals, `__dict__`, slots and plain
subscripts only: no property and no `__getitem__` of the program is ever called.
"""

from __future__ import annotations

import ast
import dis
import re
import sys
from types import CodeType, FrameType, MemberDescriptorType, ModuleType
from typing import Any

from unspool.live.agent.shapes import dict_getter
from unspool.live.agent.wire import mro_of

Step = tuple[str, Any]
"""`("attr", name)`, `("item", key)` or `("by", chain)`, whose value is the key."""
Chain = tuple[str, tuple[Step, ...]]
"""A name and the steps from its value."""


class _Lost:
    """Stands for what a chain could not be followed to."""


LOST = _Lost()

_LONGEST_TEXT = 400
_CO_OPTIMIZED = 0x01
_CO_NEWLOCALS = 0x02
_ASKS_FOR_LOCALS = frozenset(("locals", "vars", "eval", "exec", "dir", "_getframe", "currentframe", "breakpoint"))
"""Names that may hand a function its own table of locals, which reading them refreshes."""
_ATTRS = frozenset(("STORE_ATTR", "DELETE_ATTR"))
_ITEMS = frozenset(("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE"))
_NAMES = frozenset(("STORE_NAME", "STORE_GLOBAL", "DELETE_NAME", "DELETE_GLOBAL"))
_CALLS = frozenset(("CALL", "CALL_KW", "CALL_FUNCTION_EX", "PRECALL"))

PURE = frozenset(
    (
        "len", "isinstance", "issubclass", "repr", "print", "id", "hash", "iter", "min", "max", "sum", "sorted", "any",
        "all", "getattr", "hasattr", "callable", "format", "abs", "round", "divmod", "pow", "ord", "chr", "bin", "hex",
        "get", "items", "keys", "values", "copy", "index", "count", "union", "intersection", "difference",
        "isdisjoint", "issubset", "issuperset", "symmetric_difference", "startswith", "endswith", "join", "split",
        "strip", "encode", "decode", "lower", "upper", "replace", "find", "__getitem__", "__len__", "__contains__",
        "__iter__", "__repr__", "__eq__", "__hash__", "__getattribute__", "__init_subclass__", "__class_getitem__",
        "fromkeys", "isdigit", "time", "perf_counter", "monotonic", "sleep", "sqrt", "floor", "ceil", "locals",
        "globals", "dir", "__str__", "__format__", "randrange", "random", "writerow", "write", "read", "readline",
        "close", "flush", "acquire", "release",
    )
)  # fmt: skip
"""Names of functions in C that change nothing of what they are given."""


class Place:
    """A line of code, as the wire names it.

    Attributes:
        id: its number on the wire.
        made: entries it made in the present window, and when that began.
    """

    __slots__ = ("file", "held_back", "id", "is_told", "line", "made", "name", "since", "text", "total")

    def __init__(self, number: int, code: CodeType, line: int) -> None:
        self.id = number
        self.file = code.co_filename
        self.line = line
        self.name = code.co_qualname
        self.text = source_line(code, line)
        self.is_told = False
        self.made = self.held_back = self.total = 0
        self.since = 0.0


class Site:
    """A store or delete.

    Attributes:
        place: its line.
        after: offset of the instruction that follows it.
        target: chain to the container that is changed; None where it cannot be followed.
        value: chain to what was changed in place before it was stored, in an augmented assignment.
        root: the name that is bound, where it is a watched one.
        misses: times in a row that what it changed was not watched.
        kinds: types of what was not watched.
    """

    __slots__ = ("after", "code", "kinds", "misses", "patience", "place", "root", "target", "value")

    def __init__(self, code: CodeType, place: Place, after: int) -> None:
        self.code = code
        self.place = place
        self.after = after
        self.target: Chain | None = None
        self.value: Chain | None = None
        self.root = ""
        self.misses = 0
        self.patience = 64
        self.kinds: set[type] = set()


class _Sources:
    """Lines of source files; a program's own `linecache` is looked at, and left as it is."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def lines(self, file: str) -> list[str]:
        """Return the lines of a file, [] where they are not to be had."""
        found = self._lines.get(file)
        if found is None:
            found = self._lines[file] = self._read(file)
        return found

    def _read(self, file: str) -> list[str]:
        module = sys.modules.get("linecache")
        entry = getattr(module, "cache", {}).get(file)
        if type(entry) is tuple and len(entry) > _LINES_OF_ENTRY:
            return list(entry[_LINES_OF_ENTRY])
        if file.startswith("<"):
            return []
        try:
            with open(file, "rb") as stream:
                data = stream.read(_LARGEST_SOURCE)
        except (OSError, ValueError):
            return []
        found = _CODING.search(b"\n".join(data.split(b"\n", 2)[:2]))
        try:
            text = data.decode(found[1].decode("ascii") if found else "utf-8-sig", "replace")
        except LookupError:
            return []
        return text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ").split("\n")

    def line(self, file: str, number: int) -> str:
        """Return a line, counted from 1; "" where it is not to be had."""
        lines = self.lines(file)
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def forget(self) -> None:
        """Let go of all lines."""
        self._lines.clear()


_LINES_OF_ENTRY = 2
_LARGEST_SOURCE = 8 * 1024 * 1024
_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.MULTILINE)
SOURCES = _Sources()


def source_line(code: CodeType, line: int) -> str:
    """Return a line of source without the blanks around it; "" where it is not to be had."""
    text = SOURCES.line(code.co_filename, line).strip()
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _segment(code: CodeType, position: dis.Positions | None) -> str:
    """Return the source that an instruction was made from; "" where it is not to be had."""
    if position is None or position.lineno is None or position.end_lineno is None:
        return ""
    start, stop = position.col_offset, position.end_col_offset
    if start is None or stop is None or position.end_lineno - position.lineno > 50:
        return ""
    lines = [
        SOURCES.line(code.co_filename, number).encode() for number in range(position.lineno, position.end_lineno + 1)
    ]
    lines[-1] = lines[-1][:stop]
    lines[0] = lines[0][start:]
    return b"".join(lines).decode("utf-8", "replace")


def _expression(code: CodeType, position: dis.Positions | None) -> ast.expr | None:
    text = _segment(code, position)
    if not text or len(text) > 4000:
        return None
    try:
        return ast.parse(f"({text}\n)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return None


def chain_of(expression: ast.expr | None, code: CodeType) -> Chain | None:
    """Return the chain that an expression spells; None where it holds anything but names, attributes, subscripts."""
    steps: list[Step] = []
    while True:
        if isinstance(expression, ast.Name):
            return _mangled(expression.id, code), tuple(reversed(steps))
        if isinstance(expression, ast.Attribute):
            steps.append(("attr", _mangled(expression.attr, code)))
            expression = expression.value
        elif isinstance(expression, ast.Subscript):
            key = _key(expression.slice, code)
            if key is None:
                return None
            steps.append(key)
            expression = expression.value
        else:
            return None


def _key(expression: ast.expr, code: CodeType) -> Step | None:
    if isinstance(expression, ast.Slice):
        return None
    try:
        return ("item", ast.literal_eval(expression))
    except (ValueError, TypeError, SyntaxError, RecursionError):
        chain = chain_of(expression, code)
        return None if chain is None else ("by", chain)


def _mangled(name: str, code: CodeType) -> str:
    """Return a private name as the class that the code stands in spells it."""
    if not name.startswith("__") or name.endswith("__"):
        return name
    known = (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
    return next((held for held in known if held.startswith("_") and held.endswith(name) and held != name), name)


class CodeSites:
    """What one code object may change.

    Attributes:
        code: the code; kept, so that its identity is given to no other.
        after: sites by the offset of the instruction that follows.
        by_line: sites by line.
        calls: offsets of calls.
        local_names: locals that are watched; `*` stands for all.
        is_readable: its locals can be looked at without a trace.
        is_traced: they are looked at by a trace function.
    """

    __slots__ = ("after", "by_line", "calls", "code", "is_readable", "is_traced", "local_names")

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.after: dict[int, list[Site]] = {}
        self.by_line: dict[int, list[Site]] = {}
        self.calls: set[int] = set()
        self.is_readable = not (code.co_flags & _CO_OPTIMIZED) or _ASKS_FOR_LOCALS.isdisjoint(code.co_names)
        self.is_traced = False
        self.local_names: frozenset[str] = frozenset()


class Places:
    """All lines that were told of, numbered."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[CodeType, Place]] = {}

    def of(self, code: CodeType, line: int) -> Place:
        """Return the place of a line of code."""
        known = self._known.get((id(code), line))
        if known is not None:
            return known[1]
        place = Place(len(self._known) + 1, code, line)
        self._known[id(code), line] = (code, place)
        return place


def read_code(
    code: CodeType, places: Places, names: frozenset[str], local_names: frozenset[str], *, with_calls: bool = False
) -> CodeSites:
    """Return what a code object may change.

    Args:
        code: the code.
        places: numbers the lines.
        names: global names that are watched.
        local_names: names of its locals that are watched; `*` for all.
        with_calls: calls are sites too, with the chains of what they may change.
    """
    found = CodeSites(code)
    found.local_names = local_names
    found.is_traced = with_calls
    instructions = [item for item in dis.get_instructions(code) if item.opname != "CACHE"]
    for number, instruction in enumerate(instructions):
        kind = instruction.opname
        if kind in _CALLS:
            found.calls.add(instruction.offset)
            if with_calls and kind != "PRECALL":
                _list_call(instruction, instructions, number, found, places)
            continue
        if kind not in _STORES:
            continue
        line = (instruction.positions.lineno if instruction.positions else None) or 0
        site = Site(code, places.of(code, line), instruction.offset)
        if _fill(site, instruction, names, local_names, is_augmented=_is_augmented(instructions, number)):
            _list_site(site, instructions, number, found)
    return found


_LOCALS = frozenset(
    ("STORE_FAST", "STORE_DEREF", "DELETE_FAST", "DELETE_DEREF", "STORE_FAST_STORE_FAST", "STORE_FAST_LOAD_FAST")
)
_STORES = _ATTRS | _ITEMS | _LOCALS | _NAMES


def _is_augmented(instructions: list[dis.Instruction], number: int) -> bool:
    """Whether a store ends an augmented assignment: then what it stores may have been changed in place."""
    for before in reversed(instructions[max(0, number - 4) : number]):
        if before.opname == "BINARY_OP":
            return str(before.argrepr).endswith("=")
        if before.opname not in ("SWAP", "COPY", "EXTENDED_ARG", "NOP"):
            return False
    return False


def _fill(
    site: Site,
    instruction: dis.Instruction,
    names: frozenset[str],
    local_names: frozenset[str],
    *,
    is_augmented: bool,
) -> bool:
    """Find what a site changes; return whether it is one that matters."""
    kind = instruction.opname
    if kind in _ATTRS or kind in _ITEMS:
        expression = _expression(site.code, instruction.positions)
        wanted = ast.Attribute if kind in _ATTRS else ast.Subscript
        if not isinstance(expression, ast.Attribute | ast.Subscript) or not isinstance(expression, wanted):
            return True
        if isinstance(expression, ast.Attribute) and _mangled(expression.attr, site.code) != instruction.argval:
            # The file was changed since the program read it.
            return True
        site.target = chain_of(expression.value, site.code)
        if is_augmented:
            site.value = chain_of(expression, site.code)
        return True
    held = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
    for name in held:
        if kind in _NAMES and name in names:
            site.root = str(name)
            return True
        if (name in local_names or "*" in local_names) and kind not in _NAMES:
            site.root = str(name)
            return True
    if is_augmented:
        site.value = (str(held[-1]), ())
        return True
    return False


def _list_call(
    instruction: dis.Instruction, instructions: list[dis.Instruction], number: int, found: CodeSites, places: Places
) -> None:
    """List a call as a site, by what its source says it may change."""
    expression = _expression(found.code, instruction.positions)
    if not isinstance(expression, ast.Call):
        return
    line = (instruction.positions.lineno if instruction.positions else None) or 0
    site = Site(found.code, places.of(found.code, line), instruction.offset)
    function = expression.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in PURE:
        return
    if isinstance(function, ast.Attribute):
        site.target = chain_of(function.value, found.code)
    if expression.args:
        site.value = chain_of(expression.args[0], found.code)
    if site.target is None:
        site.target, site.value = site.value, None
    if site.target is not None or isinstance(function, ast.Attribute):
        _list_site(site, instructions, number, found)


def _list_site(site: Site, instructions: list[dis.Instruction], number: int, found: CodeSites) -> None:
    following = instructions[number + 1 : number + 5]
    found.by_line.setdefault(site.place.line, []).append(site)
    for item in following:
        found.after.setdefault(item.offset, []).append(site)
        site.after = item.offset
        if item.opname != "EXTENDED_ARG":
            return


def local_value(frame: FrameType, name: str, sites: CodeSites) -> Any:
    """Return the value of a name as code in a frame sees it, or `LOST`."""
    code = frame.f_code
    if code.co_flags & _CO_OPTIMIZED:
        if name in code.co_varnames or name in code.co_cellvars or name in code.co_freevars:
            if not sites.is_readable and not sites.is_traced:
                return LOST
            held = frame.f_locals
            try:
                return held.get(name, LOST)
            finally:
                if type(held) is dict and not sites.is_traced:
                    # A copy, up to Python 3.12, that would keep alive what the function lets go of. Within a trace
                    # function the interpreter puts it back into the function's variables.
                    held.clear()
    else:
        held = frame.f_locals
        if type(held) is dict and name in held:
            return held[name]
    return frame.f_globals.get(name, LOST)


def follow(chain: Chain, frame: FrameType, sites: CodeSites) -> Any:
    """Return what a chain leads to in a frame, or `LOST`."""
    value = local_value(frame, chain[0], sites)
    return follow_steps(value, chain[1], frame, sites)


def follow_steps(value: Any, steps: tuple[Step, ...], frame: FrameType | None, sites: CodeSites | None) -> Any:
    """Return what steps from a value lead to, or `LOST`."""
    for kind, key in steps:
        if value is LOST:
            return LOST
        if kind == "attr":
            value = stored_attribute(value, key)
            continue
        if kind == "by":
            if frame is None or sites is None:
                return LOST
            key = follow(key, frame, sites)
        value = stored_item(value, key)
    return value


def stored_attribute(value: Any, name: str) -> Any:
    """Return an attribute as it is stored, without calling a property or `__getattr__`; else `LOST`."""
    kind = type(value)
    bases = mro_of(kind)
    if type in bases:
        for base in mro_of(value):
            held = type.__dict__["__dict__"].__get__(base)
            if name in held:
                return held[name]
        return LOST
    if ModuleType in bases:
        return object.__getattribute__(value, "__dict__").get(name, LOST)
    in_class: Any = LOST
    for base in bases:
        held = type.__dict__["__dict__"].__get__(base)
        if name in held:
            in_class = held[name]
            break
    if type(in_class) is MemberDescriptorType:
        try:
            return in_class.__get__(value)
        except AttributeError:
            return LOST
    if in_class is not LOST and hasattr(type(in_class), "__set__"):
        return LOST
    getter = dict_getter(kind)
    if getter is not None:
        own = getter(value)
        if name in own:
            return own[name]
    return LOST if in_class is LOST or hasattr(type(in_class), "__get__") else in_class


_PLAIN_KEYS = (str, int, bytes, float, bool, type(None))


def stored_item(value: Any, key: Any) -> Any:
    """Return an item of a plain list, tuple or dict; of others, and by keys with a hash of their own, `LOST`."""
    kind = type(value)
    if kind is list or kind is tuple:
        if type(key) is not int or not -len(value) <= key < len(value):
            return LOST
        return value[key]
    if dict not in mro_of(kind):
        return LOST
    if "__getitem__" in type.__dict__["__dict__"].__get__(kind) and kind is not dict:
        return LOST
    if type(key) in _PLAIN_KEYS or (type(key) is tuple and all(type(part) in _PLAIN_KEYS for part in key)):
        return dict.get(value, key, LOST)
    return LOST
