"""A list of things to do in Textual; ticking a thing off counts down what is open, and so does removing it.

python examples/todo_app.py todo.unspool
python examples/todo_app.py todo.unspool --press a,a,a,x,d,q    # without a terminal, with these keys
unspool blame todo.unspool Todo.open_count

Nothing in the program says when to record: each change of a reactive is an entry, with the line of the assignment.
"""

from __future__ import annotations

import sys
from typing import Any

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.reactive import reactive
from textual.widgets import Footer, Static

from unspool import Recorder
from unspool.bridges.textual import record_reactives

THINGS = ["water the plants", "write to Ada", "mend the kettle"]


class Todo(App[None]):
    BINDINGS = [("a", "add", "Add"), ("x", "tick", "Tick off"), ("d", "remove", "Remove"), ("q", "quit", "Quit")]

    things: reactive[tuple[dict[str, Any], ...]] = reactive(())
    open_count = reactive(0)

    def compose(self) -> ComposeResult:
        yield Static(id="list")
        yield Footer()

    def on_mount(self) -> None:
        record_reactives(Recorder(sys.argv[1]), self)

    def watch_things(self) -> None:
        lines = [f"[{'x' if thing['done'] else ' '}] {thing['text']}" for thing in self.things]
        self.query_one("#list", Static).update("\n".join(lines))

    def action_add(self) -> None:
        text = THINGS[len(self.things) % len(THINGS)]
        self.things = (*self.things, {"text": text, "done": False})
        self.open_count += 1

    def action_tick(self) -> None:
        first, *others = self.things
        self.things = ({**first, "done": True}, *others)
        self.open_count -= 1

    def action_remove(self) -> None:
        self.things = self.things[1:]
        # What is ticked off was not open any more.
        self.open_count -= 1  # wrong


def main() -> None:
    keys = sys.argv[3].split(",") if sys.argv[2:3] == ["--press"] else []

    async def press(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)

    Todo().run(headless=bool(keys), auto_pilot=press if keys else None)


if __name__ == "__main__":
    main()
