"""After a fork: a child never touches the connections of its parent.

Both processes hold the same sockets then. A byte that the child sent or read would be missing in
the parent's conversation, and a thread that held a lock in the parent is not there in the child to
release it. So the child gives up its copies at once, before any of its own code runs, without
shutting down what they lead to. What a client does next in the child is its own affair.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class LeavesToParent(Protocol):
    """A client or a pool that holds connections."""

    def _leave_to_parent(self) -> None:
        """In a forked child: give up every connection without a trace in the parent's."""


LEFT_TO_PARENT = "belongs to the parent process: a forked child connects its own"
"""Why a client or a pool of an event loop is of no use in a child."""

_holders: WeakSet[LeavesToParent] = WeakSet()


def watch(holder: LeavesToParent) -> None:
    """Have ``holder`` leave its connections to the parent in every child that is forked."""
    _holders.add(holder)


def release_descriptor(descriptor: int) -> None:
    """Give up a socket whose number an event loop still knows.

    Closing it would free the number for another file, which the loop would close one day. So it
    leads nowhere from now on, and its number stays taken.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        os.dup2(nowhere, descriptor, inheritable=False)
    finally:
        os.close(nowhere)


def _leave_all_to_parent() -> None:
    for holder in list(_holders):
        holder._leave_to_parent()


os.register_at_fork(after_in_child=_leave_all_to_parent)
