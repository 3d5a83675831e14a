"""Proof, before any timing, that batch and single calls do the same work on a target.

A batch that answers in another order, drops repeated keys or returns text for bytes may well be
fast. So each operation is tried at the cell's own batch size, on keys of which some are missing and
some come twice, in shuffled order: what was stored must come back from the single calls, and the
batch must answer the same, value and type. A cell whose check fails has no number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from kvbench.backend import Backend
from kvbench.bench.plan import Operation
from kvbench.bench.workload import Workload
from kvbench.model import Value

KEYS_MIN = 8
"""The least that holds present, missing and repeated keys; the runner's first look uses it too."""


def check(backend: Backend, operation: Operation, workload: Workload, batch_size: int) -> str:
    """Try one operation both ways, in a store without this run's keys.

    Its keys stay behind: :meth:`Workload.clean` removes them, also when this raises.

    Returns:
        What differs, in one line; empty when nothing does.

    Raises:
        KvError: the store failed.
    """
    size = max(batch_size, KEYS_MIN)
    stored = workload.pairs(size // 2)
    present = list(stored)
    missing = workload.keys(size // 4, start=len(present))
    rng = random.Random(size)
    asked = [*present, *missing, *rng.choices(present, k=size - len(present) - len(missing))]
    rng.shuffle(asked)
    match operation:
        case Operation.MGET:
            return _check_mget(backend, stored, asked, workload)
        case Operation.MSET:
            return _check_mset(backend, stored, asked, workload)
        case Operation.MDEL:
            return _check_mdel(backend, stored, asked, workload)
        case Operation.MEXISTS:
            return _check_mexists(backend, stored, asked, workload)


def _check_mget(
    backend: Backend, stored: dict[str, Value], asked: list[str], workload: Workload
) -> str:
    _set_each(backend, stored, workload)
    expected = [stored.get(key) for key in asked]
    singles = [backend.get(key) for key in asked]
    return _difference("get", singles, "stored was", expected) or _difference(
        "mget", backend.mget(asked), "get gives", singles
    )


def _check_mexists(
    backend: Backend, stored: dict[str, Value], asked: list[str], workload: Workload
) -> str:
    _set_each(backend, stored, workload)
    expected = [key in stored for key in asked]
    singles = [backend.exists(key) for key in asked]
    return _difference("exists", singles, "stored was", expected) or _difference(
        "mexists", backend.mexists(asked), "exists gives", singles
    )


def _check_mset(
    backend: Backend, stored: dict[str, Value], asked: list[str], workload: Workload
) -> str:
    # Pairs with repeated keys, whose last value must win; then a mapping over the same keys.
    pairs = list(zip(asked, workload.values(len(asked), start=1), strict=True))
    keys = list(dict(pairs))
    expected = list(dict(pairs).values())
    for key, value in pairs:
        backend.set(key, value)
    singles = [backend.get(key) for key in keys]
    for key in keys:
        backend.delete(key)
    backend.mset(pairs)
    batched = [backend.get(key) for key in keys]
    backend.mset(stored)
    mapped = [backend.get(key) for key in stored]
    return (
        _difference("get after set", singles, "stored was", expected)
        or _difference("get after mset", batched, "after set it gives", singles)
        or _difference("get after mset", mapped, "stored was", list(stored.values()))
    )


def _check_mdel(
    backend: Backend, stored: dict[str, Value], asked: list[str], workload: Workload
) -> str:
    bystander, *_ = stored
    asked = [key for key in asked if key != bystander]
    expected = len(stored) - 1
    _set_each(backend, stored, workload)
    singles = sum([backend.delete(key) for key in asked])
    _set_each(backend, stored, workload)
    batched = backend.mdel(asked)
    left = [key for key in stored if backend.exists(key)]
    if singles != expected:
        return f"delete counts {singles} of {expected} keys that were there"
    if type(batched) is not int or batched != expected:
        return f"mdel gives {batched!r}, single deletes count {expected}"
    if left != [bystander]:
        return f"mdel leaves {len(left)} keys, not just the one that it was not given"
    return ""


def _set_each(backend: Backend, pairs: dict[str, Value], workload: Workload) -> None:
    for key, value in pairs.items():
        backend.set(key, value, workload.safety_ttl_s)


def _difference(
    name: str, answers: Sequence[object], source: str, expected: Sequence[object]
) -> str:
    """The first place at which answers differ in value or type from the expected ones."""
    if not isinstance(answers, Sequence) or len(answers) != len(expected):
        found = f"{len(answers)} values" if isinstance(answers, Sequence) else _short(answers)
        return f"{name} gives {found} for {len(expected)} keys"
    for place, (answer, wanted) in enumerate(zip(answers, expected, strict=True), start=1):
        if type(answer) is not type(wanted) or answer != wanted:
            return (
                f"{name} gives {_short(answer)} for key {place} of {len(expected)}, "
                f"{source} {_short(wanted)}"
            )
    return ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
