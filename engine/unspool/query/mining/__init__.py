"""Mined invariants: relations that a history shows to hold, and where they cease to.

Relations in Daikon's sense are looked for in samples of rows (`seeding`), watched from change to change, and dropped at the
first row in which they do not hold, unless they had been tried well enough to be believed (`Relation.is_tried`). What
counts is how often the values involved changed since anything new was last seen (a field, a type, a value of few, an
action): a relation that breaks just after something new came into use may be meant to.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from time import thread_time
from typing import Final

from unspool.model.entries import Entry, caller_of
from unspool.model.values import MISSING, Value
from unspool.query.expression_functions import plain
from unspool.query.findings import CheckFinding, Moment, Scope, spell
from unspool.query.mining.columns import KEY, Columns, Place, RecordRow, Table, is_number
from unspool.query.mining.relations import Break, Relation, RelationKind, references, seeds, totals

_LOOKS: Final = 64
"""Entries between two looks at the clock."""
_SEEDINGS: Final = 24
"""How often at most relations are looked for in one kind of record."""
_SAMPLE: Final = 24
"""Rows of one kind of record in which relations are looked for."""
_AGAIN: Final = (24, 48, 96, 192, 384, 768, 1536, 3072)
"""After how many rows of one kind of record they are looked for again."""
_RELATIONS: Final = 2000
"""Relations of one kind of record that are watched at once."""
_ACTORS: Final = 64
"""Names of actions beyond which names tell nothing."""
_FEW: Final = 8
"""Different values of a column beyond which a further one is nothing new."""
_KNOWN: Final = 3
"""How often an action must have kept a relation for its breaking it to be a fault."""
_RECORDS: Final = 2000
"""Records of one kind that are looked through for those that refer to one that went."""
_FIRST: Final = (
    RelationKind.EQUAL, RelationKind.SUM, RelationKind.PRODUCT, RelationKind.KEEPS, RelationKind.REFERENCE, RelationKind.LEAST, RelationKind.AT_MOST, RelationKind.ORDER, RelationKind.RISES,
    RelationKind.VALUES,
)  # fmt: skip
"""Kinds in the order in which they tell most of what is wrong."""


class _Records:
    """One kind of record: a sample of its rows, and the relations that are watched in it."""

    def __init__(self) -> None:
        self.sample: deque[Columns] = deque(maxlen=_SAMPLE)
        self.rows = 0
        self.seedings = 0
        self.again_at: int | None = None
        self.relations: dict[tuple[object, ...], Relation] = {}
        self.by_column: dict[str, list[Relation]] = {}
        self.types: dict[str, set[type]] = {}
        self.values: dict[str, set[Value]] = {}
        self.constant: dict[str, bool] = {}

    def add(self, relation: Relation) -> Relation | None:
        """Watch a relation, unless it is watched or was dropped before."""
        known = (relation.kind, relation.columns, relation.target)
        if known in self.relations or len(self.relations) >= _RELATIONS:
            return None
        self.relations[known] = relation
        for name in relation.columns:
            self.by_column.setdefault(name, []).append(relation)
        return relation

    def drop(self, relation: Relation) -> None:
        """Watch a relation no longer."""
        relation.is_dead = True
        for name in relation.columns:
            self.by_column[name] = [other for other in self.by_column[name] if other is not relation]


class Mined:
    """Finds relations between values that held for long and break."""

    def __init__(self, scope: Scope, *, seconds: float = 20.0) -> None:
        """Prepare.

        Args:
            scope: what findings are called by, and which atoms are looked at.
            seconds: of CPU that it may take at most; what was not looked at by then is reported.
        """
        self._scope, self._seconds = scope, seconds
        self._started = 0.0
        self._table = Table()
        self._records: dict[str, _Records] = {}
        self._actors: set[str] = set()
        self._keys: set[str] = set()
        self._epoch = 0
        self._last: Entry | None = None
        self._turns = self._fast_turns = 0
        self._pending: list[tuple[Relation, Break]] = []
        self._stopped_at: int | None = None
        self._seen = 0

    def visit(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.visit`."""
        if self._stopped_at is not None:
            return iter(())
        self._take(moment)
        self._seen += 1
        # The clock of the thread runs for all checkers alike; it is asked seldom, since that is a call of the system.
        if not self._seen % _LOOKS:
            self._started = self._started or thread_time()
            if thread_time() - self._started > self._seconds:
                self._stopped_at = moment.entry.seq
        return iter(())

    def _take(self, moment: Moment) -> None:
        entry = moment.entry
        is_jump = self._last is not None and entry.parent_seq is not None and entry.parent_seq < self._last.seq
        if not self._continues(entry):
            self._close()
        if is_jump:
            # A fork goes back: its state is taken whole, and nothing is concluded from what is other in it.
            wire = moment.view.wire
            values = {atom: plain(form) for atom, form in wire.items() if self._scope.holds_atom(atom)}
            values |= {atom: MISSING for atom in self._table.atoms if atom not in wire}
        else:
            values = {
                change.atom: MISSING if change.new_bytes is None else plain(change.new_bytes)
                for change in moment.diff.changes
                if self._scope.holds_atom(change.atom)
            }
        self._last = entry
        self._table.move(values)
        if is_jump:
            return
        self._keys.update(row.place[-1] for row in self._table.rows if row.place and isinstance(row.place[-1], str))
        actor = self._actor_of(entry)
        fresh = self._fresh(actor)
        for row in self._table.rows:
            self._watch(row, entry.seq, actor, fresh)
        self._watch_removals(entry.seq, actor, fresh)
        self._watch_totals(entry.seq, actor, fresh)
        self._epoch += bool(fresh)
        for row in self._table.rows:
            self._learn(row)

    def _continues(self, entry: Entry) -> bool:
        """Whether an entry belongs to the action of the one before: what breaks and heals within one action is no fault."""
        last = self._last
        if last is None or last.action != entry.action or not entry.action:
            self._turns += last is not None
            self._fast_turns += last is not None and 0 <= entry.timestamp_ns - last.timestamp_ns <= 50_000_000
            return False
        given = entry.meta.get("action_id", MISSING)
        if given is not MISSING:
            return bool(given == last.meta.get("action_id", MISSING))
        is_fast = 2 * self._fast_turns > self._turns
        return not is_fast and 0 <= entry.timestamp_ns - last.timestamp_ns <= 50_000_000

    def _actor_of(self, entry: Entry) -> str:
        """Return what brought an entry about: the function that recorded it, or the action without what varies in it."""
        caller = caller_of(entry.meta)
        if caller is not None and caller.function:
            name = f"{caller.file} {caller.function}"
        else:
            words = (word for word in re.split(r"[\s/:=,;()\[\]{}<>#'\"]+", entry.action) if word)
            name = " ".join("*" if word in self._keys or re.search(r"\d", word) else word for word in words)
        return name if name in self._actors or len(self._actors) < _ACTORS else ""

    def _fresh(self, actor: str) -> set[tuple[str, str]]:
        """Return what is seen for the first time: columns, types, values of columns that have few; and note it."""
        fresh: set[tuple[str, str]] = set()
        if actor not in self._actors:
            self._actors.add(actor)
            fresh.add(("", "action"))
        for row in self._table.rows:
            records = self._records.get(row.scope)
            if records is None:
                records = self._records[row.scope] = _Records()
            for name in row.changed:
                if name in row.columns and "(" not in name and _is_fresh(records, row, name):
                    fresh.add((row.scope, name))
        return fresh

    def _watch(self, row: RecordRow, seq: int, actor: str, fresh: set[tuple[str, str]]) -> None:
        records = self._records[row.scope]
        touched = {id(relation): relation for name in row.changed for relation in records.by_column.get(name, ())}
        for relation in touched.values():
            if relation.kind is RelationKind.KEEPS:
                continue
            targets = self._ids(relation.target) if relation.kind is RelationKind.REFERENCE else ()
            self._judge(relation, row, relation.holds_in(row, targets), seq, actor, fresh)

    def _judge(
        self,
        relation: Relation,
        row: RecordRow,
        holds: bool | None,
        seq: int,
        actor: str,
        fresh: set[tuple[str, str]],
    ) -> None:
        if holds is None:
            return
        if holds:
            healed = relation.broken.pop(row.place, None)
            if healed is not None:
                healed.healed = seq
            relation.keep(row, actor, self._epoch)
            if relation.kind is RelationKind.RISES:
                relation.first.setdefault(row.place, row.before[relation.columns[0]])
            return
        if row.place in relation.broken:
            return
        own = {(relation.scope, name) for name in relation.columns}
        is_churn = any(name in column for name in self._table.churned for column in relation.columns)
        found = relation.broke(row, seq, actor, self._epoch, bool(fresh - own) or is_churn)
        found.is_mild = found.is_mild or (
            bool(actor) and found.known < _KNOWN and relation.kind is not RelationKind.VALUES
        )
        relation.broken[row.place] = found
        self._pending.append((relation, found))

    def _ids(self, target: str) -> Mapping[Value, object]:
        collection = self._targets.get(target)
        return {} if collection is None else self._table.collections[collection].members

    @property
    def _targets(self) -> dict[str, Place]:
        """Collections of the state as a whole, by what expressions call them."""
        return {
            kept.name: place
            for place, kept in self._table.collections.items()
            if kept.name.count(".") == len(place) - 1
        }

    def _watch_removals(self, seq: int, actor: str, fresh: set[tuple[str, str]]) -> None:
        """Ask the records that refer to a member that went."""
        if not self._table.gone:
            return
        targets = self._targets
        for records in self._records.values():
            for relation in [kept for kept in records.relations.values() if kept.kind is RelationKind.REFERENCE]:
                if relation.is_dead:
                    continue
                place = targets.get(relation.target)
                lost = {key for gone, key, _ in self._table.gone if gone == place}
                if lost:
                    self._ask_referrers(relation, lost, seq, actor, fresh)

    def _ask_referrers(
        self, relation: Relation, lost: set[Value], seq: int, actor: str, fresh: set[tuple[str, str]]
    ) -> None:
        name = relation.columns[0]
        referred = any(row.before.get(name) in lost for row in self._table.rows if row.scope == relation.scope)
        referred = referred or any(
            columns.get(name) in lost
            for place, _, columns in self._table.gone
            if self._kind_at(place) == relation.scope
        )
        relation.cascades += referred
        for place, columns in self._all(relation.scope):
            if columns.get(name) in lost and place not in relation.broken:
                row = RecordRow(relation.scope, place, columns, {}, frozenset((name,)))
                own = {(relation.scope, name)}
                found = relation.broke(row, seq, actor, self._epoch, bool(fresh - own))
                found.is_tried = found.is_tried and relation.cascades >= _KNOWN
                relation.broken[place] = found
                self._pending.append((relation, found))

    def _kind_at(self, place: Place) -> str:
        kept = self._table.collections.get(place)
        return "" if kept is None else kept.scope

    def _all(self, scope: str) -> Iterator[tuple[Place, Columns]]:
        """Yield the records of one kind, each with its place."""
        count = 0
        if not scope:
            yield (), self._table.root
        for place, kept in self._table.collections.items():
            if kept.scope == scope and count < _RECORDS:
                count += len(kept.members)
                for key, (_, columns) in kept.members.items():
                    yield (*place, key), columns

    def _watch_totals(self, seq: int, actor: str, fresh: set[tuple[str, str]]) -> None:
        """Watch what actions move from one record to another: their sum stays the same."""
        if not actor:
            return
        moved = Counter(
            (row.scope, name) for row in self._table.rows if row.scope for name in row.changed if not row.is_new
        )
        records = self._records.setdefault("", _Records())
        root = next((row for row in self._table.rows if not row.scope), None)
        for total, member in self._table.totals.items() if moved else ():
            if not moved[member] or total not in self._table.root:
                continue
            now = self._table.root[total]
            before = root.before.get(total, now) if root is not None else now
            row = RecordRow("", (), self._table.root, {total: before}, frozenset((total,)))
            known = records.relations.get((RelationKind.KEEPS, (total,), actor))
            if known is None:
                known = records.add(Relation(RelationKind.KEEPS, "", (total,), target=actor))
                if known is not None and moved[member] < 2:
                    records.drop(known)
            if known is None or known.is_dead:
                continue
            holds = known.holds_in(row)
            if holds and moved[member] < 2:
                continue
            self._judge(known, row, holds, seq, actor, fresh)
            # Each entry is a move of its own: that the sum stays where a break left it is nothing broken.
            known.broken.clear()

    def _close(self) -> None:
        """End an action: what is still broken was not mended by it."""
        pending, self._pending = self._pending, []
        for relation, found in pending:
            if found.healed is not None or relation.is_dead:
                continue
            if relation.kind is RelationKind.AT_MOST or relation.breaks:
                relation.take(found)
            elif found.is_tried:
                relation.take(found)
                if found.is_mild:
                    self._records[relation.scope].drop(relation)
            else:
                self._records[relation.scope].drop(relation)

    def _learn(self, row: RecordRow) -> None:
        """Keep a row in the sample of its kind, and look for relations now and then."""
        records = self._records[row.scope]
        records.sample.append(dict(row.columns))
        records.rows += 1
        if row.scope and (records.rows <= _SAMPLE or records.rows in _AGAIN):
            for relation in totals(row.scope, row.columns):
                records.add(relation)
        has_more = not row.is_new and any(name not in row.before for name in row.changed)
        if has_more and records.again_at is None and records.seedings < _SEEDINGS:
            records.again_at = records.rows + _SAMPLE
        if records.rows not in _AGAIN and records.rows != records.again_at:
            return
        records.again_at = None
        records.seedings += 1
        for relation in seeds(row.scope, records.sample):
            kept = records.add(relation)
            if kept is not None:
                self._prove(kept, records)
        targets = {
            name: (self._table.collections[place].scope, frozenset(self._table.collections[place].members))
            for name, place in self._targets.items()
        }
        present = [columns for _, columns in self._all(row.scope)]
        for relation in references(row.scope, present, targets):
            records.add(relation)

    def _prove(self, relation: Relation, records: _Records) -> None:
        """Let a new relation withstand the sample that it was found in; its rows are no changes from one to the next."""
        if relation.kind in (RelationKind.RISES, RelationKind.VALUES):
            return
        for columns in records.sample:
            row = RecordRow(relation.scope, (), columns, {}, frozenset())
            if relation.holds_in(row) is False and relation.kind is not RelationKind.AT_MOST:
                records.drop(relation)
                return

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`: which breaks are faults is judged by all that there were."""
        self._close()
        found: dict[int, list[tuple[Relation, Break]]] = {}
        for records in self._records.values():
            for relation in records.relations.values():
                first = _first_fault(relation)
                if first is not None:
                    found.setdefault(first.seq, []).append((relation, first))
        for seq in sorted(found):
            at = sorted(found[seq], key=lambda item: (item[1].is_mild, _FIRST.index(item[0].kind), -item[1].support))
            yield self._finding(*at[0], len(at) - 1)

    def _finding(self, relation: Relation, found: Break, others: int) -> CheckFinding:
        place = spell(found.place)
        path = f"{place}.{relation.columns[0]}" if place and relation.columns[0] not in (KEY, "@") else place
        path = path or relation.columns[0]
        actor = f" by {found.actor.rpartition(' ')[2]!r}" if relation.kind is RelationKind.KEEPS else ""
        often = "" if len(relation.breaks) == 1 else f" {len(relation.breaks):,} times, first at #{found.seq:,}"
        more = f"; so do {others} more relations" if others > 1 else "; so does 1 more relation" if others else ""
        held = (
            f"held for {found.support:,} changes"
            if relation.kind is not RelationKind.AT_MOST
            else f"held {relation.total:,} times"
        )
        text = f"{relation.text}{actor} {held} and breaks{often}: {found.told}{more}"
        healed = [item.healed for item in relation.breaks]
        recovered = None if not healed or None in healed else max(item for item in healed if item is not None)
        severity = "info" if found.is_mild else "warning"
        return CheckFinding(
            self._scope.name,
            found.seq,
            path,
            text,
            found.seq,
            severity=severity,
            entries=None,
            recovered_at=recovered,
        )

    def left_out(self) -> tuple[str, ...]:
        """Return what was not looked at, and why."""
        told = [f"relations were not looked for in {text}" for text in sorted(self._table.left_out)]
        if self._stopped_at is not None:
            told.append(
                f"relations were looked for up to entry {self._stopped_at} only, within {self._seconds:g} s of CPU; "
                "a rule with check = 'mined' and more seconds looks further"
            )
        return tuple(told)


def _is_fresh(records: _Records, row: RecordRow, name: str) -> bool:
    value = row.columns[name]
    types = records.types.setdefault(name, set())
    kind = float if is_number(value) else type(value)
    if kind not in types:
        types.add(kind)
        records.values.setdefault(name, set()).add(value)
        return True
    if isinstance(value, bool | str) and name != KEY:
        values = records.values[name]
        if value not in values and len(values) <= _FEW:
            values.add(value)
            return len(values) <= _FEW
        return False
    if row.scope or not is_number(value) or name in records.constant:
        return False
    # A setting that is changed for the first time, such as a tax from 0 to 20 %.
    records.constant[name] = False
    return True


def _first_fault(relation: Relation) -> Break | None:
    """Return the break to report of a relation, or None where none of them is a fault."""
    if not relation.breaks:
        return None
    if relation.kind is not RelationKind.AT_MOST:
        return relation.breaks[0]
    actors = {found.actor for found in relation.breaks}
    others = [count for actor, count in relation.holds_by.items() if actor not in actors and count >= 5]
    own = sum(relation.holds_by[actor] for actor in actors)
    is_rare = 4 * len(relation.breaks) <= relation.total and own <= len(relation.breaks)
    is_one = len(actors) == 1 and "" not in actors and len(others) >= 2
    is_met = relation.visits >= 5 and 15 * relation.visits >= relation.total
    if not is_one or not is_rare or not is_met or len(relation.breaks) < 3 or relation.total < 30:
        return None
    found = relation.breaks[0]
    found.is_mild = False
    return found
