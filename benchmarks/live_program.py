"""A program to be watched, with nothing in it that knows of it; standard library only, for any Python.

    python benchmarks/live_program.py WORKLOAD TURNS SIZE [TOOL]

It prints, as JSON, what its work took. `TOOL` starts a tool inside of it, as the documentation of that tool says, or records
by hand; without one it runs bare, or under an agent.
"""

from __future__ import annotations

import html
import http.cookies
import io
import json
import logging
import os
import re
import string
import sys
import time
import urllib.parse


class Store:
    """What is watched."""

    def __init__(self, size):
        self.records = [{"id": number, "quantity": 0, "name": f"item {number}"} for number in range(size)]
        self.counts = {"n": 0}
        self.carts = {}
        self.requests = 0


class Point:
    """What nobody watches."""

    def __init__(self):
        self.x = self.y = 0


STORE = Store(0)


def hot(turns):
    """Store into one watched dict, in a loop."""
    counts = STORE.counts
    for number in range(turns):
        counts["n"] = number
    return turns


def field(turns):
    """Set one field of one of many watched records, a call each."""
    for number in range(turns):
        set_quantity(number % len(STORE.records), number)
    return turns


def set_quantity(place, number):
    """Set one field."""
    STORE.records[place]["quantity"] = number


def append(turns):
    """Append to a long list that is watched."""
    for number in range(turns):
        STORE.records.append(number)
    return turns


def attribute(turns):
    """Set attributes of an object that nobody watches."""
    point = Point()
    for number in range(turns):
        point.x = number
        point.y = point.x + 1
    return turns


def matrix(turns):
    """Multiply matrices that nobody watches."""
    size = 12
    for turn in range(turns):
        one = [[row + column + turn for column in range(size)] for row in range(size)]
        product = [[0] * size for _ in range(size)]
        for row in range(size):
            for column in range(size):
                total = 0
                for place in range(size):
                    total += one[row][place] * one[place][column]
                product[row][column] = total
    return turns


def pure(turns):
    """Compute, without any store but to locals."""
    for _ in range(turns):
        fibonacci(10)
    return turns


def fibonacci(number):
    """Return a number of the series."""
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)


def web(turns):
    """Answer requests to an application of WSGI, each of which changes three things that are watched."""
    from wsgiref.handlers import SimpleHandler

    for number in range(turns):
        body = json.dumps({"item": number % 40, "count": number % 3 + 1, "user": f"user{number % 5}"}).encode()
        environment = {
            "REQUEST_METHOD": "POST", "PATH_INFO": "/cart/add", "QUERY_STRING": f"trace={number}&page=2",
            "HTTP_COOKIE": "session=abc; theme=dark", "HTTP_ACCEPT": "application/json", "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        }  # fmt: skip
        answer = io.BytesIO()
        SimpleHandler(io.BytesIO(body), answer, sys.stderr, environment, multithread=False).run(application)
        assert b"200 OK" in answer.getvalue()[:40]
    return turns


def application(environment, start_response):
    """Answer one request."""
    arguments = urllib.parse.parse_qs(environment["QUERY_STRING"])
    cookies = http.cookies.SimpleCookie(environment["HTTP_COOKIE"])
    body = json.loads(environment["wsgi.input"].read(int(environment["CONTENT_LENGTH"])))
    for pattern, view in ROUTES:
        if re.fullmatch(pattern, environment["PATH_INFO"]):
            found = view(arguments, cookies, body)
            page = json.dumps(found).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(page)))])
            return [page]
    start_response("404 Not Found", [])
    return []


def add_to_cart(arguments, cookies, wanted):
    """Put something into the cart of a user, and return all that a page needs."""
    cart = STORE.carts.setdefault(wanted["user"], {})
    cart[wanted["item"]] = (cart.get(wanted["item"], 0) + wanted["count"]) % 100
    STORE.requests += 1
    rows = []
    for item in CATALOGUE:
        count = cart.get(item["id"], 0)
        rows.append(f"<tr><td>{html.escape(item['name'])}</td><td>{item['price']:.2f}</td><td>{count}</td></tr>")
    total = sum(CATALOGUE[item]["price"] * count for item, count in cart.items())
    LOG.info("cart of %s: %s", wanted["user"], total)
    page = string.Template("<table>$rows</table>").substitute(rows="".join(rows))
    return {"total": round(total, 2), "page": page, "trace": arguments["trace"], "theme": cookies["theme"].value}


NOWHERE = open(os.devnull, "w")  # noqa: SIM115 - for as long as the program runs
LOG = logging.getLogger("shop")
ROUTES = [(r"/static/.*", None), (r"/login", None), (r"/cart/(add|more)", add_to_cart)]
CATALOGUE = [{"id": number, "name": f"thing <{number}>", "price": number * 1.25} for number in range(40)]
WORK = {work.__name__: work for work in (hot, field, append, attribute, matrix, pure, web)}


def hunter_quiet(work):
    """Trace with an action that does nothing."""
    import hunter

    hunter.trace(filename=__file__, action=lambda event: None)
    return work


def hunter_printer(work):
    """Trace, and print the watched variable at each line."""
    import hunter

    hunter.trace(filename=__file__, action=hunter.VarsPrinter("STORE", stream=NOWHERE))
    return work


def pysnooper(work):
    """Watch an expression, in the work and what it calls."""
    import pysnooper

    return pysnooper.snoop(os.devnull, watch=("STORE.counts", "STORE.requests"), depth=4)(work)


def viztracer(work):
    """Trace calls."""
    from viztracer import VizTracer

    VizTracer(verbose=0, tracer_entries=1_000_000).start()
    return work


def by_hand(work):
    """Record by hand wherever something watched changed."""
    import tempfile

    from unspool import Recorder

    folder = tempfile.mkdtemp()
    recorder = Recorder(os.path.join(folder, "by-hand.unspool"), on_error="raise")

    def recorded(turns):
        for _ in range(turns):
            work(1)
            recorder.record(vars(STORE), work.__name__)
        return turns

    return recorded


TOOLS = {tool.__name__: tool for tool in (hunter_quiet, hunter_printer, pysnooper, viztracer, by_hand)}


def main():
    """Measure."""
    global STORE
    name, turns, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    STORE = Store(size)
    work = WORK[name]
    logging.basicConfig(stream=NOWHERE, level=logging.INFO)
    if len(sys.argv) > 4:
        work = TOOLS[sys.argv[4]](work)
    work(max(turns // 20, 2))
    # What was told so far is written by now.
    time.sleep(0.3)
    wall, processor = time.perf_counter(), time.process_time()
    work(turns)
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    sys.settrace(None)
    os.write(1, json.dumps({"processor_s": processor, "wall_s": wall, "turns": turns}).encode())
    if len(sys.argv) > 4:
        # A tool may write a report at its end, of which nothing is measured.
        os._exit(0)


if __name__ == "__main__":
    main()
