"""Tries a sample of mutants and writes reports/conformance/mutation.md.

``python -m tests.mutation [--sample N] [--go N] [--seed S] [PROCESSES]``, from the root of the
repository. Exits with 1 when the score of a sample is below the target. A mutant that lives costs
the time of the whole suite, so a few processes per core pay; with more, the machine is too slow for
the cases about time.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from .equivalents import go_reason_of, reason_of
from .foreign import go_attempt, go_mutants, go_sample
from .operators import Mutation
from .reach import reached
from .report import Sample, markdown
from .sample import Tried, choose, write
from .trial import Copy, attempt

SCORE_TARGET = 0.97
REPORT = Path("reports/conformance/mutation.md")

_Item = TypeVar("_Item")


def main() -> int:
    """Write the report; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--sample", type=int, default=450, help="mutants of the reference server")
    parser.add_argument("--go", type=int, default=40, help="mutants of the server in Go")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("processes", type=int, nargs="?", default=os.cpu_count() or 1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print("the right server, to see what the suite reaches", flush=True)
    mutants, seconds_of = reached()
    samples = [_python_sample(options, mutants, seconds_of)]
    if options.go:
        samples.append(_go_sample(options, seconds_of))
    command = f"python -m tests.mutation --sample {options.sample} --go {options.go}"
    REPORT.write_text(markdown(samples, f"{command} --seed {options.seed}"))
    for sample in samples:
        print(f"{sample.title}: {sample.score:.1%} of {len(sample.results)}")
    return 0 if all(sample.score >= SCORE_TARGET for sample in samples) else 1


def _python_sample(
    options: argparse.Namespace, mutants: list[Mutation], seconds_of: dict[str, float]
) -> Sample:
    chosen = choose(mutants, options.sample, options.seed)
    reasons = [reason for one in chosen if (reason := reason_of(one))]
    tried = [one for one in chosen if not reason_of(one)]
    trial = functools.partial(_attempt, seconds_of=seconds_of)
    results = [result for result in _in_parallel(trial, tried, options.processes) if result]
    explained = [Tried(one.name, "", 0.0) for one in chosen if reason_of(one)]
    write([*results, *explained])
    return Sample("reference server", results, reasons, len(mutants))


def _go_sample(options: argparse.Namespace, seconds_of: dict[str, float]) -> Sample:
    chosen = go_sample(options.go, options.seed)
    reasons = [reason for name, _ in chosen if (reason := go_reason_of(name))]
    tried = [one for one in chosen if not go_reason_of(one[0])]
    trial = functools.partial(_go_attempt, seconds_of=seconds_of)
    results = [result for result in _in_parallel(trial, tried, options.processes) if result]
    return Sample("server in Go", results, reasons, len(go_mutants()))


def _in_parallel(
    trial: Callable[[_Item], Tried | None], items: Sequence[_Item], processes: int
) -> Iterator[Tried | None]:
    """Try all, print what comes of each, and give the results in the order of the items."""
    began = time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        futures = [pool.submit(trial, item) for item in items]
        for done, future in enumerate(as_completed(futures), 1):
            result = future.result()
            shown = f"{result.killer or 'ALIVE'}  {result.name}" if result else "does not compile"
            minutes = (time.monotonic() - began) / 60
            print(f"{done:4}/{len(futures)} {minutes:5.1f} min  {shown}", flush=True)
        yield from [future.result() for future in futures]


@functools.cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="mutation-"))


@functools.cache
def _copy() -> Copy:
    logging.disable(logging.CRITICAL)
    return Copy(_folder())


def _attempt(mutation: Mutation, seconds_of: dict[str, float]) -> Tried | None:
    return attempt(_copy(), mutation, seconds_of)


def _go_attempt(mutant: tuple[str, str], seconds_of: dict[str, float]) -> Tried | None:
    return go_attempt(*mutant, _folder(), seconds_of)


if __name__ == "__main__":
    sys.exit(main())
