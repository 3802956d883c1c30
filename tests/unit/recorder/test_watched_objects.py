"""Watched objects: each assignment is an entry with its line, what is changed in place is found, and classes stay as they were."""

from __future__ import annotations

import gc
import inspect
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from unspool import Recorder, open_history
from unspool.errors import ConfigError
from unspool.history import History
from unspool.model.entries import caller_of
from unspool.query.blame import blame


@dataclass
class Cart:
    total: float = 0.0
    items: list[str] = field(default_factory=list)


class Slotted:
    __slots__ = ("hp", "name")

    def __init__(self) -> None:
        self.hp, self.name = 10, "ada"


class Checked:
    """Has a `__setattr__` of its own, and refuses some values."""

    def __setattr__(self, name: str, value: Any) -> None:
        if value == 13:
            raise ValueError("unlucky")
        super().__setattr__(name, value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.unspool"


def told(path: Path) -> list[str]:
    with open_history(path) as history:
        return [entry.action for entry in history]


def here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def line_of(history: History, seq: int) -> int:
    caller = caller_of(history[seq].meta)
    assert caller is not None
    assert Path(caller.file).name == Path(__file__).name
    return caller.line


def fields(history: History, seq: int, atom: str) -> Any:
    return history.value(seq, atom).value  # type: ignore[attr-defined]


def test_an_assignment_is_an_entry_and_blame_names_its_line(path: Path) -> None:
    cart = Cart()
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(cart, "cart")
        cart.total = 5.0
        cart.total = 7.5
        line = here() - 1
        cart.total = 7.5
    assert told(path) == ["cart", "cart.total", "cart.total"]
    with open_history(path) as history:
        assert [fields(history, seq, "cart")["total"] for seq in range(3)] == [0.0, 5.0, 7.5]
        assert line_of(history, 2) == line
        by_path = {value.path[-1]: value for value in blame(history).values}
        assert by_path["total"].caller is not None
        assert by_path["total"].caller.line == line


@pytest.mark.parametrize("make", [Slotted, Checked])
def test_classes_of_every_make(path: Path, make: type) -> None:
    watched: Any = make()
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(watched, "it")
        watched.hp = 3
        if make is Checked:
            with pytest.raises(ValueError, match="unlucky"):
                watched.hp = 13
        del watched.hp
    assert told(path) == ["it", "it.hp", "it.hp"]


def test_what_is_changed_in_place_is_found_at_the_next_look(path: Path) -> None:
    cart, plain = Cart(), {"n": 1}
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(cart, "cart")
        recorder.watch(plain, "plain")
        cart.items.append("pen")
        assert recorder.poll("looked") is not None
        assert recorder.poll("looked again") is None
        plain["n"] = 2
        recorder.record({"other": 1}, "whole")
        plain["n"] = 3
        recorder.update({"other": 2}, "part")
        cart.items.append("ink")
    assert told(path) == ["cart", "plain", "looked", "whole", "part", "as it was in the end"]
    with open_history(path) as history:
        assert history.value(2, "plain") == {"n": 1}
        assert history.value(3, "plain") == {"n": 2}
        assert history.value(4, "plain") == {"n": 3}
        assert fields(history, -1, "cart")["items"] == ["pen", "ink"]


def test_an_assignment_is_not_to_blame_for_what_was_changed_in_place_before_it(path: Path) -> None:
    cart = Cart()
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(cart, "cart")
        cart.items.append("pen")
        cart.total = 5.0
    assert told(path) == ["cart", "cart changed in place", "cart.total"]
    with open_history(path) as history:
        by_path = {value.path[-1]: value for value in blame(history).values}
        assert by_path[0].value == "pen"
        assert (by_path[0].seq, by_path[0].caller) == (1, None)
        assert by_path["total"].seq == 2


def test_a_class_is_as_it_was_when_nothing_is_watched_any_more(path: Path) -> None:
    before = {kind: dict(vars(kind)) for kind in (Cart, Slotted, Checked)}
    one, other, third = Cart(), Cart(), Checked()
    with Recorder(path, on_error="raise") as recorder:
        stop = recorder.watch(one, "one")
        recorder.watch(other, "other")
        recorder.watch(third, "third")
        stop()
        stop()
        one.total = 1.0
        other.total = 2.0
        assert pickle.loads(pickle.dumps(other)) == other
        assert type(other) is Cart
    assert "one.total" not in told(path)
    assert "other.total" in told(path)
    for kind, known in before.items():
        # Pickling leaves what it found out.
        assert {name: value for name, value in vars(kind).items() if name != "__slotnames__"} == known


def test_a_recorder_that_is_closed_leaves_classes_alone(path: Path) -> None:
    recorder = Recorder(path)
    recorder.close()
    recorder.watch(Checked(), "one")
    assert "__delattr__" not in vars(Checked)


def test_others_of_the_class_are_not_told_of(path: Path) -> None:
    cart, stranger = Cart(), Cart()
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(cart, "cart")
        stranger.total = 9.0
        for _ in range(50):
            Cart().total = 3.0
    assert told(path) == ["cart"]


def test_a_watched_object_is_not_kept_alive(path: Path) -> None:
    class Node:
        pass

    node: Any = Node()
    node.n = 1
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(node, "node")
        del node
        gc.collect()
        assert recorder.poll() is None
        recorder.update({"other": 1})
    with open_history(path) as history:
        assert fields(history, -1, "node") == {"n": 1}


def test_one_object_may_be_watched_by_two_recorders(tmp_path: Path) -> None:
    cart = Cart()
    with Recorder(tmp_path / "1.unspool", on_error="raise") as one:
        one.watch(cart, "cart")
        with Recorder(tmp_path / "2.unspool", on_error="raise") as two:
            two.watch(cart, "basket")
            cart.total = 1.0
        cart.total = 2.0
    assert told(tmp_path / "1.unspool") == ["cart", "cart.total", "cart.total"]
    assert told(tmp_path / "2.unspool") == ["basket", "basket.total"]


def test_comparing_alone_leaves_the_class_alone(path: Path) -> None:
    cart = Cart()
    known = dict(vars(Cart))
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(cart, "cart", hears=False)
        assert dict(vars(Cart)) == known
        cart.total = 1.0
        recorder.poll("looked")
    assert told(path) == ["cart", "looked"]


def test_a_failed_recording_never_breaks_an_assignment(path: Path) -> None:
    cart = Cart()
    recorder = Recorder(path, on_error="raise")
    recorder.watch(cart, "cart")
    recorder.store.close()
    cart.total = 1.0
    assert cart.total == 1.0
    assert recorder.skipped == 1


def test_a_name_is_watched_once(path: Path) -> None:
    cart = Cart()
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(cart, "cart")
        with pytest.raises(ConfigError, match="watched already"):
            recorder.watch(cart, "cart")


def test_models_of_pydantic(path: Path) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Order(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(validate_assignment=True)
        qty: int = 1

    order = Order()
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(order, "order")
        order.qty = "5"
        line = here() - 1
        with pytest.raises(pydantic.ValidationError):
            order.qty = "many"
    assert told(path) == ["order", "order.qty"]
    with open_history(path) as history:
        assert fields(history, 1, "order")["qty"] == 5
        assert line_of(history, 1) == line
    Order().qty = 3


def test_objects_of_psygnal(path: Path) -> None:
    psygnal = pytest.importorskip("psygnal")

    @psygnal.evented
    @dataclass
    class Robot:
        hp: int = 10

    robot: Any = Robot()
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(robot, "robot")
        robot.hp = 4
        line = here() - 1
    robot.hp = 3
    assert told(path) == ["robot", "robot.hp"]
    with open_history(path) as history:
        assert fields(history, 1, "robot")["hp"] == 4
        assert line_of(history, 1) == line


def test_models_of_psygnal_and_events_that_an_object_holds_itself(path: Path) -> None:
    psygnal = pytest.importorskip("psygnal")

    class Model(psygnal.EventedModel):  # type: ignore[misc, name-defined]
        hp: int = 10

    class Signals(psygnal.SignalGroup):  # type: ignore[misc, name-defined]
        hp = psygnal.Signal(int)

    class Held:
        def __init__(self) -> None:
            self.events = Signals()

    model, held = Model(), Held()
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(model, "model")
        recorder.watch(held, "held")
        model.hp = 4
        held.events.hp.emit(4)
    assert told(path) == ["model", "held", "model.hp"]


def test_no_attribute_of_the_app_is_asked_for(path: Path) -> None:
    class Asked(Exception):
        pass

    class Property:
        @property
        def events(self) -> Any:
            raise Asked

    class Anything:
        def __getattr__(self, name: str) -> Any:
            raise Asked

    class Lying:
        @property
        def __class__(self) -> Any:
            raise Asked

    pytest.importorskip("psygnal")
    with Recorder(path, on_error="raise") as recorder:
        for kind in (Property, Anything, Lying):
            watched: Any = kind()
            recorder.watch(watched, kind.__name__)
            watched.hp = 4
    assert told(path)[1::2] == ["Property.hp", "Anything.hp", "Lying.hp"]


def test_rows_of_sqlalchemy(path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from sqlalchemy import Integer, String
    from sqlalchemy.orm import DeclarativeBase, mapped_column

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id = mapped_column(Integer, primary_key=True)
        name = mapped_column(String)

    user = User(id=1, name="ada")
    with Recorder(path, on_error="raise") as recorder:
        recorder.watch(user, "user")
        user.name = "grace"
        line = here() - 1
    assert told(path) == ["user", "user.name"]
    with open_history(path) as history:
        assert "grace" in repr(fields(history, 1, "user"))
        assert line_of(history, 1) == line


def test_nodes_of_textual_are_followed_otherwise(path: Path) -> None:
    from textual.widget import Widget

    with Recorder(path, on_error="raise") as recorder, pytest.raises(ConfigError, match="record_reactives"):
        recorder.watch(Widget(), "widget")
