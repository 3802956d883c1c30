"""What people type, and type wrongly: the exit code, the stream that answers, and how its first line begins."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest

from unspool import Recorder
from unspool_tui.cli import run

SECOND = 1_000_000_000
NOON = 1_772_366_400 * SECOND


def make_sources(folder: Path) -> None:
    """Write what the command lines are about: two shops, states, and files that are empty, broken, cut or something else."""
    for name, price in (("shop.unspool", 5), ("other.unspool", 6)):
        with Recorder(folder / name, on_error="raise") as recorder:
            carts: dict[str, list[int]] = {"ada": [], "bob": []}
            revenue = 0
            for number in range(40):
                who, what = ("ada", "bob")[number % 2], ("tea", "mug")[number // 2 % 2]
                action = f"{who} takes {what}"
                carts[who] = [*carts[who], number]
                if number % 10 == 9:
                    action, revenue, carts[who] = f"{who} pays", revenue + price * len(carts[who]), []
                state = {"carts": dict(carts), "till": {"revenue": revenue, "orders": number // 10}}
                recorder.record(state, action=action, timestamp_ns=NOON + number * SECOND)
    (folder / "folder").mkdir()
    for name, text in {
        "empty.jsonl": "",
        "empty.unspool": "",
        "broken.json": '{"a": 1,\n "b": }',
        "notes.txt": "hello there\n",
        "good.jsonl": "".join(f'{{"count": {number}}}\n' for number in range(5)),
    }.items():
        (folder / name).write_text(text)
    (folder / "cut.unspool").write_bytes((folder / "shop.unspool").read_bytes()[:5000])


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("typed")
    make_sources(folder)
    return folder


TYPED = [
    ('--help', 0, 'out', 'Usage: unspool COMMAND [ARGUMENTS]... or unspool SOURCE...'),
    ('-h', 0, 'out', 'Usage: unspool COMMAND [ARGUMENTS]... or unspool SOURCE...'),
    ('help', 0, 'out', 'Usage: unspool [OPTIONS] COMMAND [ARGS]...'),
    ('help log', 0, 'out', 'Usage: unspool log [OPTIONS] SOURCE [A..B]'),
    ('help nothing', 2, 'err', "unspool: There is no command and no file 'nothing'; see `unspool --help`"),
    ('--version', 0, 'out', 'unspool 0.1.0'),
    ('version', 0, 'out', 'unspool 0.1.0'),
    ('-V', 0, 'out', 'unspool 0.1.0'),
    ('shop.unspool --help', 0, 'out', 'Usage: unspool open [OPTIONS] SOURCE...'),
    ('log', 2, 'err', "unspool: Missing argument 'SOURCE'; see `unspool log --help`"),
    ('log shop.unspool', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool -n 3', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log -n 3 shop.unspool', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool -3', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool 5', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool 5..8', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool 8..5', 2, 'err', "unspool: '8..5' ends before it begins: entry 8 is after entry 5; write 5..8"),
    ('log shop.unspool 5-8', 2, 'err', "unspool: shop.unspool: no entry is called '5-8', and no action holds it; write a number, -1,"),
    ('log shop.unspool --since 12:00:05', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool --since yesterday', 2, 'err', "unspool: shop.unspool: no entry is called 'yesterday', and no action holds it; write a number, -1,"),
    ('log shop.unspool --since 12:00:05 --until 12:00:06', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool --atom carts -n 2', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool --atom cart', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ("log shop.unspool --grep 'takes (tea|mug)'", 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ("log shop.unspool --grep '('", 2, 'err', "unspool: '(' is no pattern: missing ), unterminated subpattern at column 1"),
    ('log shop.unspool --action tea -n 2', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool --kind full', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool --kind fulls', 2, 'err', "unspool: Invalid value for '--kind': 'fulls' is not one of 'full', 'delta', 'note'; see `unspool"),
    ('log shop.unspool --json -n 1', 0, 'out', '{"seq":39,'),
    ('log shop.unspool --limit 3', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool --max-count 3', 2, 'err', "unspool: No such option '--max-count'. Did you mean '--count'?; see `unspool log --help`"),
    ('log shop.unspool --tail 3', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool --follow --until 5', 2, 'err', 'unspool: --follow has no end: leave --until out; see `unspool log --help`'),
    ('log shop.unspool good.jsonl', 2, 'err', "unspool: 'good.jsonl' is a file, and this command reads one SOURCE: `unspool open A B` shows"),
    ('log nothing.unspool', 3, 'err', 'unspool: nothing.unspool: no such file or directory; did you mean other.unspool?'),
    ('log shop.unspol', 3, 'err', 'unspool: shop.unspol: no such file or directory; did you mean shop.unspool?'),
    ('log folder', 3, 'err', 'unspool: folder: holds no snapshot files (.json, .jsonc, .json5, .toml, .yaml, .yml, .msgpack,'),
    ('log empty.jsonl', 3, 'err', 'unspool: empty.jsonl: is empty; open it again once something has been written to it'),
    ('log empty.unspool', 3, 'err', 'unspool: empty.unspool: is empty; open it again once something has been written to it'),
    ('log broken.json', 3, 'err', 'unspool: broken.json: in no format that unspool knows; it is meant as JSON, but Expecting value at'),
    ('log broken.json --json', 3, 'err', '{"error":{"type":"UnreadableSource","message":"broken.json: in no format that unspool knows; it is'),
    ('log notes.txt', 3, 'err', 'unspool: notes.txt: in no format that unspool knows; it is plain text; as a history in git it is'),
    ('log cut.unspool', 3, 'err', 'unspool: cut.unspool: damaged (database disk image is malformed); `unspool doctor cut.unspool'),
    ('lgo shop.unspool', 2, 'err', "unspool: There is no command and no file 'lgo'. Did you mean 'log'?; see `unspool --help`"),
    ('logs shop.unspool', 2, 'err', "unspool: There is no command and no file 'logs'. Did you mean 'log'?; see `unspool --help`"),
    ('list shop.unspool', 2, 'err', "unspool: There is no command and no file 'list'. Did you mean 'log'?; see `unspool --help`"),
    ('ls shop.unspool', 2, 'err', "unspool: There is no command and no file 'ls'. Did you mean 'log'?; see `unspool --help`"),
    ('show shop.unspool', 0, 'out', 'entry 39 2026-03-01T12:00:39.000000Z bob pays'),
    ('show shop.unspool 5', 0, 'out', 'entry 5 2026-03-01T12:00:05.000000Z bob takes tea'),
    ('show shop.unspool -1', 0, 'out', 'entry 39 2026-03-01T12:00:39.000000Z bob pays'),
    ('show shop.unspool latest~2', 0, 'out', 'entry 37 2026-03-01T12:00:37.000000Z bob takes tea'),
    ('show shop.unspool 9999', 2, 'err', 'unspool: shop.unspool has no entry 9999: it has 40 (0 to 39)'),
    ('show shop.unspool -9999', 2, 'err', 'unspool: shop.unspool has no entry -9999: it has 40 (0 to 39)'),
    ('show shop.unspool "12:00:05"', 0, 'out', 'entry 5 2026-03-01T12:00:05.000000Z bob takes tea'),
    ('show shop.unspool "tea"', 0, 'out', 'entry 37 2026-03-01T12:00:37.000000Z bob takes tea'),
    ('show shop.unspool "no such action"', 2, 'err', "unspool: shop.unspool: no entry is called 'no such action', and no action holds it; write a number,"),
    ('show shop.unspool --path till', 0, 'out', '{'),
    ('show shop.unspool --path till.revenue', 0, 'out', '100'),
    ('show shop.unspool --path til.revenue', 2, 'err', "unspool: entry 39 has nothing at $.til: the state has 'carts', 'till'; did you mean till.revenue?;"),
    ('show shop.unspool --path till.revenu', 2, 'err', "unspool: entry 39 has nothing at $.till.revenu: $.till has 'revenue', 'orders'; did you mean"),
    ('show shop.unspool till.revenue', 2, 'err', "unspool: 'till.revenue' is no entry but a value of the newest one: `unspool show shop.unspool"),
    ('show shop.unspool --path \'$.till["revenue"]\'', 0, 'out', '100'),
    ('show shop.unspool --path /till/revenue', 0, 'out', '100'),
    ("show shop.unspool --path 'till['", 2, 'err', 'unspool: \'till[\' is no path: stuck at column 5; write $.cart.items[2].qty, $["odd key"] or'),
    ('show shop.unspool --atom till', 0, 'out', 'entry 39 2026-03-01T12:00:39.000000Z bob pays'),
    ('show shop.unspool --atom tills', 2, 'err', "unspool: entry 39 has nothing at $.tills: the state has 'carts', 'till'; did you mean till?;"),
    ('show 5 shop.unspool', 3, 'err', 'unspool: 5: no such file or directory; check the spelling of the path; SOURCE comes first: is it'),
    ('diff shop.unspool', 0, 'out', 'entry 38 to 39: 2 modified; 0 unchanged'),
    ('diff shop.unspool 14', 0, 'out', 'entry 13 to 14: 1 modified; 1 unchanged'),
    ('diff shop.unspool 5 8', 0, 'out', 'entry 5 to 8: 1 modified; 1 unchanged'),
    ('diff shop.unspool 5..8', 0, 'out', 'entry 5 to 8: 1 modified; 1 unchanged'),
    ('diff shop.unspool 5..', 0, 'out', 'entry 5 to 39: 2 modified; 0 unchanged'),
    ('diff shop.unspool 14~1', 0, 'out', 'entry 12 to 13: 1 modified; 1 unchanged'),
    ('diff shop.unspool 8 5', 0, 'out', 'entry 8 to 5: 1 modified; 1 unchanged'),
    ('diff shop.unspool 5 5', 0, 'out', 'entry 5 to 5: nothing changed; 2 unchanged'),
    ('diff shop.unspool other.unspool', 2, 'err', "unspool: 'other.unspool' is a file, and this command reads one SOURCE: `unspool open A B` shows"),
    ('diff shop.unspool --patch', 0, 'out', '[{"op":"remove","path":"/carts/bob/3"},{"op":"remove","path":"/carts/bob/2"},{"op":"remove","path":"'),
    ('diff shop.unspool --patch --json', 2, 'err', '{"error":{"type":"UsageError","message":"--json, --patch, --deepdiff and --explain exclude each'),
    ('diff shop.unspool 9 --explain', 0, 'out', 'carts.bob[3] was removed; it was 7'),
    ('blame shop.unspool', 0, 'out', 'entry 39: 23 values'),
    ('blame shop.unspool till.revenue', 0, 'out', 'entry 39: 1 value'),
    ('blame shop.unspool till.revenue --at 20', 0, 'out', 'entry 20: 1 value'),
    ('blame shop.unspool till.revenue --writes -n 3', 0, 'out', '$.till.revenue: 3 writes'),
    ('blame shop.unspool tll.revenue', 2, 'err', "unspool: entry 39 has nothing at $.tll: the state has 'carts', 'till'; did you mean till.revenue?"),
    ('blame till.revenue shop.unspool', 3, 'err', 'unspool: till.revenue: no such file or directory; check the spelling of the path; SOURCE comes'),
    ('why shop.unspool till.revenue', 0, 'out', '$.till.revenue at entry 39: 1 value in its chain'),
    ('why shop.unspool', 2, 'err', "unspool: Missing argument 'PATH'; see `unspool why --help`"),
    ('search shop.unspool tea -n 3', 0, 'out', '0 action ada takes tea'),
    ('search shop.unspool', 2, 'err', 'unspool: Give one of TEXT, --expr E, --change E and --python E; see `unspool search --help`'),
    ('search shop.unspool zzzz', 0, 'err', 'unspool: 0 hits in 40 of 40 entries'),
    ("search shop.unspool 'qty > 3' --first", 2, 'err', 'unspool: no entry that was looked at has a value at a path that ends in qty'),
    ("search shop.unspool --expr 'till.revenue > `10`' --first", 0, 'out', '9 result till true'),
    ("search shop.unspool --expr 'till.revenue >'", 2, 'err', "unspool: 'till.revenue >' does not parse at column 15: it ends too early"),
    ('search shop.unspool tea --regex --expr x', 2, 'err', 'unspool: Give one of TEXT, --expr E, --change E and --python E; see `unspool search --help`'),
    ('search tea shop.unspool', 3, 'err', 'unspool: tea: no such file or directory; check the spelling of the path; SOURCE comes first: is it'),
    ("bisect shop.unspool 'till.revenue > `10`'", 0, 'out', 'till.revenue > `10`'),
    ("bisect shop.unspool 'till.revenue > 10'", 0, 'out', 'till.revenue > 10'),
    ("bisect shop.unspool 'till.revenu > `10`'", 2, 'err', 'unspool: no entry that was asked has till.revenu; did you mean revenue?'),
    ("bisect shop.unspool 'till.revenue >'", 2, 'err', "unspool: 'till.revenue >' does not parse at column 15: it ends too early"),
    ('bisect shop.unspool', 2, 'err', 'unspool: Give one of EXPR, --change E and --python E; see `unspool bisect --help`'),
    ("bisect shop.unspool 'true'", 2, 'err', "unspool: 'true': no entry has true; there are carts, till"),
    ('compare shop.unspool other.unspool', 0, 'out', 'they part after entries they have in common'),
    ('compare shop.unspool', 2, 'err', "unspool: Missing argument 'B'; see `unspool compare --help`"),
    ('compare shop.unspool nothing.unspool', 3, 'err', 'unspool: nothing.unspool: no such file or directory; did you mean other.unspool?'),
    ('stats shop.unspool', 0, 'out', 'shop.unspool'),
    ('stats good.jsonl', 0, 'out', 'good.jsonl'),
    ('stats broken.json', 3, 'err', 'unspool: broken.json: in no format that unspool knows; it is meant as JSON, but Expecting value at'),
    ('stats', 2, 'err', "unspool: Missing argument 'SOURCE'; see `unspool stats --help`"),
    ('shape shop.unspool till', 0, 'out', '$.till over 40 entries'),
    ('shape shop.unspool tills', 2, 'err', "unspool: entry 39 has nothing at $.tills: the state has 'carts', 'till'; did you mean till?"),
    ('bytes shop.unspool --top 2', 0, 'out', '12.0 KiB on disk, 1.3 KiB in records of 40 entries'),
    ('doctor shop.unspool', 0, 'out', 'shop.unspool: healthy'),
    ('doctor cut.unspool', 1, 'out', 'cut.unspool: broken'),
    ('doctor shop.unspool --repair shop.unspool', 2, 'err', 'unspool: shop.unspool: exists already; give a name that is free (a repair writes a new file only)'),
    ('simulate shop.unspool --entries 20', 0, 'out', 'shop.unspool'),
    ('check shop.unspool', 0, 'out', 'shop.unspool: no findings in 40 entries'),
    ('check shop.unspool --rules nothing.toml', 3, 'err', 'unspool: nothing.toml: cannot be read (No such file or directory); check the name'),
    ('check shop.unspool --severity fatal', 2, 'err', "unspool: Invalid value for '--severity': 'fatal' is not one of 'error', 'warning', 'info'; see"),
    ('convert good.jsonl out.unspool', 0, 'err', 'unspool: 5 entries written to out.unspool'),
    ('convert good.jsonl good.jsonl', 2, 'err', 'unspool: convert makes a native file, which good.jsonl does not say: name it good.unspool, or write'),
    ('convert good.jsonl out.json', 2, 'err', 'unspool: convert makes a native file, which out.json does not say: name it out.unspool, or write'),
    ('convert good.jsonl', 2, 'err', "unspool: Missing argument 'OUT.unspool'; see `unspool convert --help`"),
    ('export shop.unspool out.jsonl', 0, 'err', 'unspool: 40 entries written to out.jsonl as jsonl'),
    ('export shop.unspool out.xlsx', 2, 'err', 'unspool: out.xlsx: .xlsx files are not written; choose --format: jsonl, json-patch, nexus, redux,'),
    ('export shop.unspool -', 0, 'out', '{"seq":0,'),
    ('export shop.unspool out.csv --format cvs', 2, 'err', "unspool: 'cvs' is no format to export to; write one of jsonl, json-patch, nexus, redux, csv, html"),
    ('compact shop.unspool shop.unspool', 3, 'err', 'unspool: shop.unspool: exists already; give a name that is free'),
    ('vacuum good.jsonl', 3, 'err', 'unspool: good.jsonl: no unspool file; `unspool convert SOURCE OUT` makes one of any source'),
    ('jump shop.unspool 5', 3, 'err', 'unspool: shop.unspool: no program that can travel records into it; start one with Recorder(…,'),
    ('pause shop.unspool', 3, 'err', 'unspool: shop.unspool: no program that can travel records into it; start one with Recorder(…,'),
    ('skip shop.unspool 5', 3, 'err', 'unspool: shop.unspool: no program that can travel records into it; start one with Recorder(…,'),
    ('attach notanumber', 2, 'err', "unspool: Invalid value for '[PID]': 'notanumber' is no whole number; see `unspool attach"),
    ('attach 99999999', 3, 'err', 'unspool: there is no process 99999999; `unspool attach` alone lists those there are'),
    ('formats', 0, 'out', 'unspool an unspool history file, or postgresql://USER@HOST/DATABASE?history=NAME (also: native)'),
    ('format', 2, 'err', "unspool: There is no command and no file 'format'. Did you mean 'formats'?; see `unspool --help`"),
    ('completion bash', 0, 'out', '_unspool_completion() {'),
    ('completion powershell', 2, 'err', "unspool: Invalid value for '{bash|zsh|fish}': 'powershell' is not one of 'bash', 'zsh', 'fish'; see"),
    ('schema log', 0, 'out', '{'),
    ('schema nothing', 2, 'err', "unspool: no JSON is printed under the name 'nothing'; there are: error, log, show, shape, diff,"),
    ('open nothing.unspool', 3, 'err', 'unspool: nothing.unspool: no such file or directory; did you mean other.unspool?'),
    ('open shop.unspool --at 9999', 2, 'err', 'unspool: shop.unspool has no entry 9999: it has 40 (0 to 39)'),
    ('open shop.unspool --atom nothing', 2, 'err', 'unspool: --atom nothing: entry 39 has no such atom: there are carts, till'),
    ('git:nothing:state.json', 3, 'err', 'unspool: git:nothing:state.json: nothing is no directory; name a git repository before the colon'),
    ('https://example.org/state.json', 3, 'err', 'unspool: https:/example.org/state.json: no such file or directory; unspool reads files of this'),
    ('show shop.unspool --format jsonl', 3, 'err', 'unspool: shop.unspool: is an SQLite database, which cannot be read as jsonl; leave --format out'),
    ('show good.jsonl --format unspool', 3, 'err', 'unspool: good.jsonl: not an unspool file (no SQLite database); name its format with --format'),
    ('show good.jsonl --format jsnl', 2, 'err', "unspool: 'jsnl' is no format; did you mean jsonl?"),
    ('show shop.unspool --raise-limit nodes=lots', 2, 'err', "unspool: 'nodes=lots': write a number above 0 such as nodes=20M"),
    ('show shop.unspool --raise-limit nods=5', 2, 'err', "unspool: 'nods=5': there is no limit 'nods'; there are line_bytes, document_bytes, markup_bytes,"),
    ('show shop.unspool --identity nonsense', 2, 'err', "unspool: Invalid value for '--identity': 'nonsense' is not written as PATH=KEY; see `unspool show"),
    ('show shop.unspool --jsn', 2, 'err', "unspool: No such option '--jsn'. Did you mean '--json'?; see `unspool show --help`"),
    ('show shop.unspool --color', 2, 'err', "unspool: No such option '--color'. (Did you mean one of: '--fold', '--no-color', '--poll'?); see"),
    ('show --path till.revenue shop.unspool 5', 0, 'out', '0'),
    ('events', 2, 'err', 'Usage: unspool events [OPTIONS] COMMAND [ARGS]...'),
    ('events verify shop.unspool', 3, 'err', 'unspool: shop.unspool: it is no event log of unspool; choose another file'),
    ('events record nothing.py --once', 3, 'err', 'unspool: nothing.py: No such file or directory; check the path and its permissions'),
    ('demo --steps -1', 2, 'err', "unspool: Invalid value for '--steps': -1 is not in the range x>=0; see `unspool demo --help`"),
    ('serve nothing.unspool', 3, 'err', 'unspool: nothing.unspool: no such file or directory; did you mean other.unspool?'),
    ('mcp nothing.unspool', 3, 'err', 'unspool: nothing.unspool: no such file or directory; did you mean other.unspool?'),
    ('replay shop.unspool --reducer nothing --skip 1', 2, 'err', 'unspool: --reducer nothing: write MODULE:FUNCTION, such as shop.state:reduce'),
    ('help lgo', 2, 'err', "unspool: There is no command and no file 'lgo'. Did you mean 'log'?; see `unspool --help`"),
    ('list', 2, 'err', "unspool: There is no command and no file 'list'. Did you mean 'log'?; see `unspool --help`"),
    ('who shop.unspool x', 2, 'err', "unspool: There is no command and no file 'who'. Did you mean 'blame'?; see `unspool --help`"),
    ('frobnicate shop.unspool', 2, 'err', "unspool: There is no command and no file 'frobnicate'; see `unspool --help`"),
    ('log shop.unspool --tail 2', 0, 'out', 'seq time (UTC) kind + ~ - bytes action'),
    ('log shop.unspool --lmit 3', 2, 'err', "unspool: No such option '--lmit'. (Did you mean one of: '--limit', '--quiet', '--raise-limit'?);"),
    ('show shop.unspool -1 --path till.revenue', 0, 'out', '100'),
    ('diff shop.unspool --explian', 2, 'err', "unspool: No such option '--explian'. Did you mean '--explain'?; see `unspool diff --help`"),
    ('jump shop.unspool -1 --lok', 2, 'err', "unspool: No such option '--lok'. Did you mean '--look'?; see `unspool jump --help`"),
    ('log good.jsonl shop.unspool', 2, 'err', "unspool: 'shop.unspool' is a file, and this command reads one SOURCE: `unspool open A B` shows"),
    ('compare nothing.unspool shop.unspool', 3, 'err', 'unspool: nothing.unspool: no such file or directory; did you mean other.unspool?'),
    ('log psql://u:hidden@h/db', 3, 'err', 'unspool: psql:/u@h/db: no such file or directory; a database is named as postgresql://USER@HOST/'),
    ('log postgresql:/h/db', 3, 'err', 'unspool: postgresql:/h/db: no such file or directory; a database is named as postgresql://USER@HOST/'),
    ('log shop.unspool --poll nan', 2, 'err', "unspool: Invalid value for '--poll' (env var: 'UNSPOOL_POLL'): 'nan' is no number; see `unspool log"),
    ('log shop.unspool --poll inf', 2, 'err', "unspool: Invalid value for '--poll' (env var: 'UNSPOOL_POLL'): 'inf' is no number; see `unspool log"),
    ('--vesion', 2, 'err', "unspool: No such option '--vesion'. Did you mean '--version'?; see `unspool --help`"),
    ('--hlep', 2, 'err', "unspool: No such option '--hlep'. Did you mean '--help'?; see `unspool --help`"),
    ('-v', 2, 'err', "unspool: No such option '-v'. Did you mean '-V'?; see `unspool --help`"),
    ('log shop.unspool -n', 2, 'err', "unspool: Option '-n' requires an argument; see `unspool log --help`"),
    ('log shop.unspool -n three', 2, 'err', "unspool: Invalid value for '-n' / '--count' / '--tail' / '--limit': 'three' is no whole number; see"),
    ('log shop.unspool --grep', 2, 'err', "unspool: Option '--grep' requires an argument; see `unspool log --help`"),
    ('search shop.unspool --regex', 2, 'err', 'unspool: Give one of TEXT, --expr E, --change E and --python E; see `unspool search --help`'),
    ("search shop.unspool --regex '[a'", 2, 'err', "unspool: '[a' is no pattern: unterminated character set at column 1"),
    ('doctor --cross-check shop.unspool', 2, 'err', "unspool: Invalid value for '--cross-check': 'shop.unspool' is no whole number; see"),
    ('diff shop.unspool 3 --deepdiff', 0, 'out', '{"iterable_item_added":'),
    ('run nothing.py', 2, 'err', 'unspool: nothing.py: no such file; check the spelling of the path'),
    ('run -- sh x', 2, 'err', 'unspool: sh: no such file; '),
    ('ship', 0, 'err', 'unspool: no spool is left on this machine'),
    ('share shop.unspool out.txt', 2, 'err', 'unspool: out.txt says neither: name it out.html for a report, or out.unspool; see `unspool share'),
    ('note shop.unspool', 2, 'err', "unspool: Missing argument 'ENTRY'; see `unspool note --help`"),
    ('note shop.unspool 9999 here', 2, 'err', 'unspool: shop.unspool has no entry 9999: it has 40 (0 to 39)'),
    ('compare shop.unspool', 2, 'err', "unspool: Missing argument 'B'; see `unspool compare --help`"),
    ('compare shop.unspool shop.unspool', 0, 'out', 'both go through the same states'),
    ('simulate', 2, 'err', "unspool: Missing argument 'SOURCE'; see `unspool simulate --help`"),
    ('listen --port lots', 2, 'err', "unspool: Invalid value for '--port': 'lots' is no whole number; see `unspool listen --help`"),
    ('attach shop.unspool', 2, 'err', "unspool: Invalid value for '[PID]': 'shop.unspool' is no whole number; see `unspool attach --help`"),
    ('serve shop.unspool --port 99999', 2, 'err', "unspool: Invalid value for '--port': 99999 is not in the range 1<=x<=65535; see"),
    ('search shop.unspool --expr -x', 2, 'err', "unspool: '-x' does not parse at column 1: Unknown token '-'; names with other signs than letters,"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "stream", "first"), TYPED, ids=[line for line, *_ in TYPED])
def test_a_line_is_answered(
    line: str, code: int, stream: str, first: str, sources: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    for path in sources.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(shlex.split(line)) == code
    printed = capfd.readouterr()
    answer, other = (printed.out, printed.err) if stream == "out" else (printed.err, printed.out)
    assert " ".join(answer.partition("\n")[0].split()).startswith(first)
    if code > 1:
        assert not other
        assert "Traceback" not in answer


def test_there_are_enough_of_them() -> None:
    assert len({line for line, *_ in TYPED}) >= 120


@pytest.mark.parametrize("variable", ["ASCII", "NO_COLOR", "NO_MOUSE", "STRICT", "QUIET"])
def test_a_flag_of_the_environment_is_yes_or_no(
    variable: str, sources: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("1", "0", "", "yes", "off"):
        monkeypatch.setenv(f"UNSPOOL_{variable}", value)
        assert run(["log", str(sources / "shop.unspool"), "-n", "1"]) == 0
    monkeypatch.setenv(f"UNSPOOL_{variable}", "maybe")
    assert run(["log", str(sources / "shop.unspool"), "-n", "1"]) == 2
    assert f"'UNSPOOL_{variable}'): 'maybe' is neither yes nor no: write 1 or 0" in capfd.readouterr().err


def test_a_command_that_is_interrupted_says_so(
    sources: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("unspool_tui.cli.log.select", interrupted)
    assert run(["log", str(sources / "shop.unspool")]) == 130
    assert capfd.readouterr().err.strip() == "unspool: interrupted"
