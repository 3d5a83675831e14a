"""``kvbench history``: keeps results, and shows when a figure changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench.cli.output import make_console, notify, show, show_document
from kvbench.cli.parameters import Share, Words
from kvbench.compare.differences import DifferenceKind
from kvbench.compare.judgement import THRESHOLD_DEFAULT
from kvbench.compare.readings import Measure
from kvbench.errors import UsageError
from kvbench.suggest import did_you_mean

if TYPE_CHECKING:
    from kvbench.history.entry import HistoryEntry
    from kvbench.report.document import Document

_LAST_MAX = 200
"""As many as kvbench.history.change_points searches; a test compares them."""

_MIXED = (DifferenceKind.MACHINE, DifferenceKind.SETTING)
"""As kvbench.history.trend separates; a test compares them."""

_ID_CHARS_MIN = 4

_archive = click.argument("archive", type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")


@click.group(
    epilog="""\b
Examples:
  kvbench history add results.jsonl --to history.sqlite
  kvbench history add base.jsonl head.jsonl --to bench/ --commit 1f0c3e2
  kvbench history list history.sqlite
  kvbench history show history.sqlite last
  kvbench history trend history.sqlite
  kvbench history prune history.sqlite --keep 500

A history is an SQLite file (.sqlite, .sqlite3, .db) or a folder with a file for each run.
"""
)
def command() -> None:
    """Keep results of `run`, `load` and `capacity`, and show when a figure changed."""


@command.command(
    epilog="""\b
Examples:
  kvbench history add results.jsonl --to history.sqlite
  kvbench history add *.jsonl --to bench/ --commit "$GITHUB_SHA"
"""
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--to",
    "archive",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE.sqlite|DIR",
    help="The history; it is made if it does not exist.",
)
@click.option(
    "--commit",
    metavar="NAME",
    help="What was measured. [the revision of kvbench's checkout in the file]",
)
def add(files: tuple[Path, ...], archive: Path, commit: str | None) -> None:
    """Add results files to a history: all of them, or none if one cannot be read.

    A file that the history has already is not added again.
    """
    from kvbench.history.archive import open_archive
    from kvbench.history.entry import read_entry

    opened = open_archive(archive)
    entries = [read_entry(path, commit) for path in files]
    for path, entry, is_new in zip(files, entries, opened.add(entries), strict=True):
        done = "added as" if is_new else "is there already:"
        show(f"{path} {done} {entry.id}, {len(entry.readings):,} figures")


@command.command(
    "list",
    epilog="\b\nExamples:\n  kvbench history list bench/\n  kvbench history list h.db --json",
)
@_archive
@_json
def list_entries(archive: Path, as_json: bool) -> None:
    """List the entries of ARCHIVE, the newest first."""
    from kvbench.history.archive import open_archive
    from kvbench.report.history_document import list_document
    from kvbench.report.history_json import render_entries_json

    entries = open_archive(archive).entries()
    if as_json:
        show_document(render_entries_json(entries))
    else:
        _print(list_document(entries, str(archive)))


@command.command(
    "show",
    epilog="\b\nExamples:\n  kvbench history show h.db last\n  kvbench history show h.db 1f0c3e2a",
)
@_archive
@click.argument("entry", default="last")
@_json
def show_entry(archive: Path, entry: str, as_json: bool) -> None:
    """Show one ENTRY of ARCHIVE: `last`, or the beginning of its name or commit."""
    from kvbench.history.archive import open_archive
    from kvbench.report.history_document import entry_document
    from kvbench.report.history_json import render_entries_json

    found = _one(open_archive(archive).entries(), entry, archive)
    if as_json:
        show_document(render_entries_json([found]))
    else:
        _print(entry_document(found))


@command.command(
    epilog="""\b
Examples:
  kvbench history trend history.sqlite
  kvbench history trend history.sqlite --only 'MGET × 100' --figures keys_per_s
  kvbench history trend bench/ --last 50 --report trend.md
  kvbench history trend bench/ --mix machine --json

A change is listed if it is certain to 95% for all figures shown together. It needs two
runs of the new level.
"""
)
@_archive
@click.option(
    "--only",
    multiple=True,
    metavar="TEXT",
    help="Only cells, lanes or targets that contain TEXT. May be repeated.",
)
@click.option(
    "--figures",
    type=Words(Measure),
    metavar="NAME,...",
    help="Any of speedup, keys_per_s, call_ns, p99, capacity. [all]",
)
@click.option(
    "--last",
    type=click.IntRange(2, _LAST_MAX),
    default=100,
    show_default=True,
    metavar="N",
    help=f"Runs of each figure, 2 to {_LAST_MAX}.",
)
@click.option(
    "--threshold",
    type=Share(),
    default=THRESHOLD_DEFAULT,
    metavar="SHARE",
    help="List no smaller change of level.  [5%]",
)
@click.option(
    "--mix",
    "mixed",
    type=Words(_MIXED),
    metavar="KIND,...",
    help="Runs of another machine or setting, too. [those like the newest]",
)
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a Markdown report."
)
@_json
def trend(
    archive: Path,
    only: tuple[str, ...],
    figures: tuple[str, ...] | None,
    last: int,
    threshold: float,
    mixed: tuple[str, ...] | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Show each figure over time, and where its level changed.

    Where one figure is chosen, every run of it is shown with its interval.
    """
    from kvbench.cli.report_files import ReportFiles
    from kvbench.history.archive import open_archive
    from kvbench.history.trend import trends
    from kvbench.report.history_document import trend_document
    from kvbench.report.history_json import render_trend_json
    from kvbench.report.markdown import render_document_markdown
    from kvbench.report.output import write_report

    ReportFiles(report).check(None)
    words = [one.casefold() for one in only]
    found = trends(
        open_archive(archive).entries(),
        mixed=tuple(map(DifferenceKind, mixed or ())),
        threshold=threshold,
        last=last,
        is_wanted=lambda one: (
            (not figures or one.measure in figures)
            and (not words or any(word in f"{one.target} {one.name}".casefold() for word in words))
        ),
    )
    if not found:
        raise UsageError(
            f"{archive} has no such figure: `kvbench history show {archive} last` lists those of "
            "the newest entry"
        )
    document = trend_document(found, str(archive))
    try:
        if as_json:
            show_document(render_trend_json(found))
        else:
            _print(document)
    finally:
        if report is not None:
            write_report(report, render_document_markdown(document))


@command.command(
    epilog="""\b
Examples:
  kvbench history prune history.sqlite --keep 500
  kvbench history prune bench/ --before 2026-01-01 --dry-run
  kvbench history prune bench/ 1f0c3e2a9b77
"""
)
@_archive
@click.argument("names", nargs=-1, metavar="[ENTRY]...")
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Keep the newest N entries.")
@click.option(
    "--before",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Remove runs that started before DATE, e.g. 2026-01-31, UTC.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def prune(
    archive: Path,
    names: tuple[str, ...],
    keep: int | None,
    before: datetime | None,
    dry_run: bool,
) -> None:
    """Remove each ENTRY from ARCHIVE, or old ones."""
    from kvbench.history.archive import open_archive

    if sum([bool(names), keep is not None, before is not None]) != 1:
        raise UsageError("say what to remove: entries by name, or --keep N, or --before DATE")
    opened = open_archive(archive)
    entries = opened.entries()
    if names:
        gone = list(
            {one.digest: one for one in (_one(entries, n, archive) for n in names)}.values()
        )
    elif keep is not None:
        gone = list(entries[:-keep])
    else:
        assert before is not None
        limit = datetime.combine(date(before.year, before.month, before.day), time(), UTC)
        gone = [one for one in entries if one.started < limit]
    if not dry_run and gone:
        opened.remove([one.digest for one in gone])
    for one in gone:
        done = "would be removed" if dry_run else "removed"
        show(f"{one.id} {one.started:%Y-%m-%d %H:%M} {done}")
    notify(f"{len(entries) - len(gone):,} of {len(entries):,} entries remain")


def _print(document: Document) -> None:
    from kvbench.report.terminal import render_document

    render_document(document, make_console())


def _one(entries: Sequence[HistoryEntry], name: str, archive: Path) -> HistoryEntry:
    """The entry of this name.

    Raises:
        UsageError: there is none, or more than one.
    """
    if not entries:
        raise UsageError(f"{archive} is empty; `kvbench history add` adds results")
    if name == "last":
        return entries[-1]
    found = [
        one
        for one in entries
        if len(name) >= _ID_CHARS_MIN
        and (one.digest.startswith(name) or one.commit.startswith(name))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join([one.id for one in found[:5]])
        raise UsageError(f"{name!r} is the beginning of {len(found)} entries, e.g. {ids}")
    hint = did_you_mean(
        name, [one.id for one in entries], f"`kvbench history list {archive}` lists them"
    )
    raise UsageError(f"{archive} has no entry {name!r}; {hint}")
