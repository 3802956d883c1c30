"""A LangGraph agent that plans a trip; the node that books forgets that there are two travellers.

python examples/travel_agent.py trip.unspool
unspool blame trip.unspool total

The entries are the checkpoints, named by the nodes that ran; the line is that at which the node's function begins.
"""

from __future__ import annotations

import operator
import sys
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from unspool import Recorder
from unspool.bridges.langgraph import record_checkpoints


class Trip(TypedDict):
    travellers: int
    stops: list[str]
    prices: dict[str, int]
    total: int
    log: Annotated[list[str], operator.add]


def plan(trip: Trip) -> dict[str, Any]:
    return {"stops": ["Bergen", "Oslo"], "log": [f"planned for {trip['travellers']}"]}


def ask_prices(trip: Trip) -> dict[str, Any]:
    prices = {stop: 80 + 10 * len(stop) for stop in trip["stops"]}
    return {"prices": prices, "log": [f"asked for {len(prices)} prices"]}


def book(trip: Trip) -> dict[str, Any]:  # wrong
    return {"total": sum(trip["prices"].values()), "log": ["booked"]}


def confirm(trip: Trip) -> dict[str, Any]:
    return {"log": [f"confirmed {trip['total']}"]}


def build() -> StateGraph[Trip]:
    builder = StateGraph(Trip)
    builder.add_sequence([plan, ask_prices, book, confirm])
    builder.add_edge(START, "plan")
    builder.add_edge("confirm", END)
    return builder


def main() -> None:
    builder = build()
    saver = record_checkpoints(Recorder(sys.argv[1]), InMemorySaver(), builder)
    graph = builder.compile(checkpointer=saver)
    begin: Trip = {"travellers": 2, "stops": [], "prices": {}, "total": 0, "log": []}
    print(graph.invoke(begin, {"configurable": {"thread_id": "norway"}})["total"])


if __name__ == "__main__":
    main()
