"""Stores to measure, right and wrong ones, and what tests of the benchmark share.

All keep their data in a class attribute, so that a test can see what a run left behind.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import EntryPoint

from kvbench import registry
from kvbench.backend import AsyncBackend, Backend
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.plan import Plan, Settings, TargetPlan
from kvbench.bench.runner import run
from kvbench.errors import KvConnectionError
from kvbench.model import BatchKind, BatchOperation, Capability, pairs_to_dict

FAST = Settings(rounds=3, blocks=2, sample_ns=100_000, keep_awake=False)
NATIVE = dict.fromkeys(("mget", "mset", "mdel", "mexists"), BatchKind.NATIVE)


class DictBackend(Backend):
    """A dict: right in every respect."""

    capabilities = frozenset({Capability.TYPED_VALUES})
    batch_kinds = NATIVE
    data: dict = {}  # noqa: RUF012 - shared on purpose, see the module's docstring

    @classmethod
    def open(cls, url):
        return cls()

    def close(self):
        pass

    def describe(self):
        return {"product": "a dict"}

    def get(self, key):
        return self.data.get(key)

    def set(self, key, value, ttl=None):
        self.data[key] = value

    def delete(self, key):
        return self.data.pop(key, self) is not self

    def exists(self, key):
        return key in self.data


class RealBatches(DictBackend):
    """A dict whose batches are no loops of single calls."""

    def mget(self, keys):
        return [self.data.get(key) for key in keys]

    def mset(self, pairs, ttl=None):
        self.data.update(pairs_to_dict(pairs))

    def mdel(self, keys):
        return sum([self.data.pop(key, None) is not None for key in keys])

    def mexists(self, keys):
        return [key in self.data for key in keys]


class Reordering(DictBackend):
    def mget(self, keys):
        return [self.data.get(key) for key in reversed(keys)]


class DropsRepeated(DictBackend):
    def mget(self, keys):
        return [self.data.get(key) for key in dict.fromkeys(keys)]


class DropsMissing(DictBackend):
    def mget(self, keys):
        return [self.data[key] for key in keys if key in self.data]


class AnswersText(DictBackend):
    def mget(self, keys):
        return [value and value.decode("latin1") for value in super().mget(keys)]


class FirstPairWins(DictBackend):
    def mset(self, pairs, ttl=None):
        for key, value in pairs.items() if isinstance(pairs, dict) else pairs:
            self.data.setdefault(key, value)


class CountsRepeated(DictBackend):
    def mdel(self, keys):
        held = [key for key in keys if key in self.data]
        super().mdel(keys)
        return len(held)


class DeletesAll(DictBackend):
    def mdel(self, keys):
        count = super().mdel(keys)
        self.data.clear()
        return count


class DeletesNothing(DictBackend):
    def mdel(self, keys):
        return len({key for key in keys if key in self.data})


class SaysOneForTrue(DictBackend):
    def mexists(self, keys):
        return [int(key in self.data) for key in keys]


class Refuses(DictBackend):
    def mget(self, keys):
        raise RuntimeError("cannot do that today")


class Vanishes(DictBackend):
    """Loses its connection for good at the first batch of a hundred keys or more."""

    is_gone = False

    @classmethod
    def open(cls, url):
        if Vanishes.is_gone:
            raise KvConnectionError("connection refused, redis://me:secret@host said")
        return cls()

    def _check(self):
        if Vanishes.is_gone:
            raise KvConnectionError("connection reset")

    def delete(self, key):
        self._check()
        return super().delete(key)

    def get(self, key):
        self._check()
        return super().get(key)

    def mget(self, keys):
        Vanishes.is_gone |= len(keys) >= 100
        self._check()
        return super().mget(keys)


class VanishesAlone(Vanishes):
    """The same as a private server, which takes its keys with it."""

    private_url = "vanishesalone://"


class GoneOnceOpen(DictBackend):
    def exists(self, key):
        raise KvConnectionError("the server closed it")


class Unreachable(DictBackend):
    @classmethod
    def open(cls, url):
        raise KvConnectionError(f"nobody answers at {url}")


class BytesOnly(DictBackend):
    capabilities = frozenset()


class AsyncDict(AsyncBackend):
    """A dict behind an event loop: each call goes round the loop once."""

    capabilities = frozenset({Capability.TYPED_VALUES})
    batch_kinds = NATIVE
    data = DictBackend.data

    @classmethod
    async def open(cls, url):
        return cls()

    async def close(self):
        pass

    async def get(self, key):
        await asyncio.sleep(0)
        return self.data.get(key)

    async def set(self, key, value, ttl=None):
        await asyncio.sleep(0)
        self.data[key] = value

    async def delete(self, key):
        await asyncio.sleep(0)
        return self.data.pop(key, self) is not self

    async def exists(self, key):
        await asyncio.sleep(0)
        return key in self.data

    async def mget(self, keys):
        await asyncio.sleep(0)
        return [self.data.get(key) for key in keys]

    async def mset(self, pairs, ttl=None):
        await asyncio.sleep(0)
        self.data.update(pairs_to_dict(pairs))


def register(monkeypatch, **backends):
    """Make classes of this module targets: ``register(monkeypatch, x=DictBackend)`` gives x://."""
    points = dict(registry._entry_points())
    for scheme, cls in backends.items():
        points[scheme] = EntryPoint(scheme, f"{__name__}:{cls.__name__}", registry.GROUP)
    monkeypatch.setattr(registry, "_entry_points", lambda: points)
    DictBackend.data.clear()
    Vanishes.is_gone = False


def make_plan(*urls, operations=(BatchOperation.MGET,), batch_sizes=(10,), settings=FAST):
    targets = [TargetPlan(url, tuple(operations), tuple(batch_sizes)) for url in urls]
    return Plan(tuple(targets), settings)


def run_plan(plan, interrupts=None):
    """The outcome of a plan and all its events."""
    events = []
    return run(plan, events.append, interrupts or Interrupts(), "kvbench run"), events
