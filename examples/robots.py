"""A game of robots, as attrs classes, at sixty ticks a second; armour makes a hit worse instead of better.

python examples/robots.py robots.unspool
unspool blame robots.unspool 'robots[1].hp'
"""

from __future__ import annotations

import random
import sys

import attrs

from unspool import Recorder

recorder = Recorder(sys.argv[1], caller=True, state=lambda: {"tick": clock.tick, "robots": robots})


@attrs.define
class Robot:
    name: str
    x: float = 0.0
    speed: float = 0.5
    hp: int = 100
    armour: int = 0
    log: list[str] = attrs.Factory(list)


@attrs.define
class Clock:
    tick: int = 0


clock = Clock()
robots = [Robot("ada"), Robot("bob", x=20, speed=-0.4, armour=10), Robot("cyd", x=5, speed=0.1)]


def changed(action: str) -> None:
    recorder.record(action=action, stacklevel=2)


def move() -> None:
    for robot in robots:
        robot.x += robot.speed / 60
    changed("move")


def hit(robot: Robot, power: int) -> None:
    robot.hp -= power + robot.armour
    robot.log.append(f"hit with {power}")
    changed(f"hit {robot.name}")  # wrong


def heal(robot: Robot) -> None:
    robot.hp = min(100, robot.hp + 5)
    changed(f"heal {robot.name}")


def main() -> None:
    dice = random.Random(3)
    for clock.tick in range(120):
        move()
        if clock.tick == 40:
            hit(robots[0], dice.randrange(10, 20))
        if clock.tick == 60:
            heal(robots[0])
        if clock.tick == 90:
            hit(robots[1], 15)
    print({robot.name: robot.hp for robot in robots})


if __name__ == "__main__":
    main()
