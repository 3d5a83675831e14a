"""``kvbench compare --run``: measures two targets side by side, and a slowdown once more.

Each round of one run visits both targets, in shuffled order. A slowdown beyond the threshold is
measured again with the order of every round reversed: what comes first may find a warmer machine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kvbench.bench.other_environment import describe_other_environment
from kvbench.bench.plan import QUICK, RIGOROUS, Plan, Settings, TargetPlan, ValueType, check_target
from kvbench.cli.measuring import batch_sizes_of, carry_out, check_address, value_options
from kvbench.cli.output import notify
from kvbench.cli.parameters import Duration, Words
from kvbench.cli.run import BATCH_SIZES, OPERATIONS
from kvbench.compare.judgement import THRESHOLD_DEFAULT
from kvbench.errors import UsageError
from kvbench.model import BatchOperation
from kvbench.registry import backend_class, given_target, target_url

if TYPE_CHECKING:
    from kvbench.compare.comparison import Comparison
    from kvbench.compare.readings import Measure

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS: list[Callable[[Any], Any]] = [
    click.option(
        "--batch-sizes",
        type=batch_sizes_of,
        metavar="N,N,...",
        help="With --run: keys in a batch. [10,100,1000]",
    ),
    click.option(
        "--ops",
        "operations",
        type=Words(BatchOperation),
        metavar="OP,OP,...",
        help="With --run: any of mget, mset, mdel, mexists. [mget,mset,mdel]",
    ),
    value_options,
    click.option("--rounds", type=int, metavar="N", help="With --run: rounds. [12]"),
    click.option(
        "--rtt", type=Duration(), metavar="TIME", help="With --run: add a round-trip time."
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="With --run."),
    click.option("--quick", is_flag=True, help="With --run: fewer and shorter rounds."),
    click.option("--rigorous", is_flag=True, help="With --run: more and longer rounds."),
    click.option("--no-keep-awake", is_flag=True, help="With --run: let idle cores sleep."),
    click.option("--no-pin", is_flag=True, help="With --run: do not pin to cores."),
    click.option(
        "--base-env",
        type=click.Path(path_type=Path),
        metavar="PYTHON",
        help="With --run: measure BASE with the kvbench and clients of this interpreter.",
    ),
    click.option(
        "--output",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="With --run: write the results as JSON Lines.",
    ),
]

RUN_NAMES = (
    "batch_sizes", "operations", "value_size", "value_type", "rounds", "rtt", "seed", "quick",
    "rigorous", "no_keep_awake", "no_pin", "base_env", "output",
)  # fmt: skip
"""The parameters of these options: they have no meaning for files."""


def run_options(command: _Command) -> _Command:
    """The options of a measurement."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class MeasuredComparison:
    """What ``--run`` measured.

    Attributes:
        first: head against base.
        second: what was slower, once more in reversed order; None if nothing had to be repeated.
        code: the exit code of the measurement: 0, or why it is incomplete.
    """

    first: Comparison
    second: Comparison | None
    code: int


def measure_comparison(
    targets: Sequence[str],
    given: Mapping[str, Any],
    threshold: float | None,
    measures: Collection[Measure] | None,
) -> MeasuredComparison:
    """Measure two targets side by side; with a threshold, a slowdown once more.

    Raises:
        UsageError, BackendUnavailableError, KvConnectionError: as ``kvbench run``.
    """
    from kvbench.compare.comparison import compare_targets

    plan = _plan(targets, given)
    base, head = [target.name for target in plan.targets]
    limit = THRESHOLD_DEFAULT if threshold is None else threshold
    results, code = carry_out(plan, given["output"])
    first = compare_targets(results, base, head, threshold=limit, measures=measures)
    if threshold is None or code or not first.slowdowns:
        return MeasuredComparison(first, None, code)
    notify(f"{len(first.slowdowns)} of {len(first.rows)} figures are slower: measuring once more")
    results, code = carry_out(replace(plan, targets=plan.targets[::-1]), None)
    suspects = [row.head.key for row in first.slowdowns]
    second = compare_targets(results, base, head, threshold=limit, measures=measures, only=suspects)
    second = replace(second, head_name=f"{head}, second measurement")
    return MeasuredComparison(first, second, code)


def _plan(targets: Sequence[str], given: Mapping[str, Any]) -> Plan:
    base_env: Path | None = given["base_env"]
    if base_env is not None and len(targets) == 1:
        targets = (*targets, *targets)
    if len(targets) != 2:
        raise UsageError(
            "--run compares two targets: kvbench compare --run TARGET_A TARGET_B; "
            "with --base-env, one target with two environments"
        )
    if given["quick"] and given["rigorous"]:
        raise UsageError("--quick and --rigorous exclude each other: choose one")
    defaults = QUICK if given["quick"] else RIGOROUS if given["rigorous"] else Settings()
    settings = replace(
        defaults,
        value_type=ValueType(given["value_type"]),
        value_size=given["value_size"],
        rounds=defaults.rounds if given["rounds"] is None else given["rounds"],
        rtt_ns=given["rtt"] or 0,
        seed=given["seed"],
        keep_awake=not given["no_keep_awake"],
        pin=not given["no_pin"],
    )
    chosen = tuple(map(BatchOperation, given["operations"] or OPERATIONS))
    sizes = given["batch_sizes"] or BATCH_SIZES
    texts = list(map(given_target, targets))
    urls = list(map(target_url, texts))
    plans = [TargetPlan(url, chosen, sizes) for url in urls]
    if plans[0].name == plans[1].name:
        sides = "AB" if base_env is None else ("base", "head")
        plans = [
            replace(one, label=f"{one.name} ({side})")
            for one, side in zip(plans, sides, strict=True)
        ]
    if base_env is not None:
        found = describe_other_environment(base_env)
        plans[0] = replace(plans[0], python=str(base_env), environment=found)
    plan = Plan(tuple(plans), settings)
    for url in urls:
        check_target(url, settings.value_type)
    if settings.rtt_ns and not any(backend_class(url).is_network for url in urls):
        raise UsageError("--rtt: no target is reached over a network, so there is no round trip")
    for text in texts:
        check_address(text)
    return plan
