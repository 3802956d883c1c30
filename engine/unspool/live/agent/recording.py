"""From changes to entries: what settles when, what is merged or capped, and what is said beside it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FrameType, FunctionType
from typing import Any

from unspool.live.agent.following import LOST, Scope, local_value
from unspool.live.agent.graph import ANY, Graph, Stored
from unspool.live.agent.names import Frames, Names
from unspool.live.agent.nodes import Node, Patch
from unspool.live.agent.redaction import Redaction
from unspool.live.agent.sites import SOURCES, CodeSites, Place, Site, read_code
from unspool.live.agent.turns import Turns
from unspool.live.agent.whereabouts import Whereabouts, task_name
from unspool.live.agent.wire import Outlet, class_dict, mro_of, type_name

_WINDOW = 0.1
"""Seconds over which the entries of a place are counted against its rate."""
_BELOW = 2_000
"""Nodes that are looked at below an object whose own code changes it."""
_LONGEST_AMID = 2.0
"""Seconds that a sweep waits for what is to settle."""
_LONGEST_LOST = 0.005
"""Seconds that a look for what a store changed takes at most, where nothing says what that is."""
_LOST_CREDIT = 0.4
"""Seconds of which such looks may use their share in advance."""
_MOST_HELD = 20_000
"""Splices that wait for a condition; beyond, the state is sent as a whole once it holds."""
_MOST_STORED = 32
"""Stores into one object that are told apart where several make one entry."""
_SWEEP_SHARE = 20
"""Sweeps take one part in so many of the time."""
_MOST_CODES = 50_000
_SETTERS = frozenset(("__setattr__", "__delattr__", "__setitem__", "__delitem__"))

DEFAULTS: dict[str, Any] = {
    "watch": [], "settle": "statement", "trace": [], "when": "", "prefix": [], "exact": False, "stores": False,
    "behind": "merge", "rate": 2000, "sweep": 200, "nodes": 50_000, "items": 5_000, "depth": 40, "text": 20_000,
    "walk": 50, "redact": [], "redact_text": [], "ignore_case": True, "notes": [], "discover": 3, "token": "",
}  # fmt: skip


class Session(Turns):
    """One recording: the watched state, what waits to become an entry, and the link.

    Attributes:
        codes: what each code object of the project may change, by its identity.
        holders: identities of what the names lead through.
        on_owner: called with code at whose end something is to settle.
        on_store: called with what stores change, while nothing is watched.
        on_line, on_returned: called at every line, and every return, of the project.
        on_new_kinds: called with types that became part of the state.
        on_more_code: called when modules are looked into that were not before.
        uncalled: gives the functions of `--trace` that were not called; nobody can tell where calls are not seen.
        has_escapes: the program handed over a function in C that changes what it belongs to, or is given, whoever calls it.
        has_lost: a store that cannot be followed may have changed something that was not looked for yet.
        reads_calls: calls are sites too, because no event hands over what they change.
    """

    def __init__(self, config: dict[str, Any], link: Outlet, main_file: str) -> None:
        """Begin.

        Args:
            config: as the wire contract has it.
            link: to the host.
            main_file: file of the main module, "" where there is none.
        """
        super().__init__(link)
        self.config = {**DEFAULTS, **config}
        self.where = Whereabouts(list(self.config["prefix"]))
        self._main_name = _stem(main_file)
        self.names = Names(list(self.config["watch"]), self._main_name)
        self.redaction = Redaction(
            list(self.config["redact"]),
            list(self.config["redact_text"]),
            ignore_case=bool(self.config["ignore_case"]),
        )
        self._limits = {name: int(self.config[name]) for name in ("nodes", "items", "depth", "text", "walk")}
        self.graph = Graph(self._limits, self.redaction, self._atoms)
        self.codes: dict[int, CodeSites] = {}
        self.holders: set[int] = set()
        self.settle = str(self.config["settle"])
        self.exact = bool(self.config["exact"])
        self.rate = float(self.config["rate"]) * _WINDOW
        self.when = compile(self.config["when"], "--when", "eval") if self.config["when"] else None
        self.uncalled: Callable[[], list[str]] = list
        self._has_held = False
        self._when_error = ""
        self.on_owner: Callable[[CodeType], None] = lambda _: None
        self.on_store: Callable[[Any, Place], None] | None = None
        self.on_line: Callable[[FrameType, int], None] | None = None
        self.on_returned: Callable[[FrameType], None] | None = None
        self.on_new_kinds: Callable[[set[type]], None] = lambda _: None
        self.on_more_code: Callable[[], None] = lambda: None
        self.is_paused = self.reads_calls = False
        self.statistics = {"entries": 0, "merged": 0, "unseen": 0, "sweeps": 0}
        self.cpu = 0.0
        self._parent: int | None = None
        self._capped: dict[int, list[Any]] = {}
        self._has_setters: dict[type, bool] = {}
        self.on_names: Callable[[], None] = lambda: None
        self._pending: dict[int, tuple[Node, bool]] = {}
        self._pending_place: Place | None = None
        self._pending_count = 0
        self._pending_capped = False
        self._dirty: dict[int, tuple[Node, bool, list[Stored | None]]] = {}
        """Nodes that changed, whether what they reach may have too, and what was stored while anything was in doubt."""
        self._dirty_place: Place | None = None
        self._dirty_caller: Place | None = None
        self._dirty_thread = ""
        self._dirty_since = 0.0
        self._owner_frame = 0
        self._owner_code: CodeType | None = None
        self._next_sweep = self._next_lost = 0.0
        self.has_lost = self.has_escapes = False
        self._is_in_parts = self._has_found = False
        """Of the present round of looks through all objects: it takes several, and one of them found something."""
        self._number = 0
        self._held = Patch()

    def resync(self) -> None:
        """Begin anew with what the state is: after a fault, nothing that was known of it can be relied on."""
        old = self.graph
        # The state itself is there again at once, under the same number.
        gone = [node.id for node in old.by_oid.values() if node.id]
        self.graph = Graph(self._limits, self.redaction, self._atoms, old.next_number())
        self._gone = [*self._gone, *gone]
        # Whoever has a node of it yet finds nothing behind it.
        old.let_go()
        self._held = Patch()
        self._dirty.clear()
        self._pending.clear()
        self.doubt = True

    _gone: list[int] = []

    def sites_of(self, code: CodeType, module: str) -> CodeSites | None:
        """Return what a code object may change; None where it is none of the project's."""
        known = self.codes.get(id(code))
        if known is not None:
            return known
        if not self.where.is_looked_into(code) or len(self.codes) >= _MOST_CODES:
            return None
        local_names = self.names.locals_named(module, code)
        found = read_code(
            code, self.where.places, self.names.globals_named(), local_names, with_calls=self.reads_calls
        )
        if local_names and code.co_qualname not in self.names.frames:
            self.names.frames[code.co_qualname] = Frames()
        self.has_escapes = self.has_escapes or found.hands_over
        self.codes[id(code)] = found
        return found

    # Changes.

    def touched(self, site: Site, sites: CodeSites, frame: FrameType) -> bool:
        """Look at what a store changed; return whether it was anything watched."""
        is_root = bool(site.roots) and self._root_stored(site, sites, frame)
        if site.roots and site.value is None:
            return is_root
        found: list[Node] = []
        below = False
        is_lost = site.is_lost
        scope = Scope(frame, sites)
        is_counted = False
        key: Any = LOST
        for follow in (site.target, site.value):
            if follow is None:
                continue
            value = follow(scope)
            if value is LOST:
                is_lost = is_lost or follow is site.target
                continue
            if self.on_store is not None:
                self.on_store(value, site.place)
                is_counted = True
                continue
            node = self.node_of(value)
            if node is not None:
                if follow is site.target and site.key is not None:
                    key = site.key(scope)
                found.append(node)
                below = below or self._is_changed_by_code(type(value))
            elif id(value) in self.holders:
                return self.rebind(site.place, frame)
            elif follow is site.target:
                if self.names.has_classes and self.names.add_instance(value):
                    return self.rebind(site.place, frame)
                grown = self.grown_by_reading()
                if grown is not None:
                    found.append(grown)
                site.kinds.add(type(value))
        if is_lost:
            if self.exact:
                # It was looked before a site that is lost, too.
                self.look_at_all(site.place, frame, is_seen=site.is_lost)
                return True
            if self.looked_for_lost(site.place, frame, is_prepared=site.is_handing):
                return True
        if found:
            self.changed(site.place, frame, found, below=below, key=key if len(found) == 1 else LOST)
        return bool(found) or is_counted or is_root

    def looked_for_lost(self, place: Place, frame: FrameType, *, is_prepared: bool = False) -> bool:
        """Look for what a place changed that cannot be followed, if there is time; return whether it changed anything.

        Args:
            place: the line.
            frame: the frame that it ran in.
            is_prepared: it was looked before it, by `prepare_for_lost`.
        """
        if self._is_nothing():
            return False
        before, now = self.statistics["entries"], time.monotonic()
        if self._has_time_for_lost(now):
            is_seen = not self.has_lost
            if self.has_escapes:
                # Another thread may have called what was handed over just now.
                is_seen = is_seen and is_prepared and self.where.is_alone()
            self.has_lost = not self.look_at_all(place, frame, seconds=_LONGEST_LOST, is_seen=is_seen)
            self._spend_on_lost(now)
        else:
            self.has_lost = True
        self.doubt = self.doubt or self.has_lost
        return self.statistics["entries"] != before

    def _has_time_for_lost(self, now: float) -> bool:
        is_possible = self.when is None and not self.is_paused and self.settle == "statement"
        return is_possible and now + _LOST_CREDIT >= self._next_lost

    def prepare_for_lost(self, place: Place, frame: FrameType) -> None:
        """Look for what was changed until now, before a place that cannot be followed."""
        if self._is_nothing():
            return
        now = time.monotonic()
        is_complete = self._has_time_for_lost(now) and self.look_at_all(place, frame, seconds=_LONGEST_LOST)
        self.has_lost = self.has_lost or not is_complete
        self._spend_on_lost(now)

    def _spend_on_lost(self, since: float) -> None:
        """Take note of the time that a look took: as a rule one part in so many, a little more where there were none for long."""
        self._next_lost = max(self._next_lost, since) + _SWEEP_SHARE * (time.monotonic() - since)

    def look_before(self, node: Node, place: Place, frame: FrameType) -> None:
        """Make an entry of what somebody else changed in a row that a call is about to change: it is none of the call's."""
        if self.is_paused or not self.graph.has_changed(node, is_thorough=self.has_escapes):
            return
        if self.settle != "statement" or self.when is not None or self.link.is_behind or self._pending:
            self.doubt = True
            return
        place_of, frame_of = self.where.blamed(place, frame)
        self.is_stale = True
        if patch := self.graph.look([node]):
            self._emit(place_of, frame_of, patch, {"unseen": True})
        self.is_stale = False

    def node_of(self, value: Any) -> Node | None:
        """Return the node of an object, where it is part of the state."""
        node = self.graph.by_oid.get(id(value))
        if node is None:
            return None
        return node if (node.strong if node.weak is None else node.weak()) is value else None

    def _is_changed_by_code(self, kind: type) -> bool:
        """Whether storing into objects of a class runs code of its own, which may change what lies below."""
        known = self._has_setters.get(kind)
        if known is None:
            known = False
            for base in mro_of(kind):
                held = class_dict(base)
                known = known or any(type(held.get(name)) is FunctionType for name in _SETTERS)
                known = known or any(type(item) is property and item.fset is not None for item in list(held.values()))
            self._has_setters[kind] = known
        return known

    def _root_stored(self, site: Site, sites: CodeSites, frame: FrameType) -> bool:
        if not sites.local_names:
            return self.rebind(site.place, frame)
        frames = self.names.frames[frame.f_code.co_qualname]
        for name in site.roots:
            frames.set(id(frame), name, local_value(frame, name, sites))
        return self.rebind(site.place, frame, must_look=True)

    def left(self, frame: FrameType, place: Place) -> None:
        """Forget the watched locals of a call that ended."""
        frames = self.names.frames.get(frame.f_code.co_qualname)
        if frames is not None and frames.leave(id(frame)):
            self.rebind(place, frame, must_look=True)

    def rebind(self, place: Place | None, frame: FrameType | None, *, must_look: bool = False) -> bool:
        """See whether the names stand for other objects now; return whether they do."""
        state = self.graph.state
        root = self.names.only_root()
        if root is not LOST and self.graph.can_be_alone(root):
            if not self.graph.is_bound_to(root):
                self.graph.bind(root, alone=True)
                must_look = True
        else:
            if state.oid:
                self.graph.bind(None, alone=False)
            must_look = True
        self.holders = self.names.holders()
        if must_look and (place is not None or frame is not None):
            place, frame = self.where.blamed(place, frame)
            # At once in any case: what is stored into a root before it was looked at would not be seen.
            self.settle_now(frame)
            self.entry(place, frame, [state], key=ANY)
        return must_look

    def _atoms(self) -> list[tuple[str, Any]]:
        return self.names.roots()

    def changed(
        self,
        place: Place | None,
        frame: FrameType | None,
        nodes: list[Node],
        *,
        below: bool = False,
        key: Any = LOST,
    ) -> None:
        """Take note that nodes may have changed at a place.

        Args:
            place: the line.
            frame: the frame that it ran in.
            nodes: what it changed.
            below: also what they reach may have changed.
            key: the only item of the one node that may have changed, where that is known.
        """
        if self.is_paused:
            self.doubt = True
            return
        place, frame = self.where.blamed(place, frame)
        is_whole_program = frame is not None and frame.f_code.co_name == "<module>" and self.settle != "line"
        if self.settle == "statement" or is_whole_program:
            # A module ends when the program does.
            self.settle_now(frame)
            self.entry(place, frame, nodes, below=below, key=key)
            return
        owner = self._owner_of(frame)
        if self._dirty and owner != self._owner_frame:
            # Another thread's changes of the same object are seen together with this store.
            is_mixed = any(node.id in self._dirty for node in nodes)
            self.settle_now(None, **({"doubt": True} if is_mixed else {}))
        for node in nodes:
            known = self._dirty.get(node.id)
            stored = [] if known is None else known[2]
            if len(stored) <= _MOST_STORED:
                is_told = self.doubt and len(stored) < _MOST_STORED
                stored.append(self.graph.stored_at(node, key) if is_told else None)
            self._dirty[node.id] = (node, below or (known is not None and known[1]), stored)
        self._dirty_place = place
        if owner != self._owner_frame or self._dirty_caller is None:
            self._dirty_caller = None if frame is None else self.where.caller(frame)
            self._dirty_thread = self.where.thread()
            self._dirty_since = time.monotonic()
        self._owner_frame = owner
        self._owner_code = frame.f_code if frame is not None else None
        if self.settle == "line" and frame is not None and place is not None and frame.f_lineno != place.line:
            # What follows the store belongs to another line already.
            self.settle_now(frame)

    def _owner_of(self, frame: FrameType | None) -> int:
        if frame is None:
            return 0
        if self.settle != "line":
            frame = self.where.unit_of(frame) if self.settle == "call" else frame
            self.on_owner(frame.f_code)
        return id(frame)

    def settles(self, frame: FrameType) -> bool:
        """Whether what is dirty settles at the end of this frame."""
        return bool(self._dirty) and self._owner_frame == id(frame)

    def has_dirty_of_another(self, frame: FrameType) -> bool:
        """Whether another call than this one changed something that has not settled."""
        return bool(self._dirty) and self._owner_frame != id(frame)

    def call_action(self, frame: FrameType) -> dict[str, str]:
        """Return the action of an entry that is a whole call, {} where entries are less than that."""
        if self.settle != "call":
            return {}
        code = frame.f_code
        sites = self.codes.get(id(code))
        shown = []
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            value = local_value(frame, name, sites) if sites is not None else LOST
            if type(value) in (int, float, bool, str, type(None)):
                cell = ["redacted"] if self.redaction.step((), name, is_key=True) is None else value
                shown.append(f"{name}={'[redacted]' if cell == ['redacted'] else repr(value)[:60]}")
        return {"action": self.redaction.clean_all(f"{code.co_qualname}({', '.join(shown)})")}

    def settle_now(self, frame: FrameType | None, **extra: Any) -> None:
        """Make an entry of what is dirty."""
        if not self._dirty:
            return
        dirty, place = list(self._dirty.values()), self._dirty_place
        self._dirty.clear()
        nodes = [node for node, _, _ in dirty if not node.is_dead]
        stored = {node.id: found for node, _, found in dirty}
        caller, self._dirty_caller = self._dirty_caller, None
        if self._dirty_thread:
            extra["thread"] = self._dirty_thread
        below = any(below for _, below, _ in dirty)
        self.entry(place, frame, nodes, below=below, stored=stored, caller=caller, **extra)

    def has_dirty_elsewhere(self, code: CodeType, line: int) -> bool:
        """Whether what is dirty was changed by another line than this."""
        place = self._dirty_place
        return bool(self._dirty) and (place is None or place.line != line or self._owner_code is not code)

    # Entries.

    def entry(
        self,
        place: Place | None,
        frame: FrameType | None,
        nodes: list[Node],
        *,
        below: bool = False,
        key: Any = LOST,
        stored: Mapping[int, list[Stored | None]] | None = None,
        **extra: Any,
    ) -> None:
        """Make an entry of what changed in nodes, unless it has to wait.

        Args:
            place: the line.
            frame: the frame that it ran in.
            nodes: what changed.
            below: also what they reach may have changed.
            key: the only item of the one node that may have changed, where that is known.
            stored: what was stored in each node, by its number, where several stores are one entry.
            extra: what else is told of it.
        """
        is_behind = self.link.is_behind
        if self._pending and place is not self._pending_place and not is_behind and self._pending_capped:
            self.flush_pending(frame)
        is_capped = place is not None and self._is_over_rate(place)
        if self.when is not None and not is_behind and not is_capped and not self._is_when():
            # It is looked at all the same, so that what becomes part of the state is known.
            self._hold(self.graph.look_below(nodes, _BELOW)[0] if below else self.graph.look(nodes))
            return
        if is_behind or is_capped:
            for node in nodes:
                known = self._pending.get(node.id)
                self._pending[node.id] = (node, below or (known is not None and known[1]))
            self._pending_count += 1
            self.statistics["merged"] += 1
            self._pending_place = place
            self._pending_capped = is_capped and not is_behind
            if is_capped and place is not None:
                self._note_capped(place)
            return
        if self._pending:
            known_nodes = {node.id for node in nodes}
            nodes = nodes + [n for n, _ in self._pending.values() if not n.is_dead and n.id not in known_nodes]
            below = below or any(item for _, item in self._pending.values())
            extra["merged"] = self._pending_count
            if self._pending_capped:
                extra["capped"] = True
            self._clear_pending()
            key, stored = LOST, None
        self._commit(place, frame, nodes, below=below, extra=extra, key=key, stored=stored)

    def _hold(self, patch: Patch) -> None:
        """Keep what was found until there is an entry that it belongs to."""
        self._held.add(patch)
        if len(self._held.splices) > _MOST_HELD:
            self.resync()

    def _clear_pending(self) -> None:
        self._pending.clear()
        self._pending_count = 0
        self._pending_place = None
        self._pending_capped = False

    def flush_pending(self, frame: FrameType | None, *, is_last: bool = False) -> None:
        """Make an entry of what a capped place changed since its last one, or of whatever waits at the end."""
        if not self._pending:
            return
        if self.link.is_behind and not is_last:
            return
        nodes = [node for node, _ in self._pending.values() if not node.is_dead]
        below = any(item for _, item in self._pending.values())
        count, place = self._pending_count, self._pending_place
        extra: dict[str, Any] = {"merged": count - 1} if count > 1 else {}
        if self._pending_capped:
            extra["capped"] = True
        self._clear_pending()
        self._commit(place, frame, nodes, below=below, extra=extra)

    def _is_over_rate(self, place: Place) -> bool:
        if self.rate <= 0 or self.exact:
            return False
        now = time.monotonic()
        if now - place.since > _WINDOW:
            place.since, place.made = now, 0
        place.made += 1
        return place.made > self.rate

    def _note_capped(self, place: Place) -> None:
        known = self._capped.get(place.id)
        if known is None:
            self._capped[place.id] = [place.id, 1]
            self.tell(place)
            text = (
                f"{place.file}:{place.line} changes the state more than {self.config['rate']} times a second: merged"
            )
            self.say("capped", text, place)
        else:
            known[1] += 1

    def _is_when(self) -> bool:
        assert self.when is not None
        scope = dict(self.names.roots())
        try:
            held = bool(eval(self.when, dict(vars(sys.modules["builtins"])), scope))  # noqa: S307 - the user's own
        except Exception as error:  # noqa: BLE001 - a name that is not there yet: not now
            self._when_error = type_name(type(error)).removeprefix("builtins.")
            if isinstance(error, NameError) and type(error.name) is str:
                self._when_error += f": there is no {error.name} among what is watched"
            return False
        self._when_error = ""
        self._has_held = self._has_held or held
        return held

    def _missing(self) -> dict[str, Any]:
        """Return what was asked for and never came: names, calls, and a condition that never held with the reason."""
        found: dict[str, Any] = {
            "unseen_names": self.names.unseen(),
            "uncalled": self.uncalled(),
        }
        if self.when is not None and not self._has_held:
            found["when"] = self._when_error or "it was false each time"
        return found

    def _commit(
        self,
        place: Place | None,
        frame: FrameType | None,
        nodes: list[Node],
        *,
        below: bool,
        extra: dict[str, Any],
        key: Any = LOST,
        stored: Mapping[int, list[Stored | None]] | None = None,
    ) -> None:
        began = time.perf_counter()
        graph = self.graph
        self.is_stale = True
        if self.exact and place is not None and any(graph.differs(node) for node in nodes):
            others, _ = graph.sweep(None, frozenset(node.id for node in nodes))
            if others:
                self._emit(place, frame, others, {"unseen": True})
        is_confined: bool | None = None
        is_certain = False
        if below:
            patch, is_complete = graph.look_below(nodes, _BELOW)
            self.doubt = self.doubt or not is_complete
        elif key is LOST:
            is_certain = self.doubt and stored is not None and self._is_all_stored(nodes, stored)
            patch = graph.look(nodes)
            # What a new container holds may have been put there since it was stored.
            is_certain = is_certain and not patch.rows
        else:
            patch, is_confined = graph.look_at(nodes[0], key)
            is_certain = is_confined is True and graph.tells_apart(nodes[0], key)
        if place is not None and nodes and (is_confined is False or (is_confined is None and self.has_escapes)):
            # Somebody else may have changed the rest, or all of it.
            extra["doubt"] = True
        if graph.new_kinds:
            self._take_new_kinds()
        if self._is_nothing() and not extra:
            self._hold(patch)
        elif patch or self._held or "exc" in extra or "trace" in extra:
            # What stored all items that differ did that, whatever else may have changed unseen.
            self._emit(place, frame, patch, extra, is_certain=is_certain and not self._held)
        self.is_stale = False
        self.cpu += time.perf_counter() - began

    def _is_all_stored(self, nodes: Iterable[Node], stored: Mapping[int, list[Stored | None]]) -> bool:
        """Whether nodes differ from what they were by what was stored in them alone."""
        for node in nodes:
            known = [item for item in stored[node.id] if item is not None]
            if len(known) < len(stored[node.id]) or not self.graph.is_as_stored(node, known):
                return False
        return True

    def _is_nothing(self) -> bool:
        """Whether nothing that is watched is there yet: nothing of it can have changed."""
        return not self._number and not self.graph.state.ids

    def _take_new_kinds(self) -> None:
        kinds, self.graph.new_kinds = self.graph.new_kinds, set()
        self.look_into(kinds)
        self.on_new_kinds(kinds)

    def look_into(self, kinds: Iterable[type]) -> None:
        """Look at what the modules of classes store, though they are a library's."""
        if self.where.look_into(kinds):
            self.on_more_code()

    def began_with(self, code: CodeType, frame: FrameType) -> bool:
        """Look into the class that a function is a method of, if its instances are watched; return whether they are."""
        if not self.names.has_classes or not self.names.is_method(code):
            return False
        sites = CodeSites(code)
        # What a trace function takes out of the variables of its frame is gone for the program.
        sites.is_traced = self.reads_calls
        value = local_value(frame, code.co_varnames[0], sites)
        if value is LOST:
            return False
        self.look_into((value if isinstance(value, type) else type(value),))
        return self.where.is_looked_into(code)

    def grown_by_reading(self) -> Node | None:
        """Return a watched dict that got a key by being read, as a `defaultdict` does; None where none did."""
        for node in self.graph.readable_growth:
            target = node.strong if node.weak is None else node.weak()
            if target is not None and dict.__len__(target) != len(node.ids) + node.more:
                return node
        return None

    def look_at_all(
        self,
        place: Place | None,
        frame: FrameType | None,
        *,
        seconds: float | None = None,
        is_seen: bool = False,
    ) -> bool:
        """Find what changed without having been seen; return whether all was looked at.

        Args:
            place: where the program is.
            frame: the frame there.
            seconds: how long that may take; None for as long as it takes.
            is_seen: what is found was changed by this very place.
        """
        began = time.perf_counter()
        place, frame = self.where.blamed(place, frame)
        self.rebind(None, None)
        if self.settle != "statement":
            self.settle_now(frame)
        self.flush_pending(frame)
        self.is_stale = True
        patch, is_complete = self.graph.sweep(seconds)
        self.statistics["sweeps"] += 1
        if self.graph.new_kinds:
            self._take_new_kinds()
        if self._is_nothing() or (self.when is not None and not self._is_when()):
            self._hold(patch)
        elif patch:
            extra: dict[str, Any] = {} if is_seen else {"unseen": True}
            self._emit(place, frame, patch, extra if self._number else {"action": "start"})
        self.is_stale = False
        self._is_in_parts = self._is_in_parts or not is_complete
        self._has_found = self._has_found or bool(patch)
        if self._is_in_parts and self._has_found:
            # What did that may have changed something that was not come to yet, or was passed before.
            self.doubt = True
        elif is_complete:
            self.doubt = self.has_lost = False
        if is_complete:
            self._is_in_parts = self._has_found = False
        took = time.perf_counter() - began
        self.cpu += took
        self._next_sweep = time.monotonic() + max(self.config["sweep"] / 1000, _SWEEP_SHARE * took)
        return is_complete

    def is_sweep_due(self) -> bool:
        """Whether it is time to look at everything again."""
        return time.monotonic() >= self._next_sweep

    def is_amid(self) -> bool:
        """Whether something changed that settles soon: looking at everything would make an entry of half of it."""
        return bool(self._dirty) and time.monotonic() - self._dirty_since < _LONGEST_AMID

    def follow_from(self, seq: int) -> None:
        """Have the next entry follow one that the program was put back to."""
        self._parent = seq

    def has_gone_on(self, count: int) -> bool:
        """Whether anything changed since this recording had so many entries, though it waits to become one."""
        return self.statistics["entries"] != count or bool(self._held or self._pending or self._dirty)

    def emit_jump(self) -> None:
        """Make the entry of a jump, whether anything changed or not."""
        self.rebind(None, None)
        self.is_stale = True
        patch, _ = self.graph.sweep(None)
        self._emit(None, None, patch, {"action": "jump"})
        self.is_stale = False

    def _emit(
        self,
        place: Place | None,
        frame: FrameType | None,
        patch: Patch,
        extra: dict[str, Any],
        *,
        is_certain: bool = False,
    ) -> None:
        self._number += 1
        self.statistics["entries"] += 1
        message: dict[str, Any] = {"m": "r", "n": self._number, "t": time.time_ns()}
        if place is not None:
            self.tell(place)
            place.total += 1
            message["site"] = place.id
        message.update(extra)
        if extra.get("unseen"):
            self.statistics["unseen"] += 1
        elif self.doubt:
            message["elsewhere" if is_certain else "doubt"] = True
        if self._parent is not None:
            message["parent"], self._parent = self._parent, None
        if self._held:
            held, self._held = self._held, Patch()
            held.add(patch)
            patch = held
        if self._gone and self.graph.state.is_read:
            # Not before the state is told anew: its old row leads to them.
            patch.gone += self._gone
            self._gone = []
        for name, found in (("rows", patch.rows), ("splices", patch.splices), ("gone", patch.gone)):
            if found:
                message[name] = found
        if patch.is_cut:
            message["cut"] = True
        caller = message.pop("caller", None)
        if caller is None and frame is not None:
            caller = self.where.caller(frame)
        if caller is not None:
            self.tell(caller)
            message["caller"] = caller.id
        if "thread" not in message and (thread := self.where.thread()):
            message["thread"] = thread
        task = task_name()
        if task:
            message["task"] = task
        self.link.send(message)

    def tell(self, place: Place) -> None:
        """Tell of a line, once."""
        if place.is_told:
            return
        place.is_told = True
        text = self.redaction.clean_all(place.text)
        self.link.send(
            {"m": "site", "id": place.id, "file": place.file, "line": place.line, "name": place.name, "text": text}
        )

    def send_note(self, note: dict[str, Any], place: Place | None) -> None:
        """Put something down beside the state."""
        if place is not None:
            self.tell(place)
        self.link.send({"m": "notes", "t": time.time_ns(), "notes": [note]})

    def say(self, kind: str, text: str, place: Place | None = None) -> None:
        """Tell the host something in a line."""
        message: dict[str, Any] = {"m": "say", "kind": kind, "text": text}
        if place is not None:
            message["site"] = place.id
        self.link.send(message)

    def watch_now(self, texts: Any) -> list[str]:
        """Watch other names from now on; return a line for each that stands for nothing."""
        if type(texts) is not list or not all(type(text) is str for text in texts):
            return ["names are a list of texts"]
        self.names = Names(texts, self._main_name)
        self.codes.clear()
        self.on_store = None
        self.on_names()
        self.look_at_all(None, None)
        return [why for watch in self.names.watches if (why := self.names.explain(watch))]

    def raised(self, frame: FrameType, sites: CodeSites, error: BaseException) -> None:
        """Make an entry of an exception that leaves a function of the project."""
        place = self.where.places.of(sites.code, frame.f_lineno or 0)
        text = error.args[0] if error.args and type(error.args[0]) is str else ""
        self.tell(place)
        told = {"type": type_name(type(error)), "text": self.redaction.clean_all(text[:2000]), "site": place.id}
        if self._dirty:
            self.settle_now(frame, exc=told)
        else:
            self.entry(place, frame, [], exc=told)

    def bye(self, why: str) -> None:
        """Say the last message and close the link."""
        capped = list(self._capped.values())
        self.link.send(
            {
                "m": "bye",
                "why": why,
                **self.statistics,
                **self._missing(),
                "capped": capped,
                "cpu": self.cpu,
                "faults": self.faults,
            }
        )
        self.is_over = True
        SOURCES.forget()
        self.link.finish()

    def let_go(self) -> None:
        """Hold nothing of the program: what is left of the agent, its classes and functions, waits for a collection of garbage."""
        self.graph.let_go()
        for frames in self.names.frames.values():
            frames.forget()
        self.codes.clear()


def _stem(file: str) -> str:
    name = file.replace("\\", "/").rpartition("/")[2]
    return name.removesuffix(".py")
