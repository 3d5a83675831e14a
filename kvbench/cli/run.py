"""``kvbench run``: measures what batching gains.

This module checks the command line, and prints the results as a report.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from kvbench.bench.plan import (
    MAX_TIME_S_DEFAULT,
    QUICK,
    RIGOROUS,
    Plan,
    Settings,
    TargetPlan,
    ValueType,
    check_target,
)
from kvbench.cli.ci import ci_options
from kvbench.cli.measuring import (
    batch_sizes_of,
    carry_out,
    check_address,
    value_options,
)
from kvbench.cli.output import notify
from kvbench.cli.parameters import Duration, Share, TargetType, Word, Words
from kvbench.cli.report_files import ReportFiles, report_options
from kvbench.cli.thresholds import fail_on, print_judged, run_thresholds
from kvbench.errors import UsageError
from kvbench.model import BatchOperation
from kvbench.registry import backend_class, target_url

_TARGETS = ("memory://", "kvb://")
BATCH_SIZES = (10, 100, 1000)
OPERATIONS = (BatchOperation.MGET, BatchOperation.MSET, BatchOperation.MDEL)
_PRESETS = ("batch-operations",)
"""Names in kvbench.bench.presets; a test compares them. ``--help`` does not import that module."""


@click.command(
    epilog="""\b
Examples:
  kvbench run --batch-sizes 10,100,1000
  kvbench run kvb://127.0.0.1:16380/tasks redis://localhost:6379/0 --quick
  kvbench run sqlite:///tmp/cache.db --ops mget,mexists --value-size 1000
  kvbench run --output results.jsonl --report report.md
  kvbench run valkey:// --precision 5% --max-time 10min
  kvbench run kvb:// valkey:// --rtt 0.5ms
  kvbench run --preset batch-operations --rigorous
  kvbench run kvb:// --conformance verdicts.json
  kvbench run kvb:// --fail-on 'mget.speedup[100] < 3' --junit kvbench.xml

Ctrl-C ends a run early: finished results are written and printed. Twice: at once.

Exit codes: 0 done, 1 batch and single calls differed, or --fail-on, 2 usage,
4 target unreachable, 130 Ctrl-C.
"""
)
@click.argument("targets", nargs=-1, type=TargetType(), metavar="[TARGET]...")
@click.option(
    "--batch-sizes", type=batch_sizes_of, metavar="N,N,...", help="Keys in a batch. [10,100,1000]"
)
@click.option(
    "--ops",
    "operations",
    type=Words(BatchOperation),
    metavar="OP,OP,...",
    help="Any of mget, mset, mdel, mexists. [mget,mset,mdel]",
)
@value_options
@click.option(
    "--key-length", type=int, default=32, show_default=True, help="Characters of a key, 20 to 256."
)
@click.option("--rounds", type=int, metavar="N", help="Rounds, each in a new process. [12]")
@click.option(
    "--precision",
    type=Share(),
    default=0.0,
    metavar="SHARE",
    help="Measure until every speedup's interval is within SHARE, e.g. 5%, to either side.",
)
@click.option(
    "--max-time",
    type=Duration(),
    metavar="TIME",
    help="With --precision: start no round after TIME, e.g. 90s or 10min. [5min]",
)
@click.option(
    "--rtt",
    type=Duration(),
    metavar="TIME",
    help="Add a round-trip time, e.g. 0.5ms, between kvbench and each network target.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of values, order and statistics."
)
@click.option("--quick", is_flag=True, help="Seconds instead of half a minute, wider intervals.")
@click.option("--rigorous", is_flag=True, help="Several times longer, narrower intervals.")
@click.option("--no-keep-awake", is_flag=True, help="Let idle cores sleep: slower round trips.")
@click.option("--no-pin", is_flag=True, help="Do not pin load generator and servers to cores.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write results as JSON Lines during the run; FILE is replaced when the run starts.",
)
@report_options
@click.option(
    "--preset", type=Word(_PRESETS), metavar="NAME", help="A predefined plan: batch-operations."
)
@click.option(
    "--conformance",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Verdicts of `kvbench check --json`; operations that do not conform get no result.",
)
@ci_options
@fail_on("mget.speedup[100] < 3")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.pass_context
def command(
    ctx: click.Context,
    targets: tuple[str, ...],
    batch_sizes: tuple[int, ...] | None,
    operations: tuple[str, ...] | None,
    value_size: int,
    value_type: str,
    key_length: int,
    rounds: int | None,
    precision: float,
    max_time: int | None,
    rtt: int | None,
    seed: int,
    quick: bool,
    rigorous: bool,
    no_keep_awake: bool,
    no_pin: bool,
    output: Path | None,
    report: Path | None,
    html: Path | None,
    preset: str | None,
    conformance: Path | None,
    conditions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure what batching gains on each TARGET (default: memory:// and a private kvb://).

    A target is a URL; `kvbench backends` lists the kinds. HOST:PORT is a server of the wire
    protocol, kvb://HOST:PORT. A password is never shown; ${NAME} in its place is read from the
    environment: 'redis://:${REDIS_PASSWORD}@host'. Every figure has a 95% interval.
    A run uses keys under a random prefix, kb:..., and removes them. If SIGKILL hits kvbench and its
    worker, keys remain: where the store has TTLs they expire within an hour, except those of one
    MSET (1,000 keys, or a batch).
    """
    if quick and rigorous:
        raise UsageError("--quick and --rigorous exclude each other: choose one")
    if max_time is not None and not precision:
        raise UsageError("--max-time goes with --precision, e.g. --precision 5%")
    if rounds is not None and precision:
        raise UsageError("--rounds and --precision exclude each other: choose one")
    defaults = QUICK if quick else RIGOROUS if rigorous else Settings()
    settings = replace(
        defaults,
        value_type=ValueType(value_type),
        value_size=value_size,
        key_length=key_length,
        rounds=defaults.rounds if rounds is None else rounds,
        precision=precision,
        max_time_s=MAX_TIME_S_DEFAULT if max_time is None else max_time / 1e9,
        rtt_ns=rtt or 0,
        seed=seed,
        keep_awake=not no_keep_awake,
        pin=not no_pin,
    )
    plan = _make_plan(settings, preset, targets, batch_sizes, operations)
    if conformance is not None:
        plan = _with_verdicts(plan, conformance)
    thresholds = run_thresholds(conditions, plan)
    files = ReportFiles(report, html)
    files.check(output)
    for target in plan.targets:
        check_target(target.url, settings.value_type)
    if rtt and not any(backend_class(target.url).is_network for target in plan.targets):
        raise UsageError("--rtt: no target is reached over a network, so there is no round trip")
    for text in targets:
        check_address(text)
    results, code = carry_out(plan, output)
    ctx.exit(print_judged(results, thresholds, code, as_json, files))


def _make_plan(
    settings: Settings,
    preset: str | None,
    targets: tuple[str, ...],
    batch_sizes: tuple[int, ...] | None,
    operations: tuple[str, ...] | None,
) -> Plan:
    if preset is not None:
        if targets or batch_sizes or operations:
            raise UsageError(f"--preset {preset} fixes targets, sizes and ops: name none of them")
        from kvbench.bench.presets import PRESETS

        return PRESETS[preset](settings)
    chosen = tuple(map(BatchOperation, operations)) if operations else OPERATIONS
    sizes = tuple(sorted(batch_sizes)) if batch_sizes else BATCH_SIZES
    urls = map(target_url, targets or _TARGETS)
    return Plan(tuple([TargetPlan(url, chosen, sizes) for url in urls]), settings)


def _with_verdicts(plan: Plan, path: Path) -> Plan:
    """The plan with the targets' verdicts."""
    from kvbench.bench.conformance import verdict_of, withheld
    from kvbench.verdicts import read_conformance

    conformance = read_conformance(path)
    targets = []
    for target in plan.targets:
        found = verdict_of(conformance, target.name)
        if found is None:
            notify(f"{path} does not list {target.name}: it is measured without a verdict")
        else:
            target = replace(target, verdict=found.summary, withheld=withheld(found))
        targets.append(target)
    return replace(plan, targets=tuple(targets))
