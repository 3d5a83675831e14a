"""``kvbench replay``: replays a failed conversation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench.cli.output import show
from kvbench.cli.parameters import TargetType
from kvbench.errors import UsageError

if TYPE_CHECKING:
    from kvbench.conformance.replay import Played
    from kvbench.conformance.wire.repro import Story
    from kvbench.specs import Vector


@click.command(
    epilog="""\b
Examples:
  kvbench replay 127.0.0.1:16380 kvbench-failures/wire-vector-mget.json
  kvbench replay 127.0.0.1:16380 specs/vectors/counters.json

Keys of others are safe: FILE is checked before it is sent, and a file that could write keys without
its prefix is refused unless --allow-any-key is given.

Exit codes: 0 all replies as expected, 1 not, 2 usage, 4 target unreachable.
"""
)
@click.argument("address", type=TargetType(), metavar="HOST:PORT")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--allow-any-key",
    is_flag=True,
    help="Allow writes to any key, and delete the keys that FILE lists.",
)
@click.pass_context
def command(ctx: click.Context, address: str, file: Path, allow_any_key: bool) -> None:
    """Replay FILE, which `kvbench check` wrote when a case failed, against a server.

    Shows each step with the bytes sent and received, and the expected reply where it differs. FILE
    can also be a file of vectors. Keys get the prefix kvbench-check: with ten random letters, and
    are removed.
    """
    from kvbench.conformance.targets import expect_server, parse_address
    from kvbench.conformance.wire.repro import read_repro
    from kvbench.conformance.wire.vectors import check_keys

    host, port = parse_address(address)
    repro = read_repro(file)
    if repro.failure is not None:
        _tell_story(repro.failure)
    if not repro.vectors:
        raise UsageError(f"{file} holds no conversation to play")
    for vector in repro.vectors if not allow_any_key else ():
        check_keys(vector)
    expect_server(address)
    wrong = 0
    for vector in repro.vectors:
        show(f"{vector.id}: {vector.description}")
        is_strict = repro.failure is not None and repro.failure.is_strict
        wrong += _play(host, port, vector, is_strict=is_strict, is_guarded=not allow_any_key)
    if repro.failure is not None and not repro.failure.is_judged:
        wrong += _judge(repro.failure, (host, port))
    show("It still differs." if wrong else "It behaves: nothing differs.")
    ctx.exit(1 if wrong else 0)


def _tell_story(story: Story) -> None:
    for clause in story.clauses:
        show(f"{clause.id} ({clause.level}) {clause.text}")
    show(f"  then, at {story.target}: expected {story.expected}")
    show(f"  {' ' * len(f'then, at {story.target}:')} got {story.actual}")


def _play(host: str, port: int, vector: Vector, *, is_strict: bool, is_guarded: bool) -> int:
    """Replay one vector and show it; returns how many replies are wrong."""
    from kvbench.conformance.replay import replay
    from kvbench.conformance.wire.context import WireContext

    wrong = 0
    needed = frozenset(vector.needs)
    with WireContext(host, port, capabilities=needed, seed="", is_guarded=is_guarded) as context:
        for number, played in enumerate(replay(context, vector, is_strict=is_strict), 1):
            _show(number, played)
            wrong += len(played.problems)
    return wrong


def _show(number: int, played: Played) -> None:
    from kvbench.verdicts import describe

    step = played.step
    waited = f"after {step.wait_ms} ms" if step.wait_ms else ""
    show(f"  step {number} {' '.join([part for part in (step.note, waited) if part])}".rstrip())
    for exchange in played.exchanges:
        show(f"    {describe(exchange)}")
    for expected, actual in played.problems:
        show(f"    expected  {expected}")
        show(f"    got       {actual}")


def _judge(story: Story, address: tuple[str, int]) -> int:
    """Run the case itself, if no single reply decides; returns 1 when it does not pass."""
    from kvbench.conformance.replay import run_again
    from kvbench.verdicts import Outcome

    show(f"No single reply decides: the case {story.case} runs again, seed {story.seed}.")
    finding = run_again(story, address)
    if finding is None:
        raise UsageError(
            f"this version of kvbench has no case {story.case}; the file is of "
            f"kvbench {story.suite_version}"
        )
    show(f"  {finding.outcome} {finding.detail}".rstrip())
    return 0 if finding.outcome is Outcome.PASSED else 1
