"""A secret that a pattern names is nowhere: not in the file, its log, a warning or an export, whatever held it."""

from __future__ import annotations

import collections
import dataclasses
import enum
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.errors import ConfigError
from unspool.history import History
from unspool.model.wire import decode, encode
from unspool.recorder import Recorder
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
    Plain,
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
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


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


def state_of(state: dict[str, Any], redact: Any, **arguments: Any) -> tuple[dict[str, Any], str, str, dict[str, Any]]:
    store = MemoryStore()
    Recorder(store, redact=redact, on_error="raise").record(state, **arguments)
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


def test_an_object_under_two_paths_is_left_out_under_each_that_is_named() -> None:
    shared = {"token": SECRET, "n": 1}
    found = state_of({"a": shared, "b": {"deep": shared}}, ["a.token", "b.deep.token"])[0]
    assert found == {"a": {"token": REDACTED, "n": 1}, "b": {"deep": {"token": REDACTED, "n": 1}}}
    found = state_of({"a": shared, "b": [shared, shared]}, ["b.1.token"])[0]
    assert found == {"a": shared, "b": [shared, {"token": REDACTED, "n": 1}]}


def test_what_a_cycle_leads_to_is_left_out_under_named_paths() -> None:
    looped: dict[str, Any] = {"token": SECRET, "n": 1}
    looped["itself"] = looped
    found = state_of({"a": looped}, ["a.token", "a.itself.token"])[0]
    assert SECRET not in repr(found)
    assert found["a"]["n"] == 1


@pytest.mark.parametrize(
    "key", ["password", "Password", "PASSWORD", "userPassword", "пароль", "Пароль", "to\u212aen"]
)
def test_letter_case_counts_unless_it_is_said_not_to(key: str) -> None:
    patterns = ["*password", "пароль", "token"]
    strict = state_of({"a": {key: SECRET}}, patterns)[0]
    assert (strict == {"a": {key: REDACTED}}) == (key in ("password", "пароль"))
    loose = state_of({"a": {key: SECRET}}, Redaction(patterns, ignore_case=True))[0]
    assert loose == {"a": {key: REDACTED}}


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
    ],
)
def test_what_follows_a_named_key_in_an_action_is_left_out(text: str, clean: str) -> None:
    assert state_of({"a": 1}, ["password"], action=text)[1] == clean


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
