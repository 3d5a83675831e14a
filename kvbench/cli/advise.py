"""``kvbench advise``: which batch size to use on a target, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import click

from kvbench.bench.plan import QUICK, Operation, Plan, Settings, TargetPlan, ValueType, check_target
from kvbench.cli.measuring import batch_sizes_of, carry_out, value_options
from kvbench.cli.output import make_console, show, show_document, tell
from kvbench.cli.parameters import Duration, Target, Words
from kvbench.registry import target_url

_SIZES = (2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Rate(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """Keys per second: ``2000/s``, ``1.5k/s``."""

    name = "rate"

    def convert(self, value: str | float, param: object, ctx: object) -> float:
        """Keys per second; BadParameter for what is no rate."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)\s*([kM]?)(?:/s)?", value.strip(), re.ASCII)
        if match is None or not float(match[1]):
            raise click.BadParameter(f"{value!r} is no rate; write 2000/s or 1.5k/s")
        return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6}[match[2]]


@click.command(
    epilog="""\b
Examples:
  kvbench advise memory://
  kvbench advise valkey://127.0.0.1:6379 --slo 5ms --rate 2000/s
  kvbench advise kvb://127.0.0.1:16380 --ops mset --value-size 4kB --json
"""
)
@click.argument("target", type=Target(), metavar="TARGET")
@click.option(
    "--slo", type=Duration(), metavar="TIME", help="The longest a key may wait, e.g. 5ms."
)
@click.option("--rate", type=Rate(), metavar="RATE", help="Keys that arrive, e.g. 2000/s.")
@click.option(
    "--ops",
    "operations",
    type=Words(Operation),
    default="mget,mset",
    show_default=True,
    metavar="OP,OP,...",
    help="Of mget, mset, mdel, mexists.",
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
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Keep the results as well."
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

    Keys that arrive at a rate wait for their batch to fill, then for its call: --slo bounds that
    wait, --rate says how they arrive. Without them, the smallest size near the best keys/s is
    recommended.
    """
    from kvbench.report.advice import Needs, advise, frontier_table
    from kvbench.report.summary import summarise

    settings = replace(
        QUICK,
        value_type=ValueType(value_type),
        value_size=value_size,
        rounds=QUICK.rounds if rounds is None else rounds,
    )
    plan = _plan(settings, target, operations, batch_sizes or _SIZES)
    check_target(plan.targets[0].url, settings.value_type)
    results, code = carry_out(plan, output)
    needs = Needs(slo, rate)
    summaries = summarise(results)
    found = [advise(one, needs) for summary in summaries for one in summary.operations.values()]
    advices = [one for one in found if one is not None]
    if as_json:
        import msgspec

        document = msgspec.json.format(msgspec.json.encode(advices), indent=2).decode()
        show_document(document + "\n")
        ctx.exit(code)
    from kvbench.report.terminal import render_table

    for one in advices:
        best = one.best
        use = (
            "no size meets these needs"
            if best is None
            else "use single calls"
            if best.batch_size == 1
            else f"use batches of {best.batch_size:,}"
        )
        show(f"{plan.targets[0].name} {one.op.upper()}: {use}")
        for reason in one.reasons:
            show(f"  {reason}")
        render_table(frontier_table(one, needs), make_console())
        show("")
    if len(advices) < len(found):
        tell("an operation has no figures: `kvbench run` says why")
    ctx.exit(code or (1 if any(one.best is None for one in advices) or not advices else 0))


def _plan(
    settings: Settings, target: str, operations: tuple[str, ...], sizes: tuple[int, ...]
) -> Plan:
    chosen = tuple(map(Operation, operations))
    return Plan((TargetPlan(target_url(target), chosen, sizes),), settings)
