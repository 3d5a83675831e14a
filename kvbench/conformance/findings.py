"""Findings: what a case raises when a clause is not kept, or could not be looked at.

- :class:`CaseFailed`: the target does not keep a clause.
- :class:`SetupFailed`: a step before the one that is checked failed.
- :class:`DoesNotApply`: the clause says nothing about this target.

They stand apart from the cases, so that the contexts which raise them need no case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvbench.specs import ExpectedReply

INTERRUPTED = "interrupted"
"""The reason of what was not run because the user pressed Ctrl-C."""


class CaseFailed(Exception):  # noqa: N818 - a finding about the target, not an error of ours
    """The target does not keep a clause.

    Attributes:
        expected: what the clause asks for.
        actual: what came.
        seed: reproduces it, when something was random.
        timeline: a concurrent history as text, when there was one.
        wanted: the reply that should have come, in the words of the vectors, where it is known.
    """

    def __init__(
        self,
        expected: str,
        actual: str,
        *,
        seed: str = "",
        timeline: str = "",
        wanted: ExpectedReply | None = None,
    ) -> None:
        self.expected = expected
        self.actual = actual
        self.seed = seed
        self.timeline = timeline
        self.wanted = wanted
        super().__init__(f"expected {expected}; got {actual}")


class TargetLost(CaseFailed):
    """The target is not there any more, or has stopped answering, since the case's last frame.

    Attributes:
        ending: ``ended`` or ``stopped``.
    """

    ending = ""


class SetupFailed(Exception):  # noqa: N818 - a finding, not an error of ours
    """A step before the one that is checked did not work: the clause was not looked at."""


class DoesNotApply(Exception):  # noqa: N818 - a finding, not an error of ours
    """The clause says nothing about this target, such as what undeclared operations raise."""
