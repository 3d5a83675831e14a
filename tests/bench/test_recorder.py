"""The recorder: whole lines as they come, and no harm to a file by a run that never starts."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kvbench.bench.recorder import Recorder
from kvbench.errors import UsageError
from kvbench.results import SCHEMA, Cell, Footer, Header, read_results

HEADER = Header(SCHEMA, "2026-11-23T00:00:00Z", "kvbench run", {}, {})
CELL = Cell(target="x://", op="mget", batch_size=10, batch_kind="native", reason="no")
FOOTER = Footer("complete", 1.0, 1)


def test_records_are_in_the_file_as_soon_as_they_are_written(tmp_path):
    path = tmp_path / "results.jsonl"
    recorder = Recorder(path)
    recorder.write(HEADER)
    recorder.write(CELL)
    assert read_results(path) == recorder.results()
    assert read_results(path).footer is None
    recorder.write(FOOTER)
    recorder.close()
    assert read_results(path) == recorder.results()
    assert read_results(path).is_complete


def test_without_a_file_records_are_kept():
    recorder = Recorder()
    assert recorder.results() is None
    recorder.write(HEADER)
    recorder.write(CELL)
    assert recorder.results().cells == (CELL,)
    recorder.close()


def test_an_old_file_is_replaced_by_the_header_and_not_before(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text("old" * 1000)
    Recorder(path).close()
    assert path.read_text() == "old" * 1000
    recorder = Recorder(path)
    recorder.write(HEADER)
    recorder.close()
    assert read_results(path).cells == ()


def test_a_run_that_never_starts_leaves_no_file(tmp_path):
    path = tmp_path / "results.jsonl"
    Recorder(path).close()
    assert not path.exists()


@pytest.mark.parametrize("name", ["missing/results.jsonl", "."])
def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path, name):
    with pytest.raises(UsageError, match="cannot write"):
        Recorder(tmp_path / name)


def test_a_full_disk_cuts_no_line_in_half(tmp_path, monkeypatch):
    path = tmp_path / "results.jsonl"
    recorder = Recorder(path)
    recorder.write(HEADER)
    write = os.write
    room = [10]

    def nearly_full(fd, data):
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[: room.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", nearly_full)
        recorder.write(CELL)
    recorder.write(FOOTER)
    recorder.close()
    assert "No space left" in recorder.problem
    assert "after 1 records" in recorder.problem
    assert read_results(path).cells == ()
    assert recorder.results().cells == (CELL,)


def test_a_full_device_is_a_problem_and_no_exception():
    recorder = Recorder(Path("/dev/full"))
    recorder.write(HEADER)
    assert "No space left" in recorder.problem
    recorder.close()


def test_a_device_without_a_length_is_fine():
    recorder = Recorder(Path("/dev/null"))
    recorder.write(HEADER)
    recorder.close()
    assert recorder.problem == ""
