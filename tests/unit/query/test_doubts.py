"""Expressions that are wrong but plausible: each is answered rightly, or refused with what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from unspool.history.history import History
from unspool.query.bisect import bisect
from unspool.query.errors import ExpressionError
from unspool.query.expressions import Expression
from unspool.query.search import search
from unspool.recorder import Recorder
from unspool.store import MemoryStore
from unspool_tui.cli import run

STATES = [
    {
        "cart": {"total": 10.5 * n, "paid": n > 2, "currency": "EUR", "items": [{"sku": "A-1", "qty": n}]},
        "settings": {"sale": n % 2 == 0, "limit": 3, "note": None},
        "user-name": "ada",
    }
    for n in range(5)
]
NUMBERS = {"cart.total": ("21", 21.0), "cart.items[0].qty": ("2", 2), "settings.limit": ("3", 3)}
"""Paths of numbers, with a value each of them takes."""


def recorded() -> History:
    store = MemoryStore()
    with Recorder(store, on_error="raise") as recorder:
        for number, state in enumerate(STATES):
            recorder.record(state, f"step {number}")
    return History(store)


HISTORY = recorded()


def typos(word: str) -> Iterator[str]:
    """Yield a word as it is mistyped: a letter lost, two exchanged, one doubled, the case wrong."""
    middle = len(word) // 2
    yield word[:middle] + word[middle + 1 :]
    yield word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :]
    yield word[:middle] + word[middle] + word[middle:]
    yield word.capitalize()
    yield word.upper()


def mistaken_paths() -> Iterator[tuple[str, str]]:
    """Yield expressions with one mistyped word, and the word that was meant."""
    for path, (value, _) in NUMBERS.items():
        for word in path.replace("[0]", "").split("."):
            for wrong in typos(word):
                if wrong not in (word, ""):
                    for sign in ("==", ">", "!=", "<="):
                        yield f"{path.replace(word, wrong, 1)} {sign} {value}", word


def mistaken_values() -> Iterator[tuple[str, str]]:
    """Yield expressions that compare with another kind of value, and what should be written."""
    for path, (value, _) in NUMBERS.items():
        for sign in ("==", "<", ">", ">=", "<="):
            yield f'{path} {sign} "{value}"', f"write {sign} {value}"
        yield f"{path} == True", "write true"
        yield f"{path} != None", "write null"
    for path in ("cart.paid", "settings.sale"):
        for wrong, right in (('"true"', "true"), ('"False"', "false"), ("1", "true"), ("0", "false")):
            yield f"{path} == {wrong}", f"write == {right}"
        for wrong, right in (("True", "true"), ("False", "false"), ("None", "null"), ("NULL", "null")):
            yield f"{path} == {wrong}", f"write {right}"
        yield f"true == {path}", "right of the comparison"
    for wrong in ("eur", "Eur", " EUR", "EUR "):
        yield f'cart.currency == "{wrong}"', 'it is "EUR"'
        yield f"cart.currency == '{wrong}'", 'it is "EUR"'
    yield "cart.currency == EUR", 'in double quotes: "EUR"'
    yield "cart.currency == ada", 'in double quotes: "ada"'
    yield "cart.currency > 3", "compared with a number"


SPELLINGS = [
    ("cart.total > 20 and cart.paid", "write &&"), ("cart.total > 20 or cart.paid", r"write \|\|"), ("not cart.paid", "write !"),
    ("cart.total = 21", "write =="), ("cart.total => 21", "write >="), ("cart.total =< 21", "write <="),
    ("cart.total === 21", "write =="), ("cart.total <> 21", "write !="), ("settings.note is null", "write =="),
    ("len(cart.items) > 0", "did you mean length"),
    ("lenght(cart.items) > 0", "did you mean length"), ("str(cart.total)", "to_string"), ("user-name == 1", "double quotes"),
    ("total > 3", r"did you mean cart\.total"), ("qty > 3", "there are cart"), ("paid", r"did you mean cart\.paid"),
    ("cart.items[?quantity > 2]", "there are qty, sku"), ("cart.items[?Qty > 2]", "did you mean qty"),
    ("cart.items[*].prize", "there are qty, sku"), ("sum(cart.items[*].quantity) > 2", "there are qty, sku"),
]  # fmt: skip


def refusal(text: str) -> str:
    """Return why an expression is refused, or what is doubted where nothing was found; "" where it is answered."""
    try:
        found = bisect(HISTORY, text)
    except ExpressionError as error:
        return str(error)
    return "" if found.flips else "; ".join(found.doubts)


def test_enough_mistakes_are_tried() -> None:
    assert len([*mistaken_paths(), *mistaken_values(), *SPELLINGS]) >= 200


@pytest.mark.parametrize(("text", "word"), sorted(set(mistaken_paths())))
def test_a_mistyped_path_is_refused_with_the_nearest_name(text: str, word: str) -> None:
    told = refusal(text)
    assert "no entry" in told
    assert f"did you mean {word}?" in told


@pytest.mark.parametrize(("text", "hint"), sorted(set(mistaken_values())))
def test_a_value_of_another_kind_is_refused_with_the_right_spelling(text: str, hint: str) -> None:
    assert hint in refusal(text)


@pytest.mark.parametrize(("text", "hint"), SPELLINGS)
def test_the_spelling_of_another_language_is_refused_with_ours(text: str, hint: str) -> None:
    assert re.search(hint, refusal(text)), refusal(text)


RIGHT = [
    ("cart.total > 20", [2]), ("20 < cart.total", [2]), ("21 == cart.total", [2, 3]), ("cart.paid", [3]), ("!cart.paid", [3]),
    ("cart.paid == true", [3]), ('cart.currency == "EUR"', []), ("settings.note == null", []), ("cart.items[?qty > 2]", [3]),
    ("-1 < cart.total", []), ("cart.items[-1].qty > 2", [3]), ('"user-name" == "ada"', []), ("cart.total > 20 && 3 == settings.limit", [2]),
    ("cart.total != 21", [2, 3]), ('cart["total"] > 20', [2]), ("$['cart']['items'][0]['qty'] > 2", [3]), ("cart.total > 20 && cart.discount > 3", []), ("settings.sale && cart.paid", [4]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "flips"), RIGHT)
def test_what_can_be_meant_is_answered(text: str, flips: list[int]) -> None:
    assert [flip.seq for flip in bisect(HISTORY, text).flips] == flips


def test_doubts_beside_an_answer_are_remarks() -> None:
    found = bisect(HISTORY, "cart.paid || cart.paied")
    assert [flip.seq for flip in found.flips] == [3]
    assert found.doubts == ("no entry that was asked has cart.paied; did you mean paid?",)


def test_an_atom_is_not_called_unknown_before_there_is_an_entry() -> None:
    assert bisect(History(MemoryStore()), "cart.total > 3").flips == ()


def test_a_search_is_refused_like_a_bisection() -> None:
    with pytest.raises(ExpressionError, match="did you mean cart"):
        search(HISTORY, Expression("crt.total"))


def test_the_command_line_refuses_in_one_line_and_never_says_that_it_never_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "shop.unspool")
    with Recorder(path, on_error="raise") as recorder:
        for state in STATES:
            recorder.record(state)
    assert run(["bisect", path, "cart.totl > 20"]) == 2
    done = capsys.readouterr()
    assert done.out == ""
    assert done.err == "unspool: no entry that was asked has cart.totl; did you mean total?\n"
    assert run(["search", path, "--expr", "cart.items[?quantity > 2]"]) == 2
    assert "there are qty, sku" in capsys.readouterr().err
    assert run(["bisect", path, "cart.paid || cart.paied"]) == 0
    done = capsys.readouterr()
    assert "holds" in done.out
    assert "did you mean paid?" in done.err
    assert run(["bisect", path, "cart.total > 9000"]) == 0
    assert "never holds" in capsys.readouterr().out
    assert run(["bisect", path, "cart.total >= 0"]) == 0
    assert "holds at every entry" in capsys.readouterr().out
