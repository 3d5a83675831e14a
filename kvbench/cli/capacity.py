"""``kvbench capacity``: the highest rate within a latency objective."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from kvbench.cli.load_options import (
    check_targets,
    lanes_of,
    load_options,
    settings_of,
    workload_of,
)
from kvbench.cli.parameters import Duration
from kvbench.cli.thresholds import fail_on, load_thresholds, print_judged
from kvbench.load.plan import ARMS, LoadPlan

DEFAULT_BATCH_SIZE = 50


@click.command(
    epilog="""\b
Examples:
  kvbench capacity kvb:// --slo 'p99<5ms'
  kvbench capacity kvb:// valkey:// --slo 'p99<5ms' --batch-size 50
  kvbench capacity valkey:// --slo 'p99.9<10ms' --arm individual,batch --json
  kvbench capacity kvb:// --slo 'p99<5ms' --fail-on 'batch.capacity < 50k'

Each round searches by open-loop runs: rates are raised until the objective is missed, bisected to
4%, and confirmed by a longer run. Latency counts from the intended time.

Exit codes: 0 done, 1 a lane has no result, or --fail-on, 2 usage,
4 target unreachable, 130 Ctrl-C.
"""
)
@load_options
@click.option(
    "--slo", required=True, metavar="OBJECTIVE", help="Percentile and limit, e.g. 'p99<5ms'."
)
@click.option(
    "--probe",
    type=Duration(),
    default=400_000_000,
    metavar="TIME",
    help="Shortest measurement at one rate; confirmations last three times as long. [400ms]",
)
@fail_on("batch.capacity < 50k")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    targets: tuple[str, ...],
    slo: str,
    probe: int,
    conditions: tuple[str, ...],
    output: Path | None,
    report: Path | None,
    html: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Search the highest rate at which each TARGET keeps a latency objective.

    For single calls, pipelined calls and batches side by side (of 50 keys, unless --batch-size
    says otherwise): what batching buys under load.
    """
    from kvbench.cli.load_progress import choose_load_progress
    from kvbench.cli.measuring import measure
    from kvbench.cli.report_files import ReportFiles
    from kvbench.load.objective import parse_objective
    from kvbench.load.runner import run_load

    objective = parse_objective(slo)
    given["arms"] = given["arms"] or ARMS
    if given["batch_size"] == 1:  # The individual arm takes no notice of it.
        given["batch_size"] = DEFAULT_BATCH_SIZE
    settings = settings_of(given, probe_s=probe / 1e9)
    urls = check_targets(targets, settings)
    plan = LoadPlan(urls, lanes_of(given), workload_of(given), settings, objective)
    thresholds = load_thresholds(conditions, plan)
    files = ReportFiles(report, html)
    files.check(output)
    results, code = measure(partial(run_load, plan), choose_load_progress(), output)
    ctx.exit(print_judged(results, thresholds, code, as_json, files))
