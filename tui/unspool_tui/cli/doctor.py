"""`unspool doctor` and `unspool check`: faults of the file, and of the app that recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from unspool.errors import without_password
from unspool.model.entries import iso_time
from unspool.model.values import Value
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.help_pages import command
from unspool_tui.cli.notes import copy_beside
from unspool_tui.cli.options import Common, json_option, judge, opened, shown_progress, source_command
from unspool_tui.cli.output import (
    Output,
    check_shape,
    conclude,
    cross_check_shape,
    diagnosis_shape,
    happened,
    repair_shape,
)
from unspool_tui.rendering import format_units
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.model.limits import Cancelled, Progress
    from unspool.query.checkers import CheckReport
    from unspool.query.compare import CrossCheck
    from unspool.query.doctor.diagnosis import Diagnosis, Finding
    from unspool.query.repair import RepairReport

_ROLES: Final = {"error": "-", "warning": "~", "note": "dim"}
_HOLES_SHOWN: Final = 20
_NOTES_SHOWN: Final = 8


@command("doctor")
@source_command()
@click.option(
    "--strategy", metavar="NAME", help="Whose rule chains are measured by; by default the one it was recorded with."
)
@click.option(
    "--repair", "out", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT",
    help="Write all that is intact to the new file OUT; SOURCE is never changed.",
)  # fmt: skip
@click.option("--all-values", is_flag=True, help="Decode every stored value, however many there are.")
@click.option(
    "--cross-check", "steps", type=click.IntRange(min=1), metavar="N",
    help="Also hold the differences of N steps against another library, DeepDiff.",
)  # fmt: skip
@json_option()
def doctor_command(
    common: Common, strategy: str | None, out: Path | None, all_values: bool, steps: int | None, as_json: bool
) -> int:
    """Verify every chain and checksum of SOURCE; exit with 1 when something is wrong."""
    # Loaded by the one command that needs it.
    from unspool.query.doctor.diagnosis import USUAL_VALUES, Health, diagnose
    from unspool.query.repair import repair

    report = None
    # Until a foreign source is read there is no answer to break off, so an interrupt ends the program as ever.
    with _patient(common) as patient, interruptible() as stop, shown_progress(common, "examining") as progress:
        if out is not None:
            report = repair(patient, out, progress=progress, cancelled=stop)
            if report.complete:
                copy_beside(common, None if isinstance(patient, str) else patient, out)
        values = None if all_values else USUAL_VALUES
        diagnosis = diagnose(patient, strategy=strategy, values=values, progress=progress, cancelled=stop)
        crossed = None if steps is None else _cross_checked(common, patient, steps, progress, stop)
    with Output(common) as output:
        if as_json:
            more: dict[str, Value] = {} if report is None else {"repair": repair_shape(report)}
            if crossed is not None:
                more["cross_check"] = cross_check_shape(crossed)
            output.json(diagnosis_shape(diagnosis) | more)
        else:
            made = None if report is None or not report.complete else report.out
            print_diagnosis(output, diagnosis, Advice(without_password(common.source), made))
            if crossed is not None:
                _print_cross_check(output, crossed)
            if report is not None:
                _print_repair(output, report)
    is_fine = diagnosis.verdict is Health.HEALTHY and (crossed is None or crossed.agrees)
    return conclude(common, 0 if is_fine else 1, (), stop)


def _cross_checked(
    common: Common, patient: str | History, steps: int, progress: Progress, stop: Cancelled
) -> CrossCheck:
    from unspool.query.compare import cross_check  # loaded by the one command that needs it

    if not isinstance(patient, str):
        return cross_check(patient, steps, progress=progress, cancelled=stop)
    with opened(common) as history:
        return cross_check(history, steps, progress=progress, cancelled=stop)


def _print_cross_check(out: Output, crossed: CrossCheck) -> None:
    told = f"{crossed.judged:,} of {crossed.asked:,} steps held against DeepDiff, {crossed.atoms:,} atoms compared"
    partly = f"; of {crossed.partly:,} large states only the changed atoms" if crossed.partly else ""
    agreed = "all agree" if crossed.agrees else "these agree, the others were not judged"
    verdict = agreed if not crossed.disagreements else f"{len(crossed.disagreements):,} disagree"
    out.line(f"  {told}{partly}: {verdict}")
    for one in crossed.disagreements[:_HOLES_SHOWN]:
        out.line(f"  {out.paint('error  ', '-')} entry {one.seq}: {visible(one.atom)}: {one.message}")
    for seq, reason in crossed.unjudged[:_HOLES_SHOWN]:
        out.line(f"  {out.paint('error  ', '-')} entry {seq} could not be judged: {visible(reason)}")


@contextmanager
def _patient(common: Common) -> Iterator[str | History]:
    """Give what is to be examined: a damaged native file may not open as a history and can be examined all the same."""
    from unspool.opened import is_native, was_native  # loaded by the one command that needs it

    if is_native(common.source, common.format) or (common.format is None and was_native(common.source)):
        yield common.source
        return
    with opened(common) as history:
        yield history


@dataclass(frozen=True, slots=True)
class Advice:
    """How remedies are spelt for whoever ran this command.

    Attributes:
        source: what was examined.
        made: the repaired file that was just written, if one was.
    """

    source: str
    made: str | None

    def of(self, finding: Finding) -> str:
        """Return the remedy of a finding; never the command that was just run."""
        from unspool.query.doctor.findings import REPAIR  # loaded by the one command that needs it

        remedy = finding.remedy
        if self.made is not None:
            remedy = remedy.replace(REPAIR, f"`{visible(self.made)}` is a new file")
        return remedy.replace("FILE", visible(self.source))


def print_diagnosis(out: Output, diagnosis: Diagnosis, advice: Advice) -> None:
    """Write what `doctor` shows people."""
    partly = "" if diagnosis.complete else ", as far as it was examined"
    out.line(out.paint(f"{visible(diagnosis.source)}: {diagnosis.verdict.value}{partly}", "head"))
    read = "all read" if diagnosis.readable == diagnosis.entries else f"{diagnosis.readable} read"
    chains = f"{diagnosis.chain_count} chains, measured by {visible(diagnosis.strategy)}"
    recorded = ", as it was recorded" if diagnosis.strategy_from == "file" else ""
    out.line(f"  {diagnosis.entries} entries, {read}; {chains}{recorded}")
    if diagnosis.undecoded:
        told = f"{diagnosis.decoded:,} values decode or are told below"
        out.line(f"  {told}; {diagnosis.undecoded:,} more were not decoded: --all-values decodes them too")
    notes: dict[str, list[Finding]] = {}
    given: tuple[str, str] | None = None
    for finding in diagnosis.findings:
        if finding.severity.value == "note" and not finding.where:
            notes.setdefault(finding.code.value, []).append(finding)
        else:
            _print_finding(out, finding, advice, is_advised=given != (finding.still_reads, finding.remedy))
            given = finding.still_reads, finding.remedy
    for group in notes.values():
        _print_notes(out, group, advice)
    for code, count in diagnosis.unlisted.items():
        out.line(f"  and {count} more of {code}")


def _print_notes(out: Output, notes: list[Finding], advice: Advice) -> None:
    """Nothing is wrong with these, so those of one kind stand together."""
    if len(notes) == 1:
        _print_finding(out, notes[0], advice)
        return
    label = out.paint(f"{'note':<7}", _ROLES["note"])
    more = ", …" if len(notes) > _NOTES_SHOWN else ""
    places = ", ".join(str(note.first) for note in notes[:_NOTES_SHOWN])
    such_as = "" if len({note.meaning for note in notes}) == 1 else "such as "
    meaning = such_as + visible(notes[0].meaning)
    out.line(f"  {label} {len(notes)} times, at entries {places}{more}: {meaning} [{notes[0].code.value}]")
    out.line(f"          remedy: {advice.of(notes[0])}")


def _print_finding(out: Output, finding: Finding, advice: Advice, *, is_advised: bool = True) -> None:
    """Print a finding; what to do about it only where the one before did not say the same."""
    label = out.paint(f"{finding.severity.value:<7}", _ROLES[finding.severity.value])
    out.line(f"  {label} {visible(finding.place)}: {visible(finding.meaning)} [{finding.code.value}]")
    if finding.where and finding.where != finding.place:
        out.line(f"          in the source: {visible(finding.where)}")
    if is_advised:
        out.line(f"          still reads: {finding.still_reads}")
        out.line(f"          remedy: {advice.of(finding)}")


def _print_repair(out: Output, report: RepairReport) -> None:
    if not report.complete:
        out.line(out.paint(f"not repaired: interrupted; {visible(report.out)} was not made", "head"))
        return
    out.line(out.paint(f"repaired: {visible(report.out)}: {report.health.value}", "head"))
    bare = report.without_facts
    out.line(f"  {report.kept + bare} entries kept, {report.entries - report.kept - bare} holes")
    if bare:
        out.line(f"  of {bare} of them only the state is known: when and why they came about is lost")
    for hole in report.holes[:_HOLES_SHOWN]:
        kept = "; when and what changed is kept" if hole.facts_kept else ""
        out.line(f"  {out.paint('lost', '-')}     {hole.first} to {hole.last}: {visible(hole.why)}{kept}")
    if len(report.holes) > _HOLES_SHOWN:
        out.line(f"  and {len(report.holes) - _HOLES_SHOWN} more; --json lists them")
    for first, last in report.doubtful[:_HOLES_SHOWN]:
        out.line(f"  {out.paint('doubtful', '~')} {first} to {last}: kept and marked")
    for lost in report.left_out[:_HOLES_SHOWN]:
        out.line(f"  {out.paint('left out', '-')} {visible(lost)}")
    if report.lost_names:
        out.line(f"  {len(report.lost_names)} atoms lost their name; they are called atom#NUMBER")
    if report.reindexed:
        out.line(f"  {report.reindexed} entries got a new list of what they changed")
    if report.renumbered_from is not None:
        out.line(f"  entries from {report.renumbered_from} on have new numbers; their ids tell the old ones")


_NOT_CHECKED: Final = 2
"""The exit code where a rule can hardly be meant as it is written, a checker failed or entries do not read."""
_STYLES: Final = {"error": "-", "info": "dim"}
_SHOWN_TOGETHER: Final = 3
"""Findings of one checker at one entry that are printed; `--json` has them all."""


@command("check")
@source_command()
@click.option(
    "--rules", "rules_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="A TOML file of rules and invariants; without it the usual checkers run with their usual limits.",
)  # fmt: skip
@click.option(
    "--severity", type=click.Choice(["error", "warning", "info"]), default="warning",
    help="Exit with 1 where something at least so severe is found; warning by default.",
)  # fmt: skip
@click.option(
    "--mine",
    is_flag=True,
    help="Look for relations between values that held for long and break; with --rules for these too.",
)
@json_option()
def check_command(common: Common, rules_file: Path | None, severity: str, mine: bool, as_json: bool) -> int:
    """Look for faults of the app: oscillation, thrash, leaks, overwritten values, drifting types, ids that stand twice,
    tables that leak, relations between values that break, and rules of your own. Exit with 1 when some are found.
    """
    from unspool.query.checkers import MINED, check, read_rules  # loaded by the one command that needs it

    rules = None if rules_file is None else read_rules(rules_file)
    if mine:
        rules = (*(rules or ()), MINED)
    with opened(common) as history:
        with shown_progress(common, "checking") as progress, interruptible() as interruption:
            report = check(history, rules, progress=progress, cancelled=interruption)
        with Output(common) as out:
            if as_json:
                out.json(check_shape(report))
            else:
                print_report(out, report)
        code = 1 if report.matters(severity) else _NOT_CHECKED if report.doubts or not report.complete else 0
        return conclude(common, max(code, judge(common, history.verdict)), (), interruption)


def print_report(out: Output, report: CheckReport) -> None:
    """Write what `check` shows people."""
    from unspool.query.checkers import together  # loaded by the one command that needs it

    total = sum(report.counts.values())
    found = format_units.count(total, "finding") if total else "no findings"
    out.line(out.paint(f"{visible(report.source)}: {found} in {report.entries} entries", "head"))
    for group in together(report.findings):
        for finding in group[:_SHOWN_TOGETHER]:
            begun = "" if finding.since == finding.seq else f" since {finding.since}"
            place = out.paint(visible(finding.path), "name")
            grave = (
                "" if finding.severity == "warning" else f"{out.paint(finding.severity, _STYLES[finding.severity])}  "
            )
            told = f"  {finding.seq}{begun}  {grave}{visible(finding.checker)}  {place}: {visible(finding.message)}"
            time = iso_time(finding.timestamp_ns)
            out.line(f"{told}  {out.paint(time, 'dim')}{happened(finding.action, finding.caller)}")
        if len(group) > _SHOWN_TOGETHER:
            out.line(
                f"  {group[0].seq}  and {len(group) - _SHOWN_TOGETHER} more of {visible(group[0].checker)} there"
            )
    for name, count in report.counts.items():
        listed = sum(finding.checker == name for finding in report.findings)
        if count > listed:
            out.line(f"  and {count - listed} more of {visible(name)}")
    for problem in (*report.doubts, *report.problems):
        out.line(f"  {out.paint('not checked', '-')}: {visible(problem)}")
