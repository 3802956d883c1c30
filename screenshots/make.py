"""Draws screenshots/ anew: the real app over a day in the demo's shop, as SVG and PNG.

Run it with `make screenshots`. The day is the same every time; only measured times in the pictures differ.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from movie import Still, assembled

from unspool import Recorder
from unspool.model.paths import parse_path

FOLDER: Final = Path(__file__).parent
ENTRIES: Final = 900
START: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SHORT: Final = 0.05
FONTS: Final = "'Fira Code', 'DejaVu Sans Mono', Menlo, Consolas, monospace"
PNG_FONT: Final = "DejaVu Sans Mono"
PNG_CELL: Final = 12
"""Pixels of a cell in a PNG: a whole number, so that the letters of a line stay on their grid."""
SVG_CELL: Final = 12.2
"""Units of a cell in the SVG."""
FONT_CELL: Final = 0.602
"""Width of a letter of the PNG's font, in its size."""
REST: Final = "rest"
"""Stands among keys for a moment in which everything comes to rest."""


class Scene(NamedTuple):
    """One picture.

    Attributes:
        name: of its files.
        size: columns and lines of the terminal.
        keys: what is pressed before it is taken; words in angle brackets are typed.
        at: the entry to begin at; None follows the newest.
        theme: the colours.
        plain: plain ASCII without colour.
        day: "usual", or "bug" for that of docs/story.md.
        selected: the value that is selected at first.
    """

    name: str
    size: tuple[int, int]
    keys: Sequence[str]
    at: int | None = None
    theme: str = "unspool"
    plain: bool = False
    day: str = "usual"
    selected: str = ""


class Step(NamedTuple):
    """One step of the story that the moving picture tells.

    Attributes:
        keys: what is pressed, as in a scene.
        pressed: how the caption names that.
        caption: what there is to see.
        seconds: how long it stays.
    """

    keys: Sequence[str]
    pressed: str
    caption: str
    seconds: float


WRONG: Final = "orders[?total > sum(items[].amount)]"
STORY: Final = (
    Step((), "A wrong value", "ada paid 49.55 for one set of cups at 26.50. Which line of code did that?", 4),
    Step(
        ("B", f"<{WRONG}>", "enter", REST),
        f"B  {WRONG}  Enter",
        "Ask where an order begins to cost more than its items.",
        5,
    ),
    Step(
        ("enter", REST), "Enter", "There it is: entry 99, ada pays. But paying only copies the total of the cart.", 4
    ),
    Step(("2", "j", "j", "enter", REST), "2  j  j  Enter", "Select the total of ada's cart.", 4),
    Step(
        ("enter", REST),
        "Enter",
        "Who set it? Entry 94, four steps earlier: tea went out, the total went up. There is the line.",
        8,
    ),
)
MOVIE: Final = "story-moving"
MOVIE_SIZE: Final = (104, 30)
TOLD: Final = "unspool finds the line behind a wrong total: ask where it began, go there, ask who set the value"

SCENES: Final = (
    Scene("main", (120, 36), ("2", "j", "j"), 424),
    Scene("narrow", (80, 24), (REST,)),
    Scene("last-set-by", (120, 36), ("3", "g", "l", "j", "l", "j", "j"), 424),
    Scene("story", (120, 36), [key for step in STORY for key in step.keys], day="bug"),
    Scene("why", (120, 16), ("Y", REST, REST), 99, day="bug", selected="orders[9].total"),
    Scene("base", (120, 36), ("m", ":", "<470>", "enter", REST, "2", "j"), 424),
    Scene("search", (120, 36), ("/", "<kettle>", "enter", REST, "n", "n", REST), 300),
    Scene("ultra", (200, 50), ("2", "j"), 424),
    Scene("words", (120, 36), ("e", "2"), 424),
    Scene("over-time", (120, 36), ("/", "<revenue>", "enter", REST, "P", "s", REST, "right"), 424),
    Scene("bytes", (120, 36), ("U", REST, "p"), 424),
    Scene("chains", (120, 36), ("c", "D", REST), 424),
    Scene("simulator", (120, 40), ("S", REST, REST), 424),
    Scene("palette", (120, 36), (":", "<diff>"), 424),
    Scene("help", (120, 36), ("?",), 424),
    Scene("light", (120, 36), ("2", "j", "j"), 424, theme="unspool-light"),
    Scene("ascii", (80, 24), ("2", "j"), 424, plain=True),
)


def record_a_day(path: Path) -> None:
    """Record the demo's shop, with times that are the same on every run."""
    from unspool_tui.demo_shop import Shop

    shop = Shop(seed=7)
    moment = int(START.timestamp()) * 10**9
    with Recorder(path) as recorder:
        recorder.record(shop.state, "open", timestamp_ns=moment)
        for number in range(1, ENTRIES):
            action = shop.step()
            moment += (137 + number * 7919 % 463) * 1_000_000
            recorder.record(shop.state, action, timestamp_ns=moment)


async def draw(scene: Scene, path: Path) -> str:
    """Run the app, press the scene's keys, and return the picture."""
    (picture,) = await draw_each(scene, path, [scene.keys])
    return picture


async def draw_each(scene: Scene, path: Path, presses: Sequence[Sequence[str]]) -> list[str]:
    """Run the app for a scene, and return a picture for each time that some keys were pressed."""
    from unspool.sources.opening import open_history
    from unspool_tui.app import UnspoolApp
    from unspool_tui.settings import Settings, UiOptions

    options = UiOptions(
        remember=False, zone=dt.UTC, ascii=scene.plain, no_color=scene.plain, select=parse_path(scene.selected)
    )
    pictures = []
    with open_history(path) as history:
        app = UnspoolApp(history, Settings(theme=scene.theme), options, at=scene.at, follow=scene.at is None)
        async with app.run_test(size=scene.size) as pilot:
            await rest(app)
            for keys in presses:
                for key in keys:
                    if key == REST:
                        await rest(app)
                    elif key.startswith("<") and len(key) > 1:
                        await pilot.press(*key[1:-1])
                    else:
                        await pilot.press(key)
                await rest(app)
                app.main.flash_text = None
                app.main.repaint()
                await pilot.pause(SHORT)
                pictures.append(app.export_screenshot(title=f"unspool open {path.name}", simplify=True))
    return pictures


def moving_story(path: Path) -> str:
    """Return the story of docs/story.md as one moving picture."""
    scene = Scene(MOVIE, MOVIE_SIZE, (), day="bug")
    pictures = asyncio.run(draw_each(scene, path, [step.keys for step in STORY]))
    stills = [
        Still(picture, step.pressed, step.caption, step.seconds)
        for picture, step in zip(pictures, STORY, strict=True)
    ]
    return assembled(stills, MOVIE_SIZE, FONTS, TOLD)


async def rest(app: object) -> None:
    """Wait until nothing is under way."""
    main = app.main  # type: ignore[attr-defined]
    quiet = 0
    while quiet < 4:
        await asyncio.sleep(SHORT)
        busy = not main.worker.idle or main.painter.stale or main.painter.unsettled
        quiet = 0 if busy else quiet + 1


def local_fonts(svg: str) -> str:
    """Take the fonts that are there: a picture fetches nothing."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", FONTS)


def png(svg: str) -> bytes:
    """Return the picture as PNG; cairo takes one font name only."""
    import cairosvg

    svg = re.sub(r' textLength="[^"]*"', "", svg.replace(FONTS, PNG_FONT))
    svg = svg.replace("font-size: 20px", f"font-size: {SVG_CELL / FONT_CELL:.3f}px")
    drawn: bytes = cairosvg.svg2png(bytestring=svg.encode(), scale=PNG_CELL / SVG_CELL)
    return drawn


def main(wanted: Sequence[str]) -> None:
    """Draw all pictures, or those named."""
    from unspool_tui.demo_app import run_at_once

    with tempfile.TemporaryDirectory(prefix="unspool-pictures-") as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        days = {day: Path(folder) / day / "shop.unspool" for day in ("usual", "bug")}
        for path in days.values():
            path.parent.mkdir()
        record_a_day(days["usual"])
        run_at_once(str(days["bug"]), rate=5.0, steps=120, seed=0, bug=True)
        for scene in SCENES:
            if wanted and scene.name not in wanted:
                continue
            svg = local_fonts(asyncio.run(draw(scene, days[scene.day])))
            (FOLDER / f"{scene.name}.svg").write_text(svg, "utf-8")
            (FOLDER / f"{scene.name}.png").write_bytes(png(svg))
            sys.stdout.write(f"{scene.name}\n")
        if not wanted or MOVIE in wanted:
            (FOLDER / f"{MOVIE}.svg").write_text(moving_story(days["bug"]), "utf-8")
            sys.stdout.write(f"{MOVIE}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
