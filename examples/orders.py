"""Orders in a database through SQLAlchemy; whoever cancels a line takes its price off, and not its amount.

python examples/orders.py orders.unspool
unspool blame orders.unspool 'orders["2"].total'

Nothing in the program says when to record: a flush is an entry for each line that assigned what it writes.
"""

from __future__ import annotations

import sys

from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker

from unspool import Recorder
from unspool.bridges.sqlalchemy import record_session


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    total: Mapped[int] = mapped_column(default=0)
    lines: Mapped[list[Line]] = relationship(back_populates="order", cascade="all, delete-orphan")


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    sku: Mapped[str]
    amount: Mapped[int]
    price: Mapped[int]
    order: Mapped[Order] = relationship(back_populates="lines")


def place(session: Session, customer: str, wanted: dict[str, tuple[int, int]]) -> Order:
    order = Order(customer=customer)
    session.add(order)
    for sku, (amount, price) in wanted.items():
        order.lines.append(Line(sku=sku, amount=amount, price=price))
    order.total = sum(line.amount * line.price for line in order.lines)
    session.commit()
    return order


def cancel(session: Session, order: Order, sku: str) -> None:
    line = session.scalars(select(Line).where(Line.order == order, Line.sku == sku)).one()
    order.lines.remove(line)
    order.total -= line.price  # wrong
    session.commit()


def rename(session: Session, order: Order, customer: str) -> None:
    order.customer = customer
    session.commit()


def main() -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    sessions = sessionmaker(engine)
    record_session(Recorder(sys.argv[1]), sessions, Base)
    with sessions() as session:
        place(session, "Ada", {"tea": (2, 4)})
        order = place(session, "Bob", {"tea": (1, 4), "cup": (6, 9)})
        cancel(session, order, "cup")
        rename(session, order, "Bob & Co")
        print(session.scalars(select(Order.total)).all())


if __name__ == "__main__":
    main()
