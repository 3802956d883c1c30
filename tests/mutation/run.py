"""`make mutants`: change one operator, constant or condition at a time and see whether a test notices.

Each module that answers rest on is mutated in copies of the project by cosmic-ray's operators; the tests of its room run
against every mutant and stop at the first failure. A survivor is either killed by a new test or explained in
`equivalent.toml` as a change that makes no difference. Mutants inside annotations are left out: annotations are not run.

    python tests/mutation/run.py                      all modules
    python tests/mutation/run.py codec/records        one of them
    python tests/mutation/run.py --sample 40          a sample of each, with a seed that is printed
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from queue import Queue

from cosmic_ray.mutating import apply_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("engine", "tui", "tests", "fixtures", "docs", "examples", "README.md", "pyproject.toml")
MODULES = {
    "delta/identity": ["tests/unit/delta"],
    "delta/patch": ["tests/unit/delta", "tests/unit/codec/test_codec_record_bytes.py"],
    "codec/records": ["tests/unit/codec", "tests/unit/history"],
    "history/rebuild": ["tests/unit/history"],
    "store/sealing": ["tests/unit/store"],
    "recorder/capture": ["tests/unit/recorder"],
    "query/blame": ["tests/unit/query/test_blame.py", "tests/unit/query/test_blame_lineage.py", "tests/unit/query/test_parts.py"],
    "query/path_writes": ["tests/unit/query/test_blame_writes.py", "tests/unit/query/test_parts.py"],
    "query/bisect": ["tests/unit/query/test_bisect.py", "tests/unit/query/test_parts.py", "tests/unit/query/test_doubts.py"],
    "query/compare": ["tests/unit/query/test_divergence.py"],
}  # fmt: skip
"""The modules that answers rest on, each with the tests of its room."""


@dataclass(frozen=True)
class Mutant:
    """One changed place.

    Attributes:
        module: the module's key in `MODULES`.
        line: its line, from 1.
        before, after: the changed line before and after, without indentation.
        code: the whole mutated source.
    """

    module: str
    line: int
    before: str
    after: str
    code: str


def mutants_of(module: str, sample: int | None, seed: int) -> tuple[list[Mutant], int]:
    """Return mutants of a module that change what runs, and how many places can be changed.

    Args:
        module: the module's key.
        sample: how many of them; all when None.
        seed: which ones.
    """
    path = ROOT / "engine" / "unspool" / f"{module}.py"
    source = path.read_text("utf-8")
    skipped = _lines_of_annotations(source)
    specs = [spec for spec in _specs(path) if not any(place in skipped for place in _places(spec))]
    random.Random(seed).shuffle(specs)
    found: dict[str, Mutant] = {}
    for spec in specs:
        if sample is not None and len(found) == sample:
            break
        operator = get_operator(spec.operator_name)(**spec.operator_args)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, path.name)
            copy.write_text(source, "utf-8")
            _, code = apply_mutation(copy, operator, spec.occurrence)
        if code is not None and code != source:
            found[code] = Mutant(module, spec.start_pos[0], *_changed_line(source, code), code)
    return list(found.values()), len(specs)


def _changed_line(source: str, code: str) -> tuple[str, str]:
    lines = zip_longest(source.splitlines(), code.splitlines(), fillvalue="")
    return next(((old.strip(), new.strip()) for old, new in lines if old != new), ("", ""))


def _specs(path: Path) -> Iterator[MutationSpec]:
    with tempfile.TemporaryDirectory() as folder:
        config, session = Path(folder, "session.toml"), Path(folder, "session.sqlite")
        config.write_text(
            f'[cosmic-ray]\nmodule-path = "{path}"\ntimeout = 60.0\nexcluded-modules = []\ntest-command = "true"\n'
            '[cosmic-ray.distributor]\nname = "local"\n'
        )
        subprocess.run(["cosmic-ray", "init", config, session], check=True)
        with use_db(session, WorkDB.Mode.open) as work:
            for item in work.work_items:
                yield from item.mutations


def _places(spec: MutationSpec) -> list[tuple[int, int]]:
    (line, column), (_, end) = spec.start_pos, spec.end_pos
    return [(line, at) for at in range(column, max(end, column + 1))]


def _lines_of_annotations(source: str) -> set[tuple[int, int]]:
    """Return the places of annotations, as line and column: with postponed evaluation they never run."""
    places = set()
    for node in ast.walk(ast.parse(source)):
        notes = [getattr(node, name, None) for name in ("annotation", "returns")]
        for note in filter(None, notes):
            for line in range(note.lineno, (note.end_lineno or note.lineno) + 1):
                start = note.col_offset if line == note.lineno else 0
                stop = note.end_col_offset if line == note.end_lineno else 200
                places.update((line, column) for column in range(start, stop or 200))
    return places


def survives(mutant: Mutant, tree: Path, timeout: float) -> bool:
    """Whether the tests of a mutant's room pass in a copy of the project that holds it."""
    target = tree / "engine" / "unspool" / f"{mutant.module}.py"
    original = target.read_bytes()
    target.write_text(mutant.code, "utf-8")
    try:
        return _tests_pass(mutant.module, tree, timeout)
    finally:
        target.write_bytes(original)


def _tests_pass(module: str, tree: Path, timeout: float) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *MODULES[module]]
    environment = {**os.environ, "PYTHONPATH": f"{tree / 'engine'}:{tree / 'tui'}", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return (
            subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=timeout).returncode == 0
        )
    except subprocess.TimeoutExpired:
        # An endless loop is noticed too.
        return False


def explained() -> dict[tuple[str, str, str], str]:
    """Return the mutants that make no difference, with the reason."""
    told = tomllib.loads(Path(__file__).with_name("equivalent.toml").read_text("utf-8"))
    return {(item["module"], item["before"], item["after"]): item["reason"] for item in told.get("mutant", [])}


def _campaign(modules: list[str], sample: int | None, seed: int, jobs: int, timeout: float) -> int:
    known = explained()
    unexplained = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees: Queue[Path] = Queue()
        for number in range(jobs):
            tree = Path(folder, str(number))
            tree.mkdir()
            for name in COPIED:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
                copy(ROOT / name, tree / name)
            trees.put(tree)

        def run(mutant: Mutant) -> tuple[Mutant, bool]:
            tree = trees.get()
            try:
                return mutant, survives(mutant, tree, timeout)
            finally:
                trees.put(tree)

        for module in modules:
            if not _tests_pass(module, trees.queue[0], timeout):
                print(f"{module}: its tests fail without any mutant", file=sys.stderr)
                return 2
            chosen, places = mutants_of(module, sample, seed)
            counts: Counter[str] = Counter()
            with ThreadPoolExecutor(jobs) as pool:
                for mutant, is_alive in pool.map(run, chosen):
                    is_known = (mutant.module, mutant.before, mutant.after) in known
                    outcome = "killed" if not is_alive else "equivalent" if is_known else "survived"
                    counts[outcome] += 1
                    if outcome == "survived":
                        print(f"  {module}.py:{mutant.line}\n    - {mutant.before}\n    + {mutant.after}", flush=True)
            unexplained += counts["survived"]
            told = ", ".join(f"{counts[name]} {name}" for name in ("killed", "equivalent", "survived"))
            print(f"{module}: {len(chosen)} mutants of {places}, {told}", flush=True)
    return 1 if unexplained else 0


def main() -> int:
    """Run the campaign; exits with 1 where a survivor is not explained."""
    parser = argparse.ArgumentParser(description="Mutate the modules that answers rest on, and run their tests.")
    parser.add_argument("modules", nargs="*", help=f"some of {', '.join(MODULES)}; all by default")
    parser.add_argument("--sample", type=int, help="mutants of each module; all by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for the tests of one mutant")
    asked = parser.parse_args()
    unknown = [name for name in asked.modules if name not in MODULES]
    if unknown:
        parser.error(f"unknown module {unknown[0]}; known are {', '.join(MODULES)}")
    print(f"seed {asked.seed}", flush=True)
    return _campaign(asked.modules or list(MODULES), asked.sample, asked.seed, asked.jobs, asked.timeout)


if __name__ == "__main__":
    sys.exit(main())
