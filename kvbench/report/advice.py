"""Which batch size to use, and why: from measured call times, a latency bound and an arrival rate.

Keys that arrive at a steady rate wait for their batch to fill, then for its call. The first key of
a batch of B waits longest: ``(B - 1) / rate + t(B)``. A size can be used when the calls keep up
with the rate, with some room, and when that longest wait is within the bound.

Pure: results in, decisions and sentences out.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvbench.report import format as text
from kvbench.report.entries import SINGLE, Entry, Tone
from kvbench.report.summary import GOOD_SHARE, OperationSummary
from kvbench.report.table import Column, Table

USED_SHARE_MAX = 0.8
"""Calls that are busy for more of the time than this have no room for a burst: queues grow without
bound as the share nears 1."""

_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Needs:
    """What an application asks of its batches.

    Attributes:
        slo_ns: the longest that a key may wait, in nanoseconds; None for no bound.
        rate_per_s: keys that arrive in a second; None where they are all there at once.
    """

    slo_ns: int | None = None
    rate_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A batch size as a candidate; 1 stands for single calls.

    Attributes:
        batch_size: keys in a call.
        call_ns: time of a call, nanoseconds: the upper end of its interval where it has one.
        keys_per_s: keys per second of calls one after the other.
        wait_ns: the longest that a key waits, filling included; the call time without a rate.
        used: share of the time that calls are busy at the rate; 0 without a rate.
        is_fit: whether it meets the needs.
    """

    batch_size: int
    call_ns: float
    keys_per_s: float
    wait_ns: float
    used: float
    is_fit: bool


@dataclass(frozen=True, slots=True)
class Advice:
    """What to use for an operation.

    Attributes:
        op: the batch operation.
        best: the choice; None when no size meets the needs.
        choices: all candidates by size: the frontier.
        reasons: why, in three lines.
    """

    op: str
    best: Choice | None
    choices: tuple[Choice, ...]
    reasons: tuple[str, ...]


def advise(operation: OperationSummary, needs: Needs) -> Advice | None:
    """The advice for an operation; None when it has no figures."""
    measured = operation.with_figures
    if not measured:
        return None
    single = measured[0].arms["individual"]
    points = [(1, single)] + [(cell.batch_size, cell.arms["batch"]) for cell in measured]
    choices = []
    for size, arm in points:
        call_ns = arm.call_ns.estimate if arm.call_ns.high is None else arm.call_ns.high
        choices.append(_choice(size, call_ns, arm.keys_per_s.estimate, needs))
    best = _best([one for one in choices if one.is_fit], needs)
    return Advice(operation.op, best, tuple(choices), _reasons(operation.op, best, choices, needs))


def _choice(size: int, call_ns: float, keys_per_s: float, needs: Needs) -> Choice:
    wait_ns, used = call_ns, 0.0
    if needs.rate_per_s is not None:
        wait_ns += (size - 1) / needs.rate_per_s * _NS_PER_S
        used = needs.rate_per_s * call_ns / size / _NS_PER_S
    is_fit = used <= USED_SHARE_MAX and (needs.slo_ns is None or wait_ns <= needs.slo_ns)
    return Choice(size, call_ns, keys_per_s, wait_ns, used, is_fit)


def _best(fit: list[Choice], needs: Needs) -> Choice | None:
    if not fit:
        return None
    if needs.rate_per_s is not None and needs.slo_ns is None:
        return min(fit, key=lambda one: one.wait_ns)
    top = max([one.keys_per_s for one in fit])
    return next(one for one in fit if one.keys_per_s >= GOOD_SHARE * top)


def _reasons(op: str, best: Choice | None, choices: list[Choice], needs: Needs) -> tuple[str, ...]:
    if best is None:
        return _why_none(choices, needs)
    single = choices[0]
    what = "Single calls move" if best.batch_size == 1 else f"A call of {best.batch_size:,} moves"
    gain = best.keys_per_s / single.keys_per_s
    factor = "" if best.batch_size == 1 else f", {text.times(gain, 2)} of single calls"
    reasons = [
        f"{what} {text.rate(best.keys_per_s)} keys/s{factor}, and takes "
        f"{text.duration(best.call_ns)}."
    ]
    if needs.rate_per_s is not None:
        filling_ns = best.wait_ns - best.call_ns
        reasons.append(
            f"At {text.rate(needs.rate_per_s)} keys/s the first key of a batch waits "
            f"{text.duration(filling_ns) if filling_ns else '0'} for it to fill, "
            f"{text.duration(best.wait_ns)} in all; calls are busy {best.used:.0%} of the time."
        )
    elif needs.slo_ns is not None:
        reasons.append(f"That is within the bound of {text.duration(needs.slo_ns)} for a call.")
    else:
        reasons.append(f"It is the smallest size within {1 - GOOD_SHARE:.0%} of the best keys/s.")
    reasons.append(_why_not_larger(best, choices, needs))
    return tuple(reasons)


def _why_not_larger(best: Choice, choices: list[Choice], needs: Needs) -> str:
    larger = [one for one in choices if one.batch_size > best.batch_size]
    if not larger:
        return "No larger size was measured; name some with --batch-sizes."
    following = larger[0]
    size = f"{following.batch_size:,}"
    if not following.is_fit and needs.slo_ns is not None and following.wait_ns > needs.slo_ns:
        wait = text.duration(following.wait_ns)
        return f"The next size, {size}, would let a key wait {wait}: over the bound."
    if needs.rate_per_s is not None and needs.slo_ns is None:
        return f"The next size, {size}, would only add waiting: {text.duration(following.wait_ns)}."
    top = max(larger, key=lambda one: one.keys_per_s)
    return (
        f"Larger ones gain little: {text.rate(top.keys_per_s)} keys/s at {top.batch_size:,}, for "
        f"{text.duration(top.call_ns)} a call."
    )


def _why_none(choices: list[Choice], needs: Needs) -> tuple[str, ...]:
    slow = [one for one in choices if one.used > USED_SHARE_MAX]
    fastest = max([one.keys_per_s for one in choices])
    shortest = min([one.wait_ns for one in choices])
    reasons = []
    if len(slow) == len(choices) and needs.rate_per_s is not None:
        reasons.append(
            f"The best size moves {text.rate(fastest)} keys/s with one caller: too little for "
            f"{text.rate(needs.rate_per_s)} with room for bursts."
        )
    else:
        reasons.append(f"The shortest wait is {text.duration(shortest)}: over the bound.")
    reasons.append("Several connections side by side, or a looser bound, may do.")
    return tuple(reasons)


def frontier_table(advice: Advice, needs: Needs) -> Table:
    """Every size with its call time, the longest wait and its keys/s."""
    heads = ["keys a call", "call", "keys/s"]
    if needs.rate_per_s is not None:
        heads += ["longest wait", "busy"]
    rows = []
    for one in advice.choices:
        is_best = advice.best is not None and one.batch_size == advice.best.batch_size
        tone = Tone.FASTER if is_best else Tone.PLAIN if one.is_fit else Tone.FAINT
        row = [
            Entry(f"{one.batch_size:,}", tone=tone),
            Entry(text.duration(one.call_ns), tone=tone),
            Entry(text.rate(one.keys_per_s), tone=tone),
        ]
        if needs.rate_per_s is not None:
            row.append(Entry(text.duration(one.wait_ns), tone=tone))
            row.append(Entry(f"{one.used:.0%}", tone=tone))
        row.append(Entry("use this" if is_best else "" if one.is_fit else "no", tone=tone))
        rows.append(tuple(row))
    columns = (*[Column(head) for head in heads], Column("", is_text=True))
    single = SINGLE.get(advice.op, advice.op.upper())
    note = f"1 is a single {single}. Call: the upper end of its 95% interval, one caller."
    return Table(
        f"{text.plain(advice.op).upper()}: what each size gives", columns, tuple(rows), (note,)
    )
