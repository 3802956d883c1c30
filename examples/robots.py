"""A game of robots, as attrs classes, at sixty ticks a second; armour makes a hit worse instead of better.

python examples/robots.py robots.unspool
unspool blame robots.unspool bob.hp

Nothing in the program says when to record: each assignment to a watched object is an entry, with its line.
"""

from __future__ import annotations

import random
import sys

import attrs

from unspool import Recorder


@attrs.define
class Robot:
    name: str
    x: float = 0.0
    speed: float = 0.5
    hp: int = 100
    armour: int = 0
    log: list[str] = attrs.Factory(list)


class Game:
    def __init__(self) -> None:
        self.robots = [Robot("ada"), Robot("bob", x=20, speed=-0.4, armour=10), Robot("cyd", x=5, speed=0.1)]

    def move(self) -> None:
        for robot in self.robots:
            robot.x = round(robot.x + robot.speed / 60, 4)

    def hit(self, robot: Robot, power: int) -> None:
        robot.log.append(f"hit with {power}")
        robot.hp -= power + robot.armour  # wrong

    def heal(self, robot: Robot) -> None:
        robot.hp = min(100, robot.hp + 5)


def main() -> None:
    game = Game()
    recorder = Recorder(sys.argv[1])
    for robot in game.robots:
        recorder.watch(robot, robot.name)
    dice = random.Random(3)
    for tick in range(120):
        game.move()
        if tick == 40:
            game.hit(game.robots[0], dice.randrange(10, 20))
        if tick == 60:
            game.heal(game.robots[0])
        if tick == 90:
            game.hit(game.robots[1], 15)
    print({robot.name: robot.hp for robot in game.robots})


if __name__ == "__main__":
    main()
