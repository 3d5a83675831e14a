"""``kvbench report``: a file in, a rendering out, and one line when that cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kvbench.cli.report import command
from kvbench.errors import ResultsError, UsageError
from kvbench.results import (
    SCHEMA,
    ArmFigures,
    Cell,
    Figure,
    Footer,
    Header,
    TargetRecord,
    encode_record,
)

PUBLISHED = Path(__file__).parents[2] / "reports" / "batch-operations" / "published.jsonl"

LINES = [
    encode_record(record)
    for record in (
        Header(SCHEMA, "2026-11-23T02:14:05Z", "kvbench run", {"seed": 7}, {"cores": 2}),
        TargetRecord("memory://", False, {"product": "kvbench"}, Figure(1.0, 0.98, 1.02)),
        Cell(
            target="memory://",
            op="mget",
            batch_size=100,
            batch_kind="native",
            speedup=Figure(4.312, 4.204, 4.426),
            arms={
                "individual": ArmFigures(Figure(366.4), Figure(2_729_000.0), Figure(366.4)),
                "batch": ArmFigures(Figure(85.0), Figure(11_765_000.0), Figure(8_500.0)),
            },
            rounds=12,
        ),
        Footer("complete", 12.5, 1),
    )
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"".join(LINES))
    return path


def invoke(*args: object):
    return CliRunner().invoke(command, list(map(str, args)))


@pytest.mark.parametrize("format_name", ["terminal", "markdown", "json", "html"])
def test_figures_without_single_calls_are_shown(format_name):
    """The published ones have some cells of which only the batch call was measured."""
    found = invoke(PUBLISHED, "--format", format_name)
    assert found.exit_code == 0 and not found.exception
    assert "kvb://" in found.output


def kvbench(*args: object, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kvbench", "report", *map(str, args)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env=os.environ | environ,
    )


def test_each_format_prints_the_figure(path):
    for name in ("terminal", "markdown", "json"):
        result = invoke(path, "--format", name)
        assert result.exit_code == 0
        assert ("4.312" if name == "json" else "4.31×") in result.output
        assert "\x1b" not in result.output
    assert json.loads(invoke(path, "--format", "json").output)["schema"] == "kvbench-report/2"
    assert invoke(path).output == invoke(path, "--format", "terminal").output


def test_a_run_that_was_killed_is_rendered_with_a_mark(path):
    path.write_bytes(b"".join(LINES[:3]) + LINES[3][:10])
    result = invoke(path)
    assert result.exit_code == 0
    assert "INTERRUPTED" in result.output
    assert "4.31×" in result.output


def test_output_goes_to_the_file_alone(path, tmp_path):
    for name in ("terminal", "markdown", "json", "html"):
        out = tmp_path / "report"
        result = invoke(path, "--format", name, "--output", out)
        assert (result.exit_code, result.output) == (0, "")
        assert "kvbench" in out.read_text(encoding="utf-8")
        assert "\x1b" not in out.read_text(encoding="utf-8")


def test_a_damaged_file_is_named_with_its_line(path):
    path.write_bytes(LINES[0] + LINES[1] + LINES[2][:40] + b"\n" + LINES[3])
    error = invoke(path).exception
    assert isinstance(error, ResultsError)
    assert (error.path, error.line) == (str(path), 3)


def test_the_results_file_is_never_overwritten(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    for out in (path, link):
        before = path.read_bytes()
        error = invoke(path, "--format", "json", "--output", out).exception
        assert isinstance(error, UsageError)
        assert "results file itself" in str(error)
        assert path.read_bytes() == before


def test_a_damaged_file_leaves_the_old_report(path, tmp_path):
    out = tmp_path / "report.md"
    out.write_text("old")
    path.write_bytes(b"{}\n")
    assert isinstance(invoke(path, "--output", out).exception, ResultsError)
    assert out.read_text() == "old"


def test_another_file_is_shown_in_the_same_tables(path, tmp_path):
    other = tmp_path / "older.jsonl"
    lines = [line.replace(b"4.312", b"1.41").replace(b"4.204", b"1.40") for line in LINES]
    lines[0] = lines[0].replace(b'"title":""', b'"title":"older"')
    other.write_bytes(b"".join(lines))
    for name in ("terminal", "markdown"):
        shown = invoke(path, "--beside", other, "--format", name).output
        assert "4.31×" in shown
        assert "1.41×" in shown.replace("1.4×", "1.41×")
        assert "older" in shown
    kept = other.read_bytes()
    assert "results file itself" in str(
        invoke(path, "--beside", other, "--output", other).exception
    )
    assert other.read_bytes() == kept


def test_help_shows_examples_that_work(path, tmp_path, monkeypatch):
    result = invoke("--help")
    assert result.exit_code == 0
    examples = [line.split() for line in result.output.splitlines() if " kvbench report" in line]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "older.jsonl").write_bytes(path.read_bytes())
    assert len(examples) == 5
    for example in examples:
        args = example[2 : example.index("|")] if "|" in example else example[2:]
        assert invoke(*args).exit_code == 0
    assert (tmp_path / "report.md").read_text().startswith("# kvbench")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["none.jsonl"], "none.jsonl: cannot be read: No such file"),
        ([], "Missing argument"),
        (["{path}", "--format", "pdf"], "pdf"),
        (["{path}", "--output", "/none/report.md"], "cannot write /none/report.md"),
        (["{path}", "--beside", "none.jsonl"], "none.jsonl: cannot be read"),
        (["{path}", "--beside", "{path}", "--format", "json"], "read both files instead"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(path, args, words):
    done = kvbench(*[arg.format(path=path) for arg in args])
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_encoding_without_our_signs_is_no_crash(path):
    done = kvbench(path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "4.31?" in done.stdout


def test_a_pipe_has_no_colours_and_keeps_to_its_columns(path):
    done = kvbench(path, COLUMNS="60", TERM="xterm-256color")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 60
