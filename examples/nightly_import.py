"""A script that imports a stock list every night and logs as it goes; of two lines for one article the second is lost.

python examples/nightly_import.py import.unspool
unspool blame import.unspool stock.cup.count
unspool log import.unspool                      # the log lines stand between the states, as notes

Log lines are notes: they say what the program said just before, and are never to blame.
"""

from __future__ import annotations

import csv
import io
import logging
import sys
from typing import Any

from unspool import Recorder

DELIVERED = """sku,count,price
tea,12,4.00
cup,6,9.00
kettle,two,30.00
cup,4,8.50
spoon,40,1.20
"""

recorder = Recorder(sys.argv[1], caller=True)
log = logging.getLogger("import")
stock: dict[str, dict[str, Any]] = {"tea": {"count": 3, "price": 4.0}, "cup": {"count": 1, "price": 9.0}}


def changed(action: str) -> None:
    recorder.record({"stock": stock}, action, stacklevel=2)


def take(row: dict[str, str], seen: set[str]) -> None:
    sku, count, price = row["sku"], int(row["count"]), float(row["price"])
    if sku in seen:
        log.warning("%s is delivered twice", sku)
        correct(sku, count, price)
        return
    seen.add(sku)
    known = stock.setdefault(sku, {"count": 0, "price": price})
    known["count"] += count
    changed(f"take {sku}")


def correct(sku: str, count: int, price: float) -> None:
    # The second line comes on top of the first; it is no correction of it.
    stock[sku] = {"count": count, "price": price}
    changed(f"correct {sku}")  # wrong


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    recorder.install(logging="INFO", excepthook=True)
    changed("begin")
    seen: set[str] = set()
    for number, row in enumerate(csv.DictReader(io.StringIO(DELIVERED)), 1):
        log.info("line %d: %s", number, row["sku"])
        try:
            take(row, seen)
        except ValueError as error:
            log.warning("line %d is left out: %s", number, error)
    log.info("%d articles", len(stock))


if __name__ == "__main__":
    main()
