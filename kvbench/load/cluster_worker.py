"""What runs on a worker of a Dask cluster: a window of load, and a reading of its clock.

These functions are called by name, so kvbench has to be installed there. They take and return plain
data. No exception leaves them: Dask would log the arguments of a failed function, and a target's
URL may hold a password.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from kvbench import __version__
from kvbench.bench.messages import TaskRefused
from kvbench.bench.round import reason_of
from kvbench.bench.worker import refusing
from kvbench.clock import NS_PER_S
from kvbench.load.generator import Generated, GeneratorSpec, generate, make_keys

TOPIC = "kvbench"
"""Of the events by which workers report; the scheduler keeps a bounded number for each topic."""


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has done so far in a window.

    Attributes:
        key: of the Dask task.
        share: of the window that is over, 0 to 1.
        keys: finished in the window so far, to about a percent.
        keys_per_s: finished lately.
        p99_ns: of the recent calls; 0 if unknown.
        errors: failed requests so far.
        is_over: the task has ended, in whichever way.
        inserted: then, the number of new keys of each of its clients, with the client's number.
    """

    key: str
    share: float = 0.0
    keys: float = 0.0
    keys_per_s: float = 0.0
    p99_ns: float = 0.0
    errors: int = 0
    is_over: bool = False
    inserted: list[tuple[int, int]] = []

    @property
    def text(self) -> str:
        """What it had done, in words."""
        return f"{self.share:.0%} of the window, about {self.keys:,.0f} keys, {self.errors} errors"


class Generation(msgspec.Struct, frozen=True, tag="generation"):
    """A finished window."""

    generated: Generated


class GenerationFailed(msgspec.Struct, frozen=True, tag="failed"):
    """A window that ended by an error of another kind than those of a refused task."""

    reason: str


Reply = Generation | GenerationFailed | TaskRefused


class _UnwantedError(Exception):
    """The run has ended, or does not wait for this window any more."""


def read_clock() -> tuple[float, str]:
    """The wall-clock time of this machine, and the version of kvbench."""
    return time.time(), __version__


def make_keys_there(spec_json: bytes) -> None:
    """Make the keys of a run, so that its first window does not have to."""
    make_keys(msgspec.json.decode(spec_json, type=GeneratorSpec))


def generate_there(spec_json: bytes) -> bytes:
    """Do a window's work; report a few times a second.

    The window ends early when the run has released the task: after Ctrl-C, for example.

    Args:
        spec_json: a :class:`~kvbench.load.generator.GeneratorSpec`.

    Returns:
        A :data:`Reply`: what was generated, or why it was not.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    spec = msgspec.json.decode(spec_json, type=GeneratorSpec)
    replies: list[Reply] = []
    inserted: dict[int, int] = {}
    try:
        with refusing(replies.append):
            watch = _reporting(worker, key, spec)
            replies.append(Generation(generate(spec, watch=watch, note_inserted=inserted.update)))
    except Exception as error:  # noqa: BLE001 - Dask would log the arguments
        replies.append(GenerationFailed(reason_of(error)))
    finally:
        _report(worker, WorkerReport(key=key, is_over=True, inserted=list(inserted.items())))
    return msgspec.json.encode(replies[0])


def _reporting(
    worker: Any, key: str, spec: GeneratorSpec
) -> Callable[[float, float, float, int], None]:
    """A watch of a load driver that reports, and ends a window that is not wanted any more."""
    keys = shown = 0.0

    def watch(share: float, keys_per_s: float, p99_ns: float, errors: int) -> None:
        nonlocal keys, shown
        # Rates since the last call, so the sum is the number of keys.
        keys += keys_per_s * (share - shown) * spec.duration_ns / NS_PER_S
        shown = share
        _report(
            worker,
            WorkerReport(
                key=key, share=share, keys=keys, keys_per_s=keys_per_s, p99_ns=p99_ns, errors=errors
            ),
        )
        # Dask cannot interrupt a function: it marks the task, and goes on to count its thread.
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise _UnwantedError

    return watch


def _report(worker: Any, report: WorkerReport) -> None:
    worker.log_event(TOPIC, msgspec.to_builtins(report))
