"""The sample of mutants: ``sample.tsv`` has a line for each, with its killer and its seconds.

The sample stays the same as long as its mutants can be made, so that scores can be compared and the
killer of a mutant is tried on it first. Mutants that can no longer be made are replaced by others,
chosen by seed. ``python -m tests.mutation`` writes the file.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .operators import Mutation

SAMPLE = Path(__file__).with_name("sample.tsv")

QUICK_S = 5.0
"""A mutant of the gate's sample was killed within this time, on a busy machine."""

NO_START = "the server does not start"


class Tried(NamedTuple):
    """What came of a mutant: the case that killed it, if any, and how long that took."""

    name: str
    killer: str
    seconds: float


@cache
def tried() -> tuple[Tried, ...]:
    """The sample as it was tried last."""
    lines = SAMPLE.read_text().splitlines() if SAMPLE.exists() else []
    columns = [line.split("\t") for line in lines]
    return tuple([Tried(name, killer, float(seconds)) for killer, seconds, name in columns])


@cache
def killer_by_name() -> dict[str, str]:
    """The killers of the sample's mutants."""
    return {one.name: one.killer for one in tried() if one.killer}


@cache
def kills() -> Counter[str]:
    """How many mutants of the sample each case has killed."""
    return Counter(killer_by_name().values())


def choose(mutants: Sequence[Mutation], count: int, seed: int) -> list[Mutation]:
    """The sample: those that were tried last, and as many others by seed as are missing."""
    by_name = {one.name: one for one in mutants}
    names = [one.name for one in tried() if one.name in by_name]
    rest = sorted(by_name.keys() - set(names))
    random.Random(seed).shuffle(names)
    random.Random(seed).shuffle(rest)
    return [by_name[name] for name in [*names, *rest][:count]]


def write(results: Iterable[Tried]) -> None:
    """Write the file anew."""
    lines = [f"{one.killer}\t{one.seconds:.1f}\t{one.name}\n" for one in sorted(results)]
    SAMPLE.write_text("".join(lines))


def quick_sample(names: Iterable[str], count: int, seed: int) -> list[Tried]:
    """Mutants of ``names`` that one case kills quickly, by seed."""
    known = set(names)
    quick = [
        one
        for one in tried()
        if one.name in known and one.killer not in ("", NO_START) and one.seconds < QUICK_S
    ]
    return random.Random(seed).sample(quick, count)
