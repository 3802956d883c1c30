"""Names that no file can have, and files that cannot be written: told in one line, with nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.recording import record_shop
from unspool_tui.cli import run

WRITERS = {
    "convert": ("convert", "{source}", "{out}"),
    "export": ("export", "{source}", "{out}"),
    "compact": ("compact", "{source}", "{out}"),
    "repair": ("doctor", "{source}", "--repair", "{out}"),
    "demo": ("demo", "--steps", "1", "--file", "{out}"),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "shop.unspool"
    record_shop(path, 5)
    return path


@pytest.mark.one_in(2)
@pytest.mark.parametrize("words", WRITERS.values(), ids=list(WRITERS))
@pytest.mark.parametrize("name", ["x" * 300, "none/out", "shop.unspool/out"], ids=["long", "no folder", "a file"])
def test_a_name_that_cannot_be_written(
    words: tuple[str, ...], name: str, source: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    out = source.parent / name
    code = run([word.format(source=source, out=out) for word in words])
    told = capfdbinary.readouterr()
    assert code in (2, 3)
    assert told.out == b""
    assert told.err.count(b"\n") == 1
    assert told.err.startswith(f"unspool: {out}: ".encode())
    assert [path.name for path in source.parent.iterdir()] == [source.name]


@pytest.mark.parametrize("words", WRITERS.values(), ids=list(WRITERS))
def test_a_name_that_leaves_no_room_for_another_beside_it(
    words: tuple[str, ...], source: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A finished file needs no room; a recording needs some for its lock."""
    out = source.parent / ("x" * 252)
    code = run([word.format(source=source, out=out) for word in words])
    told = capfdbinary.readouterr()
    if "demo" in words:
        assert code == 3
        assert told.err.startswith(f"unspool: {out}: ".encode())
    else:
        assert code == 0, told.err
        assert out.stat().st_size
    left = {path.name for path in source.parent.iterdir()} - {out.name}
    assert left == {source.name}


@pytest.mark.parametrize(
    "words",
    [
        ("log", "{name}"), ("vacuum", "{name}"), ("compact", "{name}", "{source}.out"), ("doctor", "{name}"),
        ("events", "verify", "{name}"), ("events", "import", "{name}", "{source}.db"),
        ("events", "record", "{source}", "--once", "--log", "{name}"), ("log", "git:{name}:a"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_source_whose_name_is_too_long(
    words: tuple[str, ...], source: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run([word.format(name="x" * 300, source=source) for word in words]) == 3
    told = capfdbinary.readouterr()
    assert (told.out, told.err.count(b"\n")) == (b"", 1)
    assert b"x" * 300 in told.err


@pytest.mark.parametrize(
    ("words", "code", "remedy"),
    [
        (("events", "import", "{junk}", "{junk}.db"), 3, "`unspool events export` writes one"),
        (("check", "{source}", "--rules", "{junk}"), 2, "write its rules as [[rule]] tables"),
    ],
    ids=["archive", "rules"],
)
def test_junk_is_refused_with_a_remedy(
    words: tuple[str, ...], code: int, remedy: str, source: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    junk = source.with_name("junk")
    junk.write_bytes(bytes(range(256)))
    assert run([word.format(junk=junk, source=source) for word in words]) == code
    told = capfdbinary.readouterr()
    assert (told.out, told.err.count(b"\n")) == (b"", 1)
    assert told.err.decode().startswith(f"unspool: {junk}: ")
    assert told.err.decode().endswith(f"; {remedy}\n")
