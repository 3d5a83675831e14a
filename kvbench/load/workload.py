"""A workload: which operations, on which keys, with which values.

The YCSB core workloads are here by name (Cooper et al. 2010, table 2; the values in
``workloads/workloada`` and so on of its repository). E is left out: it scans, and a key-value store
of this protocol's family has no scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from kvbench.bench.plan import KEY_LENGTH_MIN, VALUE_BYTES_MAX
from kvbench.errors import UsageError
from kvbench.load.calls import Op
from kvbench.load.sizes import Sizes, parse_sizes
from kvbench.model import KEY_BYTES_MAX

ZIPFIAN_CONSTANT = 0.99
"""YCSB's constant: the most popular of 10,000 keys gets about a tenth of the calls."""

RECORDS_MAX = 20_000_000
"""Numbers above are for keys that are not stored at the start."""

RECORD_BYTES_MAX = 4 << 30
"""A preload of more than 4 GiB is probably a typing error."""


class Popularity(StrEnum):
    """How calls are spread over the keys."""

    UNIFORM = "uniform"
    """Each key is as likely as any other."""
    ZIPFIAN = "zipfian"
    """The k-th most popular key has a share proportional to 1 / k^constant."""
    LATEST = "latest"
    """Zipfian, with the newest key the most popular."""
    HOTSPOT = "hotspot"
    """A share of the calls goes to a small share of the keys, evenly within each part."""


class Action(StrEnum):
    """An action of a mix. ``insert`` stores a new key; ``set`` replaces a stored one."""

    GET = "get"
    SET = "set"
    DELETE = "delete"
    EXISTS = "exists"
    INSERT = "insert"
    READ_MODIFY_WRITE = "rmw"

    @property
    def op(self) -> Op:
        """What a client sends."""
        return _OPS[self]


_OPS: Mapping[Action, Op] = {
    Action.GET: Op.GET,
    Action.SET: Op.SET,
    Action.DELETE: Op.DELETE,
    Action.EXISTS: Op.EXISTS,
    Action.INSERT: Op.SET,
    Action.READ_MODIFY_WRITE: Op.READ_MODIFY_WRITE,
}


class LoadWorkload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the clients ask for.

    Attributes:
        name: of a predefined workload, or ``custom``.
        mix: share of each action; the shares are normalised.
        records: keys stored before the start.
        popularity: how calls are spread over the keys.
        zipfian_constant: exponent, for ``zipfian`` and ``latest``.
        hot_keys: share of the keys that are hot, for ``hotspot``.
        hot_calls: share of the calls that go to hot keys.
        key_length: bytes of a key, the run's prefix included: a distribution, as text.
        value_size: bytes of a value: a distribution, as text.
        hit_ratio: share of keys of a read that were stored at the start.
        duplicates: share of a batch's keys that repeat an earlier key of it.
        ttl_s: TTL of stored keys in seconds; 0 for the run's own safety TTL.
    """

    name: str = "custom"
    mix: dict[Action, float] = msgspec.field(default_factory=lambda: {Action.GET: 1.0})
    records: int = 10_000
    popularity: Popularity = Popularity.UNIFORM
    zipfian_constant: float = ZIPFIAN_CONSTANT
    hot_keys: float = 0.2
    hot_calls: float = 0.8
    key_length: str = "32"
    value_size: str = "100"
    hit_ratio: float = 1.0
    duplicates: float = 0.0
    ttl_s: float = 0.0

    def check(self) -> None:
        """Check the workload.

        Raises:
            UsageError: a number is out of range; the message names it.
        """
        if not self.mix or not all(share >= 0 for share in self.mix.values()):
            raise UsageError("mix: give each operation a share of 0 or more, e.g. get=90,set=10")
        if not 0 < sum(self.mix.values()) < 1e9:
            raise UsageError("mix: all shares are 0; give one a share, e.g. get=90,set=10")
        if not 1 <= self.records <= RECORDS_MAX:
            raise UsageError(f"records {self.records:,} is not 1 to {RECORDS_MAX:,}")
        if not 0.01 <= self.zipfian_constant <= 5:
            raise UsageError(f"zipfian constant {self.zipfian_constant:g} is not 0.01 to 5")
        for name in ("hot_keys", "hot_calls", "hit_ratio", "duplicates"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise UsageError(f"{name.replace('_', ' ')} {share:g} is not 0 to 1")
        if self.ttl_s < 0:
            raise UsageError(f"ttl {self.ttl_s:g} s is negative: use 0 for none")
        values, _ = self.value_sizes, self.key_lengths
        if self.records * (values.median or values.high) > RECORD_BYTES_MAX:
            raise UsageError(
                f"{self.records:,} records of up to {values.high:,} bytes are over 4 GiB: "
                "use fewer or smaller ones"
            )

    @property
    def value_sizes(self) -> Sizes:
        """Sizes of values. Raises UsageError."""
        return parse_sizes(self.value_size, 0, VALUE_BYTES_MAX)

    @property
    def key_lengths(self) -> Sizes:
        """Lengths of keys. Raises UsageError."""
        return parse_sizes(self.key_length, KEY_LENGTH_MIN, KEY_BYTES_MAX)


def _ycsb(letter: str, popularity: Popularity, **mix: float) -> LoadWorkload:
    actions = {Action(name): share for name, share in mix.items()}
    name = f"ycsb-{letter}"
    return LoadWorkload(name=name, mix=actions, popularity=popularity, value_size="1000")


WORKLOADS: Mapping[str, LoadWorkload] = {
    one.name: one
    for one in (
        _ycsb("a", Popularity.ZIPFIAN, get=0.5, set=0.5),
        _ycsb("b", Popularity.ZIPFIAN, get=0.95, set=0.05),
        _ycsb("c", Popularity.ZIPFIAN, get=1.0),
        _ycsb("d", Popularity.LATEST, get=0.95, insert=0.05),
        _ycsb("f", Popularity.ZIPFIAN, get=0.5, rmw=0.5),
    )
}
"""The predefined workloads by name. YCSB's record of ten fields of 100 bytes is one value."""
