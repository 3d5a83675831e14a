"""``kvbench advise``: which batch size to use on a target, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench.bench.plan import QUICK, Plan, Settings, TargetPlan, ValueType, check_target
from kvbench.cli.measuring import batch_sizes_of, carry_out, check_address, value_options
from kvbench.cli.output import make_console, show_document
from kvbench.cli.parameters import Duration, TargetType, Words
from kvbench.errors import UsageError
from kvbench.model import BatchOperation
from kvbench.registry import target_url

if TYPE_CHECKING:
    from kvbench.report.advice import Advice, Needs

_SIZES = (2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Rate(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """Keys per second: ``2000/s``, ``1.5k/s``."""

    name = "rate"

    def convert(self, value: str | float, param: object, ctx: object) -> float:
        """Keys per second; BadParameter if the text is not a rate."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)\s*([kM]?)(?:/s)?", value.strip(), re.ASCII)
        if match is None or not float(match[1]):
            raise click.BadParameter(f"{value!r} is not a rate; write 2000/s or 1.5k/s")
        return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6}[match[2]]


@click.command(
    epilog="""\b
Examples:
  kvbench advise memory://
  kvbench advise valkey://127.0.0.1:6379 --slo 5ms --rate 2000/s
  kvbench advise kvb://127.0.0.1:16380 --ops mset --value-size 4kB --json
"""
)
@click.argument("target", type=TargetType(), metavar="TARGET")
@click.option(
    "--slo", type=Duration(), metavar="TIME", help="The longest a key may wait, e.g. 5ms."
)
@click.option("--rate", type=Rate(), metavar="RATE", help="Arrival rate of keys, e.g. 2000/s.")
@click.option(
    "--ops",
    "operations",
    type=Words(BatchOperation),
    default="mget,mset",
    show_default=True,
    metavar="OP,OP,...",
    help="Any of mget, mset, mdel, mexists.",
)
@click.option(
    "--batch-sizes",
    type=batch_sizes_of,
    metavar="N,N,...",
    help=f"Sizes to choose from. [{','.join(map(str, _SIZES))}]",
)
@value_options
@click.option("--rounds", type=int, metavar="N", help="Rounds to measure. [5]")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Also write the results."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of sentences.")
@click.pass_context
def command(
    ctx: click.Context,
    target: str,
    slo: int | None,
    rate: float | None,
    operations: tuple[str, ...],
    batch_sizes: tuple[int, ...] | None,
    value_size: int,
    value_type: str,
    rounds: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure TARGET and recommend a batch size for each operation, with the reasons.

    Keys that arrive at --rate wait for their batch to fill, then for its call. --slo limits that
    wait. Without a rate, the smallest size near the best keys/s is recommended.
    """
    from kvbench.report.advice import Needs, advise
    from kvbench.report.advice_output import render_advice_json
    from kvbench.report.summary import summarise

    if slo == 0:
        raise UsageError("--slo 0 leaves no time for a call; write e.g. 5ms")
    settings = replace(
        QUICK,
        value_type=ValueType(value_type),
        value_size=value_size,
        rounds=QUICK.rounds if rounds is None else rounds,
    )
    plan = _plan(settings, target, operations, batch_sizes or _SIZES)
    check_target(plan.targets[0].url, settings.value_type)
    check_address(target)
    results, code = carry_out(plan, output)
    needs = Needs(slo, rate)
    [summary, *_] = summarise(results)
    advices = [advise(one, needs) for one in summary.operations.values()]
    name = plan.targets[0].name
    if as_json:
        show_document(render_advice_json(name, needs, value_size, advices))
    else:
        for one in advices:
            _print(name, one, needs)
    ctx.exit(code or (0 if advices and all(one.best for one in advices) else 1))


def _print(target: str, advice: Advice, needs: Needs) -> None:
    """Print the choice, its reasons, and a table of all sizes."""
    import textwrap

    from kvbench.report.advice_output import frontier_table, headline
    from kvbench.report.terminal import render_table

    console = make_console()
    console.print(f"{target} {advice.op.upper()}: {headline(advice)}")
    for reason in advice.reasons:
        console.print(textwrap.indent(textwrap.fill(reason, console.width - 2), "  "))
    if advice.choices:
        render_table(frontier_table(advice, needs), console)
    console.print()


def _plan(
    settings: Settings, target: str, operations: tuple[str, ...], sizes: tuple[int, ...]
) -> Plan:
    chosen = tuple(map(BatchOperation, operations))
    return Plan((TargetPlan(target_url(target), chosen, sizes),), settings)
