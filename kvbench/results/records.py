"""The records of a results file, as types.

Times are nanoseconds and rates are keys per second. Every estimate has its 95% interval and the
estimate of each round, the independent unit, so that other analyses of the run are possible.

specs/results.schema.json is the JSON Schema of a line, generated from these types.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SCHEMA = "kvbench-results/2"
"""Changes when a reader of the old form would misread the new one."""

HEADLINE = "individual/batch"
"""The ratio that is a cell's speedup: time of single calls over time of batch calls."""


class Figure(msgspec.Struct, frozen=True):
    """An estimate with its 95% interval.

    Attributes:
        estimate: the figure, combined from the rounds if there are any.
        low: lower end of the interval; None without one, for example after a single round.
        high: upper end.
        rounds: the estimate of each round, in order; empty if not known.
    """

    estimate: float
    low: float | None = None
    high: float | None = None
    rounds: list[float] = []


class TwoGroups(msgspec.Struct, frozen=True):
    """The rounds of an arm fell into two groups: its figures are a mixture of two states.

    Attributes:
        fast_ns: time per key in the faster group, and its number of rounds.
        slow_ns: time per key in the slower group, and its number of rounds.
    """

    fast_ns: float
    fast_rounds: int
    slow_ns: float
    slow_rounds: int


class ArmFigures(msgspec.Struct, frozen=True):
    """The speed of one arm of a cell.

    Attributes:
        ns_per_key: nanoseconds per key; for a batch this is amortised time, not a latency.
        keys_per_s: keys per second.
        call_ns: time of one call: a single operation, a whole batch, a flush of B single calls.
        client_cpu: share of one core that the measuring process used, 0 to 1.
        groups: set when the rounds fell into two groups.
    """

    ns_per_key: Figure
    keys_per_s: Figure
    call_ns: Figure
    client_cpu: float = 0.0
    groups: TwoGroups | None = None


class Header(msgspec.Struct, frozen=True, tag_field="type", tag="header"):
    """First line: the request and the machine.

    Attributes:
        schema: :data:`SCHEMA`.
        started_at: ISO 8601, UTC.
        command: the command line.
        settings: the resolved options.
        environment: machine, versions, load, placement on cores: name to value.
        preset: name of a predefined plan, or empty.
        title: heading for this file when a report compares it with another; may be empty.
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
    """The cost of the harness and of the machine, measured in every round.

    Attributes:
        timer_ns: one reading of the clock.
        loop_ns: one call of a backend that does nothing (``null://``).
        round_trip_apart_ns: one byte to an echo server on loopback and back, client and server
            placed like the load generator and a private server.
        round_trip_together_ns: the same with both on one core; None if cores cannot be chosen.
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
        facts: reported by the store: product, version, codec.
        self_ratio: single calls measured against themselves: the deviation from 1 is chance.
    """

    target: str
    is_network: bool
    facts: dict[str, str]
    self_ratio: Figure | None = None


class Cell(msgspec.Struct, frozen=True, tag_field="type", tag="cell", kw_only=True):
    """An operation at a batch size on a target.

    A cell without a result gives the reason in ``reason``, and its figures are empty.

    Attributes:
        target: URL as given.
        op: ``mget``, ``mset``, ``mdel`` or ``mexists``.
        batch_size: keys in one batch call.
        batch_kind: native, pipelined, transaction or emulated, as the adapter declares it.
        arms: ``individual``, ``pipelined`` where the adapter can, and ``batch``.
        ratios: time per key of one arm over another's, named ``individual/batch`` and so on.
        speedup: :data:`HEADLINE`.
        rounds: number of rounds with figures of this cell.
        waited: share of the time in which other work, or the hypervisor, held a core that the
            measuring process or a private server needed.
        drift: half of the 10-90% spread of the control measurement over its median.
        is_stable: False if other work or a change of the machine's speed may have changed the
            figures by more than their intervals.
        round_trips: round trips of one batch call, measured through a delaying proxy; None if that
            is not possible, as in process.
        round_trips_at: keys in the batch whose round trips were measured.
        reason: why there is no result; empty when there is one.
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


class Timing(msgspec.Struct, frozen=True):
    """The time of a call, as another benchmark tool measured it: not part of a results file.

    Attributes:
        target: what was measured.
        name: of the benchmark.
        call_ns: nanoseconds of one call, with rounds and without an interval; None if unknown.
        reason: why there is no figure; empty when there is one.
    """

    target: str
    name: str
    call_ns: Figure | None
    reason: str = ""


class Misfit(msgspec.Struct, frozen=True):
    """A batch size that the cost curve does not fit: measured time over fitted time."""

    batch_size: int
    ratio: float


class Curve(msgspec.Struct, frozen=True, tag_field="type", tag="curve", kw_only=True):
    """The time of a batch call as a function of its keys: ``t(B) = fixed + per_key × B``.

    Attributes:
        target: URL as given.
        op: the operation.
        fixed_ns: cost of a call of any size.
        per_key_ns: cost of each key.
        half_gain_size: keys at which half of the possible gain is reached, fixed over per key;
            None if the fixed cost cannot be distinguished from zero.
        limit: the speedup that larger and larger batches approach; None if no bound can be
            determined.
        break_even_size: keys from which on a batch call is faster than single calls; None if
            batching is slower at every size.
        misfits: sizes that the line does not fit.
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
    """A round has ended: every cell was measured once, in a separate process.

    Attributes:
        number: from 1.
        elapsed_s: duration in seconds.
        reason: why its figures are lost or incomplete; empty when it is complete.
    """

    number: int
    elapsed_s: float
    reason: str = ""


class Footer(msgspec.Struct, frozen=True, tag_field="type", tag="footer"):
    """Last line, written when a run ends, by Ctrl-C or because a target was lost.

    Attributes:
        outcome: ``complete``, or ``interrupted``.
        elapsed_s: duration of the run in seconds.
        cells: number of cells; in a load run, of lanes on targets.
        load_after: the machine's 1-minute load average at the end.
        reason: why the run ended early: Ctrl-C, or the lost target; else empty.
        missed: cells whose interval is wider than ``--precision``, as ``target op size``.
    """

    outcome: Literal["complete", "interrupted"]
    elapsed_s: float
    cells: int
    load_after: float = 0.0
    reason: str = ""
    missed: list[str] = []
