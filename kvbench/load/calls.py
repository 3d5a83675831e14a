"""What a client of a load run sends: calls, each with its keys and values.

A **request** is one command of the store. A **call** is what a client sends at once and waits for:
``pipeline`` requests of ``batch_size`` keys each. Latency is always that of a call. With a batch
size of 1 the requests are single operations (GET, SET), with a larger one batches (MGET, MSET).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Op(StrEnum):
    """What a call does with its keys."""

    GET = "get"
    SET = "set"
    DELETE = "delete"
    EXISTS = "exists"
    READ_MODIFY_WRITE = "read_modify_write"
    """Reads its keys and, when they are answered, stores them: the latency covers both."""

    @property
    def writes_values(self) -> bool:
        """Whether a call carries a value for each key."""
        return self in (Op.SET, Op.READ_MODIFY_WRITE)


@dataclass(slots=True, frozen=True)
class Call:
    """One flush of a client.

    Attributes:
        op: what it does with each key.
        keys: ``pipeline * batch_size`` keys, in the order of the requests; a key may repeat.
        values: a value for each key if the operation stores; otherwise empty.

    Raises:
        ValueError: there is no key, or the values do not match the operation and the keys.
    """

    op: Op
    keys: list[str]
    values: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        due = len(self.keys) if self.op.writes_values else 0
        if not self.keys or len(self.values) != due:
            raise ValueError(
                f"a call of {self.op} with {len(self.keys)} keys and {len(self.values)} values: "
                f"it has at least one key, and {due} values"
            )
