"""Checks, before any timing, that batch and single calls do the same work on a target.

A batch that answers in another order, drops repeated keys or returns text for bytes may be fast. So
each operation is tried at the cell's batch size, on keys of which some are missing and some come
twice, in shuffled order. Stored values must be returned by the single calls (for large batches, by
a thousand of them), and the batch must return the same values and types. A cell that fails this
check has no result.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from kvbench.backend import Backend
from kvbench.bench.workload import Workload
from kvbench.model import BatchOperation, Value

SINGLES_MAX = 1_000
"""Single calls of a kind per trial: their result does not depend on the batch size, and a hundred
thousand of them over a network take minutes."""

KEYS_MIN = 8
"""The minimum with present, missing and repeated keys; also used by the runner's first check."""


def check(backend: Backend, operation: BatchOperation, workload: Workload, batch_size: int) -> str:
    """Try one operation both ways, in a store without this run's keys.

    Its keys remain: :meth:`Workload.clean` removes them, also after an error.

    Returns:
        The difference, in one line; empty if there is none.

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
        case BatchOperation.MGET:
            return _check_mget(backend, stored, asked, workload)
        case BatchOperation.MSET:
            return _check_mset(backend, stored, asked, workload)
        case BatchOperation.MDEL:
            return _check_mdel(backend, stored, asked, workload)
        case BatchOperation.MEXISTS:
            return _check_mexists(backend, stored, asked, workload)


def _check_mget(
    backend: Backend, stored: dict[str, Value], asked: list[str], workload: Workload
) -> str:
    workload.fill(backend, stored)
    expected = [stored.get(key) for key in asked]
    singles = [backend.get(key) for key in asked[:SINGLES_MAX]]
    return _difference("get", singles, "stored was", expected[:SINGLES_MAX]) or _difference(
        "mget", backend.mget(asked), "get gives", expected
    )


def _check_mexists(
    backend: Backend, stored: dict[str, Value], asked: list[str], workload: Workload
) -> str:
    workload.fill(backend, stored)
    expected = [key in stored for key in asked]
    singles = [backend.exists(key) for key in asked[:SINGLES_MAX]]
    return _difference("exists", singles, "stored was", expected[:SINGLES_MAX]) or _difference(
        "mexists", backend.mexists(asked), "exists gives", expected
    )


def _check_mset(
    backend: Backend, stored: dict[str, Value], asked: list[str], workload: Workload
) -> str:
    # Pairs with repeated keys, whose last value must win; then a mapping over the same keys.
    pairs = list(zip(asked, workload.values(len(asked), start=1), strict=True))
    few = dict(pairs[:SINGLES_MAX])
    for key, value in pairs[:SINGLES_MAX]:
        backend.set(key, value)
    singles = [backend.get(key) for key in few]
    for key in few:
        backend.delete(key)
    backend.mset(pairs)
    expected = dict(pairs)
    batched = _read(backend, expected)
    backend.mset(stored)
    mapped = _read(backend, stored)
    return (
        _difference("get after set", singles, "stored was", list(few.values()))
        or _difference("get after mset", batched, "after set it gives", list(expected.values()))
        or _difference("get after mset", mapped, "stored was", list(stored.values()))
    )


def _check_mdel(
    backend: Backend, stored: dict[str, Value], asked: list[str], workload: Workload
) -> str:
    bystander, *_ = stored
    asked = [key for key in asked if key != bystander]
    few = asked[:SINGLES_MAX]
    expected, expected_few = len(stored) - 1, len(stored.keys() & {*few})
    workload.fill(backend, stored)
    singles = sum([backend.delete(key) for key in few])
    workload.fill(backend, stored)
    batched = backend.mdel(asked)
    remain: dict[str, Value] = {bystander: stored[bystander], **dict.fromkeys(asked)}
    is_left = [value is not None for value in _read(backend, remain)]
    left = sum(is_left)
    if singles != expected_few:
        return f"delete counts {singles} of {expected_few} keys that were there"
    if type(batched) is not int or batched != expected:
        return f"mdel gives {batched!r}, single deletes count {expected}"
    if left != 1 or not is_left[0]:
        return f"mdel leaves {left} keys, not just the one that it was not given"
    return ""


def _read(backend: Backend, expected: dict[str, Value]) -> list[Value]:
    """The stored values of the keys, by single calls.

    For many keys a batch is asked first: it does not return the right values by chance.
    """
    keys, values = list(expected), list(expected.values())
    if len(keys) > SINGLES_MAX:
        found = backend.mget(keys)
        if not _difference("mget", found, "", values):
            return found
    return [backend.get(key) for key in keys]


def _difference(
    name: str, answers: Sequence[object], source: str, expected: Sequence[object]
) -> str:
    """The first position at which a value or type differs from the expected one."""
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
