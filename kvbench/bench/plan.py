"""A run's plan, checked before anything starts.

A plan is data: targets with their operations and batch sizes, and shared settings. An invalid plan
is a UsageError in one line, raised before a server is started or a key is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from kvbench.errors import UsageError
from kvbench.foreign_text import target_name
from kvbench.model import KEY_BYTES_MAX, BatchOperation, Capability


class ValueType(StrEnum):
    """The type of values. Stores without typed values take only bytes."""

    BYTES = "bytes"
    STR = "str"
    INT = "int"
    FLOAT = "float"
    MIXED = "mixed"


PREFIX_LENGTH = 12
"""Length of a run's unique key prefix: ``kb:``, eight random characters, ``:``."""

KEY_LENGTH_MIN = PREFIX_LENGTH + 8
"""The prefix and eight digits, which number a hundred million keys."""

ROUNDS_MIN = 2
"""One round says nothing about the spread between rounds."""
ROUNDS_MAX = 10_000

VALUE_BYTES_MAX = 64 << 20
"""64 MiB, the largest request that a server of the wire protocol takes by default."""

BATCH_SIZE_MAX = 1_000_000
BATCH_BYTES_MAX = 1 << 30
"""Largest batch in bytes of values: 1 GiB, so that a typing error does not fill the memory."""

MAX_TIME_S_DEFAULT = 300.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings shared by all cells of a run.

    Attributes:
        value_type: type of values.
        value_size: bytes of a ``bytes`` value, characters of a ``str``; numbers have no size.
        key_length: characters of a key, including the run's prefix.
        rounds: independent repetitions, each in a separate process.
        blocks: paired repetitions of each cell within a round.
        sample_ns: intended duration of a timed slice, which has at least one call.
        seed: of values, key order and the order of lanes.
        keep_awake: whether to keep the cores from sleeping.
        pin: whether to pin load generator and private servers to cores.
        rtt_ns: round-trip time to add between load generator and network targets; 0 for none.
        precision: continue until every headline interval is within this share of its estimate, or
            ``max_time_s`` is over; 0 measures ``rounds`` rounds.
        max_time_s: with a precision, no round starts later than this.
    """

    value_type: ValueType = ValueType.BYTES
    value_size: int = 100
    key_length: int = 32
    rounds: int = 12
    blocks: int = 5
    sample_ns: int = 2_000_000
    seed: int = 0
    keep_awake: bool = True
    pin: bool = True
    rtt_ns: int = 0
    precision: float = 0.0
    max_time_s: float = MAX_TIME_S_DEFAULT

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            UsageError: a number is out of range; the message names it.
        """
        if not ROUNDS_MIN <= self.rounds <= ROUNDS_MAX:
            raise UsageError(
                f"{self.rounds} rounds: an interval needs {ROUNDS_MIN} at least, and more than "
                f"{ROUNDS_MAX:,} give no better one"
            )
        if not KEY_LENGTH_MIN <= self.key_length <= KEY_BYTES_MAX:
            raise UsageError(
                f"key length {self.key_length} is not {KEY_LENGTH_MIN} to {KEY_BYTES_MAX}: "
                f"{PREFIX_LENGTH} for the run's own prefix, 8 or more for a number"
            )
        for name, number in (("value size", self.value_size), ("seed", self.seed)):
            if number < 0:
                raise UsageError(f"{name} {number} is negative: use 0 or more")
        if self.value_size > VALUE_BYTES_MAX:
            raise UsageError(f"value size {self.value_size:,} is over 64 MiB: use smaller values")
        if self.precision and not 0.001 <= self.precision <= 1:
            raise UsageError(f"precision {self.precision:.3%} is not 0.1% to 100%")
        if not self.max_time_s > 0:
            raise UsageError(f"max time {self.max_time_s:g} s: give more than 0 seconds")


QUICK = Settings(rounds=5, blocks=5, sample_ns=1_000_000)
RIGOROUS = Settings(rounds=30, blocks=7, sample_ns=5_000_000)
"""Presets other than the default: seconds, and several minutes."""


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target and its cells: every operation at every batch size.

    Attributes:
        url: opens it.
        operations: to be measured.
        batch_sizes: for each operation.
        verdict: of the conformance suite; empty if unknown.
        withheld: operations that get no figure, with the reason.
        label: its name in results; empty for its URL. It tells apart two targets of one URL.
        python: the interpreter of the environment whose client, and kvbench, are measured; empty
            for this one.
        environment: what is installed there, for the record; empty for this one.
    """

    url: str
    operations: tuple[BatchOperation, ...]
    batch_sizes: tuple[int, ...]
    verdict: str = ""
    withheld: Mapping[BatchOperation, str] = field(default_factory=dict)
    label: str = ""
    python: str = ""
    environment: str = ""

    @property
    def name(self) -> str:
        """As it may be printed and recorded: the label, or the URL without a password."""
        return self.label or target_name(self.url)

    @property
    def cells(self) -> tuple[tuple[BatchOperation, int], ...]:
        """BatchOperation and batch size of each cell, in the order of measuring."""
        return tuple([(op, size) for op in self.operations for size in self.batch_sizes])


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run."""

    targets: tuple[TargetPlan, ...]
    settings: Settings = field(default_factory=Settings)
    preset: str = ""

    def __post_init__(self) -> None:
        """Check that results will be unambiguous and fit in memory.

        Raises:
            UsageError: no target, the same target twice, or a batch that is too large.
        """
        names = [target.name for target in self.targets]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UsageError(f"{twice[0]} is given twice: each target is measured once a run")
        if not any(target.cells for target in self.targets):
            raise UsageError("nothing to measure: give a target, an operation and a batch size")
        for target in self.targets:
            check_batch_sizes(target.batch_sizes, self.settings.value_size)

    def recorded_settings(self) -> dict[str, object]:
        """The resolved options for the header."""
        sizes = {size for target in self.targets for size in target.batch_sizes}
        operations = {op: None for target in self.targets for op in target.operations}
        return {
            "targets": [target.name for target in self.targets],
            "ops": list(operations),
            "batch_sizes": sorted(sizes),
            **asdict(self.settings),
            **self._recorded_environments(),
        }

    def _recorded_environments(self) -> dict[str, object]:
        found = {target.name: target.environment for target in self.targets if target.environment}
        return {"environments": found} if found else {}


def check_batch_sizes(sizes: Iterable[int], value_size: int) -> None:
    """Check batch sizes: each is valid and fits in memory.

    Raises:
        UsageError: names the first invalid one.
    """
    for size in sizes:
        if not 1 <= size <= BATCH_SIZE_MAX:
            raise UsageError(f"batch size {size} is not 1 to {BATCH_SIZE_MAX:,}")
        if size * value_size > BATCH_BYTES_MAX:
            raise UsageError(
                f"a batch of {size:,} values of {value_size:,} bytes is over 1 GiB: "
                "use smaller values or batches"
            )


def check_target(url: str, value_type: ValueType) -> None:
    """Check that a target can be opened here and stores such values; open nothing.

    Raises:
        UsageError: unknown scheme, or the store takes bytes only.
        BackendUnavailableError: its driver is not installed.
    """
    from kvbench.registry import backend_class

    backend = backend_class(url)
    if value_type is not ValueType.BYTES and Capability.TYPED_VALUES not in backend.capabilities:
        raise UsageError(
            f"{target_name(url)} stores bytes only: measure it with value type bytes, "
            f"not {value_type}"
        )
