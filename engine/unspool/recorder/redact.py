"""Leaving secrets out of a recording, where values have become bytes: whatever container held them, they look alike there.

Nothing of a state reaches the store, or a message, by another way. Keys are compared, never the objects of the app, so
no code of the app runs in here.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import translate
from glob import escape
from itertools import islice, product
from typing import Final

import msgspec

from unspool.errors import ConfigError, EvaluationStopped, PathSyntaxError
from unspool.model.encoding import REFERENCE, encode
from unspool.model.keys import key_of
from unspool.model.limits import in_force
from unspool.model.paths import Glob, content_of, parse_path, parse_pattern
from unspool.model.values import Tagged, Unrepresentable, Value, walk
from unspool.model.wire import decode
from unspool.query.patterns import BoundedPattern

REDACTED: Final = "[redacted]"
"""What stands in the place of what was left out."""

ERROR_TEXTS: Final = b"args"
"""Field of an exception whose texts may quote what was left out elsewhere."""
WORD: Final = 4
"""Letters of a value left out from which it is looked for anywhere in texts; a shorter one is part of ordinary words, and looked for
as a word by itself."""
_SHORTEST_SECRET: Final = 2
_LONGEST_SPELLED: Final = 4096
"""Bytes up to which their other spellings are looked for; nobody puts more into an action."""
_MOST_LEARNED: Final = 1000
_MOST_KEYS: Final = 4096
_LITERAL: Final = re.compile(r"[^*?\[\]]+")


class PatternCursor(msgspec.Struct, frozen=True):
    """How far path patterns match on the way to a value.

    Attributes:
        depth: steps taken.
        active: path patterns that match all of them and have more.
    """

    depth: int
    active: tuple[int, ...] = ()


class Redaction:
    """Patterns of what to leave out.

    A pattern without a dot names a key, field or attribute at any depth (`password`), also as the first of two items
    (`("password", "…")`), a column, label or name of a table, and a parameter of a call; one of several steps is a path
    from the state's root, or from `meta` (`user.*.token`), also as paths are shown: `users[0].token`, `$.users[*].token`,
    `["odd key"].token`. `*`, `?` and `[…]` match within one step; what can be read both ways leaves out both. Letter
    case counts only where it is asked for. Leading underscores and
    the class that Python puts before private names need not be written: `password` names `_password` and `__password`
    too, `__password` only the latter. Values that were left out are taken out of the action, the entry's id and the
    meta of the same call too, and so is what follows a named key in such a text (`password=…`, `authorization: …`).
    """

    def __init__(
        self,
        patterns: Iterable[str] = (),
        *,
        ignore_case: bool = True,
        text: Iterable[str] = (),
        is_bounded: bool = False,
    ) -> None:
        """Compile patterns.

        Args:
            patterns: keys and paths.
            ignore_case: compare keys without regard to letter case: `password` names `Password` too.
            text: regular expressions; what they match is taken out of every text: values, keys, names of atoms,
                actions, ids, meta. Names that become the same by that are numbered.
            is_bounded: an expression that may not end is matched in a process of its own, and given up after
                `pattern_seconds`; a recorder starts no process in an app, whose own code the expressions are.

        Raises:
            ConfigError: a pattern is no text, or no regular expression.
        """
        if isinstance(patterns, str):
            raise ConfigError(f"redact is {patterns!r}; give a list of patterns, as in redact=[{patterns!r}]")
        known = tuple(patterns)
        for pattern in known:
            if not isinstance(pattern, str) or not pattern:
                raise ConfigError(f"redact holds {type(pattern).__name__} {pattern!r}; give texts such as 'password'")
        self._fold = ignore_case
        self._is_bounded = is_bounded
        split = [(parts, pattern) for pattern in known for parts in pattern_readings(pattern)]
        keys = [parts[0] for parts, _ in split if len(parts) == 1]
        paths = [parts for parts, _ in split if len(parts) > 1]
        self._given_keys = tuple(pattern for parts, pattern in split if len(parts) == 1)
        self._given_paths = tuple(pattern for parts, pattern in split if len(parts) > 1)
        self._matched_so_far: set[str] = set()
        self._keys = tuple(map(self._step_pattern, keys))
        self._paths = tuple(tuple(map(self._step_pattern, parts)) for parts in paths)
        self._key_needles = tuple(self._needle((key,)) for key in keys)
        self._path_needles = tuple(self._needle(parts[1:]) for parts in paths)
        self._known: dict[str, tuple[str, ...]] = {}
        flags = re.IGNORECASE if ignore_case else 0
        self._assigned = tuple(re.compile(_assignment(key), flags) for key in keys)
        self._labels: dict[str, str] = {}
        self._numbered = _Numbered()
        try:
            self._texts = tuple((re.compile(one), BoundedPattern(one)) for one in text)
        except (re.error, TypeError, RecursionError, OverflowError) as error:
            raise ConfigError(f"redact: {error}; text holds regular expressions") from None

    def _step_pattern(self, pattern: str) -> re.Pattern[str]:
        folded = translate(pattern.lower() if self._fold else pattern)
        # A set of letters as it stands is another one than that of their lower cases: neither may match less.
        return re.compile(f"{folded}|{translate(pattern)}" if self._fold and "[" in pattern else folded)

    def _needle(self, steps: tuple[str, ...]) -> bytes:
        """Return bytes without which nothing can match: a run of letters of a step that no position can match."""
        runs = [run for step in steps for run in self._runs(step)]
        return max(runs, key=len, default="").encode("utf-8", "surrogatepass")

    def _runs(self, step: str) -> Iterator[str]:
        if "[" in step:
            return
        for run in _LITERAL.findall(step):
            if not all(letter.isdigit() for letter in step if letter not in "*?"):
                # Lower case of bytes is that of ASCII; `i` and `k` are lower cases of other letters too.
                yield from re.findall(r"[!-hjl-~]+", run.lower()) if self._fold else [run]

    def may_touch(self, atom: str | None, data: bytes) -> bool:
        """Whether anything in a wire form may have to be left out.

        Args:
            atom: whose it is; None for that of a whole state.
            data: the wire form; its keys are text.
        """
        if self._texts or (atom is not None and self._is_key(atom)):
            return True
        held = data.lower() if self._fold else data
        if any(needle in held for needle in self._key_needles):
            return True
        for path, needle in zip(self._paths, self._path_needles, strict=True):
            if needle in held and (atom is None or self._matches(path[0], atom)):
                return True
        return False

    def apply(self, root: str, data: bytes, secrets: set[str], *, is_named: bool = True) -> bytes:
        """Return a wire form without what the patterns name.

        Args:
            root: the atom's name, or `meta`: the first step of paths.
            data: the wire form.
            secrets: gets the texts that were left out; those in it already are taken out of every text.
            is_named: the root is a name of the app's own, that patterns may name.
        """
        value = decode(data)
        if is_named and self._is_key(root):
            _learn(value, secrets)
            return encode(REDACTED)
        active = tuple(number for number, path in enumerate(self._paths) if self._matches(path[0], root))
        clean = self._rebuilt(value, PatternCursor(1, active), secrets, scrub=not is_named)
        return encode(clean)

    def clean_text(self, text: str, secrets: Iterable[str]) -> str:
        """Return a text without secrets, what follows the name of one, and what the expressions for texts match."""
        # All of them are looked for in the text as it is: what one takes out may be what another is recognised by.
        spans = [span for secret in secrets for span in _places(secret, text)]
        for assigned, given in zip(self._assigned, self._given_keys, strict=True):
            found = [match.span(match.lastindex or 0) for match in assigned.finditer(text)]
            if found:
                self._matched_so_far.add(given)
                spans += found
        return _without(text, [*spans, *self._matched(text)])

    def atom_name(self, name: str) -> str:
        """Return how an atom is called in the recording: the same for the same name, different for different ones."""
        if not self._texts:
            return name
        label = self._labels.get(name)
        if label is None:
            clean = self._without_matches(name)
            if clean == name and REDACTED not in name:
                return name
            label = self._labels[name] = self._numbered.next(clean)
        return label

    def unmatched(self, given: Iterable[str]) -> list[str]:
        """Return which of the patterns and expressions that were given have met nothing yet."""
        return [one for one in dict.fromkeys(given) if one not in self._matched_so_far]

    def _matched(self, text: str) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        limits = in_force() if self._texts else None
        for unbounded, expression in self._texts:
            assert limits is not None
            try:
                if self._is_bounded:
                    spans = expression.spans(text, limits.pattern_seconds)
                else:
                    spans = [match.span() for match in unbounded.finditer(text)]
            except (TimeoutError, OSError) as error:
                late = (
                    "takes too long" if isinstance(error, TimeoutError) else f"needs a process of its own ({error})"
                )
                raise EvaluationStopped(
                    f"the expression {expression.pattern[:80]!r} of what to leave out {late} on a text of {len(text):,} "
                    f"characters; repeat fewer things inside repeated ones, or: {limits.remedy('pattern_seconds')}"
                ) from None
            if spans:
                self._matched_so_far.add(expression.pattern)
                found += spans
        return found

    def _without_matches(self, text: str) -> str:
        return _without(text, self._matched(text)) if self._texts else text

    def _rebuilt(self, value: Value, cursor: PatternCursor, secrets: set[str], *, scrub: bool) -> Value:
        """Rebuild a value from its leaves up, without recursion but for keys that are no text."""
        root: list[Value] = [None]
        made: list[tuple[type, Value, list[Value], list[Value], int]] = []
        todo: list[tuple[Value, PatternCursor, list[Value], int]] = [(value, cursor, root, 0)]
        quoting: list[tuple[list[Value], int]] = []
        leaves: list[tuple[list[Value], int]] = []
        whole = _Whole(value, cursor)
        while todo:
            item, here, into, at = todo.pop()
            whole.seen += 1
            kind = type(item)
            if kind is dict:
                item = self._without_labelled(item, here, secrets)
                parts: list[Value] = [None] * len(item)
                made.append((kind, self._clean_keys(item, here, secrets), parts, into, at))
                for place, (key, part) in enumerate(item.items()):
                    self._go_on(part, self._step(here, _key_texts(key), is_key=True), parts, place, todo, secrets)
            elif kind in _SEQUENCES:
                parts = [None] * len(item)
                made.append((kind, None, parts, into, at))
                is_pair = kind in _PAIRS and self._is_named_pair(item)
                for place, part in enumerate(item):
                    inner = None if is_pair and place == 1 else self._step(here, (str(place),), is_key=False)
                    self._go_on(part, inner, parts, place, todo, secrets)
            elif kind is Tagged:
                if item.type_name == REFERENCE:
                    stands_for = self._referred(item, here, whole)
                    if stands_for is not item:
                        todo.append((stands_for, here, into, at))
                        continue
                parts = [None]
                made.append((kind, replace(item, type_name=self._type_name(item)), parts, into, at))
                if _quotes(item.value):
                    quoting.append((into, at))
                todo.append((item.value, here, parts, 0))
            elif kind is Unrepresentable:
                reason = self.clean_text(item.reason, secrets) if scrub else self._without_matches(item.reason)
                into[at] = Unrepresentable(self._type_name(item), reason)
            else:
                into[at] = self._without_matches(item) if kind is str else item
                if scrub:
                    leaves.append((into, at))
        # Only now all that was left out is known.
        for into, at in leaves:
            into[at] = self._without_secrets(into[at], secrets)
        # Parts are made after what holds them.
        for kind, facts, parts, into, at in reversed(made):
            into[at] = _made(kind, facts, parts)
            if quoting and quoting[-1] == (into, at):
                quoting.pop()
                into[at] = self._without_quotes(into[at], secrets)
        return root[0]

    def _type_name(self, item: Tagged | Unrepresentable) -> str:
        """Return the name of a type without what is taken out of texts; a reference stays one."""
        return item.type_name if item.type_name == REFERENCE else self._without_matches(item.type_name)

    def _without_secrets(self, leaf: Value, secrets: set[str]) -> Value:
        """Return a leaf of facts that accompany a state without what was left out: it may be quoted in any form."""
        kind = type(leaf)
        if kind is str:
            return self.clean_text(leaf, secrets)
        if kind in (bytes, bytearray):
            return REDACTED if any(secret.encode() in leaf for secret in secrets) else leaf
        return REDACTED if kind in (int, float) and str(leaf) in secrets else leaf

    def _is_named_pair(self, items: Value) -> bool:
        if len(items) != 2:
            return False
        first = items[0]
        # A list may hold two pairs itself: no items of the first are asked.
        is_name = type(first) in _NAMES or (type(first) is Tagged and (first.is_member or type(first.value) is str))
        return is_name and any(map(self._is_key, _key_texts(first)))

    def _without_labelled(
        self, item: dict[Value, Value], here: PatternCursor, secrets: set[str]
    ) -> dict[Value, Value]:
        """Return a mapping that keeps labels beside its values, as tables and calls do, without those that are named."""
        clean = item
        for labels, values, is_nested in _LABELLED:
            if labels not in item or values not in clean:
                continue
            given, held = item[labels], clean[values]
            if type(given) is not list:
                # One name for all of them.
                if self._names(given, here):
                    clean = {**clean, values: self._taken(held, secrets)}
                continue
            places = {place for place, label in enumerate(given) if self._names(label, here)}
            if places and type(held) is list:
                tables = is_nested and (labels != _ROWS or _COLUMNS in item)
                kept = [self._without_places(part, places, secrets) for part in held] if tables else None
                clean = {**clean, values: kept or self._without_places(held, places, secrets)}
        return clean

    def _names(self, label: Value, here: PatternCursor) -> bool:
        return label is not None and self._step(here, _key_texts(label), is_key=True) is None

    def _without_places(self, held: Value, places: set[int], secrets: set[str]) -> Value:
        if type(held) not in _PAIRS:
            # The labels of one level only: they are texts, numbers, moments.
            return self._taken(held, secrets) if 0 in places and held != REDACTED else held
        return type(held)(self._taken(part, secrets) if place in places else part for place, part in enumerate(held))

    @staticmethod
    def _taken(part: Value, secrets: set[str]) -> str:
        _learn(part, secrets)
        return REDACTED

    def _referred(self, reference: Tagged, here: PatternCursor, whole: _Whole) -> Value:
        """Return what is to be written in the place of a reference: itself where patterns treat both places alike."""
        target, there = self._target(reference.value, whole)
        if target is _NOWHERE:
            return REDACTED if here.active else reference
        mine, its = self._remaining(here), frozenset() if there is None else self._remaining(there)
        if there is not None and mine == its:
            return reference
        if not whole.is_too_much(target, reference):
            return target
        return reference if there is None or mine <= its else REDACTED

    def _target(self, path: str, whole: _Whole) -> tuple[Value, PatternCursor | None]:
        """Return what a reference stands for, and the cursor there; no cursor where that is left out."""
        if path not in whole.targets:
            whole.targets[path] = self._walk(path, whole)
        return whole.targets[path]

    def _walk(self, path: str, whole: _Whole) -> tuple[Value, PatternCursor | None]:
        value: Value = whole.value
        found: PatternCursor | None = whole.cursor
        try:
            for step in parse_path(path)[1:]:
                content, key = content_of(value), key_of(step)
                value = content[key]
                if found is not None:
                    found = self._step(found, _key_texts(key), is_key=isinstance(content, Mapping))
        except (ConfigError, LookupError, TypeError):
            # Steps into sets, and to keys of classes of the app's own, are for people only.
            return _NOWHERE, None
        return value, found

    def _remaining(self, cursor: PatternCursor) -> frozenset[tuple[re.Pattern[str], ...]]:
        return frozenset(self._paths[number][cursor.depth :] for number in cursor.active)

    def _without_quotes(self, error: Tagged, secrets: set[str]) -> Tagged:
        def clean(part: Value) -> Value:
            return self.clean_text(part, secrets) if type(part) is str else part

        fields = {name: clean(part) for name, part in error.value.items()}
        return replace(error, value={**fields, "args": tuple(map(clean, error.value["args"]))})

    def _go_on(
        self,
        part: Value,
        inner: PatternCursor | None,
        parts: list[Value],
        place: int,
        todo: list[tuple[Value, PatternCursor, list[Value], int]],
        secrets: set[str],
    ) -> None:
        if inner is None:
            parts[place] = REDACTED
            _learn(part, secrets)
        else:
            todo.append((part, inner, parts, place))

    def _clean_keys(self, item: dict[Value, Value], here: PatternCursor, secrets: set[str]) -> list[Value]:
        keys = [self._clean_key(key, here, secrets) for key in item]
        if len(set(keys)) == len(keys):
            return keys
        # Neither value may be lost.
        numbered = _Numbered()
        return [numbered.next(key) for key in keys]

    def _clean_key(self, key: Value, here: PatternCursor, secrets: set[str]) -> Value:
        if type(key) is str:
            return self._without_matches(key)
        return self._rebuilt(key, here, secrets, scrub=False) if type(key) in _HOLDING else key

    def _step(self, cursor: PatternCursor, texts: tuple[str, ...], *, is_key: bool) -> PatternCursor | None:
        """Return the cursor one step further; None where what stands there is left out."""
        if is_key and any(map(self._is_key, texts)):
            return None
        if not cursor.active:
            return cursor
        active = []
        for number in cursor.active:
            path = self._paths[number]
            if any(self._matches(path[cursor.depth], text) for text in texts):
                if len(path) == cursor.depth + 1:
                    self._matched_so_far.add(self._given_paths[number])
                    return None
                active.append(number)
        return PatternCursor(cursor.depth + 1, tuple(active))

    def _is_key(self, text: str) -> bool:
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _MOST_KEYS:
                self._known.clear()
            given = zip(self._keys, self._given_keys, strict=True)
            known = self._known[text] = tuple(pattern for key, pattern in given if self._matches(key, text))
        self._matched_so_far.update(known)
        return bool(known)

    def _matches(self, pattern: re.Pattern[str], text: str) -> bool:
        for spelled in (text.lower(), text) if self._fold else (text,):
            if pattern.match(spelled) is not None:
                return True
            if spelled.startswith("_") and any(map(pattern.match, _private_spellings(spelled))):
                return True
        return False


_PAIRS: Final = (list, tuple)
_NAMES: Final = (str, bytes, bytearray)
_SEQUENCES: Final = (list, tuple, set, frozenset)
_HOLDING: Final = (tuple, frozenset, Tagged)
_MOST_SEEN: Final = 500_000
"""Parts of a value after which references are no longer written out where patterns treat both places differently."""
_HOLDERS: Final = (*_SEQUENCES, Mapping, Tagged, bool)
"""What has no text of its own to learn."""
_NOWHERE: Final = object()
_ROWS: Final = "index"
_COLUMNS: Final = "columns"
_LABELLED: Final = (
    (_ROWS, "values", True),
    (_COLUMNS, "values", False),
    ("name", "values", False),
    ("index_names", _ROWS, True),
    ("column_names", _COLUMNS, True),
    ("names", "values", True),
    ("parameters", "args", False),
)
"""Keys of labels, of what they are labels of, and whether that is a list whose items have as many parts as there are labels."""


_BRACKETS: Final = re.compile(r"""(\[\*?\]|\["(?:[^"\\]|\\.)*"\]|\[!?\]?[^\]]*\])""")
_MOST_BRACKETS: Final = 4
"""Brackets of one pattern of which each is read both ways by itself."""


def pattern_readings(pattern: str) -> tuple[tuple[str, ...], ...]:
    """Return all that a pattern of what to leave out may mean: the steps of a path each, in which `*`, `?` and `[…]` match.

    Brackets are a step, as in paths that are shown (`rows[0]`, `rows[*]`, `["odd key"]`), or a set of letters within one
    (`api_[kt]*`). A person who means one of them must not be understood as meaning the other only. A number from the end
    (`[-1]`) and a key that is neither text nor whole number stand for every part.

    Args:
        pattern: not empty.
    """
    found = [tuple(pattern.split("."))]
    if pattern.startswith("/"):
        found += filter(None, (_spelled_steps(pattern),))
    for text in dict.fromkeys((pattern, pattern.removeprefix("$"))):
        pieces = _BRACKETS.split(text)
        brackets = pieces[1::2]
        ways = [(True, False)] * len(brackets)
        chosen = (
            product(*ways)
            if len(brackets) <= _MOST_BRACKETS
            else ([True] * len(brackets), [bool(_spelled_steps(piece)) for piece in brackets])
        )
        found += [_joined(pieces, steps) for steps in chosen]
    return tuple(dict.fromkeys(steps or ("*",) for steps in found))


def _joined(pieces: list[str], are_steps: Iterable[bool]) -> tuple[str, ...]:
    """Return the steps of a text that was split at its brackets, each of which is a step or part of one."""
    steps: list[str] = []
    goes_on = False
    choice = iter(are_steps)
    for number, piece in enumerate(pieces):
        if number % 2 and next(choice):
            if steps and not steps[-1]:
                steps.pop()
            # `['key']` and `[key]` are no paths of unspool's own, but nobody means anything else by them.
            steps += _spelled_steps(piece) or (piece[1:-1].strip("'"),)
            goes_on = False
            continue
        first, *rest = [piece] if number % 2 else piece.split(".")
        if goes_on:
            steps[-1] += first
        elif first:
            steps.append(first)
        steps += rest
        goes_on = goes_on or bool(first or rest)
    return tuple(steps)


def _spelled_steps(text: str) -> tuple[str, ...]:
    """Return the steps of a pattern of paths; none where a text is no such pattern."""
    try:
        return tuple(map(_step_glob, parse_pattern(text, globs=True)))
    except PathSyntaxError:
        return ()


def _step_glob(step: object) -> str:
    if isinstance(step, Glob):
        return str(step)
    if isinstance(step, str):
        return escape(step)
    return str(step) if type(step) is int and step >= 0 else "*"


def _made(kind: type, facts: Value, parts: list[Value]) -> Value:
    if kind is dict:
        return dict(zip(facts, parts, strict=True))
    if kind is Tagged:
        return replace(facts, value=parts[0])
    return parts if kind is list else kind(parts)


def _quotes(content: Value) -> bool:
    """Whether an object is kept as an exception is: its arguments are texts for people."""
    return type(content) is dict and type(content.get("args")) is tuple


class _Whole:
    """A value that is rebuilt, with what its references stand for.

    Attributes:
        value: all of it.
        cursor: how far patterns match there.
        seen: parts looked at so far.
        targets: what references stand for, and the cursors there, by path.
    """

    def __init__(self, value: Value, cursor: PatternCursor) -> None:
        self.value = value
        self.cursor = cursor
        self.seen = 0
        self.targets: dict[str, tuple[Value, PatternCursor | None]] = {}

    def is_too_much(self, target: Value, reference: Tagged) -> bool:
        """Whether a reference cannot be written out: it stands within what it stands for, or enough was seen."""
        for item in walk(target):
            if item is reference or self.seen >= _MOST_SEEN:
                return True
            self.seen += 1
        return False


class _Numbered:
    """Numbers names that became the same when secrets were taken out of them."""

    def __init__(self) -> None:
        self._used: dict[Value, int] = {}

    def next(self, name: Value) -> Value:
        """Return a name, numbered where it was used before; what is no text becomes one then."""
        if name not in self._used:
            self._used[name] = 1
            return name
        text = name if type(name) is str else REDACTED
        number = self._used.get(text, 0)
        found = text
        while found in self._used:
            number += 1
            found = f"{text} {number}" if number > 1 else text
        self._used[text] = number
        self._used[found] = 1
        return found


def _private_spellings(name: str) -> list[str]:
    """Return what a name with leading underscores is called besides: without them, and without its class."""
    if name.endswith("__"):
        return []
    found = [name.lstrip("_")]
    if not name.startswith("__"):
        # A class may have two underscores in its name too.
        for match in _MANGLED.finditer(name):
            found += [name[match.start() :], name[match.end() :]]
    return found


_MANGLED: Final = re.compile(r"(?<=[^_])__(?=[^_])")

_QUOTED: Final = r"""[bBuUrRfF]{0,2}(?:"(?:\\.|[^"\\])*(?:"|\Z)|'(?:\\.|[^'\\])*(?:'|\Z))|\\+["'].*?(?:\\+["']|\Z)"""
_SCHEMES: Final = r"(?i:bearer|basic|token|negotiate|ntlm|apikey|api-key|dpop|privatetoken|hoba|gnap|oauth2)"
_SCHEMES_OF_PARAMETERS: Final = (
    r"(?i:digest|oauth|hawk|signature|mutual|vapid|concealed|aws4-[\w-]+|hmac[\w-]*|scram-[\w-]+)\s[^\r\n]+"
)
"""How a header says what it proves who somebody is by: a word follows the former, a list up to the end of the line these."""
_ONE_WORD: Final = rf"(?s:{_QUOTED})|{_SCHEMES_OF_PARAMETERS}|(?:{_SCHEMES}\s+)?[^\s,;&\"']+"
_UP_TO_COMMA: Final = rf"(?s:{_QUOTED})|{_SCHEMES_OF_PARAMETERS}|(?:[^\r\n,]|,(?!\s))+"


def _assignment(key: str) -> str:
    """Return the expression of a key with its value in a text; the last group that matched is the value."""
    # Bounded, and not with both: a long word would be looked through again and again.
    private = "" if key.startswith("*") else r"(?:_{1,2}|_[^\W_]\w{0,80}?__)?"
    name = rf"{private}{_word(key)}(?!\w)"
    return (
        rf"(?<!\w){name}(?:\\*[\"']?\s*(?:(?:=>|:=|==?)\s*({_ONE_WORD})|:\s*({_UP_TO_COMMA}))"
        rf"|\\*[\"']\s*,\s*((?s:{_QUOTED})))"
        rf"|(?<!\w)--{name}[ \t]+({_ONE_WORD})"
    )


def _word(pattern: str) -> str:
    """Return the expression of a key's pattern inside a text."""
    found = []
    for part in re.split(r"(\[!?\]?[^\]]*\]|[*?])", pattern):
        if len(part) > 1 and part.startswith("["):
            # The set of letters alone, as the standard library puts it, without what stands around an expression.
            found.append(translate(part).removeprefix("(?s:")[:-3])
        else:
            found.append(r"\w*" if part == "*" else r"\w" if part == "?" else re.escape(part))
    return "".join(found)


def _places(secret: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where a secret stands in a text; a short one only as a word, for its letters are in many others."""
    at = text.find(secret)
    while at >= 0:
        end = at + len(secret)
        if len(secret) >= WORD or not (text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()):
            yield at, end
        at = text.find(secret, at + 1)


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Return a text with one marker in the place of spans that overlap or touch."""
    out: list[str] = []
    end = 0
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if start > end or not out:
            out += [text[end:start], REDACTED]
        end = max(end, stop)
    return "".join(out) + text[end:]


def _key_texts(key: Value) -> tuple[str, ...]:
    """Return how a key may be named: a member of an enumeration by name and value, a tuple by any of its items."""
    if type(key) is str:
        return (key,)
    if type(key) in (bytes, bytearray):
        return (key.decode("utf-8", "replace"),)
    if type(key) is Tagged:
        texts = _key_texts(tuple(key.value) if isinstance(key.value, list) else key.value)
        # Members of enumerations are named in capitals, whatever they stand for.
        return (*texts, *(text.lower() for text in texts))
    if isinstance(key, tuple | frozenset):
        return tuple(text for item in key for text in _key_texts(item))
    if isinstance(key, Mapping):
        return tuple(text for item in key.values() for text in _key_texts(item))
    return (str(key),)


def _learn(value: Value, secrets: set[str]) -> None:
    """Add the texts of a value that is left out."""
    for item in islice(walk(value), _MOST_LEARNED):
        if item is not None and not isinstance(item, _HOLDERS):
            for text in _spellings(bytes(item)) if isinstance(item, bytes | bytearray) else (str(item),):
                if len(text) >= _SHORTEST_SECRET and text != REDACTED:
                    secrets.add(text)


def _spellings(secret: bytes) -> tuple[str, ...]:
    """Return how texts quote bytes: as text, as Python writes them, in hexadecimal digits and in base64."""
    text = secret.decode("utf-8", "replace")
    if len(secret) > _LONGEST_SPELLED:
        return (text,)
    return text, repr(secret)[2:-1], secret.hex(), b2a_base64(secret, newline=False).decode()
