"""After a fork: a child never uses the connections of its parent.

Both processes hold the same sockets. A byte that the child sent or read would be missing in the
parent's stream, and a lock held by a thread of the parent would never be released in the child. So
the child closes its copies first, before its own code runs, without shutting down the connections.
What a client does next in the child is up to the client.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class LeavesToParent(Protocol):
    """A client or a pool that holds connections."""

    def _leave_to_parent(self) -> None:
        """In a forked child: release every connection without affecting the parent's."""


LEFT_TO_PARENT = "belongs to the parent process: a forked child connects its own"
"""Why an event loop's client or pool cannot be used in a child."""

_holders: WeakSet[LeavesToParent] = WeakSet()


def watch(holder: LeavesToParent) -> None:
    """In every forked child, make ``holder`` leave its connections to the parent."""
    _holders.add(holder)


def release_descriptor(descriptor: int) -> None:
    """Disconnect a socket whose number an event loop still knows.

    Closing it would free the number for another file, which the loop might then close. So the
    number stays in use, and no longer refers to the connection.
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
