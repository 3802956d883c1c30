"""States as rows of columns: what relations are looked for between.

The state as a whole is one record, and so is each member of a collection in it (a list, or an object whose keys come and
go). A record's columns are the scalars in it and its inner objects, and for each collection in it the number of its
members, the sums of their numbers, and how many have each of a few values. Columns are called as expressions call them:
`till.revenue`, `length(orders)`, `sum(orders[].total)`. Only the changes from entry to entry are worked out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from unspool.delta.identity import names_identity
from unspool.model.values import MISSING, Value
from unspool.query.findings import spell

Columns = Mapping[str, Value]
Place = tuple[str | int, ...]

_MEMBERS: Final = 5000
"""Members of a collection beyond which only their number is looked at."""
_COLUMNS: Final = 200
"""Columns of one record."""
_SUMMED: Final = 12
"""Numeric columns of members that are added up."""
_COUNTED: Final = 6
"""Values of one column by which members are counted."""
_LEVELS: Final = 8
_TEXT: Final = 64
"""Characters of a text beyond which only their number is a column."""
KEY: Final = "keys(@)"
"""The column of a member's own key in an object."""
ITSELF: Final = "@"
"""The column of a member that is a scalar."""


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record that an entry changed or made.

    Attributes:
        scope: which kind of record: `carts.*`, `orders[*]`, "" for the state as a whole.
        place: where it stands, records of lists by their identity.
        columns: its columns after the entry.
        before: the columns that changed, as they were before; those that are new are left out.
        changed: names of the columns that changed.
        is_new: the record was not there before.
        is_certain: the record is known to be the same as at the entry before.
    """

    scope: str
    place: Place
    columns: Columns
    before: Columns
    changed: frozenset[str]
    is_new: bool = False
    is_certain: bool = True


@dataclass(slots=True)
class _Kind:
    """What is known of the members of one kind of collection."""

    numbers: dict[str, None] = field(default_factory=dict)
    values: dict[str, set[Value]] = field(default_factory=dict)


@dataclass(slots=True)
class Collection:
    """The members of one collection.

    Attributes:
        scope: which kind of record its members are.
        name: what expressions call it in the record it stands in.
        value: its members as they are.
        keys: the identities of the members, in their order.
        members: each member with its columns, by key.
        is_certain: whether keys are the same from entry to entry; a place in a list is not.
        sums: what numeric columns of the members come to.
        counts: how many members have a value in a column.
    """

    scope: str
    name: str
    value: Any = None
    keys: list[Value] = field(default_factory=list)
    members: dict[Value, tuple[Value, Columns]] = field(default_factory=dict)
    is_certain: bool = True
    sums: dict[str, float] = field(default_factory=dict)
    counts: Counter[tuple[str, Value]] = field(default_factory=Counter)

    def tally(self, columns: Columns, sign: int) -> None:
        """Add the columns of a member to the totals, or take them away again."""
        for name, value in columns.items():
            if name == KEY or names_identity(name):
                continue
            if isinstance(value, bool | str):
                self.counts[name, value] += sign
            elif is_number(value):
                self.sums[name] = self.sums.get(name, 0) + sign * value


class Table:
    """The rows of one history, entry by entry."""

    def __init__(self) -> None:
        """Know no state."""
        self._state: dict[str, Value] = {}
        self._root: dict[str, Value] = {}
        self._groups: dict[Place, dict[str, Value]] = {}
        self._kinds: dict[str, _Kind] = {}
        self._is_map: dict[str, bool] = {}
        self.collections: dict[Place, Collection] = {}
        self.totals: dict[str, tuple[str, str]] = {}
        """Columns that are sums, with the kind of record and the column they add up."""
        self.rows: list[RecordRow] = []
        """Rows of the newest entry: members first, the state as a whole last."""
        self.gone: list[tuple[Place, Value, Columns]] = []
        """Members that went with the newest entry: collection, key and columns."""
        self.churned: set[str] = set()
        """Names of the collections that both gained and lost members with the newest entry."""
        self.left_out: set[str] = set()
        """What was too large to be looked at."""

    @property
    def root(self) -> Columns:
        """The columns of the state as a whole."""
        return self._root

    @property
    def atoms(self) -> frozenset[str]:
        """Names of the atoms that there are."""
        return frozenset(self._state)

    def move(self, values: Mapping[str, Value]) -> None:
        """Go to the next entry.

        Args:
            values: the atoms that changed, in JSON types; `MISSING` for one that went.
        """
        self.rows, self.gone, self.churned = [], [], set()
        before: dict[str, Value] = {}
        changed: set[str] = set()
        for atom, value in values.items():
            old = self._groups.get((atom,), {})
            try:
                group = (
                    {} if value is MISSING else self._part(_quoted(atom), atom, (atom,), value, self._state.get(atom))
                )
            except RecursionError:
                # Python compares two values level by level; what is nested thousands of levels deep has no columns.
                self.left_out.add(f"{atom}, which is nested too deeply")
                group = {}
            if value is MISSING:
                self._state.pop(atom, None)
            else:
                self._state[atom] = value
            self._groups[atom,] = group
            for name in old.keys() | group.keys():
                known, now = old.get(name, MISSING), group.get(name, MISSING)
                if known is now or known == now:
                    continue
                changed.add(name)
                if known is not MISSING:
                    before[name] = known
                if now is MISSING:
                    self._root.pop(name, None)
                elif name in self._root or len(self._root) < _COLUMNS:
                    self._root[name] = now
                else:
                    self.left_out.add(f"columns beyond {_COLUMNS}")
        if changed:
            self.rows.append(RecordRow("", (), self._root, before, frozenset(changed)))

    def _part(self, name: str, shape: str, place: Place, value: Value, old: Value) -> dict[str, Value]:
        """Return the columns that a value adds to the record it stands in, called by `name` there."""
        if isinstance(value, str) and len(value) > _TEXT:
            return {f"length({name})": len(value)}
        if not isinstance(value, dict | list):
            return {name: value}
        if len(place) > _LEVELS:
            self.left_out.add(f"what is deeper than {_LEVELS} levels")
            return {}
        if old is not None and type(old) is type(value) and old == value and place in self._groups:
            return self._groups[place]
        if isinstance(value, list) or self._is_collection(shape, value, old):
            group = self._collection(name, shape, place, value)
        else:
            group = {}
            for key, item in value.items():
                known = old.get(key) if isinstance(old, dict) else None
                group |= self._part(f"{name}.{_quoted(key)}", f"{shape}.{key}", (*place, key), item, known)
                if len(group) > _COLUMNS:
                    self.left_out.add(f"columns beyond {_COLUMNS}")
                    break
        self._groups[place] = group
        return group

    def _is_collection(self, shape: str, value: dict[str, Value], old: Value) -> bool:
        """Whether an object's keys name members rather than fields: they come and go, or all hold the same fields."""
        known = self._is_map.get(shape)
        if known:
            return True
        if known is None:
            items = list(value.values())
            fields = {frozenset(item) if isinstance(item, dict) else None for item in items}
            known = not items or (len(items) > 1 and len(fields) == 1 and None not in fields)
        elif isinstance(old, dict) and old.keys() != value.keys():
            known = True
        self._is_map[shape] = known
        return known

    def _collection(
        self, name: str, shape: str, place: Place, value: dict[str, Value] | list[Value]
    ) -> dict[str, Value]:
        if len(value) > _MEMBERS:
            self.left_out.add(f"members of {name}, which has more than {_MEMBERS}")
            self.collections.pop(place, None)
            return {f"length({name})": len(value)}
        scope = f"{shape}[*]" if isinstance(value, list) else f"{shape}.*"
        kept = self.collections.get(place)
        if kept is None or type(kept.value) is not type(value):
            kept = self.collections[place] = Collection(scope, name)
        same, items = _unlike(kept, value)
        old = kept.keys[same:]
        if isinstance(value, list):
            is_certain, keys = _keys_of(items, kept.members.keys() - set(old))
            if not is_certain or not kept.is_certain:
                # Places in a list tell which record is which only until one goes; all are looked at anew.
                same, old = (same, old) if not kept.is_certain or not kept.keys else (0, kept.keys)
                keys = list(range(same, len(value)))
                items, kept.is_certain = value[same:], False
        else:
            keys = list(value)[same:]
        self._replace(kept, place, old, list(zip(keys, items, strict=True)))
        kept.keys[same:] = keys
        kept.value = value
        return dict(self._totals(name, kept))

    def _replace(self, kept: Collection, place: Place, old: list[Value], items: list[tuple[Value, Value]]) -> None:
        """Take members out of a collection and others in; those that are among both are changed."""
        was = {key: kept.members.pop(key) for key in old}
        changes = 0
        for key, member in items:
            before = was.get(key)
            if before is not None and before[0] == member and type(before[0]) is type(member):
                kept.members[key] = was.pop(key)
                continue
            changes += 1
            columns = self._columns(kept.scope, (*place, key), key, member, before)
            known: Columns = {} if before is None else before[1]
            kept.members[key] = (member, columns)
            kept.tally(columns, 1)
            self._learn(kept.scope, columns)
            changed = frozenset(
                item for item in columns.keys() | known.keys() if known.get(item) != columns.get(item)
            )
            if changed:
                self.rows.append(
                    RecordRow(kept.scope, (*place, key), columns, known, changed, before is None, kept.is_certain)
                )
        has_come = bool(kept.members.keys() - set(kept.keys))
        gone = was.keys() - kept.members.keys()
        for key, (_, columns) in was.items():
            kept.tally(columns, -1)
            if key in gone:
                self.gone.append((place, key, columns))
                self._forget((*place, key))
        if (gone and has_come) or (not kept.is_certain and changes > 1 and len(items) <= len(old)):
            self.churned.add(kept.name)

    def _forget(self, place: Place) -> None:
        """Forget what stood inside a member that went."""
        known: dict[Place, Any]
        for known in (self._groups, self.collections):
            for inside in [other for other in known if other[: len(place)] == place]:
                del known[inside]

    def _columns(
        self, scope: str, place: Place, key: Value, member: Value, before: tuple[Value, Columns] | None
    ) -> Columns:
        columns: dict[str, Value] = {}
        if isinstance(member, dict):
            old = before[0] if before is not None and isinstance(before[0], dict) else {}
            for name, item in member.items():
                columns |= self._part(_quoted(name), f"{scope}.{name}", (*place, name), item, old.get(name))
                if len(columns) > _COLUMNS:
                    self.left_out.add(f"columns beyond {_COLUMNS}")
                    break
        elif not isinstance(member, list):
            columns[ITSELF] = member
        if scope.endswith(".*"):
            columns[KEY] = key
        return columns

    def _learn(self, scope: str, columns: Columns) -> None:
        kind = self._kinds.setdefault(scope, _Kind())
        for name, value in columns.items():
            if name == KEY or names_identity(name):
                continue
            if is_number(value):
                if len(kind.numbers) < _SUMMED:
                    kind.numbers[name] = None
            elif isinstance(value, bool | str):
                values = kind.values.setdefault(name, set())
                if len(values) <= _COUNTED:
                    values.add(value)

    def _totals(self, name: str, kept: Collection) -> Iterator[tuple[str, Value]]:
        """Yield the columns that a collection adds to the record it stands in."""
        yield f"length({name})", len(kept.members)
        is_list = isinstance(kept.value, list)
        kind = self._kinds.get(kept.scope, _Kind())
        whole = name if is_list else f"values({name})"
        for column in kind.numbers:
            listed = whole if column == ITSELF else f"{name}{'[]' if is_list else '.*'}.{column}"
            self.totals[f"sum({listed})"] = (kept.scope, column)
            yield f"sum({listed})", kept.sums.get(column, 0)
        for column, values in kind.values.items():
            if column == ITSELF or len(values) > _COUNTED:
                continue
            for value in values:
                spelled = f"`{'true' if value else 'false'}`" if isinstance(value, bool) else f"'{value}'"
                yield f"length({whole}[?{column} == {spelled}])", kept.counts[column, value]


def is_number(value: Value) -> TypeGuard[int | float]:
    """Whether a value is a number that can be calculated with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) < 1e15


def number_in(value: Value) -> float | None:
    """Return a number to calculate with, or None where a value is none."""
    return value if is_number(value) else None


def _unlike(kept: Collection, value: dict[str, Value] | list[Value]) -> tuple[int, list[Value]]:
    """Return how many members at the beginning are the same as before, and the members from there on."""
    if isinstance(value, list):
        new, old = value, kept.value or []
    else:
        new, old = list(value.items()), list((kept.value or {}).items())
    same = 0
    for size in (1024, 64, 8, 1):
        while new[same : same + size] == old[same : same + size] and same + size <= min(len(new), len(old)):
            same += size
    return same, value[same:] if isinstance(value, list) else [member for _, member in new[same:]]


def _keys_of(items: list[Value], taken: AbstractSet[Value]) -> tuple[bool, list[Value]]:
    """Return the key that identifies members of a list, and whether that holds from entry to entry."""
    first = items[0] if items else None
    if isinstance(first, dict):
        for name in filter(names_identity, first):
            keys = [item.get(name) if isinstance(item, dict) else None for item in items]
            if all(isinstance(key, str | int) for key in keys) and _are_apart(keys, taken):
                return True, keys
        return False, []
    return all(isinstance(item, str) for item in items) and _are_apart(items, taken), list(items)


def _are_apart(keys: list[Value], taken: AbstractSet[Value]) -> bool:
    return len(set(keys)) == len(keys) and not taken & set(keys)


def _quoted(key: str) -> str:
    plain = spell((key,))
    return plain if plain == key else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
