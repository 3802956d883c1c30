"""Every reader against files that look like its own: spoilt by their structure, packed, swollen, and hostile git settings."""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import lzma
import os
import random
import shutil
import sqlite3
import struct
import warnings
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import zstandard

from support.foreign_sources import FILES as NAMED_FILES
from support.foreign_sources import FIXTURES, MADE
from support.git_repo import Repo
from torture.campaign import Campaign, Outcome, Result
from torture.scenarios import SCENARIOS
from unspool import open_history
from unspool.errors import UnspoolError
from unspool.query.blame import blame
from unspool.query.doctor.diagnosis import diagnose
from unspool.sources.detection import FORMATS

FILES = [*NAMED_FILES, *sorted((FIXTURES / "seeds").iterdir())]
_MOST_ENTRIES = 60


def _deep(levels: int, kind: str) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value] if kind == "list" else {"a": value}
    return value


NASTY: tuple[Callable[[random.Random], Any], ...] = (
    lambda rng: None,
    lambda rng: rng.choice((True, False, 0, -1, 2**31, 2**53, 2**63, -(2**63) - 1, 10**30)),
    lambda rng: rng.choice((1.5, -0.0, 1e308, float("nan"), float("inf"))),
    lambda rng: rng.choice(
        ("", "x", "\x00", "\x1b[2J", "\ud800", "é" * 50, "__proto__", "$jsan", "../../etc/passwd", "-1")
    ),
    lambda rng: "9" * rng.choice((20, 400, 5000)),
    lambda rng: "x" * rng.choice((100, 10_000, 300_000)),
    lambda rng: rng.choice(([], {}, [[]], [{}], {"": {}}, {"a": None})),
    lambda rng: _deep(rng.choice((5, 200, 3000)), rng.choice(("list", "dict"))),
    lambda rng: [0] * rng.choice((10, 2000)),
    lambda rng: rng.choice(("2024-13-45T99:99:99Z", "1e999", "0x10", "1970-01-01", "9999-12-31T23:59:59.999999Z")),
)
"""What takes the place of a value, by chance."""


def spoilt(document: Any, rng: random.Random) -> Any:
    """Return a document with some of its members changed, dropped, doubled, exchanged or wrapped."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        holders = list(islice(_holders(document), 4000))
        if not holders:
            return rng.choice(NASTY)(rng)
        holder = rng.choice(holders)
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        match rng.randrange(7):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(key, rng.choice(NASTY)(rng))
            case 2:
                other = rng.choice(holders)
                if other and isinstance(other, list):
                    holder[key] = copy.deepcopy(rng.choice(other))
            case 3:
                holder[key] = [holder[key]]
            case 4 if isinstance(holder, dict):
                holder[rng.choice(("", "id", "type", "state", f"{key} ", "\ud800"))] = holder.pop(key)
            case 5 if isinstance(holder, list):
                holder.extend(copy.deepcopy(holder[: rng.choice((1, 3, 50))]))
            case _:
                holder[key] = rng.choice(NASTY)(rng)
    return document


def _holders(document: Any) -> Any:
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict | list) and value:
            yield value
            pending.extend(value.values() if isinstance(value, dict) else value)


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "[" * 3000 + "]" * 3000


def _text(data: bytes, rng: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):
        return _as_json(spoilt(json.loads(text), rng)).encode("utf-8", "surrogatepass")
    lines = text.splitlines()
    if not lines:
        return _bytes(data, rng)
    for _ in range(rng.choice((1, 1, 3))):
        place = rng.randrange(len(lines))
        with suppress(ValueError, RecursionError):
            lines[place] = _as_json(spoilt(json.loads(lines[place]), rng))
            continue
        lines[place] = rng.choice(("", "{", "[" * 500, lines[place] * 2, lines[place][: len(lines[place]) // 2]))
    if rng.random() < 0.2:
        rng.shuffle(lines)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8))):
        if not changed:
            break
        place, size = rng.randrange(len(changed)), rng.choice((1, 2, 4, 8, 40))
        match rng.randrange(4):
            case 0:
                changed[place] ^= 1 << rng.randrange(8)
            case 1:
                changed[place : place + size] = rng.choice((b"\xff", b"\x00", b"\x7f", b"\x80")) * size
            case 2:
                del changed[place : place + size]
            case _:
                changed[place:place] = changed[place : place + size * 3]
    return bytes(changed)


def _archive(data: bytes, rng: random.Random) -> bytes:
    """An event archive whose frame is right and whose content is not."""
    try:
        body = json.loads(zlib.decompress(data[10:-64]))
        packed = _as_json(spoilt(body, rng)).encode("utf-8", "surrogatepass")
    except (ValueError, zlib.error, RecursionError):
        # What is spoilt may be nested more deeply than a plain program can copy.
        return _bytes(data, rng)
    count = len(body) if rng.random() < 0.8 else rng.choice((0, 2**32 - 1))
    return (
        struct.pack(">5sBI", b"RBLOG", 1, count) + zlib.compress(packed) + hashlib.sha256(packed).hexdigest().encode()
    )


def _database(path: Path, rng: random.Random) -> None:
    """A database with cells, rows and tables that are not what they should be."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA journal_mode = DELETE")
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = [name for name in tables if not name.startswith("sqlite_")] or ["sqlite_master"]
        for _ in range(rng.choice((1, 1, 2, 4))):
            with suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
                _spoil_table(connection, rng.choice(tables), rng)


def _spoil_table(connection: sqlite3.Connection, table: str, rng: random.Random) -> None:
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    kind = connection.execute("SELECT type FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    if not columns or kind == ("view",):
        # An edit before this one dropped it, or made it a view without end.
        return
    column = rng.choice(columns)
    where = f'rowid IN (SELECT rowid FROM "{table}" ORDER BY random() LIMIT {rng.choice((1, 1, 3, 1000))})'
    cell: Any = rng.choice(
        (
            None,
            0,
            -1,
            2**62,
            -(2**63),
            1.5,
            "",
            "x",
            "[" * 3000,
            b"",
            b"\xc1",
            b"\xdd\x7f\xff\xff\xff",
            b"\xff\xfe",
            rng.randbytes(30),
        )
    )
    match rng.randrange(9):
        case 0:
            connection.execute(f'DELETE FROM "{table}" WHERE {where}')
        case 1:
            connection.execute(f'DROP TABLE "{table}"')
        case 2:
            connection.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO other')
        case 3:
            names = ", ".join(f'1 AS "{name}"' for name in columns)
            connection.execute(f'DROP TABLE "{table}"')
            connection.execute(
                f'CREATE VIEW "{table}" AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {names} FROM n'
            )
        case 4:
            held = connection.execute(f'SELECT "{column}" FROM "{table}" ORDER BY random() LIMIT 1').fetchone()
            if held and isinstance(held[0], bytes | str):
                data = held[0] if isinstance(held[0], bytes) else held[0].encode("utf-8", "surrogatepass")
                fresh: Any = _text(data, rng) if data[:1] in (b"{", b"[") else _bytes(data, rng)
                if isinstance(held[0], str):
                    fresh = fresh.decode("utf-8", "replace")
                connection.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE {where}', (fresh,))
        case _:
            connection.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE {where}', (cell,))


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, 1),
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".zst": lambda data: zstandard.ZstdCompressor(level=1).compress(data),
}


class Readers(Campaign):
    """A sample of a format, spoilt, opened as what it looks like or as another format, and asked everything."""

    name = "readers"
    about = "samples of every format spoilt by their structure, packed, renamed, forced into other formats"
    limit_s = 40.0
    memory = 3 << 30

    def prepare(self, folder: Path, seed: int) -> int:
        self.seed = seed
        self.samples = list(FILES)
        for number, (name, make) in enumerate(MADE.items()):
            if name.startswith("git"):
                continue
            place = folder / f"made{number}"
            place.mkdir()
            self.samples.append(Path(make(place)))
        native = folder / "native"
        native.mkdir()
        SCENARIOS["look"].prepare(native)
        self.samples.append(native / "app.unspool")
        return 1_000_000

    def run(self, case: int, folder: Path) -> Result:
        rng = random.Random(self.seed * 1_000_003 + case)
        sample = rng.choice(self.samples)
        place = folder / "spoilt"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        source = self._spoilt(sample, place, rng)
        name = rng.choice([one.name for one in FORMATS if one.name != "git"]) if rng.random() < 0.15 else None
        result = _asked(source, name)
        return Result(result.outcome, f"{result.told} [{sample.name} as {source.name}, format {name}]")

    @staticmethod
    def _spoilt(sample: Path, place: Path, rng: random.Random) -> Path:
        if sample.is_dir():
            shutil.copytree(sample, place / sample.name)
            files = sorted(path for path in (place / sample.name).rglob("*") if path.is_file())
            for path in rng.sample(files, min(2, len(files))):
                path.write_bytes((_text if rng.random() < 0.7 else _bytes)(path.read_bytes(), rng))
            return place / sample.name
        data = sample.read_bytes()
        if data.startswith(b"SQLite format 3\0") and rng.random() < 0.75:
            shutil.copy(sample, place / sample.name)
            _database(place / sample.name, rng)
            return place / sample.name
        if data.startswith(b"RBLOG") and rng.random() < 0.7:
            spoilt_data = _archive(data, rng)
        else:
            is_text = data[:1] in b'{["0123456789-' or sample.suffix in (".json", ".jsonl", ".toml", ".yaml")
            spoilt_data = (_text if is_text and rng.random() < 0.8 else _bytes)(data, rng)
        ending = ""
        if rng.random() < 0.15:
            ending = rng.choice(list(PACKED))
            spoilt_data = PACKED[ending](spoilt_data * rng.choice((1, 1, 200)))
            if rng.random() < 0.5:
                spoilt_data = _bytes(spoilt_data, rng)
        name = (
            sample.name
            if rng.random() < 0.9
            else rng.choice(("x", "x.json", "x.toml", "x.yaml", "x.msgpack", "x.jsonl"))
        )
        out = place / f"{name}{ending}"
        out.write_bytes(spoilt_data)
        return out


def _asked(source: Path, format_name: str | None) -> Result:
    """Open a source and ask it everything; whatever it holds, that ends in answers or in an error of one line."""
    refused = ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with open_history(source, format=format_name, follow=False) as history:
                for question in (
                    lambda: [history.state(seq) for seq in range(min(len(history), _MOST_ENTRIES))],
                    lambda: [history.changes(seq) for seq in range(min(len(history), 20))],
                    lambda: list(islice(history, _MOST_ENTRIES)),
                    history.stats,
                    lambda: diagnose(history),
                    lambda: blame(history, skip_damaged=True) if len(history) else None,
                ):
                    try:
                        question()
                    except UnspoolError as error:
                        refused = str(error)
        except UnspoolError as error:
            refused = str(error)
    if any(ord(letter) < 32 for letter in refused):
        return Result(Outcome.UNTYPED, f"an error with control characters: {refused!r:.200}")
    return Result(Outcome.TYPED, refused[:200]) if refused else Result(Outcome.RIGHT)


class HostileGit(Campaign):
    """Repositories whose settings, attributes and hooks would start a program."""

    name = "git settings"
    about = "repositories whose settings, attributes, hooks and names would start a program when git looks at them"

    _SETTINGS: ClassVar[tuple[tuple[str, str], ...]] = (
        ("core.fsmonitor", "{do}"), ("core.pager", "{do}"), ("pager.log", "{do}"), ("pager.show", "{do}"), ("diff.external", "{do}"),
        ("core.editor", "{do}"), ("core.sshCommand", "{do}"), ("core.askPass", "{do}"), ("credential.helper", "!{do}"),
        ("diff.evil.textconv", "{do}"), ("diff.evil.command", "{do}"), ("filter.evil.smudge", "{do}"), ("filter.evil.clean", "{do}"),
        ("filter.evil.process", "{do}"), ("alias.log", "!{do}"), ("alias.cat-file", "!{do}"), ("alias.rev-list", "!{do}"),
        ("core.hooksPath", "{hooks}"), ("gpg.program", "{do}"), ("log.showSignature", "true"), ("uploadpack.packObjectsHook", "{do}"),
        ("remote.origin.promisor", "true"), ("remote.origin.url", "ext::{do}"), ("protocol.ext.allow", "always"),
        ("extensions.partialClone", "origin"), ("core.alternateRefsCommand", "{do}"), ("sequence.editor", "{do}"),
        ("core.gitProxy", "{do}"), ("interactive.diffFilter", "{do}"), ("color.ui", "always"), ("log.decorate", "full"), ("log.date", "relative"),
        ("format.pretty", "format:%n"), ("i18n.logOutputEncoding", "UTF-16"), ("core.quotePath", "true"), ("log.follow", "true"),
    )  # fmt: skip

    def prepare(self, folder: Path, seed: int) -> int:
        if shutil.which("git") is None:
            from torture.campaign import Skipped

            raise Skipped("git is not installed")
        self.seed = seed
        return 10_000

    def run(self, case: int, folder: Path) -> Result:
        rng = random.Random(self.seed * 1_000_003 + case)
        place = folder / "repo"
        shutil.rmtree(place, ignore_errors=True)
        repo = Repo(place)
        for number in range(3):
            repo.commit("state.json", {"n": number}, f"commit {number}")
        started = folder / "started"
        program = folder / "do"
        program.write_text(f"#!/bin/sh\necho \"$0 $*\" >> '{started}'\nexit 0\n")
        program.chmod(0o755)
        hooks = folder / "hooks"
        hooks.mkdir(exist_ok=True)
        for name in (
            "post-index-change",
            "reference-transaction",
            "post-checkout",
            "pre-auto-gc",
            "fsmonitor-watchman",
        ):
            shutil.copy(program, hooks / name)
            shutil.copy(program, place / ".git" / "hooks" / name)
        chosen = rng.sample(self._SETTINGS, rng.choice((1, 2, 5, len(self._SETTINGS))))
        with (place / ".git" / "config").open("a") as stream:
            for name, value in chosen:
                section, _, key = name.rpartition(".")
                head, _, sub = section.partition(".")
                title = f'[{head} "{sub}"]' if sub else f"[{head}]"
                stream.write(f"{title}\n\t{key} = {value.format(do=program, hooks=hooks)}\n")
        (place / ".git" / "info").mkdir(exist_ok=True)
        (place / ".git" / "info" / "attributes").write_text("* diff=evil filter=evil\n")
        (place / ".gitattributes").write_text("* diff=evil filter=evil\n")
        started.unlink(missing_ok=True)
        before = os.environ.copy()
        result = self._opened(place)
        os.environ.clear()
        os.environ.update(before)
        if started.exists():
            return Result(
                Outcome.WRONG, f"a program was started: {started.read_text()[:200]} [{[name for name, _ in chosen]}]"
            )
        return Result(result.outcome, f"{result.told} [{[name for name, _ in chosen]}]")

    @staticmethod
    def _opened(place: Path) -> Result:
        try:
            with open_history(f"git:{place}:state.json", follow=False) as history:
                states = [history.state(seq) for seq in range(len(history))]
        except UnspoolError as error:
            return Result(Outcome.TYPED, str(error))
        if states != [{"n": 0}, {"n": 1}, {"n": 2}]:
            return Result(Outcome.WRONG, f"the history reads {states!r:.200}")
        return Result(Outcome.RIGHT)
