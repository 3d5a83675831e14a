"""A log record is one line: prose with facts for people, one JSON object for machines."""

from __future__ import annotations

import json
import logging

import pytest

from kvbench.server.logs import JsonFormatter, TextFormatter


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
