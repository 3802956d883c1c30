"""States as rows of columns: what relations are looked for between.

The state as a whole is one record, and so is each member of a collection in it (a list, or an object whose keys come and
go). A record's columns are the scalars in it and its inner objects, and for each collection in it the number of its
members, the sums of their numbers, and how many have each of a few values. Columns are called as expressions call them:
`till.revenue`, `length(orders)`, `sum(orders[].total)`. Only what changed from entry to entry is worked out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from unspool.delta.identity import names_identity
from unspool.model.values import MISSING, Value
from unspool.query.checkers_patterns import spell

Columns = Mapping[str, Value]
Place = tuple[str | int, ...]

_MEMBERS: Final = 500
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
class Row:
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
    """The members of one collection by key, each with its value and its columns."""

    scope: str
    name: str
    members: dict[Value, tuple[Value, Columns]]


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
        self.rows: list[Row] = []
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
            group = {} if value is MISSING else self._part(_quoted(atom), atom, (atom,), value, self._state.get(atom))
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
            self.rows.append(Row("", (), self._root, before, frozenset(changed)))

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
        is_list = isinstance(value, list)
        scope = f"{shape}[*]" if is_list else f"{shape}.*"
        if len(value) > _MEMBERS:
            self.left_out.add(f"members of {name}, which has more than {_MEMBERS}")
            self.collections.pop(place, None)
            return {f"length({name})": len(value)}
        is_certain, items = _keyed(value)
        known = self.collections.get(place)
        old = known.members if known is not None else {}
        new: dict[Value, tuple[Value, Columns]] = {}
        changes = 0
        for key, member in items:
            before = old.get(key)
            if before is not None and before[0] == member and type(before[0]) is type(member):
                new[key] = before
                continue
            changes += 1
            columns = self._columns(scope, (*place, key), key, member, before)
            new[key] = (member, columns)
            self._learn(scope, columns)
            was: Columns = {} if before is None else before[1]
            changed = frozenset(item for item in columns.keys() | was.keys() if was.get(item) != columns.get(item))
            if changed:
                self.rows.append(Row(scope, (*place, key), columns, was, changed, before is None, is_certain))
        lost = old.keys() - new.keys()
        for key in lost:
            self.gone.append((place, key, old[key][1]))
            self._forget((*place, key))
        came = new.keys() - old.keys()
        if (lost and came) or (not is_certain and changes > 1 and len(new) <= len(old)):
            self.churned.add(name)
        self.collections[place] = Collection(scope, name, new)
        return dict(self._totals(name, scope, is_list, [columns for _, columns in new.values()]))

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

    def _totals(self, name: str, scope: str, is_list: bool, members: list[Columns]) -> Iterator[tuple[str, Value]]:
        """Yield the columns that a collection adds to the record it stands in."""
        yield f"length({name})", len(members)
        kind = self._kinds.get(scope, _Kind())
        inside = f"{name}[]" if is_list else f"{name}.*"
        for column in kind.numbers:
            numbers = [value for value in (columns.get(column) for columns in members) if is_number(value)]
            listed = (name if is_list else f"values({name})") if column == ITSELF else f"{inside}.{column}"
            self.totals[f"sum({listed})"] = (scope, column)
            yield f"sum({listed})", sum(numbers)
        for column, values in kind.values.items():
            if column == ITSELF or len(values) > _COUNTED:
                continue
            for value in values:
                spelled = f"`{'true' if value else 'false'}`" if isinstance(value, bool) else f"'{value}'"
                whole = name if is_list else f"values({name})"
                count = sum(columns.get(column) == value for columns in members)
                yield f"length({whole}[?{column} == {spelled}])", count


def is_number(value: Value) -> TypeGuard[int | float]:
    """Whether a value is a number that can be calculated with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) < 1e15


def number_in(value: Value) -> float | None:
    """Return a number to calculate with, or None where a value is none."""
    return value if is_number(value) else None


def _keyed(value: dict[str, Value] | list[Value]) -> tuple[bool, list[tuple[Value, Value]]]:
    """Return the members of a collection by what tells them apart, and whether that holds from entry to entry."""
    if isinstance(value, dict):
        return True, list(value.items())
    first = value[0] if value else None
    if isinstance(first, dict):
        for name in filter(names_identity, first):
            keys = [item.get(name) if isinstance(item, dict) else None for item in value]
            if all(isinstance(key, str | int) for key in keys) and len(set(keys)) == len(keys):
                return True, list(zip(keys, value, strict=True))
    elif all(isinstance(item, str) for item in value) and len(set(value)) == len(value):
        return True, [(item, item) for item in value]
    return not value, list(enumerate(value))


def _quoted(key: str) -> str:
    plain = spell((key,))
    return plain if plain == key else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
