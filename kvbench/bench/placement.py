"""Which cores the load generator and private servers run on.

If a scheduler may move client and server, the placement alone changes a round trip on loopback by a
factor of two, and a run measures chance. So on a machine with two cores or more the load generator
gets one core, and the servers that kvbench starts get the others. A server that was already running
is not moved.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from kvbench.local_server import SERVER_CPUS_VARIABLE


@dataclass(frozen=True, slots=True)
class Placement:
    """Cores by number; empty tuples if nothing is placed.

    Attributes:
        generator: the core of the load generator.
        servers: the cores of servers that kvbench starts.
        reason: the placement in words, or why there is none.
    """

    generator: tuple[int, ...] = ()
    servers: tuple[int, ...] = ()
    reason: str = ""

    @property
    def is_on(self) -> bool:
        """Whether processes are placed."""
        return bool(self.generator)


def choose_placement(wanted: bool = True, generators: int = 1) -> Placement:
    """The placement for this machine, on the cores that this process may use.

    Args:
        wanted: whether to place anything.
        generators: cores for the load generator; at least one is left for servers.
    """
    if not wanted:
        return Placement(reason="off: not wanted (--no-pin)")
    if not hasattr(os, "sched_setaffinity"):
        return Placement(reason="off: this system cannot place processes on cores")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return Placement(reason="off: only one core may be used")
    # The first core handles most interrupts, which would disturb the load generator.
    count = min(generators, len(cores) - 1)
    servers, generator = cores[:-count], cores[-count:]
    used, numbers = ",".join(map(str, generator)), ",".join(map(str, servers))
    return Placement(
        tuple(generator), tuple(servers), f"load generator on core {used}, servers on {numbers}"
    )


def apply(placement: Placement) -> Placement:
    """Place this process, and through an environment variable the servers that it starts.

    Returns:
        The placement in force: off, with the reason, if the system refuses.
    """
    os.environ.pop(SERVER_CPUS_VARIABLE, None)
    if not placement.is_on:
        return placement
    try:
        os.sched_setaffinity(0, placement.generator)
    except OSError as error:
        return Placement(reason=f"off: {error.strerror}")
    os.environ[SERVER_CPUS_VARIABLE] = ",".join(map(str, placement.servers))
    return placement
