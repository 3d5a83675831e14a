"""Where windows of load are generated: in this process, or in several child processes.

Several processes share the clients of a target. They start at the same wall-clock time, each
measures its own window, and their tallies are merged. :mod:`kvbench.load.cluster` does the same on
other machines.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import msgspec
from typing_extensions import override

from kvbench.backend import Backend
from kvbench.errors import KvbenchError
from kvbench.load.generator import Generated, GeneratorSpec, generate, open_clients
from kvbench.load.tally import Watch, merged_tallies

START_DELAY_S = 0.5
"""Workers start together so long after they were asked: they draw calls and connect in less."""

GRACE_S = 60.0
"""A worker that is late by more than this does not answer any more: calls time out in 30 s."""

_PARENT_POLL_S = 0.5


class GeneratorLostError(KvbenchError):
    """A worker ended without a result. The message gives the details."""


class GenerationFailedError(KvbenchError):
    """A worker could not do its work: an error of another kind than of connecting."""


class Workers(ABC):
    """Generates windows of load; a context manager.

    Attributes:
        inserted: the largest number of new keys of each client in any window, as far as known.
    """

    def __init__(self) -> None:
        self.inserted: dict[int, int] = {}

    @property
    def facts(self) -> dict[str, str]:
        """What a target's record says about them; usually nothing."""
        return {}

    @abstractmethod
    def run(self, spec: GeneratorSpec, watch: Watch) -> Generated:
        """Do the work of all ``spec.workers`` workers.

        Args:
            spec: of the first worker; the others differ in their number.
            watch: called while it runs, where that is possible.

        Raises:
            UsageError: the driver cannot do this on this store.
            KvConnectionError: the store refuses a connection.
            GeneratorLostError: a worker ended without a result, or of several on a cluster, all.
            GenerationFailedError: a worker on another machine met an error of another kind.
        """

    def _note(self, inserted: dict[int, int]) -> None:
        for client, count in inserted.items():
            self.inserted[client] = max(count, self.inserted.get(client, 0))

    def close(self) -> None:  # noqa: B027 - a worker in this process has nothing to close
        """End all workers."""

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class InProcess(Workers):
    """One worker: this process.

    Args:
        shared: an open store inside this process; None if clients connect.
    """

    def __init__(self, shared: Backend | None = None) -> None:
        super().__init__()
        self._shared = shared

    @override
    def run(self, spec: GeneratorSpec, watch: Watch) -> Generated:
        return generate(spec, self._shared, watch, self._note)


class ChildProcesses(Workers):
    """Several workers, each in a child process that ends with this one.

    Args:
        count: number of processes.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self._pool = ProcessPoolExecutor(
            count, get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),)
        )

    @override
    def run(self, spec: GeneratorSpec, watch: Watch) -> Generated:
        specs = split(spec, time.time() + START_DELAY_S)
        timeout_s = START_DELAY_S + spec.length_s + GRACE_S
        try:
            done = [self._pool.submit(generate, one) for one in specs]
            work = merged_work([one.result(timeout_s) for one in done])
            self._note(work.inserted)
            return work
        except BrokenProcessPool:
            raise GeneratorLostError("a load worker process was killed") from None
        except TimeoutError:
            raise GeneratorLostError("a load worker process does not answer") from None

    @override
    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def split(spec: GeneratorSpec, start_at_s: float) -> list[GeneratorSpec]:
    """The specifications of all workers, which start at that wall-clock time."""
    replace = msgspec.structs.replace
    return [replace(spec, worker=i, start_at_s=start_at_s) for i in range(spec.workers)]


def merged_work(parts: Sequence[Generated]) -> Generated:
    """The work of several workers of one window as one."""
    inserted = {client: count for part in parts for client, count in part.inserted.items()}
    return Generated(
        merged_tallies([part.tally for part in parts]),
        inserted,
        workers=sum([part.workers for part in parts]),
        start_error_ns=max([part.start_error_ns for part in parts], default=0),
        lost=[text for part in parts for text in part.lost],
    )


def try_clients(spec: GeneratorSpec) -> None:
    """Open all connections once. Raises KvConnectionError: the store refuses one."""
    with open_clients(spec, None):
        pass


def _end_with(parent: int) -> None:
    """In a worker: end when the parent has ended, even by SIGKILL."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
