"""What the calls of a case stand on: the clauses without which they are evidence of nothing else.

As :mod:`kvbench.conformance.wire.grounds`, for backends: a case that calls ``mdel`` among others
shows nothing of those others where ``mdel`` itself counts wrongly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PLAIN: Mapping[str, tuple[str, ...]] = {
    "others": ("BLIFE-003",),
    "get": ("BGET-001", "BGET-002", "BGET-003"),
    "set": ("BSET-001",),
    "set ttl": ("BTTL-001", "BTTL-002"),
    "mset ttl": ("BMSET-004",),
    "setnx ttl": ("BNX-004",),
    "cas ttl": ("BCAS-009",),
    "lock ttl": ("BLOCK-004",),
    "pipelined_set ttl": ("BPIPE-005",),
    "delete": ("BDEL-001", "BDEL-002"),
    "exists": ("BEXISTS-001", "BEXISTS-003"),
    "mget": ("BMGET-001", "BMGET-002", "BMGET-003", "BMGET-004"),
    "mset": ("BMSET-001", "BMSET-002", "BMSET-003", "BMSET-006"),
    "mset_each": ("BEACH-001", "BEACH-003"),
    "mdel": ("BMDEL-001", "BMDEL-002", "BMDEL-003"),
    "mexists": ("BMEXISTS-001", "BMEXISTS-002"),
    "expire": ("BTTL-015", "BTTL-016"),
    "ttl": ("BTTL-011", "BTTL-012", "BTTL-013"),
    "setnx": ("BNX-001", "BNX-002"),
    "getdel": ("BGD-001", "BGD-002"),
    "incr": ("BCNT-001", "BCNT-002"),
    "decr": ("BCNT-001", "BCNT-002"),
    "cas": ("BCAS-001", "BCAS-002", "BCAS-003"),
    "lock": ("BLOCK-001", "BLOCK-002"),
    "unlock": ("BLOCK-005", "BLOCK-006"),
    "extend_lock": ("BLOCK-008", "BLOCK-009"),
    "pipelined_get": ("BPIPE-001",),
    "pipelined_set": ("BPIPE-002",),
    "pipelined_delete": ("BPIPE-003",),
    "pipelined_exists": ("BPIPE-004",),
}
"""What a case takes for granted of each method that it calls, of a TTL that it gives, and of
other users that it has where a store is shared."""

EVERY_GROUND = frozenset[str]().union(*PLAIN.values())
"""All clauses that a case can stand on."""


def grounds_of(methods: Iterable[str]) -> tuple[str, ...]:
    """The clauses that calls of these methods stand on, in their order."""
    return tuple([clause for method in methods for clause in PLAIN.get(method, ())])
