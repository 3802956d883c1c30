"""docs/api.md lists what `unspool` offers, no more and no less, and its examples run."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import unspool
from unspool import History, MemoryStore, OpenHistory, Recorder, open_history

PAGE = Path(__file__).parents[3] / "docs" / "api.md"


def listed(heading: str) -> set[str]:
    """Return the names in the first column of the tables whose first heading is given."""
    found: set[str] = set()
    rows: list[str] = []
    for line in [*PAGE.read_text("utf-8").splitlines(), ""]:
        if line.startswith("|"):
            rows.append(line)
            continue
        if rows and rows[0].split("|")[1].strip() == heading:
            found.update(name for row in rows[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1]))
        rows = []
    return found


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_examples_run_as_written() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 20
    assert result.failed == 0


def test_the_page_names_what_the_module_offers() -> None:
    answers = {name for name in re.findall(r"`(\w+)`", _answers()) if name[0].isupper()}
    assert listed("Name") | answers == set(unspool.__all__)


def _answers() -> str:
    return "\n".join(line.rsplit("|", 2)[1] for line in PAGE.read_text("utf-8").splitlines() if line.count("|") == 4)


def test_the_page_names_every_method_of_an_open_history() -> None:
    attributes = {"identity"}
    assert listed("Method") == public(OpenHistory) | attributes


def test_every_name_is_there_and_is_told_by_dir() -> None:
    for name in unspool.__all__:
        assert getattr(unspool, name) is not None or name == "MISSING"
    assert set(unspool.__all__) <= set(dir(unspool))
    with pytest.raises(AttributeError, match="no_such_name"):
        unspool.no_such_name  # noqa: B018 - looked for


def test_each_question_takes_what_its_function_takes_and_says_what_it_means() -> None:
    for name in public(OpenHistory) - public(History):
        method = getattr(OpenHistory, name)
        signature = inspect.signature(method)
        assert signature.return_annotation is not inspect.Signature.empty
        documented = inspect.getdoc(method) or ""
        shared = {"self", "skip_damaged", "cancelled", "progress"}
        for parameter in set(signature.parameters) - shared:
            assert f"{parameter}: " in documented, f"{name}({parameter}) is not explained"


def test_the_module_alone_imports_nothing_of_the_engine() -> None:
    code = "import sys, unspool; print([name for name in sys.modules if name.startswith('unspool.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_opening_imports_no_question(tmp_path: Path) -> None:
    with Recorder(tmp_path / "app.unspool") as recorder:
        recorder.record({"n": 1})
    code = (
        "import sys, unspool; unspool.open_history(sys.argv[1])\n"
        "print([name for name in sys.modules if name.startswith('unspool.query.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "app.unspool")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_source_is_opened_as_a_history_that_answers(tmp_path: Path) -> None:
    with Recorder(tmp_path / "app.unspool") as recorder:
        recorder.record({"n": 1, "rows": [{"id": 1}]}, "one")
        recorder.record({"n": 2, "rows": [{"id": 1}]}, "two")
    lines = tmp_path / "app.jsonl"
    lines.write_text('{"n": 1, "rows": [{"id": 1}]}\n{"n": 2, "rows": [{"id": 1}]}\n')
    with open_history(tmp_path / "app.unspool") as native, open_history(lines, follow=False) as foreign:
        for history in (native, foreign):
            assert isinstance(history, OpenHistory)
            assert [value.seq for value in history.blame("n").values] == [1]
            assert history.bisect("n > 1").first.seq == 1
            assert history.blame(("rows", 0, "id")).values == history.blame("rows[0].id").values
        assert native.compare(foreign).relation.value == "same"
        report = native.repair(tmp_path / "copy.unspool")
        assert (report.entries, report.kept) == (2, 2)
        assert native.simulate().entries == 2


def test_rules_are_given_or_read_from_a_file(tmp_path: Path) -> None:
    store = MemoryStore()
    with Recorder(store) as recorder:
        for number in (1, 2, -3):
            recorder.record({"n": number})
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\ncheck = "invariant"\nexpression = "n > 0"\n')
    history = OpenHistory(store)
    found = history.check(str(rules)).findings
    assert [finding.seq for finding in found] == [2]
    assert history.check(unspool.read_rules(rules)).findings == found
