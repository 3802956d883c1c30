"""A visit that is stopped ends, in whatever moment that comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("textual_serve", reason="textual-serve is not installed (extra `serve`)")
from unspool_tui.serving.visit import SERVER_ENDED, Visit, VisitLimits

DRAWS_ONCE = r"printf '__GANGLION__\nD\000\000\000\001x'; exec sleep 60"


class Page:
    """The socket of a page that takes one picture, and has the visit stopped while it does."""

    def __init__(self, turns: int) -> None:
        self.visit: Visit | None = None
        self.closed = 0
        self._turns = turns

    async def send_bytes(self, data: bytes) -> None:
        taken = asyncio.get_running_loop().create_future()

        def take() -> None:
            assert self.visit is not None
            taken.set_result(None)
            self.visit.stop(SERVER_ENDED)

        asyncio.get_running_loop().call_soon(take)
        await taken
        for _ in range(self._turns):
            await asyncio.sleep(0)

    async def receive(self) -> Any:
        await asyncio.Event().wait()

    async def close(self, *, code: int, message: bytes) -> None:
        self.closed = code


@pytest.mark.parametrize("turns", range(6))
async def test_a_visit_ends_whose_page_takes_a_picture_just_then(turns: int) -> None:
    page: Any = Page(turns)
    page.visit = Visit(["sh", "-c", DRAWS_ONCE], page, VisitLimits())
    async with asyncio.timeout(15):
        assert await page.visit.run(80, 24) is SERVER_ENDED
    assert page.closed == SERVER_ENDED.code
