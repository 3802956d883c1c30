"""Small apps of five kinds that record themselves, sound or with one fault that begins half-way, each from a seed.

They do what sound apps do that may look like faults: sales, coupons and refunds that begin late, lists that are trimmed,
counters that begin anew, records that come and go, values that are rare. A fault is one line of a program that is wrong
from some entry on, and then only now and then.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from unspool.history import History
from unspool.recorder import Recorder
from unspool.store import MemoryStore

State = dict[str, Any]


@dataclass
class Planted:
    """A recorded history and where its fault first showed; -1 for none."""

    history: History
    first: int


class App:
    """An app that does one thing at a time."""

    FAULTS: tuple[str, ...] = ()

    def __init__(self, seed: int, fault: str = "") -> None:
        self.chance = random.Random(seed)
        self.fault = fault
        self.is_on = False
        self.struck = False
        self.serial = 0
        self.state: State = {}

    def step(self) -> str:
        acts = self.acts()
        return self.chance.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()

    def acts(self) -> list[tuple[float, Callable[[], str]]]:
        raise NotImplementedError

    def goes_wrong(self, fault: str, often: float = 0.5) -> bool:
        wrong = self.is_on and fault == self.fault and self.chance.random() < often
        self.struck = self.struck or wrong
        return wrong

    def next(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}{self.serial}"


class Shop(App):
    FAULTS = ("total", "negative", "revenue", "twice", "count", "misspelt")

    def __init__(self, seed: int, fault: str = "") -> None:
        super().__init__(seed, fault)
        names = ("tea", "mug", "pot", "jar", "cup")[: 3 + seed % 3]
        self.state = {
            "products": {name: {"price": 3 + 2 * place, "stock": 12} for place, name in enumerate(names)},
            "carts": {},
            "orders": [],
            "stats": {"orders": 0, "revenue": 0, "refunds": 0},
            "sale": None,
        }

    def acts(self) -> list[tuple[float, Callable[[], str]]]:
        acts: list[tuple[float, Callable[[], str]]] = [(2, self.come), (0.5, self.restock)]
        if self.state["carts"]:
            acts += [(8, self.add), (3, self.remove), (2, self.pay), (0.5, self.leave)]
        if self.state["orders"]:
            acts += [(1, self.ship)]
        return acts

    def come(self) -> str:
        self.state["carts"][self.next("c")] = {"items": [], "total": 0}
        return "come"

    def cart(self) -> Any:
        return self.state["carts"][self.chance.choice(sorted(self.state["carts"]))]

    def add(self) -> str:
        cart = self.cart()
        sku = self.chance.choice(sorted(self.state["products"]))
        product = self.state["products"][sku]
        if product["stock"] <= 0 and not self.goes_wrong("negative"):
            return "sold out"
        product["stock"] -= 1
        line = next((line for line in cart["items"] if line["sku"] == sku), None)
        if line is None:
            line = {"sku": sku, "qty": 0, "amount": 0}
            cart["items"].append(line)
        line["qty"] += 1
        line["amount"] = line["qty"] * product["price"]
        cart["total"] = sum(line["amount"] for line in cart["items"])
        return "add"

    def remove(self) -> str:
        cart = self.cart()
        if not cart["items"]:
            return "look"
        line = cart["items"].pop(self.chance.randrange(len(cart["items"])))
        self.state["products"][line["sku"]]["stock"] += line["qty"]
        if not self.goes_wrong("total"):
            cart["total"] = sum(line["amount"] for line in cart["items"])
        return "remove"

    def pay(self) -> str:
        name = self.chance.choice(sorted(self.state["carts"]))
        cart = self.state["carts"].pop(name)
        if not cart["items"]:
            return "leave"
        stats = self.state["stats"]
        number = stats["orders"] if self.goes_wrong("twice") else stats["orders"] + 1
        order = {"id": number, "total": cart["total"], "lines": len(cart["items"]), "status": "paid"}
        self.state["orders"].append(order)
        if not self.goes_wrong("count"):
            stats["orders"] += 1
        if not self.goes_wrong("revenue"):
            stats["revenue"] += cart["total"]
        return "pay"

    def leave(self) -> str:
        cart = self.state["carts"].pop(self.chance.choice(sorted(self.state["carts"])))
        for line in cart["items"]:
            self.state["products"][line["sku"]]["stock"] += line["qty"]
        return "leave"

    def ship(self) -> str:
        order = self.chance.choice(self.state["orders"])
        if order["status"] == "paid":
            order["status"] = "shiped" if self.goes_wrong("misspelt") else "shipped"
        return "ship"

    def restock(self) -> str:
        for product in self.state["products"].values():
            if product["stock"] < 3:
                product["stock"] += 12
        return "restock"


class Game(App):
    FAULTS = ("health", "score", "enemies", "dangling", "below", "gold")

    def __init__(self, seed: int, fault: str = "") -> None:
        super().__init__(seed, fault)
        heroes = {name: {"hp": 20, "max_hp": 20, "gold": 10, "x": 0, "y": 0} for name in ("ann", "bob", "cid")}
        self.state = {
            "tick": 0, "level": 1, "score": 0, "heroes": heroes, "enemies": [], "enemy_count": 0, "target": None, "boss": None,
        }  # fmt: skip

    def acts(self) -> list[tuple[float, Callable[[], str]]]:
        acts: list[tuple[float, Callable[[], str]]] = [
            (3, self.spawn),
            (4, self.move),
            (2, self.heal),
            (2, self.trade),
        ]
        if self.state["enemies"]:
            acts += [(5, self.hit), (4, self.hurt), (2, self.aim)]
        return acts

    def step(self) -> str:
        self.state["tick"] += 1
        return super().step()

    def hero(self) -> Any:
        return self.state["heroes"][self.chance.choice(("ann", "bob", "cid"))]

    def spawn(self) -> str:
        if len(self.state["enemies"]) > 7:
            return "wait"
        self.state["enemies"].append({"id": self.next("e"), "hp": self.chance.randrange(3, 9), "kind": "orc"})
        self.state["enemy_count"] = len(self.state["enemies"])
        return "spawn"

    def move(self) -> str:
        hero = self.hero()
        hero["x"] += self.chance.randrange(-3, 4)
        hero["y"] += self.chance.randrange(-3, 4)
        return "move"

    def heal(self) -> str:
        hero = self.hero()
        healed = hero["hp"] + self.chance.randrange(1, 9)
        is_over = healed > hero["max_hp"]
        hero["hp"] = healed if is_over and self.goes_wrong("health", 0.9) else min(hero["max_hp"], healed)
        return "heal"

    def trade(self) -> str:
        giver, taker = self.chance.sample(sorted(self.state["heroes"]), 2)
        amount = min(self.chance.randrange(1, 6), self.state["heroes"][giver]["gold"])
        self.state["heroes"][giver]["gold"] -= amount
        self.state["heroes"][taker]["gold"] += amount + (1 if amount and self.goes_wrong("gold") else 0)
        return "trade"

    def hurt(self) -> str:
        hero = self.hero()
        hurt = hero["hp"] - self.chance.randrange(1, 8)
        hero["hp"] = hurt if hurt < 0 and self.goes_wrong("below", 1) else max(0, hurt)
        return "hurt"

    def aim(self) -> str:
        self.state["target"] = self.chance.choice(self.state["enemies"])["id"]
        return "aim"

    def hit(self) -> str:
        enemies = self.state["enemies"]
        enemy = self.chance.choice(enemies)
        enemy["hp"] -= self.chance.randrange(1, 5)
        if enemy["hp"] <= 0:
            enemies.remove(enemy)
            if not self.goes_wrong("enemies"):
                self.state["enemy_count"] = len(enemies)
            if self.state["target"] == enemy["id"] and not self.goes_wrong("dangling", 1):
                self.state["target"] = None
            self.state["score"] += -7 if self.goes_wrong("score") else 10 * self.state["level"]
        if self.state["score"] > 400 * self.state["level"]:
            self.state["level"] += 1
        return "hit"


class Ledger(App):
    FAULTS = ("amount", "total", "entries", "account", "twice", "falls")

    def __init__(self, seed: int, fault: str = "") -> None:
        super().__init__(seed, fault)
        accounts = {f"acc-{place}": {"balance": 500, "owner": f"owner {place}"} for place in range(4 + seed % 3)}
        self.state = {"accounts": accounts, "journal": [], "count": 0, "total": 500 * len(accounts), "version": 0}

    def acts(self) -> list[tuple[float, Callable[[], str]]]:
        return [(8, self.transfer), (2, self.deposit), (2, self.withdraw), (0.5, self.rename), (0.4, self.fee)]

    def book(self, kind: str, source: str | None, target: str | None, amount: int) -> str:
        number = (
            self.state["count"] if self.goes_wrong("twice") and self.state["journal"] else self.state["count"] + 1
        )
        self.state["journal"].append({"id": number, "kind": kind, "from": source, "to": target, "amount": amount})
        if not self.goes_wrong("entries"):
            self.state["count"] += 1
        self.state["version"] += -2 if self.goes_wrong("falls") else 1
        return kind

    def any(self) -> str:
        return self.chance.choice(sorted(self.state["accounts"]))

    def transfer(self) -> str:
        source, target = self.chance.sample(sorted(self.state["accounts"]), 2)
        amount = self.chance.randrange(1, 40)
        accounts = self.state["accounts"]
        accounts[source]["balance"] -= amount
        accounts[target]["balance"] += amount - (3 if self.goes_wrong("amount") else 0)
        return self.book("transfer", source, "acc-99" if self.goes_wrong("account") else target, amount)

    def deposit(self) -> str:
        target, amount = self.any(), self.chance.randrange(1, 90)
        self.state["accounts"][target]["balance"] += amount
        if not self.goes_wrong("total"):
            self.state["total"] += amount
        return self.book("deposit", None, target, amount)

    def withdraw(self) -> str:
        source, amount = self.any(), self.chance.randrange(1, 60)
        self.state["accounts"][source]["balance"] -= amount
        self.state["total"] -= amount
        return self.book("withdraw", source, None, amount)

    def fee(self) -> str:
        source = self.any()
        self.state["accounts"][source]["balance"] -= 2
        self.state["total"] -= 2
        return self.book("fee", source, None, 2)

    def rename(self) -> str:
        self.state["accounts"][self.any()]["owner"] = f"owner {self.chance.randrange(1000)}"
        return "rename"


class Queue(App):
    FAULTS = ("running", "orphan", "attempts", "done", "misspelt", "waiting")

    def __init__(self, seed: int, fault: str = "") -> None:
        super().__init__(seed, fault)
        workers = [{"name": f"w{place}", "job": None, "handled": 0} for place in range(3 + seed % 2)]
        self.state = {
            "jobs": {},
            "workers": workers,
            "counts": {"waiting": 0, "running": 0, "done": 0, "failed": 0},
            "max_attempts": 3,
        }

    def acts(self) -> list[tuple[float, Callable[[], str]]]:
        acts: list[tuple[float, Callable[[], str]]] = [(4, self.submit), (5, self.start)]
        if any(worker["job"] for worker in self.state["workers"]):
            acts += [(4, self.finish), (1.5, self.fail)]
        return acts

    def submit(self) -> str:
        if len(self.state["jobs"]) > 20:
            return "full"
        self.state["jobs"][self.next("job-")] = {
            "status": "waiting",
            "attempts": 0,
            "priority": self.chance.randrange(5),
        }
        if not self.goes_wrong("waiting"):
            self.state["counts"]["waiting"] += 1
        return "submit"

    def start(self) -> str:
        free = [worker for worker in self.state["workers"] if worker["job"] is None]
        waiting = [name for name, job in self.state["jobs"].items() if job["status"] == "waiting"]
        if not free or not waiting:
            return "idle"
        name = waiting[0]
        job = self.state["jobs"][name]
        job["status"] = "runnning" if self.goes_wrong("misspelt") else "running"
        job["attempts"] += 1
        free[0]["job"] = name
        self.state["counts"]["waiting"] -= 1
        self.state["counts"]["running"] += 1
        return "start"

    def finish(self) -> str:
        worker = self.chance.choice([worker for worker in self.state["workers"] if worker["job"]])
        del self.state["jobs"][worker["job"]]
        if not self.goes_wrong("orphan"):
            worker["job"] = None
        worker["handled"] += 1
        if not self.goes_wrong("running"):
            self.state["counts"]["running"] -= 1
        self.state["counts"]["done"] += -1 if self.goes_wrong("done") else 1
        if worker["job"] is not None:
            self.state["jobs"].setdefault(worker["job"] + "x", {"status": "waiting", "attempts": 0, "priority": 0})
            self.state["counts"]["waiting"] += 1
            self.pending = worker
        return "finish"

    def step(self) -> str:
        # A worker that kept a job that is gone lets it go with whatever happens next.
        stuck = getattr(self, "pending", None)
        if stuck is not None:
            stuck["job"] = None
            self.pending = None
        return super().step()

    def fail(self) -> str:
        worker = self.chance.choice([worker for worker in self.state["workers"] if worker["job"]])
        name, worker["job"] = worker["job"], None
        job = self.state["jobs"][name]
        self.state["counts"]["running"] -= 1
        if job["attempts"] < self.state["max_attempts"] or self.goes_wrong("attempts", 1):
            job["status"] = "waiting"
            self.state["counts"]["waiting"] += 1
        else:
            del self.state["jobs"][name]
            self.state["counts"]["failed"] += 1
        return "fail"


class Editor(App):
    FAULTS = ("lines", "cursor", "version", "chars", "undo", "mark")

    def __init__(self, seed: int, fault: str = "") -> None:
        super().__init__(seed, fault)
        lines = [{"id": self.next("l"), "text": "first", "size": 5}]
        self.state = {
            "document": {"lines": lines, "line_count": 1, "chars": 5, "version": 1},
            "view": {"cursor": 0, "top": 0, "mark": lines[0]["id"]},
            "undo": {"steps": [], "index": 0},
        }  # fmt: skip

    def acts(self) -> list[tuple[float, Callable[[], str]]]:
        return [
            (4, self.insert),
            (3, self.delete),
            (6, self.type),
            (5, self.go),
            (2, self.set_mark),
            (2, self.undo),
            (1, self.redo),
        ]

    def changed(self, what: str) -> str:
        document, view, undo = self.state["document"], self.state["view"], self.state["undo"]
        is_other = document["line_count"] != len(document["lines"])
        if is_other and not self.goes_wrong("lines"):
            document["line_count"] = len(document["lines"])
        if not self.goes_wrong("chars"):
            document["chars"] = sum(line["size"] for line in document["lines"])
        document["version"] += -3 if self.goes_wrong("version") else 1
        is_over = view["cursor"] >= len(document["lines"])
        if is_over and not self.goes_wrong("cursor", 1):
            view["cursor"] = min(view["cursor"], len(document["lines"]) - 1)
        undo["steps"] = [*undo["steps"][: undo["index"]], {"what": what, "version": document["version"]}]
        undo["index"] = len(undo["steps"])
        return what

    def insert(self) -> str:
        if len(self.state["document"]["lines"]) > 10:
            return "beep"
        at = self.state["view"]["cursor"]
        self.state["document"]["lines"].insert(at, {"id": self.next("l"), "text": "", "size": 0})
        return self.changed("insert line")

    def delete(self) -> str:
        lines = self.state["document"]["lines"]
        if len(lines) < 2:
            return "beep"
        line = lines.pop(min(self.state["view"]["cursor"], len(lines) - 1))
        if self.state["view"]["mark"] == line["id"] and not self.goes_wrong("mark", 1):
            self.state["view"]["mark"] = lines[0]["id"]
        return self.changed("delete line")

    def type(self) -> str:
        lines = self.state["document"]["lines"]
        line = lines[min(self.state["view"]["cursor"], len(lines) - 1)]
        line["text"] = (line["text"] + self.chance.choice("abcdefgh") * self.chance.randrange(1, 6))[:40]
        line["size"] = len(line["text"])
        return self.changed("type")

    def go(self) -> str:
        self.state["view"]["cursor"] = self.chance.randrange(len(self.state["document"]["lines"]))
        return "go"

    def set_mark(self) -> str:
        self.state["view"]["mark"] = self.chance.choice(self.state["document"]["lines"])["id"]
        return "mark"

    def undo(self) -> str:
        undo = self.state["undo"]
        undo["index"] = (
            undo["index"] - 1 if undo["index"] == 0 and self.goes_wrong("undo", 1) else max(0, undo["index"] - 1)
        )
        return "undo"

    def redo(self) -> str:
        undo = self.state["undo"]
        undo["index"] = min(len(undo["steps"]), undo["index"] + 1)
        return "redo"


APPS: Final[tuple[type[App], ...]] = (Shop, Game, Ledger, Queue, Editor)


def recorded(app: App, entries: int, *, begins: int) -> Planted:
    """Record an app for some entries; its fault, where it has one, may strike from entry `begins` on."""
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    first = -1
    for seq in range(entries):
        app.is_on = seq >= begins
        action = app.step()
        recorder.record(app.state, action, timestamp_ns=seq * 10**9)
        if app.struck and first < 0:
            first = len(store) - 1
    return Planted(History(store), first)
