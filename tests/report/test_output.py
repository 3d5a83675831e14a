"""Writing a report: whole or not at all, and never over a device."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from kvbench.errors import UsageError
from kvbench.report.output import write_report


def test_a_report_replaces_the_one_before(tmp_path):
    path = tmp_path / "report.md"
    for text in ("first and longer\n", "zweiter ×\n"):
        write_report(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_is_as_readable_as_any_new_file(tmp_path):
    write_report(tmp_path / "report.md", "x")
    (tmp_path / "plain").write_text("x")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_text_that_cannot_be_encoded_leaves_the_old_report(tmp_path):
    path = tmp_path / "report.md"
    write_report(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_report(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["none/report.md", "file/report.md", ".", "x" * 300])
def test_what_cannot_be_written_is_named_and_nothing_is_left(tmp_path, place):
    (tmp_path / "file").write_text("a file, no directory")
    with pytest.raises(UsageError, match="cannot write"):
        write_report(tmp_path / place, "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_longest_file_name_will_do(tmp_path):
    write_report(tmp_path / ("x" * 255), "text")
    assert (tmp_path / ("x" * 255)).read_text() == "text"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.md").write_text("old")
    link = tmp_path / "link.md"
    link.symlink_to("real.md")
    write_report(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "real.md").read_text() == "new"


def test_a_device_or_pipe_is_written_to_and_stays(tmp_path):
    write_report(Path(os.devnull), "gone")
    assert Path(os.devnull).is_char_device()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write_report(pipe, "through the pipe")
    reader.join(10)
    assert read == ["through the pipe"]
    assert pipe.is_fifo()
