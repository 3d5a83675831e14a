"""Failures by their cause: what several have in common, and so what to mend first.

The shortest cause that explains the most: failures with the same message of the target are one
group, then those where the same operation was not answered, then all others without an answer, then
those with the same type of value or the same operation, whichever explains more. A failure that
shares nothing stands alone. The largest group comes first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from kvbench.report.format import count, plain
from kvbench.verdicts import Failure, Outcome, Verdict

_PLAIN_TYPES = frozenset({"Int", "String"})
"""Most cases use them, whatever they are about."""

_ENDINGS = {
    "closed": "the target closes the connection in place of an answer{}",
    "ended": "the server process ends in place of an answer{}",
    "stopped": "the server stops answering all clients in place of an answer{}",
    "silent": "the target does not answer{}",
}

_VARIABLE = re.compile(r"kvbench-check:\w+|0x[0-9a-f]+|\d+|'[^']*'|\"[^\"]*\"")
"""Parts of a message that change from request to request."""

_MESSAGE_CHARS_MAX = 120


@dataclass(frozen=True, slots=True)
class FailedCase:
    """A failure: the verdicts that one case gave for the same reason."""

    verdicts: tuple[Verdict, ...]
    failure: Failure


@dataclass(frozen=True, slots=True)
class Cause:
    """What some failures have in common.

    Attributes:
        text: the cause in a few words; empty for a failure that shares nothing.
        failures: at least one.
        of: how many failures there are in all.
    """

    text: str
    failures: tuple[FailedCase, ...]
    of: int

    @property
    def share(self) -> str:
        """``explains 17 of 52 failures``."""
        return f"explains {len(self.failures)} of {count(self.of, 'failure')}"

    @property
    def clauses(self) -> tuple[str, ...]:
        """Every clause that is not kept for this cause, once."""
        ids = [one.clause for failed in self.failures for one in failed.verdicts]
        return tuple(dict.fromkeys(ids))


def failed_cases(verdicts: Iterable[Verdict]) -> tuple[FailedCase, ...]:
    """What failed, case by case: one conversation may have broken several clauses."""
    found: dict[tuple[str, str, str], list[Verdict]] = {}
    for one in verdicts:
        if one.failure is not None:
            reason = (one.case, one.failure.expected, one.failure.actual)
            found.setdefault(reason, []).append(one)
    return tuple(
        [FailedCase(tuple(same), same[0].failure) for same in found.values() if same[0].failure]
    )


def causes(verdicts: Iterable[Verdict], outcome: Outcome) -> tuple[Cause, ...]:
    """The failures with an outcome, by cause: the cause that explains the most first."""
    failed = failed_cases([one for one in verdicts if one.verdict is outcome])
    left = list(failed)
    found: list[Cause] = []
    for common in (_refusals, _unanswered, _endings, _requests):
        groups = list(_groups(left, common, len(failed)))
        taken = set(map(id, chain.from_iterable([one.failures for one in groups])))
        left = [one for one in left if id(one) not in taken]
        found += groups
    found.sort(key=lambda one: -len(one.failures))
    return (*found, *[Cause("", (one,), len(failed)) for one in left])


_Common = Callable[[FailedCase], Iterator[tuple[str, str]]]
"""What a failure may share with others: by what it is compared, and how it is said."""


def _groups(failed: Sequence[FailedCase], common: _Common, of: int) -> Iterator[Cause]:
    """Groups of two and more, the largest first; each failure is in one."""
    left = list(failed)
    while True:
        shared: dict[str, tuple[str, list[FailedCase]]] = {}
        for one in left:
            for key, text in common(one):
                shared.setdefault(key, (text, []))[1].append(one)
        text, members = max(shared.values(), key=lambda group: len(group[1]), default=("", []))
        if len(members) < 2:
            return
        yield Cause(text, tuple(members), of)
        left = [one for one in left if one not in members]


def _refusals(failed: FailedCase) -> Iterator[tuple[str, str]]:
    message = plain(failed.failure.traits.refusal)
    if message:
        shown = message[:_MESSAGE_CHARS_MAX] + "…" * (len(message) > _MESSAGE_CHARS_MAX)
        yield _VARIABLE.sub("…", message), f"refused with the message {shown!r}"


def _unanswered(failed: FailedCase) -> Iterator[tuple[str, str]]:
    traits = failed.failure.traits
    if traits.ending in _ENDINGS and traits.operation:
        text = _ENDINGS[traits.ending].format(f" to {plain(traits.operation)}")
        yield f"{traits.ending} {traits.operation}", text


def _endings(failed: FailedCase) -> Iterator[tuple[str, str]]:
    ending = failed.failure.traits.ending
    if ending in _ENDINGS:
        yield ending, _ENDINGS[ending].format("")


def _requests(failed: FailedCase) -> Iterator[tuple[str, str]]:
    for name in sorted(set(failed.failure.traits.types) - _PLAIN_TYPES):
        yield f"type {name}", f"requests with a value of type {plain(name)}"
    operation = plain(failed.failure.traits.operation)
    if operation:
        yield operation, f"wrong answers to {operation}"
