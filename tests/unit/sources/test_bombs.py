"""Small inputs that stand for much: each is refused by name, or opened, within a second or so and a bounded memory."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import struct
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zstandard

from unspool.delta.patch import apply_patch
from unspool.errors import CorruptHistory
from unspool.model.limits import VARIABLE, Limits, use

MOST_MEGABYTES = 1000
MOST_SECONDS = 10.0
"""Of processor time; a busy machine must not fail what is quick."""


def json_patch_copies(folder: Path) -> Path:
    path = folder / "patch.jsonl"
    first = {"op": "add", "path": "/a0", "value": ["x" * 400]}
    copies = [{"op": "copy", "from": "", "path": f"/a{number}"} for number in range(1, 40)]
    path.write_text("".join(json.dumps(record) + "\n" for record in (first, *copies)))
    return path


def json_patch_copies_at_once(folder: Path) -> Path:
    path = folder / "patch.json"
    path.write_text(json.dumps([[{"op": "add", "path": "/a", "value": "x" * 60}],
                                [{"op": "copy", "from": "", "path": f"/b{n}"} for n in range(40)]]))  # fmt: skip
    return path


def empty_objects(folder: Path) -> Path:
    path = folder / "objects.json.gz"
    path.write_bytes(gzip.compress(b"[" + b"{}," * 20_000_000 + b"{}]", 1))
    return path


def lines_of_empty_objects(folder: Path) -> Path:
    path = folder / "objects.jsonl.gz"
    path.write_bytes(gzip.compress((b"[" + b"{}," * 1_200_000 + b"{}]\n") * 2, 1))
    return path


def dotted_toml(folder: Path) -> Path:
    path = folder / "state.toml"
    path.write_bytes(b"a." * 50_000 + b"a = 1\n")
    return path


def toml_below_a_long_table(folder: Path) -> Path:
    path = folder / "state.toml"
    path.write_bytes(b"[" + b"a." * 500 + b"a]\n" + b"".join(b"k%d = 1\n" % number for number in range(60_000)))
    return path


def toml_of_many_digits(folder: Path) -> Path:
    path = folder / "state.toml"
    path.write_bytes(b"x = " + b"9" * 5_000 + b"\n")
    return path


def deep_archive(folder: Path) -> Path:
    path = folder / "events.rblogs"
    body = b"[" * 2_000_000
    footer = hashlib.sha256(body).hexdigest().encode()
    path.write_bytes(struct.pack(">5sBI", b"RBLOG", 1, 1) + zlib.compress(body) + footer)
    return path


def wide_archive(folder: Path) -> Path:
    path = folder / "events.rblogs"
    body = b"[" + b"{}," * 20_000_000 + b"{}]"
    footer = hashlib.sha256(body).hexdigest().encode()
    path.write_bytes(struct.pack(">5sBI", b"RBLOG", 1, 20_000_001) + zlib.compress(body, 1) + footer)
    return path


def yaml_laughs(folder: Path) -> Path:
    path = folder / "state.yaml"
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    path.write_text(f"a0: &a0 [lol]\n{levels}")
    return path


def yaml_of_long_texts(folder: Path) -> Path:
    path = folder / "state.yaml"
    path.write_text(f"a: &a {'x' * 200_000}\nb:\n{'- *a' + chr(10)}" + "- *a\n" * 50_000)
    return path


def yaml_merges(folder: Path) -> Path:
    path = folder / "state.yaml"
    levels = "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))
    path.write_text(f"a0: &a0 {{x: 1}}\n{levels}")
    return path


def deep_yaml(folder: Path) -> Path:
    path = folder / "state.yaml"
    path.write_bytes(b"a: " + b"[" * 1_000_000)
    return path


def deep_json(folder: Path) -> Path:
    path = folder / "state.json"
    path.write_bytes(b"[" * 5_000_000)
    return path


def msgpack_of_empty_objects(folder: Path) -> Path:
    path = folder / "state.msgpack.gz"
    path.write_bytes(gzip.compress(b"\xdd" + struct.pack(">I", 20_000_000) + b"\x80" * 20_000_000, 1))
    return path


def msgpack_that_claims_much(folder: Path) -> Path:
    path = folder / "state.msgpack"
    path.write_bytes(b"\xdd\xff\xff\xff\xff" + b"\xdd\x7f\xff\xff\xff" * 1000)
    return path


def zeros(folder: Path) -> Path:
    path = folder / "states.jsonl.zst"
    frame = zstandard.ZstdCompressor(level=1).compress(bytes(1 << 28))
    path.write_bytes(b"".join([zstandard.compress(b'{"a": 1}\n'), *[frame] * 8]))
    return path


def one_long_text(folder: Path) -> Path:
    path = folder / "state.json.gz"
    path.write_bytes(gzip.compress(b'{"a": "' + b"x" * 40_000_000 + b'"}', 1))
    return path


def redux_references(folder: Path) -> Path:
    path = folder / "redux.json"
    state: dict[str, object] = {"a0": ["x" * 50] * 100}
    for number in range(1, 30):
        state[f"a{number}"] = [{"$jsan": f"$.computedStates[0].state.a{number - 1}"}] * 10
    lifted = {"actionsById": {"0": {"type": "PERFORM_ACTION", "action": {"type": "@@INIT"}}}, "stagedActionIds": [0],
              "computedStates": [{"state": state}], "currentStateIndex": 0, "committedState": {}}  # fmt: skip
    path.write_text(json.dumps(lifted))
    return path


def redux_of_long_texts(folder: Path) -> Path:
    path = folder / "redux.json"
    state = {"text": ["x" * 100_000], "all": [{"$jsan": "$.computedStates[0].state.text"}] * 50_000}
    lifted = {"actionsById": {"0": {"type": "PERFORM_ACTION", "action": {"type": "@@INIT"}}}, "stagedActionIds": [0],
              "computedStates": [{"state": state}], "currentStateIndex": 0, "committedState": {}}  # fmt: skip
    path.write_text(json.dumps(lifted))
    return path


def nexus_references(folder: Path) -> Path:
    path = folder / "nexus.json"
    value: dict[str, object] = {"__id": "o0", "__type": "Object", "x": "y" * 100}
    for number in range(1, 30):
        value = {"__id": f"o{number}", "__type": "Object", "a": value,
                 **{f"b{k}": {"__ref": f"o{number - 1}"} for k in range(9)}}  # fmt: skip
    path.write_text(json.dumps([{"id": "s", "state": {"a": {"value": value, "type": "primitive"}},
                                 "metadata": {"timestamp": 1, "atomCount": 1}}]))  # fmt: skip
    return path


def native_frame(folder: Path) -> Path:
    import sqlite3

    from unspool import Recorder

    path = folder / "history.unspool"
    with Recorder(path) as recorder:
        for number in range(600):
            recorder.record({"n": number, "text": "x" * 200})
    bomb = zstandard.ZstdCompressor(level=1, write_content_size=True).compress(bytes(1 << 31))
    with sqlite3.connect(path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
            for (column,) in columns:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE typeof({column}) = 'blob' AND hex({column}) LIKE '28B52FFD%'",
                    (bomb,),
                )
    connection.close()
    return path


def native_values(folder: Path) -> Path:
    from unspool import Recorder

    path = folder / "history.unspool"
    use(Limits(nodes=1_000_000_000))
    try:
        with Recorder(path) as recorder:
            recorder.record({"a": [[]] * 10_500_000})
    finally:
        use(None)
    return path


BOMBS: list[Callable[[Path], Path]] = [
    json_patch_copies, json_patch_copies_at_once, empty_objects, lines_of_empty_objects, dotted_toml,
    toml_below_a_long_table, toml_of_many_digits, deep_archive, wide_archive, yaml_laughs, yaml_of_long_texts,
    yaml_merges, deep_yaml, deep_json, msgpack_of_empty_objects, msgpack_that_claims_much, zeros, one_long_text,
    redux_references, redux_of_long_texts, nexus_references, native_frame, native_values,
]  # fmt: skip


def test_patches_of_a_native_file_cannot_double_without_end() -> None:
    size = 1 << 26
    twice = [0, size, b"", -size, size, b""]
    assert len(apply_patch(bytes(size), msgspec.msgpack.encode(twice))) == 2 * size
    use(Limits(frame_bytes=3 * size))
    try:
        with pytest.raises(CorruptHistory, match="frame_bytes"):
            apply_patch(bytes(size), msgspec.msgpack.encode([*twice, -size, size, b"", -size, size, b""]))
        with pytest.raises(CorruptHistory, match="frame_bytes"):
            apply_patch(bytes(2 * size), msgspec.msgpack.encode([0, 2 * size, b"", -2 * size, 2 * size, b""]))
    finally:
        use(None)


LOWERED = {json_patch_copies: "document_bytes=16Mi"}


LOOK = textwrap.dedent("""
    import json, re, sys, time
    from pathlib import Path
    from unspool import open_history
    from unspool.errors import UnspoolError
    said = []
    try:
        with open_history(sys.argv[1], follow=False) as history:
            for entry in history:
                try:
                    history.state(entry.seq)
                except UnspoolError as error:
                    said.append(str(error))
            said += [problem.message for problem in history.verdict.problems]
    except UnspoolError as error:
        said.append(str(error))
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
    print(json.dumps({"said": said[:3], "peak": peak, "seconds": time.process_time()}))
""")


@pytest.mark.one_in(5)
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured by what Linux tells")
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=make.__name__, marks=pytest.mark.slow if make in (native_values, one_long_text) else ())
        for make in BOMBS
    ],
)
def test_a_bomb_ends_in_a_verdict_or_a_typed_error_within_bounds(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path)
    # Where the largest that is allowed takes long to record, a lower limit shows the same.
    lowered = {VARIABLE: LOWERED[make]} if make in LOWERED else {}
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **lowered},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["peak"] <= MOST_MEGABYTES
    assert told["seconds"] <= MOST_SECONDS
