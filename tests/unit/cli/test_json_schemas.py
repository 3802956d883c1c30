"""What commands print with `--json` is what `unspool schema` says: no field more, none less, and of these kinds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from jsonschema import Draft202012Validator

from support.foreign_sources import FILES, FIXTURES, MADE
from unspool import Recorder, open_history
from unspool_tui.cli import COMMANDS, cli, run
from unspool_tui.cli.json_schemas import PRINTED, schema_of

SOURCES = [*(f"{path.parent.name}/{path.name}" for path in FILES), *MADE]
Printed = Callable[..., list[Any]]


def closed(schema: Any) -> Any:
    """Return a schema that refuses fields that it does not name: what is printed must be promised."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: closed(value) for key, value in schema.items()}
    return {**strict, "additionalProperties": False} if "properties" in schema else strict


VALIDATORS = {name: Draft202012Validator(closed(schema_of(name))) for name in PRINTED}


@pytest.fixture
def printed(capfdbinary: pytest.CaptureFixture[bytes]) -> Printed:
    """Return what runs a command line and holds what it printed to the schema of a name."""

    def check(name: str, *words: str) -> list[Any]:
        run([*words, "--json"])
        out = capfdbinary.readouterr()
        text = out.err if name == "error" else out.out
        documents = [json.loads(line) for line in text.splitlines()] if PRINTED[name].is_lines else [json.loads(text)]
        for document in documents:
            assert [error.message for error in VALIDATORS[name].iter_errors(document)] == [], words
        return documents

    return check


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("shop") / "shop.unspool"
    assert run(["demo", "--bug", "--steps", "150", "--file", str(path), "--quiet"]) == 0
    return str(path)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a history with forks, dropped entries, values and keys that JSON lacks."""
    path = tmp_path_factory.mktemp("odd") / "odd.unspool"
    with Recorder(path, keep=30) as recorder:
        for number in range(60):
            state = {
                "n": number, "nan": float("nan"), "pair": (1, number), 'odd "key"': {2: number, "x": b"\x00"},
                "rows": [{"id": key, "at": number} for key in range(number % 4)],
            }  # fmt: skip
            recorder.record(state, action=f"step {number}")
    return str(path)


def test_every_schema_is_one_and_names_its_version() -> None:
    for name, listed in PRINTED.items():
        schema = schema_of(name)
        Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"urn:unspool:{name}:{listed.version}"


def commands_with_json() -> Iterator[str]:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        parts = command.commands if isinstance(command, click.Group) else {"": command}
        for word, part in parts.items():
            if any("--json" in param.opts for param in part.params):
                yield f"{name}-{word}".rstrip("-")


def test_every_command_that_prints_json_has_a_schema() -> None:
    assert set(commands_with_json()) == set(PRINTED) - {"error", "blame-writes"}


def everything(printed: Printed, source: str) -> None:
    """Ask a source everything that the command line can."""
    printed("log", "log", source)
    for entry in ("first", "latest"):
        printed("show", "show", source, entry)
        printed("diff", "diff", source, entry)
    printed("diff", "diff", source, "first", "latest")
    printed("shape", "shape", source)
    printed("stats", "stats", source)
    values = printed("blame", "blame", source)[0]["values"]
    for path in [value["path"] for value in values][:3]:
        printed("show", "show", source, "--path", path)
        printed("blame-writes", "blame", source, path, "--writes", "--unchanged")
        printed("why", "why", source, path)
    printed("search", "search", source, "a", "-n", "20")
    printed("bisect", "bisect", source, "length(@) > `2`")
    printed("bisect", "bisect", source, "--change", "action != 'x'", "-n", "5")
    printed("bytes", "bytes", source)
    printed("doctor", "doctor", source, "--cross-check", "3")
    printed("simulate", "simulate", source, "--entries", "20")
    printed("check", "check", source, "--mine")


@pytest.mark.one_in(18)
@pytest.mark.parametrize("name", SOURCES)
def test_what_is_printed_of_every_format_is_what_is_promised(name: str, tmp_path: Path, printed: Printed) -> None:
    everything(printed, MADE[name](tmp_path) if name in MADE else str(FIXTURES / name))


def test_what_is_printed_of_a_native_history_is_what_is_promised(shop: str, odd: str, printed: Printed) -> None:
    for source in (shop, odd):
        everything(printed, source)
    assert printed("compare", "compare", shop, odd)[0]["relation"] != "same"
    assert printed("compare", "compare", shop, shop)[0]["relation"] == "same"
    assert any(link["guesses"] for link in printed("why", "why", shop, "till.revenue")[0]["links"])


def test_what_is_printed_of_a_damaged_file_is_what_is_promised(shop: str, tmp_path: Path, printed: Printed) -> None:
    data = bytearray(Path(shop).read_bytes())
    for place in range(len(data) // 3, len(data), len(data) // 5):
        data[place] ^= 0xFF
    damaged = tmp_path / "damaged.unspool"
    damaged.write_bytes(data)
    printed("stats", "stats", str(damaged))
    found = printed("doctor", "doctor", str(damaged), "--repair", str(tmp_path / "repaired.unspool"))
    assert found[0]["repair"]["out"].endswith("repaired.unspool")


def test_what_is_printed_of_upkeep_is_what_is_promised(shop: str, tmp_path: Path, printed: Printed) -> None:
    small = str(tmp_path / "small.unspool")
    assert printed("compact", "compact", shop, small)[0]["entries"] == 151
    printed("vacuum", "vacuum", small)
    printed("formats", "formats")


def test_what_is_printed_of_notes_is_what_is_promised(shop: str, tmp_path: Path, printed: Printed) -> None:
    copy = tmp_path / "noted.unspool"
    copy.write_bytes(Path(shop).read_bytes())
    assert run(["note", str(copy), "7", "here it begins"]) == 0
    assert run(["note", str(copy), "7", "till.revenue", "too low"]) == 0
    assert len(printed("notes", "notes", str(copy))[0]["notes"]) == 2
    assert printed("log", "log", str(copy), "7")[0]["notes"]
    assert printed("show", "show", str(copy), "7")[0]["notes"]


def test_what_is_printed_of_events_is_what_is_promised(tmp_path: Path, printed: Printed) -> None:
    source, log, other = tmp_path / "settings.py", str(tmp_path / "log.db"), str(tmp_path / "other.db")
    source.write_text("A = 1\n")
    printed("events-record", "events", "record", str(source), "--log", log, "--once")
    assert printed("events-verify", "events", "verify", log)[0]["valid"]
    assert run(["events", "export", log, str(tmp_path / "out.rblogs")]) == 0
    assert printed("events-import", "events", "import", str(tmp_path / "out.rblogs"), other)[0][0]["imported"] == 1


def test_what_is_refused_is_told_as_promised(shop: str, printed: Printed) -> None:
    printed("error", "show", shop, "99999")
    printed("error", "log", "nothing-there.unspool")
    printed("error", "log", shop, "--nope")


def test_a_replay_is_printed_as_promised(tmp_path: Path, printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sums.unspool"
    (tmp_path / "adding_reducer.py").write_text("def add(state, event):\n    return {'sum': state['sum'] + event}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with Recorder(path) as recorder:
        total = 0
        for number in range(5):
            total += number
            recorder.record({"sum": total}, action="add", event=number)
    told = printed("replay", "replay", str(path), "--reducer", "adding_reducer:add", "--skip", "2")[0]
    with open_history(path) as history:
        assert history.state(told["last"]) == {"sum": 8}


def test_the_command_prints_and_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "log"]) == 0
    assert json.loads(capsys.readouterr().out) == schema_of("log")
    assert run(["schema"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == list(PRINTED)
    assert run(["schema", "nothing"]) == 2
