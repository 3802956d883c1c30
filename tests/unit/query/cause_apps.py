"""Apps made from a seed, with chains of causes that are known: what each entry computed, from what, amid noise."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from unspool.history import History
from unspool.model.keys import Path
from unspool.recorder import Recorder
from unspool.store import MemoryStore

WORDS = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "frost",
    "grove",
    "heath",
    "ivory",
    "joust",
    "karst",
    "lunar",
    "maple",
    "north",
    "ocean",
    "pearl",
    "quartz",
]


@dataclass
class Step:
    """A value of a known chain: where it stands, and the entry that wrote it."""

    path: Path
    seq: int


@dataclass
class App:
    """A history whose causes are known.

    Attributes:
        history: what was recorded.
        states: every state, by entry.
        chain: from the value asked about to its first cause.
    """

    history: History
    states: list[dict[str, Any]]
    chain: list[Step] = field(default_factory=list)


class _Maker:
    """Records an app's entries with noise between them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.state: dict[str, Any] = {
            "clock": 0,
            "session": {"user": self.rng.choice(WORDS), "token": f"{self.rng.getrandbits(48):012x}", "clicks": 0},
            "sensors": [{"id": n, "value": self.rng.randrange(50, 4000), "ok": True} for n in range(4)],
        }
        self.states: list[dict[str, Any]] = []
        self.actions: list[str] = []
        self.marks: dict[Path, int] = {}

    def entry(self, action: str, *written: Path) -> None:
        """Record the state, and note what the entry computed."""
        self.state["clock"] += self.rng.randrange(1, 9)
        self.states.append(deepcopy(self.state))
        self.actions.append(action)
        for path in written:
            self.marks[path] = len(self.states) - 1

    def noise(self) -> None:
        """Record entries that have nothing to do with the chain."""
        for _ in range(self.rng.randrange(0, 6)):
            kind = self.rng.randrange(3)
            if kind == 0:
                self.state["sensors"][self.rng.randrange(4)]["value"] = self.rng.randrange(50, 4000)
            elif kind == 1:
                self.state["session"]["clicks"] += 1
            else:
                self.state["sensors"][self.rng.randrange(4)]["ok"] = self.rng.random() < 0.5
            self.entry(self.rng.choice(("poll", "click", "health")))

    def finish(self, *chain: Path) -> App:
        """Record everything, and return the app with its chain."""
        store = MemoryStore("app.unspool")
        with Recorder(store, on_error="raise") as recorder:
            for state, action in zip(self.states, self.actions, strict=True):
                recorder.record(state, action)
        return App(History(store), self.states, [Step(path, self.marks[path]) for path in chain])


def shop(seed: int) -> App:
    """Price -> price of a line -> total of the line -> subtotal -> tax -> total -> invoice."""
    made = _Maker(seed)
    rng, state = made.rng, made.state
    names = rng.sample(WORDS, 6)
    cents = rng.random() < 0.5

    def price() -> float | int:
        return rng.randrange(120, 9_000) if cents else rng.randrange(120, 9_000) / 100

    state["catalog"] = {name: {"price": price(), "stock": rng.randrange(20, 90)} for name in names}
    state["cart"] = {"lines": []}
    state["order"], state["invoices"] = {"status": "new"}, []
    made.entry("start")
    made.noise()
    lines: list[dict[str, Any]] = state["cart"]["lines"]
    hot = rng.randrange(3)
    for place, name in enumerate(names[:3]):
        if place == hot:
            state["catalog"][name]["price"] = price()
            made.entry("set price", ("catalog", name, "price"))
            made.noise()
        line = {"sku": name, "qty": rng.randrange(2, 7), "price": state["catalog"][name]["price"]}
        lines.append(line)
        at = ("cart", "lines", place)
        line["total"] = round(line["price"] * line["qty"], 2)
        made.entry("add line", (*at, "price"), (*at, "total"))
        made.noise()
    together = rng.random() < 0.5
    order = state["order"]
    order["subtotal"] = round(sum(line["total"] for line in lines), 2)
    if not together:
        made.entry("price order", ("order", "subtotal"))
        made.noise()
    rate = rng.choice((0.07, 0.19, 0.2, 0.21))
    order["tax"] = round(order["subtotal"] * rate) if cents else round(order["subtotal"] * rate, 2)
    order["total"] = round(order["subtotal"] + order["tax"], 2)
    made.entry("tax order", *([("order", "subtotal")] if together else []), ("order", "tax"), ("order", "total"))
    made.noise()
    state["invoices"].append({"number": 7000 + seed % 100, "amount": order["total"], "state": "open"})
    made.entry("invoice", ("invoices", 0, "amount"))
    made.noise()
    at = ("cart", "lines", hot)
    return made.finish(
        ("invoices", 0, "amount"), ("order", "total"), ("order", "tax"), ("order", "subtotal"), (*at, "total"),
        (*at, "price"), ("catalog", names[hot], "price"),
    )  # fmt: skip


def ledger(seed: int) -> App:
    """Amount of a transfer -> its fee -> what is booked -> balance of an account -> report."""
    made = _Maker(seed)
    rng, state = made.rng, made.state
    owners = rng.sample(WORDS, 5)
    state["accounts"] = {name: {"balance": Decimal(rng.randrange(50_000, 900_000)) / 100} for name in owners}
    state["inbox"], state["journal"], state["report"] = [], [], {}
    made.entry("start")
    count = rng.randrange(2, 5)
    giver, taker = owners[:2]
    for number in range(count):
        made.noise()
        amount = Decimal(rng.randrange(1_000, 90_000)) / 100
        state["inbox"].append({"from": giver, "to": taker, "amount": amount})
        made.entry("request", ("inbox", number, "amount"))
        made.noise()
        fee = (amount * Decimal("0.05")).quantize(Decimal("0.01"), ROUND_HALF_UP)
        state["journal"].append({"amount": amount, "fee": fee, "net": amount - fee})
        at = ("journal", number)
        made.entry("book", (*at, "amount"), (*at, "fee"), (*at, "net"))
        made.noise()
        state["accounts"][taker]["balance"] += state["journal"][number]["net"]
        made.entry("credit", ("accounts", taker, "balance"))
    made.noise()
    state["report"]["largest"] = state["accounts"][taker]["balance"]
    made.entry("report", ("report", "largest"))
    last = count - 1
    return made.finish(
        ("report", "largest"), ("accounts", taker, "balance"), ("journal", last, "net"), ("journal", last, "fee"),
        ("journal", last, "amount"), ("inbox", last, "amount"),
    )  # fmt: skip


def game(seed: int) -> App:
    """Damage of a weapon -> damage of a hit -> health of an enemy -> summary; points -> score -> best -> board."""
    made = _Maker(seed)
    rng, state = made.rng, made.state
    state["armory"] = [{"name": name, "damage": rng.randrange(11, 97)} for name in rng.sample(WORDS, 5)]
    state["enemies"] = [
        {"id": f"e{n}", "hp": rng.randrange(900, 4_000), "pos": [rng.randrange(99), n]} for n in range(5)
    ]
    state["hero"] = {"power": 1, "score": 0}
    state["hit"], state["board"] = {}, {"rows": []}
    made.entry("start")
    for _ in range(rng.randrange(1, 4)):
        made.noise()
        arm, enemy = rng.randrange(5), rng.randrange(5)
        state["armory"][arm]["damage"] = rng.randrange(11, 97)
        made.entry("upgrade", ("armory", arm, "damage"))
        made.noise()
        state["hero"]["power"] = state["armory"][arm]["damage"]
        made.entry("equip", ("hero", "power"))
        made.noise()
        bonus = rng.randrange(2, 8)
        state["hit"] = {"bonus": bonus, "damage": state["hero"]["power"] * bonus}
        state["enemies"][enemy]["hp"] -= state["hit"]["damage"]
        made.entry("strike", ("hit", "damage"), ("enemies", enemy, "hp"))
        made.noise()
        state["hero"]["score"] += state["hit"]["damage"]
        made.entry("score", ("hero", "score"))
    made.noise()
    state["board"]["rows"].append({"who": state["session"]["user"], "points": state["hero"]["score"]})
    made.entry("board", ("board", "rows", 0, "points"))
    made.noise()
    return made.finish(
        ("board", "rows", 0, "points"),
        ("hero", "score"),
        ("hit", "damage"),
        ("hero", "power"),
        ("armory", arm, "damage"),
    )


def desk(seed: int) -> App:
    """Text and names: a title -> the subject of a ticket -> the line of a mail -> what was sent; counts of lists beside it."""
    made = _Maker(seed)
    rng, state = made.rng, made.state
    state["people"] = [{"id": n, "name": f"{rng.choice(WORDS)}{rng.randrange(10, 99)}"} for n in range(6)]
    state["tickets"], state["mail"], state["sent"] = {}, {"to": "", "subject": ""}, []
    made.entry("start")
    made.noise()
    who = rng.randrange(6)
    state["people"][who]["name"] = f"{rng.choice(WORDS)}-{rng.randrange(100, 999)}"
    made.entry("rename", ("people", who, "name"))
    made.noise()
    key = f"t{rng.randrange(100, 999)}"
    state["tickets"][key] = {"owner": state["people"][who]["name"], "state": "open"}
    made.entry("open ticket", ("tickets", key, "owner"))
    made.noise()
    state["mail"]["subject"] = f"{key} for {state['tickets'][key]['owner']}: hello"
    made.entry("write mail", ("mail", "subject"))
    made.noise()
    state["sent"].append({"subject": state["mail"]["subject"], "size": len(state["mail"]["subject"])})
    state["mail"] = {"to": "", "subject": ""}
    made.entry("send", ("sent", 0, "subject"))
    return made.finish(
        ("sent", 0, "subject"), ("mail", "subject"), ("tickets", key, "owner"), ("people", who, "name")
    )


def bank(seed: int) -> App:
    """Rate of a currency -> payment in euros -> total of the day -> statement."""
    made = _Maker(seed)
    rng, state = made.rng, made.state
    rates = state["rates"] = {name: round(rng.uniform(0.5, 2.0), 4) for name in ("usd", "gbp", "chf")}
    payments = state["payments"] = {}
    totals = state["totals"] = {"eur": 0.0, "count": 0}
    made.entry("start")
    key = currency = ""
    for number in range(rng.randrange(2, 5)):
        made.noise()
        key, currency = f"p{100 + number}", rng.choice(list(rates))
        rates[currency] = round(rng.uniform(0.5, 2.0), 4)
        made.entry("rate", ("rates", currency))
        made.noise()
        payments[key] = {"amount": round(rng.uniform(20, 900), 2), "currency": currency}
        made.entry("pay", ("payments", key, "amount"))
        made.noise()
        payments[key]["eur"] = round(payments[key]["amount"] * rates[currency], 2)
        made.entry("convert", ("payments", key, "eur"))
        made.noise()
        totals["eur"] = round(totals["eur"] + payments[key]["eur"], 2)
        totals["count"] += 1
        made.entry("sum", ("totals", "eur"))
    made.noise()
    state["statement"] = {"closing": totals["eur"], "lines": len(payments)}
    made.entry("close", ("statement", "closing"))
    return made.finish(("statement", "closing"), ("totals", "eur"), ("payments", key, "eur"), ("rates", currency))


def basket(seed: int) -> App:
    """Price -> unit price -> sum -> net -> due -> order that takes it along -> revenue; the basket is an object by name."""
    made = _Maker(seed)
    rng, state = made.rng, made.state
    items = state["items"] = {
        f"i{n}": {"cents": rng.randrange(99, 9_999), "title": rng.choice(WORDS)} for n in range(6)
    }
    state.update(basket={}, checkout={}, orders=[], ledger={"revenue": rng.randrange(10_000, 99_999)})
    made.entry("start")
    made.noise()
    hot = rng.choice(list(items))
    items[hot]["cents"] = rng.randrange(99, 9_999)
    made.entry("reprice", ("items", hot, "cents"))
    for key in [hot, *rng.sample([key for key in items if key != hot], 2)]:
        made.noise()
        count, unit = rng.randrange(1, 5), items[key]["cents"]
        state["basket"][key] = {"n": count, "unit": unit, "sum": count * unit}
        made.entry("put", ("basket", key, "unit"), ("basket", key, "sum"))
    made.noise()
    net = sum(line["sum"] for line in state["basket"].values())
    shipping, discount = rng.choice((390, 490)), net * rng.choice((5, 10, 15)) // 100
    state["checkout"] = {"net": net, "shipping": shipping, "discount": discount, "due": net + shipping - discount}
    made.entry("checkout", ("checkout", "net"), ("checkout", "due"))
    made.noise()
    state["orders"].append(
        {"no": f"o-{seed}", "paid": state["checkout"]["due"], "lines": list(state["basket"].values())}
    )
    state["basket"], state["checkout"] = {}, {}
    made.entry("place", ("orders", 0, "paid"))
    made.noise()
    state["ledger"]["revenue"] += state["orders"][0]["paid"]
    made.entry("book", ("ledger", "revenue"))
    return made.finish(
        ("ledger", "revenue"), ("orders", 0, "paid"), ("checkout", "due"), ("checkout", "net"), ("basket", hot, "sum"),
        ("basket", hot, "unit"), ("items", hot, "cents"),
    )  # fmt: skip


def flat(seed: int) -> App:
    """Atoms that are numbers: price -> line -> subtotal -> tax -> total -> invoice, each an entry of its own."""
    made = _Maker(seed)
    rng, state = made.rng, made.state
    names = ("lineTotal", "subTotal", "taxAmount", "grandTotal", "invoiceAmount")
    state.update(dict.fromkeys(names, 0), basePrice=1, quantity=rng.randrange(2, 9), other=rng.randrange(1_000))
    made.entry("start")
    steps: dict[str, Any] = {
        "basePrice": lambda: rng.randrange(100, 5_000),
        "lineTotal": lambda: state["basePrice"] * state["quantity"],
        "subTotal": lambda: state["lineTotal"] + state["other"],
        "taxAmount": lambda: state["subTotal"] * 20 // 100,
        "grandTotal": lambda: state["subTotal"] + state["taxAmount"],
        "invoiceAmount": lambda: state["grandTotal"],
    }
    for name, work in steps.items():
        made.noise()
        state[name] = work()
        made.entry(f"set {name}", (name,))
    return made.finish(*((name,) for name in reversed(steps)))


def league(seed: int) -> App:
    """Points of one of many users -> winner -> pot, three times that -> what is paid out -> ledger."""
    made = _Maker(seed)
    rng, state = made.rng, made.state
    count = rng.randrange(20, 60)
    users = state["users"] = [{"id": n, "points": rng.randrange(100, 900), "level": n % 5} for n in range(count)]
    state.update(pot={"size": 0}, winner={}, payout={})
    made.entry("start")
    for _ in range(rng.randrange(6)):
        users[rng.randrange(count)]["points"] = rng.randrange(100, 900)
        made.entry("play")
    best = rng.randrange(count)
    users[best]["points"] = rng.randrange(1_000, 9_000)
    made.entry("win", ("users", best, "points"))
    made.noise()
    state["winner"] = {"id": best, "points": users[best]["points"]}
    made.entry("pick", ("winner", "points"))
    made.noise()
    state["pot"]["size"] = state["winner"]["points"] * 3
    made.entry("pot", ("pot", "size"))
    made.noise()
    state["payout"]["net"] = state["pot"]["size"] - state["winner"]["points"]
    made.entry("pay", ("payout", "net"))
    made.noise()
    state["ledger"] = [{"amount": state["payout"]["net"]}]
    made.entry("log", ("ledger", 0, "amount"))
    return made.finish(
        ("ledger", 0, "amount"), ("payout", "net"), ("pot", "size"), ("winner", "points"), ("users", best, "points")
    )


APPS = (shop, ledger, game, desk, bank, basket, flat, league)
