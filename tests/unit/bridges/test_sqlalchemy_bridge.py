"""What real SQLAlchemy sessions write: a table an atom, and each value with the line that assigned it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool import open_history
from unspool.history import History
from unspool.model.entries import caller_of
from unspool.query.blame import blame
from unspool.recorder import EntrySkipped, Recorder
from unspool.store import MemoryStore

sqlalchemy = pytest.importorskip("sqlalchemy")
orm = pytest.importorskip("sqlalchemy.orm")
from unspool.bridges.sqlalchemy import record_session  # noqa: E402 - needs the library


class Base(orm.DeclarativeBase):  # type: ignore[misc,name-defined]
    pass


class Order(Base):
    __tablename__ = "orders"
    id = orm.mapped_column(sqlalchemy.Integer, primary_key=True)
    total = orm.mapped_column(sqlalchemy.Integer, default=0)
    note = orm.mapped_column(sqlalchemy.String)
    long = orm.deferred(orm.mapped_column(sqlalchemy.String))
    lines = orm.relationship("Line", back_populates="order", cascade="all, delete-orphan")


class Line(Base):
    __tablename__ = "lines"
    order_id = orm.mapped_column(sqlalchemy.ForeignKey("orders.id"), primary_key=True)
    sku = orm.mapped_column(sqlalchemy.String, primary_key=True)
    order = orm.relationship("Order", back_populates="lines")


class Shop:
    """A database, its sessions, and what was recorded of it."""

    def __init__(self) -> None:
        self.engine = sqlalchemy.create_engine("sqlite://")
        Base.metadata.create_all(self.engine)
        self.session = orm.sessionmaker(self.engine)
        self.store = MemoryStore()
        self.statements: list[str] = []
        self.stop = record_session(Recorder(self.store, on_error="raise"), self.session, Base)
        sqlalchemy.event.listen(self.engine, "before_cursor_execute", lambda *given: self.statements.append(given[2]))

    @property
    def history(self) -> History:
        return History(self.store)

    def line(self, *path: str) -> str:
        """Return the source of the line that set a value."""
        found = blame(self.history, -1, path)
        assert len(found.values) == 1
        place = found.values[0].caller
        assert place is not None
        assert Path(place.file).name == Path(__file__).name
        return Path(__file__).read_text().splitlines()[place.line - 1].strip()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.stop()


def test_each_value_names_the_line_that_assigned_it(shop: Shop) -> None:
    with shop.session() as session:
        order = Order(id=1, note="tea")
        order.total = 5
        order.lines.append(Line(sku="A"))
        session.add(order)
        session.commit()
        order.total += 2
        order.note = "more tea"
        session.commit()
    assert shop.history.state(-1) == {
        "orders": {"1": {"id": 1, "total": 7, "note": "more tea"}},
        "lines": {"1,A": {"order_id": 1, "sku": "A"}},
    }
    assert shop.line("orders", "1", "total") == "order.total += 2"
    assert shop.line("orders", "1", "note") == 'order.note = "more tea"'
    assert shop.line("orders", "1", "id") == 'order = Order(id=1, note="tea")'
    assert shop.line("lines", "1,A", "sku") == 'order.lines.append(Line(sku="A"))'
    # The key of the parent is found out while flushing.
    assert shop.line("lines", "1,A", "order_id") == "session.commit()"


def test_classes_that_inherit_or_are_dataclasses_and_keys_that_change(shop: Shop) -> None:
    class Local(orm.DeclarativeBase):  # type: ignore[misc,name-defined]
        pass

    class Person(Local):
        __tablename__ = "people"
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}
        id = orm.mapped_column(sqlalchemy.Integer, primary_key=True)
        kind = orm.mapped_column(sqlalchemy.String)
        first = orm.mapped_column("first_name", sqlalchemy.String)
        loud = orm.column_property(first + "!")

    class Manager(Person):
        __tablename__ = "managers"
        __mapper_args__ = {"polymorphic_identity": "manager"}
        id = orm.mapped_column(sqlalchemy.ForeignKey("people.id"), primary_key=True)
        level = orm.mapped_column(sqlalchemy.Integer)

    class Data(orm.MappedAsDataclass, Local):  # type: ignore[misc,name-defined]
        __tablename__ = "data"
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
        n: orm.Mapped[int] = orm.mapped_column(default=0)

    Local.metadata.create_all(shop.engine)
    stop = record_session(Recorder(shop.store, on_error="raise"), shop.session, Local)
    with shop.session() as session:
        manager, data = Manager(id=1, first="Ada", level=3), Data(id=2, n=5)  # makes the data
        session.add_all([manager, data])
        session.commit()
        manager.level = 4
        session.commit()
        assert shop.history.state(-1) == {
            "people": {"1": {"id": 1, "kind": "manager", "first": "Ada", "level": 4}},
            "data": {"2": {"id": 2, "n": 5}},
        }
        assert shop.line("people", "1", "level") == "manager.level = 4"
        assert shop.line("data", "2", "n").endswith("# makes the data")
        data.id = 7
        session.commit()
        assert shop.history.value(-1, "data") == {}
        data.n = 6
        session.commit()
    stop()
    assert shop.history.value(-1, "data") == {"7": {"id": 7, "n": 6}}


def test_values_that_were_only_read_are_no_writes(shop: Shop) -> None:
    with shop.session() as session:
        session.execute(sqlalchemy.text("INSERT INTO orders (id, total, note) VALUES (1, 5, 'old')"))
        session.commit()
        order = session.get(Order, 1)
        order.total = 6
        session.commit()
    assert [entry.action for entry in shop.history] == ["read orders 1", "flush orders 1"]
    assert shop.history.value(0, "orders") == {"1": {"id": 1, "total": 5, "note": "old"}}
    assert [part.path for part in blame(shop.history, -1, ("orders",)).values if part.seq == 1] == [
        ("orders", "1", "total")
    ]


def test_a_rollback_takes_back_to_where_its_transaction_began(shop: Shop) -> None:
    with shop.session() as session:
        session.add(Order(id=1, total=1))
        session.flush()
        with session.begin_nested() as savepoint:
            session.get(Order, 1).total = 2
            session.add(Order(id=2, total=9))
            session.flush()
            assert set(shop.history.value(-1, "orders")) == {"1", "2"}
            savepoint.rollback()
        assert shop.history.value(-1, "orders") == {"1": {"id": 1, "total": 1}}
        session.rollback()
        assert shop.history.value(-1, "orders") == {}
        assert shop.history[-1].action == "rollback orders 1"
        session.add(Order(id=3, total=3))
        session.commit()
        session.rollback()
    assert set(shop.history.value(-1, "orders")) == {"3"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["put", "put", "note", "delete", "flush", "savepoint", "back", "keep", "commit", "rollback"]
            ),
            st.integers(1, 3),
            st.integers(0, 9),
        ),
        max_size=25,
    )
)
@settings(max_examples=examples(80), deadline=None)
def test_what_is_recorded_is_what_the_database_holds(steps: list[tuple[str, int, int]]) -> None:
    shop = Shop()
    with shop.session() as session:
        savepoints: list[Any] = []
        for what, key, value in steps:
            order = session.get(Order, key)
            if what == "put" and order is None:
                session.add(Order(id=key, total=value))
            elif what == "put":
                order.total = value
            elif what == "note" and order is not None:
                order.note = None if value == 0 else str(value)
            elif what == "delete" and order is not None:
                session.delete(order)
            elif what == "savepoint":
                savepoints.append(session.begin_nested())
            elif what in ("back", "keep") and savepoints:
                savepoint = savepoints.pop()
                savepoint.rollback() if what == "back" else savepoint.commit()
            elif what in ("flush", "commit", "rollback"):
                getattr(session, what)()
                savepoints = savepoints if what == "flush" else []
            session.flush()
            rows = session.execute(sqlalchemy.text("SELECT id, total, note FROM orders")).all()
            history = shop.history
            recorded = history.state(-1).get("orders", {}) if len(history) else {}
            told = {name: (row["id"], row["total"], row.get("note")) for name, row in recorded.items()}
            assert told == {str(row.id): tuple(row) for row in rows}
    shop.stop()


def test_rows_that_go_are_gone_with_the_line_of_the_flush(shop: Shop) -> None:
    with shop.session() as session:
        order = Order(id=1, lines=[Line(sku="A")])
        session.add(order)
        session.commit()
        session.delete(order)
        session.commit()  # deletes
    assert shop.history.state(-1) == {"orders": {}, "lines": {}}
    place = caller_of(shop.history[-1].meta)
    assert place is not None
    assert Path(__file__).read_text().splitlines()[place.line - 1].endswith("# deletes")


def test_nothing_is_loaded_that_the_app_did_not_ask_for(shop: Shop) -> None:
    with shop.session() as session:
        session.add(Order(id=1, total=1, note="a", long="b", lines=[Line(sku="A")]))
        session.commit()
        order = session.get(Order, 1)
        shop.statements.clear()
        order.total = 2
        session.flush()
        assert [text.split()[0] for text in shop.statements] == ["UPDATE"]
        order.total = Order.total + 1
        session.flush()
        assert [text.split()[0] for text in shop.statements] == ["UPDATE", "UPDATE"]
        assert "total" not in shop.history.value(-1, "orders")["1"]
        session.rollback()


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda: sqlalchemy.update(Order).values(total=8), "UPDATE orders, rows not known; loaded: orders 1"),
        (lambda: sqlalchemy.delete(Order).where(Order.id == 2), "DELETE orders, rows not known; loaded: orders 1"),
    ],
)
def test_a_bulk_statement_says_that_its_rows_are_not_known(shop: Shop, write: Callable[[], Any], told: str) -> None:
    with shop.session() as session:
        order = Order(id=1, total=1)
        session.add(order)
        session.flush()
        session.execute(write())
        assert shop.history[-1].action == told
        assert shop.history.value(-1, "orders")["1"]["total"] == order.total
        session.commit()


def test_only_chosen_tables_of_one_base_are_recorded(shop: Shop) -> None:
    store = MemoryStore()
    stop = record_session(Recorder(store, on_error="raise"), shop.session, Base, tables=["lines"])

    class Other(orm.DeclarativeBase):  # type: ignore[misc,name-defined]
        pass

    class Late(Base):
        __tablename__ = "late"
        id = orm.mapped_column(sqlalchemy.Integer, primary_key=True)
        total = orm.mapped_column(sqlalchemy.Integer)

    Base.metadata.create_all(shop.engine)
    with shop.session() as session:
        session.add_all([Order(id=1, lines=[Line(sku="A")]), Late(id=4, total=1)])
        session.commit()
        stop()
        order = session.get(Order, 1)
        order.lines.append(Line(sku="B"))
        session.commit()
    assert History(store).state(-1) == {"lines": {"1,A": {"order_id": 1, "sku": "A"}}}
    assert set(shop.history.value(-1, "lines")) == {"1,A", "1,B"}
    assert (
        shop.line("late", "4", "total")
        == 'session.add_all([Order(id=1, lines=[Line(sku="A")]), Late(id=4, total=1)])'
    )


def test_a_recording_that_goes_on_keeps_rows_that_nobody_writes(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    for number in (1, 2):
        with Recorder(tmp_path / "x.unspool", on_error="raise") as recorder, orm.Session(engine) as session:
            recorder.update({"lines": [number]})
            stop = record_session(recorder, session, Base)
            session.add(Order(id=number, total=number))
            session.commit()
            stop()
    with open_history(tmp_path / "x.unspool") as history:
        assert set(history.value(-1, "orders")) == {"1", "2"}
        assert history.value(-1, "lines") == [2]


def test_what_the_bridge_cannot_take_never_reaches_the_session(shop: Shop) -> None:
    class Code(str):
        def __str__(self) -> str:
            raise LookupError("not for you")

    class Coded(sqlalchemy.TypeDecorator):  # type: ignore[misc,name-defined]
        impl = sqlalchemy.String
        cache_ok = True

        def process_result_value(self, value: Any, _: Any) -> Code:
            return Code(value)

    class Local(orm.DeclarativeBase):  # type: ignore[misc,name-defined]
        pass

    class Part(Local):
        __tablename__ = "parts"
        code = orm.mapped_column(Coded, primary_key=True)
        n = orm.mapped_column(sqlalchemy.Integer)

    Local.metadata.create_all(shop.engine)
    recorder = Recorder(shop.store)
    stop = record_session(recorder, shop.session, Local)
    with shop.session() as session:
        session.add(Part(code=Code("a"), n=1))
        with pytest.warns(EntrySkipped, match="could not record what happened .LookupError"):
            session.commit()
        session.execute(sqlalchemy.update(Part).values(n=2))
        session.commit()
        with pytest.raises(sqlalchemy.exc.OperationalError):
            session.execute(sqlalchemy.update(Part).values(n=sqlalchemy.text("no_such_column")))
        session.rollback()
        assert session.scalars(sqlalchemy.select(Part.n)).all() == [2]
    stop()
    assert recorder.skipped == 1


def test_many_rows_of_one_line_are_one_entry(shop: Shop) -> None:
    with shop.session() as session:
        session.add_all([Order(id=number, total=number) for number in range(500)])
        session.commit()
    assert len(shop.history.value(-1, "orders")) == 500
    assert len(shop.history) == 1
    assert shop.history[0].action == "flush orders 0, orders 1, orders 2 and 497 more"


def test_threads_that_flush_at_once_take_no_rows_from_each_other(shop: Shop) -> None:
    def work(number: int) -> None:
        # A database of its own: SQLite would have one flush wait for the other.
        engine = sqlalchemy.create_engine("sqlite://")
        Base.metadata.create_all(engine)
        with shop.session(bind=engine) as session:
            for place in range(30):
                session.add(Order(id=100 * number + place, total=place))
                session.flush()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    sizes = [len(shop.history.state(seq)["orders"]) for seq in range(len(shop.history))]
    assert sizes == list(range(1, 121))
