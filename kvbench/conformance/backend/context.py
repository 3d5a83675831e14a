"""The test context of backend cases: a store, isolated keys, and values that it can hold.

A :class:`BackendContext` is what a backend case gets. It sees the store through the Backend
interface alone; an asynchronous adapter is used through its blocking face. Values are made by
:meth:`value`, so that one case serves typed stores and those that hold bytes.

Time on a live store is real, so cases wait for short TTLs (:attr:`short_ttl_s`) and never conclude
from a call that took too long. Concurrent users (:meth:`concurrently`) are threads, each with its
own backend, or, where no second backend can open the same data, threads that share this one.
"""

from __future__ import annotations

import math
import random
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, Self, TypeVar, cast

from typing_extensions import override

from kvbench.backend import Backend
from kvbench.blocking import BlockingBackend
from kvbench.clock import ManualClock
from kvbench.conformance.backend.grounds import grounds_of
from kvbench.conformance.backend.guard import NET_TTL_S, BackendGuard, GuardedBackend
from kvbench.conformance.case import CaseContext
from kvbench.conformance.findings import CaseFailed, DoesNotApply, SetupFailed
from kvbench.conformance.isolation import fresh_prefix
from kvbench.errors import KvError, UnsupportedError
from kvbench.model import Capability, Value
from kvbench.verdicts import Traits

SHORT_TTL_S = 0.1
"""Long enough to store a few keys and look at them, short enough to wait for a dozen times."""

WAITING_SLACK_S = 0.03
"""What a live store gets on top of its tick: two processes have to be scheduled."""

BESIDE_TIMEOUT_S = 30.0
"""Concurrent work of one case ends well before that, or hangs."""

_SWITCH_INTERVAL_S = 1e-5
"""Threads change often, so that a store in this process is interrupted inside its calls."""

_ERROR = re.compile(r"\w+: ")
"""How a failure reads for which an exception came: its class first."""

_T = TypeVar("_T")


class BackendContext(CaseContext):
    """What a backend case works with. Deletes its keys at its end.

    Args:
        open_store: opens the target anew; a case may want several connections.
        capabilities: what the target declares, minus what its profile takes back.
        seed: of everything random in the case.
        effort: 1 by default, more with ``--rigorous``.
        clock: the clock that the store runs on, where the target allows it: time is then exact.

    Attributes:
        store: the store, opened for this run, behind the guard: it takes only keys of this case.
        adapter: the backend itself, for what it declares.
        rng: random numbers from the seed.
    """

    def __init__(
        self,
        store: Backend,
        open_store: Callable[[], Backend],
        *,
        capabilities: frozenset[str],
        seed: str,
        effort: int = 1,
        clock: ManualClock | None = None,
    ) -> None:
        self.adapter = store
        self.capabilities = capabilities
        self.seed = seed
        self.effort = effort
        self.clock = clock
        self.rng = random.Random(seed)
        self.prefix = fresh_prefix()
        self._guard = BackendGuard(self.prefix)
        self.store = self._guarded(store)
        self._open_store = open_store
        self._opened: list[Backend] = []
        self._keys: dict[str, None] = {}
        self._grounds: tuple[str, ...] | None = None

    @property
    def is_typed(self) -> bool:
        """Whether the store holds all types, or bytes only."""
        return Capability.TYPED_VALUES in self.capabilities

    @property
    def has_ttl(self) -> bool:
        """Whether keys can expire."""
        return Capability.TTL in self.capabilities

    @property
    def tick_s(self) -> float:
        """The store's tick of time, as it declares it."""
        return self.store.ttl_resolution_s

    @property
    def short_ttl_s(self) -> float:
        """A TTL of whole ticks that a case can wait for."""
        return max(SHORT_TTL_S, self.tick_s)

    @property
    def net_ttl_s(self) -> float | None:
        """A TTL for what no clause says to be without one; None where keys cannot expire.

        It outlives every case, and ends what a run leaves behind that is killed.
        """
        return NET_TTL_S if self.has_ttl else None

    def pass_short_ttl(self) -> None:
        """Let time pass until a key that was given :attr:`short_ttl_s` must be gone."""
        slack = 0.0 if self.clock is not None else WAITING_SLACK_S
        self.pass_time(self.short_ttl_s + self.tick_s + slack)

    def key(self, name: str = "k") -> str:
        """A key of this case's own; it is deleted at the end."""
        return self.own(f"{self.prefix}:{name}")

    def own(self, key: str) -> str:
        """A key that the case made itself from another one; it is deleted at the end."""
        self._keys[key] = None
        return key

    def keys(self, count: int) -> list[str]:
        """So many keys of this case's own, each another."""
        return [self.key(f"{index:05d}") for index in range(count)]

    def value(self, number: int = 0) -> Value:
        """A value that every store can hold; another number gives another value."""
        return b"value %d" % number

    def another_store(self) -> Backend:
        """The same target opened once more; closed at the end of the case.

        Raises:
            DoesNotApply: the store can be open only once, and does not say otherwise.
        """
        try:
            store = self._open_store()
        except KvError as error:
            if Capability.SHARED in self.capabilities:
                raise
            raise DoesNotApply(f"it can be open only once: {error}") from None
        self._opened.append(store)
        return self._guarded(store)

    def _guarded(self, store: Backend) -> Backend:
        return cast("Backend", GuardedBackend(store, self._guard))

    def concurrently(self, works: Sequence[Callable[[Backend], _T]]) -> list[_T]:
        """Run several works at the same time, each as another user of the store.

        Returns:
            What each of them returned.

        Raises:
            DoesNotApply: the store can have no other user.
        """
        self._check_others()
        if Capability.SHARED in self.capabilities:
            self._guard.called.setdefault("others")
        barrier = threading.Barrier(len(works))
        others = [_Other(self, work, barrier) for work in works]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        try:
            for other in others:
                other.start()
            for other in others:
                other.join(BESIDE_TIMEOUT_S)
        finally:
            sys.setswitchinterval(interval)
        # When one fails, those that waited for it report a broken barrier: its own error first.
        others_first = sorted(others, key=lambda other: other.waited_in_vain)
        for other in others_first:
            other.result()
        return [other.result() for other in others]

    def _check_others(self) -> None:
        """Whether a store that no second backend can open can be used by other threads."""
        if Capability.SHARED in self.capabilities:
            return
        if isinstance(self.adapter, BlockingBackend):
            raise DoesNotApply("an asynchronous store that is not shared has one event loop")
        probe = _Other(self, lambda store: store.exists(self.key("probe")), threading.Barrier(1))
        probe.start()
        probe.join(BESIDE_TIMEOUT_S)
        try:
            probe.result()
        except UnsupportedError as error:
            raise DoesNotApply(f"it is not shared and belongs to its thread: {error}") from None

    def user(self) -> Backend:
        """A backend for another thread, opened there; the case's own where nothing is shared."""
        is_shared = Capability.SHARED in self.capabilities
        return self._guarded(self._open_store()) if is_shared else self.store

    def pass_time(self, seconds: float) -> None:
        """Let time pass: exactly where the store runs on a manual clock, else by waiting."""
        if self.clock is not None:
            self.clock.advance_ms(seconds * 1000)
        else:
            time.sleep(seconds)

    def expect(self, actual: object, expected: object, what: str) -> None:
        """Fail the case unless both are equal and, all the way down, of the same types."""
        if actual != expected or _types(actual) != _types(expected):
            raise CaseFailed(f"{what}: {expected!r}", repr(actual))

    def expect_left(self, key: str, ttl_s: float | None, what: str) -> None:
        """Fail the case unless the key has a TTL of ``ttl_s`` seconds (minutes at least), or none.

        What the case itself may have taken since is allowed for: half a minute.
        """
        left = self.store.ttl(key)
        if ttl_s is None:
            self.expect(left is not None and left == -1, True, f"{what} is -1, not {left!r}")
        elif left is None or not ttl_s - 30 < left <= self.latest_s(ttl_s):
            raise CaseFailed(f"{what}: {ttl_s:g} s", repr(left))

    def latest_s(self, ttl_s: float) -> float:
        """How long a key with a TTL may be there: rounded up to whole ticks, and one more."""
        ticks = math.ceil(round(ttl_s / self.tick_s, 6))
        return (ticks + 1) * self.tick_s

    def expect_error(
        self, kinds: tuple[type[BaseException], ...], call: Callable[[], object], what: str
    ) -> None:
        """Fail the case unless the call raises one of ``kinds``."""
        names = " or ".join([kind.__name__ for kind in kinds])
        try:
            result = call()
        except kinds:
            return
        except SetupFailed:
            raise  # The guard: the call was not made.
        except Exception as error:  # noqa: BLE001 - whatever the store raises instead is reported
            clauses = ["BDECL-002"] if isinstance(error, UnsupportedError) else []
            shown = f"{type(error).__name__}: {error}"
            raise CaseFailed(f"{what}: {names}", shown, clauses=clauses) from None
        raise CaseFailed(f"{what}: {names}", f"no error, but {result!r}")

    @property
    @override
    def grounds(self) -> tuple[str, ...]:
        return self._grounds if self._grounds is not None else grounds_of(self._guard.called)

    @override
    def traits(self, error: CaseFailed) -> Traits:
        """The store's own error, where one came."""
        return Traits(refusal=error.actual) if _ERROR.match(error.actual) else Traits()

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self._grounds = grounds_of(self._guard.called)  # Cleaning up is no part of the case.
        for store in self._opened:
            with suppress(Exception):  # Cases about closing tell what is wrong with it.
                store.close()
        self._guard.clean(self.adapter)
        try:
            self.store.mdel(list(self._keys))
        except Exception:  # noqa: BLE001 - the store may be what is wrong; the case has reported it
            self._delete_one_by_one()

    def _delete_one_by_one(self) -> None:
        for key in self._keys:
            try:
                self.store.delete(key)
            except (ValueError, TypeError):
                continue  # It refuses this key: it holds nothing of it either.
            except Exception:  # noqa: BLE001 - the store is gone
                return


class _Other(threading.Thread, Generic[_T]):
    """A thread that uses the store, and its result."""

    def __init__(
        self, context: BackendContext, work: Callable[[Backend], _T], barrier: threading.Barrier
    ) -> None:
        super().__init__(daemon=True)
        self._context = context
        self._work = work
        self._barrier = barrier
        self._results: list[_T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Open a backend, wait for the other threads, work, close."""
        try:
            store = self._context.user()
            try:
                self._barrier.wait(BESIDE_TIMEOUT_S)
                self._results.append(self._work(store))
            finally:
                if store is not self._context.store:
                    store.close()
        except BaseException as error:  # noqa: BLE001 - raised again by result()
            self._error = error
            self._barrier.abort()

    @property
    def waited_in_vain(self) -> bool:
        """Whether another thread failed before the work began."""
        return isinstance(self._error, threading.BrokenBarrierError)

    def result(self) -> _T:
        """What the work returned, or raise what it raised."""
        if self._error is not None:
            raise self._error
        if not self._results:
            raise CaseFailed("an answer", f"none within {BESIDE_TIMEOUT_S:g} s")
        return self._results[0]


def _types(value: object) -> object:
    """The types of a value and of all that it contains."""
    if isinstance(value, list | tuple):
        return [type(value), *[_types(item) for item in value]]
    if isinstance(value, dict):
        return [dict, {key: _types(item) for key, item in value.items()}]
    return type(value)
