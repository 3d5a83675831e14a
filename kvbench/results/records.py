"""The records of a results file, as types.

Times are nanoseconds and rates are keys per second. Every estimate carries its 95% interval and the
estimate of each round, the independent unit, so that another analysis can be made of the same run.

specs/results.schema.json is the JSON Schema of a line, generated from these types.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SCHEMA = "kvbench-results/2"
"""Changes when a reader of the old form would misread the new one."""

HEADLINE = "individual/batch"
"""The ratio that is a cell's speedup: the time of single calls over that of batch calls."""


class Figure(msgspec.Struct, frozen=True):
    """An estimate with its 95% interval.

    Attributes:
        estimate: the figure; where it has rounds, combined from them.
        low: lower end of the interval; None where there is none, as after a single round.
        high: upper end.
        rounds: the estimate of each round, in the order of the rounds; empty where not known.
    """

    estimate: float
    low: float | None = None
    high: float | None = None
    rounds: list[float] = []


class TwoGroups(msgspec.Struct, frozen=True):
    """The rounds of an arm fell into two groups: its figures are a mixture of two states.

    Attributes:
        fast_ns: time per key in the faster group, and in how many rounds.
        slow_ns: time per key in the slower group, and in how many rounds.
    """

    fast_ns: float
    fast_rounds: int
    slow_ns: float
    slow_rounds: int


class ArmFigures(msgspec.Struct, frozen=True):
    """One way to do a cell's work: how fast it was.

    Attributes:
        ns_per_key: nanoseconds per key; for a batch this is amortised time, not a latency.
        keys_per_s: keys per second.
        call_ns: time of one call: a single operation, a whole batch, a flush of B single calls.
        client_cpu: share of one core that the measuring process used meanwhile, 0 to 1.
        groups: set when the rounds fell into two groups.
    """

    ns_per_key: Figure
    keys_per_s: Figure
    call_ns: Figure
    client_cpu: float = 0.0
    groups: TwoGroups | None = None


class Header(msgspec.Struct, frozen=True, tag_field="type", tag="header"):
    """First line: what was asked for, and on what machine.

    Attributes:
        schema: :data:`SCHEMA`.
        started_at: ISO 8601, UTC.
        command: the command line.
        settings: the options that the run resolved to.
        environment: machine, versions, load, placement on cores: name to value.
        preset: name of a predefined plan, or empty.
        title: what a report that shows this file beside another calls it; empty for none.
        note: what a reader must know to compare these figures with others; may be empty.
    """

    schema: str
    started_at: str
    command: str
    settings: dict[str, Any]
    environment: dict[str, Any]
    preset: str = ""
    title: str = ""
    note: str = ""


class Baselines(msgspec.Struct, frozen=True, tag_field="type", tag="baselines"):
    """What the harness and the machine cost by themselves, measured in every round.

    Attributes:
        timer_ns: one reading of the clock.
        loop_ns: calling a backend that does nothing (``null://``).
        round_trip_apart_ns: one byte to an echo server on loopback and back, client and server
            placed as the load generator and a private server are.
        round_trip_together_ns: the same with both on one core; None where cores cannot be chosen.
        keep_awake: whether the cores were kept from sleeping.
    """

    timer_ns: Figure
    loop_ns: Figure
    round_trip_apart_ns: Figure
    round_trip_together_ns: Figure | None
    keep_awake: bool


class TargetRecord(msgspec.Struct, frozen=True, tag_field="type", tag="target"):
    """A target that was opened.

    Attributes:
        target: its URL as given; passwords are masked.
        is_network: whether calls leave the process.
        facts: what the backend tells of the store: product, version, codec.
        self_ratio: single calls measured against themselves: how far from 1 chance alone leads.
    """

    target: str
    is_network: bool
    facts: dict[str, str]
    self_ratio: Figure | None = None


class Cell(msgspec.Struct, frozen=True, tag_field="type", tag="cell", kw_only=True):
    """An operation at a batch size on a target.

    A cell that has no number says why in ``reason``; its figures are empty then.

    Attributes:
        target: URL as given.
        op: ``mget``, ``mset``, ``mdel`` or ``mexists``.
        batch_size: keys in one batch call.
        batch_kind: native, pipelined, transaction or emulated, as the adapter declares it.
        arms: ``individual``, ``pipelined`` where the adapter can, and ``batch``.
        ratios: time per key of one arm over another's, named ``individual/batch`` and so on.
        speedup: :data:`HEADLINE`.
        rounds: rounds that gave this cell its figures.
        waited: share of the time in which other work, or the hypervisor, held a core that the
            measuring process or a private server wanted.
        drift: half of the 10-90% spread of the control measurement over its median.
        is_stable: False when other work or a change of the machine's speed may have moved the
            figures by more than their intervals say.
        round_trips: round trips of one batch call, measured through a delaying proxy; None where
            that cannot be measured, as in process.
        round_trips_at: keys in the batch whose round trips were measured.
        reason: why there is no number; empty when there is one.
    """

    target: str
    op: str
    batch_size: int
    batch_kind: str
    arms: dict[str, ArmFigures] = {}
    ratios: dict[str, Figure] = {}
    speedup: Figure | None = None
    rounds: int = 0
    waited: float = 0.0
    drift: float = 0.0
    is_stable: bool = True
    round_trips: float | None = None
    round_trips_at: int = 0
    reason: str = ""


class Misfit(msgspec.Struct, frozen=True):
    """A batch size at which the cost curve is off: measured time over fitted time."""

    batch_size: int
    ratio: float


class Curve(msgspec.Struct, frozen=True, tag_field="type", tag="curve", kw_only=True):
    """What a batch call costs as a function of its keys: ``t(B) = fixed + per_key × B``.

    Attributes:
        target: URL as given.
        op: the operation.
        fixed_ns: cost of a call whatever its size.
        per_key_ns: cost of each key.
        half_gain_size: keys at which half of the possible gain is reached, fixed over per key;
            None where the fixed cost cannot be told from zero.
        limit: the speedup that ever larger batches tend to; None where it has no bound that
            can be told.
        break_even_size: keys from which on a batch call is faster than single calls; None where
            batching is slower at every size.
        misfits: sizes at which the line does not fit.
    """

    target: str
    op: str
    fixed_ns: Figure
    per_key_ns: Figure
    half_gain_size: Figure | None = None
    limit: Figure | None = None
    break_even_size: Figure | None = None
    misfits: list[Misfit] = []


class Round(msgspec.Struct, frozen=True, tag_field="type", tag="round"):
    """A round came to its end: every cell measured once, in a process of its own.

    Attributes:
        number: from 1.
        elapsed_s: seconds that it took.
        reason: why its figures are lost or incomplete; empty when it is whole.
    """

    number: int
    elapsed_s: float
    reason: str = ""


class Footer(msgspec.Struct, frozen=True, tag_field="type", tag="footer"):
    """Last line, written when a run ends by itself, by Ctrl-C or because a target was lost.

    Attributes:
        outcome: ``complete``, or ``interrupted``.
        elapsed_s: seconds that the run took.
        cells: how many cells there are.
        load_after: the machine's 1-minute load average at the end.
        reason: why the run ended early: Ctrl-C, or the target that was lost; else empty.
        missed: cells whose interval is wider than ``--precision`` asked, as ``target op size``.
    """

    outcome: Literal["complete", "interrupted"]
    elapsed_s: float
    cells: int
    load_after: float = 0.0
    reason: str = ""
    missed: list[str] = []


Record = Header | TargetRecord | Cell | Curve | Baselines | Round | Footer
"""One line of a results file."""
