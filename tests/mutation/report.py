"""The mutation score as Markdown: by module and operator, survivors, and what is equivalent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .sample import Tried


@dataclass(frozen=True, slots=True)
class Sample:
    """What was tried.

    Attributes:
        title: which server.
        results: of mutants that a client may notice.
        reasons: of each of the others, why none can.
        all_count: how many mutants there are, of which this is a sample.
    """

    title: str
    results: Sequence[Tried]
    reasons: Sequence[str]
    all_count: int

    @property
    def killed(self) -> int:
        """How many mutants a case found."""
        return sum(1 for result in self.results if result.killer)

    @property
    def score(self) -> float:
        """Killed / (all - equivalent)."""
        return self.killed / max(1, len(self.results))


def markdown(samples: Iterable[Sample], command: str) -> str:
    """The whole report."""
    parts = [
        "# Mutation score of the wire suite\n",
        "Each mutant is a server with one small fault that a tool made: an operator, a constant, a "
        "boundary, swapped arguments, a removed statement. Score = killed / (all - equivalent).\n",
        f"Written by `{command}`.\n",
        "| server | mutants | sample | equivalent | killed | alive | score |",
        "|---|---|---|---|---|---|---|",
    ]
    samples = list(samples)
    for one in samples:
        alive = len(one.results) - one.killed
        parts.append(
            f"| {one.title} | {one.all_count} | {len(one.results) + len(one.reasons)} "
            f"| {len(one.reasons)} | {one.killed} | {alive} | {one.score:.1%} |"
        )
    for one in samples:
        parts += ["", f"## {one.title}", "", *_by_part(one), "", *_survivors(one)]
        if one.reasons:
            parts += ["", *_equivalents(one)]
    return "\n".join(parts) + "\n"


def _by_part(sample: Sample) -> list[str]:
    tried: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    for result in sample.results:
        module, _, rest = result.name.partition(":")
        operator = rest.split(": ")[1] if ": " in rest else rest
        for part in (module.removeprefix("kvbench."), operator):
            tried[part] += 1
            killed[part] += bool(result.killer)
    rows = [f"| {part} | {killed[part]} | {count} |" for part, count in sorted(tried.items())]
    return ["| module or operator | killed | of |", "|---|---|---|", *rows]


def _survivors(sample: Sample) -> list[str]:
    names = [result.name for result in sample.results if not result.killer]
    return ["Alive:", "", *[f"- {name}" for name in names]] if names else ["None is alive."]


def _equivalents(sample: Sample) -> list[str]:
    counts = Counter(sample.reasons).most_common()
    return ["Equivalent, by reason:", "", *[f"- {count}: {reason}" for reason, count in counts]]
