"""Advice as sentences with a table for a terminal, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kvbench.report import format as text
from kvbench.report.advice import BUSY_SHARE_MAX, Advice, Choice, Needs, share
from kvbench.report.entries import SINGLE, TableEntry, Tone
from kvbench.report.table import Column, Table

SCHEMA = "kvbench-advice/1"


def headline(advice: Advice) -> str:
    """The recommendation in a few words."""
    best = advice.best
    if not advice.choices:
        return "no figures"
    if best is None:
        return "no size meets these needs"
    return "use single calls" if best.batch_size == 1 else f"use batches of {best.batch_size:,}"


def frontier_table(advice: Advice, needs: Needs) -> Table:
    """A table of every size: call time, keys/s and, with a rate, the longest wait."""
    heads = ["keys a call", "call", "keys/s"]
    if needs.rate_per_s is not None:
        heads += ["wait", "busy"]
    rows = [_row(one, one is advice.best, needs) for one in advice.choices]
    columns = (*[Column(head) for head in heads], Column("", is_text=True))
    single = SINGLE.get(advice.op, advice.op.upper())
    notes = [
        f"1 is a single {single}. Call: the mean, at the upper end of its 95% interval, with one "
        "caller; some calls take longer."
    ]
    if needs.rate_per_s is not None:
        notes.append(
            "Wait: of a batch's first key, until the call is done. Busy: share of the time that "
            f"calls take, {BUSY_SHARE_MAX:.0%} at most."
        )
    title = f"{text.plain(advice.op).upper()}: what each size gives"
    return Table(title, columns, tuple(rows), tuple(notes))


def _row(choice: Choice, is_best: bool, needs: Needs) -> tuple[TableEntry, ...]:
    cells = [
        f"{choice.batch_size:,}",
        text.duration(choice.call_ns),
        text.rate(choice.keys_per_s),
    ]
    if needs.rate_per_s is not None:
        cells += [text.duration(choice.wait_ns), share(choice.busy)]
    cells.append("use this" if is_best else choice.problem)
    tone = Tone.FASTER if is_best else Tone.FAINT if choice.problem else Tone.PLAIN
    return tuple([TableEntry(cell, tone=tone) for cell in cells])


class _Size(msgspec.Struct, frozen=True):
    batch_size: int
    call_ns: float
    keys_per_s: float
    longest_wait_ns: float
    busy_share: float
    meets_needs: bool
    problem: str


class _Operation(msgspec.Struct, frozen=True):
    op: str
    batch_size: int | None
    reasons: tuple[str, ...]
    sizes: tuple[_Size, ...]


class _Document(msgspec.Struct, frozen=True):
    schema: str
    target: str
    slo_ns: int | None
    rate_keys_per_s: float | None
    value_bytes: int
    operations: tuple[_Operation, ...]


def render_advice_json(
    target: str, needs: Needs, value_bytes: int, advices: Sequence[Advice]
) -> str:
    """Advice as JSON: the needs, then the choice and all sizes of each operation.

    ``batch_size`` is 1 for single calls, and null if no size meets the needs or there are no
    figures. Names end with their units; ``busy_share`` is 0 without a rate.
    """
    operations = [
        _Operation(
            one.op,
            None if one.best is None else one.best.batch_size,
            one.reasons,
            tuple([_size(choice) for choice in one.choices]),
        )
        for one in advices
    ]
    document = _Document(
        SCHEMA, target, needs.slo_ns, needs.rate_per_s, value_bytes, tuple(operations)
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _size(choice: Choice) -> _Size:
    return _Size(
        choice.batch_size,
        choice.call_ns,
        choice.keys_per_s,
        choice.wait_ns,
        choice.busy,
        not choice.problem,
        choice.problem,
    )
