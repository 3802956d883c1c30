"""The wall of chains as lines: it fits every screen, its places are those that a click means, and no shape lies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unspool.codec.records import RecordCodec
from unspool.model.entries import DELTA, FULL
from unspool.query.chain_table import ChainHealth, ChainTable
from unspool.query.doctor.chains import ChainRow as DoctorsRow
from unspool.query.doctor.chains import ChainVerdict, ChecksumState, rules_of
from unspool.store.protocol import HOLE, Columns
from unspool_tui.rendering.chain_lines import Link, around, bytes_row, cache_row, link_heading, link_row
from unspool_tui.rendering.chain_wall import Wall, lay_out, legend_rows
from unspool_tui.rendering.line import ASCII, UNICODE, spans_width


def table_of(lengths: list[int], holes: frozenset[int] = frozenset()) -> ChainTable:
    columns = Columns()
    for length in lengths:
        for place in range(length + 1):
            seq = len(columns)
            columns.kind.append(DELTA if place else FULL)
            columns.codec.append(HOLE if seq in holes else RecordCodec.DICT)
            columns.timestamp_ns.append(seq * 10**6)
            columns.stored.append(7 * place % 50 + 1)
            columns.full_bytes.append(500)
            for counts in (columns.added, columns.modified, columns.deleted):
                counts.append(0)
    table = ChainTable(columns, rules_of(()))
    table.extend(len(columns))
    return table


def examine(table: ChainTable, place: int, verdict: ChainVerdict = ChainVerdict.KEEP) -> None:
    one = table[place]
    checks = ChecksumState.DAMAGED if verdict is ChainVerdict.BROKEN else ChecksumState.INTACT
    table.examined(
        DoctorsRow(one.first, one.last, one.deltas, 0.0, 0, 0, one.limits, checks, verdict, "as the doctor says")
    )


_LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=60)
_SIZES = st.tuples(st.integers(1, 120), st.integers(1, 40))


@given(chains=st.integers(1, 2_000_000), size=_SIZES)
def test_every_chain_has_a_place_that_fits(chains: int, size: tuple[int, int]) -> None:
    width, height = size
    layout = lay_out(chains, width, height)
    assert layout.count * layout.group >= chains
    assert (layout.count - 1) * layout.group < chains
    assert layout.per_band * layout.slot <= width
    assert layout.bands * layout.lines <= height
    assert layout.item_at(layout.per_band * layout.slot, 0) is None
    for item in {0, layout.count // 2, layout.count - 1}:
        band, column = divmod(item, layout.per_band)
        assert layout.item_at(column * layout.slot, band * layout.lines) == item
        assert layout.item_at((column + 1) * layout.slot - 1, (band + 1) * layout.lines - 1) == item


@given(lengths=_LENGTHS, size=_SIZES, ascii_only=st.booleans(), holes=st.frozensets(st.integers(0, 200), max_size=3))
def test_lines_are_as_wide_as_they_say_and_nothing_else_is_in_them(
    lengths: list[int], size: tuple[int, int], ascii_only: bool, holes: frozenset[int]
) -> None:
    table, glyphs = table_of(lengths, holes), ASCII if ascii_only else UNICODE
    layout = lay_out(len(table), *size)
    rows = Wall(table, table.columns, layout, glyphs).rows(0, len(table) - 1, swept=len(table) // 2)
    assert len(rows) == layout.bands * layout.lines
    left = layout.count
    for place, row in enumerate(rows):
        items = min(layout.per_band, left - place // layout.lines * layout.per_band)
        assert spans_width(row.left) == items * layout.slot
        assert not ascii_only or "".join(text for text, _ in row.left).isascii()


@given(lengths=_LENGTHS, size=_SIZES, ascii_only=st.booleans())
def test_what_nobody_examined_has_no_shape_of_what_is_sound(
    lengths: list[int], size: tuple[int, int], ascii_only: bool
) -> None:
    table, glyphs = table_of(lengths), ASCII if ascii_only else UNICODE
    layout = lay_out(len(table), *size)
    rows = Wall(table, table.columns, layout, glyphs).rows(-1, -1)
    towers = [row for at, row in enumerate(rows) if not layout.has_strip or at % layout.lines < layout.tower]
    assert not {style for row in rows for _, style in row.left} & {"good", "block.sound"}
    if not ascii_only:
        assert not set("".join(text for row in towers for text, _ in row.left)) & set(glyphs.bars)
    told = " ".join(text for row in legend_rows(table, layout, 80, glyphs) for text, _ in row.left)
    assert "sound 0" in told


def test_each_verdict_has_its_own_shape() -> None:
    table = table_of([5, 5, 40, 5, 30])
    examine(table, 0)
    examine(table, 3, ChainVerdict.BROKEN)
    wall = Wall(table, table.columns, lay_out(5, 60, 4), UNICODE)
    assert [table[place].health for place in range(5)] == [
        ChainHealth.SOUND,
        ChainHealth.UNKNOWN,
        ChainHealth.OVER,
        ChainHealth.BROKEN,
        ChainHealth.NEAR,
    ]
    strip = wall.rows(-1, -1)[-1].left
    assert [text for text, style in strip if style.startswith("block.")] == ["✓", "F", "▲", "✗", "!"]


def test_a_hole_and_a_fork_stand_where_they_are() -> None:
    table = table_of([20, 20], frozenset({10}))
    table.add_forks([25])
    layout = lay_out(2, 60, 4)
    strip = "".join(text for text, _ in Wall(table, table.columns, layout, UNICODE).rows(-1, -1)[-1].left)
    assert strip.index("□") < layout.slot <= strip.index("Y")
    many = table_of([3] * 400, frozenset({2}))
    many.add_forks([5])
    small = lay_out(400, 40, 10)
    shapes = "".join(text for text, _ in Wall(many, many.columns, small, UNICODE).rows(-1, -1)[0].left)
    assert shapes[:2] == "□Y"


@given(sizes=st.lists(st.integers(0, 10**9), max_size=30), width=st.integers(1, 200))
def test_the_bar_of_bytes_fits(sizes: list[int], width: int) -> None:
    row = bytes_row([(f"atom {n}", size, 1) for n, size in enumerate(sorted(sizes, reverse=True))], width, UNICODE)
    assert spans_width(row.left) <= max(width, len(" bytes not measured yet"))


@given(total=st.integers(1, 500), width=st.integers(1, 200), data=st.data())
def test_the_strip_of_the_cache_has_the_head_in_it(total: int, width: int, data: st.DataObject) -> None:
    head = data.draw(st.integers(0, total - 1))
    seqs = around(head, 0, total, width)
    assert head in seqs
    assert len(seqs) == min(width, total)
    row = cache_row([seq % 2 == 0 for seq in seqs], seqs, head, UNICODE)
    assert spans_width(row.left) == len(" cache ") + len(seqs)


@given(
    link=st.builds(
        Link,
        seq=st.integers(0, 10**7),
        kind=st.sampled_from(("base", "delta", "note", "hole", "fork")),
        age_ns=st.integers(-(10**18), 10**18),
        stored=st.integers(0, 10**12),
        read=st.integers(0, 10**12),
        depth=st.integers(0, 10**6),
        rebuild_ns=st.none() | st.integers(0, 10**12),
        action=st.text(max_size=30),
        follows=st.none() | st.integers(0, 10**7),
        is_last=st.booleans(),
        is_head=st.booleans(),
    ),
    width=st.integers(10, 200),
)
def test_the_columns_of_a_chain_stand_under_their_names(link: Link, width: int) -> None:
    row = link_row(link, 1000, ChainHealth.UNKNOWN, width, UNICODE)
    heading = spans_width(link_heading(width + 2).left) - len(" action")
    assert spans_width(row.left[:-2]) == heading
    assert not [
        text for text, _ in row.left if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)
    ]


@given(lengths=_LENGTHS, data=st.data())
def test_the_cursor_is_a_shape_over_its_strip_too(lengths: list[int], data: st.DataObject) -> None:
    table = table_of(lengths)
    layout = lay_out(len(table), 90, 30)
    cursor = data.draw(st.integers(0, layout.count - 1))
    rows = Wall(table, table.columns, layout, UNICODE).rows(cursor, -1)
    text = ["".join(text for text, _ in row.left) for row in rows]
    if layout.has_strip:
        band, column = divmod(cursor, layout.per_band)
        marked = text[band * layout.lines][column * layout.slot : (column + 1) * layout.slot]
        assert UNICODE.opened in marked
        assert sum(line.count(UNICODE.opened) for line in text) == marked.count(UNICODE.opened)
