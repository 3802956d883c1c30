"""What the app asks about the health of a history: the rule of its chains, what checkers find, a repaired copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from unspool_tui.view.history_port import HistoryPort

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.query.checkers import CheckReport
    from unspool.query.doctor import Limits
    from unspool.query.repair import RepairReport

LimitsOf = Callable[[int, int], "Limits"]
"""Gives the limits of a chain by its first entry and the bytes of the state there."""


def limits(history: HistoryPort) -> LimitsOf:
    """Return what gives the limits of a history's chains: by the rule they were recorded with, or the usual one."""
    from unspool.query.doctor_chains import limits_of
    from unspool.query.doctor_rules import rules_of_history

    rules = rules_of_history(cast("History", history))
    return lambda first, full_bytes: limits_of(rules.at(first), full_bytes)


def repair_into(
    history: HistoryPort, out: str, progress: Callable[[int, int], None], cancelled: Callable[[], bool]
) -> RepairReport:
    """Write a new file with all that is intact of a history; its source is never changed."""
    from unspool.query.repair import repair

    return repair(cast("History", history), out, progress=progress, cancelled=cancelled)


def check_all(
    history: HistoryPort, progress: Callable[[int, int], None], cancelled: Callable[[], bool]
) -> CheckReport:
    """Return what the checkers find in a history.

    Raises:
        UnspoolError: an installed checker cannot be used.
    """
    from unspool.query.checkers import check

    return check(cast("History", history), progress=progress, cancelled=cancelled)
