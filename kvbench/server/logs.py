"""Log lines on standard error: prose for people, or one JSON object a line for machines.

A log call may carry ``extra={"facts": {...}}``: figures and names that a machine should not have to
read out of prose. What a client sent cannot control a terminal or forge a line.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from types import TracebackType

from kvbench.foreign_text import clean

_TRACEBACK_LINES_MAX = 100

_ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


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
    """A record as a line for people, its facts behind it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name.
        """The line without a traceback."""
        facts = getattr(record, "facts", {})
        words = [super().formatMessage(record), *[f"{name}={one}" for name, one in facts.items()]]
        return clean(" ".join(words))

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802 - logging's name.
        """The end of the traceback, its lines indented, so that none looks like a record."""
        lines = super().formatException(ei).splitlines()[-_TRACEBACK_LINES_MAX:]
        return "\n".join([f"  {clean(line)}" for line in lines])


def configure_logs(level: str, *, as_json: bool) -> None:
    """Send the logs of this process to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        as_json: JSON lines instead of prose.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
