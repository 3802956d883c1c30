"""Identity keys set by hand: which key tells the records of a list apart, from now on and the next time too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

from unspool.delta.identity import identity_pattern, pattern_of
from unspool.errors import ConfigError
from unspool_tui.desk import Kind, Reply

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool_tui.screens.main import MainScreen


def ask(main: MainScreen) -> None:
    """Ask for the key of a list; the list at the selected place is proposed, with the key it is compared by now."""
    from unspool_tui.screens.prompt import Prompt

    def typed(text: str | None) -> None:
        if text is not None and text.strip():
            main.typed.setdefault("identity", []).append(text)
            apply(main, *_pair(text))

    hint = "which key tells the records of a list apart? such as orders[*]=number; nothing after = detects it again"
    main.open(Prompt("I", hint, text=_proposal(main), check=_check, history=main.typed.get("identity", ())), typed)


def _proposal(main: MainScreen) -> str:
    path, key = main.scene.changes.aligned(main.view)
    return f"{pattern_of(path)}[*]={key}" if path else ""


def _check(text: str) -> str:
    pattern, key = _pair(text)
    if not key:
        return f"the key of {pattern}[*] is detected again"
    return f"the records of {pattern}[*] are told apart by {key}; Enter compares and remembers"


def _pair(text: str) -> tuple[str, str]:
    """Take `PATH=KEY` apart.

    Raises:
        ConfigError: there is no equals sign in it.
        PathSyntaxError: the path is none.
    """
    path, mark, key = text.strip().rpartition("=")
    if not mark:
        raise ConfigError("write PATH=KEY, such as orders[*]=number")
    return identity_pattern(path), key


def apply(main: MainScreen, pattern: str, key: str) -> None:
    """Compare by a key from now on, and remember it unless it tells nothing apart."""
    main.scene.identify({**(main.scene.history.identity or {}), pattern: key})
    main.repaint()
    said = f"{pattern}[*] is compared by {key}" if key else f"the key of {pattern}[*] is detected again"
    check(main, {pattern: key}, said)


def check(main: MainScreen, identity: Mapping[str, str], said: str = "") -> None:
    """Look in the worker whether keys tell anything apart; when all of them do they are remembered, and `said` is told."""

    def take(reply: Reply) -> None:
        if reply.error is None and reply.value:
            for sentence in reply.value:
                main.flash(f"identity: {sentence}; it is not remembered", "warning")
            return
        if reply.error is None:
            main.unspool_app.front.remember_identity(identity)
        if said:
            main.flash(said, "good")

    def look() -> tuple[str, ...]:
        from unspool.query.identities import unmatched

        return unmatched(cast("History", main.scene.history), identity)

    main.ask(Kind.TASK, look, take)


CONTROLS: Final[Mapping[str, Callable[[MainScreen], None]]] = {"identity": ask}
