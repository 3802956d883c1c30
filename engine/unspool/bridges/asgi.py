"""ASGI (FastAPI, Starlette, Litestar, Django's channels): a span around each request."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextvars import ContextVar
from typing import Any, Final

from unspool.model.values import Value
from unspool.recorder.calling import Caller
from unspool.recorder.recorder import Recorder

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_request: Final[ContextVar[str]] = ContextVar("unspool_request")
_path: Final[ContextVar[str]] = ContextVar("unspool_path")
CONTEXT: Final[dict[str, ContextVar[Any]]] = {"request": _request, "path": _path}
"""For `Recorder(context=CONTEXT)`: everything that is recorded during a request says which one it was."""
_ID_HEADER: Final = b"x-request-id"
_LONGEST_ID: Final = 128
_LONGEST_PATH: Final = 512


class RecordingMiddleware:
    """Records each request as a span: its id, method and path, the user, the status, and what it raised.

    The entry comes when the request ends, names the function that the request was routed to, and holds what the recorder's
    `state` gives then. Neither headers nor bodies nor the query are kept.
    """

    def __init__(
        self, app: App, recorder: Recorder, *, user: Callable[[Scope], str] | None = None, skip: Collection[str] = ()
    ) -> None:
        """Put the middleware around an app, as in `app.add_middleware(RecordingMiddleware, recorder=recorder)`.

        Args:
            app: what answers.
            recorder: what requests are recorded with.
            user: gives the name of the user of a request from its scope, once it is answered.
            skip: paths that are not recorded, such as `/health`.
        """
        self._app = app
        self._recorder = recorder
        self._user = user
        self._skip = frozenset(skip)
        self._callers = Caller()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and record it."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._skip:
            await self._app(scope, receive, send)
            return
        path = scope["path"][:_LONGEST_PATH]
        method = scope.get("method", "WEBSOCKET")
        facts: dict[str, Value] = {"request": _request_id(scope), "method": method, "path": path}
        tokens = (_request.set(str(facts["request"])), _path.set(path))
        try:
            await self._record(f"{method} {path}", facts, scope, receive, send)
        finally:
            _request.reset(tokens[0])
            _path.reset(tokens[1])

    async def _record(self, action: str, facts: dict[str, Value], scope: Scope, receive: Receive, send: Send) -> None:
        with self._recorder.action(action, **facts) as span:

            async def pass_on(message: Message) -> None:
                if "status" in message:
                    span.facts["status"] = message["status"]
                await send(message)

            try:
                await self._app(scope, receive, pass_on)
            finally:
                # Known only now: what is further in routes the request, and finds who sent it.
                span.place = self._callers.of_function(scope.get("endpoint"))
                if self._user is not None:
                    span.facts["user"] = self._named(scope, self._user)

    @staticmethod
    def _named(scope: Scope, user: Callable[[Scope], str]) -> Value:
        try:
            return user(scope)
        except Exception as error:  # noqa: BLE001 - the app's own function must not end a request that was answered
            return f"not known: {type(error).__name__}"


def _request_id(scope: Scope) -> str:
    """Return the id that a proxy gave the request, or a new one where there is none that fits a line."""
    for name, value in scope.get("headers") or ():
        if name == _ID_HEADER:
            given = value[:_LONGEST_ID].decode("latin-1").strip()
            if given.isprintable() and given:
                return str(given)
    return uuid.uuid4().hex
