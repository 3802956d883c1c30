"""The line of the user's own code that is named for a change, whatever stands between the line and the change."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.live_host import each_python, record

HARD_TO_FOLLOW = """\
class Box:
    def __init__(self):
        self.n = 0
def find(items):
    return items[0]
S = {"nums": [2, 3], "boxes": [Box()]}
list(map(S["nums"].append, [1, 5]))
(S["boxes"] or [Box()])[0].n = 4
find(S["boxes"]).n = 5
(S["boxes"][0] if S["nums"] else Box()).n = 6
find([S["nums"]])[0] = 7
"""


@pytest.mark.parametrize("version", each_python())
def test_an_exact_recording_has_the_line_of_what_cannot_be_followed(tmp_path: Path, version: str) -> None:
    seen = record(tmp_path, HARD_TO_FOLLOW, version, watch=["S"], exact=True, stores=True)
    assert seen.code == 0, seen.err
    assert [entry["line"] for entry in seen.entries if not entry.get("unseen")] == [6, 7, 8, 9, 10, 11]
    assert seen.of_kind("bye")[0]["unseen"] == 0
