"""Tests of a price list, one of which fails: shipping is added before the discount instead of after it.

pytest examples/test_prices.py --unspool=failed
unspool --last-failed blame cart.total
unspool --last-failed                           # with the locals of the test when it failed
"""

from __future__ import annotations

from typing import Any

import pytest

from unspool import Recorder

PRICES = {"tea": 4.0, "cup": 9.0, "kettle": 30.0}


class Cart:
    def __init__(self, recorder: Recorder) -> None:
        self.state: dict[str, Any] = {"items": [], "total": 0.0, "discount": 0.0}
        self.recorder = recorder

    def changed(self, action: str) -> None:
        self.recorder.record({"cart": self.state}, action, stacklevel=2)

    def add(self, sku: str) -> None:
        self.state["items"].append(sku)
        self.state["total"] += PRICES[sku]
        self.changed(f"add {sku}")

    def ship(self) -> None:
        self.state["total"] += 5
        self.changed("ship")

    def discount(self, part: float) -> None:
        self.state["discount"] = part
        self.state["total"] *= 1 - part
        self.changed("discount")  # wrong


@pytest.fixture
def cart(unspool_recorder: Recorder) -> Cart:
    return Cart(unspool_recorder)


def test_prices_add_up(cart: Cart) -> None:
    for sku in PRICES:
        cart.add(sku)
    assert cart.state["total"] == 43


def test_shipping_has_no_discount(cart: Cart) -> None:
    cart.add("kettle")
    cart.ship()
    cart.discount(0.5)
    assert cart.state["total"] == 20


@pytest.mark.parametrize("part", [0.0, 1.0])
def test_discounts_without_shipping(cart: Cart, part: float) -> None:
    cart.add("cup")
    cart.discount(part)
    assert cart.state["total"] == 9 * (1 - part)
