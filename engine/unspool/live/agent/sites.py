"""Where code may change the state: its stores and deletes, each with what finds the container that it changes.

That is read from the source of the instruction, once.
"""

from __future__ import annotations

import ast
import dis
import re
import sys
from collections import OrderedDict, deque
from types import BuiltinMethodType, CodeType, MethodWrapperType
from typing import Any

from unspool.live.agent.following import CO_OPTIMIZED, Follow, Scope, compiled, mangled

_LONGEST_TEXT = 400
LOCALS_ARE_A_VIEW = sys.version_info >= (3, 13)
"""Reading a frame's locals refreshes no table that the function has a hold of (PEP 667)."""
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


_CHANGERS = frozenset(
    name for kind in (list, dict, set, deque, bytearray, OrderedDict) for name in vars(kind) if name not in PURE
) - vars(object).keys() | frozenset(
    (
        "setattr", "delattr", "__setattr__", "__delattr__", "setitem", "delitem", "heappush", "heappop", "heapify",
        "heapreplace", "heappushpop", "insort", "insort_left", "insort_right", "iadd", "iconcat", "ior", "iand",
        "isub", "ixor", "methodcaller", "exec", "eval",
    )
)  # fmt: skip
"""Names of functions in C that change what they are given, or what they belong to."""


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
        target: finds the container that is changed; None where its expression cannot be followed.
        value: finds what was changed in place before it was stored, in an augmented assignment.
        key: finds the key or position that is stored to, where that is known.
        roots: names that are bound, of those that are watched; two where one instruction stores twice.
        is_handing: it is a call that is given a function in C for others to call.
        misses: times in a row that what it changed was not watched.
        kinds: types of what was not watched.
    """

    __slots__ = (
        "after",
        "code",
        "is_handing",
        "key",
        "kinds",
        "misses",
        "patience",
        "place",
        "roots",
        "target",
        "value",
    )

    def __init__(self, code: CodeType, place: Place, after: int) -> None:
        self.code = code
        self.place = place
        self.after = after
        self.target: Follow | None = None
        self.value: Follow | None = None
        self.key: Follow | None = None
        self.roots: tuple[str, ...] = ()
        self.is_handing = False
        self.misses = 0
        self.patience = 64
        self.kinds: set[type] = set()

    @property
    def is_lost(self) -> bool:
        """Whether nothing says what it changes: only looks before and after it can tell."""
        return self.target is None and self.value is None and not self.roots


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
        return _lines_of(text)

    def line(self, file: str, number: int) -> str:
        """Return a line, counted from 1; "" where it is not to be had."""
        lines = self.lines(file)
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def keep(self, file: str, text: str) -> None:
        """Take the lines of what is no file."""
        self._lines[file] = _lines_of(text)

    def forget(self) -> None:
        """Let go of all lines."""
        self._lines.clear()


def _lines_of(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ").split("\n")


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


def expression_at(code: CodeType, offset: int) -> ast.expr | None:
    """Return the expression that an instruction was made from; None where its source is not to be had."""
    for instruction in dis.get_instructions(code):
        if instruction.offset == offset:
            return _expression(code, instruction.positions)
    return None


class CodeSites:
    """What one code object may change.

    Attributes:
        code: the code; kept, so that its identity is given to no other.
        after: sites by the offset of the instruction that follows.
        before: places of the sites that are lost, by the offset of their own instruction.
        by_line: sites by line.
        calls: offsets of calls.
        handing: offsets of calls that are given a function in C which may change containers, for others to call.
        hands_over: it loads such a function without calling it: who calls it, and when, nobody can tell.
        local_names: locals that are watched; `*` stands for all.
        is_readable: its locals can be looked at without a trace.
        is_traced: they are looked at by a trace function.
    """

    __slots__ = (
        "after",
        "before",
        "by_line",
        "calls",
        "code",
        "handing",
        "hands_over",
        "is_readable",
        "is_traced",
        "local_names",
    )

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.after: dict[int, list[Site]] = {}
        self.before: dict[int, Place] = {}
        self.by_line: dict[int, list[Site]] = {}
        self.calls: set[int] = set()
        self.handing: frozenset[int] = frozenset()
        self.hands_over = False
        self.is_readable = (
            LOCALS_ARE_A_VIEW or not (code.co_flags & CO_OPTIMIZED) or _ASKS_FOR_LOCALS.isdisjoint(code.co_names)
        )
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
    _find_handing(instructions, found)
    for number, instruction in enumerate(instructions):
        kind = instruction.opname
        if kind in _CALLS:
            found.calls.add(instruction.offset)
            if with_calls and kind != "PRECALL":
                _list_call(instruction, instructions, number, found, places)
            continue
        if kind not in _STORES or _is_annotation(instructions, number):
            continue
        line = (instruction.positions.lineno if instruction.positions else None) or 0
        site = Site(code, places.of(code, line), instruction.offset)
        if _fill(site, instruction, names, local_names, is_augmented=_is_augmented(instructions, number)):
            _list_site(site, instructions, number, found)
    return found


def _find_handing(instructions: list[dis.Instruction], found: CodeSites) -> None:
    """Find where functions in C that may change containers are handed over rather than called."""
    if _CHANGERS.isdisjoint(found.code.co_names):
        return
    loads = [
        item
        for number, item in enumerate(instructions)
        if item.argval in _CHANGERS and _is_taken_as_value(instructions, number)
    ]
    found.hands_over = bool(loads)
    found.handing = frozenset(
        item.offset
        for item in instructions
        if loads and item.opname in _CALLS and any(_encloses(item.positions, load.positions) for load in loads)
    )


def _is_taken_as_value(instructions: list[dis.Instruction], number: int) -> bool:
    """Whether an instruction loads something to hand it on: what is called at once is loaded in other ways."""
    item = instructions[number]
    if item.opname == "LOAD_ATTR":
        # What an object hands over of itself is, nearly always, a method in Python.
        return "+" not in item.argrepr and instructions[number - 1].argval not in ("self", "cls")
    if item.opname == "LOAD_GLOBAL":
        return "NULL" not in item.argrepr
    beside = instructions[number + 1 : number + 2] if LOCALS_ARE_A_VIEW else instructions[number - 1 : number]
    return item.opname == "LOAD_NAME" and not any(each.opname == "PUSH_NULL" for each in beside)


def _encloses(outer: dis.Positions | None, inner: dis.Positions | None) -> bool:
    if outer is None or inner is None or None in (*outer, *inner):
        return False
    begins = (outer.lineno, outer.col_offset) <= (inner.lineno, inner.col_offset)
    return begins and (inner.end_lineno, inner.end_col_offset) <= (outer.end_lineno, outer.end_col_offset)


_LOCALS = frozenset(
    ("STORE_FAST", "STORE_DEREF", "DELETE_FAST", "DELETE_DEREF", "STORE_FAST_STORE_FAST", "STORE_FAST_LOAD_FAST")
)
_STORES = _ATTRS | _ITEMS | _LOCALS | _NAMES


def _is_annotation(instructions: list[dis.Instruction], number: int) -> bool:
    """Whether a store is what `name: type` in a class or module leaves behind: no state, and no expression of its own."""
    if instructions[number].opname != "STORE_SUBSCR":
        return False
    before = [item for item in instructions[max(0, number - 4) : number] if item.opname != "EXTENDED_ARG"]
    return len(before) > 1 and before[-2].opname == "LOAD_NAME" and before[-2].argval == "__annotations__"


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
        if isinstance(expression, ast.Attribute) and mangled(expression.attr, site.code) != instruction.argval:
            # The file was changed since the program read it.
            return True
        site.target = compiled(expression.value, site.code)
        if is_augmented:
            site.value = compiled(expression, site.code)
        if isinstance(expression, ast.Subscript):
            is_slice = kind == "STORE_SLICE" or isinstance(expression.slice, ast.Slice)
            site.key = None if is_slice else compiled(expression.slice, site.code)
        else:
            name = str(instruction.argval)
            site.key = lambda _: name
        return True
    held = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
    if kind == "STORE_FAST_LOAD_FAST":
        held = held[:1]
    if is_augmented:
        # Where two instructions are one, the first of them stores the result.
        site.value = compiled(ast.Name(str(held[0])), site.code)
    wanted_names = names if kind in _NAMES else held if "*" in local_names else local_names
    site.roots = tuple(str(name) for name in held if name in wanted_names)
    return bool(site.roots) or is_augmented


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
    is_handing = site.is_handing = instruction.offset in found.handing
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in PURE and not is_handing:
        return
    is_method = isinstance(function, ast.Attribute)
    if not is_handing and name not in _RUNS_TEXT and (is_method or not _hands_over_results(expression)):
        if isinstance(function, ast.Attribute):
            site.target = compiled(function.value, found.code)
        elif isinstance(function, ast.Name):
            site.target = _owner_of_method(compiled(function, found.code))
        if expression.args:
            site.value = compiled(expression.args[0], found.code)
        if site.target is None:
            site.target, site.value = site.value, None
        if site.is_lost and not is_method:
            return
    _list_site(site, instructions, number, found)


_RUNS_TEXT = ("exec", "eval")


def _owner_of_method(follow: Follow | None) -> Follow | None:
    """Return what finds the container that a method in C belongs to, as in `add = items.append; add(1)`; None where it is none."""
    if follow is None:
        return None

    def owner(scope: Scope) -> Any:
        method = follow(scope)
        return method.__self__ if type(method) in (BuiltinMethodType, MethodWrapperType) else None

    return owner


def _hands_over_results(call: ast.Call) -> bool:
    """Whether a call is given what another one returned: a `map`, say, whose function runs while the call reads it."""
    return any(isinstance(item, ast.Call | ast.GeneratorExp | ast.Starred) for item in call.args)


def _list_site(site: Site, instructions: list[dis.Instruction], number: int, found: CodeSites) -> None:
    if site.is_lost:
        found.before[instructions[number].offset] = site.place
    following = instructions[number + 1 : number + 5]
    found.by_line.setdefault(site.place.line, []).append(site)
    for item in following:
        found.after.setdefault(item.offset, []).append(site)
        site.after = item.offset
        if item.opname != "EXTENDED_ARG":
            return


def argument_names(code: CodeType) -> tuple[str, ...]:
    """Return the names of a function's parameters, `*args` and `**kwargs` with them."""
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    return code.co_varnames[:count]
