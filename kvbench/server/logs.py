"""Log lines on standard error: text for people, or one JSON object a line for machines.

A log call may carry ``extra={"facts": {...}}``: figures and names, so that a machine need not parse
text. Data from clients cannot control a terminal or forge a line.

Logging never blocks the server. A line goes into a bounded queue, and a thread writes it: if
nothing reads standard error, only that thread waits. Lines that do not fit are dropped and counted.
Repeated warnings, for example during a flood of rejected clients, are rate-limited; the next one
written says how many were left out.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType

from kvbench.clock import NS_PER_S, Clock, SystemClock
from kvbench.foreign_text import clean

_TRACEBACK_LINES_MAX = 100

_ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)

LINES_MAX = 1000
"""Maximum number of queued lines: about 100 kB."""

ALIKE_PER_S = 10
"""Warnings of one kind written per second."""

_KINDS_MAX = 100
"""Kinds distinguished at one time; the server has a handful."""

_LAST_WORDS_S = 0.5
"""How long the process waits at exit for the last lines to be written."""


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: time (ISO 8601, UTC), level, logger, message, facts, error."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean(record.getMessage()),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class TextFormatter(logging.Formatter):
    """A record as a line for people, followed by its facts."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name.
        """The line without a traceback."""
        facts = getattr(record, "facts", {})
        words = [super().formatMessage(record), *[f"{name}={one}" for name, one in facts.items()]]
        return clean(" ".join(words))

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802 - logging's name.
        """The end of the traceback, indented so that no line looks like a record."""
        lines = super().formatException(ei).splitlines()[-_TRACEBACK_LINES_MAX:]
        return "\n".join([f"  {clean(line)}" for line in lines])


class QueuedHandler(logging.Handler):
    """Writes records to a file descriptor, from a thread, while it has a reader.

    Args:
        descriptor: where to write; it stays open.
        clock: measures the seconds of :data:`ALIKE_PER_S`.

    Attributes:
        dropped: lines not written so far, because of the queue or the rate limit.
    """

    def __init__(self, descriptor: int, clock: Clock | None = None) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._now_ns = (clock if clock is not None else SystemClock()).now_ns
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._alike: dict[str, tuple[int, int]] = {}
        self._dropped_before = 0
        self._writer = threading.Thread(target=self._write, name="log writer", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record's line, unless the queue is full. Never blocks."""
        if self._lines.qsize() >= LINES_MAX or not self._is_wanted(record):
            self.dropped += 1
            return
        missing = self.dropped - self._dropped_before
        if missing:
            self._dropped_before = self.dropped
            record.facts = {**getattr(record, "facts", {}), "lines_dropped": missing}
        self._lines.put(self.format(record))

    def close(self) -> None:
        """Wait a moment until the last lines are written."""
        self._lines.put(None)
        self._writer.join(_LAST_WORDS_S)
        super().close()

    def _is_wanted(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        second = self._now_ns() // NS_PER_S
        kind = str(record.msg)
        since, count = self._alike.get(kind, (second, 0))
        if since != second:
            since, count = second, 0
        if len(self._alike) >= _KINDS_MAX:
            self._alike.clear()
        self._alike[kind] = (since, count + 1)
        return count < ALIKE_PER_S

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            # Not through sys.stderr: its lock would be held when the process ends.
            data = f"{line}\n".encode("utf-8", "backslashreplace")
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                self.dropped += 1


_installed: QueuedHandler | None = None


def lines_dropped() -> int:
    """Number of log lines of this process that were not written."""
    return _installed.dropped if _installed is not None else 0


def configure_logs(level: str, *, as_json: bool) -> None:
    """Send the logs of this process to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        as_json: JSON lines instead of text.
    """
    global _installed  # A process has one standard error.
    _installed = QueuedHandler(sys.stderr.fileno())
    _installed.setFormatter(JsonFormatter() if as_json else TextFormatter())
    # Errors in logging itself would be written to standard error and could block.
    logging.raiseExceptions = False
    logging.basicConfig(level=level.upper(), handlers=[_installed], force=True)
