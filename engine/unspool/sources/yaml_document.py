"""YAML as plain data: the safe schema only, aliases followed within bounds."""

from __future__ import annotations

from typing import Any

from unspool.errors import MissingExtra
from unspool.model.values import Value
from unspool.sources.json_exact import BrokenText
from unspool.sources.limits import DEFAULT_LIMITS, Limits


def parse_yaml(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Value:
    """Read one YAML document (YAML 1.2, safe tags only).

    Raises:
        BrokenText: it is no YAML, or its aliases unfold to too much.
        MissingExtra: the optional package is not installed.
    """
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError
    except ImportError:
        raise MissingExtra(
            "reading YAML needs an optional package; install it with: pip install 'unspool[yaml]'"
        ) from None
    reader: Any = YAML(typ="safe", pure=True)
    try:
        value = reader.load(data)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1} column {mark.column + 1}" if mark is not None else ""
        reason = getattr(error, "problem", None) or type(error).__name__
        raise BrokenText(f"{reason}{where}", -1 if mark is None else mark.index) from None
    except RecursionError:
        raise BrokenText("nested deeper than a YAML reader goes") from None
    except (ValueError, TypeError, UnicodeDecodeError, OverflowError, AttributeError, IndexError, KeyError) as error:
        # ruamel.yaml lets plain errors of its constructors through: impossible dates, unhashable keys.
        raise BrokenText(f"no plain YAML: {error}") from None
    _check_size(value, limits)
    return value


def _children(value: Value) -> list[Value]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | set | tuple) else []


def _check_size(value: Value, limits: Limits) -> None:
    """Refuse documents whose aliases unfold to too many values, or that contain themselves.

    The size of each container is computed once, however many aliases lead to it.
    """
    sizes: dict[int, int] = {}
    on_path: set[int] = set()
    pending: list[tuple[Value, bool]] = [(value, False)]
    while pending:
        current, is_done = pending.pop()
        identity = id(current)
        children = _children(current)
        if is_done:
            on_path.discard(identity)
            sizes[identity] = 1 + sum(sizes.get(id(child), 1) for child in children)
            if sizes[identity] > limits.nodes:
                raise BrokenText(f"its aliases unfold to more than {limits.nodes} values, which is refused")
        elif identity in on_path:
            raise BrokenText("it contains itself through an alias, which no history can keep")
        elif identity not in sizes and children:
            on_path.add(identity)
            pending.append((current, True))
            pending.extend((child, False) for child in children)
