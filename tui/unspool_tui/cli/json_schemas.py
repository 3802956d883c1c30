"""The JSON that commands print, as JSON Schemas (draft 2020-12): what scripts may rely on, and `unspool schema`.

Each schema has a version. A field that is added leaves it as it is; a field that is removed, or changes its kind or its
meaning, raises it, and the changelog says so. So a reader has to accept fields that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import click

from unspool.errors import ConfigError
from unspool.model.json_text import to_json
from unspool.model.values import Value
from unspool.query import HitKind
from unspool_tui.cli.help_pages import command

Schema = dict[str, Value]

ANY: Final[Schema] = {}
INTEGER: Final[Schema] = {"type": "integer"}
NUMBER: Final[Schema] = {"type": "number"}
TEXT: Final[Schema] = {"type": "string"}
TRUTH: Final[Schema] = {"type": "boolean"}
TIME: Final[Schema] = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}


def record(fields: Mapping[str, Schema]) -> Schema:
    """Return the schema of an object with these fields; a name that ends in `?` may be missing."""
    properties: dict[str, Value] = {name.removesuffix("?"): schema for name, schema in fields.items()}
    required: list[Value] = [name for name in fields if not name.endswith("?")]
    return {"type": "object", "properties": properties, "required": required}


def list_of(item: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


def map_of(value: Schema) -> Schema:
    """Return the schema of an object whose keys are data."""
    return {"type": "object", "additionalProperties": value}


def null_or(schema: Schema) -> Schema:
    """Return the schema of something that may be null."""
    return {"anyOf": [{"type": "null"}, schema]}


def one_of(*words: str) -> Schema:
    """Return the schema of one of some words."""
    return {"enum": list(words)}


CALLER: Final = null_or(record({"file": TEXT, "line": INTEGER, "function": TEXT}))
DATED: Final[Mapping[str, Schema]] = {"timestamp": TIME, "action": TEXT, "caller": CALLER, "doubt?": TEXT}
PROBLEMS: Final = list_of(record({"place": TEXT, "message": TEXT}))
SPANS: Final = list_of(list_of(INTEGER))
WRITE: Final[Mapping[str, Schema]] = {
    "seq": INTEGER,
    "kind": one_of("added", "modified", "deleted", "unchanged", "older"),
    "path": TEXT,
    "old?": ANY,
    "new?": ANY,
    "certain?": TRUTH,
}
VERDICT: Final = record(
    {
        "status": one_of("complete", "partial", "refused"),
        "problems": PROBLEMS,
        "dropped": INTEGER,
        "notes": list_of(TEXT),
    }
)
HEALTH: Final = one_of("healthy", "degraded", "broken")
SHARE: Final = record(
    {
        "name": TEXT,
        "stored_bytes": INTEGER,
        "changes": INTEGER,
        "alone": INTEGER,
        "rewritten": INTEGER,
        "rewritten_bytes": INTEGER,
    }
)
SPENT: Final = record({"name": TEXT, "entries": INTEGER, "stored_bytes": INTEGER})
FLIP: Final = record(
    {
        "seq": INTEGER,
        "parent_seq": null_or(INTEGER),
        "holds": TRUTH,
        "old": ANY,
        "new": ANY,
        "certain": TRUTH,
        **DATED,
    }
)
CANDIDATE: Final = record(
    {
        "strategy": TEXT,
        "codec": TEXT,
        "file_bytes": INTEGER,
        "projected_bytes": INTEGER,
        "record_bytes": INTEGER,
        "full": INTEGER,
        "longest_chain": INTEGER,
        "rebuild_us": record({"p50": NUMBER, "p95": NUMBER}),
        "record_us": record({"p50": NUMBER, "p95": NUMBER}),
        "on_front": TRUTH,
        "line": TEXT,
    }
)
TRAVELED: Final = record(
    {
        "seq": null_or(INTEGER),
        "changed": list_of(TEXT),
        "kept": list_of(TEXT),
        "rebuilt": list_of(TEXT),
        "refused": list_of(TEXT),
        "message": TEXT,
    }
)
REWRITTEN: Final = record({"entries": INTEGER, "before": INTEGER, "after": INTEGER})
NOTE: Final = record(
    {
        "id": TEXT,
        "entry": null_or(INTEGER),
        "path": TEXT,
        "text": TEXT,
        "bookmark": TRUTH,
        "written": TEXT,
        "was?": record({"entry": INTEGER, "timestamp": TEXT, "action": TEXT}),
    }
)
_SIDE: Final = record(
    {"seq": null_or(INTEGER), "action": TEXT, "last_common": null_or(INTEGER), "unchanging": INTEGER}
)
_DIFFERING: Final = null_or(record({"path": TEXT, "value?": ANY, "set_by": null_or(record(WRITE))}))
_CHANGE: Final = record(
    {
        "atom": TEXT,
        "kind": one_of("added", "modified", "deleted"),
        "old?": ANY,
        "new?": ANY,
        "ops": list_of(
            record(
                {
                    "op": one_of("add", "replace", "remove", "move"),
                    "path": TEXT,
                    "at?": TEXT,
                    "from?": TEXT,
                    "old?": ANY,
                    "new?": ANY,
                }
            )
        ),
        "key_changes?": list_of(record({"list": TEXT, "old": TEXT, "new": TEXT})),
    }
)
_FINDING: Final = record(
    {
        "code": TEXT,
        "severity": one_of("error", "warning", "note"),
        "first": null_or(INTEGER),
        "last": null_or(INTEGER),
        "meaning": TEXT,
        "still_reads": TEXT,
        "remedy": TEXT,
        "where": TEXT,
    }
)
_CHAIN: Final = record(
    {
        "first": INTEGER,
        "last": INTEGER,
        "length": INTEGER,
        "age_ms": NUMBER,
        "full_bytes": INTEGER,
        "delta_bytes": INTEGER,
        "limits": record({"deltas": null_or(INTEGER), "bytes": null_or(INTEGER), "age_ms": null_or(NUMBER)}),
        "checksums": one_of("intact", "damaged"),
        "verdict": one_of("keep", "create base", "broken"),
        "reason": TEXT,
    }
)
_CROSS_CHECK: Final = record(
    {
        "asked": INTEGER,
        "judged": INTEGER,
        "atoms": INTEGER,
        "partly": INTEGER,
        "agrees": null_or(TRUTH),
        "disagreements": list_of(record({"seq": INTEGER, "atom": TEXT, "message": TEXT})),
        "unjudged": list_of(record({"seq": INTEGER, "reason": TEXT})),
        "complete": TRUTH,
    }
)
_REPAIR: Final = record(
    {
        "out": TEXT,
        "health": HEALTH,
        "entries": INTEGER,
        "kept": INTEGER,
        "without_facts": INTEGER,
        "holes": list_of(record({"first": INTEGER, "last": INTEGER, "code": TEXT, "why": TEXT, "facts_kept": TRUTH})),
        "doubtful": SPANS,
        "left_out": list_of(TEXT),
        "reindexed": INTEGER,
        "lost_names": list_of(INTEGER),
        "renumbered_from": null_or(INTEGER),
        "complete": TRUTH,
    }
)
_LINK: Final = record(
    {
        "link": INTEGER,
        "path": TEXT,
        "value": ANY,
        "depth": INTEGER,
        "reached": null_or(record({"from": INTEGER, "as": one_of("part", "guess"), "sureness": NUMBER})),
        "fact": null_or(
            record(
                {
                    "seq": INTEGER,
                    "parent_seq": null_or(INTEGER),
                    "kind": one_of("added", "modified", "deleted", "unchanged", "older"),
                    "old?": ANY,
                    **DATED,
                    "certain": TRUTH,
                }
            )
        ),
        "guesses": list_of(
            record(
                {
                    "kind": TEXT,
                    "formula": TEXT,
                    "sureness": NUMBER,
                    "word": TEXT,
                    "reasons": list_of(TEXT),
                    "sources": list_of(record({"path": TEXT, "before": TRUTH, "link": null_or(INTEGER)})),
                    "left_out": INTEGER,
                }
            )
        ),
        "parts": list_of(INTEGER),
        "end": TEXT,
    }
)
_PLACE: Final[Schema] = {"$ref": "#/$defs/place"}
_TALLY: Final = record(
    {
        "count": INTEGER,
        "least?": ANY,
        "most?": ANY,
        "texts?": list_of(TEXT),
        "fields?": map_of(record({"had": INTEGER, "shape": _PLACE})),
        "each?": _PLACE,
    }
)


class Printed(NamedTuple):
    """What a command prints with `--json`.

    Attributes:
        version: raised when a field goes or means something else.
        schema: of the document, or of each line.
        is_lines: JSON Lines, a document a line.
    """

    version: int
    schema: Schema
    is_lines: bool = False


PRINTED: Final[Mapping[str, Printed]] = {
    "error": Printed(1, record({"error": record({"type": TEXT, "message": TEXT, "exit_code": INTEGER})})),
    "log": Printed(
        1,
        record(
            {
                "seq": INTEGER,
                "id": TEXT,
                "kind": one_of("full", "delta", "note"),
                "base_seq": null_or(INTEGER),
                "timestamp": TIME,
                "action": TEXT,
                "added": INTEGER,
                "modified": INTEGER,
                "deleted": INTEGER,
                "stored_bytes": INTEGER,
                "full_bytes": INTEGER,
                "meta": map_of(ANY),
                "context?": map_of(ANY),
                "notes?": list_of(NOTE),
            }
        ),
        is_lines=True,
    ),
    "show": Printed(
        1,
        record(
            {
                "seq": INTEGER,
                "timestamp": TIME,
                "action": TEXT,
                "state?": map_of(ANY),
                "path?": TEXT,
                "notes?": list_of(NOTE),
                "value?": ANY,
            }
        ),
    ),
    "shape": Printed(
        1,
        {
            **record(
                {
                    "path": TEXT,
                    "at": null_or(INTEGER),
                    "shape": _PLACE,
                    "entries": INTEGER,
                    "looked_at": INTEGER,
                    "values": INTEGER,
                    "complete": TRUTH,
                    "stopped": TEXT,
                    "problems": PROBLEMS,
                }
            ),
            "$defs": {"place": map_of(_TALLY)},
        },
    ),
    "diff": Printed(1, record({"from": INTEGER, "to": INTEGER, "changes": list_of(_CHANGE), **DATED})),
    "stats": Printed(
        1,
        record(
            {
                "entries": INTEGER,
                "first": INTEGER,
                "full": INTEGER,
                "delta": INTEGER,
                "notes": INTEGER,
                "passed_over": INTEGER,
                "chains": INTEGER,
                "longest_chain": INTEGER,
                "stored_bytes": INTEGER,
                "full_bytes": INTEGER,
                "ratio": NUMBER,
                "file_bytes": INTEGER,
                "codecs": map_of(INTEGER),
                "atoms": map_of(record({"changes": INTEGER, "stored_bytes": INTEGER})),
                "rebuild_us": record({"p50": NUMBER, "p95": NUMBER, "max": NUMBER}),
                "cache": record(
                    {"size": INTEGER, "max_size": INTEGER, "hits": INTEGER, "misses": INTEGER, "evictions": INTEGER}
                ),
                "health": HEALTH,
                "problems": list_of(TEXT),
                "verdict": VERDICT,
            }
        ),
    ),
    "blame": Printed(
        1,
        record(
            {
                "at": INTEGER,
                "complete": TRUTH,
                "values": list_of(
                    record(
                        {
                            "path": TEXT,
                            "seq": INTEGER,
                            **DATED,
                            "age_ns": INTEGER,
                            "certain": TRUTH,
                            "passed_over?": INTEGER,
                            "older?": TRUTH,
                            "value": ANY,
                        }
                    )
                ),
                "unexplained": list_of(TEXT),
                "problems": PROBLEMS,
                "dropped?": TEXT,
            }
        ),
    ),
    "blame-writes": Printed(
        1,
        record(
            {
                "at": INTEGER,
                "path": TEXT,
                "writes": list_of(record({**WRITE, **DATED})),
                "complete": TRUTH,
                "problems": PROBLEMS,
            }
        ),
    ),
    "why": Printed(
        1,
        record(
            {
                "at": INTEGER,
                "path": TEXT,
                "links": list_of(_LINK),
                "main_line": list_of(INTEGER),
                "complete": TRUTH,
                "stopped": TEXT,
                "looked_at": INTEGER,
                "problems": PROBLEMS,
            }
        ),
    ),
    "search": Printed(
        1,
        record(
            {
                "seq": INTEGER,
                "kind": one_of(*HitKind),
                "atom": TEXT,
                "path": TEXT,
                "text": TEXT,
                "span": list_of(INTEGER),
                "older?": TRUTH,
            }
        ),
        is_lines=True,
    ),
    "bisect": Printed(
        1,
        record(
            {
                "expression": TEXT,
                "holds_first": null_or(TRUTH),
                "holds_last": null_or(TRUTH),
                "first": null_or(FLIP),
                "last": null_or(FLIP),
                "flips": list_of(FLIP),
                "asked": INTEGER,
                "avoided": INTEGER,
                "single": TRUTH,
                "failures": INTEGER,
                "failure": TEXT,
                "complete": TRUTH,
                "problems": PROBLEMS,
                "doubts": list_of(TEXT),
                "dropped?": TEXT,
            }
        ),
    ),
    "compare": Printed(
        1,
        record(
            {
                "relation": null_or(
                    one_of("same", "first ends", "second ends", "diverged", "different", "unrelated")
                ),
                "common": INTEGER,
                "same_action": TRUTH,
                "a": _SIDE,
                "b": _SIDE,
                "differences": list_of(record({"a": _DIFFERING, "b": _DIFFERING})),
                "more": INTEGER,
                "meet_again": null_or(record({"a": INTEGER, "b": INTEGER})),
                "other_actions": list_of(record({"a": INTEGER, "b": INTEGER})),
                "complete": TRUTH,
                "problems": PROBLEMS,
            }
        ),
    ),
    "bytes": Printed(
        1,
        record(
            {
                "entries": INTEGER,
                "stored_bytes": INTEGER,
                "full_bytes": INTEGER,
                "atoms": list_of(SHARE),
                "paths": list_of(SHARE),
                "actions": list_of(SPENT),
                "codecs": list_of(SPENT),
                "exclusions": list_of(
                    record(
                        {
                            "pattern": TEXT,
                            "matched": INTEGER,
                            "stored_bytes": INTEGER,
                            "full_bytes": INTEGER,
                            "entries": INTEGER,
                        }
                    )
                ),
                "complete": TRUTH,
                "problems": PROBLEMS,
            }
        ),
    ),
    "doctor": Printed(
        1,
        record(
            {
                "source": TEXT,
                "verdict": HEALTH,
                "entries": INTEGER,
                "readable": INTEGER,
                "findings": list_of(_FINDING),
                "counts": map_of(INTEGER),
                "unlisted": map_of(INTEGER),
                "doubtful": SPANS,
                "chains": list_of(_CHAIN),
                "chain_count": INTEGER,
                "strategy": TEXT,
                "strategy_from": TEXT,
                "complete": TRUTH,
                "decoded": INTEGER,
                "undecoded": INTEGER,
                "cross_check?": _CROSS_CHECK,
                "repair?": _REPAIR,
            }
        ),
    ),
    "simulate": Printed(
        1,
        record(
            {
                "source": TEXT,
                "entries": INTEGER,
                "sampled": INTEGER,
                "windows": SPANS,
                "candidates": list_of(CANDIDATE),
                "recommended": null_or(CANDIDATE),
                "reason": TEXT,
                "line": TEXT,
                "notes": list_of(TEXT),
                "complete": TRUTH,
            }
        ),
    ),
    "check": Printed(
        1,
        record(
            {
                "source": TEXT,
                "entries": INTEGER,
                "findings": list_of(
                    record(
                        {
                            "checker": TEXT,
                            "severity": one_of("error", "warning", "info"),
                            "seq": INTEGER,
                            "since": INTEGER,
                            "path": TEXT,
                            "message": TEXT,
                            **DATED,
                            "entries": null_or(INTEGER),
                            "recovered_at": null_or(INTEGER),
                        }
                    )
                ),
                "counts": map_of(INTEGER),
                "problems": list_of(TEXT),
                "doubts": list_of(TEXT),
                "complete": TRUTH,
            }
        ),
    ),
    "events-record": Printed(
        1,
        record(
            {
                "file": TEXT,
                "space": TEXT,
                "sequence": INTEGER,
                "type": TEXT,
                "timestamp": TIME,
                "id": TEXT,
                "hash": TEXT,
            }
        ),
        is_lines=True,
    ),
    "events-verify": Printed(
        1,
        record(
            {
                "valid": TRUTH,
                "total_events": INTEGER,
                "checked_events": INTEGER,
                "first_broken_link": null_or(
                    record(
                        {
                            "space": TEXT,
                            "sequence": INTEGER,
                            "event": null_or(TEXT),
                            "reason": TEXT,
                            "expected": ANY,
                            "actual": ANY,
                        }
                    )
                ),
                "duration_ms": NUMBER,
            }
        ),
    ),
    "events-import": Printed(1, list_of(record({"archive": TEXT, "imported": INTEGER, "skipped": INTEGER}))),
    "jump": Printed(1, TRAVELED),
    "skip": Printed(1, TRAVELED),
    "pause": Printed(1, TRAVELED),
    "resume": Printed(1, TRAVELED),
    "replay": Printed(
        1,
        record(
            {
                "parent": null_or(INTEGER),
                "first": null_or(INTEGER),
                "last": null_or(INTEGER),
                "skipped": list_of(INTEGER),
                "checked": INTEGER,
                "taken": INTEGER,
            }
        ),
    ),
    "compact": Printed(1, REWRITTEN),
    "vacuum": Printed(1, REWRITTEN),
    "ship": Printed(
        1,
        record({"spool": TEXT, "history": TEXT, "shipped": INTEGER, "skipped": INTEGER, "left": INTEGER}),
        is_lines=True,
    ),
    "notes": Printed(1, record({"place": null_or(TEXT), "notes": list_of(NOTE), "problems": list_of(TEXT)})),
    "formats": Printed(1, list_of(record({"name": TEXT, "title": TEXT, "live": TRUTH, "aliases": list_of(TEXT)}))),
}
"""What each command prints, by its name; `blame-writes` is `blame --writes`, `error` what is refused under `--json`."""


def schema_of(name: str) -> Schema:
    """Return the JSON Schema of what a command prints.

    Args:
        name: a key of `PRINTED`.

    Raises:
        ConfigError: no command of that name prints JSON.
    """
    printed = PRINTED.get(name)
    if printed is None:
        raise ConfigError(f"no JSON is printed under the name {name!r}; there are: {', '.join(PRINTED)}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:unspool:{name}:{printed.version}",
        "title": f"{'Each line of' if printed.is_lines else 'What is printed by'} {_spelled(name)}",
        **printed.schema,
    }


def _spelled(name: str) -> str:
    if name == "error":
        return "a command that is refused under --json"
    return "unspool blame --writes --json" if name == "blame-writes" else f"unspool {name.replace('-', ' ')} --json"


@command("schema")
@click.argument("name", metavar="[NAME]", required=False, shell_complete=lambda *_: list(PRINTED))
def schema_command(name: str | None) -> None:
    """Print the JSON Schema of what a command prints with --json; without a NAME, list the names."""
    if name is None:
        click.echo("\n".join(f"{key:14} version {printed.version}" for key, printed in PRINTED.items()))
    else:
        click.echo(to_json(schema_of(name), indent=2))
