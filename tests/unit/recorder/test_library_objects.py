"""Objects of libraries are kept where the program has them loaded; lazy attributes are never triggered."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from unspool.history import History
from unspool.model.values import Tagged
from unspool.recorder import Recorder
from unspool.store import MemoryStore

HERE = __name__


def kept(value: Any, **options: Any) -> Any:
    store = MemoryStore()
    assert Recorder(store, **{"on_error": "raise", **options}).record({"a": value}) == 0
    return History(store).state(0)["a"]


def test_no_library_is_imported_for_it() -> None:
    program = """
import sys
from unspool import Recorder
from unspool.store import MemoryStore
class Plain: pass
Recorder(MemoryStore()).record({"a": [Plain(), object(), {1: Plain}]})
print([name for name in ("attrs", "attr", "pydantic", "numpy", "pandas", "sqlalchemy", "django", "torch") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_attrs_classes() -> None:
    attrs = pytest.importorskip("attrs")

    @attrs.define
    class Robot:
        name: str
        at: Any = None

    @attrs.frozen
    class Place:
        x: int

    name = f"{HERE}.test_attrs_classes.<locals>"
    assert kept([Robot("r", (1,))]) == [Tagged(f"{name}.Robot", {"name": "r", "at": (1,)})]
    assert kept({Place(1): {Place(2)}}) == {Tagged(f"{name}.Place", {"x": 1}): {Tagged(f"{name}.Place", {"x": 2})}}


def test_pydantic_models() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Message(pydantic.BaseModel):
        text: str
        tags: list[str] = []
        key: pydantic.SecretStr = pydantic.SecretStr("hunter2-secret")
        model_config = pydantic.ConfigDict(extra="allow")

        @pydantic.computed_field
        def costly(self) -> int:
            raise AssertionError("computed")

    found = kept({"messages": [Message(text="hi", tags=["a"], more=1), "beside"]})["messages"]
    assert found[1] == "beside"
    assert found[0].value["text"] == "hi"
    assert (found[0].value["tags"], found[0].value["more"]) == (["a"], 1)
    assert "hunter2" not in repr(found)
    with pytest.raises(pydantic.ValidationError) as refused:
        Message(text={"password": "hunter2-secret"})
    error = kept(refused.value)
    assert error.value["errors"][0]["loc"] == ("text",)
    assert "hunter2" not in repr(error)


def test_numpy_scalars_and_arrays() -> None:
    numpy = pytest.importorskip("numpy")
    assert kept(numpy.arange(4.0).reshape(2, 2)) == Tagged(
        "numpy.ndarray", {"dtype": "float64", "shape": [2, 2], "values": [[0.0, 1.0], [2.0, 3.0]]}
    )
    large = kept(numpy.arange(5000, dtype="int32")).value
    assert large == {"dtype": "int32", "shape": [5000], "data": numpy.arange(5000, dtype="int32").tobytes()}
    assert kept(numpy.zeros(3_000_000)).value["data"] == "24,000,000 bytes left out"
    assert kept([numpy.int64(3), numpy.float32(1.5), numpy.bool_(True)]) == [
        Tagged("numpy.int64", 3),
        Tagged("numpy.float32", 1.5),
        Tagged(f"numpy.{type(numpy.bool_(True)).__name__}", True),
    ]
    assert kept(numpy.datetime64("2024-01-01")) == Tagged("numpy.datetime64", "2024-01-01")
    assert kept(numpy.array(["2024-01-01"], "M8[D]")).value["values"] == ["2024-01-01"]
    assert kept(numpy.array([{"a": 1}, None], object)).value["values"] == [{"a": 1}, None]
    assert kept({numpy.int64(1): numpy.float64(0.5)}) == {Tagged("numpy.int64", 1): Tagged("numpy.float64", 0.5)}


def test_pandas_frames_series_and_scalars() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([[1, "x"], [2, None]], columns=["n", "n"], index=["r", "s"])
    found = kept(frame).value
    assert (found["shape"], found["columns"], found["index"]) == ([2, 2], ["n", "n"], ["r", "s"])
    assert found["values"][0] == [1, 2]
    assert kept(pandas.Series([1.0, 2.0], name="s")).value["values"] == [1.0, 2.0]
    moments = kept([pandas.Timestamp("2024-01-01", tz="UTC"), pandas.Timedelta("1D"), pandas.NA, pandas.NaT])
    assert [item.value for item in moments] == ["2024-01-01T00:00:00+00:00", "P1DT0H0M0S", "<NA>", "NaT"]
    assert "cells left out" in kept(pandas.DataFrame({"a": range(200_000)})).value["values"]


def test_rows_of_sqlalchemy_trigger_nothing() -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    orm = pytest.importorskip("sqlalchemy.orm")

    class Base(orm.DeclarativeBase):  # type: ignore[misc,name-defined]
        pass

    class User(Base):
        __tablename__ = "user"
        id = orm.mapped_column(sqlalchemy.Integer, primary_key=True)
        name = orm.mapped_column(sqlalchemy.String)
        notes = orm.deferred(orm.mapped_column(sqlalchemy.String))
        orders = orm.relationship("Order", back_populates="user")

    class Order(Base):
        __tablename__ = "order"
        id = orm.mapped_column(sqlalchemy.Integer, primary_key=True)
        user_id = orm.mapped_column(sqlalchemy.ForeignKey("user.id"))
        user = orm.relationship("User", back_populates="orders")

    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add(User(id=1, name="Ann", notes="long", orders=[Order(id=7), Order(id=8)]))
        session.commit()
        asked: list[str] = []
        user = session.get(User, 1)
        sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        assert kept({"user": user})["user"].value == {"id": 1, "name": "Ann"}
        session.expire(user)
        assert kept({"user": user})["user"].value == {}
        assert asked == []
        assert len(user.orders) == 2
        loaded = kept({"user": user})["user"].value
        assert [order.value["id"] for order in loaded["orders"].value] == [7, 8]
        row = session.execute(sqlalchemy.select(User.id, User.name)).one()
        assert kept(row).value == {"id": 1, "name": "Ann"}


def test_rows_of_django_trigger_nothing() -> None:
    django = pytest.importorskip("django")
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, USE_TZ=True
        )
        django.setup()
    from django.db import connection, models
    from django.test.utils import CaptureQueriesContext

    class Person(models.Model):  # type: ignore[misc]
        name = models.TextField()
        notes = models.TextField(default="long")

        class Meta:
            app_label = "people"

    with connection.schema_editor() as editor:
        editor.create_model(Person)
    Person.objects.create(name="Ann")
    person = Person.objects.defer("notes").get()
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert kept(person).value == {"id": 1, "name": "Ann"}
    assert len(asked) == 0


def test_tensors_are_told_without_waiting_for_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    found = kept(torch.ones(2, 2)).value
    assert (found["shape"], found["values"]) == ([2, 2], [[1.0, 1.0], [1.0, 1.0]])
    assert "values" not in kept(torch.ones(5000)).value


def test_attributes_beside_declared_ones_are_kept() -> None:
    attrs = pytest.importorskip("attrs")
    pydantic = pytest.importorskip("pydantic")

    @attrs.define(slots=False)
    class Robot:
        hp: int = 1

        def __attrs_post_init__(self) -> None:
            self.seen = True

    class Account(pydantic.BaseModel):
        name: str = "ada"
        _balance: int = pydantic.PrivateAttr(default=7)

    assert kept(Robot()).value == {"hp": 1, "seen": True}
    assert kept(Account()).value == {"name": "ada", "_balance": 7}
    assert kept(Account.__new__(Account)).value == {}


def test_secrets_of_libraries_are_stars_whatever_builds_on_them() -> None:
    pydantic = pytest.importorskip("pydantic")
    starlette = pytest.importorskip("starlette.datastructures")

    class Key(pydantic.Secret[str]):  # type: ignore[misc, name-defined]
        pass

    class Word(pydantic.SecretStr):  # type: ignore[misc, name-defined]
        pass

    class Config(pydantic.BaseModel):
        key: Key
        number: pydantic.Secret[int]

    hidden = "hunter2-4711"
    values = [
        Key(hidden),
        Word(hidden),
        pydantic.Secret(hidden),
        pydantic.Secret[str](hidden),
        starlette.Secret(hidden),
    ]
    for value in [*values, Config(key=hidden, number=4711), {Word(hidden): 1}, pydantic.SecretBytes(b"4711")]:
        assert "4711" not in repr(kept(value))


def test_numbers_that_python_has_none_for_and_masks_are_told() -> None:
    numpy = pytest.importorskip("numpy")

    assert kept(numpy.longdouble("0.1")).value == "0.1"
    assert kept(numpy.array([1, 2], numpy.longdouble)).value["values"][1] == Tagged("numpy.longdouble", "2.0")
    masked = kept(numpy.ma.array([1, 2], mask=[False, True])).value
    assert (masked["values"], masked["mask"]["values"]) == ([1, 2], [False, True])

    class Quantity(numpy.ndarray):  # type: ignore[misc, name-defined]
        unit = ""

    lengths = numpy.array([1, 2]).view(Quantity)
    lengths.unit = "m"
    assert (kept(lengths).value["unit"], kept(lengths).value["values"]) == ("m", [1, 2])


def test_columns_and_attributes_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")

    frame = pandas.DataFrame({"a": [1]})
    frame.attrs["source"] = "a.csv"
    assert kept(frame).value["attrs"] == {"source": "a.csv"}
    assert kept(frame["a"]).value["attrs"] == {"source": "a.csv"}
    assert kept(pandas.Categorical(["x", "y"])).value == {"dtype": "category", "values": ["x", "y"]}
    assert kept(pandas.array([1, None], dtype="Int64")).value["values"][0] == 1
