"""YAML as plain data: the safe schema only, aliases followed within bounds."""

from __future__ import annotations

from typing import Any, Final

from unspool.errors import MissingExtra
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.values import Value
from unspool.sources.json_exact import BrokenText, TooMuch
from unspool.sources.unfolding import unfolded_size

_MERGE_SHARE: Final = 20
"""Merged pairs cost so much more than other values that a share of these is allowed of them."""


def parse_yaml(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Value:
    """Read one YAML document (YAML 1.2, safe tags only).

    Raises:
        BrokenText: it is no YAML, or it contains itself.
        TooMuch: it holds too much, or its aliases unfold to too much.
        MissingExtra: the optional package is not installed.
    """
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.constructor import SafeConstructor
        from ruamel.yaml.error import YAMLError
    except ImportError:
        raise MissingExtra(
            "reading YAML needs an optional package; install it with: pip install 'unspool[yaml]'"
        ) from None

    class BoundedConstructor(SafeConstructor):
        """Counts the pairs that merge keys copy: each level of `<<: [*a, *a]` doubles them."""

        merged = 0

        def flatten_mapping(self, node: Any) -> Any:
            super().flatten_mapping(node)
            self.merged += len(getattr(node, "merge", None) or ())
            if self.merged > limits.nodes // _MERGE_SHARE:
                raise TooMuch(f"its merge keys copy more than {self.merged:,} values; {limits.told('nodes')}")

    reader: Any = YAML(typ="safe", pure=True)
    reader.Constructor = BoundedConstructor
    try:
        value = reader.load(data)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1} column {mark.column + 1}" if mark is not None else ""
        reason = getattr(error, "problem", None) or type(error).__name__
        raise BrokenText(f"{reason}{where}", -1 if mark is None else mark.index) from None
    except TooMuch:
        raise
    except RecursionError:
        raise TooMuch("nested deeper than a YAML reader goes") from None
    except (ValueError, TypeError, UnicodeDecodeError, OverflowError, AttributeError, IndexError, KeyError) as error:
        # ruamel.yaml lets plain errors of its constructors through: impossible dates, unhashable keys.
        raise BrokenText(f"no plain YAML: {error}") from None
    unfolded_size(value).check(limits, "its aliases")
    return value
