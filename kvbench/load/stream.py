"""The keys of a run, and the calls of its clients, drawn from a workload with a seed.

A client's calls depend on the seed and on its number only, so they are the same wherever it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from kvbench.bench.plan import PREFIX_LENGTH
from kvbench.load.calls import Call
from kvbench.load.popularity import Chooser
from kvbench.load.sizes import Sizes
from kvbench.load.workload import Action, LoadWorkload

_CHUNK_KEYS = 4096
"""Calls are drawn in chunks of about this many keys."""

_VALUES = 512
_VALUE_POOL_BYTES = 64 << 20

_MISSING = 20_000_000
_INSERTED = 30_000_000
"""First number of the keys that are never stored, and of those that calls insert."""

_NUMBERS = 10**8
"""Numbers of keys: what eight digits hold, the room that the shortest key has."""

_MULTIPLIER = 48_271
"""Shares no factor with the numbers, so it permutes them."""

_WIDTHS = 1024
"""Lengths of keys that are drawn; keys take them in turn."""

_STORING = (Action.SET, Action.INSERT, Action.READ_MODIFY_WRITE)


class Keyspace:
    """The keys and values of a run: the same on every machine that has its prefix and seed.

    A key is the run's prefix and a number, padded to its length. Numbers are scattered over their
    range, because with ascending ones a store with ordered keys would only append.

    Args:
        workload: lengths and sizes.
        prefix: of all keys.
        seed: of lengths and contents.
    """

    def __init__(self, workload: LoadWorkload, prefix: str, seed: int) -> None:
        self._prefix = prefix
        self._records = workload.records
        self._lengths = workload.key_lengths
        self._sizes = workload.value_sizes
        self._seed = seed

    @cached_property
    def keys(self) -> list[str]:
        """The stored keys by place."""
        return self._numbered(range(self._records))

    @cached_property
    def values(self) -> list[bytes]:
        """A pool of values; calls take them in turn."""
        rng = np.random.default_rng([self._seed, 1])
        sizes = draw_sizes(self._sizes, _VALUES, rng)
        fitting = max(1, int(np.searchsorted(np.cumsum(sizes), _VALUE_POOL_BYTES)))
        return [rng.bytes(size) for size in sizes[:fitting].tolist()]

    @cached_property
    def _widths(self) -> list[int]:
        """Digits of the key with number i at place i % _WIDTHS."""
        rng = np.random.default_rng([self._seed, 2])
        widths: list[int] = (draw_sizes(self._lengths, _WIDTHS, rng) - PREFIX_LENGTH).tolist()
        return widths

    @cached_property
    def missing(self) -> list[str]:
        """Keys that are never stored."""
        return self._numbered(range(_MISSING, _MISSING + _CHUNK_KEYS))

    def inserted(self, start: int, count: int, client: int, clients: int) -> list[str]:
        """New keys of one client, the ``start``-th and those that follow; no two clients share any.

        After ``70,000,000 / clients`` keys they repeat.
        """
        room = _NUMBERS - _INSERTED
        places = range(start, start + count)
        return self._numbered([_INSERTED + (i * clients + client) % room for i in places])

    def _numbered(self, numbers: Sequence[int]) -> list[str]:
        prefix, widths = self._prefix, self._widths
        return [
            f"{prefix}{number * _MULTIPLIER % _NUMBERS:0{widths[number % _WIDTHS]}d}"
            for number in numbers
        ]


class CallStream:
    """The calls of one client, drawn from its own random numbers: an endless iterator.

    The same for a seed and a client's number, wherever it runs.

    Args:
        workload: what to draw.
        keyspace: keys and values.
        batch_size: keys in one request.
        pipeline: requests in one call.
        seed: of the run.
        client: number of the client.
        clients: number of clients of the run.
    """

    def __init__(
        self,
        workload: LoadWorkload,
        keyspace: Keyspace,
        *,
        batch_size: int,
        pipeline: int,
        seed: int,
        client: int = 0,
        clients: int = 1,
    ) -> None:
        self._workload = workload
        self._keyspace = keyspace
        self._size = batch_size * pipeline
        self._batch_size = batch_size
        self._client, self._clients = client, clients
        self._rng = np.random.default_rng([seed, 3, client])
        self._actions = [action for action, share in workload.mix.items() if share > 0]
        shares = np.array([workload.mix[action] for action in self._actions])
        self._shares = shares / shares.sum()
        self._chooser = Chooser(
            workload.popularity,
            workload.records,
            self._rng,
            constant=workload.zipfian_constant,
            hot_keys=workload.hot_keys,
            hot_calls=workload.hot_calls,
        )
        self._new_keys: list[str] = []
        self._next_value = client
        self._calls = self._endless()

    @property
    def inserted(self) -> int:
        """Number of new keys that calls were given so far."""
        return len(self._new_keys)

    def __iter__(self) -> Iterator[Call]:
        return self

    def __next__(self) -> Call:
        return next(self._calls)

    def take(self, count: int) -> list[Call]:
        """The next ``count`` calls."""
        return list(islice(self._calls, count))

    def _endless(self) -> Iterator[Call]:
        count = max(1, _CHUNK_KEYS // self._size)
        while True:
            chosen = self._rng.choice(len(self._actions), count, p=self._shares).tolist()
            places = self._places(count)
            for row, place in zip(places, chosen, strict=True):
                yield self._call(self._actions[place], row)

    def _places(self, count: int) -> list[list[int]]:
        """Places of keys, a row for each call; negative ones are of missing keys."""
        size, workload, rng = self._size, self._workload, self._rng
        places = self._chooser.draw(count * size, self.inserted).reshape(count, size)
        if workload.hit_ratio < 1:
            missing = -1 - rng.integers(0, len(self._keyspace.missing), places.shape)
            places = np.where(rng.random(places.shape) < workload.hit_ratio, places, missing)
        if workload.duplicates and self._batch_size > 1:
            self._repeat_some(places)
        rows: list[list[int]] = places.tolist()
        return rows

    def _repeat_some(self, places: NDArray[np.int64]) -> None:
        """Make a share of the keys of each request the same as an earlier key of that request."""
        requests = places.reshape(-1, self._batch_size)
        repeats = self._rng.random(requests.shape) < self._workload.duplicates
        for column in range(1, self._batch_size):
            earlier = self._rng.integers(0, column, len(requests))
            repeated = requests[np.arange(len(requests)), earlier]
            requests[:, column] = np.where(repeats[:, column], repeated, requests[:, column])

    def _call(self, action: Action, places: list[int]) -> Call:
        if action is Action.INSERT:
            keys = self._keyspace.inserted(
                len(self._new_keys), self._size, self._client, self._clients
            )
            self._new_keys += keys
        else:
            keys = self._keys_at(places, reads=action in (Action.GET, Action.EXISTS))
        values = self._take_values() if action in _STORING else []
        return Call(action.op, keys, values)

    def _keys_at(self, places: list[int], reads: bool) -> list[str]:
        """The keys at places. What is not a read asks for no missing key."""
        stored, new = self._keyspace.keys, self._new_keys
        records = len(stored)
        keys = []
        for place in places:
            if place < 0:
                missing = self._keyspace.missing[-1 - place]
                keys.append(missing if reads else stored[-place % records])
            else:
                keys.append(stored[place] if place < records else new[place - records])
        return keys

    def _take_values(self) -> list[bytes]:
        pool, start = self._keyspace.values, self._next_value
        self._next_value = (start + self._size) % len(pool)
        return [pool[(start + i) % len(pool)] for i in range(self._size)]


def draw_sizes(sizes: Sizes, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``count`` sizes, int64."""
    if sizes.sigma:
        drawn = rng.lognormal(np.log(max(1, sizes.median)), sizes.sigma, count)
        return np.clip(drawn, sizes.low, sizes.high).astype(np.int64)
    if sizes.low == sizes.high:
        return np.full(count, sizes.low, np.int64)
    return rng.integers(sizes.low, sizes.high, count, endpoint=True)
