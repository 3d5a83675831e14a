"""What differs between two files besides their figures: machine, versions, settings.

A comparison of two machines, or of two sizes of values, says nothing about a commit. Such
differences are named, and a gate refuses them. What a gate is there to compare, the revision and
the stores, is named only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from kvbench.results import Header, Results

_MACHINE = (
    "cpu", "cores", "governor", "turbo", "hypervisor", "memory_gib", "kernel", "keep_awake",
    "placement",
)  # fmt: skip
_NOT_COMPARED = ("load_before",)
"""Differs between any two runs."""

_CHOICES = frozenset(
    ["targets", "ops", "batch_sizes", "lanes", "rounds", "seed", "precision", "max_time_s"]
)
"""Settings that choose what is measured, or how often: each cell by itself is comparable."""

_SUBJECTS = ("git",)
"""What is compared: named, and no reason to refuse."""


class DifferenceKind(StrEnum):
    """What a difference is about."""

    MACHINE = "machine"
    VERSION = "version"
    SETTING = "setting"
    STORE = "store"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between base and head.

    Attributes:
        kind: what it is about.
        name: of the fact or setting.
        base: its value in base; None if it has none.
        head: its value in head; None if it has none.
        is_expected: what a gate compares, so that it does not refuse.
    """

    kind: DifferenceKind
    name: str
    base: object
    head: object
    is_expected: bool = False


def differences(base: Results, head: Results) -> tuple[Difference, ...]:
    """All differences of the headers: machine, versions, settings; and incomplete runs."""
    found = list(header_differences(base.header, head.header))
    states = ["complete" if one.is_complete else "interrupted" for one in (base, head)]
    if states != ["complete", "complete"]:
        found.append(Difference(DifferenceKind.RUN, "outcome", states[0], states[1]))
    return tuple(found)


def header_differences(base: Header, head: Header) -> tuple[Difference, ...]:
    """What differs between two runs before they measured: machine, versions, settings."""
    found = []
    for name, before, after in _unequal(base.environment, head.environment):
        kind = DifferenceKind.MACHINE if name in _MACHINE else DifferenceKind.VERSION
        if name not in _NOT_COMPARED:
            found.append(Difference(kind, name, before, after, name in _SUBJECTS))
    for name, before, after in _unequal(base.settings, head.settings):
        if name not in _CHOICES:
            found.append(Difference(DifferenceKind.SETTING, name, before, after))
    return tuple(found)


def store_differences(
    base: Mapping[str, str], head: Mapping[str, str], target: str
) -> tuple[Difference, ...]:
    """What a store reported differently: product, version, codec."""
    return tuple(
        [
            Difference(DifferenceKind.STORE, f"{target} {name}", before, after, is_expected=True)
            for name, before, after in _unequal(base, head)
        ]
    )


def _unequal(
    base: Mapping[str, object], head: Mapping[str, object]
) -> list[tuple[str, object, object]]:
    names = dict.fromkeys([*base, *head])
    pairs = [(name, base.get(name), head.get(name)) for name in names]
    return [one for one in pairs if one[1] != one[2]]
