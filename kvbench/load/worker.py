"""A round of load in a separate process: ``python -m kvbench.load.worker``."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from kvbench.bench import placement
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.messages import Done, Lost, Placed
from kvbench.bench.worker import refusing, serve_task
from kvbench.errors import KvConnectionError
from kvbench.load.messages import LoadTask
from kvbench.load.visit import LoadSend, LoadTargetLostError, load_visit
from kvbench.load.workers import Workers


def do(task: LoadTask, send: LoadSend, interrupts: Interrupts) -> None:
    """Carry out a round; all messages go to ``send``, :class:`Done` last.

    Raises:
        KeyboardInterrupt: a signal requested the end; the keys are removed.
    """
    with refusing(send):
        send(Placed(placement.apply(task.placement)))
        targets = list(task.targets)
        if task.number:
            random.Random(f"{task.settings.seed}/{task.number}").shuffle(targets)
        try:
            with _cluster(task, send) as cluster:
                for target in targets:
                    with load_visit(task, target, send, interrupts, cluster) as visit:
                        if task.number:
                            visit.measure()
                        else:
                            visit.explore()
        except LoadTargetLostError:
            pass
    send(Done())


@contextmanager
def _cluster(task: LoadTask, send: LoadSend) -> Iterator[Workers | None]:
    """The workers of a Dask cluster during a ``with`` block; None without one.

    Raises:
        UsageError: a target is not where its URL says, seen from a worker.
        KvConnectionError: it cannot be used, in a trial.
        LoadTargetLostError: it cannot be used in this round; another round may work.
    """
    if not task.settings.dask:
        yield None
        return
    from kvbench.load.cluster import DaskWorkers

    try:
        workers = DaskWorkers(task.settings.dask, task.settings.workers, not task.number)
    except KvConnectionError as error:
        if not task.number:
            raise
        send(Lost(task.targets[0].place, str(error), is_private=True))
        raise LoadTargetLostError(str(error)) from error
    with workers:
        for target in task.targets:
            workers.check_target(target.url)
        yield workers


if __name__ == "__main__":
    serve_task(LoadTask, do)
