"""The site of docs/ builds without a warning and without a network, and its pages fetch nothing when they are read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest

import unspool
from support.pages import DOCS, ROOT

CONFIG = ROOT / ".github" / "mkdocs.yml"
OFFLINE = """
import socket, sys

def refuse(*_):
    raise OSError("the site is built without a network")

socket.socket.connect = refuse
socket.getaddrinfo = refuse
from mkdocs.__main__ import cli
cli(["build", "--strict", "-f", sys.argv[1], "-d", sys.argv[2]])
"""
missing = [name for name in ("mkdocs", "material", "mkdocstrings") if find_spec(name) is None]
needs_mkdocs = pytest.mark.skipif(
    bool(missing), reason=f"not installed: {', '.join(missing)} (`pip install .[docs]`)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site in a process that reaches nothing."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(CONFIG), str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@needs_mkdocs
@pytest.mark.slow
def test_every_page_is_built(site: Path) -> None:
    pages = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    built = {page.relative_to(site) for page in site.rglob("*.html")}
    assert pages | {Path("index.html"), Path("reference-python.html")} <= built


@needs_mkdocs
@pytest.mark.slow
def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    fetched = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=\"((?:https?:)?//[^\"]+)\"")
    for page in site.rglob("*.html"):
        assert fetched.findall(page.read_text("utf-8")) == [], page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text("utf-8")), style.name


@needs_mkdocs
@pytest.mark.slow
def test_links_and_pictures_lead_to_files_of_the_site(site: Path) -> None:
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        for link in re.findall(r"<(?:a|img)\b[^>]*?\b(?:href|src)=\"([^\"#?]+)", page.read_text("utf-8")):
            if not re.match(r"[a-z]+:", link):
                assert (page.parent / link).exists(), f"{page.relative_to(site)}: {link}"


@needs_mkdocs
@pytest.mark.slow
def test_the_reference_tells_every_public_name(site: Path) -> None:
    page = (site / "reference-python.html").read_text("utf-8")
    names = [name for name in unspool.__all__ if not name.startswith("__")]
    assert [name for name in names if f">{name}<" not in page and f'"unspool.{name}"' not in page] == []
    assert "skip_damaged" in page


def test_every_page_has_a_place_in_the_navigation() -> None:
    listed = set(re.findall(r"^ +- .+: ([\w/.-]+\.md)$", CONFIG.read_text("utf-8"), re.MULTILINE))
    assert {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} <= listed


@needs_mkdocs
@pytest.mark.slow
def test_anchors_of_links_are_on_the_pages_they_lead_to(site: Path) -> None:
    pages = {page.resolve(): page.read_text("utf-8") for page in site.rglob("*.html") if page.name != "404.html"}
    ids = {
        page: set(map(unescape, re.findall(r"\b(?:id|name)=\"?([^\"\s>]+)", text))) for page, text in pages.items()
    }
    followed = 0
    for page, text in pages.items():
        for link, anchor in re.findall(r"<a\b[^>]*?\bhref=\"?([^\"#?\s>]*)#([^\"\s>]+)", text):
            if re.match(r"[a-z]+:", link):
                continue
            target = (page.parent / link).resolve() if link else page
            followed += 1
            assert unquote(unescape(anchor)) in ids[target], f"{page.name}: {link}#{anchor}"
    assert followed > 100
