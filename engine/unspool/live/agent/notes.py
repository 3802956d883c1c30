"""What is told of a program beside its state: statements of SQL, requests by HTTP, lines of its log, calls that `--trace` names.

Libraries are recognised by the code that they run, not patched. Nothing but plain texts is read of what they are given.
"""

from __future__ import annotations

import _thread
import ast
import time
from collections.abc import Callable
from types import CodeType, FrameType, ModuleType
from typing import Any

from unspool.live.agent.following import LOST, Scope, compiled, local_value, stored_attribute
from unspool.live.agent.recording import Session
from unspool.live.agent.sites import CodeSites, Place, expression_at
from unspool.live.agent.wire import type_name

_LONGEST = 500
_MOST_A_SECOND = 500
EXECUTES = frozenset(("execute", "executemany", "executescript", "callproc"))
_DRIVERS = (
    "sqlite3.",
    "_sqlite3.",
    "psycopg2.",
    "cx_Oracle.",
    "oracledb.",
    "pyodbc.",
    "MySQLdb.",
    "_mysql.",
    "duckdb.",
)
"""Modules of DB-API drivers written in C."""
_PLAIN_TYPES = (str, int, float, bool, type(None))


def _http(method: str, url: str) -> Callable[[Scope], str]:
    def text(scope: Scope) -> str:
        verb, target = scope.value(method), scope.value(url)
        return f"{verb.upper() if type(verb) is str else 'GET'} {_address(target)}"

    return text


def _address(value: Any) -> str:
    """Return where a request goes, without who asks and what for: those may be secrets."""
    if type(value) is not str:
        # The objects of httpx and yarl say it as texts.
        value = str(value) if type_name(type(value)).startswith(("httpx.", "yarl.")) else ""
    scheme, mark, rest = value.partition("://")
    place, question, _ = rest.partition("?")
    host, slash, path = place.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}{'?…' if question else ''}"


def _opener(scope: Scope) -> str:
    target = scope.value("fullurl")
    if type(target) is str:
        return f"{'GET' if scope.value('data') is None else 'POST'} {_address(target)}"
    url, method = stored_attribute(target, "_full_url"), stored_attribute(target, "method")
    return f"{method if type(method) is str else 'GET'} {_address(url)}"


def _sent(scope: Scope) -> str:
    request = scope.value("request")
    method = stored_attribute(request, "method")
    return f"{method if type(method) is str else '?'} {_address(stored_attribute(request, 'url'))}"


def _logged(scope: Scope) -> str:
    record = scope.value("record")
    message, arguments = stored_attribute(record, "msg"), stored_attribute(record, "args")
    text = message if type(message) is str else f"<{type_name(type(message))}>"
    if type(arguments) is tuple and arguments and all(type(item) in _PLAIN_TYPES for item in arguments):
        try:
            text %= arguments
        except (TypeError, ValueError):
            text += f" {arguments!r}"
    return f"{stored_attribute(record, 'levelname')} {stored_attribute(record, 'name')}: {text}"


def _statement(name: str) -> Callable[[Scope], str]:
    def text(scope: Scope) -> str:
        value = scope.value(name)
        return value if type(value) is str else f"<{type_name(type(value))}>"

    return text


_KNOWN: dict[tuple[str, str], tuple[str, Callable[[Scope], str]]] = {
    ("urllib/request.py", "OpenerDirector.open"): ("http", _opener),
    ("requests/sessions.py", "Session.request"): ("http", _http("method", "url")),
    ("httpx/_client.py", "Client.send"): ("http", _sent),
    ("httpx/_client.py", "AsyncClient.send"): ("http", _sent),
    ("aiohttp/client.py", "ClientSession._request"): ("http", _http("method", "str_or_url")),
    ("logging/__init__.py", "Logger.handle"): ("log", _logged),
    ("sqlalchemy/engine/default.py", "DefaultDialect.do_execute"): ("sql", _statement("statement")),
    ("sqlalchemy/engine/default.py", "DefaultDialect.do_executemany"): ("sql", _statement("statement")),
    ("psycopg/cursor.py", "Cursor.execute"): ("sql", _statement("query")),
    ("psycopg/cursor.py", "Cursor.executemany"): ("sql", _statement("query")),
    ("pymysql/cursors.py", "Cursor.execute"): ("sql", _statement("query")),
    ("pg8000/dbapi.py", "Cursor.execute"): ("sql", _statement("operation")),
}
"""Code of libraries by the end of its file's name and its qualified name, with the kind of note and what gives its text."""


class Notes:
    """Puts down what a program asks of others, as far as it was chosen."""

    def __init__(self, session: Session) -> None:
        """Take what was chosen from the session's options."""
        self._session = session
        self._kinds = frozenset(map(str, session.config["notes"]))
        self._running: dict[tuple[int, int], tuple[str, str, float, Place | None]] = {}
        self._second = 0
        self._made = 0

    @property
    def is_wanted(self) -> bool:
        """Whether anything is to be put down."""
        return bool(self._kinds)

    def wants(self, code: CodeType) -> bool:
        """Whether calls of a library's function are put down."""
        return self._known(code) is not None

    def _known(self, code: CodeType) -> tuple[str, Callable[[Scope], str]] | None:
        parts = code.co_filename.replace("\\", "/").rsplit("/", 3)
        for count in (2, 3):
            known = _KNOWN.get(("/".join(parts[-count:]), code.co_qualname))
            if known is not None and known[0] in self._kinds:
                return known
        return None

    def began(self, frame: FrameType) -> None:
        """Take note of a call of a library's function that begins."""
        known = self._known(frame.f_code)
        if known is not None:
            sites = CodeSites(frame.f_code)
            sites.is_traced = self._session.reads_calls
            self._begin(known[0], known[1](Scope(frame, sites)), frame, id(frame))

    def ended(self, frame: FrameType) -> None:
        """Put down a call of a library's function that ended."""
        self._end(id(frame))

    def calls(self, code: CodeType, offset: int, function: Any, first: Any, frame: FrameType) -> bool:
        """Take note of a call of a driver in C that begins; return whether it is one."""
        if "sql" not in self._kinds or getattr(function, "__name__", "") not in EXECUTES:
            return False
        owner = getattr(function, "__self__", None)
        target = first if owner is None or type(owner) is ModuleType else owner
        if not type_name(type(target)).startswith(_DRIVERS):
            return False
        expression = expression_at(code, offset)
        text: Any = LOST
        if isinstance(expression, ast.Call) and expression.args:
            follow = compiled(expression.args[0], code)
            text = LOST if follow is None else follow(Scope(frame, self._session.codes[id(code)]))
        self._begin(
            "sql", text if type(text) is str else f"{function.__name__} (its text was not followed)", frame, offset
        )
        return True

    def returned(self, offset: int) -> None:
        """Put down a call of a driver in C that ended."""
        self._end(offset)

    def _begin(self, kind: str, text: str, frame: FrameType, key: int) -> None:
        text = self._session.redaction.clean_all(" ".join(text.split()))
        text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
        place = self._session.where.place_of(frame)
        self._running[_thread.get_ident(), key] = (kind, text, time.perf_counter(), place)

    def _end(self, key: int) -> None:
        known = self._running.pop((_thread.get_ident(), key), None)
        if known is None:
            return
        kind, text, began, place = known
        now = int(time.monotonic())
        if now != self._second:
            self._second, self._made = now, 0
        self._made += 1
        if self._made > _MOST_A_SECOND:
            return
        note: dict[str, Any] = {"kind": kind, "text": text}
        if kind != "log":
            note["ms"] = round((time.perf_counter() - began) * 1000, 3)
        if place is not None:
            note["site"] = place.id
        self._session.send_note(note, place)


class TracedCalls:
    """The functions whose calls and returns are entries of their own."""

    def __init__(self, session: Session) -> None:
        """Begin.

        Args:
            session: gets the entries, and says which functions are meant.
        """
        self._session = session
        parts = [(text, *text.rpartition(":")[::2]) for text in session.config["trace"]]
        self._wanted = [(text, module, name) for text, module, name in parts]
        self._came: set[str] = set()
        session.uncalled = lambda: [text for text, _, _ in self._wanted if text not in self._came]

    def wants(self, code: CodeType, module: str) -> bool:
        """Whether calls of a function are told."""
        return bool(self._wanted) and bool(self._texts_of(code, module))

    def _texts_of(self, code: CodeType, module: str) -> list[str]:
        names = ("", module, self._session.names.module_name_of(module))
        return [text for text, wanted, name in self._wanted if name == code.co_qualname and wanted in names]

    def began(self, sites: CodeSites, frame: FrameType, module: str) -> None:
        """Make an entry of a call, with its arguments."""
        code, session = sites.code, self._session
        self._came.update(self._texts_of(code, module))
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        told = [[name, session.graph.cell_of(local_value(frame, name, sites))] for name in names]
        place = session.where.places.of(code, code.co_firstlineno)
        session.entry(place, frame, [], trace={"event": "call", "args": told})

    def ended(self, frame: FrameType, value: Any) -> None:
        """Make an entry of a call that returns a value."""
        session = self._session
        place = session.where.places.of(frame.f_code, frame.f_lineno or 0)
        session.entry(place, frame, [], trace={"event": "return", "value": session.graph.cell_of(value)})
