"""How long a target may be silent: whole for a slow one, bounded for one that is broken.

A target may take the whole timeout for each reply. One that has used it up several times is hardly
slow: it gets a shorter one, and after :data:`SILENT_S_MAX` in all the run stops.
"""

from __future__ import annotations

SILENT_S_MAX = 25.0
"""With what a right server takes, a run stays within a minute."""

_SHORTENED_AFTER_S = 10.0
"""Two replies that did not come, with the usual timeout."""

_SHORTENING = 5.0


class Patience:
    """How long a target has been silent where a reply was due.

    Attributes:
        silent_s: in all, in seconds.
    """

    def __init__(self) -> None:
        self.silent_s = 0.0

    def waited(self, seconds: float) -> None:
        """A reply was waited for, and did not come."""
        self.silent_s += seconds

    def reply_timeout_s(self, usual_s: float) -> float:
        """What the next replies may take."""
        return usual_s if self.silent_s < _SHORTENED_AFTER_S else usual_s / _SHORTENING

    @property
    def is_over(self) -> bool:
        """Whether the run should stop."""
        return self.silent_s >= SILENT_S_MAX
