"""Lines that are posted become entries, and what is wrong with one is said."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.listening import entries_of, length_of, listening
from support.waiting import wait_until
from unspool.live.listen import Kept, Listening


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path) as listening_at:
        yield listening_at


def post(place: Listening, name: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("localhost", place.port, timeout=20)
    connection.request(
        "POST", f"/{place.token}/v1/{name}", body, {key.replace("_", "-"): text for key, text in headers.items()}
    )
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    return answer.status, told


def lines(*records: Any) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_states_and_patches_with_times_facts_ids_and_parents(place: Listening) -> None:
    status, told = post(
        place,
        "counter",
        lines(
            {"state": {"n": 1, "rows": [1]}, "action": "begin", "id": "a"},
            {"patch": [{"op": "add", "path": "/rows/-", "value": 2}], "action": {"type": "push", "by": 2}},
            {
                "patch": [{"op": "replace", "path": "/n", "value": 9}],
                "at": "2026-01-02T03:04:05Z",
                "meta": {"who": "me"},
            },
            {"patch": [{"op": "replace", "path": "/n", "value": 5}], "parent": "a"},
            {"patch": [{"op": "remove", "path": "/rows"}]},
            {"state": [1, 2], "parent": 1},
        ),
    )
    assert (status, told) == (200, {"recorded": 6, "entries": 6})
    found = entries_of(place.folder / "counter.unspool")
    assert [state for _, state, _, _ in found] == [
        {"n": 1, "rows": [1]},
        {"n": 1, "rows": [1, 2]},
        {"n": 9, "rows": [1, 2]},
        {"n": 5, "rows": [1]},
        {"n": 5},
        {"value": [1, 2]},
    ]
    assert [parent for _, _, parent, _ in found] == [None, 0, 1, 0, 3, 1]
    assert found[1][0] == "push"
    assert found[1][3]["action"] == {"type": "push", "by": 2}
    assert found[2][3]["who"] == "me"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"nonsense", "line 2"),
        (b"[1]", '"state"'),
        (b'{"state": 1, "patch": []}', '"state"'),
        (b'{"state": 1, "colour": 2}', "'colour'"),
        (b'{"state": 1, "at": "noon"}', '"at"'),
        (b'{"state": 1, "parent": "nobody"}', '"parent"'),
        (b'{"state": 1, "parent": 77}', '"parent"'),
        (b'{"patch": [{"op": "replace", "path": "/gone", "value": 1}]}', "does not fit"),
        (b'{"patch": [{"op": "explode", "path": "/n"}]}', "JSON Patch"),
        (b'{"state": 1, "meta": 3}', '"meta"'),
        (b'{"state": ' + b"[" * 110_000 + b"]" * 110_000 + b"}", "deep"),
        (b'{"state": "\xff"}', "UTF-8"),
    ],
)
def test_a_wrong_line_is_named_and_those_before_it_are_recorded(place: Listening, line: bytes, words: str) -> None:
    before = lines({"state": {"n": 1}})
    status, told = post(place, "counter", before + line + b"\n" + lines({"state": {"n": 3}}))
    assert (status, told["recorded"]) == (400, 1)
    assert words in told["message"]
    assert "line 2" in told["message"]
    assert entries_of(place.folder / "counter.unspool")[-1][1] == {"n": 1}
    # What was refused left nothing behind.
    assert post(place, "counter", lines({"patch": [{"op": "add", "path": "/m", "value": 2}]}))[0] == 200
    assert entries_of(place.folder / "counter.unspool")[-1][1] == {"n": 1, "m": 2}


def test_numbers_are_kept_to_their_last_digit(place: Listening) -> None:
    assert (
        post(place, "exact", b'{"state": {"big": 123456789012345678901234567890, "fine": 0.1000000000000000055}}')[0]
        == 200
    )
    state = entries_of(place.folder / "exact.unspool")[0][1]
    assert state == {"big": 123456789012345678901234567890, "fine": Decimal("0.1000000000000000055")}


def test_a_deep_line_within_the_limits_is_recorded(place: Listening) -> None:
    status, _ = post(place, "deep", b'{"state": {"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}\n")
    assert status == 200
    assert length_of(place.folder / "deep.unspool") == 1


def test_each_line_is_an_entry_as_soon_as_it_has_come(place: Listening) -> None:
    connection = http.client.HTTPConnection("localhost", place.port, timeout=20)
    connection.putrequest("POST", "/v1/slow")
    connection.putheader("Authorization", f"Bearer {place.token}")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    path = place.folder / "slow.unspool"
    for number in range(3):
        text = lines({"state": {"n": number}})
        half = len(text) // 2
        for part in (text[:half], text[half:]):
            connection.send(b"%x\r\n%s\r\n" % (len(part), part))
        wait_until(lambda count=number + 1: length_of(path) == count, "the entry")  # type: ignore[misc]
    connection.send(b"0\r\n\r\n")
    assert json.loads(connection.getresponse().read()) == {"recorded": 3, "entries": 3}


def test_a_recording_goes_on_where_it_ended(tmp_path: Path) -> None:
    for _ in range(2):
        with listening(tmp_path) as place:
            patch = [{"op": "add", "path": "/n", "value": length_of(tmp_path / "counter.unspool")}]
            assert post(place, "counter", lines({"patch": patch}))[0] == 200
    assert [state for _, state, _, _ in entries_of(tmp_path / "counter.unspool")] == [{"n": 0}, {"n": 1}]


def test_a_file_that_is_no_recording_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shop.unspool").write_bytes(b"not ours")
    said: list[str] = []
    with listening(tmp_path, said) as place:
        assert post(place, "shop", lines({"state": {"n": 1}}))[0] == 200
    assert (tmp_path / "shop.unspool").read_bytes() == b"not ours"
    assert length_of(tmp_path / "shop-2.unspool") == 1
    assert any("shop.unspool" in words for words in said)


def test_names_never_leave_the_folder(place: Listening) -> None:
    for name in ("..%2F..%2Fetc%2Fpasswd", "%00", "..", "a" * 500, "%E2%82%AC", "-rf"):
        assert post(place, name, lines({"state": {"n": 1}}))[0] in (200, 404)
    made = {file.name for file in place.folder.iterdir() if file.suffix == ".unspool"}
    assert made
    assert all(file.parent == place.folder for file in place.folder.rglob("*.unspool"))
    assert all(len(name) < 80 and not name.startswith((".", "-")) for name in made)
    assert not list(place.folder.parent.glob("*.unspool"))


def test_what_is_redacted_is_not_in_the_file(tmp_path: Path) -> None:
    with listening(tmp_path, kept=Kept(redact=("password",))) as place:
        post(place, "user", lines({"state": {"password": "opensesame", "name": "ada"}}))
    state = entries_of(tmp_path / "user.unspool")[0][1]
    assert state["name"] == "ada"
    assert b"opensesame" not in (tmp_path / "user.unspool").read_bytes()
