"""A round in a separate process: ``python -m kvbench.bench.worker``.

Fresh memory, connections and private servers, so that two rounds share as little as two runs. The
task comes on standard input, which stays open while the parent needs the worker. Its end, like
SIGTERM, makes the worker remove its keys and exit, so a killed parent leaves neither a process nor
keys.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from kvbench.bench import placement
from kvbench.bench.baselines import measure_baselines
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.messages import Done, Placed, Task, TaskRefused
from kvbench.bench.round import Send, TargetLostError, visit
from kvbench.errors import BackendUnavailableError, KvConnectionError, UsageError

T = TypeVar("T")


def do(task: Task, send: Send, interrupts: Interrupts) -> None:
    """Carry out a task; all messages go to ``send``, :class:`Done` last.

    Raises:
        KeyboardInterrupt: a signal requested the end; the keys are removed.
    """
    with refusing(send):
        placed = placement.apply(task.placement)
        send(Placed(placed))
        targets = list(task.targets)
        if task.kind == "measure":
            send(measure_baselines(placed))
            random.Random(f"{task.settings.seed}/{task.number}").shuffle(targets)
        try:
            for target in targets:
                with visit(task, target, send, interrupts) as visiting:
                    if task.kind == "explore":
                        visiting.explore()
                    else:
                        visiting.measure()
        except TargetLostError:
            pass
    send(Done())


@contextmanager
def refusing(send: Callable[[TaskRefused], None]) -> Iterator[None]:
    """Send the errors of a ``with`` block that mean that the task cannot be done."""
    try:
        yield
    except UsageError as error:
        send(TaskRefused("usage", str(error)))
    except BackendUnavailableError as error:
        send(TaskRefused("unavailable", error.reason, error.scheme, error.hint))
    except KvConnectionError as error:
        send(TaskRefused("connection", str(error)))


def serve_task(kind: type[T], do: Callable[[T, Callable[[Any], None], Interrupts], None]) -> None:
    """The main function of a worker: read a task, carry it out, send messages.

    The messages go through a copy of standard output.

    Args:
        kind: type of the task.
        do: carries it out; gets the task, a function that sends a message, and the interrupts.
    """
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)
    # Output of an adapter must not mix with the messages.
    messages = os.dup(1)
    os.dup2(2, 1)

    def send(message: object) -> None:
        line = msgspec.json.encode(message) + b"\n"
        while line:
            line = line[os.write(messages, line) :]

    threading.Thread(target=_end_with_parent, daemon=True).start()
    interrupts = Interrupts()
    try:
        with interrupts.installed(lambda: None):
            do(task, send, interrupts)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(128 + (interrupts.signal_number or signal.SIGPIPE))


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve_task(Task, do)
