"""`blame`, `search`, `bisect`, `compare` and `bytes`: what they print, and with which exit code they end."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from unspool.recorder import Recorder
from unspool_tui.cli import ending, run


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def unspool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    def call(*words: object, terminal: bool = False) -> Ran:
        streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n") for _ in range(2)]
        for name, stream in zip(("stdout", "stderr"), streams, strict=True):
            monkeypatch.setattr(f"sys.{name}", stream)
        if terminal:
            monkeypatch.setattr(streams[0], "isatty", lambda: True, raising=False)
        code = run([str(word) for word in words])
        texts = []
        for stream in streams:
            stream.flush()
            assert isinstance(stream.buffer, io.BytesIO)
            texts.append(stream.buffer.getvalue().decode())
        return Ran(code, *texts)

    return call


def record(path: Path, states: list[dict[str, Any]]) -> Path:
    with Recorder(path, on_error="raise") as recorder:
        for step, state in enumerate(states):
            recorder.record(state, f"step {step}", timestamp_ns=1_700_000_000_000_000_000 + step * 10**9)
    return path


@pytest.fixture
def cart(tmp_path: Path) -> Path:
    pen, cup = {"sku": "pen", "qty": 1}, {"sku": "cup", "qty": 2}
    return record(
        tmp_path / "cart.unspool",
        [
            {"cart": {"items": [pen], "total": 3}},
            {"cart": {"items": [cup, pen], "total": 9}},
            {"cart": {"items": [cup, pen | {"qty": 4}], "total": 18}, "note": "\x1b[31mred"},
            {"cart": {"items": [cup], "total": 6}, "note": "\x1b[31mred"},
        ],
    )


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    path = record(tmp_path / "damaged.unspool", [{"n": n, "text": f"number {n} " * 9, "kept": 1} for n in range(300)])
    connection = sqlite3.connect(path)
    first = connection.execute("SELECT first FROM block ORDER BY first LIMIT 1 OFFSET 2").fetchone()[0]
    data = bytearray(connection.execute("SELECT data FROM block_data WHERE first = ?", (first,)).fetchone()[0])
    data[len(data) // 2] ^= 0x5A
    connection.execute("UPDATE block_data SET data = ? WHERE first = ?", (bytes(data), first))
    connection.commit()
    connection.close()
    return path


Unspool = Callable[..., Ran]


def test_blame_names_the_entry_that_last_set_each_value(unspool: Unspool, cart: Path) -> None:
    ran = unspool("blame", cart, "--at", -2, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert (ran.json["at"], ran.json["complete"], ran.json["problems"]) == (2, True, [])
    values = {value["path"]: value for value in ran.json["values"]}
    assert {path: value["seq"] for path, value in values.items()} == {
        "$.cart.items[0].sku": 1, "$.cart.items[0].qty": 1, "$.cart.items[1].sku": 0, "$.cart.items[1].qty": 2,
        "$.cart.total": 2, "$.note": 2,
    }  # fmt: skip
    assert values["$.cart.items[1].sku"] == {
        "path": "$.cart.items[1].sku", "seq": 0, "timestamp": "2023-11-14T22:13:20.000000Z", "action": "step 0",
        "caller": None, "age_ns": 2_000_000_000, "certain": True, "value": "pen",
    }  # fmt: skip


def test_blame_for_people_tells_entry_age_value_and_action(unspool: Unspool, cart: Path) -> None:
    ran = unspool("blame", cart, "cart.items[1]", "--at", 2)
    assert ran.code == 0
    assert "entry 2: 2 values" in ran.out
    assert '       0     2.0 s  cart.items[1].sku = "pen"  step 0' in ran.out
    assert "\x1b" not in unspool("blame", cart).out


def test_blame_and_bisect_name_the_line_of_code_where_the_recording_kept_it(unspool: Unspool, tmp_path: Path) -> None:
    path = tmp_path / "traced.unspool"
    with Recorder(path, caller=True) as recorder:
        for number in range(3):
            recorder.record({"n": number // 2}, "tick")
    line = next(
        number for number, text in enumerate(Path(__file__).read_text().splitlines(), 1) if 'n": number // 2' in text
    )
    place = unspool("blame", path, "--json").json["values"][0]["caller"]
    assert (Path(place["file"]).name, place["line"]) == (Path(__file__).name, line)
    assert unspool("blame", path, "n", "--writes", "--json").json["writes"][-1]["caller"] == place
    assert unspool("bisect", path, "n > 0", "--json").json["first"]["caller"] == place
    told = f"tick  {place['file']}:{line} in {place['function']}\n"
    for words in (["blame", path], ["blame", path, "n", "--writes"], ["bisect", path, "n > 0"]):
        assert told in unspool(*words).out


def test_blame_lists_all_writes_of_a_path(unspool: Unspool, cart: Path) -> None:
    ran = unspool("blame", cart, "/cart/items/1/qty", "--at", 2, "--writes", "--json")
    writes = [(write["seq"], write["kind"], write["path"]) for write in ran.json["writes"]]
    assert writes == [(0, "added", "$.cart.items[0].qty"), (2, "modified", "$.cart.items[1].qty")]
    assert (ran.json["writes"][1]["old"], ran.json["writes"][1]["new"]) == (1, 4)
    assert "old" not in ran.json["writes"][0]
    told = unspool("blame", cart, "cart.items[1].qty", "--at", 2, "--writes", "--unchanged").out
    assert [line.split()[0] for line in told.splitlines()[1:]] == ["0", "1", "2"]


def test_search_prints_hits_as_json_lines(unspool: Unspool, cart: Path) -> None:
    ran = unspool("search", cart, "cup", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines == [
        {"seq": 1, "kind": "value", "atom": "cart", "path": "$.cart.items[0].sku", "text": "cup", "span": [0, 3]}
    ]
    assert [line["seq"] for line in unspool("search", cart, "qty > 1", "--json").lines] == [1, 2]
    assert [line["seq"] for line in unspool("search", cart, "--expr", "cart.total > 5", "--json").lines] == [1]
    assert [line["text"] for line in unspool("search", cart, "^.u.$", "--regex", "--json").lines] == ["cup"]


@pytest.mark.parametrize("terminal", [False, True])
def test_search_for_people_shows_what_matched_and_how_much_was_looked_at(
    unspool: Unspool, cart: Path, terminal: bool
) -> None:
    ran = unspool("search", cart, "pen", "--no-color", terminal=terminal)
    assert ran.out.splitlines() == ["       0  value   cart.items[0].sku  pen"]
    assert ran.err == "unspool: 1 hit in 4 of 4 entries\n"
    assert unspool("search", cart, "red", terminal=terminal).out.count("\x1b[31mred") == 0
    assert len(unspool("search", cart, "sku", "--limit", 1).out.splitlines()) == 1
    assert unspool("search", cart, "nowhere", "--quiet") == (0, "", "")


def test_search_finds_entries_by_the_line_of_code_that_recorded_them(unspool: Unspool, tmp_path: Path) -> None:
    path = tmp_path / "traced.unspool"
    line = {"file": "shop.py", "line": 41, "function": "checkout"}
    with Recorder(path) as recorder:
        recorder.record({"n": 0}, "open")
        recorder.record({"n": 1}, "pay", meta={"caller": line})
    ran = unspool("search", path, "shop.py:41")
    assert ran == (0, "       1  caller  shop.py:41 in checkout\n", "unspool: 1 hit in 2 of 2 entries\n")
    assert unspool("search", path, "shop.py:41", "--json").lines == [
        {"seq": 1, "kind": "caller", "atom": "", "path": "$", "text": "shop.py:41 in checkout", "span": [0, 10]}
    ]


def test_bisect_tells_first_last_and_all_flips(unspool: Unspool, cart: Path) -> None:
    ran = unspool("bisect", cart, "cart.total > 8", "--json")
    assert ran.code == 0
    assert [(flip["seq"], flip["holds"]) for flip in ran.json["flips"]] == [(1, True), (3, False)]
    assert ran.json["first"] == ran.json["flips"][0]
    assert ran.json["last"]["seq"] == 3
    assert ran.json["last"]["action"] == "step 3"
    assert (ran.json["holds_first"], ran.json["holds_last"], ran.json["asked"]) == (False, False, 4)
    assert unspool("bisect", cart, "cart.total > 8", "--at", 2, "--single", "--json").json["asked"] <= 4
    told = unspool("bisect", cart, "length(note) > 3").out
    assert "       2  2023-11-14T22:13:22.000000Z  holds " in told
    assert "not answered at 1 entry: entry 0: In function length()" in told
    refused = unspool("bisect", cart, "nothing.there")
    assert refused.code == 2
    assert "no entry has nothing" in refused.err


def test_compare_names_where_two_histories_part(unspool: Unspool, cart: Path, tmp_path: Path) -> None:
    other = record(
        tmp_path / "other.unspool",
        [
            {"cart": {"items": [{"sku": "pen", "qty": 1}], "total": 3}},
            {"cart": {"items": [{"sku": "cup", "qty": 2}, {"sku": "pen", "qty": 1}], "total": 10}},
        ],
    )
    ran = unspool("compare", cart, other, "--json")
    assert ran.code == 0
    assert (ran.json["relation"], ran.json["common"], ran.json["same_action"]) == ("diverged", 1, True)
    assert ran.json["a"] == {"seq": 1, "action": "step 1", "last_common": 0, "unchanging": 0}
    (part,) = ran.json["differences"]
    assert (part["a"]["value"], part["b"]["value"]) == (9, 10)
    assert part["a"]["set_by"]["seq"] == part["b"]["set_by"]["seq"] == 1
    told = unspool("compare", cart, other).out
    assert "they part after entries they have in common" in told
    assert "A 9  set at 1" in told
    assert unspool("compare", cart, other, "--ignore", "cart.total", "--json").json["relation"] == "second ends"
    assert "both go through the same states" in unspool("compare", cart, cart).out


def test_bytes_tells_where_they_are_and_what_leaving_out_saves(unspool: Unspool, cart: Path) -> None:
    ran = unspool("bytes", cart, "--exclude", "cart.total", "--exclude", "nowhere", "--json")
    assert ran.code == 0
    assert [atom["name"] for atom in ran.json["atoms"]] == ["cart", "note"]
    assert sum(codec["stored_bytes"] for codec in ran.json["codecs"]) == ran.json["stored_bytes"]
    assert ran.json["exclusions"][0]["matched"] == 1
    assert {path["name"] for path in ran.json["paths"]} == {
        "cart.items[*].sku",
        "cart.items[*].qty",
        "cart.total",
        "note",
    }
    told = unspool("bytes", cart, "--exclude", "nowhere", "--top", 1).out
    assert "and 1 more" in told
    assert "without nowhere: nothing is at such a path" in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["blame", "$CART", "cart.gone"], r"entry 3 has nothing at $.cart.gone: $.cart has 'items', 'total'"),
        (["blame", "$CART", "cart["], "column"),
        (["blame", "$CART", "--at", "9"], "has no entry 9"),
        (["blame", "$CART", "--writes"], "--writes needs a PATH"),
        (["blame", "$CART", "cart", "--unchanged"], "--unchanged goes with --writes"),
        (["blame", "$CART", "$", "--writes"], "name an atom"),
        (["search", "$CART"], "Give one of TEXT, --expr E"),
        (["search", "$CART", ""], "nothing to look for"),
        (["search", "$CART", "x", "--expr", "y"], "Give one of TEXT, --expr E"),
        (["search", "$CART", "--expr", "y", "--regex"], "--regex goes with TEXT"),
        (["search", "$CART", "(", "--regex"], "column 1"),
        (["search", "$CART", "--expr", "a = 1"], "column 3"),
        (["bisect", "$CART", "cart.total >"], "column 13"),
        (["bisect", "$CART", "sum(1,2)"], "column"),
        (["compare", "$CART", "$CART", "--ignore", "a["], "column 2"),
        (["bytes", "$CART", "--exclude", "a["], "column 2"),
    ],
)
def test_questions_that_cannot_be_asked_exit_with_2_and_one_line(
    unspool: Unspool, cart: Path, words: list[str], says: str
) -> None:
    ran = unspool(*(str(cart) if word == "$CART" else word for word in words))
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


@pytest.mark.parametrize("words", [["blame"], ["search", "a"], ["bisect", "a"], ["compare", "x"], ["bytes"]])
def test_a_source_that_is_missing_exits_with_3(unspool: Unspool, tmp_path: Path, words: list[str]) -> None:
    ran = unspool(words[0], tmp_path / "none.unspool", *words[1:])
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.count("\n") == 1
    assert "none.unspool" in ran.err


@pytest.mark.parametrize(
    "words", [["blame"], ["search", "number"], ["bisect", "n > 200"], ["compare", "$SELF"], ["bytes"]]
)
def test_damage_exits_with_3_and_stepped_over_with_1(unspool: Unspool, damaged: Path, words: list[str]) -> None:
    words = [str(damaged) if word == "$SELF" else word for word in words]
    refused = unspool(words[0], damaged, *words[1:])
    assert (refused.code, refused.out) == (3, "")
    assert "entry" in refused.err
    assert refused.err.count("\n") == 1
    stepped = unspool(words[0], damaged, *words[1:], "--skip-damaged", "--json")
    assert stepped.code == 1
    assert "stepped over entry" in stepped.err
    assert stepped.out


def test_writes_over_damage_are_told_with_what_was_stepped_over(unspool: Unspool, damaged: Path) -> None:
    refused = unspool("blame", damaged, "n", "--writes")
    assert (refused.code, refused.out) == (3, "")
    stepped = unspool("blame", damaged, "n", "--writes", "--skip-damaged", "--json")
    assert (stepped.code, stepped.json["complete"]) == (1, False)
    assert stepped.json["problems"]
    assert any(write.get("certain") is False for write in stepped.json["writes"])
    assert "stepped over entry" in stepped.err


def test_an_interrupt_prints_what_was_found_and_says_that_it_is_partial(
    unspool: Unspool, cart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(ending.Interruption):
        def __call__(self) -> bool:
            if not self.came:
                self.asked = getattr(self, "asked", 0) + 1
                if self.asked == 3:
                    os.kill(os.getpid(), signal.SIGINT)
            return super().__call__()

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(ending, "Interruption", Impatient)
    questions: list[list[object]] = [
        ["blame", cart],
        ["blame", cart, "cart.items[0].sku", "--writes", "--unchanged"],
        ["search", cart, "qty"],
        ["bisect", cart, "cart"],
        ["bytes", cart],
        ["compare", cart, cart],
    ]
    for words in questions:
        ran = unspool(*words, "--json")
        assert ran.code == 130
        assert ran.out
        assert "interrupted: the answer is partial" in ran.err
    assert signal.getsignal(signal.SIGINT) is before


def test_empty_histories_have_answers_too(unspool: Unspool, tmp_path: Path) -> None:
    empty = record(tmp_path / "empty.unspool", [])
    one = record(tmp_path / "one.unspool", [{"a": 1}])
    assert unspool("search", empty, "x", "--json") == (0, "", "")
    assert unspool("bisect", empty, "a").out.splitlines() == ["a", "no entries"]
    assert unspool("bytes", empty, "--json").json["entries"] == 0
    assert unspool("compare", empty, one, "--json").json["relation"] == "first ends"
    assert unspool("blame", empty).code == 2
    assert [value["seq"] for value in unspool("blame", one, "--json").json["values"]] == [0]


@pytest.fixture
def order(tmp_path: Path) -> Path:
    priced = {"pen": {"price": 1299}, "clock": 3}
    line = {"line": {"price": 1299, "qty": 3, "total": 3897}}
    states = [priced, priced | line, priced | line | {"bill": 3897}, priced | line | {"bill": 3897, "clock": 9}]
    return record(tmp_path / "order.unspool", states)


def test_why_tells_writes_as_facts_and_what_may_explain_them_as_guesses(
    unspool: Callable[..., Ran], order: Path
) -> None:
    ran = unspool("why", order, "bill")
    assert (ran.code, ran.err) == (0, "")
    lines = [line.strip() for line in ran.out.splitlines()]
    assert "fact   added at 2" in ran.out
    assert f"unspool diff {order} 1 2" in lines
    assert any(line.startswith("guess  ") and "$.line.total [1]" in line for line in lines)
    assert any(line.startswith("1  line.total = 3897  may explain 0") for line in lines)
    assert any("$.line.price * $.line.qty" in line for line in lines)
    assert f"unspool show {order} 0 --path '$.pen.price'" in lines
    assert not any("%" in line for line in lines if line.startswith("fact"))
    shape = unspool("why", order, "bill", "--at", "3", "--json").json
    assert shape["path"] == "$.bill"
    assert [shape["links"][number]["path"] for number in shape["main_line"]][:2] == ["$.bill", "$.line.total"]
    first = shape["links"][0]
    assert (first["fact"]["seq"], first["fact"]["parent_seq"], first["reached"]) == (2, 1, None)
    assert first["guesses"][0]["sources"] == [{"path": "$.line.total", "before": False, "link": 1}]
    assert all(0 < guess["sureness"] < 1 for link in shape["links"] for guess in link["guesses"])
    assert all(link["reached"]["as"] == "guess" for link in shape["links"][1:])
    assert shape["complete"]


def test_why_says_where_its_bounds_ended_the_chain(unspool: Callable[..., Ran], order: Path) -> None:
    ran = unspool("why", order, "bill", "--links", 2)
    assert "the chain may go on: it has 2 links; --links and --seconds raise that" in ran.out
    assert not unspool("why", order, "bill", "--links", 2, "--json").json["complete"]


def test_why_refuses_what_is_not_there(unspool: Callable[..., Ran], order: Path) -> None:
    assert unspool("why", order, "line.tax").code == 2
    assert "line has" in unspool("why", order, "line.tax").err
    assert unspool("why", order, "$").code == 2
    assert unspool("why", order).code == 2
    assert unspool("why", order, "bill", "--at", 99).code == 2


def test_why_steps_over_damage_and_says_so(unspool: Callable[..., Ran], damaged: Path) -> None:
    writes = unspool("blame", damaged, "n", "--writes", "--skip-damaged", "--json").json["writes"]
    (at,) = (write["seq"] for write in writes if write.get("certain") is False)
    assert unspool("why", damaged, "n", "--at", at).code == 3
    stepped = unspool("why", damaged, "n", "--at", at, "--skip-damaged", "--json")
    assert stepped.code == 1
    assert stepped.json["problems"]
    assert not stepped.json["complete"]
    assert stepped.json["links"][0]["fact"]["certain"] is False


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    states = [
        {"n": number % 4, "clock": number, "rows": [{"id": n} for n in range(number % 3)]} for number in range(12)
    ]
    return record(tmp_path / "clock.unspool", states)


@pytest.mark.parametrize(
    ("words", "all_of_them"),
    [
        (["bisect", "n > 2"], [3, 4, 7, 8, 11]),
        (["bisect", "--change", "after.n < before.n"], [4, 8]),
        (["bisect", "--python", "n > 2"], [3, 4, 7, 8, 11]),
        (["search", "--expr", "rows[?id == 1]"], [2, 5, 8, 11]),
        (["search", "--change", "after.n < before.n && action == 'step 8'"], [8]),
        (["search", "--python", "[row for row in rows if row['id'] == 1]"], [2, 5, 8, 11]),
        (["blame", "n", "--writes"], list(range(12))),
    ],
)
def test_the_first_of_many_are_the_oldest(
    unspool: Callable[..., Ran], clock: Path, words: list[str], all_of_them: list[int]
) -> None:
    def asked(*more: object) -> list[int]:
        ran = unspool(words[0], clock, *words[1:], *more, "--json")
        assert ran.code == 0, ran.err
        if words[0] == "search":
            return [line["seq"] for line in ran.lines]
        return [one["seq"] for one in ran.json["flips" if words[0] == "bisect" else "writes"]]

    assert asked() == all_of_them
    assert asked("-n", 2) == all_of_them[:2]
    assert asked("--first") == all_of_them[:1]
    assert unspool(words[0], clock, *words[1:], "--first", "-n", 3).code == 2


def test_blame_of_a_state_tells_the_values_that_were_set_first(unspool: Callable[..., Ran], clock: Path) -> None:
    values = unspool("blame", clock, "-n", 2, "--json").json["values"]
    assert [(value["path"], value["seq"]) for value in values] == [("$.rows[0].id", 10), ("$.n", 11)]


def test_a_change_is_told_by_what_it_answers(unspool: Callable[..., Ran], clock: Path) -> None:
    lines = unspool("bisect", clock, "--change", "sub(before.n, after.n) > 0 && before.n").out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["4", "8"]
    assert all(line.split()[2:4] == ["holds", "3"] for line in lines[1:3])


def test_an_entry_that_ended_a_question_early_is_told(unspool: Callable[..., Ran], clock: Path) -> None:
    assert "ended after the first 1; there may be more" in unspool("bisect", clock, "n > 2", "--first").out
    assert unspool("bisect", clock, "n > 2", "--first", "--json").json["complete"] is False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bisect"], "Give one of EXPR, --change E and --python E"),
        (["bisect", "n > 1", "--change", "after.n"], "Give one of EXPR"),
        (["bisect", "--change", "n > 1"], "write after.n or before.n"),
        (["bisect", "--change", "after.clok > 1"], "no entry has clok; did you mean clock?"),
        (["bisect", "--change", "after.n > 1", "--single"], "--at and --single"),
        (["bisect", "--python", "clok > 1"], "no entry has clok; did you mean clock?"),
        (["bisect", "--python", "n >"], "is no Python expression"),
        (["bisect", "--python", "rows[7]['id'] > 1"], "it could be worked out at no entry: IndexError"),
        (["bisect", "add(rows, n) > 1"], "it could be worked out at no entry: add takes numbers, not [], at"),
        (["bisect", "n + clock > 3"], "write add(a, b)"),
        (["search"], "Give one of TEXT, --expr E, --change E and --python E"),
        (["search", "--change", "after.n", "--regex"], "--regex goes with TEXT"),
        (["search", "--python", "n = 3"], "is no Python expression"),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused(
    unspool: Callable[..., Ran], clock: Path, words: list[str], said: str
) -> None:
    ran = unspool(words[0], clock, *words[1:])
    assert (ran.code, ran.out) == (2, "")
    assert said.removesuffix(", at") in ran.err
    assert ran.err.count("\n") == 1


def test_a_python_expression_never_comes_from_a_file(unspool: Callable[..., Ran], tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    hostile = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    path = record(tmp_path / "hostile.unspool", [{hostile: hostile, "n": number} for number in range(3)])
    for words in (["--python", "n > 1"], ["--change", "after.n > 1"], ["n > 1"]):
        assert unspool("bisect", path, *words).code == 0
    assert not mark.exists()


def test_shape_tells_what_the_state_is_made_of(unspool: Callable[..., Ran], clock: Path) -> None:
    ran = unspool("shape", clock)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == ["$ over 12 entries", "n int 0..3", "clock int 0..11", "rows[] 0..2 {id int 0..1}"]
    assert unspool("shape", clock, "rows", "--at", 2).out.splitlines() == [
        "$.rows at entry 2",
        "[2]",
        "    id int 0..1",
    ]
    found = unspool("shape", clock, "n", "--json").json
    assert found["shape"] == {"int": {"count": 12, "least": 0, "most": 3}}
    assert (found["entries"], found["looked_at"], found["complete"]) == (12, 12, True)
    assert unspool("shape", clock, "rowz").code == 2


def test_writes_of_long_values_tell_where_they_differ(unspool: Callable[..., Ran], tmp_path: Path) -> None:
    rows = [{"id": f"row-{n}", "note": "the same in every record", "qty": n} for n in range(9)]
    later = [row | {"qty": 40} if row["id"] == "row-7" else row for row in rows[1:]]
    text = "a long text that is the same in the beginning, and then "
    path = record(
        tmp_path / "long.unspool", [{"rows": rows, "text": f"{text}one"}, {"rows": later, "text": f"{text}two"}]
    )
    last = unspool("blame", path, "rows", "--writes").out.splitlines()[-1]
    assert '- [0] {"id":"row-0"' in last
    assert "~ [6].qty 7 -> 40" in last
    assert "then one" in unspool("blame", path, "text", "--writes").out.splitlines()[-1]
    assert "then two" in unspool("blame", path, "text", "--writes").out.splitlines()[-1]
    shape = unspool("blame", path, "rows", "--writes", "--json").json["writes"][1]
    assert (shape["old"], shape["new"]) == (rows, later)


def test_diff_says_where_records_are_no_longer_told_apart(unspool: Callable[..., Ran], tmp_path: Path) -> None:
    rows = [{"id": n, "sku": f"s-{n % 2}", "qty": n} for n in range(4)]
    twice = [row | {"id": 2} if row["id"] == 3 else row for row in rows]
    states = [{"rows": rows}, {"rows": twice}, {"rows": rows}, {"rows": [*rows[:3], rows[3] | {"qty": 9}]}]
    path = record(tmp_path / "keys.unspool", states)
    said = "rows[*]: id no longer tells the records apart: 2 stands there twice"
    assert said in unspool("diff", path, 0, 1).out
    assert said in unspool("diff", path, 0, 1, "--explain").out
    (change,) = unspool("diff", path, 0, 1, "--json").json["changes"]
    assert change["key_changes"] == [{"list": "$.rows", "old": "id", "new": ""}]
    assert "rows[*]: id tells the records apart, and did not before" in unspool("diff", path, 1, 2).out
    assert "tells the records apart" not in unspool("diff", path, 2, 3).out
    assert "key_changes" not in unspool("diff", path, 2, 3, "--json").json["changes"][0]


def test_show_says_of_a_state_that_it_may_be_behind(unspool: Unspool, tmp_path: Path) -> None:
    path = tmp_path / "traced.unspool"
    with Recorder(path) as recorder:
        recorder.record({"n": 0}, "open", meta={"live": {"elsewhere": True}})
        recorder.record({"n": 1}, "pay")
    assert unspool("show", path, "0").out.splitlines()[0].endswith("open (other values may have changed unseen)")
    assert "doubt" not in unspool("blame", path, "n", "--at", "0").out
    assert unspool("show", path, "1").out.splitlines()[0].endswith("pay")
