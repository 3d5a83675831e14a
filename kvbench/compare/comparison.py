"""Two results compared: every figure that both have, with its verdict; and what only one has."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from kvbench.compare.change import (
    CannotCompareError,
    Change,
    independent,
    mean_change,
    paired,
)
from kvbench.compare.differences import Difference, differences, store_differences
from kvbench.compare.judgement import THRESHOLD_DEFAULT, Judged, Verdict, judge_all
from kvbench.compare.readings import SPEEDS, Measure, Reading, readings
from kvbench.results import Figure, Results


@dataclass(frozen=True, slots=True)
class Row:
    """A figure that both sides have.

    Attributes:
        base: the figure in base.
        head: the figure in head.
        judged: its change and the verdict.
        is_gated: whether the gate may decide by it.
    """

    base: Reading
    head: Reading
    judged: Judged
    is_gated: bool


@dataclass(frozen=True, slots=True)
class Unpaired:
    """A figure without a comparison.

    Attributes:
        target: the target's name.
        name: the cell or lane.
        measure: what it is.
        reason: where it is missing, or why it cannot be compared.
    """

    target: str
    name: str
    measure: Measure
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A head against its base.

    Attributes:
        base_name: base, for readers.
        head_name: head, for readers.
        threshold: within which a figure counts as unchanged, and of the gate.
        rows: all figures that both have.
        means: by measure, the geometric mean of the ratios over cells; with its interval where all
            cells have the same rounds.
        unpaired: all figures that have no comparison.
        differences: what else is not the same.
        is_paired: both sides were measured in the same rounds.
        pairs: targets with different names that were compared.
    """

    base_name: str
    head_name: str
    threshold: float
    rows: tuple[Row, ...]
    means: Mapping[Measure, Figure]
    unpaired: tuple[Unpaired, ...]
    differences: tuple[Difference, ...]
    is_paired: bool = False
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def slowdowns(self) -> tuple[Row, ...]:
        """What fails the gate."""
        return tuple([row for row in self.rows if row.judged.is_slowdown])

    @property
    def unexpected(self) -> tuple[Difference, ...]:
        """Differences for which a gate refuses."""
        return tuple([one for one in self.differences if not one.is_expected])

    def count(self, verdict: Verdict) -> int:
        """Number of figures with a verdict."""
        return len([row for row in self.rows if row.judged.verdict is verdict])


def compare_results(
    base: Results,
    head: Results,
    *,
    names: tuple[str, str] = ("base", "head"),
    threshold: float = THRESHOLD_DEFAULT,
    measures: Collection[Measure] | None = None,
) -> Comparison:
    """Compare two files, target by target.

    Where each file has one target, and their names differ, these are compared.

    Args:
        base: the older results.
        head: the newer ones.
        names: of base and head.
        threshold: within which a figure counts as unchanged; 0.05 is a factor of 1.05.
        measures: only these, and the gate decides by all of them; by default all are compared and
            the gate decides by speeds.
    """
    pairs = _target_pairs(base, head)
    found = list(differences(base, head))
    for before, after in pairs:
        if before and after:
            found += store_differences(_facts(base, before), _facts(head, after), after)
    return _compare(
        (base, head), pairs, (names[0], names[1]), threshold, measures, tuple(found), False
    )


def compare_targets(
    results: Results,
    base: str,
    head: str,
    *,
    threshold: float = THRESHOLD_DEFAULT,
    measures: Collection[Measure] | None = None,
    only: Collection[tuple[str, Measure]] | None = None,
) -> Comparison:
    """Compare two targets of one run, by the rounds that visited both.

    Args:
        results: of the run.
        base: name of a target.
        head: name of another one.
        threshold: as in :func:`compare_results`.
        measures: as in :func:`compare_results`.
        only: keys of the readings to compare; None for all.
    """
    found = store_differences(_facts(results, base), _facts(results, head), head)
    both = (results, results)
    return _compare(both, [(base, head)], (base, head), threshold, measures, found, True, only)


def _compare(
    sides: tuple[Results, Results],
    pairs: Sequence[tuple[str, str]],
    names: tuple[str, str],
    threshold: float,
    measures: Collection[Measure] | None,
    found: tuple[Difference, ...],
    is_paired: bool,
    only: Collection[tuple[str, Measure]] | None = None,
) -> Comparison:
    limits = dict.fromkeys(SPEEDS if measures is None else measures, threshold)
    kept: list[tuple[Reading, Reading, Change]] = []
    unpaired: list[Unpaired] = []
    for before, after in pairs:
        olds = {one.key: one for one in readings(sides[0]) if one.target == before}
        news = {one.key: one for one in readings(sides[1]) if one.target == after}
        for key in dict.fromkeys([*olds, *news]):
            if (measures is not None and key[1] not in measures) or (
                only is not None and key not in only
            ):
                continue
            try:
                kept.append(_change(olds.get(key), news.get(key), is_paired))
            except CannotCompareError as error:
                unpaired.append(Unpaired(after or before, *key, str(error)))
    judged = judge_all(
        [change for _, _, change in kept],
        [old.measure.is_time for old, _, _ in kept],
        [max(threshold, _floor(sides, old, new)) for old, new, _ in kept],
        [old.measure in limits for old, _, _ in kept],
        threshold,
    )
    rows = [
        Row(old, new, one, old.measure in limits)
        for (old, new, _), one in zip(kept, judged, strict=True)
    ]
    return Comparison(
        names[0],
        names[1],
        threshold,
        tuple(rows),
        _means(rows, is_paired),
        tuple(unpaired),
        found,
        is_paired,
        tuple([pair for pair in pairs if pair[0] != pair[1] and all(pair)]),
    )


def _target_pairs(base: Results, head: Results) -> list[tuple[str, str]]:
    """Targets to compare; the other side is empty where only one file has a target."""
    olds, news = (list(dict.fromkeys([r.target for r in readings(one)])) for one in (base, head))
    if len(olds) == len(news) == 1:
        return [(olds[0], news[0])]
    names = dict.fromkeys([*olds, *news])
    return [(name if name in olds else "", name if name in news else "") for name in names]


def _change(
    old: Reading | None, new: Reading | None, is_paired: bool
) -> tuple[Reading, Reading, Change]:
    if old is None or new is None:
        raise CannotCompareError("only in base" if new is None else "only in head")
    for reading, side in ((old, "base"), (new, "head")):
        if reading.figure is None:
            raise CannotCompareError(f"{side} has no number: {reading.reason}")
    assert old.figure is not None and new.figure is not None
    return old, new, (paired if is_paired else independent)(old.figure, new.figure)


def _facts(results: Results, target: str) -> dict[str, str]:
    return next((one.facts for one in results.targets if one.target == target), {})


def _floor(sides: tuple[Results, Results], old: Reading, new: Reading) -> float:
    """The deviation from 1 of single calls measured against themselves, of both sides."""
    found = [0.0]
    for results, reading in zip(sides, (old, new), strict=True):
        for target in results.targets:
            if target.target == reading.target and target.self_ratio is not None:
                found.append(math.expm1(abs(math.log(target.self_ratio.estimate))))
    return max(found)


def _means(rows: Sequence[Row], is_paired: bool) -> dict[Measure, Figure]:
    means = {}
    for measure in Measure:
        mine = [row for row in rows if row.base.measure is measure]
        if not mine:
            continue
        pairs = [
            (row.base.figure, row.head.figure)
            for row in mine
            if row.base.figure is not None and row.head.figure is not None
        ]
        try:
            means[measure] = mean_change(pairs, is_paired=is_paired).figure()
        except CannotCompareError:
            logs = [math.log(row.judged.ratio.estimate) for row in mine]
            means[measure] = Figure(math.exp(math.fsum(logs) / len(logs)))
    return means
