"""``kvbench load``: throughput and latency percentiles under many clients."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from kvbench.cli.load_options import (
    check_targets,
    lanes_of,
    load_options,
    rate_of,
    settings_of,
    with_windows,
    workload_of,
)
from kvbench.cli.parameters import CallRate, Duration, Durations
from kvbench.cli.thresholds import fail_on, load_thresholds, print_judged


@click.command(
    epilog="""\b
Examples:
  kvbench load kvb:// --clients 20 --duration 10s
  kvbench load kvb:// valkey:// --rate 2000/s --batch-size 50
  kvbench load valkey:// --batch-size 50 --arm individual,pipelined,batch
  kvbench load kvb:// --workload ycsb-b --rate '20k keys/s' --json
  kvbench load valkey:// --driver wire --clients 50 --pipeline 16
  kvbench load kvb:// --output load.jsonl
  kvbench load kvb:// --fail-on 'p99 > 5ms'
  kvbench report load.jsonl --format hdr-log
  kvbench load kvb:// --batch-size 99 --rate '20k keys/s' --batch-window 1ms,2ms
  kvbench init load.toml && kvbench load --config load.toml

Without --rate each client sends its next call when the last is answered (closed loop: service
time). With --rate calls follow a schedule (open loop), and latency counts from the intended time.

Exit codes: 0 done, 1 a lane has no result, or --fail-on, 2 usage,
4 target unreachable, 130 Ctrl-C.
"""
)
@load_options
@click.option(
    "--duration",
    type=Duration(),
    default=10_000_000_000,
    metavar="TIME",
    help="Measured time of each target and arm, all rounds together. [10s]",
)
@click.option(
    "--rate",
    type=CallRate(),
    metavar="RATE",
    help="Requests (2000/s) or keys (50k keys/s) per second. [as fast as possible]",
)
@click.option(
    "--batch-window",
    "windows",
    type=Durations(),
    metavar="TIME,...",
    help="Form batches from keys that arrive one at a time, e.g. 0.5ms,1ms,2ms: one lane each.",
)
@fail_on("p99 > 5ms")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    targets: tuple[str, ...],
    duration: int,
    rate: tuple[float, bool] | None,
    windows: tuple[int, ...] | None,
    conditions: tuple[str, ...],
    output: Path | None,
    report: Path | None,
    html: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Put load on each TARGET, and measure throughput and latency percentiles.

    A call is what a client sends at once and waits for: one request, or --pipeline of them.
    Several targets and arms take turns in rounds, and every figure has a 95% interval from them.
    Keys have a random prefix, kb:..., and are removed at the end.
    """
    from kvbench.cli.load_progress import choose_load_progress
    from kvbench.cli.measuring import measure
    from kvbench.cli.report_files import ReportFiles
    from kvbench.load.plan import LoadPlan
    from kvbench.load.runner import run_load

    settings = settings_of(given, duration_s=duration / 1e9, **rate_of(rate))
    urls = check_targets(targets, settings)
    plan = LoadPlan(urls, with_windows(lanes_of(given), windows), workload_of(given), settings)
    thresholds = load_thresholds(conditions, plan)
    files = ReportFiles(report, html)
    files.check(output)
    results, code = measure(partial(run_load, plan), choose_load_progress(), output)
    ctx.exit(print_judged(results, thresholds, code, as_json, files))
