"""Painting the main screen: from the view to the rows of every widget, all in one frame."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic, perf_counter
from typing import Final, Protocol

from msgspec.structs import replace

from unspool.model.keys import Path
from unspool_tui.actions import hints
from unspool_tui.panes.answer import FRAMED_FROM, framed
from unspool_tui.panes.detail import Detail, DetailRequest, request_of
from unspool_tui.panes.history import look_up, nothing_rows
from unspool_tui.questions import leaf_writers, tell_story
from unspool_tui.rendering.header import Cost, Marks, flash_row, footer, header
from unspool_tui.rendering.line import BLANK, Row, wrap_words
from unspool_tui.rendering.values import UNKNOWN
from unspool_tui.screens.follower import after
from unspool_tui.screens.protocols import HistoryScreen
from unspool_tui.view import moves
from unspool_tui.view.model import Pane, View
from unspool_tui.widgets.lines import LinesView
from unspool_tui.widgets.panel import Box, Listed, Made, Panel, RowSource, StripView
from unspool_tui.widgets.timeline import height_for, lane_room
from unspool_tui.worker import QuestionKind, Reply

_REST_SECONDS: Final = 0.12
"""How long a value must be selected before its story is looked up."""
_LANES_REST_SECONDS: Final = 0.12
"""After a paint until what lanes lack is worked out: nothing is read for them while keys are held."""
_CALM_SECONDS: Final = 0.1
"""Between two heads while the timeline is dragged; shorter gaps count as a rush."""
_RUSH_SECONDS: Final = 0.25
"""The same while following: longer than looks at the source are apart, or the slower each is, the more it would do."""
LATE_SECONDS: Final = 0.08
"""A detail that takes longer is announced, so that the panels' old content is not taken for the new."""
_LOOK_BACK_SECONDS: Final = 0.004
"""Time spent on finding last writers while painting; what is not found by then is left to the worker.

It costs less than the second frame that the worker's answer takes.
"""


def pane_classes(shown: Iterable[Pane]) -> list[str]:
    """Return the style classes of the screen that make panes show."""
    names = [f"-show-{pane.name.lower()}" for pane in shown]
    return [*names, "-zoomed"] if len(names) == 1 else names


class Painted(HistoryScreen, Protocol):
    """The main screen with the widgets that are painted."""

    @property
    def header(self) -> LinesView:
        """The first line."""

    @property
    @property
    def strip(self) -> StripView:
        """What happened, and the story of a value."""

    @property
    def left(self) -> Box:
        """What Changes and Stats stand in."""

    @property
    def footer(self) -> LinesView:
        """The last line."""

    @property
    def notice(self) -> LinesView:
        """What is shown in place of everything where the terminal is too small."""

    @property
    def is_in_front(self) -> bool:
        """It is the screen of the tab that is looked at."""

    @property
    def classes(self) -> frozenset[str]:
        """The style classes of the screen."""

    def set_classes(self, classes: Iterable[str]) -> object:
        """Give it other style classes."""


class Painter:
    """Turns the view into rows."""

    def __init__(self, main: Painted) -> None:
        self._main = main
        self._classes: list[str] = []
        self._sizes: dict[Pane, int] = {}
        self._asked_at = 0.0
        self._requested: DetailRequest | None = None
        self._story: tuple[Path, int] = ((), -1)
        self._last_origins = (-1, 0.0)
        self._calming = self._rushes = False
        self._telling = False
        self._headlines_due = False
        self._lanes_due = False
        self._awaited: set[QuestionKind] = set()
        """Questions on watches whose last answer was not taken yet."""
        self._working_out: tuple[object, ...] = ()
        self._gave_up: tuple[object, ...] = ()
        self._footer_key: tuple[list[tuple[str, str]], int] | None = None
        self._footer_row = BLANK

    def paint(self) -> None:
        """Show the view of the main screen."""
        main = self._main
        view = main.view
        main.scene.begin_paint(main.worker.rests)
        self._rushes = self._hurries(view.head)
        self._arrange(view)
        self._load(view)
        self._lines(view)
        shown = moves.shown_panes(view, main.width_class)
        explains = Pane.INSPECT in shown and not self.stale
        unknown = self._look_back(view) if explains else []
        self._strip(view)
        for pane in shown:
            self._panel(view, pane)
        self._read_rows()
        if explains:
            self._look_up(view, unknown)
        if not self.stale:
            self._want_story(view)
            self._ask_watches(view)

    def _read_rows(self) -> None:
        """Have the worker read what the list could not ask for itself."""
        book = self._main.scene.book
        missing = book.take_missing()
        if missing:
            self._main.worker.ask(QuestionKind.ROWS, lambda: book.look_up(missing))
        untold = book.take_untold()
        if untold and not self._headlines_due and not self._main.worker.owes(QuestionKind.HEADLINES):
            # While somebody scrolls, nobody reads them.
            self._headlines_due = True
            after(self._main, _REST_SECONDS, self._tell_headlines)

    def _tell_headlines(self) -> None:
        """Have the worker find out the largest changes of the rows in sight whose action says nothing."""
        main, book = self._main, self._main.scene.book
        self._headlines_due = False
        if Pane.HISTORY in moves.shown_panes(main.view, main.width_class):
            self._panel(main.view, Pane.HISTORY)
        untold, glyphs = book.take_untold(), main.pen.glyphs
        if untold:
            main.worker.ask(QuestionKind.HEADLINES, lambda: book.tell(untold, glyphs))

    @property
    def stale(self) -> bool:
        """The details shown are not those of the head."""
        return self._main.scene.wants_detail(self._main.view)

    @property
    def unsettled(self) -> bool:
        """Something about what is in sight is still to be looked up."""
        view, scene = self._main.view, self._main.scene
        told = scene.inspect.story[:2]
        waiting = self._story == (scene.strip.asked(view, scene.detail), view.head) and self._telling
        return (
            self._calming
            or self._headlines_due
            or self._lanes_due
            or bool(self._working_out)
            or (waiting and told != self._story)
        )

    def _arrange(self, view: View) -> None:
        main = self._main
        wanted = pane_classes(moves.shown_panes(view, main.width_class))
        if wanted != self._classes:
            every = set(pane_classes(Pane)) | {"-zoomed"}
            if main.classes & every != set(wanted):
                main.set_classes([name for name in main.classes if name not in every] + wanted)
            self._classes = wanted
        self._give_sizes(view)

    def _give_sizes(self, view: View) -> None:
        """Give panes the sizes that a person wants in this layout, and the others back what the layout has for them."""
        width = self._main.width_class
        sized = (Pane.HISTORY, Pane.CHANGES, Pane.RESULTS)
        wanted = {size.pane: size.cells for size in view.sizes if size.layout is width and size.pane in sized}
        wanted = {} if view.zoomed else wanted
        for pane in self._sizes.keys() | wanted.keys():
            cells = wanted.get(pane)
            if cells != self._sizes.get(pane):
                # Changes share their place with Stats.
                styles = (self._main.left if pane is Pane.CHANGES else self._main.panels[pane]).styles
                rule = "height" if pane is Pane.RESULTS else "width"
                for name in (rule, f"min_{rule}", f"max_{rule}"):
                    if cells is None:
                        styles.clear_rule(name)
                    else:
                        setattr(styles, name, cells)
        self._sizes = wanted

    def _load(self, view: View) -> None:
        main = self._main
        if main.scene.load_now(view):
            # Whatever the worker was asked before is not what the screen waits for when it comes there again.
            self._asked_at, self._requested = 0.0, None
            return
        if not self._asked_at:
            self._asked_at = monotonic()
            after(main, LATE_SECONDS, main.repaint)
        wanted = request_of(view)
        if wanted != self._requested:
            self._requested = wanted
            main.worker.ask(QuestionKind.DETAIL, lambda: main.scene.load_later(view))

    def detail_failed(self, why: str) -> None:
        """Tell in the place of a detail why the worker could not load it: a question that failed once is not put again."""
        if self._requested is not None:
            self._main.scene.take(Detail(self._requested, problem=why))
            self._requested = None

    def _lines(self, view: View) -> None:
        main, scene = self._main, self._main.scene
        width, glyphs = main.size.width, main.pen.glyphs
        late = bool(self._asked_at) and monotonic() - self._asked_at >= LATE_SECONDS
        ledger = scene.ledger
        cost = None
        if ledger.ready:
            cost = Cost(scene.sizes(), ledger.depth(view.head))
        link = main.unspool_app.tab_screens.told_link() if view.tabs > 1 else ""
        marks = Marks(late, scene.wrong(), scene.reading(), scene.stats.ailment, main.follower.pulse(), link)
        main.header.show_rows([header(view, scene.history.source_name, cost, width, glyphs, marks)])
        if view.tabs > 1:
            main.unspool_app.tab_screens.show_line()
        self._timeline(view)
        if main.card is not None:
            main.card.show_card(main.size)
        if main.flash_text is not None:
            main.footer.show_rows([flash_row(*main.flash_text)])
        elif not main.is_uncovered:
            # Keys go to the screen in front, which says what they do there.
            main.footer.show_rows([Row(ground="bar")])
        else:
            main.footer.show_rows([self._footer(view, width)])
        if main.notice.display:
            main.notice.show_rows(self._too_small())

    def _strip(self, view: View) -> None:
        """Tell what happened at the head, and of the value in question who set it."""
        main, scene = self._main, self._main.scene
        strip, glyphs = main.strip, main.pen.glyphs
        has_frame = main.size.height >= FRAMED_FROM
        address, head, origin = scene.inspect.story
        if (address, head) != (scene.strip.asked(view, scene.detail), scene.detail.request.head):
            origin = UNKNOWN
        width = strip.columns - 2 if has_frame else strip.columns
        watched = [scene.watches.row(view.watches, view.head, width, glyphs)] if view.watches else []
        room = main.panels[Pane.RESULTS].inner_width
        watched += scene.results.told(view, scene.ledger.columns, room, width)
        rows = scene.strip.rows(view, scene.detail, scene.answer(view), origin, watched, width)
        if has_frame:
            rows = framed(rows, strip.columns, glyphs)
        if strip.styles.height is None or strip.styles.height.value != len(rows):
            strip.styles.height = len(rows)
        strip.show_rows(rows)

    def _timeline(self, view: View) -> None:
        """Show the timeline with what is known of its lanes, and have the worker find out the rest when keys rest."""
        main, scene = self._main, self._main.scene
        if self._rushes and view.follow and main.timeline.axis.stop:
            # Its bars move by less than a cell; `_calm` shows them as they are then.
            return
        room = lane_room(main.size.height, len(view.pinned))
        lanes = scene.lanes.lanes(view, scene.ledger, room)
        main.timeline.take_lines(height_for(main.size.height, room if scene.lanes.unranked else len(lanes)))
        main.timeline.show(
            view,
            scene.ledger,
            scene.look.zone,
            lanes,
            lambda axis: scene.lanes.rows(lanes, axis, scene.ledger),
            is_refused=bool(scene.detail.problem),
        )
        if not room or self._lanes_due or not scene.ledger.ready:
            return
        # What was asked for goes on while entries arrive; another part of the axis goes before it.
        asked = (lanes, main.timeline.axis.start, view.timeline_zoom, view.timeline_by_time, main.timeline.columns)
        if asked not in (self._working_out, self._gave_up) and scene.lanes.lacks(
            lanes, main.timeline.axis, scene.ledger, view.total
        ):
            self._lanes_due = True
            after(main, _LANES_REST_SECONDS, lambda: self._work_out_lanes(asked))

    def _work_out_lanes(self, asked: tuple[object, ...]) -> None:
        main = self._main
        self._lanes_due, self._working_out = False, asked
        book, ledger, total = main.scene.lanes, main.scene.ledger, main.view.total
        lanes, axis = main.timeline.lanes, main.timeline.axis
        main.worker.ask(QuestionKind.LANES, lambda: book.work_out(lanes, axis, ledger, total))

    def lanes_known(self, *, done: bool, failed: bool = False) -> None:
        """Paint the timeline again, now that more is known of its lanes; what failed is not asked for a second time."""
        if failed:
            self._gave_up = self._working_out
        if done:
            self._working_out = ()
        if self._main.is_in_front:
            self._timeline(self._main.view)

    def _footer(self, view: View, width: int) -> Row:
        key = (self._keys(view), width)
        if key != self._footer_key:
            self._footer_key, self._footer_row = key, footer(*key)
        return self._footer_row

    def _keys(self, view: View) -> list[tuple[str, str]]:
        keymap = self._main.keymap
        pairs = []
        for hint in hints(view):
            keys = [shown for name in hint.ids if (shown := keymap.shown(name))]
            if keys:
                pairs.append((" ".join(keys), hint.label))
        return pairs

    def _too_small(self) -> list[Row]:
        size = self._main.app.size
        words = f"unspool needs 60 columns and 16 lines; this terminal has {size.width} by {size.height}"
        lines = wrap_words(words, size.width - 2, size.height)
        above = max(0, (size.height - len(lines)) // 2)
        return [BLANK] * above + [Row(((f" {line}", "text"),)) for line in lines]

    def _panel(self, view: View, pane: Pane) -> None:
        main, scene = self._main, self._main.scene
        panel, top = main.panels[pane], self._main.scroll_memory.top(pane, view)
        match pane:
            case Pane.HISTORY:
                rows = main.rows
                position = rows.position(view.head)
                columns = scene.ledger.columns
                source: RowSource = Made(
                    len(rows), lambda index, width: scene.list.row(view, rows, columns, index, width)
                )
                if not len(rows) and view.filter.text and not view.filter.running:
                    source = Listed(nothing_rows(self._main.keymap.shown("filter"), panel.inner_width))
                cursor = position if position < len(rows) and rows[position] == view.head else None
                if cursor is None and top is None:
                    # The filter leaves the head out: the place where it would be stays in sight.
                    top = moves.keep_visible(panel.top, min(position, len(rows) - 1), panel.page, len(rows))
                panel.show(source, scene.list.frame(view, rows, columns, panel.inner_width), cursor, top=top)
            case Pane.CHANGES:
                scene.changes.update(view, scene.detail, panel.inner_width)
                source = Made(scene.changes.count(), scene.changes.row)
                panel.show(source, scene.changes.frame(view, stale=self.stale), scene.changes.cursor(view), top=top)
            case Pane.INSPECT:
                scene.inspect.update(view, scene.detail, panel.inner_width)
                source = Made(scene.inspect.shown(), lambda index, width: scene.inspect.row(view, index, width))
                panel.show(source, scene.inspect.frame(view, stale=self.stale), scene.inspect.cursor(view), top=top)
            case Pane.STATS:
                if scene.stats.wants_measuring(view):
                    main.worker.ask(QuestionKind.STATS, scene.history.stats)
                rows_now = scene.stats.rows(view, scene.ledger, scene.sizes(), panel.inner_width)
                panel.show(Listed(rows_now), scene.stats.frame(view), None, top=top)
            case Pane.RESULTS:
                columns = scene.ledger.columns
                source = Made(view.dock.count, lambda index, width: scene.results.row(view, columns, index, width))
                panel.show(source, scene.results.frame(view), view.dock.cursor if view.dock.count else None, top=top)
                self._look_up_results(view, panel)

    def _look_up_results(self, view: View, panel: Panel) -> None:
        """Have the worker find out what the results in sight did to their values."""
        history, wanted = self._main.scene.history, self._main.scene.results.unknown(view, panel.top, panel.page)
        if wanted:
            self._main.worker.ask(QuestionKind.RESULTS, lambda: look_up(history, wanted))

    def _look_back(self, view: View) -> list[str] | None:
        """Find out who last set what will be in sight, before it is drawn.

        Returns:
            The atoms left to the worker; None where entries arrive too fast for anyone to read this.
        """
        scene, panel = self._main.scene, self._main.panels[Pane.INSPECT]
        scene.inspect.update(view, scene.detail, panel.inner_width)
        panel.place(
            scene.inspect.shown(), scene.inspect.cursor(view), top=self._main.scroll_memory.top(Pane.INSPECT, view)
        )
        if self._rushes:
            return None
        unknown = scene.inspect.seen_atoms(panel.top, panel.page)
        if unknown and scene.may_ask():
            scene.origins.look_back(unknown, view.head, perf_counter() + _LOOK_BACK_SECONDS)
            unknown = scene.inspect.seen_atoms(panel.top, panel.page)
        scene.inspect.keep_story(view.selected, view.head, scene.ledger.columns.timestamp_ns)
        return unknown

    def _look_up(self, view: View, unknown: list[str] | None) -> None:
        """Have the worker find out what takes longer."""
        main, scene, head = self._main, self._main.scene, view.head
        if unknown:
            main.worker.ask(QuestionKind.ORIGINS, lambda: (head, scene.origins.look_up(unknown, head)))
        if unknown is not None:
            self._explain_leaves(head, main.panels[Pane.INSPECT])

    def _ask_watches(self, view: View) -> None:
        """Have the worker find out what the watches in sight are at the head, and were over the whole history."""
        main, book, history = self._main, self._main.scene.watches, self._main.scene.history
        shown, head = book.in_sight(view.watches, main.strip.columns), view.head
        if not shown or not view.total:
            return
        # A question that is put again before its whole answer was taken makes what is on its way stale, for ever.
        if book.wants_now(shown, head) and QuestionKind.WATCHED not in self._awaited:
            self._awaited.add(QuestionKind.WATCHED)
            main.worker.ask(QuestionKind.WATCHED, lambda: book.ask_now(history, shown, head))
        if book.wants_course(shown, view.total) and QuestionKind.COURSES not in self._awaited:
            self._awaited.add(QuestionKind.COURSES)
            main.worker.ask(QuestionKind.COURSES, lambda: book.ask_courses(history, shown, main.worker.withdrawn))

    def watches_failed(self, reply: Reply) -> None:
        """Take note that watches were not answered; they are asked again with the next paint."""
        self._awaited.discard(reply.kind)

    def watches_known(self, reply: Reply) -> None:
        """Tell what was found out about watches, and find out what is not yet."""
        if reply.done:
            self._awaited.discard(reply.kind)
        main = self._main
        flips = main.scene.watches.flips(main.view.watches)
        if flips != main.view.flips:
            main.apply(replace(main.view, flips=flips))
            return
        self._strip(main.view)
        if not self.stale:
            self._ask_watches(main.view)

    def _want_story(self, view: View) -> None:
        """Have the worker find out who set the value in question, once somebody rests there."""
        main, scene, head = self._main, self._main.scene, view.head
        address = () if self._rushes else scene.strip.asked(view, scene.detail)
        wanted = (address, head)
        if address and wanted not in (scene.inspect.story[:2], self._story):
            self._story, self._telling = wanted, True
            after(main, _REST_SECONDS, lambda: self._tell_story(address, head))

    def _tell_story(self, address: Path, head: int) -> None:
        """Look up who set the value in question, if it still is in question: nobody reads it while moving past."""
        main = self._main
        if self._story == (address, head):
            # A later one may already be waited for.
            self._telling = False
        if (main.scene.strip.asked(main.view, main.scene.detail), main.view.head) == (address, head):
            history = main.scene.history
            main.worker.ask(QuestionKind.STORY, lambda: tell_story(history, address, head, main.worker.withdrawn))

    def _hurries(self, head: int) -> bool:
        """Whether entries go by faster than anyone reads: they arrive so, or the timeline is dragged.

        Last writers are looked up when that calms down.
        """
        now = monotonic()
        last_head, last_time = self._last_origins
        self._last_origins = (head, now)
        view = self._main.view
        moves_fast = head - last_head > 1 if view.follow else self._main.timeline.is_dragged and head != last_head
        calm = _RUSH_SECONDS if view.follow else _CALM_SECONDS
        hurries = moves_fast and now - last_time < calm
        if hurries and not self._calming:
            self._calming = True
            after(self._main, 2 * calm, self._calm)
        return hurries

    def _calm(self) -> None:
        self._calming = False
        self._last_origins = (-1, 0.0)
        self._main.repaint()

    def _explain_leaves(self, head: int, panel: Panel) -> None:
        main, scene = self._main, self._main.scene
        wanted = scene.inspect.unexplained(panel.top, panel.page)
        if wanted is not None:
            atom, set_by = wanted
            scene.leaves.asked(atom, set_by)
            main.worker.ask(
                QuestionKind.LEAVES,
                lambda: (atom, set_by, leaf_writers(scene.history, atom, head, main.worker.withdrawn)),
            )

    def origins_known(self) -> None:
        """Paint Inspect again, now that it is known who set its values."""
        main = self._main
        if not self.stale and Pane.INSPECT in moves.shown_panes(main.view, main.width_class):
            self._panel(main.view, Pane.INSPECT)
            self._explain_leaves(main.view.head, main.panels[Pane.INSPECT])

    def story_known(self) -> None:
        """Tell the story of the value in question, and in Inspect too where it is selected."""
        main = self._main
        self._strip(main.view)
        address, _, origin = main.scene.inspect.story
        if address == main.view.selected and origin.later is None:
            self.origins_known()
