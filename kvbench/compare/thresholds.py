"""Thresholds for the figures of one run: ``mget.speedup[100] < 3`` fails it.

A threshold names figures and says when they fail::

    [TARGET.][SUBJECT.]FIGURE[[SIZE]] <|<=|>|>= VALUE

What is left out matches all. The interval decides: a threshold fails where the whole 95% interval
is on the failing side, holds where the whole interval is on the other one, and else it cannot be
told. A word that matches nothing is a mistake, found before anything is measured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kvbench.compare.gauges import FIGURES, SINGLE, Gauge, Unit, gauges
from kvbench.errors import UsageError
from kvbench.results import Results
from kvbench.suggest import did_you_mean
from kvbench.units import parse_duration_ns

_FORM = re.compile(r"\s*(.+?)\s*(<=|>=|<|>)\s*(.+?)\s*", re.DOTALL)
_SIZE = re.compile(r"(.*)\[\s*(\d{1,9})\s*\]", re.DOTALL)
_TIMES = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*[x×]?", re.ASCII)
_RATE = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([kM]?)\s*(?:keys|requests)?(?:/s)?", re.ASCII)
_EXAMPLE = "write e.g. 'mget.speedup[100] < 3'"


class ThresholdOutcome(StrEnum):
    """What the interval of a figure says of a threshold."""

    FAILS = "fails"
    HOLDS = "holds"
    UNCLEAR = "cannot tell"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run will measure: the words that a threshold may use.

    Attributes:
        command: ``run``, ``load`` or ``capacity``.
        targets: names.
        sizes: batch sizes by subject: operations, or arms.
    """

    command: str
    targets: tuple[str, ...]
    sizes: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A condition under which a run fails.

    Attributes:
        text: as typed.
        target: name or scheme of a target; empty for all.
        subject: operation or arm; empty for all.
        figure: name of the figure.
        size: batch size; None for all.
        relation: ``<``, ``<=``, ``>`` or ``>=``.
        limit: in nanoseconds, per second, or times.
    """

    text: str
    target: str
    subject: str
    figure: str
    size: int | None
    relation: str
    limit: float

    def matches(self, gauge: Gauge) -> bool:
        """Whether the threshold names a figure."""
        return (
            gauge.name == self.figure
            and self.subject in ("", gauge.subject)
            and self.size in (None, gauge.size)
            and self.target in ("", gauge.target, _scheme(gauge.target))
        )

    def judge(self, gauge: Gauge) -> ThresholdOutcome:
        """What the figure's interval says; without an interval it cannot be told."""
        figure = gauge.figure
        if figure is None or figure.low is None or figure.high is None:
            return ThresholdOutcome.UNCLEAR
        are_failing = [self._is_failing(end) for end in (figure.low, figure.high)]
        if all(are_failing):
            return ThresholdOutcome.FAILS
        return ThresholdOutcome.UNCLEAR if any(are_failing) else ThresholdOutcome.HOLDS

    def _is_failing(self, value: float) -> bool:
        if self.relation.endswith("=") and value == self.limit:
            return True
        return value < self.limit if self.relation.startswith("<") else value > self.limit


@dataclass(frozen=True, slots=True)
class JudgedThreshold:
    """A threshold on one figure.

    Attributes:
        text: the threshold as typed.
        outcome: what the interval says.
        gauge: the figure.
        unit: of the figure.
    """

    text: str
    outcome: ThresholdOutcome
    gauge: Gauge
    unit: Unit


def scope_of(command: str, targets: Sequence[str], sizes: Mapping[str, Sequence[int]]) -> Scope:
    """What a run will measure.

    Args:
        command: ``run``, ``load`` or ``capacity``.
        targets: names, without passwords.
        sizes: batch sizes by operation or arm.
    """
    return Scope(command, tuple(targets), {name: tuple(one) for name, one in sizes.items()})


def parse_thresholds(texts: Sequence[str], scope: Scope) -> tuple[Threshold, ...]:
    """Thresholds from their texts, each checked to name something that will be measured.

    Raises:
        UsageError: a text is not a threshold, or names nothing; the message names the nearest word.
    """
    return tuple([_parse(text, scope) for text in texts])


def judge_thresholds(
    results: Results, thresholds: Sequence[Threshold]
) -> tuple[JudgedThreshold, ...]:
    """Every threshold on every figure that it names, in the order typed."""
    units = {name: unit for figures in FIGURES.values() for name, unit in figures.items()}
    found = gauges(results)
    return tuple(
        [
            JudgedThreshold(one.text, one.judge(gauge), gauge, units[gauge.name])
            for one in thresholds
            for gauge in found
            if one.matches(gauge)
        ]
    )


def _scheme(target: str) -> str:
    """The scheme of a target's name: ``kvb`` of ``kvb://127.0.0.1:16380``."""
    return target.partition("://")[0]


def _parse(text: str, scope: Scope) -> Threshold:
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a threshold; {_EXAMPLE}")
    named, relation, value = match.groups()
    sized = _SIZE.fullmatch(named)
    named, size = (sized[1], int(sized[2])) if sized else (named, None)
    rest, figure = _split_figure(named, text, scope)
    target, subject = _split_subject(rest, text, scope)
    limit = _value(value, FIGURES[scope.command][figure], text)
    _check_size(size, subject, figure, text, scope)
    return Threshold(text.strip(), target, subject, figure, size, relation, limit)


def _split_figure(named: str, text: str, scope: Scope) -> tuple[str, str]:
    """The words before the figure, and the figure."""
    known = FIGURES[scope.command]
    # The longest first: p99.9 has a dot.
    for figure in sorted(known, key=len, reverse=True):
        if named == figure or named.endswith(f".{figure}"):
            return named[: -len(figure)].rstrip("."), figure
    word = "p99.9" if named.endswith("p99.9") else named.rpartition(".")[2]
    for command, figures in FIGURES.items():
        if word in figures:
            raise UsageError(
                f"{text!r}: {word} is a figure of kvbench {command}; kvbench {scope.command} has "
                f"{', '.join(known)}"
            )
    hint = did_you_mean(word, known, f"there are: {', '.join(known)}")
    raise UsageError(f"{text!r}: no figure {word!r}; {hint}")


def _split_subject(rest: str, text: str, scope: Scope) -> tuple[str, str]:
    """Target and subject; empty where they are left out."""
    targets = dict.fromkeys([*scope.targets, *map(_scheme, scope.targets)])
    if rest in ("", *targets):
        return rest, ""
    target, _, subject = rest.rpartition(".")
    if subject not in scope.sizes:
        known = [*scope.sizes, *targets]
        word = rest if "://" in rest else subject
        hint = did_you_mean(word, known, f"measured are: {', '.join(known)}")
        raise UsageError(f"{text!r}: nothing named {word!r} is measured; {hint}")
    if target not in ("", *targets):
        hint = did_you_mean(target, targets, f"there are: {', '.join(targets)}")
        raise UsageError(f"{text!r}: no target {target!r}; {hint}")
    return target, subject


def _check_size(size: int | None, subject: str, figure: str, text: str, scope: Scope) -> None:
    batches = {single: batch for batch, single in SINGLE.items()}
    if figure == "speedup" and subject in batches:
        hint = f"name {batches[subject]}"
        raise UsageError(f"{text!r}: {subject} is a single call, and has no speedup; {hint}")
    known = {one for name, sizes in scope.sizes.items() if subject in ("", name) for one in sizes}
    if size is not None and size not in known:
        sizes = ", ".join([f"{one:,}" for one in sorted(known)])
        raise UsageError(f"{text!r}: batch size {size:,} is not measured; measured are {sizes}")


def _value(value: str, unit: Unit, text: str) -> float:
    if unit is Unit.DURATION:
        try:
            return parse_duration_ns(value)
        except UsageError as error:
            raise UsageError(f"{text!r}: {error}") from None
    if unit is Unit.TIMES:
        if match := _TIMES.fullmatch(value):
            return float(match[1])
        raise UsageError(f"{text!r}: {value!r} is not a number; write e.g. 3 or 2.5")
    if match := _RATE.fullmatch(value):
        return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6}[match[2]]
    raise UsageError(f"{text!r}: {value!r} is not a rate; write e.g. 50000, 50k or 1.5M/s")
