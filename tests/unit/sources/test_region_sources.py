"""Region files of every form open as histories: one entry a delta, damage named, players side by side."""

from __future__ import annotations

import gzip
import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool import History, open_history
from unspool.errors import ConfigError, UnreadableSource, UnspoolError
from unspool.history.verdict import VerdictStatus
from unspool.regions import (
    MultiplayerRegionDelta,
    Region,
    RegionDelta,
    RegionDeltaComponent,
    RegionDeltaFile,
    RegionSnapshot,
    apply_deltas,
    encode_region,
    read_region_file,
    region_state,
    write_records,
)
from unspool.regions.region import unknown_region

SEEDS = Path(__file__).parents[3] / "fixtures" / "seeds"
GOLDEN = SEEDS / "ringworld-7-23.json"
RECORDS = SEEDS / "ringworld-deltas.le.bin"
FILE = read_region_file(GOLDEN)
assert isinstance(FILE, RegionDeltaFile)
ACTIONS = ["item_removed", "item_removed", "building_built"]


def removed(tick: int, item: str, x: int = 10) -> RegionDelta:
    fields = {"tick": tick, "action": "item_removed", "position": {"x": x, "y": 15}, "data": {"itemId": item, "quantity": 1}}  # fmt: skip
    return RegionDelta.from_json(fields)


def shared_and_personal() -> MultiplayerRegionDelta:
    personal = {"alice": (removed(150, "lamp", 1), removed(300, "rug", 2)), "bob": (removed(200, "cup", 3),)}
    return MultiplayerRegionDelta(
        FILE.address, "town", 7, (removed(100, "chair", 4), removed(250, "table", 5)), personal
    )


def forms() -> dict[str, bytes]:
    component = RegionDeltaComponent(FILE.base_template, FILE.base_seed, FILE.deltas)
    return {
        "json": GOLDEN.read_bytes(),
        "one line": json.dumps(json.loads(GOLDEN.read_bytes())).encode(),
        "gzip": gzip.compress(GOLDEN.read_bytes()),
        "binary": encode_region(FILE, "binary"),
        "binary, big-endian": encode_region(FILE, "binary", "big"),
        "component": encode_region(component, "json"),
        "component, binary": encode_region(component, "binary"),
        "shared": encode_region(MultiplayerRegionDelta.sharing(FILE), "json"),
        "shared, binary": encode_region(MultiplayerRegionDelta.sharing(FILE), "binary"),
        "records, little-endian": RECORDS.read_bytes(),
        "records, big-endian": write_records(FILE.deltas, "big"),
    }


def opened(path: Path, data: bytes, **options: Any) -> History:
    path.write_bytes(data)
    return open_history(path, follow=False, **options)


@pytest.mark.parametrize("form", forms())
def test_r20_r40_r43_every_form_tells_the_same_history(form: str, tmp_path: Path) -> None:
    with opened(tmp_path / "region", forms()[form]) as history:
        assert [entry.action for entry in history] == ACTIONS
        assert [entry.meta["tick"] for entry in history] == [150000, 150005, 150500]
        assert history[0].meta["position"] == {"x": 10, "y": 15}
        assert history[2].meta["data"]["buildingType"] == "tent"
        assert set(history.state(-1)) == {"region", "removed", "buildings"}
        assert history.state(-1)["buildings"] == {"50,50": {"buildingType": "tent", "owner": "player_123"}}
        assert history.state(0)["removed"] == {"items/10,15": {"ray_gun_mk2": 1}}
        assert history.verdict.status == VerdictStatus.COMPLETE


def test_ticks_are_no_time_of_day_so_entries_carry_the_files_time(tmp_path: Path) -> None:
    path = tmp_path / "region.json"
    path.write_bytes(GOLDEN.read_bytes())
    os.utime(path, ns=(5_000_000_000, 1_700_000_000_000_000_000))
    with open_history(path) as history:
        assert {entry.timestamp_ns for entry in history} == {1_700_000_000_000_000_000}
        assert {entry.meta["time_from"] for entry in history} == {"file"}


def test_deltas_are_told_in_the_order_they_apply(tmp_path: Path) -> None:
    file = RegionDeltaFile(FILE.address, "town", 7, (removed(9, "b"), removed(3, "a"), removed(9, "c")))
    with opened(tmp_path / "region", encode_region(file, "json")) as history:
        assert [entry.meta["data"]["itemId"] for entry in history] == ["a", "b", "c"]


def test_a_region_nobody_changed_is_one_entry(tmp_path: Path) -> None:
    file = RegionDeltaFile(FILE.address, "town", 7)
    with opened(tmp_path / "region", encode_region(file, "json")) as history:
        assert [entry.action for entry in history] == ["generated"]
        assert history.state(0)["region"]["template"] == "town"
        assert history.refresh() == 0


def test_r51_a_snapshot_ends_with_the_region_it_holds(tmp_path: Path) -> None:
    region: Region = apply_deltas(unknown_region(FILE.address, "town", 7), FILE.deltas).region
    with opened(tmp_path / "region", encode_region(RegionSnapshot(region, FILE.deltas), "json")) as history:
        assert [entry.action for entry in history] == [*ACTIONS, "snapshot"]
        assert history.state(-1) == region_state(region)


def test_r54_every_players_own_layers_stand_beside_the_shared_ones(tmp_path: Path) -> None:
    with opened(tmp_path / "region", encode_region(shared_and_personal(), "json")) as history:
        assert [entry.meta.get("player") for entry in history] == [None, "alice", "bob", None, "alice"]
        assert [entry.meta["tick"] for entry in history] == [100, 150, 200, 250, 300]
        chair, lamp, table = {"items/4,15": {"chair": 1}}, {"items/1,15": {"lamp": 1}}, {"items/5,15": {"table": 1}}
        assert history.state(0)["removed"] == chair
        assert history.state(1)["alice removed"] == {**chair, **lamp}
        assert "bob removed" not in history.state(1)
        assert history.state(3)["removed"] == {**chair, **table}
        assert history.state(3)["alice removed"] == {**chair, **lamp, **table}


@pytest.mark.parametrize("form", ["json", "binary"])
def test_r54_one_player_can_be_chosen(form: str, tmp_path: Path) -> None:
    data = encode_region(shared_and_personal(), form)
    with opened(tmp_path / "region", data, select={"player": "alice"}) as history:
        assert [entry.meta.get("player") for entry in history] == [None, "alice", None, "alice"]
        assert len(history.state(-1)["removed"]) == 4
        assert set(history.state(-1)) == {"region", "removed"}


def test_a_player_who_is_not_there_is_refused_with_those_who_are(tmp_path: Path) -> None:
    data = encode_region(shared_and_personal(), "json")
    with pytest.raises(
        UnreadableSource, match="no personal deltas of player 'carol'; it has those of 'alice', 'bob'"
    ):
        opened(tmp_path / "region", data, select={"player": "carol"})
    with pytest.raises(UnreadableSource, match="it has none of any player"):
        opened(tmp_path / "region", GOLDEN.read_bytes(), select={"player": "carol"})


def test_r01_another_games_actions_are_kept(tmp_path: Path) -> None:
    raw = json.loads(GOLDEN.read_bytes())
    raw["deltas"][1] |= {"action": "ship_launched", "data": {"ship": "Nostromo"}}
    with opened(tmp_path / "region", json.dumps(raw).encode()) as history:
        assert history[1].action == "ship_launched"
        assert history.state(1)["custom"] == {"ship_launched/12,15": {"ship": "Nostromo"}}


def test_one_malformed_delta_costs_itself_and_nothing_else(tmp_path: Path) -> None:
    raw = json.loads(GOLDEN.read_bytes())
    raw["deltas"][1]["position"] = "here"
    path = tmp_path / "region"
    with opened(path, json.dumps(raw).encode()) as history:
        assert [entry.action for entry in history] == ["item_removed", "building_built"]
        (problem,) = history.verdict.problems
        assert problem.place == f"{path}: deltas[1]"
        assert "left out" in problem.message
        assert history.verdict.status == VerdictStatus.PARTIAL


def test_r40_records_that_are_cut_off_lose_only_the_cut_one(tmp_path: Path) -> None:
    path = tmp_path / "region"
    for order in ("little", "big"):
        data = write_records(FILE.deltas, order)
        with opened(path, data[:-5]) as history:
            assert [entry.action for entry in history] == ["item_removed", "item_removed"]
            (problem,) = history.verdict.problems
            assert problem.place == f"{path}: byte 90"
            assert "record at byte 90" in problem.message


def test_a_damaged_record_in_the_middle_is_left_out(tmp_path: Path) -> None:
    data = bytearray(RECORDS.read_bytes())
    data[59] = ord("!")
    with opened(tmp_path / "region", bytes(data)) as history:
        assert [entry.action for entry in history] == ["item_removed", "building_built"]
        assert "record at byte 48" in history.verdict.problems[0].place


def test_records_that_read_in_both_orders_ask_which(tmp_path: Path) -> None:
    data = bytes(4) + bytes((7,)) + bytes((1, 2, 3, 4)) + bytes(2)
    path = tmp_path / "region"
    path.write_bytes(data)
    with pytest.raises(UnreadableSource, match="say which with --select order=little or order=big"):
        open_history(path, format="region")
    with open_history(path, format="region", select={"order": "big"}) as history:
        assert history[0].meta["position"] == {"x": 0x0102, "y": 0x0304}
    with pytest.raises(ConfigError, match="no byte order"):
        open_history(path, format="region", select={"order": "middle"})


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[:-40], "line"),
        (lambda data: data.replace(b'"chunk"', b'"chink"'), "chunk"),
        (lambda data: data.replace(b"782934", b"NaN"), "NaN is not JSON"),
        (lambda data: data.replace(b'"baseSeed"', b'"baseTemplate"'), "twice"),
    ],
)
def test_a_document_whose_head_is_damaged_is_refused(damage: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match=told) as caught:
        opened(tmp_path / "region.json", damage(GOLDEN.read_bytes()))
    assert "region.json" in str(caught.value)


def test_the_binary_form_is_refused_when_its_checksum_differs(tmp_path: Path) -> None:
    data = bytearray(encode_region(FILE, "binary"))
    data[-30] ^= 1
    with pytest.raises(UnreadableSource, match="checksum differs"):
        opened(tmp_path / "region", bytes(data))


def test_a_region_that_the_game_saves_again_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "region.json"
    path.write_bytes(encode_region(FILE, "json"))
    with open_history(path) as history:
        assert history.refresh() == 0
        path.write_bytes(encode_region(FILE.with_deltas([removed(160_000, "rug")]), "binary"))
        assert history.refresh() == 1
        assert history[-1].meta["tick"] == 160_000
        path.write_bytes(b'{"baseTemplate": "half a fi')
        assert history.refresh() == 0
        assert history.verdict.status == VerdictStatus.PARTIAL
        path.write_bytes(encode_region(FILE.with_deltas([removed(170_000, "rug")]), "json"))
        assert history.refresh() == 4
        assert any("told again" in note for note in history.verdict.notes)
        assert history.verdict.status == VerdictStatus.COMPLETE
        path.unlink()
        assert history.refresh() == 0


@pytest.mark.slow
def test_ten_thousand_deltas_open(tmp_path: Path) -> None:
    deltas = tuple(removed(tick, f"item{tick % 50}", tick % 40) for tick in range(10_000))
    file = RegionDeltaFile(FILE.address, "town", 7, deltas)
    with opened(tmp_path / "region", encode_region(file, "binary")) as history:
        assert len(history) == 10_000
        assert sum(sum(cell.values()) for cell in history.state(-1)["removed"].values()) == 10_000


@pytest.mark.one_in(3)
@pytest.mark.parametrize("form", forms())
@settings(max_examples=examples(30))
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.binary(max_size=4) | st.sampled_from([b"{", b'"', b"-1", b"null"]), st.booleans()),
        min_size=1,
        max_size=3,
    )
)  # fmt: skip
def test_a_mutated_region_gives_a_verdict_or_a_typed_error(
    form: str, edits: list[tuple[float, bytes, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = forms()[form]
    for where, piece, replaces in edits:
        place = int(len(data) * where)
        data = data[:place] + piece + data[place + len(piece) * replaces :]
    path = tmp_path_factory.mktemp("fuzz") / "region"
    path.write_bytes(data)
    for name in (None, "region"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                history = open_history(path, format=name, follow=False)
            except UnspoolError as error:
                assert "\n" not in str(error)
                continue
            with history:
                for entry in history:
                    history.state(entry.seq)
                assert history.refresh() == 0
