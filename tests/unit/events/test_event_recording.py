"""Recording the saves of a file, and telling spaces and archives as histories."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from event_samples import (
    GOLDEN,
    GOLDEN_SPACE,
    NO_SCOPE,
    PROGRAM,
    add,
    at,
    evolve,
    fill,
    genesis,
    modify,
    steady_config,
)
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import UnreadableSource
from unspool.events import (
    EventLog,
    ImportFailed,
    InvalidEvent,
    InvalidQuery,
    archive_history,
    archive_spaces,
    pack_archive,
    reconstruct_source,
    record_file,
    sha256_hex,
    source_bytes,
    source_history,
    write_fork_event,
    write_source,
)


def test_the_first_save_is_a_genesis_and_later_ones_are_diffs(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    with EventLog(":memory:", steady_config()) as log:
        first = record_file(log, path)
        assert first is not None
        assert (first.type, first.space_id, first.timestamp) == ("space_created", path.as_posix(), at(0))
        assert record_file(log, path) is None
        path.write_text(PROGRAM.replace('"hello "', '"bye "'))
        second = record_file(log, path, timestamp=at(5))
        assert second is not None
        assert (second.type, second.sequence_number, second.timestamp) == ("space_evolved", 2, at(5))
        assert [operation["path"] for operation in second.payload["astDiff"]] == ["functions.hello.body.1"]
        path.write_text(PROGRAM)
        record_file(log, path, timestamp=at(6))
        assert reconstruct_source(log, path.as_posix()).source == PROGRAM
        assert reconstruct_source(log, path.as_posix(), at(5)).source == PROGRAM.replace('"hello "', '"bye "')
        assert record_file(log, str(path), space_id="other").space_id == "other"  # type: ignore[union-attr]


def test_the_language_follows_the_suffix_or_the_caller(tmp_path: Path) -> None:
    with EventLog(":memory:", steady_config()) as log:
        told = {}
        for name, before, after in (
            ("a.PY", "x = 1\n", "x = 2\n"),
            ("a.json", '{"x": 1}', '{"x": 2}'),
            ("a.toml", "x = 1\n", "x = 2\n"),
        ):
            path = tmp_path / name
            path.write_text(before)
            record_file(log, path)
            path.write_text(after)
            event = record_file(log, path)
            assert event is not None
            told[name] = event.payload["astDiff"][0]["path"]
        assert told == {"a.PY": "body.0", "a.json": "x", "a.toml": "lines.0"}
        path.write_text("x = 3\n")
        event = record_file(log, path, language="python")
        assert event is not None
        assert event.payload["astDiff"][0]["path"] == "body.0"


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_come_back(versions: list[bytes]) -> None:
    with EventLog(":memory:", steady_config()) as log:
        last = b""
        for version in versions:
            event = write_source(log, "s", at(0), version.decode("utf-8", "surrogateescape"), "text")
            assert (event is None) == (version == last)
            last = version
            if log.head("s") is not None:
                assert source_bytes(reconstruct_source(log, "s").source) == version
        assert log.verify_integrity().valid


def test_line_ends_and_marks_of_a_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "file.py"
    with EventLog(":memory:", steady_config()) as log:
        for data in (b"\xef\xbb\xbfx = 1\r\ny = 2\r\n", b"x = 1\ry = 2", b"\xff\xfe latin \xe9\n", b"x\x00y\n", b""):
            path.write_bytes(data)
            record_file(log, path)
            assert source_bytes(reconstruct_source(log, path.as_posix()).source) == data


def test_an_empty_file_waits_for_its_first_content(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.touch()
    with EventLog(":memory:", steady_config()) as log:
        assert record_file(log, path) is None
        assert log.spaces() == ()
        path.write_text("now")
        assert record_file(log, path) is not None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with EventLog(":memory:") as log:
        with pytest.raises(UnreadableSource, match="gone"):
            record_file(log, tmp_path / "gone.py")
        with pytest.raises(UnreadableSource, match=tmp_path.name):
            record_file(log, tmp_path)
        big = tmp_path / "big.txt"
        big.write_text("x" * 100)
        with pytest.raises(UnreadableSource, match="raise max_bytes"):
            record_file(log, big, max_bytes=99)
        assert log.spaces() == ()


def test_a_space_that_holds_no_source_is_not_recorded_over() -> None:
    with EventLog(":memory:") as log:
        fill(log, "s", 1)
        with pytest.raises(InvalidEvent, match="does not begin with a genesis"):
            write_source(log, "s", at(1), "text")


def test_a_documents_saves_keep_its_layout_though_broken_between() -> None:
    versions = [
        '{\n  "a": 1\n}\n',
        '{\n  "a": 1,\n',
        '{\n  "a": 1,\n  "b": [2]\n}\n',
        '{"a":1}',
        "[1, 2]\n",
        '{"a": {"b": null}}',
    ]
    with EventLog(":memory:", steady_config()) as log:
        for number, version in enumerate(versions):
            write_source(log, "s", at(number), version, "json")
            assert reconstruct_source(log, "s").source == version
        for number, version in enumerate(versions):
            assert reconstruct_source(log, "s", at(number)).source == version


def test_two_recorders_of_one_space_do_not_lose_a_version() -> None:
    with EventLog(":memory:") as log:
        write_source(log, "s", at(0), "start\n")

        def save(name: str) -> None:
            for number in range(15):
                write_source(log, "s", at(1), f"{name} {number}\n", "text")

        threads = [threading.Thread(target=save, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        texts = [state["source"] for _, state in source_history(log, "s")]
        assert {text for text in texts if text[0] == "a"} == {f"a {number}\n" for number in range(15)}
        assert len(texts) == 31


def test_a_source_spaces_history_is_its_source_at_each_event() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", PROGRAM)
        write_source(log, "s", at(1), PROGRAM + "# end\n", "python")
        fill(log, "s", 1, start=2)
        told = list(source_history(log, "s"))
        assert [state for _, state in told] == [
            {"source": PROGRAM},
            {"source": PROGRAM + "# end\n"},
            {"source": PROGRAM + "# end\n"},
        ]
        assert [metadata.label for metadata, _ in told] == ["space_created", "space_evolved tail", "state_changed"]
        assert [metadata.sequence_number for metadata, _ in told] == [1, 2, 3]
        assert told[1][0].timestamp == at(1)


def test_a_documents_history_has_its_keys_as_atoms() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"a":1,"b":{"c":[]}}')
        evolve(log, "s", [add("d", None), modify("a", 1, 2)], '{"a":2,"b":{"c":[]},"d":null}')
        states = [state for _, state in source_history(log, "s")]
        assert states == [{"a": 1, "b": {"c": []}}, {"a": 2, "b": {"c": []}, "d": None}]
        states[0]["a"] = "changed"
        assert next(source_history(log, "s"))[1]["a"] == 1


def test_any_other_space_is_told_by_its_last_payload() -> None:
    with EventLog(":memory:") as log:
        fill(log, "s", 2)
        log.write_event("space_evolved", "s", at(3), {"free": True})
        assert [state for _, state in source_history(log, "s")] == [{"index": 0}, {"index": 1}, {"free": True}]
        with pytest.raises(InvalidQuery, match="'t' has no events"):
            source_history(log, "t")


def test_an_archive_is_told_as_the_log_it_came_from(tmp_path: Path) -> None:
    with EventLog(":memory:") as log:
        log.import_archive(GOLDEN)
        assert list(archive_history(GOLDEN)) == list(source_history(log, GOLDEN_SPACE))
    told = list(archive_history(str(GOLDEN), GOLDEN_SPACE))
    assert archive_spaces(GOLDEN) == (GOLDEN_SPACE,)
    assert told[1][0].label == "space_evolved functions.main.body"
    assert set(told[-1][1]) == {"functions", "imports"}
    assert not any(metadata.damaged for metadata, _ in told)
    with pytest.raises(InvalidQuery, match=GOLDEN_SPACE):
        archive_history(GOLDEN, "unknown")
    broken = tmp_path / "broken.rblogs"
    broken.write_bytes(GOLDEN.read_bytes()[:-1])
    for tell in (archive_history, archive_spaces):
        with pytest.raises(ImportFailed, match="broken"):
            tell(broken)


def test_a_fork_is_told_with_the_source_it_started_from(tmp_path: Path) -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"n":0}')
        evolve(log, "s", [modify("n", 0, 1)], '{"n":1}', 1)
        evolve(log, "s", [modify("n", 1, 2)], '{"n":2}', 5)
        write_fork_event(log, "t", at(6), "s", at(3))
        evolve(log, "t", [add("t", True)], '{"n":1,"t":true}', 7)
        write_fork_event(log, "u", at(8), "t", at(7))
        expected = {"t": [{"n": 1}, {"n": 1, "t": True}], "u": [{"n": 1, "t": True}]}
        path = tmp_path / "all.rblogs"
        path.write_bytes(
            pack_archive([event for space in ("u", "t", "s") for event in log.query_by_space(space).items])
        )
        alone = tmp_path / "alone.rblogs"
        alone.write_bytes(log.export_archive("t"))
        for space, states in expected.items():
            assert [state for _, state in source_history(log, space)] == states
            assert [state for _, state in archive_history(path, space)] == states
    # Without the space it was forked from, nothing is guessed: the payloads are all there is.
    first, second = (state for _, state in archive_history(alone))
    assert first == {"sourceSpaceId": "s", "forkTimestamp": at(3)}
    assert set(second) == {"astDiff", "scopeMetadata", "sourceHash"}
    assert [metadata.space_id for metadata, _ in archive_history(path)] == ["u", "t", "t", "s", "s", "s"]


def test_damage_of_the_originals_kind_is_told_and_marked() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"l":[1,2]}')
        payload = {
            "astDiff": [modify("l.0", 1, 9).to_wire()],
            "scopeMetadata": NO_SCOPE.to_wire(),
            "sourceHash": sha256_hex('{"l":{"0":9}}'),
        }
        log.write_event("space_evolved", "s", at(1), payload)
        (first, _), (second, state) = source_history(log, "s")
        assert (first.damaged, second.damaged, state) == (False, True, {"l": {"0": 9}})


def test_a_diff_that_does_not_fit_ends_a_history_after_what_is_sound() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"n":0}')
        log.write_event(
            "space_evolved", "s", at(1), {"astDiff": [modify("n", 5, 6).to_wire()], "sourceHash": "0" * 64}
        )
        told = source_history(log, "s")
        assert next(told)[1] == {"n": 0}
        with pytest.raises(InvalidEvent, match="event 2"):
            next(told)


def test_a_history_can_be_read_while_the_log_grows() -> None:
    with EventLog(":memory:") as log:
        fill(log, "s", 1)
        told = source_history(log, "s")
        assert next(told)[1] == {"index": 0}
        fill(log, "s", 1, start=1)
        assert [json.dumps(state) for _, state in told] == ['{"index": 1}']
