"""A secret that a pattern names is nowhere: not in the file, its log, a warning or an export, whatever held it."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import logging
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.errors import ConfigError
from unspool.history import History
from unspool.model.encoding import encode
from unspool.model.values import MISSING, Tagged
from unspool.model.wire import decode
from unspool.recorder import Recorder
from unspool.recorder.encoding import StateWithForm
from unspool.recorder.redact import REDACTED, Redaction
from unspool.store import FileStore, MemoryStore

SECRET = "hunter2-" + "s3cr3t"


class Key(enum.Enum):
    PASSWORD = 1
    OTHER = "password"


class TextKey(str, enum.Enum):  # noqa: UP042 - as many apps have them
    SECRET = "password"


class Text(str):
    __slots__ = ()


class Dict(dict[Any, Any]):
    pass


@dataclasses.dataclass
class Login:
    password: Any
    user: str = "ann"


@dataclasses.dataclass(frozen=True)
class Frozen:
    password: Any = SECRET


@dataclasses.dataclass(slots=True)
class Slotted:
    user: str
    password: Any


class Pair(NamedTuple):
    user: str
    password: Any


class Record(msgspec.Struct):
    password: Any


class Shown:
    def __repr__(self) -> str:
        return f"Shown(password={SECRET!r})"


class Plain:
    def __init__(self, secret: Any) -> None:
        self.password = secret


class Private:
    def __init__(self, secret: Any) -> None:
        self.__password = secret


class _Two__Words:  # noqa: N801 - Python puts the name before those of attributes
    __slots__ = ("__password",)

    def __init__(self, secret: Any) -> None:
        self.__password = secret


class Slots:
    __slots__ = ("password",)

    def __init__(self, secret: Any) -> None:
        self.password = secret


def failed(secret: Any) -> ValueError:
    try:
        raise ValueError(f"login with password={secret!r} failed")  # noqa: TRY301 - one with a traceback
    except ValueError as error:
        error.password = secret  # type: ignore[attr-defined]
        return error


ROW = [("password", "U20"), ("n", "i4")]


def log_in(user: str, password: str, *passwords: str) -> None:
    """Take a secret by position."""


HOLDERS: list[Callable[[Any], Any]] = [
    lambda secret: {"password": secret},
    lambda secret: {"password": {"deep": [secret, (secret,)]}},
    lambda secret: {"password": secret, 3: "keys that are no text"},
    lambda secret: {b"password": secret},
    lambda secret: {Key.PASSWORD: secret},
    lambda secret: {Key.OTHER: secret},
    lambda secret: {TextKey.SECRET: secret},
    lambda secret: {Text("password"): secret},
    lambda secret: {("db", "password"): secret},
    lambda secret: collections.OrderedDict(password=secret),
    lambda secret: collections.defaultdict(list, password=secret),
    lambda secret: Dict(password=secret),
    lambda secret: collections.ChainMap({"password": secret}, {"a": 1}),
    lambda secret: collections.UserDict(password=secret),
    lambda secret: types.MappingProxyType({"password": secret}),
    lambda secret: types.SimpleNamespace(password=secret),
    lambda secret: Login(secret),
    lambda secret: Frozen(secret),
    lambda secret: Slotted("ann", secret),
    lambda secret: Pair("ann", secret),
    lambda secret: Record(secret),
    lambda secret: {Frozen(secret): 1},
    lambda secret: {(Frozen(secret), 1)},
    lambda secret: frozenset({Frozen(secret)}),
    lambda secret: ("password", secret),
    lambda secret: [["password", secret], ["user", "ann"]],
    lambda secret: [(b"password", secret), (b"user", b"ann")],
    lambda secret: [[bytearray(b"password"), secret.encode()]],
    lambda secret: [(Key.PASSWORD, secret), (Text("password"), secret)],
    lambda secret: pd.DataFrame({"password": [secret, "a"], "n": [1, 2]}),
    lambda secret: pd.DataFrame({"n": [secret, 2]}, index=["password", "a"]),
    lambda secret: pd.DataFrame({"n": [1]}, index=pd.Index([secret], name="password")),
    lambda secret: pd.DataFrame({("a", "password"): [secret], ("a", "n"): [1]}),
    lambda secret: pd.DataFrame([[1]], columns=pd.Index([secret], name="password")),
    lambda secret: pd.Series([secret, 1], index=["password", "a"]),
    lambda secret: pd.Series([secret, 1], name="password"),
    lambda secret: pd.Series([1], index=pd.MultiIndex.from_tuples([("a", secret)], names=["user", "password"])),
    lambda secret: pd.Index([secret], name="password"),
    lambda secret: np.array([(secret, 1)], dtype=ROW),
    lambda secret: np.array([(secret, 1)] * 3000, dtype=ROW),
    lambda secret: np.rec.array([(secret, 1)], dtype=ROW),
    lambda secret: np.array([(secret, 1)], dtype=ROW)[0],
    lambda secret: np.rec.array([(secret, 1)], dtype=ROW)[0],
    lambda secret: np.array([((secret, 1), 2)], dtype=[("in", ROW), ("n", "i4")]),
    lambda secret: np.array([((secret, 1), 2)], dtype=[("in", ROW), ("n", "i4")])[0],
    lambda secret: functools.partial(log_in, "ann", secret),
    Plain,
    Private,
    _Two__Words,
    Slots,
    failed,
    lambda secret: [ValueError(f"refused {secret}"), {"password": secret}],
    lambda secret: {"first": ValueError(secret), "second": [Plain(secret)]},
    lambda _: Shown(),
    lambda _: [Shown(), object()],
]

WRAPPERS: list[Callable[[Any], Any]] = [
    lambda value: value,
    lambda value: [1, value],
    lambda value: (value, 2),
    lambda value: {"a": value},
    lambda value: {1: value},
    lambda value: Dict(a=value),
    lambda value: Login("x", value),
    lambda value: {"twice": value, "again": [value]},
    lambda value: collections.deque([value]),
]


def traces(folder: Path) -> bytes:
    # Texts of arrays have four bytes a letter, most of them zero.
    held = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    return held + held.replace(b"\0", b"")


@given(st.data())
@settings(max_examples=examples(60), deadline=None)
def test_no_byte_anywhere_tells_it(data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(HOLDERS))(SECRET)
    for wrap in data.draw(st.lists(st.sampled_from(WRAPPERS), max_size=3)):
        value = wrap(value)
    arguments: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {},
                {"action": f"login with password={SECRET}"},
                {"action": f"password: '{SECRET}'"},
                {"action": repr([(b"password", SECRET.encode())])},
                {"meta": {"note": [f"used {SECRET}"], "a": {"password": SECRET, "b": SECRET.encode()}}},
                {"meta": {"password": SECRET}},
                {"meta": {"request": Login(SECRET)}},
                {"meta": {"headers": [("password", SECRET)]}},
            ]
        )
    )
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        folder = Path(name)
        path = folder / "app.unspool"
        recorder = Recorder(path, redact=["password"])
        recorder.record({"value": value, "n": 0}, **arguments)
        recorder.record({"value": value, "n": 1, "more": [value]}, **arguments)
        assert len(recorder.store) == 2
        # The secret could stand in bytes that are compressed later, and before that in the log.
        assert SECRET.encode() not in traces(folder)
        recorder.close()
        with History(FileStore.open(path)) as history:
            shown = repr([(history.state(entry.seq), entry.action, entry.id, dict(entry.meta)) for entry in history])
        assert SECRET not in shown
        assert SECRET.encode() not in traces(folder)
        assert SECRET not in " ".join(str(item.message) for item in told)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("kind", ["jsonl", "html", "csv", "json-patch"])
def test_no_export_tells_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path, redact=["password"], on_error="ignore") as recorder:
        for number, holder in enumerate(HOLDERS):
            recorder.record({"value": holder(SECRET), "n": number}, f"password={SECRET}")
    out = tmp_path / "out"
    columns = ["--path", "value"] if kind == "csv" else []
    program = "from unspool_tui.cli import main; main()"
    command = [sys.executable, "-c", program, "export", str(path), str(out), "--format", kind, *columns]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    assert REDACTED in out.read_text()
    assert SECRET.encode() not in traces(tmp_path)
    assert SECRET not in run.stdout + run.stderr


def state_of(
    state: dict[str, Any], redact: Any, *, on_error: Any = "raise", **arguments: Any
) -> tuple[dict[str, Any], str, str, dict[str, Any]]:
    store = MemoryStore()
    Recorder(store, redact=redact, on_error=on_error).record(state, **arguments)
    history = History(store)
    return history.state(0), history[0].action, history[0].id, dict(history[0].meta)


def test_keys_and_paths_are_left_out_and_all_else_stays() -> None:
    state = {"user": {"name": "Ann", "password": "p"}, "log": [{"password": "q", "token": 1}], "token": {"a": 2}}
    found = state_of(state, ["password", "log.*.token"])[0]
    assert found == {
        "user": {"name": "Ann", "password": REDACTED},
        "log": [{"password": REDACTED, "token": REDACTED}],
        "token": {"a": 2},
    }
    assert state["user"]["password"] == "p"  # type: ignore[index]


def test_an_atom_may_be_a_secret_itself() -> None:
    assert state_of({"password": {"a": SECRET}, "b": 1}, ["password"])[0] == {"password": REDACTED, "b": 1}


def test_a_state_that_comes_with_its_wire_form_is_redacted_all_the_same() -> None:
    state = {"password": SECRET, "b": 1}
    store = MemoryStore()
    with Recorder(store, redact=["password"], max_bytes=None, on_error="raise") as recorder:
        recorder.record(StateWithForm(state, encode(state)))
        assert recorder.last() == {"password": REDACTED, "b": 1}
    with Recorder(MemoryStore(), max_bytes=None, on_error="raise") as recorder:
        recorder.record(StateWithForm(state, encode(state)))
        assert recorder.last() == state


def test_an_object_under_two_paths_is_left_out_under_each_that_is_named() -> None:
    shared = {"token": SECRET, "n": 1}
    found = state_of({"a": shared, "b": {"deep": shared}}, ["a.token", "b.deep.token"])[0]
    assert found == {"a": {"token": REDACTED, "n": 1}, "b": {"deep": {"token": REDACTED, "n": 1}}}
    found = state_of({"a": shared, "b": [shared, shared]}, ["b.1.token"])[0]
    assert found == {"a": shared, "b": [shared, {"token": REDACTED, "n": 1}]}


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_large_object_under_two_paths_is_left_out_where_it_is_named_and_kept_where_not(
    order: tuple[str, str],
) -> None:
    shared = {"token": SECRET, "rows": [f"row {number}" for number in range(20_000)]}
    # What cannot be kept is written the careful way, which refers to what it meets again.
    state = {"u": {name: shared if name == "a" else {"c": shared, "d": shared} for name in order} | {"x": object()}}
    found = state_of(state, ["u.b.c.token"], on_error="ignore")[0]["u"]
    clean = {**shared, "token": REDACTED}
    assert found["b"]["c"] == clean
    alike = Tagged("$ref", "$.u.a") if order == ("a", "b") else None
    assert found["a"] == shared
    assert found["b"]["d"] in (shared, alike)
    assert alike is None or found["b"]["d"] == alike
    both = state_of(state, ["token"], on_error="ignore")[0]["u"]
    assert SECRET not in repr(both)
    assert Tagged("$ref", f"$.u.{'a' if order[0] == 'a' else 'b.c'}") in (both["a"], both["b"]["c"])


def test_references_cost_no_more_than_what_they_stand_for() -> None:
    looped: dict[str, Any] = {"rows": [{"token": "t" * 100, "n": number} for number in range(4000)]}
    looped["up"] = [[looped] for _ in range(4000)]
    looped["again"] = {"x": [*looped["rows"], *looped["rows"]]}
    began = time.process_time()
    found = state_of({"u": looped}, ["u.up.*.*.rows.*.token", "u.again.x.*.n"], on_error="ignore")[0]["u"]
    assert time.process_time() - began < 20
    assert found["up"][3999] == [REDACTED]
    assert found["rows"][5] == looped["rows"][5]
    assert {item["n"] for item in found["again"]["x"] if isinstance(item, dict)} == {REDACTED}


def test_many_keys_that_become_the_same_are_all_kept() -> None:
    held = {f"sk-{number}": number for number in range(20_000)} | {f"{REDACTED} 7": "own"}
    found = state_of({"a": held, REDACTED: 1, "sk-1": 2, f"{REDACTED} 2": 3}, Redaction(text=[r"sk-\d+"]))[0]
    assert sorted(map(str, found["a"].values())) == sorted(map(str, held.values()))
    assert sorted(value for name, value in found.items() if name != "a") == [1, 2, 3]
    same = state_of({"a": {Frozen(SECRET): 1, Frozen(SECRET + "2"): 2}}, ["password"])[0]["a"]
    assert sorted(same.values()) == [1, 2]


def test_many_large_references_end() -> None:
    level: Any = {"token": SECRET, "rows": list(range(30_000))}
    for _ in range(12):
        level = {"x": level, "y": level, "z": [level, object()]}
    found = state_of({"u": level}, ["u.y.*.y.token", "u.*.y.x.*.token"], on_error="ignore")[0]
    assert found["u"]["x"]["x"]


def test_what_a_cycle_leads_to_is_left_out_under_named_paths() -> None:
    looped: dict[str, Any] = {"token": SECRET, "n": 1}
    looped["itself"] = looped
    found = state_of({"a": looped}, ["a.token", "a.itself.token"])[0]
    assert SECRET not in repr(found)
    assert found["a"]["n"] == 1


@pytest.mark.parametrize(
    "key", ["password", "Password", "PASSWORD", "userPassword", "пароль", "Пароль", "to\u212aen"]
)
def test_letter_case_counts_only_where_it_is_said_to(key: str) -> None:
    patterns = ["*password", "пароль", "token"]
    strict = state_of({"a": {key: SECRET}}, Redaction(patterns, ignore_case=False))[0]
    assert (strict == {"a": {key: REDACTED}}) == (key in ("password", "пароль"))
    assert state_of({"a": {key: SECRET}}, patterns)[0] == {"a": {key: REDACTED}}


NESTED = {"cfg": {"nested": [{"token": SECRET, "n": 0}, {"token": SECRET, "n": 1}], "odd key": {"a.b": SECRET}}}


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("cfg.nested[*].token", 0),
        ("$.cfg.nested[*].token", 0),
        ("$cfg.nested[].token", 0),
        ("cfg.nested.[*].token", 0),
        (".cfg.nested[*].token", 0),
        ("/cfg/nested/*/token", 0),
        ('$["cfg"]["nested"][*]["token"]', 0),
        ("cfg['nested'][*].token", 0),
        ("cfg.nested[*].to[kx]en", 0),
        ("c[f]g.nested[*].TOKEN", 0),
        ("[*].nested[*].token", 0),
        ("cfg.*.*.token", 0),
        ("cfg.nested[-1].token", 0),
        ("cfg[*][0][*]", 1),
        ("cfg.nested[0].token", 1),
        ("/cfg/nested/1/token", 1),
        ("cfg.nested[1]", 1),
    ],
)
def test_a_path_is_understood_however_paths_are_written(pattern: str, left: int) -> None:
    found = state_of(NESTED, [pattern])[0]
    assert repr(found["cfg"]["nested"]).count(SECRET) == left
    assert found["cfg"]["odd key"] == {"a.b": SECRET}


@pytest.mark.parametrize(
    "pattern",
    ['cfg["odd key"]["a.b"]', '$.cfg["odd key"][*]', '["odd key"]', '["a.b"]', "cfg.odd key", "$['odd key']"],
)
def test_a_key_in_quotation_marks_is_one_step(pattern: str) -> None:
    found = state_of(NESTED, [pattern])[0]
    assert repr(found).count(SECRET) == 2
    assert found["cfg"]["nested"] == NESTED["cfg"]["nested"]


@pytest.mark.parametrize("key", ["api_key", "api_token", "api_[kt]x"])
def test_brackets_are_a_set_of_letters_too(key: str) -> None:
    assert state_of({"a": {key: SECRET, "id": 1}}, ["api_[kt]*"])[0] == {
        "a": {key: SECRET if "[" in key else REDACTED, "id": 1}
    }
    # What can be read both ways leaves out both.
    both = state_of({"a": {"b0": SECRET, "b": [SECRET, 1]}}, ["a.b[0]"])[0]
    assert both == {"a": {"b0": REDACTED, "b": [REDACTED, 1]}}
    assert state_of({"aKey": SECRET, "akey": SECRET}, ["a[!a-z]ey"])[0] == {"aKey": REDACTED, "akey": SECRET}


def test_what_was_left_out_is_taken_out_of_action_id_and_meta_too() -> None:
    state, action, entry_id, meta = state_of(
        {"user": {"password": SECRET, "pin": 123456}},
        ["password", "pin"],
        action=f"login of ann with {SECRET} and 123456",
        entry_id=f"id-{SECRET}",
        meta={"note": f"used {SECRET}", "n": 5},
    )
    assert state == {"user": {"password": REDACTED, "pin": REDACTED}}
    assert (action, entry_id) == (f"login of ann with {REDACTED} and {REDACTED}", f"id-{REDACTED}")
    assert meta == {"note": f"used {REDACTED}", "n": 5}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"password={SECRET}&user=ann", f"password={REDACTED}&user=ann"),
        (f"PATCH /login password: {SECRET}, user: ann", f"PATCH /login password: {REDACTED}, user: ann"),
        (f'{{"password": "{SECRET} more"}}', f'{{"password": {REDACTED}}}'),
        ("the password is wrong", "the password is wrong"),
        (f"password={SECRET} ok", f"password={REDACTED} ok"),
        (f"password: {SECRET} in words\nuser: ann", f"password: {REDACTED}\nuser: ann"),
        (f"password: Bearer {SECRET}, user: ann", f"password: {REDACTED}, user: ann"),
        (f"password=Bearer {SECRET} ok", f"password={REDACTED} ok"),
        (f'password: Digest user="ann", response="{SECRET}"\nok', f"password: {REDACTED}\nok"),
        (f"{{b'password': b'{SECRET}', 'n': 1}}", f"{{b'password': {REDACTED}, 'n': 1}}"),
        (f"('password', '{SECRET}')", f"('password', {REDACTED})"),
        (f'{{"password": "a\\"{SECRET}", "n": 1}}', f'{{"password": {REDACTED}, "n": 1}}'),
        (f'"{{\\"password\\": \\"{SECRET}\\"}}"', f'"{{\\"password\\": {REDACTED}}}"'),
        (f"run --password {SECRET} -v", f"run --password {REDACTED} -v"),
        (f"Private(_Private__password={SECRET})", f"Private(_Private__password={REDACTED}"),
    ],
)
def test_what_follows_a_named_key_in_an_action_is_left_out(text: str, clean: str) -> None:
    assert state_of({"a": 1}, ["password"], action=text)[1] == clean


@pytest.mark.parametrize("value", ["password", "p", "", None, "my password", "[redacted]"])
def test_the_name_of_a_key_may_be_a_secret_as_well(value: Any) -> None:
    for text in (f"login password={SECRET}", f"login password={SECRET} my password"):
        assert SECRET not in state_of({"password": value}, ["password"], action=text)[1]


def test_a_secret_of_several_words_is_left_out_after_its_name() -> None:
    action = state_of({"password": "one two"}, ["password"], action="password=one two three")[1]
    assert action == f"password={REDACTED} three"


def test_a_secret_of_an_atom_that_is_the_same_object_is_left_out_of_later_actions_too() -> None:
    store = MemoryStore()
    recorder = Recorder(store, redact=["password"], on_error="raise", immutable=True)
    user = {"password": SECRET}
    for number in range(3):
        recorder.record({"user": user, "n": number, "error": ValueError(f"no {SECRET}")}, f"used {SECRET}")
    recorder.record({"user": {"password": "other one"}, "n": 3}, "other one")
    recorder.record({"user": {"name": "other"}, "n": 4}, "other one")
    assert [entry.action for entry in History(store)] == [f"used {REDACTED}"] * 3 + [REDACTED, "other one"]
    assert SECRET not in repr([History(store).state(number) for number in range(3)])


def test_headers_are_pairs_of_bytes() -> None:
    headers = [(b"authorization", b"Bearer " + SECRET.encode()), (b"host", b"a")]
    found, action, *_ = state_of(
        {"headers": headers, "two": tuple(headers)},
        ["authorization"],
        action=f"GET /\nAuthorization: x\nauthorization: Bearer {SECRET}",
    )
    assert found["headers"] == [(b"authorization", REDACTED), (b"host", b"a")]
    assert action == f"GET /\nAuthorization: {REDACTED}\nauthorization: {REDACTED}"


def test_tables_keep_what_is_not_named() -> None:
    frame = pd.DataFrame({"password": [SECRET, "b"], "n": [1, 2]}, index=["a", "token"])
    found = state_of({"t": frame, "s": pd.Series([1, 2], index=["token", "n"])}, ["password", "t.token", "s.n"])[0]
    assert found["t"].value["values"] == [REDACTED, [1, REDACTED]]
    assert found["s"].value["values"] == [1, REDACTED]
    rows = np.array([(SECRET, 7)], dtype=ROW)
    fields = state_of({"rows": rows, "row": rows[0]}, ["rows.fields.password", "row.password"])[0]
    assert fields["rows"].value["fields"]["n"]["values"] == [7]
    assert fields["rows"].value["fields"]["password"] == REDACTED
    assert fields["row"].value["password"] == REDACTED
    assert fields["row"].value["n"].value == 7


def test_private_attributes_are_named_without_their_class() -> None:
    for pattern in ("__password", "password", "*password", "_Private__password", "a.__password", "a.password"):
        assert SECRET not in repr(state_of({"a": Private(SECRET)}, [pattern])[0]), pattern
    assert SECRET not in repr(state_of({"a": _Two__Words(SECRET)}, ["__password"])[0])
    assert state_of({"a": {"_password": 1, "password": 2, "__password": 3}}, ["__password"])[0] == {
        "a": {"_password": 1, "password": 2, "__password": REDACTED}
    }


def test_arguments_by_position_are_known_by_their_parameters() -> None:
    store = MemoryStore()
    recorder = Recorder(store, redact=["password", "passwords"], on_error="raise", state=lambda: {"a": 1})

    class Door:
        @recorder.traced
        def enter(self, user: str, password: str, *passwords: str) -> str:
            if user == "eve":
                raise ValueError(f"wrong: {password}")
            return f"{user} came with {password} and {passwords}"

    Door().enter("ann", SECRET, "second secret", "third secret")
    with pytest.raises(ValueError, match=SECRET):
        Door().enter("eve", SECRET)
    with pytest.raises(ValueError, match=SECRET):
        Door().enter("eve", password=SECRET)
    history = History(store)
    calls = [dict(entry.meta)["call"] for entry in history]
    assert calls[0]["args"][1:] == ["ann", REDACTED, REDACTED, REDACTED]
    assert calls[0]["parameters"] == ["self", "user", "password", "passwords", "passwords"]
    assert calls[1]["raised"].value["args"] == (f"wrong: {REDACTED}",)
    assert calls[2]["kwargs"] == {"password": REDACTED}
    assert SECRET not in repr(calls)
    assert "second secret" not in repr(calls)


def test_named_arguments_of_a_log_line_are_left_out_of_its_text() -> None:
    store = MemoryStore()
    recorder = Recorder(store, redact=["password"], on_error="raise")
    recorder.install(logging="WARNING")
    try:
        logging.getLogger("shop").warning("%(user)s used %(password)s", {"user": "ann", "password": SECRET})
    finally:
        recorder.close()
    assert History(store)[0].action == f"ann used {REDACTED}"
    assert SECRET not in repr(History(store)[0].meta)


def test_names_of_atoms_are_texts_as_keys_are() -> None:
    store = MemoryStore()
    recorder = Recorder(store, redact=Redaction(text=[r"sk-\d+"]), on_error="raise")
    recorder.record({"sk-1": 1, "sk-2": {"sk-3": 3, "sk-4": 4}, "n": 0})
    recorder.update({"sk-2": 5})
    recorder.update({"sk-1": MISSING})
    history = History(store)
    second = f"{REDACTED} 2"
    assert history.state(0) == {REDACTED: 1, second: {REDACTED: 3, second: 4}, "n": 0}
    assert history.state(1) == {REDACTED: 1, second: 5, "n": 0}
    assert history.state(2) == {second: 5, "n": 0}
    with pytest.warns(UserWarning, match="marker") as told:
        Recorder(MemoryStore(), redact=Redaction(text=[r"sk-\d+"])).record({"sk-1": {"sk-2": object()}})
    assert "sk-" not in str(told[0].message)


def test_expressions_are_taken_out_of_every_text() -> None:
    redaction = Redaction(text=[r"sk-\w+"])
    state, action, entry_id, meta = state_of(
        {"a": ["call sk-1234 now", {"sk-99": (Login("sk-7"),)}]},
        redaction,
        action="sk-5",
        entry_id="x sk-6",
        meta={"k": "sk-8"},
    )
    assert "sk-" not in repr((state, action, entry_id, meta))
    assert state["a"][0] == f"call {REDACTED} now"


def test_meta_is_a_path_too() -> None:
    _, _, _, meta = state_of({"a": 1}, ["meta.user.token"], meta={"user": {"token": SECRET, "n": 1}})
    assert meta == {"user": {"token": REDACTED, "n": 1}}


@pytest.mark.parametrize("redact", ["password", [5], [""], [None]])
def test_patterns_that_would_leave_nothing_out_are_refused(redact: Any) -> None:
    with pytest.raises(ConfigError, match="redact"):
        Recorder(MemoryStore(), redact=redact, on_error="raise")


def test_a_wrong_expression_is_refused() -> None:
    with pytest.raises(ConfigError, match="regular expressions"):
        Redaction(text=["("])


@given(st.data())
@settings(max_examples=examples(80), deadline=None)
def test_looking_for_letters_first_changes_nothing(data: st.DataObject) -> None:
    """Wire forms in which no pattern can match are not taken apart; that must agree with taking them apart."""
    words = st.sampled_from(["password", "pass", "Token", "token", "to", "user", "0", "10", "x1", "i", "KEY", "key"])
    patterns = data.draw(
        st.lists(
            words
            | st.builds("{}.{}".format, words | st.just("*"), words | st.sampled_from(["*", "x?", "[tT]oken", "1*"]))
            | st.sampled_from(["*word", "to*", "?ey", "[pP]ass*", "1*"]),
            min_size=1,
            max_size=3,
        )
    )
    redaction = Redaction(patterns, ignore_case=data.draw(st.booleans()))
    leaves = st.integers(0, 3) | st.text(max_size=3)
    values = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8
    )
    state = data.draw(st.dictionaries(words, values, max_size=3))
    expected = {name: decode(redaction.apply(name, encode(value), set())) for name, value in state.items()}
    assert state_of(state, redaction)[0] == expected


def test_what_an_exception_holds_beside_its_arguments_may_quote_a_secret_too() -> None:
    store = MemoryStore()
    error = FileNotFoundError(2, "gone", "/home/hunter2/a.txt")
    error.detail = "no hunter2"  # type: ignore[attr-defined]
    Recorder(store, redact=["password"], on_error="raise").record({"password": "hunter2", "error": error})
    kept = History(store).state(0)["error"].value
    assert kept == {"filename": f"/home/{REDACTED}/a.txt", "detail": f"no {REDACTED}", "args": (2, "gone")}
