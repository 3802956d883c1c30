"""The demo's shop as it was the day somebody made it faster: `unspool demo --bug`, the story in docs/story.md."""

from __future__ import annotations

from unspool_tui.demo_shop import Shop


class HastyShop(Shop):
    """The shop with one line rewritten in a hurry."""

    def _take_out(self) -> str:
        name = self._someone()
        cart = self.state["carts"][name]
        if not cart["items"]:
            return self._try_coupon(name, cart)
        line = self._one_less(cart)
        # Adding up every line of the cart again was slow; the price of one thing is all that changes.
        cart["total"] = round(cart["total"] + line["price"], 2)
        return self._did(f"{name} puts {line['sku']} back")
