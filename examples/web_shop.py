"""A shop behind FastAPI: requests are spans, and each change of a cart is an entry. Discounts are taken off twice.

python examples/web_shop.py shop.unspool
unspool blame shop.unspool carts.ada.total
unspool log shop.unspool                        # requests, with what they changed

It serves a few requests to itself and ends; `uvicorn examples.web_shop:app` would serve others.
"""

from __future__ import annotations

import sys
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

from unspool import Recorder
from unspool.bridges.asgi import CONTEXT, RecordingMiddleware

PRICES = {"tea": 4, "cup": 9, "kettle": 30}
carts: dict[str, dict[str, Any]] = {}

recorder = Recorder(sys.argv[1], caller=True, context=CONTEXT, state=lambda: {"carts": carts})
app = FastAPI()
app.add_middleware(RecordingMiddleware, recorder=recorder, user=lambda scope: scope["path"].split("/")[2])


def changed(action: str) -> None:
    recorder.record(action=action, stacklevel=2)


@app.post("/carts/{user}/items/{sku}")
def add(user: str, sku: str) -> dict[str, Any]:
    if sku not in PRICES:
        raise HTTPException(404, f"there is no {sku}")
    cart = carts.setdefault(user, {"items": [], "total": 0, "coupons": []})
    cart["items"].append(sku)
    cart["total"] += PRICES[sku]
    changed(f"add {sku}")
    return cart


@app.post("/carts/{user}/coupons/{code}")
def redeem(user: str, code: str) -> dict[str, Any]:
    cart = carts[user]
    cart["coupons"].append(code)
    for _ in cart["coupons"]:
        cart["total"] -= 5
    changed(f"redeem {code}")  # wrong
    return cart


def main() -> None:
    client = TestClient(app)
    for path in ("ada/items/tea", "bob/items/cup", "ada/items/kettle", "ada/items/sofa"):
        client.post(f"/carts/{path}")
    client.post("/carts/ada/coupons/SPRING")
    client.post("/carts/ada/coupons/FRIEND")
    client.post("/carts/bob/items/tea")
    print(carts)


if __name__ == "__main__":
    main()
