"""Expressions that are wrong but plausible: each is answered rightly, or refused with what was probably meant."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from unspool.errors import ExpressionError, PathNotFound, PathSyntaxError
from unspool.history.history import History
from unspool.model.paths import parse_path
from unspool.query.bisect import bisect
from unspool.query.blame import blame
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


PLACES = ["cart.total", "cart.items[0].qty", "cart.currency", "settings.limit", "settings.sale", "user-name"]
"""Paths that lead somewhere."""


def mistaken_places() -> Iterator[tuple[str, str]]:
    """Yield paths as they are mistyped or spelled elsewhere, and what should be written."""
    for path in PLACES:
        for word in path.replace("[0]", "").split("."):
            for wrong in typos(word):
                if wrong not in (word, "") and wrong != "ustser-name":
                    yield path.replace(word, wrong, 1), f"did you mean {path}?"
        yield f"state.{path}", f"did you mean {path}?"
        yield f"{path} ", "leave out the blank"
        yield f"{path} > 3", "a comparison goes with `bisect`"
        yield f"{path} and x", "a comparison goes with `bisect`"
        yield f"len({path})", "a function goes with `bisect`"
        yield f"{path}.get('x')", "a function goes with `bisect`"
        yield f"@.{path}", "write a path from the state on"
        if "." in path:
            yield path.replace(".", "..", 1), "write one dot"
            yield path.replace(".", "->", 1), "write one dot"
            yield path.replace(".", "::", 1), "write one dot"
            yield path.replace(".", "/").replace("[0]", "/0"), "begins with a slash"
            yield path.replace(".", ". ", 1), "leave out the blank"
            yield path.rpartition(".")[2], f"did you mean {path}?" if path.count(".") == 1 else "the state has"
    yield "cart.items.qty", r"did you mean cart.items[0].qty?"
    yield "cart.items[*].qty", "write the index of an item"
    yield "cart.items[].qty", "write the index of an item"
    yield "cart.items[0:1]", "write the index of an item"
    yield "cart.items[3].qty", "is a list of 1"
    yield "cart.items[first].qty", "write $.cart.items[2].qty"
    yield "cart.total.value", "is a float"
    yield "settings.note.text", "is null"
    yield "CART.ITEMS[0].QTY", "did you mean cart.items[0].qty?"


@pytest.mark.parametrize(("text", "hint"), sorted(set(mistaken_places())))
def test_a_mistaken_path_is_refused_with_the_right_one(text: str, hint: str) -> None:
    with pytest.raises((PathNotFound, PathSyntaxError)) as caught:
        blame(HISTORY, -1, parse_path(text))
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "$.cart.total",
        "$cart.total",
        "cart['total']",
        'cart["total"]',
        "/cart/total",
        "cart.items.0.qty",
        "cart.items[-1].qty",
    ],
)
def test_a_path_of_another_spelling_leads_where_it_is_meant(text: str) -> None:
    (value,) = blame(HISTORY, -1, parse_path(text)).values
    assert value.seq == 4


ELSEWHERE = [
    ("cart.total + 1 > 3", "write add(a, b)"), ("cart.total * 2 > 3", "write mul(a, b)"), ("cart.total / 2 > 3", "write div(a, b)"),
    ("cart.total % 2 == 0", "write mod(a, b)"), ("cart.total - 1 > 3", "write sub(a, b)"), ("cart.total // 2 > 3", "floor(div(a, b))"),
    ("cart.total ** 2 > 3", "write mul(a, b)"), ("'A-1' in cart.items", "write contains(list, value)"),
    ("'A-1' not in cart.items", "write !contains(list, value)"), ("1 < cart.total < 30", "write 1 < a && a < 3"),
    ("cart.total == 21 == 3", "write a == b && b == c"), ("cart.total if cart.paid else 0", "--python takes it"),
    ("[i.qty for i in cart.items]", "--python takes it"), ("sum(i.qty for i in cart.items)", "--python takes it"),
    ("cart.paid ? 1 : 2", "ask each of its cases"), ("cart?.total > 3", "write a.b"), ("cart->total > 3", "write a.b"),
    ("cart::total > 3", "write a.b"), ("cart.total > 1,000", "without separators"), ("cart.total > 1_000", "without separators"),
    ("cart.total > 0x10", "in decimal digits"), ("cart.total > .5", "0.5"), ("cart.total > 5.", "5.0"),
    ("exists(cart.total)", "write path != null"), ("any(cart.items)", "write list[?condition]"), ("all(cart.items)", "write !(list["),
    ("first(cart.items)", "write list[0]"), ("last(cart.items)", "write list[-1]"), ("filter(cart.items)", "write list[?condition]"),
    ("cart.items.length()", "write length(value)"), ("max(cart.total, settings.limit)", "write max([a, b])"),
    ("sum(cart.total, settings.limit)", "write sum([a, b])"), ("sorted(cart.items)", "did you mean sort?"),
    ("cart.items.len() > 2", "did you mean length?"), ("float(cart.total)", "did you mean to_number?"),
    ("cart.currency.startswith('E')", "did you mean starts_with?"), ("set(cart.items[].sku)", "did you mean unique?"),
    ("distinct(cart.items[].sku)", "did you mean unique?"), ("plus(cart.total, 1)", "did you mean add?"),
    ("add(cart.total)", "takes 2 or more arguments"), ("sub(cart.total, 1, 2)", "takes 2 arguments, not 3"),
    ("add(cart.currency, 1) > 3", "add takes numbers, not \"EUR\""), ("mul(cart.items, 2) > 3", "mul takes numbers"),
    ("div(cart.total, 0) > 3", "divided by 0"), ("unique(cart) == 3", "unique takes a list"), ("round(cart.paid)", "round takes numbers"),
    ("lookup(cart.items, 'A-1')", "looks among records"), ("count_by(cart, &sku)", "takes a list"), ('contains("EUR", cart.currency)', "in single quotes: 'EUR'"),
    ('"EUR" == cart.currency', 'path == "EUR"'), ("length(cart.total) > 2", "worked out at no entry"), ("sum(cart.currency)", "worked out at no entry"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "hint"), ELSEWHERE)
def test_what_stands_in_other_languages_is_refused_with_ours(text: str, hint: str) -> None:
    assert hint in refusal(text), refusal(text)


def test_more_than_two_hundred_expressions_and_a_hundred_paths_are_tried() -> None:
    assert len({*mistaken_paths(), *mistaken_values(), *SPELLINGS, *ELSEWHERE}) > 200
    assert len(set(mistaken_places())) > 100


@pytest.mark.parametrize(
    "text",
    [
        "cart.total > 3 && " * 550 + "cart.paid", "add(" * 90 + "cart.total" + ", 1)" * 90, "[" + "cart.total, " * 800 + "1]",
        "cart" + ".items" * 1_400, "'" + "x" * 9_990 + "'", "cart.total in " * 700, "a ? b : " * 1_200, "cart.total == " + "(" * 9_900,
        "for in " * 1_400, "not " * 2_400, "cart['" * 1_600, "cart.items[?" * 800, "`" * 9_999, "$." * 4_990, "x" + " - y" * 2_400,
    ],
    ids=lambda text: f"{len(text)} {text[:12]}",
)  # fmt: skip
def test_ten_thousand_characters_are_answered_or_refused_at_once(text: str) -> None:
    started = time.process_time()
    try:
        bisect(HISTORY, text)
    except ExpressionError as error:
        assert len(str(error)) < 400
    assert time.process_time() - started < 3
