"""Plays a repro file again, step by step, and holds every reply against what should come.

Unlike a case, it goes on after a wrong reply, so that the whole conversation can be seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from kvbench.conformance.evidence import Finding
from kvbench.conformance.findings import CaseFailed, SetupFailed
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, Runner
from kvbench.conformance.selection import Selection
from kvbench.conformance.suites import WIRE
from kvbench.conformance.target import Target
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.discover import discover_wire
from kvbench.conformance.wire.repro import Story
from kvbench.conformance.wire.trace import exchanges
from kvbench.conformance.wire.vectors import compare
from kvbench.errors import KvConnectionError, UsageError
from kvbench.specs import KEY_TOKEN, Vector, VectorStep
from kvbench.verdicts import Exchange


@dataclass(frozen=True, slots=True)
class Played:
    """The result of one step.

    Attributes:
        step: as the file has it.
        exchanges: what crossed the connections.
        problems: pairs of what should have come and what came; empty when all is well.
    """

    step: VectorStep
    exchanges: tuple[Exchange, ...]
    problems: tuple[tuple[str, str], ...]


def replay(context: WireContext, vector: Vector, *, is_strict: bool) -> Iterator[Played]:
    """Play a vector under the context's own key prefix; gives each step as it is done.

    Raises:
        KvConnectionError: the connection failed.
        UsageError: it could write the empty key, which may belong to another user.
    """
    context.own([key.replace(KEY_TOKEN, context.prefix).encode() for key in vector.keys])
    connections: dict[str, WireConnection] = {}
    for step in vector.steps:
        seen = len(context.trace.events)
        time.sleep(step.wait_ms / 1000)
        if step.connection not in connections:
            try:
                connections[step.connection] = context.connect()
            except CaseFailed as error:
                place = f"{context.host}:{context.port}"
                raise KvConnectionError(f"{place}: {error.actual}") from None
        connection = connections[step.connection]
        problems = _take(connection, step, context.prefix, is_strict=is_strict)
        yield Played(step, exchanges(context.trace.events, since=seen), tuple(problems))


def run_again(story: Story, address: tuple[str, int]) -> Finding | None:
    """Run the case of a repro file once more, with its seed; None when there is no such case."""
    case = next((one for one in WIRE.cases if one.name == story.case), None)
    if case is None:
        return None
    target = Target(f"{address[0]}:{address[1]}", address=address)
    capabilities = discover_wire(*address)[0]
    options = Options(
        Selection(), Profile(), seed=story.seed, effort=story.effort, is_ground_checked=False
    )
    return Runner(target, capabilities | case.needs, options).finding(case)


def _take(
    connection: WireConnection, step: VectorStep, token: str, *, is_strict: bool
) -> list[tuple[str, str]]:
    """Act out a step; what should have come and did not."""
    problems: list[tuple[str, str]] = []
    if step.send:
        try:
            connection.send(step.request(token), step.pieces)
        except SetupFailed as error:
            raise UsageError(f"{error}; to play this all the same, pass --allow-any-key") from None
    if step.finish:
        connection.finish()
    for expected in step.expect:
        try:
            reply = connection.read()
        except CaseFailed as error:
            # The rest of this step would only wait, too.
            return [*problems, (error.expected, error.actual)]
        try:
            compare(expected, reply, is_strict=is_strict)
        except CaseFailed as error:
            problems.append((error.expected, error.actual))
    if step.closed:
        try:
            connection.expect_closed()
        except CaseFailed as error:
            problems.append((error.expected, error.actual))
    return problems
