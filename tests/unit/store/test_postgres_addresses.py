"""Addresses of PostgreSQL databases, taken apart: libpq gets what was meant, and people never see a password."""

from __future__ import annotations

import pytest

from unspool.errors import ConfigError
from unspool.store.postgres.connection import parse_target


@pytest.mark.parametrize(
    ("address", "shown", "history"),
    [
        ("postgresql://ann:pa?ss@db/state?history=x", "postgresql://ann@db/state?history=x", "x"),
        ("postgresql://ann:p=a?k=v@db/state", "postgresql://ann@db/state", None),
        ("postgresql://ann:p/a?ss@db/state", "postgresql://ann@db/state", None),
        ("postgresql://ann:p@ss?x@db/state", "postgresql://ann@db/state", None),
        ("postgresql:///state?host=/tmp&application_name=a@b&history=n", "postgresql:///state?history=n", "n"),
        ("postgresql://db:5432/state?", "postgresql://db:5432/state", None),
    ],
)
def test_a_password_may_hold_any_character_and_is_never_shown(address: str, shown: str, history: str | None) -> None:
    target = parse_target(address)
    assert (target.shown, target.history) == (shown, history)
    assert "p=a" not in target.inert(address)
    assert "ss@" not in target.inert(address)


def test_a_question_mark_in_a_password_is_handed_on() -> None:
    assert parse_target("postgresql://ann:pa?ss@db/state").conninfo.startswith("postgresql://ann:pa?ss@db/state?")


@pytest.mark.parametrize("name", ["", "a%00b", "\udcff"])
def test_a_history_that_no_database_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="names none"):
        parse_target(f"postgresql://db/state?history={name}")
