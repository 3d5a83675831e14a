"""A round of load in a separate process: ``python -m kvbench.load.worker``."""

from __future__ import annotations

import random

from kvbench.bench import placement
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.messages import Done, Placed
from kvbench.bench.worker import refusing, serve_task
from kvbench.load.messages import LoadTask
from kvbench.load.visit import LoadSend, LoadTargetLostError, load_visit


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
            for target in targets:
                with load_visit(task, target, send, interrupts) as visit:
                    if task.number:
                        visit.measure()
                    else:
                        visit.explore()
        except LoadTargetLostError:
            pass
    send(Done())


if __name__ == "__main__":
    serve_task(LoadTask, do)
