"""A game of snake that can be put back: die, look at the recording, jump to a moment before, and play on from there.

python examples/snake.py snake.unspool             # arrow keys or w a s d; q leaves; without a terminal it plays by itself
unspool snake.unspool                              # in another terminal: J jumps the game to the entry that is looked at
unspool jump snake.unspool 40
"""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from contextlib import suppress
from typing import Any

from unspool import Recorder

WIDTH, HEIGHT = 24, 12
STEPS = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
KEYS = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[D": "left",
    "\x1b[C": "right",
    **dict(zip("wsad", STEPS, strict=True)),
}
OPPOSITE = {"up": "down", "down": "up", "left": "right", "right": "left"}


class Game:
    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        # All that the game goes by is in here, the dice too: so it can be put back whole.
        self.state: dict[str, Any] = {"snake": [[5, 6], [4, 6], [3, 6]], "heading": "right", "dice": 7, "score": 0}
        self.state["over"] = False
        self.put_food()

    def go_to(self, state: dict[str, Any], entry: int) -> None:
        self.state = state

    def put_food(self) -> None:
        free = [[x, y] for y in range(HEIGHT) for x in range(WIDTH) if [x, y] not in self.state["snake"]]
        self.state["dice"] = (self.state["dice"] * 1103515245 + 12345) % 2**31
        self.state["food"] = free[self.state["dice"] % len(free)]

    def turn(self, heading: str) -> None:
        if OPPOSITE[heading] != self.state["heading"]:
            self.state["heading"] = heading

    def ahead(self, heading: str) -> list[int]:
        (x, y), (across, down) = self.state["snake"][0], STEPS[heading]
        return [x + across, y + down]

    def is_deadly(self, place: list[int]) -> bool:
        return not (0 <= place[0] < WIDTH and 0 <= place[1] < HEIGHT) or place in self.state["snake"][:-1]

    def step(self) -> str:
        place = self.ahead(self.state["heading"])
        if self.is_deadly(place):
            self.state["over"] = True
            return "die"
        self.state["snake"].insert(0, place)
        if place == self.state["food"]:
            self.state["score"] += 1
            self.put_food()
            return "eat"
        self.state["snake"].pop()
        return "step"

    def autopilot(self) -> None:
        (x, y), (food_x, food_y) = self.state["snake"][0], self.state["food"]
        wanted = ["right" if food_x > x else "left"] if food_x != x else ["down" if food_y > y else "up"]
        safe = [heading for heading in [*wanted, *STEPS] if not self.is_deadly(self.ahead(heading))]
        self.state["heading"] = safe[0] if safe else self.state["heading"]

    def picture(self) -> str:
        signs = {tuple(self.state["food"]): "*", **{tuple(place): "o" for place in self.state["snake"]}}
        rows = ["".join(signs.get((x, y), ".") for x in range(WIDTH)) for y in range(HEIGHT)]
        said = "dead: jump to an earlier entry, or q" if self.state["over"] else f"score {self.state['score']}"
        return "\x1b[H\x1b[J" + "\r\n".join([*rows, said, ""])


def play(game: Game, recorder: Recorder, keys: int | None, pause: float) -> None:
    while True:
        if not game.state["over"]:
            recorder.record(game.state, game.step())
        recorder.poll()
        if keys is None:
            game.begin() if game.state["over"] else game.autopilot()
            time.sleep(pause)
            continue
        print(game.picture(), end="", flush=True)
        pressed = os.read(keys, 3).decode("latin-1") if select.select([keys], [], [], pause)[0] else ""
        if pressed == "q":
            return
        if pressed in KEYS:
            game.turn(KEYS[pressed])


def main() -> None:
    game = Game()
    with suppress(KeyboardInterrupt), Recorder(sys.argv[1], on_travel=game.go_to) as recorder:
        recorder.record(game.state, "begin")
        if not sys.stdin.isatty():
            play(game, recorder, None, 0.02)
        keys = sys.stdin.fileno()
        before = termios.tcgetattr(keys)
        try:
            tty.setcbreak(keys)
            play(game, recorder, keys, 0.15)
        finally:
            termios.tcsetattr(keys, termios.TCSADRAIN, before)


if __name__ == "__main__":
    main()
