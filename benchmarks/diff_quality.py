"""How small and how true diffs are: ours and those of other tools, over pairs whose story was told by hand.

`python -m benchmarks.diff_quality` writes `docs/diff-quality.md`. `--modules DIR` names a folder in which
`npm install jsondiffpatch` was run, `--dyff FILE` the program dyff; a tool that is not there is named as not run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import jsonpatch
from deepdiff import DeepDiff

from unspool.delta.structural import diff_values
from unspool.model.entries import Op, OpKind
from unspool.model.json_text import to_json
from unspool.model.keys import format_path

ROOT: Final = Path(__file__).parents[1]
PAIRS: Final = ROOT / "fixtures" / "diff_quality" / "pairs.json"
REPORT: Final = ROOT / "docs" / "diff-quality.md"
_SIDE_BY_SIDE: Final = (
    "a record at the front", "a record moved and edited", "two records taken", "a line inside a record that moved",
    "containers known by name", "a finished order moved to the end and closed", "true in the place of 1", "a key renamed",
)  # fmt: skip
"""Pairs that are shown with what each tool says."""
_LONGEST: Final = 200
"""Characters of an answer that the report shows."""

_ABOUT: Final = (
    ", each with the story a person tells of it: the fewest steps that are true, records followed by what identifies them. The stories stand "
    "in `fixtures/diff_quality/pairs.json`, spelled as steps that are applied one after the other, and are tested in "
    "`tests/unit/delta/test_diff_quality.py`. `python -m benchmarks.diff_quality --modules DIR --dyff FILE` writes this page."
)
_MEANING: Final = (
    "A step is one thing that is said to have happened. *As told by hand*: as many steps as the story. *Longer*: more steps, mostly because a "
    "record that only moved is told as changed in every field. *Shorter*: fewer, because something is not told (a move, `1` that became `true`) "
    "or several things are told as one value replaced. deepdiff and jsonpatch know no identity of records; jsondiffpatch is given it."
)
Pair = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a tool says of a pair.

    Attributes:
        steps: how many things it says happened; None where it said something that cannot be counted.
        text: its own words.
    """

    steps: int | None
    text: str


Tool = Callable[[Sequence[Pair]], list[Answer]]


def words(op: Op) -> str:
    """Spell an op as the stories of the pairs are spelled."""
    place = format_path(op.path, root="")
    if op.kind is OpKind.MOVE:
        return f"move {format_path(op.source, root='')} -> {place}"
    if op.kind is OpKind.REPLACE:
        return f"replace {place} {to_json(op.old)} -> {to_json(op.new)}"
    return f"{op.kind} {place} {to_json(op.new if op.kind is OpKind.ADD else op.old)}"


def _unspool(pairs: Sequence[Pair]) -> list[Answer]:
    told = [[words(op) for op in diff_values(pair["old"], pair["new"])] for pair in pairs]
    return [Answer(len(ops), "\n".join(ops)) for ops in told]


def _deepdiff(pairs: Sequence[Pair], **options: bool) -> list[Answer]:
    answers = []
    for pair in pairs:
        tree = DeepDiff(pair["old"], pair["new"], view="tree", verbose_level=2, **options)
        text = DeepDiff(pair["old"], pair["new"], verbose_level=2, **options).pretty()
        answers.append(Answer(sum(len(levels) for levels in tree.values()), text))
    return answers


def _deepdiff_any_order(pairs: Sequence[Pair]) -> list[Answer]:
    return _deepdiff(pairs, ignore_order=True)


def _json_patch(pairs: Sequence[Pair]) -> list[Answer]:
    patches = [jsonpatch.make_patch(pair["old"], pair["new"]).patch for pair in pairs]
    return [Answer(len(patch), "\n".join(map(json.dumps, patch))) for patch in patches]


def _jsondiffpatch(folder: Path) -> Tool:
    def run(pairs: Sequence[Pair]) -> list[Answer]:
        given = "".join(json.dumps([pair["old"], pair["new"]]) + "\n" for pair in pairs)
        script = str(Path(__file__).with_name("peers") / "jsondiffpatch.mjs")
        done = subprocess.run(
            ["node", script, str(folder.resolve())], input=given, capture_output=True, text=True, check=True
        )
        deltas = [json.loads(line) for line in done.stdout.splitlines()]
        return [Answer(_delta_steps(delta), json.dumps(delta, ensure_ascii=False)) for delta in deltas]

    return run


def _delta_steps(delta: Any) -> int:
    """Count the leaves of a delta of jsondiffpatch: each list is one value added, changed, taken or moved."""
    if isinstance(delta, dict):
        return sum(_delta_steps(part) for key, part in delta.items() if key != "_t")
    return int(isinstance(delta, list))


def _dyff(program: Path) -> Tool:
    def run(pairs: Sequence[Pair]) -> list[Answer]:
        answers = []
        with tempfile.TemporaryDirectory() as folder:
            names = [Path(folder, name) for name in ("old.json", "new.json")]
            for pair in pairs:
                for name, side in zip(names, ("old", "new"), strict=True):
                    name.write_text(json.dumps(pair[side]))
                command = [str(program), "between", "--omit-header", "--color", "off", *map(str, names)]
                text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                answers.append(
                    Answer(
                        sum(line.lstrip().startswith(("+", "-", "\u00b1", "\u21c6")) for line in text.splitlines()),
                        text,
                    )
                )
        return answers

    return run


def tools(modules: Path | None, dyff: Path | None) -> dict[str, Tool | None]:
    """Return the tools by name; None for one that is not there."""
    has_node = modules is not None and shutil.which("node") is not None
    return {
        "unspool": _unspool,
        f"deepdiff {version('deepdiff')}": _deepdiff,
        "deepdiff, any order": _deepdiff_any_order,
        f"jsonpatch {version('jsonpatch')}": _json_patch,
        "jsondiffpatch": _jsondiffpatch(modules) if modules is not None and has_node else None,
        "dyff": None if dyff is None else _dyff(dyff),
    }


def report(pairs: Sequence[Pair], answers: dict[str, list[Answer] | None]) -> str:
    """Return the report in Markdown."""
    ran = {name: found for name, found in answers.items() if found is not None}
    lines = [
        "# Diff quality", "",
        f"{len(pairs)} changes{_ABOUT}", "", _MEANING, "",
        *_summary(pairs, ran), "", "## Steps by kind of change", "", *_by_group(pairs, ran), "",
    ]  # fmt: skip
    absent = [name for name, found in answers.items() if found is None]
    if absent:
        lines += [f"Not run, for it could not be had where this page was made: {', '.join(absent)}.", ""]
    longer = [pair["name"] for pair in pairs if "ours" in pair]
    lines += [
        "## Where ours is not the shortest", "",
        *(f"- {name}: told as one key taken and another added; a patch of ours moves items of lists only." for name in longer), "",
        "## Side by side", "",
    ]  # fmt: skip
    for place, pair in enumerate(pairs):
        if pair["name"] in _SIDE_BY_SIDE:
            lines += _side_by_side(pair, {name: found[place] for name, found in ran.items()})
    lines += ["## All pairs", "", *_all_pairs(pairs, ran)]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)]


def _summary(pairs: Sequence[Pair], ran: dict[str, list[Answer]]) -> list[str]:
    rows: list[list[object]] = [["by hand", sum(len(pair["story"]) for pair in pairs), len(pairs), 0, 0]]
    for name, found in ran.items():
        differences = [(answer.steps or 0) - len(pair["story"]) for answer, pair in zip(found, pairs, strict=True)]
        rows.append([
            name, sum(answer.steps or 0 for answer in found), sum(not difference for difference in differences),
            sum(difference > 0 for difference in differences), sum(difference < 0 for difference in differences),
        ])  # fmt: skip
    return _table(["tool", "steps in all", "as told by hand", "longer", "shorter"], rows)


def _by_group(pairs: Sequence[Pair], ran: dict[str, list[Answer]]) -> list[str]:
    groups = list(dict.fromkeys(pair["group"] for pair in pairs))
    rows = []
    for group in groups:
        places = [place for place, pair in enumerate(pairs) if pair["group"] == group]
        told = [sum(found[place].steps or 0 for place in places) for found in ran.values()]
        rows.append([group, len(places), sum(len(pairs[place]["story"]) for place in places), *told])
    return _table(["kind", "pairs", "by hand", *ran], rows)


def _side_by_side(pair: Pair, answers: dict[str, Answer]) -> list[str]:
    lines = [f"### {pair['name']}", "", "```", f"old  {json.dumps(pair['old'], ensure_ascii=False)}",
             f"new  {json.dumps(pair['new'], ensure_ascii=False)}", "```", ""]  # fmt: skip
    for name, answer in answers.items():
        text = answer.text if len(answer.text) <= _LONGEST * 3 else answer.text[: _LONGEST * 3] + " \u2026"
        lines += [
            f"{name}, {answer.steps} {'step' if answer.steps == 1 else 'steps'}:",
            "",
            "```",
            text or "(nothing)",
            "```",
            "",
        ]
    return lines


def _all_pairs(pairs: Sequence[Pair], ran: dict[str, list[Answer]]) -> list[str]:
    rows = [
        [pair["name"], len(pair["story"]), *(found[place].steps for found in ran.values())]
        for place, pair in enumerate(pairs)
    ]
    return _table(["change", "by hand", *ran], rows)


def load() -> list[Pair]:
    """Return the pairs."""
    pairs: list[Pair] = json.loads(PAIRS.read_text())
    return pairs


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask all tools and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=Path, help="a folder in which `npm install jsondiffpatch` was run")
    parser.add_argument("--dyff", type=Path, help="the program dyff")
    parser.add_argument("--out", type=Path, default=REPORT, help="the report")
    given = parser.parse_args(arguments)
    pairs = load()
    found = {name: None if ask is None else ask(pairs) for name, ask in tools(given.modules, given.dyff).items()}
    given.out.write_text(report(pairs, found))


if __name__ == "__main__":
    main()
