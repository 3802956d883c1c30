"""Long texts that changed: each side gets half of the room, with the place that changed in its middle."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.history.diff import diff_states
from unspool.history.history import StateView
from unspool.model.encoding import encode
from unspool_tui.panes.change_list import change_list
from unspool_tui.panes.changes import Sheet, change_row
from unspool_tui.rendering.labels import cut_front
from unspool_tui.rendering.line import UNICODE, on_grid, spans_width, width_of, wrap_text
from unspool_tui.rendering.values import preview_text
from unspool_tui.view.model import View

STORY = (
    "The quick brown fox jumps over the lazy dog while the cat looks on from the window of the old house "
    "at the end of the street, and nobody says a word about it."
)


def shown(old: str, new: str, width: int, *, inside: bool = False) -> str:
    """Return the line of a text that changed: of an atom, or of a value inside of one."""
    states = ({"a": {"text": text, "n": 1}} if inside else {"text": text} for text in (old, new))
    before, after = (StateView(0, {name: encode(value) for name, value in state.items()}) for state in states)
    items = change_list(
        diff_states(0, 1, before.wire, after.wire).changes, after, View(total=2, head=1), preview_text
    )
    row = change_row(items[1 if inside else 0], Sheet(width, UNICODE))
    assert spans_width((*row.left, *row.right)) <= width
    return "".join(text for text, _ in (*row.left, *row.right))


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("width", [42, 64, 100])
@pytest.mark.parametrize(
    ("old", "new"), [("quick", "rapid"), ("cat", "elephant"), ("nobody", "everybody"), ("it.", "them.")]
)
def test_both_sides_of_a_long_text_show_what_changed(old: str, new: str, width: int, inside: bool) -> None:
    left, right = shown(STORY, STORY.replace(old, new), width, inside=inside).split("→")
    assert old in left
    assert new[:5] in right


@pytest.mark.parametrize("width", [42, 64, 100])
def test_words_that_only_one_side_has_are_shown_beside_the_place_where_they_are_missing(width: int) -> None:
    left, right = shown(STORY, f"{STORY} The end.", width).split("→")
    assert 'it."' in left
    assert 'end."' in right
    left, right = shown(STORY, STORY.replace("lazy ", ""), width).split("→")
    assert "lazy" in left
    assert "e dog" in right


texts = st.text(max_size=300)


@given(texts, texts, st.integers(30, 140), st.booleans())
def test_any_two_texts_fit_their_line(old: str, new: str, width: int, inside: bool) -> None:
    if old != new:
        shown(old, new, width, inside=inside)


names = st.text(st.sampled_from("abé宽á̂̃🎉"), min_size=1, max_size=40)


@pytest.mark.parametrize("inside", [False, True])
@given(st.lists(names, min_size=2, max_size=4, unique=True), st.integers(42, 140))
def test_values_stand_in_one_column_whatever_cells_their_names_take(
    inside: bool, given_names: list[str], width: int
) -> None:
    states = (dict.fromkeys(given_names, number) for number in (1, 2))
    before, after = (
        StateView(0, {name: encode(value) for name, value in ({"a": state} if inside else state).items()})
        for state in states
    )
    items = change_list(
        diff_states(0, 1, before.wire, after.wire).changes, after, View(total=2, head=1), preview_text
    )
    places = set()
    for item in items[inside:]:
        spans = change_row(item, Sheet(width, UNICODE)).left
        places.add(spans_width(spans[: next(place for place, (_, style) in enumerate(spans) if style == "old")]))
    assert len(places) == 1


@given(texts | names, st.integers(0, 30))
def test_a_text_cut_at_its_beginning_fits_and_keeps_its_end(text: str, room: int) -> None:
    text = on_grid(text)
    cut = cut_front(text, room)
    assert width_of(cut) <= room
    assert text.endswith(cut.removeprefix("…"))
    if cut != text and room > 1:
        assert width_of(cut) >= room - 1
        assert not cut[1:] or width_of(cut[1]) > 0


@given(texts | st.text(st.sampled_from("ab 宽"), max_size=120), st.integers(1, 40))
def test_pieces_of_a_wrapped_text_are_the_text_and_break_no_word_that_fits(text: str, room: int) -> None:
    text = on_grid(text)
    pieces = wrap_text(text, room, 1_000)
    assert "".join(pieces) == text
    assert all(width_of(piece) <= max(2, room) for piece in pieces)
    for piece, following in pairwise(pieces):
        word = f"{piece}|{following}".split(" ")
        whole = next(each for each in word if "|" in each)
        # Broken are only words that take half of a line and more.
        assert whole[0] == "|" or whole[-1] == "|" or len(whole) * 2 >= len(piece)
