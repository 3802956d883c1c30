"""Genesis, diffs, forks and the sources rebuilt from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from event_samples import (
    GOLDEN,
    GOLDEN_SPACE,
    NO_SCOPE,
    PROGRAM,
    SEEDS,
    add,
    at,
    evolve,
    fill,
    genesis,
    modify,
    remove,
)

from unspool.events import (
    AstDiffOperation,
    DiffOperationType,
    EventLog,
    EventLogConfig,
    InvalidEvent,
    InvalidQuery,
    ScopeMetadata,
    SourceForm,
    archive_body,
    ast_diff,
    canonical_json,
    reconstruct_source,
    sha256_hex,
    source_hash,
    write_diff_event,
    write_fork_event,
    write_genesis_event,
)
from unspool.events.replay import join_path, split_path
from unspool.model.values import Value

DOCUMENT = '{"functions":{"hello":{"body":"return 1"}},"imports":{}}'


def test_e01_any_version_is_rebuilt_from_genesis_and_diffs() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", DOCUMENT)
        versions = [DOCUMENT]
        for number in range(1, 8):
            before = f"return {number}"
            result = DOCUMENT.replace("return 1", f"return {number + 1}")
            evolve(log, "s", [modify("functions.hello.body", before, f"return {number + 1}")], result, number)
            versions.append(result)
        for number, version in enumerate(versions):
            rebuilt = reconstruct_source(log, "s", at(number))
            assert (rebuilt.source, rebuilt.diffs_applied) == (version, number)


def test_e01_the_originals_archive_is_rebuilt_as_the_original_did() -> None:
    expected = json.loads((SEEDS / "ri-source-space.expected.json").read_text())
    with EventLog(":memory:") as log:
        log.import_archive(GOLDEN)
        for key, moment in (("reconstructed", None), ("at_second_1", "2026-02-14T00:00:01.000Z")):
            rebuilt = reconstruct_source(log, GOLDEN_SPACE, moment)
            assert rebuilt.source == expected[key]["source"]
            assert rebuilt.source_hash == expected[key]["sourceHash"]
            assert rebuilt.diffs_applied == expected[key]["diffsApplied"]
            assert rebuilt.last_sequence_number == expected[key]["lastSequenceNumber"]
            assert (rebuilt.manner, rebuilt.form) == ("exact", SourceForm.DOCUMENT)


def test_e01_our_own_events_have_the_originals_hashes() -> None:
    with EventLog(":memory:") as original:
        original.import_archive(GOLDEN)
        events = original.query_by_space(GOLDEN_SPACE).items
    ids = iter(event.id for event in events)
    with EventLog(":memory:", EventLogConfig(id_generator=lambda: next(ids))) as log:
        first = events[0].payload
        write_genesis_event(
            log, GOLDEN_SPACE, events[0].timestamp, first["source"], first["sourceHash"], first["compiledWasmHash"]
        )
        for event in events[1:]:
            diff = event.payload
            write_diff_event(
                log, GOLDEN_SPACE, event.timestamp, diff["astDiff"], diff["scopeMetadata"], diff["sourceHash"]
            )
        assert archive_body(log.export_archive(GOLDEN_SPACE)) == archive_body(GOLDEN.read_bytes())


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        ('{"f":[{"b":1},{"b":2}]}', modify("f.1.b", 2, 3), '{"f":[{"b":1},{"b":3}]}'),
        ('{"f":[1,2]}', add("f.1", 9), '{"f":[1,9,2]}'),
        ('{"f":[1,2]}', add("f.2", 9), '{"f":[1,2,9]}'),
        ('{"f":[1,2]}', remove("f.0", 1), '{"f":[2]}'),
        ('{"f":[[1],[2]]}', modify("f.1.0", 2, None), '{"f":[[1],[null]]}'),
        ('{"f":{"1":"x"}}', modify("f.1", "x", "y"), '{"f":{"1":"y"}}'),
        ("[1,2]", modify("1", 2, 3), "[1,3]"),
        ('{"a.b":{"c\\\\":1}}', modify("a\\.b.c\\\\", 1, 2), '{"a.b":{"c\\\\":2}}'),
        ('{"a\\\\b":1}', modify("a\\b", 1, 2), '{"a\\\\b":2}'),
        ('{"":{"x":1}}', modify(".x", 1, 2), '{"":{"x":2}}'),
    ],
)
def test_e02_lists_are_addressed_by_index_and_dots_in_keys_are_escaped(
    before: str, operation: AstDiffOperation, after: str
) -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", before)
        evolve(log, "s", [operation], after)
        assert reconstruct_source(log, "s").source == after


def test_e02_paths_are_split_as_they_are_joined() -> None:
    for steps in (["a"], ["a.b", "c"], ["", ""], ["\\"], ["a\\.b", ".", "\\\\"], ["functions", "0", "body"]):
        assert split_path(join_path(steps)) == steps
    assert split_path("a\\x.b") == ["a\\x", "b"]


@pytest.mark.parametrize(
    "operation",
    [
        modify("a", 2, 3),
        modify("a", "1", 3),
        modify("b", None, 3),
        remove("a", 2),
        remove("b", None),
        remove("l.2", 1),
        modify("l.00", 1, 2),
        modify("l.-1", 1, 2),
        add("l.3", 1),
        add("l.x", 1),
        add("a.b", 1),
        modify("x.y", 1, 2),
        remove("l.9.x", 1),
    ],
)
def test_e03_an_operation_that_does_not_fit_is_refused(operation: AstDiffOperation) -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"a":1,"l":[1,2]}')
        with pytest.raises(InvalidEvent, match="operation 0") as caught:
            evolve(log, "s", [operation], "{}")
        assert caught.value.field == "astDiff"
        assert log.query_by_space("s").total == 1


def test_e03_values_are_compared_as_json_compares_them() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"a":1.0,"b":{"x":1,"y":2}}')
        evolve(log, "s", [modify("a", 1, 2), modify("b", {"y": 2, "x": 1.0}, 3)], '{"a":2,"b":3}')
        assert reconstruct_source(log, "s").source == '{"a":2,"b":3}'


def test_e04_a_diffs_hash_is_over_the_canonical_model() -> None:
    assert source_hash('{"b": 1.0, "a": 2}') == sha256_hex('{"a":2,"b":1}')
    assert source_hash("plain") == sha256_hex('{"source":"plain"}')
    assert source_hash("[1, 2]") == sha256_hex("[1,2]")
    assert source_hash('"text"') == sha256_hex('{"source":"\\"text\\""}')
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"b": 1, "a": 2}')
        event = evolve(log, "s", [modify("a", 2, 3)], '{"a":3,"b":1}')
        assert list(event.payload) == ["astDiff", "scopeMetadata", "sourceHash"]
        assert event.payload["sourceHash"] == sha256_hex('{"a":3,"b":1}') == reconstruct_source(log, "s").source_hash


@pytest.mark.parametrize(
    "scope",
    [
        None,
        {},
        {"changedNodes": -1, "totalNodes": 1, "affectedFunctions": []},
        {"changedNodes": 1.5, "totalNodes": 1, "affectedFunctions": []},
        {"changedNodes": True, "totalNodes": 1, "affectedFunctions": []},
        {"changedNodes": 1, "affectedFunctions": []},
        {"changedNodes": 1, "totalNodes": 1, "affectedFunctions": "hello"},
        {"changedNodes": 1, "totalNodes": 1, "affectedFunctions": [1]},
    ],
)
def test_e05_scope_metadata_is_checked(scope: Value) -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", DOCUMENT)
        with pytest.raises(InvalidEvent) as caught:
            write_diff_event(log, "s", at(1), [modify("imports", {}, 1)], scope, "x")
        assert caught.value.field == "scopeMetadata"


def test_e06_a_genesis_payload_has_source_and_both_hashes() -> None:
    with EventLog(":memory:") as log:
        event = write_genesis_event(log, "s", at(0), PROGRAM, sha256_hex(PROGRAM), "def456")
        assert dict(event.payload) == {
            "source": PROGRAM,
            "sourceHash": sha256_hex(PROGRAM),
            "compiledWasmHash": "def456",
        }


def test_e07_a_fork_is_followed_to_its_moment() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"n":0}')
        for number in range(3):
            evolve(log, "s", [modify("n", number, number + 1)], f'{{"n":{number + 1}}}', number + 1)
        fork = write_fork_event(log, "t", at(10), "s", at(2))
        assert (fork.type, dict(fork.payload)) == ("space_forked", {"sourceSpaceId": "s", "forkTimestamp": at(2)})
        at_fork = reconstruct_source(log, "t")
        assert (at_fork.source, at_fork.diffs_applied, at_fork.last_sequence_number) == ('{"n":2}', 2, 1)
        evolve(log, "t", [modify("n", 2, 50)], '{"n":50}', 11)
        write_fork_event(log, "u", at(20), "t", at(15))
        evolve(log, "u", [add("m", 1)], '{"m":1,"n":50}', 21)
        rebuilt = reconstruct_source(log, "u")
        assert (rebuilt.source, rebuilt.diffs_applied, rebuilt.last_sequence_number) == ('{"m":1,"n":50}', 4, 2)
        assert reconstruct_source(log, "u", at(20)).source == '{"n":50}'
        assert reconstruct_source(log, "s").source == '{"n":3}'
        with EventLog(":memory:") as copy:
            for space in ("u", "s", "t"):
                copy.import_archive(log.export_archive(space))
            assert reconstruct_source(copy, "u") == rebuilt


def test_e07_a_fork_that_leads_nowhere_is_refused() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", "text", second=5)
        for origin, moment, field in (
            ("gone", at(9), "spaceId"),
            ("s", at(4), "forkTimestamp"),
            ("s", "then", "forkTimestamp"),
            ("", at(9), "sourceSpaceId"),
        ):
            with pytest.raises(InvalidEvent) as caught:
                write_fork_event(log, "t", at(9), origin, moment)
            assert caught.value.field == field
        with pytest.raises(InvalidEvent, match="already"):
            write_fork_event(log, "s", at(9), "s", at(8))
        assert log.spaces() == ("s",)


def test_e07_forks_in_a_circle_end() -> None:
    with EventLog(":memory:") as log:
        for space, origin in (("a", "b"), ("b", "c"), ("c", "a")):
            log.write_event("space_forked", space, at(0), {"sourceSpaceId": origin, "forkTimestamp": at(9)})
        with pytest.raises(InvalidEvent, match="forked from itself"):
            reconstruct_source(log, "a")


def test_e07_a_long_line_of_forks_is_followed() -> None:
    with EventLog(":memory:", EventLogConfig(snapshot_interval=0)) as log:
        genesis(log, "0", "text")
        with log.database.writing():
            for number in range(1, 1500):
                payload = {"sourceSpaceId": str(number - 1), "forkTimestamp": at(1)}
                log.write_event("space_forked", str(number), at(1), payload)
        assert reconstruct_source(log, "1499").source == "text"


def test_e08_types_storage_and_reconstructor_are_modules_of_their_own() -> None:
    from unspool.events import diff_storage, replay

    assert replay.AstDiffOperation is AstDiffOperation
    assert diff_storage.write_diff_event is write_diff_event
    assert diff_storage.reconstruct_source is reconstruct_source


def test_e10_a_genesis_is_written_once_and_with_the_right_hash() -> None:
    with EventLog(":memory:") as log:
        event = genesis(log, "s", "text")
        assert (event.type, event.version, event.sequence_number) == ("space_created", 1, 1)
        with pytest.raises(InvalidEvent, match="first and only"):
            genesis(log, "s", "text")
        fill(log, "t", 1)
        with pytest.raises(InvalidEvent) as caught:
            genesis(log, "t", "text")
        assert caught.value.field == "spaceId"
        with pytest.raises(InvalidEvent, match="SHA-256 is") as caught:
            write_genesis_event(log, "u", at(0), "text", sha256_hex("other"), "w")
        assert caught.value.field == "sourceHash"
        assert log.spaces() == ("s", "t")


@pytest.mark.parametrize(("position", "field"), [(0, "source"), (1, "sourceHash"), (2, "compiledWasmHash")])
@pytest.mark.parametrize("value", ["", None, 5])
def test_e11_empty_source_and_hashes_are_refused(position: int, field: str, value: Value) -> None:
    arguments: list[Value] = ["x", sha256_hex("x"), "w"]
    arguments[position] = value
    with EventLog(":memory:") as log:
        with pytest.raises(InvalidEvent) as caught:
            write_genesis_event(log, "s", at(0), *arguments)
        assert (caught.value.field, caught.value.code) == (field, "INVALID_EVENT")


def test_e12_a_diff_with_another_hash_is_refused_before_it_is_in_the_chain() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", DOCUMENT)
        event = evolve(log, "s", [modify("imports", {}, 1)], DOCUMENT.replace('"imports":{}', '"imports":1'))
        assert (event.type, event.version) == ("space_evolved", 1)
        for wrong in ("0" * 64, "newSourceHash...", ""):
            with pytest.raises(InvalidEvent) as caught:
                write_diff_event(log, "s", at(2), [modify("imports", 1, 2)], NO_SCOPE, wrong)
            assert caught.value.field == "sourceHash"
        assert log.query_by_space("s").total == 2
        assert reconstruct_source(log, "s").diffs_applied == 1


@pytest.mark.parametrize(
    "ast_diff_value",
    [
        [],
        "text",
        None,
        {"path": "a"},
        [1],
        [{"operation": "add", "after": 1}],
        [{"path": "", "operation": "add", "after": 1}],
        [{"path": 5, "operation": "add", "after": 1}],
        [{"path": "a", "operation": "move", "after": 1}],
        [{"path": "a", "after": 1}],
        [{"path": "a", "operation": "add"}],
        [{"path": "a", "operation": "modify", "before": 1}],
        [{"path": "a", "operation": "modify", "after": 1}],
        [{"path": "a", "operation": "remove", "after": 1}],
        [{"path": "a", "operation": "add", "after": "x", "at": -1}],
        [{"path": "a", "operation": "add", "after": "x", "at": 1.5}],
        [{"path": "a", "operation": "add", "after": 5, "at": 0}],
        [{"path": "a", "operation": "add", "after": 5, "at": 0, "put": 5}],
        [{"path": "a", "operation": "add", "after": 5, "put": "5"}],
        [
            {"path": "a", "operation": "add", "after": "x", "at": 0},
            {"path": "b", "operation": "add", "after": "x"},
        ],
    ],
)
def test_e13_a_diff_that_is_not_whole_is_refused(ast_diff_value: Value) -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", DOCUMENT)
        with pytest.raises(InvalidEvent) as caught:
            write_diff_event(log, "s", at(1), ast_diff_value, NO_SCOPE, "x")
        assert caught.value.field == "astDiff"


def test_e13_null_counts_as_a_value() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"a":null}')
        write_diff_event(
            log, "s", at(1), [{"path": "a", "operation": "modify", "before": None, "after": None}], NO_SCOPE,
            source_hash('{"a":null}'),
        )  # fmt: skip
        evolve(log, "s", [add("b", None), remove("a", None)], '{"b":null}', 2)
        assert reconstruct_source(log, "s").source == '{"b":null}'


def test_e14_a_genesis_must_come_first_and_only_once() -> None:
    with EventLog(":memory:") as log:
        fill(log, "s", 1)
        payload = {"source": "text", "sourceHash": sha256_hex("text"), "compiledWasmHash": "w"}
        log.write_event("space_created", "s", at(1), payload)
        with pytest.raises(InvalidEvent, match="does not begin with a genesis"):
            reconstruct_source(log, "s")
        assert reconstruct_source(log, "s", manner="either").source == "text"
        genesis(log, "t", "one")
        log.write_event("space_created", "t", at(1), payload)
        with pytest.raises(InvalidEvent, match="second genesis"):
            reconstruct_source(log, "t")
        assert reconstruct_source(log, "t", manner="original").source == "one"


def test_e14_other_events_between_diffs_are_skipped() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"n":0}')
        fill(log, "s", 3)
        evolve(log, "s", [modify("n", 0, 1)], '{"n":1}', 5)
        fill(log, "s", 2, start=6)
        rebuilt = reconstruct_source(log, "s")
        assert (rebuilt.source, rebuilt.last_sequence_number) == ('{"n":1}', 5)
        assert reconstruct_source(log, "s", at(2)).last_sequence_number == 1


def test_e15_operations_apply_in_order_and_missing_parents_are_made_for_additions() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", "{}")
        parts: dict[str, Value] = {"z": 1}
        operations = [add("a.b.c", parts), modify("a.b.c.z", 1, 2), add("a.b.d", 3), remove("a.b.d", 3)]
        evolve(log, "s", operations, '{"a":{"b":{"c":{"z":2}}}}')
        assert parts == {"z": 1}
        assert reconstruct_source(log, "s").source == '{"a":{"b":{"c":{"z":2}}}}'
        stored = log.query_by_space("s").items[1].payload["astDiff"][0]["after"]
        assert stored == {"z": 1}


def test_e16_a_source_at_a_moment_includes_it_however_it_is_spelled() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"n":0}')
        evolve(log, "s", [modify("n", 0, 1)], '{"n":1}', 10)
        for spelled in ("2026-02-14T00:00:10Z", "2026-02-14T02:00:10.0000+02:00", "2026-02-14T00:00:10.9Z"):
            assert reconstruct_source(log, "s", spelled).source == '{"n":1}'
        assert reconstruct_source(log, "s", "2026-02-14T00:00:09.9999999Z").source == '{"n":0}'
        for bad in ("later", "2026-02-30T00:00:00Z", ""):
            with pytest.raises(InvalidQuery) as caught:
                reconstruct_source(log, "s", bad)
            assert caught.value.field == "atTimestamp"
        with pytest.raises(InvalidEvent, match="no genesis at that moment") as early:
            reconstruct_source(log, "s", "2020-01-01")
        assert (early.value.code.value, early.value.field) == ("INVALID_EVENT", "spaceId")


def test_e16_a_diff_out_of_time_order_counts_only_with_those_it_stands_on() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '{"n":0}')
        evolve(log, "s", [modify("n", 0, 1)], '{"n":1}', 50)
        evolve(log, "s", [modify("n", 1, 2)], '{"n":2}', 20)
        assert reconstruct_source(log, "s", at(30)).source == '{"n":0}'
        assert reconstruct_source(log, "s", at(50)).source == '{"n":2}'


def test_e17_what_is_wrong_is_told_with_field_and_step() -> None:
    with EventLog(":memory:") as log:
        with pytest.raises(InvalidEvent, match="no events") as caught:
            reconstruct_source(log, "s")
        assert caught.value.field == "spaceId"
        log.write_event("space_created", "p", at(0), {"name": "no source"})
        with pytest.raises(InvalidEvent) as caught:
            reconstruct_source(log, "p")
        assert caught.value.field == "payload"
        log.write_event("space_created", "h", at(0), {"source": "x", "sourceHash": "0" * 64})
        with pytest.raises(InvalidEvent) as caught:
            reconstruct_source(log, "h")
        assert caught.value.field == "sourceHash"
        genesis(log, "d", '{"n":0}')
        evolve(log, "d", [modify("n", 0, 1)], '{"n":1}')
        bad = log.write_event(
            "space_evolved", "d", at(2), {"astDiff": [modify("n", 1, 2).to_wire()], "sourceHash": "0" * 64}
        )
        with pytest.raises(InvalidEvent, match=f"step 2, event 3 \\({bad.id}\\)") as caught:
            reconstruct_source(log, "d")
        assert caught.value.field == "sourceHash"
        assert reconstruct_source(log, "d", at(1)).source == '{"n":1}'
        with pytest.raises(InvalidEvent):
            evolve(log, "d", [modify("n", 1, 3)], '{"n":3}', 3)


@pytest.mark.parametrize(
    "source", ["function hello() { return 1; }", '{"b": 1,\n "a": 2}', "[1, 2]", "\ufeffx\r\n", "42"]
)
def test_e18_without_diffs_the_text_itself_and_its_hash_come_back(source: str) -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", source)
        rebuilt = reconstruct_source(log, "s")
        assert (rebuilt.source, rebuilt.source_hash, rebuilt.diffs_applied, rebuilt.last_sequence_number) == (
            source,
            sha256_hex(source),
            0,
            1,
        )


def test_e19_plain_text_is_a_tree_with_one_key() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", "one")
        evolve(log, "s", [modify("source", "one", "two")], "two")
        rebuilt = reconstruct_source(log, "s")
        assert (rebuilt.source, rebuilt.form) == ("two", SourceForm.TEXT)
        assert rebuilt.source_hash == sha256_hex('{"source":"two"}')
        # Text that looks like a document stays text where it is put in as a value.
        write_diff_event(
            log,
            "s",
            at(2),
            [modify("source", "two", '{"a":1}')],
            NO_SCOPE,
            sha256_hex(canonical_json({"source": '{"a":1}'})),
        )
        rebuilt = reconstruct_source(log, "s")
        assert (rebuilt.source, rebuilt.form) == ('{"a":1}', SourceForm.TEXT)
        wider = canonical_json({"source": '{"a":1}', "note": "n"})
        write_diff_event(log, "s", at(3), [add("note", "n")], NO_SCOPE, sha256_hex(wider))
        rebuilt = reconstruct_source(log, "s")
        assert (rebuilt.source, rebuilt.form) == (wider, SourceForm.DOCUMENT)


def test_e19_text_diffs_carry_their_place_and_keep_every_byte() -> None:
    changed = PROGRAM.replace('"hello "', "'hi '  # shorter")
    operations, scope = ast_diff(PROGRAM, changed, "python")
    with EventLog(":memory:") as log:
        genesis(log, "s", PROGRAM)
        event = write_diff_event(log, "s", at(1), operations, scope, source_hash(changed))
        wire = event.payload["astDiff"][0]
        assert (wire["path"], wire["operation"]) == ("functions.hello.body.1", "modify")
        assert PROGRAM[wire["at"] :].startswith(wire["before"])
        assert event.payload["scopeMetadata"]["affectedFunctions"] == ["hello"]
        assert reconstruct_source(log, "s").source == changed
        with pytest.raises(InvalidEvent, match="does not fit the source: the text at"):
            write_diff_event(log, "s", at(2), operations, scope, source_hash(changed))


def test_e19_a_json_documents_layout_is_kept_and_its_hash_is_the_models() -> None:
    before, after = '{\n  "b": 1,\n  "a": [1, 2]\n}\n', '{\n  "b": 1,\n  "a": [1, 2, 3],\n  "c": null\n}\n'
    operations, scope = ast_diff(before, after)
    with EventLog(":memory:") as log:
        genesis(log, "s", before)
        write_diff_event(log, "s", at(1), operations, scope, sha256_hex('{"a":[1,2,3],"b":1,"c":null}'))
        rebuilt = reconstruct_source(log, "s")
        assert (rebuilt.source, rebuilt.form) == (after, SourceForm.DOCUMENT)
        assert {operation.path: operation.after for operation in operations} == {"a.2": 3, "c": None}


def damaged_list_log(log: EventLog) -> str:
    """Write a space as the original would have: its diff turned a list into an object."""
    source = '{"functions":[{"body":"return 1"},{"body":"return 2"}]}'
    genesis(log, "s", source)
    broken = '{"functions":{"0":{"body":"return 9"}}}'
    payload = {
        "astDiff": [modify("functions.0.body", "return 1", "return 9").to_wire()],
        "scopeMetadata": NO_SCOPE.to_wire(),
        "sourceHash": sha256_hex(broken),
    }
    log.write_event("space_evolved", "s", at(1), payload)
    return broken


def test_the_originals_manner_reads_what_its_list_fault_wrote_and_says_so() -> None:
    with EventLog(":memory:") as log:
        broken = damaged_list_log(log)
        with pytest.raises(InvalidEvent, match="manner='either'") as caught:
            reconstruct_source(log, "s")
        assert caught.value.field == "sourceHash"
        for manner in ("original", "either"):
            rebuilt = reconstruct_source(log, "s", manner=manner)  # type: ignore[arg-type]
            assert (rebuilt.source, rebuilt.manner) == (broken, "original")
        # It can be continued, and what is written from then on is exact.
        after = '{"functions":{"0":{"body":"return 10"}}}'
        evolve(log, "s", [modify("functions.0.body", "return 9", "return 10")], after, 2)
        assert reconstruct_source(log, "s", manner="either").source == after
        with pytest.raises(InvalidEvent):
            reconstruct_source(log, "s")


def test_the_originals_manner_compares_nothing_and_ignores_missing_parents() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", '["a","b"]')
        operations = [modify("0", "not a", 1), remove("x.y", 1), add("n.m", 2), remove("1", None)]
        result = '{"0":1,"n":{"m":2}}'
        payload = {"astDiff": [each.to_wire() for each in operations], "sourceHash": sha256_hex(result)}
        log.write_event("space_evolved", "s", at(1), payload)
        assert reconstruct_source(log, "s", manner="original").source == result


@pytest.mark.slow
def test_e26_diffs_save_what_the_seed_promises() -> None:
    source = "".join(f"def function_{number}(value):\n    return value + {number}\n\n\n" for number in range(200))
    assert 9_000 < len(source) < 11_000
    with EventLog(":memory:") as log:
        genesis(log, "s", source)
        for number in range(100):
            changed = source.replace(f"value + {number}\n", f"value * {number} + offset_{number}\n")
            operations, scope = ast_diff(source, changed, "python")
            write_diff_event(log, "s", at(number), operations, scope, source_hash(changed))
            source = changed
        kept = log.get_storage_usage().spaces[0].estimated_bytes
        assert kept < 0.08 * 100 * len(source)
        assert reconstruct_source(log, "s").source == source


def test_e27_a_small_diff_event_is_about_half_a_kilobyte() -> None:
    with EventLog(":memory:") as log:
        genesis(log, "s", DOCUMENT)
        before = log.get_storage_usage().spaces[0].estimated_bytes
        result = DOCUMENT.replace("return 1", "return 2")
        evolve(log, "s", [modify("functions.hello.body", "return 1", "return 2")], result)
        assert 500 < log.get_storage_usage().spaces[0].estimated_bytes - before < 700


def test_kept_states_answer_for_long_histories_and_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    config = EventLogConfig(snapshot_interval=10)
    with EventLog(path, config) as log:
        genesis(log, "s", '{"n":0}')
        for number in range(25):
            evolve(log, "s", [modify("n", number, number + 1)], f'{{"n":{number + 1}}}', number + 1)
        kept = log.database.value("SELECT count(*) FROM source_states")
        assert kept == 2
    with EventLog(path, config) as log:
        assert reconstruct_source(log, "s").source == '{"n":25}'
        assert reconstruct_source(log, "s", at(20)).source == '{"n":20}'
        with log.database.writing() as connection:
            connection.execute("UPDATE source_states SET content = x'00'")
    with EventLog(path, config) as log:
        # A damaged state is not believed: the source is replayed from genesis, and kept anew.
        assert reconstruct_source(log, "s").source == '{"n":25}'
    with EventLog(path, config, read_only=True) as log:
        assert reconstruct_source(log, "s").source == '{"n":25}'
        assert log.database.value("SELECT count(*) FROM source_states") == 3


def test_memory_of_sources_is_bounded() -> None:
    from unspool.events.log import MAX_CHARACTERS, MAX_STATES
    from unspool.events.replay import SourceState

    with EventLog(":memory:") as log:
        state = SourceState("abc", SourceForm.TEXT, "", 0, 1)
        for number in range(MAX_STATES + 5):
            log.source_memory.put(str(number), state, len(state.text))
        assert len(log.source_memory) == MAX_STATES
        assert log.source_memory.get("4") is None
        assert log.source_memory.get("5") is state
        log.source_memory.put("too large", state, MAX_CHARACTERS + 1)
        assert log.source_memory.get("too large") is None


def test_operations_spell_themselves_without_what_is_not_set() -> None:
    operation = AstDiffOperation("a", DiffOperationType.MODIFY, None, "x", at=3)
    assert operation.to_wire() == {"path": "a", "operation": "modify", "before": None, "after": "x", "at": 3}
    assert ScopeMetadata(1, 2, ("f",)).to_wire() == {"changedNodes": 1, "totalNodes": 2, "affectedFunctions": ["f"]}
