"""The filter language of the history list: words that must all hold; `!` in front of one turns it round."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.errors import UnspoolError
from unspool.model.entries import KINDS
from unspool_tui.view.overview import EntryColumns

if TYPE_CHECKING:
    from unspool.history.history import History

Keep = Callable[[int], bool]
"""Says whether an entry is shown."""

_TERM: Final = re.compile(r'(?P<no>!?)(?:(?P<field>[a-z]+)(?P<sign>[:<>=]))?(?:"(?P<quoted>[^"]*)"|(?P<word>\S+))')
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?\Z", re.IGNORECASE)
_FACTORS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
TEXT_FIELDS: Final = ("action", "atom", "kind")
NUMBER_FIELDS: Final = ("bytes", "changes", "seq")
HELP: Final = (
    "words match action or atom; kind:full  atom:cart  action:pay  changes>3  bytes>10k  seq<500  !word inverts"
)


class FilterSyntaxError(UnspoolError, ValueError):
    """A filter that does not parse; the message names the word."""


class FilterTerm(Struct, frozen=True):
    """One word of a filter.

    Attributes:
        field: what is looked at; empty for plain text.
        sign: `:` has, `<`, `>` or `=`.
        wanted: the text looked for, or the number compared with.
        inverted: the entry is shown when the word does not hold.
    """

    field: str
    sign: str
    wanted: str
    inverted: bool


def parse_filter(text: str) -> tuple[FilterTerm, ...]:
    """Read a filter.

    Raises:
        FilterSyntaxError: a field that does not exist or a number that is none.
    """
    terms = []
    for match in _TERM.finditer(text.strip()):
        field, sign = match["field"] or "", match["sign"] or ":"
        wanted = match["quoted"] if match["quoted"] is not None else match["word"]
        if field and field not in TEXT_FIELDS + NUMBER_FIELDS:
            raise FilterSyntaxError(_unknown(field))
        if field in NUMBER_FIELDS:
            wanted = str(_number(field, wanted))
        elif sign in "<>":
            raise FilterSyntaxError(f"{field}{sign}{wanted}: only {', '.join(NUMBER_FIELDS)} can be compared")
        terms.append(FilterTerm(field, sign, wanted, bool(match["no"])))
    return tuple(terms)


def filter_of_action(action: str, *, inverted: bool = False) -> str:
    """Return the filter that shows the entries of an action, or hides them; a quote in it cannot be asked for exactly."""
    longest = max(action.split('"'), key=len)
    return f'{"!" if inverted else ""}action{"=" if longest == action else ":"}"{longest}"'


def _unknown(field: str) -> str:
    near = get_close_matches(field, TEXT_FIELDS + NUMBER_FIELDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(TEXT_FIELDS + NUMBER_FIELDS)}"
    return f"the filter knows no field {field[:40]!r}: {hint}"


def _number(field: str, text: str) -> float:
    match = _SIZE.match(text)
    if match is None:
        raise FilterSyntaxError(f"{field} is compared with a number such as 3 or 10k, not with {text[:40]!r}")
    return float(match[1]) * _FACTORS[match[2].lower()]


def compile_filter(terms: tuple[FilterTerm, ...], history: History) -> Keep:
    """Return the function that says whether an entry passes all terms."""
    columns = history.columns()
    keeps = [_compile(term, history, columns) for term in terms]
    return lambda seq: all(keep(seq) for keep in keeps)


def _compile(term: FilterTerm, history: History, columns: EntryColumns) -> Keep:
    keep = _number_test(term, columns) if term.field in NUMBER_FIELDS else _text_test(term, history, columns)
    return (lambda seq: not keep(seq)) if term.inverted else keep


def _number_test(term: FilterTerm, columns: EntryColumns) -> Keep:
    wanted = float(term.wanted)
    compare: dict[str, Callable[[float], bool]] = {
        ":": lambda value: value == wanted,
        "=": lambda value: value == wanted,
        "<": lambda value: value < wanted,
        ">": lambda value: value > wanted,
    }
    holds = compare[term.sign]
    if term.field == "bytes":
        return lambda seq: holds(columns.stored[seq])
    if term.field == "seq":
        return holds
    return lambda seq: holds(columns.added[seq] + columns.modified[seq] + columns.deleted[seq])


def _text_test(term: FilterTerm, history: History, columns: EntryColumns) -> Keep:
    wanted = term.wanted.casefold()
    if term.field == "kind":
        kind = next((number for name, number in KINDS.items() if name.startswith(wanted)), None)
        if kind is None:
            raise FilterSyntaxError(f"kind is full, delta or note, not {term.wanted[:40]!r}")
        return lambda seq: columns.kind[seq] == kind
    exact = term.sign == "="

    def found_in(text: str) -> bool:
        folded = text.casefold()
        return folded == wanted if exact else wanted in folded

    def in_action(seq: int) -> bool:
        return found_in(history.action(seq))

    def in_atoms(seq: int) -> bool:
        return any(found_in(atom) for atom, _ in history.changed_atoms(seq))

    if term.field == "action":
        return in_action
    if term.field == "atom":
        return in_atoms
    return lambda seq: in_action(seq) or in_atoms(seq)


class Rows:
    """Row number to entry number and back, in O(log n), without one object an entry."""

    __slots__ = ("_first", "_kept", "_total")

    def __init__(self, total: int, kept: array[int] | None = None, *, first: int = 0) -> None:
        """Make the rows of the entries from `first` to `total - 1`; `kept` holds the ascending numbers of those shown."""
        self._total = total
        self._first = first
        self._kept = kept

    def __len__(self) -> int:
        return self._total - self._first if self._kept is None else len(self._kept)

    def __getitem__(self, row: int) -> int:
        return self._first + row if self._kept is None else self._kept[row]

    def position(self, seq: int) -> int:
        """Return the row of an entry, or the row it would be inserted at."""
        return max(seq - self._first, 0) if self._kept is None else bisect_left(self._kept, seq)

    def begin_at(self, first: int) -> None:
        """Show no entry before `first` any more: those were dropped."""
        self._first = first
        if self._kept is not None:
            del self._kept[: bisect_left(self._kept, first)]

    def extend(self, seqs: Iterable[int], total: int) -> None:
        """Show more entries of a history that now has `total`."""
        self._total = total
        if self._kept is not None:
            self._kept.extend(seqs)

    @property
    def filtered(self) -> bool:
        """Only some entries are shown."""
        return self._kept is not None
