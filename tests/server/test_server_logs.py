"""A log record is one line: prose with facts for people, one JSON object for machines."""

from __future__ import annotations

import contextlib
import json
import logging
import os

import pytest

from kvbench.clock import ManualClock
from kvbench.server.logs import ALIKE_PER_S, LINES_MAX, JsonFormatter, QueuedHandler, TextFormatter


def record(message="kept %d", args=(3,), facts=None, error=None):
    entry = logging.LogRecord("kvbench.server", logging.WARNING, "f.py", 1, message, args, error)
    if facts:
        entry.facts = facts
    return entry


def test_json_lines_hold_the_facts():
    line = JsonFormatter().format(record(facts={"address": "[::1]:16380", "text": "two\nlines"}))
    assert "\n" not in line
    fields = json.loads(line)
    assert fields.pop("time").endswith("+00:00")
    assert fields == {
        "level": "warning",
        "logger": "kvbench.server",
        "message": "kept 3",
        "address": "[::1]:16380",
        "text": "two\nlines",
    }


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_traceback_is_kept(formatter):
    try:
        raise MemoryError("no room")
    except MemoryError as error:
        line = formatter.format(record(error=(MemoryError, error, error.__traceback__)))
    assert "Traceback" in line
    assert "no room" in line


def test_prose_has_the_facts_behind_it():
    line = TextFormatter().format(record(facts={"address": "127.0.0.1:1"}))
    assert line.endswith("WARNING kept 3 address=127.0.0.1:1")


@pytest.fixture
def pipe():
    """Reading and writing end; both are closed in the end."""
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        os.close(end)


def lines_from(reading, count):
    """The next lines of a pipe, decoded from JSON."""
    data = b""
    while data.count(b"\n") < count:
        data += os.read(reading, 1 << 16)
    return [json.loads(line) for line in data.splitlines()[:count]]


def emit(handler, message, args=(), level=logging.INFO):
    handler.emit(logging.LogRecord("kvbench.server", level, "f.py", 1, message, args, None))


def test_a_pipe_that_is_never_read_blocks_no_log_call(pipe):
    """Ten times what pipe and queue hold: no call waits, and the rest is counted."""
    handler = QueuedHandler(pipe[1])
    handler.setFormatter(JsonFormatter())
    for number in range(10 * LINES_MAX):
        emit(handler, "line %d", (number,))
    dropped = handler.dropped
    assert dropped > 5 * LINES_MAX
    written = lines_from(pipe[0], 10 * LINES_MAX - dropped)
    emit(handler, "after")
    [last] = lines_from(pipe[0], 1)
    assert last["message"] == "after"
    reported = sum(line.get("lines_dropped", 0) for line in [*written, last])
    assert reported == dropped
    assert len({line["message"] for line in written}) == len(written)
    handler.close()


def test_the_end_does_not_wait_for_a_pipe_that_is_never_read(pipe):
    handler = QueuedHandler(pipe[1])
    for number in range(2 * LINES_MAX):
        emit(handler, "line %d" + "x" * 100, (number,))
    handler.close()
    assert handler._writer.is_alive(), "it still waits for the pipe"
    os.set_blocking(pipe[0], False)
    while handler._writer.is_alive():  # Lest it writes into the next test's descriptor.
        with contextlib.suppress(BlockingIOError):
            os.read(pipe[0], 1 << 20)


def test_warnings_of_one_kind_are_limited_and_those_left_out_are_counted(pipe):
    """1,682 refused clients in a second are ten lines; another kind has its own limit."""
    clock = ManualClock()
    handler = QueuedHandler(pipe[1], clock)
    handler.setFormatter(JsonFormatter())
    for number in range(1682):
        emit(handler, "connection from %s refused", (number,), logging.WARNING)
    emit(handler, "something else", (), logging.WARNING)
    clock.advance_ms(1000)
    emit(handler, "connection from %s refused", ("later",), logging.WARNING)
    lines = lines_from(pipe[0], ALIKE_PER_S + 2)
    assert [line["message"] for line in lines[-2:]] == [
        "something else",
        "connection from later refused",
    ]
    assert lines[-2]["lines_dropped"] == 1682 - ALIKE_PER_S == handler.dropped
    assert "lines_dropped" not in lines[-1]
    handler.close()


def test_a_descriptor_that_cannot_be_written_counts_its_lines():
    reading, writing = os.pipe()
    os.close(reading)
    handler = QueuedHandler(writing)
    emit(handler, "into nothing")
    handler.close()
    os.close(writing)
    assert handler.dropped == 1
