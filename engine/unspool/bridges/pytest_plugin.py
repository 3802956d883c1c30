"""pytest: `--unspool=failed` keeps what failing tests recorded, and the locals of their frames when they failed.

pytest loads this module in every run, so it imports nothing of unspool before the option is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from unspool.recorder.recorder import Recorder

_KEEPING: Final = "unspool-keeping"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting."""
    group = parser.getgroup("unspool")
    group.addoption(
        "--unspool",
        choices=["failed", "all", "trace"],
        help="Keep what failing tests recorded, with the locals of their frames; all: name those of passing tests too; "
        "trace: record their locals line by line, and name the lines that wrote what they compared.",
    )
    parser.addini("unspool_redact", "patterns of names whose values unspool leaves out", type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Take part in this run where the option says so."""
    if config.getoption("unspool") and not config.getoption("collectonly", default=False):
        from unspool.bridges.pytest_keeping import Keeping  # a run without the option loads nothing

        config.pluginmanager.register(Keeping(config), _KEEPING)


@pytest.fixture
def unspool_recorder(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """A recorder for what this test goes through; without `--unspool` its calls record nothing and return None."""
    keeping = request.config.pluginmanager.get_plugin(_KEEPING)
    if keeping is not None:
        yield keeping.recorder_of(request.node)
        return
    # Only a test that asks for it needs all this.
    from unspool.recorder.recorder import Recorder
    from unspool.store.memory import MemoryStore

    recorder = Recorder(MemoryStore())
    recorder.close()
    yield recorder
