"""A proxy in a separate process, so that it does not slow down the load generator.

The process ends with its parent, and is pinned to the servers' cores, KVBENCH_SERVER_CPUS: see
:mod:`kvbench.local_server`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kvbench.local_server import LocalServer
from kvbench.proxy.conditions import Conditions

_COMMAND = (sys.executable, "-P", "-m", "kvbench", "proxy")
_READY = "kvbench proxy listening on"


@dataclass(frozen=True, slots=True)
class RunningProxy:
    """A running proxy.

    Attributes:
        address: for clients, ``host:port``.
    """

    address: str
    _process: LocalServer

    def set_delay(self, delay_ns: int) -> None:
        """Change the added delay from now on, on open connections as well.

        Takes about half a millisecond; data in flight keeps its delay.

        Raises:
            UsageError: it is negative, or over a minute.
            KvConnectionError: the proxy has ended.
        """
        Conditions(delay_ns)
        self._process.send_line(f"delay {delay_ns}ns")
        self._process.wait_for_line(f"delay {delay_ns}ns")


@contextmanager
def running(target: str, conditions: Conditions | None = None) -> Iterator[RunningProxy]:
    """A proxy in front of ``target`` for the duration of a ``with`` block.

    Args:
        target: ``host:port``; see :func:`kvbench.proxy.target.target_address` for a URL's.
        conditions: the simulated network; none by default.

    Raises:
        KvConnectionError: the target cannot be reached.
    """
    options = (conditions or Conditions()).options()
    process = LocalServer([*_COMMAND, target, *options])
    try:
        yield RunningProxy(process.wait_for_line(_READY).split()[-1], process)
    finally:
        process.stop()
