"""Every relative link of the pages leads to a file that is there, and every anchor to a heading of it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from support.pages import DOCS, FENCE, ROOT

PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / ".github").glob("*.md")),
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "benchmarks" / "RESULTS.md",
]
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)(?: \"[^\"]*\")?\)|(?:href|src)=\"([^\"]+)\"")


def prose(path: Path) -> str:
    """Return a page without code: what stands in it is no link."""
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", FENCE.sub("", path.read_text("utf-8")))


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, made as on GitHub: the second of a name ends with -1."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#{1,6} (.+?) *$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        count = found[name] = found.get(name, -1) + 1
        names.add(f"{name}-{count}" if count else name)
    return frozenset(names)


def wrong_links(path: Path) -> list[str]:
    """Return what is wrong with each link of a page that does not lead anywhere."""
    wrong = []
    for found in LINK.finditer(prose(path)):
        link = found[1] or found[2]
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        place = (path.parent / target).resolve() if target else path
        if not place.exists():
            wrong.append(f"{link}: no such file")
        elif target and not place.is_relative_to(ROOT):
            wrong.append(f"{link}: leads out of the repository")
        elif anchor and anchor not in anchors(place):
            wrong.append(f"{link}: no such heading; there are {', '.join(sorted(anchors(place)))}")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    assert wrong_links(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = ROOT / "docs" / "cli.md"
    odd = tmp_path / "odd.md"
    odd.write_text(
        "# A & b\n\n[x](#a--b) [y](#a-b) `[z](none.md)` [w](none.md) [v](https://example.org/#x) [u](mailto:a@b)\n"
    )
    assert [link.partition(":")[0] for link in wrong_links(odd)] == ["#a-b", "none.md"]
    assert {"exit-codes", "json"} <= anchors(page)


def test_every_page_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        links = [found[1] or found[2] for found in LINK.finditer(prose(page))]
        targets = {
            (page.parent / link.partition("#")[0]).resolve() for link in links if not re.match(r"[a-z]+:|#", link)
        }
        waiting += [target for target in targets - seen if target.suffix == ".md" and target.exists()]
    assert [page for page in sorted(DOCS.rglob("*.md")) if page not in seen] == []
