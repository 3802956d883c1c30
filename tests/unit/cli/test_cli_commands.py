"""The command line: what each command prints, and with which exit code it ends."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch
import pytest

from unspool import Recorder, open_history
from unspool_tui.cli import run
from unspool_tui.cli.output import Output

FIXTURES = Path(__file__).parents[3] / "fixtures"
SOURCE = str(FIXTURES / "states" / "envelope.jsonl")


@dataclass(frozen=True)
class Ran:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Capture:
    """Runs command lines with standard output and error caught as bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str, stdin: bytes = b"", terminal: bool = False) -> Ran:
        streams = [io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="\n") for data in (stdin, b"", b"")]
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            self._monkeypatch.setattr(f"sys.{name}", stream)
        if terminal:
            self._monkeypatch.setattr(streams[1], "isatty", lambda: True, raising=False)
        code = run(words)
        texts = []
        for stream in streams[1:]:
            stream.flush()
            buffer = stream.buffer
            assert isinstance(buffer, io.BytesIO)
            texts.append(buffer.getvalue().decode())
        return Ran(code, *texts)


@pytest.fixture
def unspool(monkeypatch: pytest.MonkeyPatch) -> Capture:
    return Capture(monkeypatch)


def test_log_json_is_one_entry_a_line_oldest_first(unspool: Capture) -> None:
    ran = unspool("log", SOURCE, "--json")
    assert ran.code == 0
    assert ran.err == ""
    first, second, *_ = ran.lines
    assert list(first) == [
        "seq", "id", "kind", "base_seq", "timestamp", "action", "added", "modified", "deleted", "stored_bytes",
        "full_bytes", "meta",
    ]  # fmt: skip
    assert (first["seq"], first["kind"], first["base_seq"], first["added"]) == (0, "full", None, 4)
    assert (second["seq"], second["kind"], second["base_seq"], second["modified"]) == (1, "delta", 0, 3)
    assert second["timestamp"] == "2023-11-14T22:13:20.250000Z"
    assert second["meta"] == {}


def test_log_takes_the_newest_and_filters_by_atom_and_kind(unspool: Capture) -> None:
    def seqs(*options: str) -> list[int]:
        return [entry["seq"] for entry in unspool("log", SOURCE, "--json", *options).lines]

    assert seqs("-n", "2") == [2, 3]
    assert seqs("-n", "0") == []
    assert seqs("-n", "99") == [0, 1, 2, 3]
    assert seqs("--atom", "open") == [0]
    assert seqs("--atom", "cart", "-n", "1") == [3]
    assert seqs("--kind", "full") == [0]
    assert seqs("--kind", "delta", "--atom", "stock") == [1, 2, 3]
    assert seqs("--atom", "no such atom") == []


def test_show_prints_a_state_an_atom_or_a_value(unspool: Capture) -> None:
    shown = unspool("show", SOURCE, "-1", "--json").json
    assert list(shown) == ["seq", "timestamp", "action", "state"]
    assert shown["seq"] == 3
    assert shown["state"]["total"] == 18.0
    assert unspool("show", SOURCE, "1", "--atom", "stock", "--json").json["state"] == {
        "stock": {"tea": 11, "mug": 4, "kettle": 3}
    }
    assert unspool("show", SOURCE, "2", "--path", "cart[1].sku", "--json").json["value"] == "mug"
    assert unspool("show", SOURCE, "2", "--path", "/cart/1/sku").out == '"mug"\n'


@pytest.mark.parametrize(
    "words",
    [
        ("show", SOURCE, "4"),
        ("show", SOURCE, "-5"),
        ("show", SOURCE, "0", "--atom", "nothing"),
        ("show", SOURCE, "0", "--path", "cart[7]"),
        ("show", SOURCE, "0", "--path", "cart[[["),
        ("show", SOURCE, "0", "--path", "a", "--atom", "a"),
        ("show", SOURCE, "zero"),
        ("diff", SOURCE, "0..9"),
        ("diff", SOURCE, SOURCE),
        ("diff", SOURCE, "0", "9"),
        ("diff", SOURCE, "0", "1", "--json", "--patch"),
        ("log", SOURCE, "--format", "nonsense"),
        ("log", SOURCE, "--kind", "half"),
        ("log", SOURCE, "--identity", "nonsense"),
        ("log", SOURCE, "--poll", "0"),
        ("log", SOURCE, "extra"),
        ("log",),
        ("stas", SOURCE),
        ("export", SOURCE, "-", "--format", "elm"),
        ("completion", "tcsh"),
        ("--nonsense",),
    ],
)
def test_wrong_usage_ends_with_2_and_prints_no_data(unspool: Capture, words: tuple[str, ...]) -> None:
    ran = unspool(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith('{"error":' if "--json" in words else "unspool: ")
    assert ran.err.count("\n") == 1


def test_wrong_usage_says_where_to_look_it_up(unspool: Capture) -> None:
    assert unspool("show").err == "unspool: Missing argument 'SOURCE'; see `unspool show --help`\n"


def test_an_atom_that_no_entry_changed_is_told(unspool: Capture) -> None:
    ran = unspool("log", SOURCE, "--atom", "crat")
    assert ran.code == 0
    assert ran.err.startswith("unspool: --atom: no entry changed crat; the newest state has ")
    assert unspool("log", SOURCE, "--atom", "crat", "--quiet").err == ""


def test_a_command_that_is_misspelt_is_named(unspool: Capture) -> None:
    assert "Did you mean 'stats'" in unspool("stas", SOURCE).err


def test_what_cannot_be_read_ends_with_3_and_one_line(unspool: Capture, tmp_path: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text("")
    for words in (
        ("log", str(tmp_path / "missing.json")),
        (str(tmp_path / "missing.json"),),
        ("stats", str(empty)),
        ("show", str(tmp_path), "0"),
        ("diff", "git:nowhere:x.json", "0", "1"),
        ("convert", str(empty), str(tmp_path / "out.unspool")),
    ):
        ran = unspool(*words)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err.count("\n") == 1
        assert ran.err.startswith(("unspool: ", '{"error":'))


def test_log_finds_entries_and_notes_by_what_they_say(unspool: Capture, tmp_path: Path) -> None:
    path = tmp_path / "notes.unspool"
    with Recorder(path) as recorder:
        recorder.record({"a": 1}, "Pay order")
        recorder.note("payment was slow")
        recorder.record({"a": 2}, "ship")

    def numbers(*options: str) -> list[int]:
        return [entry["seq"] for entry in unspool("log", str(path), "--json", *options).lines]

    assert numbers("--action", "pay") == [0, 1]
    assert numbers("--action", "Pay") == [0]
    assert numbers("--action", "pay", "--kind", "note") == [1]
    assert numbers("--action", "pay", "-n", "1") == [1]
    assert numbers("--action", "nothing") == []


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.json", "empty.log", "empty.csv", "empty"])
def test_an_empty_file_gets_one_answer_from_every_command(unspool: Capture, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    words: dict[str, tuple[str, ...]] = {
        "log": (), "show": ("0",), "diff": ("0", "1"), "stats": (), "doctor": (), "search": ("x",), "check": (), "bytes": (), "blame": ("a",),
        "bisect": ("a",), "compare": (str(path),), "export": (str(tmp_path / "out.jsonl"),), "convert": (str(tmp_path / "out.unspool"),),
    }  # fmt: skip
    answers = {command: unspool(command, str(path), *more) for command, more in words.items()}
    assert {ran.code for ran in answers.values()} == {3}
    assert {ran.out for ran in answers.values()} == {""}
    assert len({ran.err for ran in answers.values()}) == 1, answers
    assert [place.name for place in tmp_path.iterdir()] == [name]


def test_damage_half_way_prints_nothing(unspool: Capture, tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path) as recorder:
        for number in range(300):
            recorder.record({"n": number, "text": f"{number}" * 50})
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data), 700):
        data[place : place + 200] = bytes(len(data[place : place + 200]))
    path.write_bytes(data)
    for words in (("log", "--json"), ("export", "-"), ("diff", "0", "-1"), ("show", "-1")):
        ran = unspool(words[0], str(path), *words[1:])
        assert (ran.code, ran.out) == (3, "")
        assert ran.err.count("\n") == 1


def test_diff_json_tells_every_change_and_step(unspool: Capture) -> None:
    diff = unspool("diff", SOURCE, "0", "1", "--json").json
    assert (diff["from"], diff["to"]) == (0, 1)
    cart, stock, total = diff["changes"]
    assert cart["kind"] == "modified"
    assert cart["ops"] == [{"op": "add", "path": "/1", "new": {"sku": "mug", "qty": 1}}]
    assert stock["ops"] == [{"op": "replace", "path": "/mug", "old": 5, "new": 4}]
    assert (total["old"], total["new"]) == (4.5, 9.0)


def test_diff_json_of_added_and_deleted_atoms(unspool: Capture, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text('{"a": 1, "b": 2}\n{"b": 2, "c": 3}\n')
    changes = unspool("diff", str(path), "0", "1", "--json").json["changes"]
    assert changes == [
        {"atom": "a", "kind": "deleted", "old": 1, "ops": []},
        {"atom": "c", "kind": "added", "new": 3, "ops": []},
    ]


@pytest.mark.parametrize(("a", "b"), [("0", "3"), ("3", "0"), ("-1", "1"), ("2", "2")])
def test_diff_patch_is_applied_by_another_tool(unspool: Capture, a: str, b: str) -> None:
    patch = unspool("diff", SOURCE, a, b, "--patch").json
    with open_history(SOURCE, follow=False) as history:
        assert jsonpatch.apply_patch(history.state(int(a)), patch) == history.state(int(b))


def test_diff_for_people_marks_and_explains(unspool: Capture) -> None:
    text = unspool("diff", SOURCE, "0", "1").out
    assert "~ cart" in text
    assert "    + [1]" in text
    assert "    ~ mug  5 -> 4" in text
    words = unspool("diff", SOURCE, "0", "1", "--explain").out
    assert "stock.mug fell from 5 to 4" in words
    assert "cart[1] was added" in words


def test_words_tell_records_apart_as_the_other_views_do(unspool: Capture, tmp_path: Path) -> None:
    path = tmp_path / "states.jsonl"
    tea, cups = {"sku": "tea", "price": 12.5}, {"sku": "cups", "price": 26.5}
    path.write_text("".join(json.dumps({"items": items}) + "\n" for items in ([tea, cups], [cups])))
    assert unspool("diff", str(path), "0", "1", "--explain").out.startswith("items[0] was removed; it was {")
    assert unspool("diff", str(path), "0", "1", "--explain").out.count("\n") == 1


def test_stats_json_has_the_promised_shape(unspool: Capture) -> None:
    stats = unspool("stats", SOURCE, "--json").json
    assert {
        "entries", "full", "delta", "chains", "longest_chain", "stored_bytes", "full_bytes", "ratio", "file_bytes",
        "codecs", "atoms", "rebuild_us", "cache", "health", "verdict",
    } <= stats.keys()  # fmt: skip
    assert (stats["entries"], stats["full"], stats["delta"]) == (4, 1, 3)
    assert stats["atoms"]["cart"]["changes"] == 4
    assert set(stats["rebuild_us"]) == {"p50", "p95", "max"}
    assert set(stats["cache"]) == {"size", "max_size", "hits", "misses", "evictions"}
    assert stats["health"] == "healthy"
    assert stats["verdict"]["status"] == "complete"


def test_a_partial_source_is_told_on_standard_error_and_fails_under_strict(unspool: Capture, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text('{"a": 1}\nbroken\n{"a": 2}\n')
    ran = unspool("log", str(path), "--json")
    assert ran.code == 0
    assert len(ran.lines) == 2
    assert "s.jsonl:2 (byte 9)" in ran.err
    assert unspool("log", str(path), "--strict").code == 1
    assert unspool("log", str(path), "--quiet").err == ""
    verdict = unspool("stats", str(path), "--json").json["verdict"]
    assert verdict["status"] == "partial"
    assert len(verdict["problems"]) == 1


def test_open_prints_stats_and_log_where_there_is_no_terminal(unspool: Capture) -> None:
    opened = unspool("open", SOURCE)
    assert opened.code == 0
    assert "entries  4 (1 full, 3 delta)" in opened.out
    assert "add kettle" in opened.out
    times = re.compile(r"rebuild .*|cache .*")
    assert times.sub("", unspool(SOURCE).out) == times.sub("", opened.out)


def test_standard_input_is_a_source(unspool: Capture) -> None:
    data = Path(SOURCE).read_bytes()
    assert len(unspool("log", "-", "--json", stdin=data).lines) == 4
    assert "add mug" in unspool("-", stdin=data).out


def test_convert_takes_times_from_where_it_is_told(unspool: Capture, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n": 1, "sent": "2024-05-01T00:00:00Z"}\n{"n": 2, "sent": "2024-05-02T00:00:00Z"}\n')
    assert unspool("convert", str(path), str(tmp_path / "out.unspool"), "--time", "sent").code == 0
    with open_history(tmp_path / "out.unspool") as history:
        assert [entry.timestamp_ns // 10**9 for entry in history] == [1_714_521_600, 1_714_608_000]


def test_convert_keeps_a_foreign_history(unspool: Capture, tmp_path: Path) -> None:
    out = tmp_path / "kept.unspool"
    ran = unspool("convert", SOURCE, str(out))
    assert (ran.code, ran.out) == (0, "")
    assert "4 entries" in ran.err
    with open_history(out) as kept, open_history(SOURCE, follow=False) as source:
        assert [kept.state(seq) for seq in range(4)] == [source.state(seq) for seq in range(4)]
        assert [entry.action for entry in kept] == [entry.action for entry in source]
    again = unspool("convert", SOURCE, str(out))
    assert again.code == 3
    assert "--force" in again.err
    assert unspool("convert", SOURCE, str(out), "--force", "--codec", "none", "--quiet").err == ""
    assert {line["kind"] for line in unspool("log", str(out), "--json").lines} == {"full"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.unspool"]


def test_convert_of_a_native_file_keeps_ids_times_and_forks(unspool: Capture, tmp_path: Path) -> None:
    first, second = tmp_path / "a.unspool", tmp_path / "b.unspool"
    with Recorder(first) as recorder:
        recorder.record({"n": 0}, "zero", timestamp_ns=1, entry_id="x", meta={"k": [1]})
        recorder.record({"n": 1}, "one", timestamp_ns=2)
        recorder.record({"n": 2}, "two", timestamp_ns=3, parent_seq=0)
    assert unspool("convert", str(first), str(second)).code == 0
    with open_history(first) as before, open_history(second) as after:
        for one, other in zip(before, after, strict=True):
            assert (one.id, one.timestamp_ns, one.action, one.parent_seq) == (
                other.id, other.timestamp_ns, other.action, other.parent_seq
            )  # fmt: skip
            assert dict(one.meta) == dict(other.meta)
    assert unspool("convert", str(first), str(first), "--force").code == 3


@pytest.mark.parametrize("name", ["jsonl", "json-patch", "nexus"])
def test_what_is_exported_opens_again(unspool: Capture, tmp_path: Path, name: str) -> None:
    out = tmp_path / "exported"
    assert unspool("export", SOURCE, str(out), "--format", name).code == 0
    piped = unspool("export", SOURCE, "-", "--format", name)
    assert [line for line in piped.out.splitlines() if '"id"' not in line] == [
        line for line in out.read_text().splitlines() if '"id"' not in line
    ]
    with open_history(out, follow=False) as again, open_history(SOURCE, follow=False) as source:
        assert [again.state(seq) for seq in range(len(again))] == [source.state(seq) for seq in range(4)]
        assert [(entry.action, entry.timestamp_ns) for entry in again] == [
            (entry.action, entry.timestamp_ns) for entry in source
        ]


def test_formats_and_version_and_completion(unspool: Capture) -> None:
    names = [item["name"] for item in unspool("formats", "--json").json]
    assert {"unspool", "jsonl", "git", "redux", "nexus", "langgraph"} <= set(names)
    assert all(name in unspool("formats").out for name in names)
    assert unspool("--version").out.startswith("unspool ")
    for shell in ("bash", "zsh", "fish"):
        assert "_UNSPOOL_COMPLETE" in unspool("completion", shell).out


def test_help_names_every_command(unspool: Capture) -> None:
    text = unspool("help").out
    for name in ("open", "demo", "log", "show", "diff", "stats", "convert", "export", "formats", "completion"):
        assert f"\n  {name} " in text


HOSTILE = "a\x1b[31mred\x07\u202eevil\nline\x9b2J"


def test_hostile_text_is_inert_on_a_terminal(unspool: Capture, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    states = [{HOSTILE: 1, "v": HOSTILE}, {HOSTILE: 2, "v": {"k": HOSTILE}}]
    records = [{"timestamp": 1, "action": HOSTILE, "state": state} for state in states]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    for words in (
        ("log",), ("log", "--json"), ("show", "0"), ("show", "0", "--json"), ("diff", "0", "1"), ("stats",),
        ("diff", "0", "1", "--json"), ("diff", "0", "1", "--explain"), ("stats", "--json"),
    ):  # fmt: skip
        ran = unspool(words[0], str(path), *words[1:], "--no-color", terminal=True)
        assert ran.code == 0
        assert not set("\x1b\x07\u202e\x9b") & set(ran.out), words
    shown = unspool("show", str(path), "0", "--json", terminal=True)
    assert json.loads(shown.out)["state"] == states[0]


def test_colours_only_on_a_terminal_that_wants_them(unspool: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" in unspool("diff", SOURCE, "0", "1", terminal=True).out
    assert "\x1b[" not in unspool("diff", SOURCE, "0", "1", terminal=True).err
    assert "\x1b[" not in unspool("diff", SOURCE, "0", "1").out
    assert "\x1b[" not in unspool("diff", SOURCE, "0", "1", "--no-color", terminal=True).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in unspool("diff", SOURCE, "0", "1", terminal=True).out


def test_ascii_output_is_ascii(unspool: Capture, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text('{"ключ": "значение"}\n{"ключ": "другое"}\n')
    for words in (("log",), ("show", "0"), ("diff", "0", "1"), ("stats",)):
        assert unspool(words[0], str(path), *words[1:], "--ascii").out.isascii()


def test_output_longer_than_memory_comes_out_whole(unspool: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unspool_tui.cli.output._IN_MEMORY", 100)
    assert len(unspool("log", SOURCE, "--json").lines) == 4


def test_a_failure_while_writing_output_leaves_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr("sys.stdout", stream)
    with pytest.raises(RuntimeError), Output() as out:
        out.line("half")
        raise RuntimeError
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    assert buffer.getvalue() == b""
