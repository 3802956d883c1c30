"""The demo's shop: carts, stock and sessions in one plain dict that changes in place, as ordinary programs do."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from unspool import Recorder

# Whole quarters add up without rounding, so that totals can be compared with sums.
CATALOG: Final = {
    "tea": ("Sencha, 100 g", 12.5),
    "mug": ("Stoneware mug", 18.0),
    "kettle": ("Kettle, 0.8 l", 64.5),
    "whisk": ("Bamboo whisk", 9.75),
    "tray": ("Cedar tray", 31.0),
    "cups": ("Set of two cups", 26.5),
}
NAMES: Final = ("ada", "brook", "chidi", "dana", "emil", "farah", "goro", "hana")
PAGES: Final = ("/", "/teas", "/ware", "/about", "/cart")
STOCK_AT_START: Final = 24
RESTOCK_BELOW: Final = 4
KEPT_ORDERS: Final = 12


class Shop:
    """A shop whose whole state is one plain dict, changed in place as programs do."""

    def __init__(self, seed: int = 0, recorder: Recorder | None = None) -> None:
        """Open the shop.

        Args:
            seed: the same seed gives the same day.
            recorder: what is told every moment of it; None where nobody listens.
        """
        self._recorder = recorder
        self._random = random.Random(seed)  # noqa: S311 - a day in a shop is no secret
        self._orders = 0
        self._visits = 0
        self.state: dict[str, Any] = {
            "stock": {
                sku: {"name": name, "price": price, "left": STOCK_AT_START} for sku, (name, price) in CATALOG.items()
            },
            "sessions": {},
            "carts": {},
            "orders": [],
            "till": {"revenue": 0.0, "orders": 0, "items": 0},
            "settings": {"currency": "EUR", "free_shipping_from": 60.0, "sale": None},
        }

    def open(self) -> str:
        """Let the day begin.

        Returns:
            What happened, as a label.
        """
        return self._did("open the shop")

    def step(self) -> str:
        """Let one thing happen.

        Returns:
            What happened, as a label.
        """
        sessions = self.state["sessions"]
        acts: list[tuple[int, Callable[[], str]]] = [(2 if len(sessions) < len(NAMES) else 0, self._arrive)]
        if sessions:
            acts += [
                (6, self._browse),
                (7, self._put_into_cart),
                (2, self._take_out),
                (3, self._check_out),
                (1, self._leave),
            ]
        acts += [(1, self._change_sale), (3 if self._short() else 0, self._restock)]
        weights, choices = zip(*acts, strict=True)
        return str(self._random.choices(choices, weights)[0]())

    def _did(self, what: str) -> str:
        """Tell the recorder of a moment, in the name of whoever calls."""
        if self._recorder is not None:
            self._recorder.record(self.state, what, stacklevel=2)
        return what

    def _someone(self) -> str:
        name: str = self._random.choice(sorted(self.state["sessions"]))
        return name

    def _short(self) -> list[str]:
        return [sku for sku, item in self.state["stock"].items() if item["left"] < RESTOCK_BELOW]

    def _arrive(self) -> str:
        name = self._random.choice([name for name in NAMES if name not in self.state["sessions"]])
        self._visits += 1
        self.state["sessions"][name] = {"visit": self._visits, "page": "/", "pages_seen": 1, "device": self._device()}
        self.state["carts"][name] = {"items": [], "total": 0.0, "coupon": None}
        return self._did(f"{name} arrives")

    def _device(self) -> str:
        return self._random.choice(("phone", "laptop", "tablet"))

    def _browse(self) -> str:
        name = self._someone()
        session = self.state["sessions"][name]
        session["page"] = self._random.choice(PAGES)
        session["pages_seen"] += 1
        return self._did(f"{name} opens {session['page']}")

    def _put_into_cart(self) -> str:
        name = self._someone()
        sku = self._random.choice(list(CATALOG))
        item = self.state["stock"][sku]
        if item["left"] == 0:
            return self._did(f"{name} finds no {sku} left")
        item["left"] -= 1
        cart = self.state["carts"][name]
        line = next((line for line in cart["items"] if line["sku"] == sku), None)
        if line is None:
            line = {"sku": sku, "qty": 0, "price": item["price"], "amount": 0.0}
            cart["items"].append(line)
        self._count(line, 1)
        self._add_up(cart)
        return self._did(f"{name} takes {sku}")

    def _take_out(self) -> str:
        name = self._someone()
        cart = self.state["carts"][name]
        if not cart["items"]:
            return self._try_coupon(name, cart)
        line = self._one_less(cart)
        self._add_up(cart)
        return self._did(f"{name} puts {line['sku']} back")

    def _try_coupon(self, name: str, cart: dict[str, Any]) -> str:
        cart["coupon"] = None if cart["coupon"] else "WELCOME5"
        self._add_up(cart)
        return self._did(f"{name} tries a coupon")

    def _one_less(self, cart: dict[str, Any]) -> dict[str, Any]:
        """Put one thing from a cart back on its shelf; return the cart's line of it."""
        line: dict[str, Any] = self._random.choice(cart["items"])
        self._count(line, -1)
        self.state["stock"][line["sku"]]["left"] += 1
        if line["qty"] == 0:
            cart["items"].remove(line)
        return line

    def _count(self, line: dict[str, Any], by: int) -> None:
        line["qty"] += by
        line["amount"] = line["qty"] * line["price"]

    def _add_up(self, cart: dict[str, Any]) -> None:
        total = sum(line["amount"] for line in cart["items"])
        sale = self.state["settings"]["sale"]
        if sale is not None:
            total *= 1 - sale["percent"] / 100
        cart["total"] = round(max(0.0, total - (5 if cart["coupon"] else 0)), 2)

    def _check_out(self) -> str:
        name = self._someone()
        cart = self.state["carts"][name]
        if not cart["items"]:
            return self._did(f"{name} looks at an empty cart")
        self._orders += 1
        quantity = sum(line["qty"] for line in cart["items"])
        order = {
            "id": f"o-{self._orders:04}",
            "who": name,
            "items": cart["items"],
            "total": cart["total"],
            "paid": True,
        }
        self.state["orders"] = [*self.state["orders"], order][-KEPT_ORDERS:]
        till = self.state["till"]
        till["revenue"] = round(till["revenue"] + cart["total"], 2)
        till["orders"] += 1
        till["items"] += quantity
        self.state["carts"][name] = {"items": [], "total": 0.0, "coupon": None}
        return self._did(f"{name} pays {order['total']:.2f} for {order['id']}")

    def _leave(self) -> str:
        name = self._someone()
        for line in self.state["carts"].pop(name)["items"]:
            self.state["stock"][line["sku"]]["left"] += line["qty"]
        del self.state["sessions"][name]
        return self._did(f"{name} leaves")

    def _restock(self) -> str:
        sku = self._random.choice(self._short())
        self.state["stock"][sku]["left"] += STOCK_AT_START
        return self._did(f"restock {sku}")

    def _change_sale(self) -> str:
        settings = self.state["settings"]
        settings["sale"] = (
            None if settings["sale"] else {"percent": self._random.choice((5, 10, 20)), "name": "Tea week"}
        )
        for cart in self.state["carts"].values():
            self._add_up(cart)
        return self._did("sale begins" if settings["sale"] else "sale ends")
