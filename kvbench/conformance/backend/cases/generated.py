"""Generated tests: random walks against a dictionary, random batches, random values.

A walk is a list of steps; playing it asks store and model the same and compares every answer. One
that fails is played again with ever fewer steps, each time under fresh keys, as long as it still
fails: what is reported is the shortest walk found, and the seed of the whole.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain

from kvbench import specs
from kvbench.conformance.backend.cases.base import LONG_TTL_S
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.suite import BACKEND, backend_case
from kvbench.conformance.findings import CaseFailed
from kvbench.model import I64_MAX, I64_MIN, Capability, Value

WALKS = 20
STEPS = 60
KEYS = 5
"""Few keys, so that steps meet."""
SHRINK_PLAYS_MAX = 150
TTLS_S = (None, None, 1.0, 5.0, LONG_TTL_S)


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a walk.

    Attributes:
        operation: its name, or ``pass`` for time.
        keys: numbers of the keys that it takes.
        values: values that go with them.
        ttl: the TTL that it gives; the seconds that pass.
    """

    operation: str
    keys: tuple[int, ...] = ()
    values: tuple[Value, ...] = ()
    ttl: float | None = None

    def __str__(self) -> str:
        parts = [f"k{number}" for number in self.keys] + [repr(value) for value in self.values]
        given = "" if self.ttl is None else f", ttl={self.ttl:g}"
        return f"{self.operation}({', '.join(parts)}{given})"


@dataclass(slots=True)
class _Model:
    """What a store must answer: a dictionary, and the time at which keys end."""

    values: dict[int, Value] = field(default_factory=dict)
    ends: dict[int, float] = field(default_factory=dict)
    now: float = 0.0

    def put(self, key: int, value: Value, ttl: float | None) -> None:
        self.values[key] = value
        self.ends.pop(key, None)
        if ttl is not None:
            self.ends[key] = self.now + ttl

    def drop(self, key: int) -> bool:
        self.ends.pop(key, None)
        return self.values.pop(key, _ABSENT) is not _ABSENT

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for key in [key for key, end in self.ends.items() if end <= self.now]:
            self.drop(key)


_ABSENT: Value = "absent"


def _answer(model: _Model, step: Step) -> object:
    """What the model says to a step."""
    keys, values = step.keys, step.values
    match step.operation:
        case "get":
            return model.values.get(keys[0])
        case "mget":
            return [model.values.get(key) for key in keys]
        case "exists":
            return keys[0] in model.values
        case "mexists":
            return [key in model.values for key in keys]
        case "set" | "mset":
            for key, value in zip(keys, values, strict=True):
                model.put(key, value, step.ttl)
        case "getdel":
            value = model.values.get(keys[0])
            model.drop(keys[0])
            return value
        case "delete":
            return model.drop(keys[0])
        case "mdel":
            return sum([model.drop(key) for key in keys])
        case "setnx":
            if keys[0] in model.values:
                return False
            model.put(keys[0], values[0], step.ttl)
            return True
        case "expire":
            if keys[0] not in model.values:
                return False
            model.put(keys[0], model.values[keys[0]], step.ttl)
            return True
        case "cas":
            if keys[0] not in model.values:
                return None
            if model.values[keys[0]] != values[0]:
                return False
            model.values[keys[0]] = values[1]
            return True
        case "pass":
            model.pass_time(step.ttl or 0.0)
    return None


def _call(ctx: BackendContext, names: list[str], step: Step) -> object:
    """What the store says to a step."""
    store, values = ctx.store, step.values
    keys = [names[number] for number in step.keys]
    match step.operation:
        case "set" | "setnx":
            return getattr(store, step.operation)(keys[0], values[0], step.ttl)
        case "mset":
            return store.mset(list(zip(keys, values, strict=True)), step.ttl)  # type: ignore[func-returns-value]
        case "expire":
            return store.expire(keys[0], step.ttl)
        case "cas":
            return store.cas(keys[0], values[0], values[1])
        case "mget" | "mexists" | "mdel":
            return getattr(store, step.operation)(keys)
        case "pass":
            ctx.pass_time(step.ttl or 0.0)
            return None
    return getattr(store, step.operation)(keys[0])


def _play(ctx: BackendContext, steps: list[Step], attempt: int) -> tuple[int, CaseFailed] | None:
    """Play a walk under fresh keys; the step that was answered wrongly, and how."""
    names = [ctx.key(f"{attempt}/{number}") for number in range(KEYS)]
    model = _Model()
    try:
        for place, step in enumerate(steps):
            try:
                ctx.expect(_call(ctx, names, step), _answer(model, step), str(step))
            except CaseFailed as failure:
                return place, failure
    finally:
        ctx.store.mdel(names)
    return None


def _shrink(ctx: BackendContext, steps: list[Step], failure: CaseFailed, first: int) -> CaseFailed:
    """The failure of the shortest walk that still fails, found by leaving out steps."""
    attempt, size = first, max(1, len(steps) // 2)
    while size:
        start = 0
        while start < len(steps) and attempt < first + SHRINK_PLAYS_MAX:
            shorter = steps[:start] + steps[start + size :]
            attempt += 1
            found = _play(ctx, shorter, attempt)
            if found is None:
                start += size
            else:
                steps, failure = shorter[: found[0] + 1], found[1]
        size //= 2
    walk = "; ".join(map(str, steps))
    return CaseFailed(failure.expected, f"{failure.actual}, after {walk}", seed=ctx.seed)


def _steps(ctx: BackendContext, rng: random.Random, count: int) -> list[Step]:
    """A random walk of operations that the store has."""
    operations = ["get", "mget", "exists", "mexists", "set", "set", "mset", "delete", "mdel"]
    if Capability.SETNX in ctx.capabilities:
        operations.append("setnx")
    if Capability.GETDEL in ctx.capabilities:
        operations.append("getdel")
    if Capability.CAS in ctx.capabilities:
        operations += ["cas", "cas"]
    if ctx.has_ttl:
        operations.append("expire")
        operations += ["pass"] * 2 if ctx.clock is not None else []
    return [_step(ctx, rng, rng.choice(operations)) for _ in range(count)]


def _step(ctx: BackendContext, rng: random.Random, operation: str) -> Step:
    ttls = (TTLS_S if ctx.clock is not None else (None, LONG_TTL_S)) if ctx.has_ttl else (None,)
    ttl = rng.choice(ttls)
    is_batch = operation.startswith("m")
    keys = tuple([rng.randrange(KEYS) for _ in range(rng.randrange(9) if is_batch else 1)])
    values = tuple([ctx.value(rng.randrange(4)) for _ in keys])
    match operation:
        case "pass":
            return Step("pass", ttl=rng.choice((0.5, 1.0, 2.5, 7.0)))
        case "set" | "setnx" | "mset":
            return Step(operation, keys, values, ttl)
        case "cas":
            return Step(operation, keys, (values[0], ctx.value(rng.randrange(4))))
        case "expire":
            return Step(operation, keys, ttl=ttl)
    return Step(operation, keys)


_WALKED = ("BSET", "BGET", "BDEL", "BEXISTS", "BMGET", "BMSET", "BMDEL", "BMEXISTS", "BNX", "BGD")
"""Areas whose clauses a walk stands on: it is about what only an order of calls shows."""

_SINGLE = tuple([one.id for one in specs.clauses() if one.id.partition("-")[0] in _WALKED])


_TIMED = ("BTTL-001", "BTTL-002", "BTTL-010", "BTTL-015", "BTTL-017")
_SWAPS = ("BCAS-001", "BCAS-002", "BCAS-003", "BCAS-009")


@backend_case("BLIFE-008", after=(*_SINGLE, *_TIMED, *_SWAPS, "BLIFE-005"))
def random_walks(ctx: BackendContext) -> None:
    """Random calls of all kinds on a few keys answer as a dictionary would."""
    for walk in range(WALKS * ctx.effort):
        steps = _steps(ctx, ctx.rng, STEPS)
        found = _play(ctx, steps, walk * (SHRINK_PLAYS_MAX + 1))
        if found is not None:
            shorter = steps[: found[0] + 1]
            raise _shrink(ctx, shorter, found[1], walk * (SHRINK_PLAYS_MAX + 1))


_BATCHES = {
    "BMGET-001": ("BMGET-002", "BMGET-003"),
    "BMSET-001": ("BMSET-002", "BMSET-003"),
    "BMDEL-001": ("BMDEL-002", "BMDEL-003"),
    "BMEXISTS-001": ("BMEXISTS-002",),
}
"""Of each batch operation what it does at all, and finer points that have separate cases."""


@backend_case(*_BATCHES, after=(*BACKEND.base, *chain.from_iterable(_BATCHES.values())))
def random_batches(ctx: BackendContext) -> None:
    """Batches of random sizes with repeated and absent keys, up to a few thousand."""
    names = ctx.keys(3000)
    for size in (1, 2, 3, 17, 255, 256, 257, 999, 1000, 3000):
        pairs = [(ctx.rng.choice(names[: size + 2]), ctx.value(number)) for number in range(size)]
        asked = [ctx.rng.choice(names[: size + 2]) for _ in range(size)]
        model = dict(pairs)
        what = f"of {size} keys (seed {ctx.seed})"
        ctx.store.mset(pairs)
        ctx.expect(ctx.store.mget(asked), [model.get(key) for key in asked], f"mget {what}")
        ctx.expect(ctx.store.mexists(asked), [key in model for key in asked], f"mexists {what}")
        removed = len(model.keys() & set(asked))
        ctx.expect(ctx.store.mdel(asked), removed, f"mdel {what}")
        rest = [None if key in asked else model[key] for key in model]
        ctx.expect(ctx.store.mget(list(model)), rest, f"mget after mdel {what}")
        ctx.store.mdel(names)


def _random_value(rng: random.Random, depth: int) -> Value:
    """A value of any type, up to ``depth`` levels of lists and dicts."""
    makers: list[Callable[[], Value]] = [
        lambda: None,
        lambda: rng.random() < 0.5,
        lambda: rng.randint(I64_MIN, I64_MAX) >> rng.randrange(64),
        lambda: rng.choice((rng.random(), rng.gauss(0, 1e9), 0.0, math.inf, 5e-324)),
        lambda: Decimal(rng.randrange(-(10**20), 10**20)).scaleb(rng.randrange(-30, 30)),
        lambda: "".join([rng.choice("Aé☃𝄞") for _ in range(rng.randrange(9))]),
        lambda: rng.randbytes(rng.randrange(20)),
    ]
    if depth:
        size = rng.randrange(4)
        makers += [
            lambda: [_random_value(rng, depth - 1) for _ in range(size)],
            lambda: {f"key {n}": _random_value(rng, depth - 1) for n in range(size)},
        ]
    return rng.choice(makers)()


@backend_case(
    "BVAL-005",
    needs=("typed-values",),
    after=(*BACKEND.base, "BVAL-001", *[f"BVAL-{one:03d}" for one in (6, 8, 9, 10, 12)]),
)
def random_values(ctx: BackendContext) -> None:
    """Random values of all types, nested, come back equal and of the same types."""
    for _ in range(20 * ctx.effort):
        keys = ctx.keys(10)
        values = [_random_value(ctx.rng, 4) for _ in keys]
        ctx.store.mset(list(zip(keys, values, strict=True)))
        ctx.expect(ctx.store.mget(keys), values, f"mget after mset (seed {ctx.seed})")
        ctx.store.set(keys[0], values[1])
        ctx.expect(ctx.store.get(keys[0]), values[1], f"get after set (seed {ctx.seed})")
