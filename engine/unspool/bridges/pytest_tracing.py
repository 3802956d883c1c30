"""`--unspool=trace`: a failing test's locals line by line, and which line wrote what its assertion compared.

The agent that records programs nobody instrumented looks from within the test's own process. What it tells is kept in
memory while a test runs, and recorded only if the test fails.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from traceback import walk_tb
from types import CodeType, FrameType
from typing import Any, Final

import msgspec
import pytest

from unspool.errors import UnspoolError
from unspool.history.history import History
from unspool.live.agent.events import HeldByAnother, Monitoring
from unspool.live.agent.following import LOST, Scope, stored_attribute, stored_item
from unspool.live.agent.recording import Session
from unspool.live.agent.sites import LOCALS_ARE_A_VIEW, CodeSites
from unspool.live.agent.tracing import HeldByTracer, Tracing
from unspool.live.agent.wire import message_line
from unspool.live.taking import AgentRecording
from unspool.model.keys import Step, format_path
from unspool.query.blame import blame
from unspool.recorder.recorder import Recorder
from unspool.recorder.redact import Redaction, pattern_readings
from unspool.store.memory import MemoryStore

_MOST_MESSAGES: Final = 50_000
_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_DEPTH: Final = 6
"""Calls that an answer follows inwards."""
_MOST_LINES: Final = 4
_MOST_ITEMS: Final = 8
"""Items of a list that an answer looks at one by one."""
_READERS: Final = frozenset(("len", "sum", "sorted", "list", "tuple", "set", "dict", "str", "int", "float", "round", "min", "max", "abs", "repr", "bool", "any", "all", "type"))  # fmt: skip
"""Builtins whose result says as much as what they were given."""


class Collected:
    """Takes the agent's messages in place of a connection."""

    is_behind = False
    is_open = True

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self.lost = 0

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages; whoever reads them may change them."""
        return list(map(msgspec.json.decode, self._lines))

    def send(self, message: dict[str, Any]) -> None:
        """Keep a message, up to bounds."""
        line = message_line(message)
        if len(self._lines) < _MOST_MESSAGES and self._size + len(line) < _MOST_BYTES:
            self._lines.append(line)
            self._size += len(line)
        else:
            self.lost += 1

    def finish(self) -> None:
        """Do nothing: there is nobody to wait for."""

    def close(self) -> None:
        """Do nothing: there is no connection."""


@dataclass
class _Call:
    """One call of a function, and the lines of it that ran.

    Attributes:
        code: the function.
        lines: each line, with when it ran last.
        ended: the line that it ended at.
    """

    code: CodeType
    lines: dict[int, int] = field(default_factory=dict)
    ended: int = 0


class Trace:
    """What one test does, while it runs."""

    def __init__(self, item: pytest.Function, secrets: Iterable[str]) -> None:
        """Begin to look at a test's function and all that it calls in the project.

        Args:
            item: the test.
            secrets: patterns of names whose values are left out.

        Raises:
            HeldByAnother: other tools hold what is needed.
            HeldByTracer: a debugger or coverage traces the run.
        """
        function = inspect.unwrap(item.obj)
        function = getattr(function, "__func__", function)
        code: CodeType = function.__code__
        module = str(function.__globals__.get("__name__", ""))
        self._link = Collected()
        self._calls: dict[int, _Call] = {}
        self._ended: dict[str, _Call] = {}
        self._clock = count(1)
        config = {
            "watch": [f"{module}:{code.co_qualname}.*"],
            "prefix": [str(item.config.rootpath)],
            "exact": True,
            "redact": [list(steps) for secret in secrets for steps in pattern_readings(secret)],
            "ignore_case": True,
        }
        self._session = Session(config, self._link, "")
        self._session.on_line = self._on_line
        self._session.on_returned = self._on_returned
        # Rewritten assertions ask for their locals, which only a trace function may look at where they are no view.
        self._eyes = Monitoring(self._session) if LOCALS_ARE_A_VIEW else Tracing(self._session)
        self._eyes.start()

    def end(self) -> None:
        """Look no more."""
        self._eyes.stop()
        self._session.is_over = True

    def _on_line(self, frame: FrameType, line: int) -> None:
        call = self._calls.get(id(frame))
        if call is None or call.code is not frame.f_code:
            call = self._calls[id(frame)] = _Call(frame.f_code)
        call.lines[line] = call.ended = next(self._clock)
        call.ended = line

    def _on_returned(self, frame: FrameType) -> None:
        call = self._calls.pop(id(frame), None)
        if call is not None:
            self._ended[frame.f_code.co_name] = call

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was reported up to the failure: when a test ends, its locals go."""
        told = self._link.messages
        raised = [number for number, message in enumerate(told) if "exc" in message]
        return told[: raised[-1] + 1] if raised else told

    def record(self, recorder: Recorder) -> int:
        """Record what was reported; return how much of it was too much to keep."""
        taking = AgentRecording(recorder, 0, "")
        with taking.batch():
            for message in self.messages:
                if message["m"] == "site":
                    taking.site(message)
                elif message["m"] == "r":
                    taking.entry(message)
        return self._link.lost

    def writers(self, error: BaseException, redaction: Redaction) -> list[str]:
        """Return in lines which code wrote what the failed assertion compared; none where it was no assertion."""
        store = MemoryStore()
        recorder = Recorder(store, redact=redaction, on_error="ignore")
        self.record(recorder)
        recorder.close()
        found = None
        for frame, line in walk_tb(error.__traceback__):
            if self._session.where.owns(frame.f_code):
                found = (frame, line)
        if found is None or not len(store):
            return []
        statement = _statement_at(found[0].f_code, found[1], ast.Assert)
        if statement is None:
            return []
        search = _Search(self._ended, History(store), found[0])
        for operand in _operands(statement.test):
            search.explain(operand)
        return search.lines[:_MOST_LINES]


class _Search:
    """Looks for the lines that wrote what an expression of a test stands for.

    Attributes:
        lines: what was found, a line each.
    """

    def __init__(self, ended: Mapping[str, _Call], history: History, frame: FrameType) -> None:
        self._ended = ended
        self._history = history
        self._frame = frame
        self.lines: list[str] = []

    def explain(self, expression: ast.expr, depth: int = 0) -> None:
        """Add the lines that wrote what an expression stands for."""
        if depth > _MOST_DEPTH or isinstance(expression, ast.Constant):
            return
        if isinstance(expression, ast.ListComp | ast.SetComp | ast.GeneratorExp):
            self._explain_each(expression, depth)
            return
        path = self._path_of(expression)
        if path is not None:
            steps, rest, _ = path
            self._explain_path(steps, depth)
            if rest:
                self._explain_call(rest, steps, depth)
            return
        if isinstance(expression, ast.Call):
            name = _called_name(expression)
            receiver = expression.func.value if isinstance(expression.func, ast.Attribute) else None
            known = None if receiver is None else self._path_of(receiver)
            if name in self._ended:
                self._explain_call(name, None if known is None or known[1] else known[0], depth)
                return
            inner = [*expression.args, *([] if receiver is None else [receiver])]
            if name not in _READERS and receiver is None:
                return
            for part in inner:
                self.explain(part, depth + 1)
            return
        for child in ast.iter_child_nodes(expression):
            if isinstance(child, ast.expr):
                self.explain(child, depth + 1)

    def _explain_each(self, made: ast.ListComp | ast.SetComp | ast.GeneratorExp, depth: int) -> None:
        """Add the lines that wrote what an expression makes of each item; its names are not the frame's own."""
        for node in ast.walk(made.elt):
            if isinstance(node, ast.Call) and (name := _called_name(node)) in self._ended:
                self._explain_call(name, None, depth)
        loop = made.generators[0]
        path = self._path_of(loop.iter)
        if path is None or type(path[2]) not in (list, tuple) or not isinstance(loop.target, ast.Name):
            self.explain(loop.iter, depth + 1)
            return
        parts = [
            own
            for node in ast.walk(made.elt)
            if isinstance(node, ast.Attribute) and (own := _attributes_of(node, loop.target.id))
        ]
        for number in range(min(len(path[2]), _MOST_ITEMS)):
            for own in parts or [[]]:
                self._explain_path([*path[0], number, *own], depth)

    def _path_of(self, expression: ast.expr) -> tuple[list[Step], str, Any] | None:
        """Return the steps from a local, as far as they are stored values, the name of what is computed there, and the value."""
        chain: list[ast.expr] = []
        at = expression
        while isinstance(at, ast.Attribute | ast.Subscript):
            chain.append(at)
            at = at.value
        if not isinstance(at, ast.Name) or at.id not in self._frame.f_locals:
            return None
        value = self._frame.f_locals[at.id]
        steps: list[Step] = [at.id]
        for part in reversed(chain):
            if isinstance(part, ast.Attribute):
                inner, step = stored_attribute(value, part.attr), part.attr
                if inner is LOST:
                    return steps, part.attr, LOST
                steps.append(step)
            elif isinstance(part, ast.Subscript):
                key = self._key(part.slice)
                inner = stored_item(value, key)
                if inner is LOST:
                    return steps, "", LOST
                steps.append(key % len(value) if type(key) is int and type(value) in (list, tuple) else key)
            value = inner
        return steps, "", value

    def _key(self, expression: ast.expr) -> Any:
        if isinstance(expression, ast.Name):
            return Scope(self._frame, CodeSites(self._frame.f_code)).value(expression.id)
        try:
            return ast.literal_eval(expression)
        except ValueError:
            return LOST

    def _explain_path(self, steps: list[Step], depth: int) -> None:
        for length in range(len(steps), 0, -1):
            try:
                found = blame(self._history, path=tuple(steps[:length]))
            except UnspoolError:
                # Objects that were only named have no parts.
                continue
            last = max(found.values, key=lambda blamed: blamed.seq, default=None)
            if last is None or last.caller is None:
                return
            place = last.caller
            self._add(format_path(tuple(steps), root=""), place.file, place.line, place.function)
            if place.file == self._frame.f_code.co_filename:
                self._explain_assignment(self._frame.f_code, place.line, depth)
            return

    def _explain_assignment(self, code: CodeType, line: int, depth: int) -> None:
        """Go on to what a call returned whose result was stored in a line."""
        statement = _statement_at(code, line, (ast.Assign, ast.AnnAssign, ast.AugAssign))
        value = None if statement is None else statement.value
        if isinstance(value, ast.expr):
            self.explain(value, depth + 1)

    def _explain_call(self, name: str, receiver: list[Step] | None, depth: int) -> None:
        """Add the line that made what a function returned."""
        call = self._ended.get(name)
        if call is None or depth > _MOST_DEPTH:
            return
        statement = _statement_at(call.code, call.ended, ast.Return)
        value = None if statement is None else statement.value
        line = call.ended
        if isinstance(value, ast.Name):
            line = _last_store(call, value.id) or line
        self._add(f"{name}()", call.code.co_filename, line, call.code.co_qualname)
        if value is None:
            return
        for part in ast.walk(value):
            own = _own_attribute(part, call.code)
            if own and receiver is not None:
                self._explain_path([*receiver, *own], depth + 1)
            elif isinstance(part, ast.Call) and (inner := _called_name(part)) in self._ended and inner != name:
                self._explain_call(inner, receiver if _is_of_self(part, call.code) else None, depth + 1)

    def _add(self, what: str, file: str, line: int, function: str) -> None:
        told = f"{what} was set at {_shown(file)}:{line}{f' in {function}' if function else ''}"
        if told not in self.lines:
            self.lines.append(told)


def _shown(file: str) -> str:
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file


def _called_name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_of_self(call: ast.Call, code: CodeType) -> bool:
    function = call.func
    return isinstance(function, ast.Attribute) and getattr(function.value, "id", "") == _self_of(code)


def _self_of(code: CodeType) -> str:
    return code.co_varnames[0] if code.co_argcount else ""


def _own_attribute(node: ast.AST, code: CodeType) -> list[Step]:
    """Return the attributes that a chain such as `self.a.b` goes through, [] where it is none."""
    return _attributes_of(node, _self_of(code))


def _attributes_of(node: ast.AST, name: str) -> list[Step]:
    """Return the attributes that a chain which begins with a name goes through, [] where it is none."""
    steps: list[Step] = []
    while isinstance(node, ast.Attribute):
        steps.append(node.attr)
        node = node.value
    return steps[::-1] if isinstance(node, ast.Name) and node.id == name else []


def _operands(test: ast.expr) -> list[ast.expr]:
    if isinstance(test, ast.UnaryOp):
        return _operands(test.operand)
    if isinstance(test, ast.BoolOp):
        return [part for value in test.values for part in _operands(value)]
    return [test.left, *test.comparators] if isinstance(test, ast.Compare) else [test]


def _tree_of(code: CodeType) -> ast.Module | None:
    try:
        return ast.parse(Path(code.co_filename).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _statement_at(code: CodeType, line: int, kinds: Any) -> Any:
    """Return the innermost statement of some kinds that a line belongs to; None where it belongs to none."""
    tree = _tree_of(code)
    found = None
    for node in () if tree is None else ast.walk(tree):
        if isinstance(node, kinds) and node.lineno <= line <= (node.end_lineno or node.lineno):
            found = node
    return found


def _last_store(call: _Call, name: str, depth: int = 0) -> int:
    """Return the line of a call that made what a name stands for, through copies under other names; 0 for none."""
    tree = _tree_of(call.code)
    lines = {
        node.lineno
        for node in (() if tree is None else ast.walk(tree))
        if isinstance(node, ast.Name)
        and node.id == name
        and isinstance(node.ctx, ast.Store)
        and node.lineno in call.lines
    }
    line = max(lines, key=lambda line: call.lines[line], default=0)
    statement = _statement_at(call.code, line, ast.Assign)
    if statement is not None and isinstance(statement.value, ast.Name) and depth < _MOST_DEPTH:
        return _last_store(call, statement.value.id, depth + 1) or line
    return line


class TestTracing:
    """Traces each test of a run, where nothing else is in the way.

    Attributes:
        trouble: why tests are not traced; "" while they are.
    """

    __test__ = False

    def __init__(self, secrets: Iterable[str], redaction: Redaction) -> None:
        """Take what is left out.

        Args:
            secrets: patterns of names.
            redaction: the same, for the recording.
        """
        self._secrets = tuple(secrets)
        self._redaction = redaction
        self.trouble = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Trace a test while its function runs."""
        trace: Trace | None = None
        try:
            trace = Trace(pyfuncitem, self._secrets)
        except (HeldByAnother, HeldByTracer) as error:
            self.trouble = f"not traced: {error}"
        try:
            return (yield)
        finally:
            if trace is not None:
                trace.end()
                pyfuncitem.stash[TRACED] = trace

    def explain(self, item: pytest.Item, error: BaseException, recorder: Recorder) -> list[str]:
        """Record what a failed test did, and return in lines what wrote the values that it compared."""
        trace = item.stash.get(TRACED, None)
        if trace is None:
            return []
        lost = trace.record(recorder)
        lines = trace.writers(error, self._redaction)
        return [*lines, f"{lost} messages of the trace were too many to keep"] if lost else lines


TRACED: Final = pytest.StashKey[Trace]()
