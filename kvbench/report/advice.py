"""Which batch size to use, and why: from measured call times, a latency bound and an arrival rate.

Keys that arrive at a steady rate wait for their batch to fill, then for its call. The first key of
a batch of B waits longest: ``(B - 1) / rate + t(B)``. A size is suitable when its calls keep up
with the rate, with some reserve, and the longest wait is within the bound.

The choice among suitable sizes: without a rate, the smallest size near the best keys/s. With a rate
alone, the shortest wait. With a rate and a bound, the smallest size whose calls are hardly busier
than the least busy ones.

Pure: results in, decisions and sentences out.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvbench.report import format as text
from kvbench.report.summary import GOOD_SHARE, OperationSummary

BUSY_SHARE_MAX = 0.8
"""Calls that are busy for a larger share of the time have no reserve for a burst: queues grow
without bound as the share approaches 1."""

BUSY_SHARE_ALIKE = 0.01
"""Busy shares this close count as equal: a smaller difference is not worth a longer wait."""

TOO_SLOW = "too slow"
"""The problem of a size whose calls do not keep up with the rate."""

TOO_LATE = "too late"
"""The problem of a size with which a key can wait longer than the bound."""

_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Needs:
    """An application's requirements for its batches.

    Attributes:
        slo_ns: longest wait of a key, nanoseconds; None for no bound.
        rate_per_s: arrival rate of keys, per second; None if all keys are available at once.
    """

    slo_ns: int | None = None
    rate_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A batch size as a candidate; 1 stands for single calls.

    Attributes:
        batch_size: keys in a call.
        call_ns: mean time of a call, nanoseconds: the upper end of its interval where it has one.
        keys_per_s: keys per second of calls one after the other.
        wait_ns: longest wait of a key, filling included; without a rate, the call time.
        busy: share of the time taken by calls at the rate; 0 without a rate.
        problem: TOO_SLOW or TOO_LATE if it does not meet the needs, else empty.
    """

    batch_size: int
    call_ns: float
    keys_per_s: float
    wait_ns: float
    busy: float
    problem: str

    @property
    def keeps_up(self) -> bool:
        """Whether calls keep up with the rate, with a reserve for bursts."""
        return self.busy <= BUSY_SHARE_MAX


@dataclass(frozen=True, slots=True)
class Advice:
    """The recommendation for an operation.

    Attributes:
        op: the batch operation.
        best: the choice; None when no size meets the needs, or there are no figures.
        choices: all candidates by size: the frontier; empty without figures.
        reasons: up to three lines.
    """

    op: str
    best: Choice | None
    choices: tuple[Choice, ...]
    reasons: tuple[str, ...]


def advise(operation: OperationSummary, needs: Needs) -> Advice:
    """Choose a batch size for the operation."""
    measured = [cell for cell in operation.with_figures if {"individual", "batch"} <= {*cell.arms}]
    if not measured:
        reasons = [cell.reason for cell in operation.cells.values() if cell.reason]
        return Advice(operation.op, None, (), tuple(dict.fromkeys(reasons))[:3])
    # A batch of one key is equivalent to a single call.
    batches = [(one.batch_size, one.arms["batch"]) for one in measured if one.batch_size > 1]
    choices = []
    for size, arm in [(1, measured[0].arms["individual"]), *batches]:
        call_ns = arm.call_ns.estimate if arm.call_ns.high is None else arm.call_ns.high
        choices.append(_choice(size, call_ns, arm.keys_per_s.estimate, needs))
    best = _best([one for one in choices if not one.problem], needs)
    reasons = _why_none(choices, needs) if best is None else _why(best, choices, needs)
    return Advice(operation.op, best, tuple(choices), tuple(reasons))


def _choice(size: int, call_ns: float, keys_per_s: float, needs: Needs) -> Choice:
    wait_ns, busy, problem = call_ns, 0.0, ""
    if needs.rate_per_s is not None:
        wait_ns += (size - 1) / needs.rate_per_s * _NS_PER_S
        busy = needs.rate_per_s * call_ns / size / _NS_PER_S
    if busy > BUSY_SHARE_MAX:
        problem = TOO_SLOW
    elif needs.slo_ns is not None and wait_ns > needs.slo_ns:
        problem = TOO_LATE
    return Choice(size, call_ns, keys_per_s, wait_ns, busy, problem)


def _best(fit: list[Choice], needs: Needs) -> Choice | None:
    if not fit:
        return None
    if needs.rate_per_s is None:
        top = max([one.keys_per_s for one in fit])
        return next(one for one in fit if one.keys_per_s >= GOOD_SHARE * top)
    if needs.slo_ns is None:
        return min(fit, key=lambda one: one.wait_ns)
    least = min([one.busy for one in fit])
    return next(one for one in fit if one.busy <= least + BUSY_SHARE_ALIKE)


def _why(best: Choice, choices: list[Choice], needs: Needs) -> list[str]:
    gain = text.times(best.keys_per_s / choices[0].keys_per_s, 2)
    what = (
        f"Single calls move {text.rate(best.keys_per_s)} keys/s and take at most"
        if best.batch_size == 1
        else f"Calls of {best.batch_size:,} keys move {text.rate(best.keys_per_s)} keys/s, {gain} "
        "what single calls do, and take at most"
    )
    return [
        f"{what} {text.duration(best.call_ns)} on average.",
        _why_this(best, needs),
        _why_not_larger(best, choices, needs),
    ]


def _why_this(best: Choice, needs: Needs) -> str:
    if needs.rate_per_s is None:
        if needs.slo_ns is None:
            return f"It is the smallest size within {1 - GOOD_SHARE:.0%} of the best keys/s."
        return f"That is within the bound of {text.duration(needs.slo_ns)}."
    at = f"At {_rate(needs)} keys/s calls are busy {share(best.busy)} of the time;"
    if best.batch_size == 1:
        return f"{at} no key waits for others."
    filling_ns = best.wait_ns - best.call_ns
    return (
        f"{at} the first key of a batch waits {text.duration(filling_ns)} for it to fill, "
        f"{text.duration(best.wait_ns)} in all."
    )


def _why_not_larger(best: Choice, choices: list[Choice], needs: Needs) -> str:
    larger = [one for one in choices if one.batch_size > best.batch_size]
    if not larger:
        return "No larger size was measured; name some with --batch-sizes."
    following = larger[0]
    size, wait = f"{following.batch_size:,}", text.duration(following.wait_ns)
    if following.problem == TOO_LATE:
        return f"The next size, {size}, would let a key wait {wait}: over the bound."
    if following.problem:
        return f"The next size, {size}, would not keep up."
    if needs.rate_per_s is not None:
        saved = best.busy - following.busy
        if needs.slo_ns is None:
            return f"The next size, {size}, would make a key wait longer: {wait}."
        if saved <= BUSY_SHARE_ALIKE:
            return f"The next size, {size}, would make a key wait {wait}, for little."
    top = max([one for one in larger if not one.problem], key=lambda one: one.keys_per_s)
    return (
        f"Larger ones gain little: {text.rate(top.keys_per_s)} keys/s at {top.batch_size:,}, for "
        f"{text.duration(top.call_ns)} a call."
    )


def _why_none(choices: list[Choice], needs: Needs) -> list[str]:
    able = [one for one in choices if one.keeps_up]
    if not able and needs.rate_per_s is not None:
        top = max(choices, key=lambda one: one.keys_per_s)
        return [
            f"One caller moves {text.rate(top.keys_per_s)} keys/s at best, with "
            f"{_calls(top)}: too little for {_rate(needs)} with room for bursts.",
            "Several connections share such a load.",
        ]
    assert needs.slo_ns is not None, "without a bound, what keeps up is fit"
    shortest = min(able, key=lambda one: one.wait_ns)
    reasons = [
        f"The shortest wait is {text.duration(shortest.wait_ns)}, with {_calls(shortest)}: over "
        f"the bound of {text.duration(needs.slo_ns)}."
    ]
    if shortest.batch_size > 1 and needs.rate_per_s is not None:
        reasons.append(f"Smaller ones do not keep up with {_rate(needs)} keys/s.")
        reasons.append("Several connections share such a load, each with smaller batches.")
    else:
        reasons.append("It takes a looser bound, or a store that is nearer or faster.")
    return reasons


def _calls(choice: Choice) -> str:
    return "single calls" if choice.batch_size == 1 else f"calls of {choice.batch_size:,} keys"


def _rate(needs: Needs) -> str:
    assert needs.rate_per_s is not None
    return f"{needs.rate_per_s:,.0f}" if needs.rate_per_s >= 10 else f"{needs.rate_per_s:g}"


def share(of_time: float) -> str:
    """A share of the time for people: ``20%``, ``<1%``."""
    return "<1%" if of_time < 0.01 else f"{of_time:.0%}"
