"""What the proxy does to a connection, checked once, before anything listens."""

from __future__ import annotations

from dataclasses import dataclass

from kvbench.errors import UsageError

DELAY_NS_MAX = 60 * 10**9
"""A minute: longer than any client's timeout. A larger value is a mistake in the unit."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """A simulated network.

    Attributes:
        delay_ns: added to each round trip, half of it in each direction. Connecting is not delayed.
        jitter_ns: random extra delay per round trip, up to this: in each direction uniform between
            0 and half of it. Order is kept.
        bandwidth_bytes_per_s: of each direction, shared by all connections; None for no limit.
        cut_after_bytes: a connection ends after this many bytes in one direction; None for never.
        reset: a connection ends by a TCP reset instead of a close; without ``cut_after_bytes`` at
            its first byte.
        seed: of all randomness; the same seed gives the n-th connection the same jitter.

    Raises:
        UsageError: an invalid value.
    """

    delay_ns: int = 0
    jitter_ns: int = 0
    bandwidth_bytes_per_s: int | None = None
    cut_after_bytes: int | None = None
    reset: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value_ns in (("delay", self.delay_ns), ("jitter", self.jitter_ns)):
            if not 0 <= value_ns <= DELAY_NS_MAX:
                raise UsageError(f"a {name} is 0 to 60 s, not {value_ns / 1e9:g} s")
        if self.bandwidth_bytes_per_s is not None and self.bandwidth_bytes_per_s < 1:
            raise UsageError("a bandwidth is at least 1 byte per second")
        if self.cut_after_bytes is not None and self.cut_after_bytes < 0:
            raise UsageError(f"cut-after is a number of bytes, not {self.cut_after_bytes}")

    @property
    def bytes_until_cut(self) -> int | None:
        """How many bytes a direction forwards before its connection ends; None for all."""
        if self.cut_after_bytes is None and self.reset:
            return 0
        return self.cut_after_bytes

    def options(self) -> list[str]:
        """The options of ``kvbench proxy`` that ask for the same."""
        options = [f"--delay={self.delay_ns}ns", f"--jitter={self.jitter_ns}ns"]
        if self.bandwidth_bytes_per_s is not None:
            options.append(f"--bandwidth={self.bandwidth_bytes_per_s}B/s")
        if self.cut_after_bytes is not None:
            options.append(f"--cut-after={self.cut_after_bytes}")
        if self.reset:
            options.append("--reset")
        return [*options, f"--seed={self.seed}"]
