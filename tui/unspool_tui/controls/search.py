"""Search, filter and bookmarks; questions over the whole history."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool.query import SEARCHED, HitKind
from unspool_tui.controls import results
from unspool_tui.panes.watches import check_watch, spelled
from unspool_tui.questions import AnswerChange, check_question, check_search, search, turns
from unspool_tui.screens.modal import Prompt
from unspool_tui.session import MOST_WATCHES
from unspool_tui.view import moves, overview
from unspool_tui.view.model import Filter, ListKind, ResultRow, SearchState
from unspool_tui.view.overview import Keep, Rows
from unspool_tui.worker import SLICE_SECONDS, QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.history.history import StateView
    from unspool.query.search import Hit
    from unspool_tui.screens.protocols import HistoryScreen


def ask_search(main: HistoryScreen) -> None:
    """Ask what to look for, and look."""

    def typed(text: str | None) -> None:
        if text is not None and text.strip():
            main.typed["search"].append(text)
            start_search(main, text.strip())
        elif text is not None:
            stop_search(main)

    hint = f"words in {SEARCHED}; price>3 compares; = items[?qty > 3] asks; Tab completes paths"
    complete = offering(main)
    main.open(Prompt("/", hint, check=check_search, history=main.typed["search"], complete=complete), typed)


def offering(main: HistoryScreen) -> Callable[[str], list[str]]:
    """Return what completes a line that ends in a path into the state at the head, which a worker looks up meanwhile."""
    from unspool.query.entry_names import expression_completions  # loaded with the first question

    history, head = main.scene.history, main.view.head
    state: list[StateView] = []

    def take(reply: Reply) -> None:
        if reply.error is None:
            state.append(reply.value)

    main.ask(QuestionKind.PATHS, lambda: history.view(head), take)
    return lambda typed: expression_completions(state[0], typed) if state else []


def start_search(main: HistoryScreen, text: str) -> None:
    """Look through all entries; hits are listed as they are found, and the head goes to the first."""
    hits = array("q")
    main.hit_paths = {}
    started = main.view.head
    listed = results.open_list(main, ListKind.SEARCH, text, total=main.view.count)
    main.view = replace(main.view, search=SearchState(text, hits, 0, True))
    arrived, unread = False, ""

    def take(reply: Reply) -> None:
        nonlocal arrived, unread
        found = main.view.search
        if reply.value is not None:
            hits.extend(hit.seq for hit in reply.value.hits)
            main.hit_paths.update((hit.seq, hit.path) for hit in reply.value.hits)
            listed.looked_at = reply.value.looked_at
            results.add(main, listed, map(_found, reply.value.hits))
            found = replace(found, found=len(hits), looked_at=reply.value.looked_at)
            unread = reply.value.unread
        main.apply(replace(main.view, search=replace(found, running=not reply.done)))
        # The first hit from the head on; only when all is searched is there none and the beginning comes next.
        if not arrived and hits and (hits[-1] >= started or reply.done) and main.view.head == started:
            arrived = True
            _to_hit(main, 0)
        if reply.done:
            results.finish(main, listed, unread)
        if reply.done and reply.error is None:
            main.flash(_told(found.found, text) + (f"; {unread}" if unread else ""), "warning" if unread else "text")

    main.ask(QuestionKind.SEARCH, lambda: search(main.scene.history, text, main.worker.withdrawn), take)
    main.repaint()


def _found(hit: Hit) -> ResultRow:
    # What stands in the state is looked up once its row is seen, and the action stands in every row.
    is_seen = hit.path or hit.kind is HitKind.ACTION
    return ResultRow(hit.seq, hit.path, after=None if is_seen else " ".join(hit.text.split()))


def watch(main: HistoryScreen) -> None:
    """Take away the watch of the selected path, or ask for a path or an expression to watch."""
    selected = spelled(main.view.selected) if main.view.selected else ""

    def typed(text: str | None) -> None:
        if text is not None and text.strip():
            main.typed.setdefault("watch", []).append(text)
            toggle_watch(main, text.strip())

    if selected in main.view.watches:
        toggle_watch(main, selected)
        return
    hint = "a path or an expression whose value is told all the time; the same again takes it away"
    before, complete = main.typed.get("watch", ()), offering(main)
    main.open(Prompt("=", hint, text=selected, check=check_watch, history=before, complete=complete), typed)


def toggle_watch(main: HistoryScreen, text: str) -> None:
    """Watch a path or an expression from now on, or no longer."""
    view = moves.toggle_watch(main.view, text, MOST_WATCHES)
    if text not in view.watches:
        main.flash(f"no longer watched: {text}")
    main.apply(replace(view, flips=main.scene.watches.flips(view.watches)))


def _told(found: int, text: str) -> str:
    if not found:
        return f"nothing found for {text}"
    return f"{text}: " + ("1 entry" if found == 1 else f"{found:,} entries")


def stop_search(main: HistoryScreen) -> None:
    """Forget the search, a running one too."""
    main.worker.cancel(QuestionKind.SEARCH)
    main.apply(replace(main.view, search=SearchState()))


def search_next(main: HistoryScreen) -> None:
    """Go to the next hit."""
    _to_hit(main, 1)


def search_prev(main: HistoryScreen) -> None:
    """Go to the hit before."""
    _to_hit(main, -1)


def _to_hit(main: HistoryScreen, step: int) -> None:
    """Go to the next (+1) or previous (-1) hit, or to one at or after the head (0)."""
    view = main.view
    seq = moves.next_hit(replace(view, head=view.head - 1) if step == 0 else view, step or 1)
    if seq is None:
        return
    moved = moves.jump_to(view, seq)
    path = main.hit_paths.get(seq, ())
    main.apply(moves.reveal(moved, path) if path else moved)
    results.point_at(main, seq)


def go(main: HistoryScreen, seq: str | None) -> None:
    """Go to the entry that a menu returned."""
    if seq is not None:
        main.apply(moves.jump_to(main.view, int(seq)))


def ask_filter(main: HistoryScreen) -> None:
    """Ask which entries to show."""

    def check(text: str) -> str:
        overview.compile_filter(overview.parse_filter(text), main.scene.history)
        return ""

    def typed(text: str | None) -> None:
        if text is not None:
            main.typed["filter"].append(text)
            start_filter(main, text.strip(), moving=True)

    prompt = Prompt("\\", overview.HELP, text=main.view.filter.text, check=check, history=main.typed["filter"])
    main.open(prompt, typed)


def start_filter(main: HistoryScreen, text: str, *, moving: bool = False) -> None:
    """Show only the entries that pass; without a text show all again.

    Args:
        main: the main screen.
        text: the filter.
        moving: let the head go to the nearest entry that passes, so that the list keeps its cursor; not while following.
    """
    main.worker.cancel(QuestionKind.FILTER)
    if not text:
        main.keep = None
        main.rows = Rows(main.view.total, first=main.view.first)
        main.apply(replace(main.view, filter=Filter()))
        return
    keep = overview.compile_filter(overview.parse_filter(text), main.scene.history)
    total = main.view.total
    first, started = main.view.first, main.view.head
    rows = main.rows = Rows(total, array("q"), first=first)
    main.keep = keep
    main.apply(replace(main.view, filter=Filter(text, 0, True)))

    def take(reply: Reply) -> None:
        if reply.value is not None:
            rows.extend(reply.value, total)
        main.apply(replace(main.view, filter=replace(main.view.filter, count=len(rows), running=not reply.done)))
        if reply.done:
            extend_rows(main, total, main.view.total)
            if moving and main.view.head == started and not main.view.follow:
                main.apply(moves.onto_rows(main.view, rows))

    main.ask(QuestionKind.FILTER, lambda: _pass_through(keep, first, total), take)


def restore_filter(main: HistoryScreen, text: str) -> None:
    """Filter as when the source was left; a remembered filter that no longer parses is forgotten."""
    try:
        overview.compile_filter(overview.parse_filter(text), main.scene.history)
    except overview.FilterSyntaxError:
        return
    start_filter(main, text)


def _pass_through(keep: Keep, first: int, total: int) -> Iterator[list[int] | None]:
    """Yield the entries that pass, a batch every few milliseconds."""
    batch: list[int] = []
    until = perf_counter() + SLICE_SECONDS / 2
    for seq in range(first, total):
        if keep(seq):
            batch.append(seq)
        if seq % 64 == 0 and perf_counter() >= until:
            yield batch
            batch = []
            until = perf_counter() + SLICE_SECONDS / 2
    yield batch


def extend_rows(main: HistoryScreen, before: int, total: int) -> None:
    """Let the entries from `before` to `total - 1` into the filtered list, those that pass."""
    keep = main.keep
    if keep is not None:
        main.rows.extend((seq for seq in range(before, total) if keep(seq)), total)
        main.apply(replace(main.view, filter=replace(main.view.filter, count=len(main.rows))))


def ask_actions(main: HistoryScreen) -> None:
    """List the actions by how often they happened, and filter by one."""
    from unspool_tui.screens.answers import ActionsPage  # loaded when it is first opened

    main.open(ActionsPage(main, lambda text: start_filter(main, text, moving=True), lambda seq: go(main, str(seq))))


def bookmark(main: HistoryScreen) -> None:
    """Set or remove a bookmark on the head."""
    view = moves.toggle_bookmark(main.view)
    main.apply(view)
    main.flash(f"bookmark {'set on' if view.head in view.bookmarks else 'removed from'} #{view.head}")


def ask_bisect(main: HistoryScreen) -> None:
    """Ask a question about the state, and find the entries at which its answer changes."""

    def typed(text: str | None) -> None:
        if text is not None and text.strip():
            main.typed["bisect"].append(text)
            start_bisect(main, text.strip())

    hint = "where does this change? such as cart.total > 100 or length(cart.items); Tab completes paths"
    complete = offering(main)
    main.open(Prompt("?", hint, check=check_question, history=main.typed["bisect"], complete=complete), typed)


def start_bisect(main: HistoryScreen, text: str) -> None:
    """Find where the answer to a question changes; the places are listed as they are found, and `n` and `N` travel between them."""
    hits = array("q")
    found: list[AnswerChange] = []
    main.hit_paths = {}
    listed = results.open_list(main, ListKind.QUESTION, f"where this changes: {text}", total=main.view.count)
    main.view = replace(main.view, search=SearchState(f"? {text}", hits, 0, True))

    def take(reply: Reply) -> None:
        search, told, complete = main.view.search, "", True
        if reply.value is not None:
            found.extend(reply.value.turns)
            hits.extend(turn.seq for turn in reply.value.turns)
            listed.looked_at = reply.value.looked_at
            results.add(main, listed, map(_turned, reply.value.turns))
            search = replace(search, found=len(hits), looked_at=reply.value.looked_at)
            told, complete = reply.value.told, reply.value.complete
        if reply.done and not found:
            search = SearchState()
        main.apply(replace(main.view, search=replace(search, running=not reply.done)))
        if told:
            many = "1 entry" if len(found) == 1 else f"{len(found):,} entries"
            where = f"changes at {many}" if found else "the answer never changes"
            listed.said = told
            main.flash(f"{text}: {where}; {told}", "text" if complete else "warning")
        if reply.done:
            results.finish(main, listed, listed.said)

    told = f"asking every entry: {text}"
    main.ask(QuestionKind.SEARCH, lambda: turns(main.scene.history, text, main.worker.withdrawn), take, told=told)


def _turned(turn: AnswerChange) -> ResultRow:
    return ResultRow(turn.seq, (), "holds" if turn.holds else "no longer", turn.old, turn.new)


def ask_why(main: HistoryScreen) -> None:
    """Follow the causes of the selected value back from the head."""
    from unspool_tui.screens.answers import WhyScreen  # loaded when it is first opened

    main.open(WhyScreen(main, main.view.selected, main.view.head))


CONTROLS: Final[Mapping[str, Callable[[HistoryScreen], None]]] = {
    "search": ask_search,
    "search.next": search_next,
    "search.prev": search_prev,
    "filter": ask_filter,
    "actions": ask_actions,
    "bookmark": bookmark,
    "bisect": ask_bisect,
    "watch": watch,
    "why": ask_why,
}
