"""A proxy in a process of its own, so that its work is not the load generator's.

The process ends with its parent, and runs where KVBENCH_SERVER_CPUS puts servers: see
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
    """A proxy that listens.

    Attributes:
        address: where clients connect, ``host:port``.
    """

    address: str
    _process: LocalServer

    def set_delay(self, delay_ns: int) -> None:
        """Add another delay to each round trip from now on, on open connections as well.

        Takes about half a millisecond; what is on its way keeps its time.

        Raises:
            UsageError: it is negative, or over a minute.
            KvConnectionError: the proxy has ended.
        """
        Conditions(delay_ns)
        self._process.send_line(f"delay {delay_ns}ns")
        self._process.wait_for_line(f"delay {delay_ns}ns")


@contextmanager
def running(target: str, conditions: Conditions | None = None) -> Iterator[RunningProxy]:
    """A proxy before ``target`` for the length of a ``with`` block.

    Args:
        target: ``host:port``; see :func:`kvbench.proxy.target.target_address` for a URL's.
        conditions: what it does to connections; nothing by default.

    Raises:
        KvConnectionError: the target cannot be reached.
    """
    options = (conditions or Conditions()).options()
    process = LocalServer([*_COMMAND, target, *options])
    try:
        yield RunningProxy(process.wait_for_line(_READY).split()[-1], process)
    finally:
        process.stop()
