"""Log lines on standard error: prose for people, or one JSON object a line for machines.

A log call may carry ``extra={"facts": {...}}``: figures and names that a machine should not have to
read out of prose.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: time (ISO 8601, UTC), level, logger, message, facts, error."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
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
        return " ".join(
            [super().formatMessage(record), *[f"{name}={value}" for name, value in facts.items()]]
        )


def configure_logs(level: str, *, as_json: bool) -> None:
    """Send the logs of this process to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        as_json: JSON lines instead of prose.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
