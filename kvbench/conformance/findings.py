"""Findings: what a case raises when a clause is not kept, or could not be looked at.

- :class:`CaseFailed`: the target does not keep a clause.
- :class:`SetupFailed`: a step before the one that is checked failed.
- :class:`DoesNotApply`: the clause says nothing about this target.
- :class:`SeveralFindings`: more than one of these, each about other clauses.

They stand apart from the cases, so that the contexts which raise them need no case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from typing_extensions import override

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
        clauses: what it is evidence of; empty for all that the case checks. A case may come past
            evidence of a clause of another case: nothing is known of its clauses then.
        grounds: the clauses that it stands on: without them it is evidence of nothing. None for
            those of the whole conversation of the case, if it does not say what it is evidence of.
        stands_on: clauses that it stands on as well, in any case.
        number: which of several failures of its case it is, from 0.
    """

    def __init__(
        self,
        expected: str,
        actual: str,
        *,
        seed: str = "",
        timeline: str = "",
        wanted: ExpectedReply | None = None,
        clauses: Iterable[str] = (),
        stands_on: Iterable[str] = (),
    ) -> None:
        self.expected = expected
        self.actual = actual
        self.seed = seed
        self.timeline = timeline
        self.wanted = wanted
        self.clauses = tuple(clauses)
        self.grounds: tuple[str, ...] | None = None
        self.stands_on = tuple(stands_on)
        self.number = 0
        super().__init__(f"expected {expected}; got {actual}")

    def placed(self, place: str) -> CaseFailed:
        """The same, found at a place that is named before what was expected."""
        return CaseFailed(
            place + self.expected, self.actual, wanted=self.wanted, clauses=self.clauses
        )


class TargetLost(CaseFailed):
    """The target is not there any more, or has stopped answering, since the case's last frame.

    Attributes:
        ending: ``ended`` or ``stopped``.
    """

    ending = ""

    @override
    def placed(self, place: str) -> TargetLost:
        lost = TargetLost(place + self.expected, self.actual, clauses=self.clauses)
        lost.ending = self.ending
        return lost


class ConnectionEnded(CaseFailed):
    """The target closed the connection where a response was due."""


class NoReply(CaseFailed):
    """The target neither answered in time nor closed the connection."""


@contextmanager
def evidence_of(*clauses: str) -> Iterator[None]:
    """Have a failure count against these clauses, whatever else does not work.

    For answers that are evidence by themselves. Other failures count only where the operations that
    the case has used work. What names its clauses already stays as it is, and so does an answer
    that did not come.
    """
    try:
        yield
    except (TargetLost, ConnectionEnded, NoReply):
        raise
    except CaseFailed as error:
        error.clauses = error.clauses or clauses
        raise


class SetupFailed(Exception):  # noqa: N818 - a finding, not an error of ours
    """A step before the one that is checked did not work: the clause was not looked at."""


class DoesNotApply(Exception):  # noqa: N818 - a finding, not an error of ours
    """The clause says nothing about this target, such as what undeclared operations raise."""


class SeveralFindings(Exception):  # noqa: N818 - findings, not an error of ours
    """What a case found that judges its clauses one by one; one that is not named has passed.

    Attributes:
        findings: the clauses that each is about, and what was found.
    """

    def __init__(
        self, findings: Iterable[tuple[Iterable[str], CaseFailed | SetupFailed | DoesNotApply]]
    ) -> None:
        self.findings = [(tuple(clauses), finding) for clauses, finding in findings]
        super().__init__("; ".join([str(finding) for _, finding in self.findings]))
