"""How sure `why` says it is must be how often it is right: guesses over apps whose every write has a known cause."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from support.recording import copied
from unspool.history import History
from unspool.model.keys import Path, format_path
from unspool.model.paths import parse_path
from unspool.query.why import Bounds, Guess, why
from unspool.recorder import Recorder
from unspool.store import MemoryStore

SEEDS = range(4)


@dataclass
class App:
    """A history of which it is known what each write was made from.

    Attributes:
        causes: by entry and path, the paths that were read to make the value; none for what came from outside.
    """

    state: dict[str, Any]
    store: MemoryStore = field(default_factory=MemoryStore)
    causes: dict[tuple[int, str], set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recorder = Recorder(self.store)
        self.recorder.record(copied(self.state), "begin")

    def record(self, action: str, causes: dict[str, set[str]]) -> None:
        seq = self.recorder.record(copied(self.state), action)
        assert seq is not None
        self.causes |= {(seq, path): read for path, read in causes.items()}

    def history(self) -> History:
        self.recorder.close()
        return History(self.store)


def shop(seed: int) -> App:
    """Net, tax and gross of an order, and its price in another currency; a copy of the last one; a sum of all."""
    draw = random.Random(seed)
    app = App({
        "rates": {name: round(draw.uniform(0.7, 1.3), 4) for name in ("EUR", "GBP")},
        "products": {sku: {"price": draw.randint(199, 9999)} for sku in ("pen", "cup", "hat", "bag")},
        "orders": [],
        "tax_rate": draw.choice([7, 19, 21]),
        "revenue": 0,
        "last": {"amount": None},
    })  # fmt: skip
    state = app.state
    for at in range(16):
        sku, name, qty = draw.choice(list(state["products"])), draw.choice(["EUR", "GBP"]), draw.randint(2, 9)
        net = state["products"][sku]["price"] * qty
        tax = round(net * state["tax_rate"] / 100)
        gross, spelled = net + tax, f"orders[{at}]."
        local = round(gross * state["rates"][name], 2)
        state["orders"].append({"sku": sku, "qty": qty, "net": net, "tax": tax, "gross": gross, "local": local})
        state["revenue"] += gross
        state["last"] = {"amount": gross}
        app.record("order", {
            spelled + "net": {f"products.{sku}.price", spelled + "qty"},
            spelled + "tax": {spelled + "net", "tax_rate"},
            spelled + "gross": {spelled + "net", spelled + "tax"},
            spelled + "local": {spelled + "gross", f"rates.{name}"},
            "revenue": {"revenue", "last.amount"} | {f"orders[{one}].gross" for one in range(at + 1)},
            "last.amount": {spelled + "gross"},
        })  # fmt: skip
    return app


def jobs(seed: int) -> App:
    """A clock that comes from outside and is stamped on what happens; jobs that go from a queue to a worker."""
    draw = random.Random(seed)
    app = App({
        "clock": round(draw.uniform(1000, 9999), 1), "queue": [], "workers": dict.fromkeys("abc"), "score": 0,
        "best": 0,
    })  # fmt: skip
    state = app.state
    for _ in range(30):
        state["clock"] = round(state["clock"] + draw.uniform(0.1, 90), 1)
        name, causes = draw.choice("abc"), {"clock": set[str]()}
        if draw.random() < 0.4:
            spelled = f"queue[{len(state['queue'])}]."
            state["queue"].append({"created": state["clock"], "size": draw.randint(1000, 99999)})
            causes |= {spelled + "created": {"clock"}, spelled + "size": set()}
        elif state["queue"] and not state["workers"][name]:
            job = state["queue"].pop(0)
            state["workers"][name] = {"started": state["clock"], "size": job["size"]}
            state["score"] += job["size"]
            state["best"] = state["score"]
            causes |= {
                f"workers.{name}.started": {"clock"},
                f"workers.{name}.size": {"queue[0].size"},
                "score": {"score", "queue[0].size", f"workers.{name}.size"},
                "best": {"score"},
            }
        elif state["workers"][name]:
            state["workers"][name] = None
        app.record("step", causes)
    return app


def first_guesses(app: App, draw: random.Random) -> list[tuple[str, Guess, bool]]:
    """Return the first guess for each of some writes, and whether all that it names was read to make the value."""
    history = app.history()
    found = []
    for (seq, path), causes in draw.sample(sorted(app.causes.items(), key=str), 40):
        (first, *_) = why(history, parse_path("$." + path), seq, bounds=Bounds(links=1)).links
        if first.write is not None and first.write.seq == seq and first.guesses:
            guess = first.guesses[0]
            named = {format_path(source.path).removeprefix("$.") for source in guess.sources} - {path}
            found.append((path, guess, bool(causes) and named <= causes))
    return found


@pytest.mark.slow
def test_guesses_that_are_told_as_sure_are_right_as_often_as_they_say() -> None:
    told = [
        (guess.sureness, right, seed, path, guess.formula.spelled())
        for make in (shop, jobs)
        for seed in SEEDS
        for path, guess, right in first_guesses(make(seed), random.Random(seed))
    ]
    for least, promised in ((0.9, 0.9), (0.7, 0.8), (0.5, 0.5)):
        outcomes = [right for sureness, right, *_ in told if sureness >= least]
        print(f"of {len(outcomes)} guesses of {least:.0%} and more, {sum(outcomes)} are right")
        assert len(outcomes) >= 8
        assert sum(outcomes) >= promised * len(outcomes), [one for one in told if one[0] >= least and not one[1]]


def first_of(states: list[dict[str, Any]], path: Path) -> dict[str, float]:
    store = MemoryStore()
    with Recorder(store) as recorder:
        for state in states:
            recorder.record(state)
    return {guess.formula.spelled(): guess.sureness for guess in why(History(store), path).links[0].guesses}


def test_what_was_written_before_without_its_copy_does_not_come_from_it() -> None:
    states: list[dict[str, Any]] = [{"clock": 1000 + 37 * at, "seen": {}} for at in range(5)]
    states.append({"clock": 1733, "seen": {"ann": 1733}})
    assert first_of(states, ("clock",))["$.seen.ann"] < 0.4
    assert first_of(states, ("seen", "ann"))["$.clock"] > 0.6


def test_of_two_equal_values_that_are_always_written_at_once_neither_is_surely_the_cause() -> None:
    states = [{"score": 1000 + 371 * at, "best": 1000 + 371 * at} for at in range(6)]
    assert 0.3 < first_of(states, ("best",))["$.score"] < 0.7
    assert 0.3 < first_of(states, ("score",))["$.best"] < 0.7


def test_a_part_of_a_sum_written_at_once_is_not_surely_a_difference() -> None:
    states: list[dict[str, Any]] = [{"orders": [], "last": 0}]
    for at in range(5):
        net, tax = 10_000 + 1234 * at, 1900 + 317 * at
        orders = [*states[-1]["orders"], {"net": net, "tax": tax, "gross": net + tax}]
        states.append({"orders": orders, "last": net + tax})
    told = first_of(states, ("orders", 4, "net"))
    assert told["$.orders[4].gross - $.orders[4].tax"] < 0.5
    assert first_of(states, ("orders", 4, "gross"))["$.orders[4].net + $.orders[4].tax"] > 0.7
