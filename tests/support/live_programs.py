"""Random programs that change a state in every way Python has, and a reference that sees all of it by brute force."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

HEAD = """\
import bisect, heapq, operator, random, threading, functools
from collections import OrderedDict, defaultdict, deque

class Node:
    def __init__(self, val, kids=()):
        self.val = val
        self.kids = list(kids)
    def bump(self, by=1):
        self.val += by
        return self
    def __iadd__(self, other):
        self.val += other
        return self
    def __enter__(self):
        self.kids.append("in")
        return self.val
    def __exit__(self, *_):
        self.kids.pop()
    def __setitem__(self, key, value):
        self.kids[key:key] = [value]
    def __delitem__(self, key):
        if self.kids:
            del self.kids[key % len(self.kids)]
    def __call__(self, value):
        self.val = value

class Slotted:
    __slots__ = ("left", "right", "__hidden")
    def __init__(self):
        self.left = 0
        self.__hidden = []
    def hide(self, value):
        self.__hidden.append(value)
    @property
    def total(self):
        raise RuntimeError("nobody may ask")
    @total.setter
    def total(self, value):
        self.left, self.right = value, -value

class Counting(dict):
    def __init__(self):
        self.writes = 0
    def __setitem__(self, key, value):
        self.writes += 1
        super().__setitem__(key, value)
    def __getitem__(self, key):
        raise RuntimeError("nobody may ask")

class Chain(list):
    pass

class Proud:
    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
        object.__setattr__(self, "last", name)

class Root:
    shared = [0]
    def __init__(self):
        self.nums = [3, 1, 2]
        self.table = {"a": 1, "b": 2}
        self.tree = {"x": [1, [2, {"y": [3]}]], 5: (1, [2])}
        self.box = Node(0)
        self.objs = [Node(1), Node(2, [Node(3)])]
        self.bag = {1, 2}
        self.queue = deque([1, 2])
        self.slot = Slotted()
        self.counting = Counting()
        self.chain = Chain([1])
        self.proud = Proud()
        self.order = OrderedDict(a=1, b=2)
        self.default = defaultdict(list)
        self.value = None
        self.raw = bytearray(b"ab")
        self.loop = self
    def __iadd__(self, other):
        self.value = other
        self.nums.append(other)
        return self

def rename(target, name):
    target.val = name

def grow(items, *more):
    for item in more:
        items.append(item)

def closure(table):
    def inner(key):
        table[key] = len(table)
    inner("c1")
    inner("c2")

def generate(node):
    for at in range(2):
        node.val = at
        yield at

def failing(node):
    node.val = 100
    raise KeyError("after")

ROOT = Root()
"""

STATEMENTS = """\
ROOT.value = {n}
ROOT.value = ROOT.value
ROOT.value = [{n}, {{"k": {n}}}]
ROOT.nums.append({n})
ROOT.nums.extend([{n}, {m}])
ROOT.nums.insert(1, {n})
ROOT.nums += [{n}]
ROOT.nums[0] = {n}
ROOT.nums[-1] += {n}
ROOT.nums[1:2] = [{n}, {m}, {n}]
ROOT.nums[::2] = [{n}] * len(ROOT.nums[::2])
del ROOT.nums[1:2]
ROOT.nums.sort()
ROOT.nums.sort(key=lambda item: -item)
ROOT.nums.reverse()
ROOT.nums *= 2; del ROOT.nums[6:]
ROOT.nums and ROOT.nums.pop()
heapq.heapify(ROOT.nums); heapq.heappush(ROOT.nums, {n})
bisect.insort(ROOT.nums, {n})
random.Random({n}).shuffle(ROOT.nums)
list(map(ROOT.nums.append, [{n}, {m}]))
ROOT.table["k{n}"] = {m}
ROOT.table["a"] = ROOT.table.get("a", 0) + {n}
ROOT.table.update(a={n}, z={m})
ROOT.table.setdefault("s{n}", {m})
ROOT.table |= {{"o": {n}}}
ROOT.table.pop("b", None)
ROOT.table.popitem(); ROOT.table["a"] = {n}
ROOT.table.clear(); ROOT.table["a"] = 0
operator.setitem(ROOT.table, "p", {n})
closure(ROOT.table)
ROOT.tree["x"][1][1]["y"].append({n})
ROOT.tree["x"][1][1]["y"][0] = {n}
ROOT.tree[5][1].append({n})
ROOT.tree[(1, {n})] = None
ROOT.tree["t"] = ({n}, "a", {m})
ROOT.tree["x"], ROOT.value = ROOT.tree["x"], ROOT.tree["x"][0]
alias = ROOT.nums; alias.append({n}); alias[0] = {m}; alias += [{n}]
alias = ROOT.tree["x"]; alias[0] = {n}; alias[1][0] = {m}
first, *rest = ROOT.nums or [0]; ROOT.value = rest
(ROOT.value, ROOT.box.val) = ({n}, {m})
ROOT.value, *ROOT.box.kids = [{n}, {m}, {n}]
ROOT.box.val = ROOT.value = {n}
for ROOT.value in range(2): pass
for ROOT.nums[0] in (7, 8): pass
[0 for ROOT.value in range({n} % 3)]
[0 for ROOT.table["loop"] in range(2)]
with ROOT.box as ROOT.value: pass
ROOT.box += {n}
box = ROOT.box; box += {n}; box.val = {m}
ROOT += {n}
step = ROOT; step += {n}; step.value = {m}
ROOT.box[0] = {n}
del ROOT.box[0]
ROOT.box({n})
ROOT.box.bump({n}).bump()
setattr(ROOT.box, "s{n}", {m})
ROOT.box.extra = {n}; del ROOT.box.extra
vars(ROOT.box)["v"] = {n}
rename(ROOT.objs[0], {n})
rename(target=ROOT.box, name={n})
ROOT.objs.append(Node({n}, [Node({m})]))
ROOT.objs[-1].kids.append({n})
ROOT.objs[0], ROOT.objs[-1] = ROOT.objs[-1], ROOT.objs[0]
ROOT.objs[0].other = ROOT.objs[-1]
for obj in ROOT.objs: obj.val = {n}
[obj.bump() for obj in ROOT.objs]
ROOT.objs[0].kids.extend(ROOT.nums[:2])
ROOT.objs[0].kids = ROOT.objs[-1].kids
kept = ROOT.objs.pop(); kept.val = {n}; ROOT.objs.append(kept); kept.val = {m}
ROOT.bag.add({n}); ROOT.bag.discard({m})
ROOT.bag |= {{{n}, {m}}}
ROOT.bag -= {{{n}}}
ROOT.queue.append({n}); ROOT.queue.appendleft({m})
ROOT.queue.rotate(1)
ROOT.queue and ROOT.queue.popleft()
ROOT.slot.left = {n}
ROOT.slot.right = [{n}]
ROOT.slot.hide({n})
ROOT.slot.total = {n}
ROOT.counting["k"] = {n}
ROOT.counting.update(j={n})
ROOT.chain.append({n}); ROOT.chain.tag = {m}
ROOT.chain[0] = {n}
ROOT.proud.x{n} = {m}
ROOT.order.move_to_end("a"); ROOT.order["a"] = {n}
ROOT.default["d{n}"].append({m})
ROOT.default["d"] += [{n}]
ROOT.shared = [{n}]
ROOT.shared.append({n})
ROOT.raw += b"x"; ROOT.raw[0] = {n} % 250
grow(ROOT.nums, {n}, {m})
grow(*[ROOT.box.kids, {n}])
for _ in generate(ROOT.box): pass
sum(generate(ROOT.objs[0]))
ROOT.value = (lambda table: table.update(l={n}))(ROOT.table)
functools.reduce(lambda into, item: into.append(item) or into, [{n}], ROOT.nums)
ROOT.loop.loop.value = {n}
ROOT.value = 1.5 if ROOT.value == 1.5 else float("nan")
getattr(ROOT, "nums").append({n})
(ROOT.objs or [Node(0)])[0].val = {n}
ROOT.objs[{n} % len(ROOT.objs)].val = {m}
ROOT.value = ROOT.box.kids = []
ROOT.table[str({n})], ROOT.value = {m}, {n}
exec("ROOT.value = {n}")
globals()["ROOT"].value = {m}
""".splitlines()

REFERENCE = """\
import json, sys
code = compile(open(sys.argv[1]).read(), sys.argv[1], "exec")
seen, last, line = [], None, {}
space = {"__name__": "__main__"}

def name_of(kind):
    return f"{kind.__module__}.{kind.__qualname__}"

class BeingSorted(Exception):
    # While a list is sorted, the interpreter has it look empty to the key's function: that is no state of the program.
    pass

EMPTY = list.__sizeof__([])
PLAIN = (int, str, float, bool, type(None))

def fields(value):
    found = {}
    for base in reversed(type(value).__mro__):
        for name, member in vars(base).items():
            if type(member).__name__ == "member_descriptor":
                try:
                    found[name] = member.__get__(value)
                except AttributeError:
                    pass
    getter = next((vars(base)["__dict__"] for base in type(value).__mro__ if "__dict__" in vars(base)), None)
    if getter is not None:
        found.update(getter.__get__(value))
    return found

def walk(value, path):
    kind = type(value)
    if kind is float:
        return value if value == value else ["float", "nan"]
    if kind in PLAIN:
        return value
    if id(value) in path:
        return ["$ref"]
    path = (*path, id(value))
    if kind is tuple:
        if len(value) <= 8 and all(type(item) in PLAIN for item in value):
            return ["tuple", [walk(item, path) for item in value]]
        return ["tuple", None, [walk(item, path) for item in value]]
    if kind is list:
        if list.__sizeof__(value) < EMPTY:
            raise BeingSorted
        return [walk(item, path) for item in value]
    shown = lambda key: key if type(key) in (str, int) else str(["tuple", list(key)])
    if kind is dict:
        return ["{}", [[shown(key), walk(item, path)] for key, item in value.items()]]
    if kind is bytearray:
        import base64
        return ["bytes", "builtins.bytearray", [base64.b64encode(value).decode()]]
    if kind is set:
        return ["set", None, sorted((walk(item, path) for item in value), key=repr)]
    if name_of(kind) == "collections.deque":
        return ["deque", None, [walk(item, path) for item in value]]
    own = [] if kind.__module__ == "collections" else [[name_of(kind), ["{}", [[k, walk(v, path)] for k, v in fields(value).items()]]]]
    if dict in kind.__mro__:
        items = list(kind.items(value) if kind.__module__ == "collections" else dict.items(value))
        return ["dict", name_of(kind), [str(key) for key, _ in items], [walk(item, path) for _, item in items], *own]
    if list in kind.__mro__:
        return ["list", name_of(kind), [walk(item, path) for item in list.__iter__(value)], *own]
    return [name_of(kind), ["{}", [[k, walk(v, path)] for k, v in fields(value).items()]]]

def look(at):
    global last
    if "ROOT" not in space:
        return
    root = space["ROOT"]
    try:
        now = {key: walk(item, (id(root),)) for key, item in vars(root).items()} if hasattr(root, "__dict__") else {}
    except BeingSorted:
        return
    text = json.dumps(now)
    if text != last:
        last = text
        seen.append([at, now])

def tracer(frame, event, argument):
    if frame.f_code.co_filename not in (sys.argv[1], "<string>"):
        return None
    frame.f_trace_opcodes = True
    look(line.get("at", 0))
    if frame.f_code.co_filename == sys.argv[1]:
        line["at"] = frame.f_lineno
    return tracer

sys.settrace(tracer)
try:
    exec(code, space)
finally:
    sys.settrace(None)
    look(line.get("at", 0))
    print(json.dumps(seen))
"""


def program(seed: int, length: int = 25) -> str:
    """Return a random program."""
    chance = random.Random(seed)
    lines = [HEAD]
    for number in range(length):
        statement = chance.choice(STATEMENTS).format(n=chance.randrange(1, 9), m=chance.randrange(1, 9))
        form = chance.randrange(6)
        if form == 0 and ";" not in statement and "\n" not in statement:
            lines.append(f"def step{number}():\n    global ROOT\n    {statement}\nstep{number}()")
        elif form == 1:
            lines.append(
                f"class Step{number}:\n    def run(self):\n        global ROOT\n        {statement}\nStep{number}().run()"
            )
        elif form == 2 and not statement.startswith(("for", "with")):
            lines.append(f"for turn in range(2):\n    {statement}")
        elif form == 3:
            lines.append(f"try:\n    {statement}\n    failing(ROOT.box)\nexcept KeyError:\n    ROOT.value = 'caught'")
        else:
            lines.append(statement)
    return "\n".join(lines) + "\n"


def reference(folder: Path, python: str, source: str) -> list[tuple[int, Any]]:
    """Return each state the program was in, as brute force sees it, with the line that made it."""
    (folder / "program.py").write_text(source)
    (folder / "reference.py").write_text(REFERENCE)
    done = subprocess.run(
        [python, "reference.py", "program.py"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [(line, state) for line, state in json.loads(done.stdout.splitlines()[-1])]


def comparable(value: Any) -> Any:
    """Return a mirrored state as the reference spells it."""
    if isinstance(value, dict):
        return ["{}", [[key, comparable(item)] for key, item in value.items()]]
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    return value


def atoms(state: dict[str, Any]) -> dict[str, Any]:
    """Return a mirrored state atom by atom, as the reference spells it."""
    return {name: comparable(item) for name, item in state.items()}


if __name__ == "__main__":
    sys.stdout.write(program(int(sys.argv[1])))
