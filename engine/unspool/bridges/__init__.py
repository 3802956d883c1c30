"""Bridges to libraries that programs are built on: each records what happens in a library's own terms.

A module a library; none is imported before the program imports it by name, and only then is its library needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.recorder.recorder import Recorder


def harmless(recorder: Recorder, act: Callable[..., object]) -> Callable[..., None]:
    """Return a function to give to a library: what goes wrong in it is counted, and never reaches what the library does.

    Args:
        recorder: counts it in `skipped`, and warns the first time.
        act: what is to be done.

    Raises:
        UnspoolError: by the returned function, where the recorder's `on_error` is `raise`.
    """

    # Every run of pytest imports this package, for its plugin.
    from unspool.errors import UnspoolError

    def done(*given: Any) -> None:
        try:
            act(*given)
        except UnspoolError:
            raise
        except Exception as error:  # noqa: BLE001 - a library may hand over anything, and so may code of the app
            recorder.pass_over(f"{act.__module__} could not record what happened ({type(error).__name__})")

    return done
