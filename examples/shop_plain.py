"""A day in a small shop: an ordinary program without a line of unspool in it, and with a mistake in one of its lines.

python examples/shop_plain.py                                            # it prints what happens
unspool run examples/shop_plain.py                                       # asks what to record, and records it
unspool run --watch SHOP --settle return -- examples/shop_plain.py       # the same by name; with --stores under Python 3.11
unspool bisect shop_plain.unspool 'orders[?total > sum(lines[].amount)]' # a customer was charged too much: when?
unspool blame shop_plain.unspool carts.ada.total --at N                  # which line set that total?

docs/live.md follows it to the line.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass, field

PRICES = {"tea": 12.5, "mug": 18.0, "kettle": 64.5, "whisk": 9.75, "tray": 31.0, "cups": 26.5}
NAMES = ("ada", "brook", "chidi", "dana", "emil")
KEPT_ORDERS = 12


@dataclass
class Line:
    sku: str
    qty: int
    price: float
    amount: float = 0.0

    def count(self, by: int) -> None:
        self.qty += by
        self.amount = self.qty * self.price


@dataclass
class Cart:
    lines: list[Line] = field(default_factory=list)
    total: float = 0.0

    def put(self, sku: str) -> None:
        line = next((line for line in self.lines if line.sku == sku), None)
        if line is None:
            line = Line(sku, 0, PRICES[sku])
            self.lines.append(line)
        line.count(1)
        self.total = round(sum(line.amount for line in self.lines), 2)

    def take_out(self, line: Line) -> None:
        line.count(-1)
        if not line.qty:
            self.lines.remove(line)
        # Adding up every line of the cart again was slow; the price of one thing is all that changes.
        self.total = round(self.total + line.price, 2)


@dataclass
class Order:
    number: int
    who: str
    lines: list[Line]
    total: float


class Shop:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.stock = dict.fromkeys(PRICES, 24)
        self.carts: dict[str, Cart] = {}
        self.orders: list[Order] = []
        self.revenue = 0.0
        self.served = 0

    def step(self) -> str:
        """Let one thing happen, and return what."""
        name = self._random.choice(NAMES)
        cart = self.carts.get(name)
        if cart is None:
            self.carts[name] = Cart()
            return f"{name} arrives"
        acts = (self._choose, self._choose, self._choose, self._put_back, self._pay)
        return self._random.choice(acts)(name, cart)

    def _choose(self, name: str, cart: Cart) -> str:
        sku = self._random.choice(list(PRICES))
        if not self.stock[sku]:
            self.stock[sku] = 24
        self.stock[sku] -= 1
        cart.put(sku)
        return f"{name} takes {sku}"

    def _put_back(self, name: str, cart: Cart) -> str:
        if not cart.lines:
            return f"{name} looks around"
        line = self._random.choice(cart.lines)
        cart.take_out(line)
        self.stock[line.sku] += 1
        return f"{name} puts {line.sku} back"

    def _pay(self, name: str, cart: Cart) -> str:
        if not cart.lines:
            return f"{name} looks around"
        self.served += 1
        self.orders = [*self.orders, Order(self.served, name, cart.lines, cart.total)][-KEPT_ORDERS:]
        self.revenue = round(self.revenue + cart.total, 2)
        del self.carts[name]
        return f"{name} pays {cart.total:.2f}"


def main() -> None:
    global SHOP
    parser = argparse.ArgumentParser(description="A day in a small shop.")
    parser.add_argument("--steps", type=int, default=120, metavar="N", help="how much happens (120)")
    parser.add_argument("--rate", type=float, default=0.0, metavar="HZ", help="how much happens a second (at once)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same day (0)")
    given = parser.parse_args()
    SHOP = Shop(given.seed)
    for _ in range(given.steps):
        print(SHOP.step(), flush=True)
        if given.rate > 0:
            time.sleep(1 / given.rate)


if __name__ == "__main__":
    main()
