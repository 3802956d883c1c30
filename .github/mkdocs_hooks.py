"""Pages of the site that do not lie in docs/: the README as its start, the project's own pages, and the Python reference.

Links are written for people who read the files where they lie; here they are made to lead to the same pages of the site.
"""

from __future__ import annotations

import os
import posixpath
import re
import sys
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
ELSEWHERE: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "benchmarks/RESULTS.md": "project/measurements.md",
    ".github/CONTRIBUTING.md": "project/contributing.md",
    ".github/SECURITY.md": "project/security.md",
    ".github/CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
}
"""Where pages of the repository stand in the site, by their place in the repository."""
REFERENCE: Final = "reference-python.md"
LINK: Final = re.compile(r"(\]\()(?![a-z]+:|#)([^)\s#]+)([^)]*\))")
FENCE: Final = re.compile(r"(^ *```.*?^ *```)", re.DOTALL | re.MULTILINE)


def in_site(place: str) -> str:
    """Return where a file of the repository stands in the site."""
    return ELSEWHERE.get(place, place.removeprefix("docs/"))


def in_repository(page: str) -> str:
    """Return where a page of the site lies in the repository."""
    return next((place for place, shown in ELSEWHERE.items() if shown == page), f"docs/{page}")


def with_links_of_the_site(text: str, page: str) -> str:
    """Rewrite the relative links of a page that is written for the repository."""
    folder = posixpath.dirname(in_repository(page))

    def rewritten(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(folder, link[2]))
        return f"{link[1]}{posixpath.relpath(in_site(place), posixpath.dirname(page) or '.')}{link[3]}"

    parts = FENCE.split(text)
    return "".join(part if number % 2 else LINK.sub(rewritten, part) for number, part in enumerate(parts))


def python_reference() -> str:
    """Return the page that has mkdocstrings tell everything `unspool` offers."""
    sys.path.insert(0, str(ROOT / "engine"))
    import unspool

    names = [name for name in unspool.__all__ if not name.startswith("__")]
    told = "\n\n".join(f"::: unspool.{name}" for name in sorted(names, key=str.lower))
    return f"# Python classes and functions\n\nAll that `import unspool` offers; [api.md](api.md) says what each is for.\n\n{told}\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/, and the pictures."""
    for place, shown in ELSEWHERE.items():
        files.append(File.generated(config, shown, content=(ROOT / place).read_text("utf-8")))
    files.append(File.generated(config, REFERENCE, content=python_reference()))
    for picture in sorted((ROOT / "screenshots").iterdir()):
        if picture.suffix in (".png", ".svg"):
            files.append(File.generated(config, f"screenshots/{picture.name}", abs_src_path=os.fspath(picture)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make a page's links those of the site."""
    if page.file.src_uri == REFERENCE:
        return markdown
    return with_links_of_the_site(markdown, page.file.src_uri)
