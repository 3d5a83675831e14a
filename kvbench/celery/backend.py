"""Maps Celery's calls to those of a client."""

from __future__ import annotations

import atexit
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar
from weakref import WeakMethod

from celery import states
from celery.backends.base import KeyValueStoreBackend
from celery.exceptions import ImproperlyConfigured, TimeoutError
from celery.signals import worker_process_shutdown, worker_shutdown
from celery.utils.time import get_exponential_backoff_interval
from kombu.exceptions import EncodeError
from kombu.utils.encoding import bytes_to_str
from kombu.utils.functional import retry_over_time

from kvbench.celery.chords import ChordBackend
from kvbench.celery.connections import Connections, ResultClient
from kvbench.celery.pauses import pauses
from kvbench.celery.writer import BatchWriter, PendingResult
from kvbench.client import Address, KvConnectionError, KvServerError, KvTimeoutError
from kvbench.client.sockets import check_timeouts
from kvbench.errors import UsageError
from kvbench.model import KEY_BYTES_MAX, ttl_to_ms

T = TypeVar("T")

LONG_KEY_PREFIX = "celery-long-key-"
"""A key that is too long is stored under this prefix and its SHA-256."""

_LONG_KEY_BYTES = len(LONG_KEY_PREFIX) + 64

WINDOW_VALUE_BYTES_MAX = 1 << 20
"""A larger result does not wait for the window: its task stores it, and gets any error."""

_log = logging.getLogger("kvbench.celery")

_TRY_AGAIN = (KvConnectionError, KvTimeoutError)


class KvbBackend(ChordBackend):
    """Task results on a server of kvbench's wire protocol.

    Its options are in ``result_backend_transport_options``:

    - ``batch_window``: seconds within which results are collected and stored together; 0, the
      default, stores each before its task ends.
    - ``max_connections``: for each process, 10 by default.
    - ``connect_timeout`` and ``request_timeout``: seconds, 5 and 30 by default.
    - ``retry_policy`` and ``global_keyprefix``: Celery's own.

    Storing a result is retried by the ``retry_policy`` when the connection fails; reading is not,
    unless ``result_backend_always_retry`` is set.

    Args:
        url: ``kvb://host:port/namespace``.
        expires: seconds that results are kept, instead of the app's ``result_expires``.

    Raises:
        ImproperlyConfigured: the URL or an option is invalid.
    """

    key_t = bytes_to_str
    supports_native_join = True
    supports_autoexpire = True
    supports_result_compression = True
    supports_failure_expires = True

    def __init__(self, url: str | None = None, expires: Any = None, **kwargs: Any) -> None:
        super().__init__(expires=expires, expires_type=int, url=url, **kwargs)
        self.thread_safe = True
        failure_expires = self.app.conf.get("result_failure_expires")
        self._ttl = self.expires or None
        self._failure_ttl = (
            self._ttl
            if failure_expires is None
            else self.prepare_expires(failure_expires, type=int) or None
        )
        options = self.app.conf.get("result_backend_transport_options") or {}
        self.retry_policy: dict[str, Any] = {
            **KeyValueStoreBackend.retry_policy,
            **options.get("retry_policy", {}),
        }
        try:
            self._address = Address.parse(url or "kvb://127.0.0.1")
            for ttl in (self._ttl, self._failure_ttl):
                ttl_to_ms(ttl)
            self._connections = Connections(
                self._address,
                options.get("max_connections", 10),
                options.get("connect_timeout", 5.0),
                options.get("request_timeout", 30.0),
            )
            self._key_room = _key_room(self._address)
            self._writer = self._writer_of(options)
        except (UsageError, ValueError, TypeError) as error:
            raise ImproperlyConfigured(f"result backend: {error}") from None

    def _writer_of(self, options: Mapping[str, Any]) -> BatchWriter | None:
        """The writer that collects the results of a window, None without one."""
        window_s = options.get("batch_window") or 0
        if not window_s:
            return None
        check_timeouts(batch_window=window_s)
        writer = BatchWriter(
            self._store_entries, window_s, self._waits_s, options.get("request_timeout", 30.0)
        )
        _flush_at_exit(writer)
        return writer

    # --- Required by KeyValueStoreBackend --------------------------------------------------------

    def get(self, key: str) -> str | bytes | None:
        """The value of a key, None when it is absent."""
        waiting = self._writer.get(key) if self._writer else None
        if waiting is not None:
            return waiting.payload
        stored: str | bytes | None = self._call(ResultClient.get, self._fitted(key))
        return stored

    def mget(self, keys: Iterable[str]) -> list[str | bytes | None]:
        """The value of each key, in one request if one reply can hold them."""
        keys = list(keys)
        stored = self._stored(keys)
        if self._writer is None:
            return stored
        waiting = [self._writer.get(key) for key in keys]
        return [one.payload if one else old for one, old in zip(waiting, stored, strict=True)]

    def set(self, key: str, value: str | bytes) -> None:
        """Store a value for ``result_expires``."""
        self._set(key, value, self._ttl)

    def _set_with_state(self, key: str, value: str | bytes, state: str) -> None:
        self._set(key, value, self._ttl_of(state))

    def delete(self, key: str) -> None:
        """Remove."""
        self.flush()
        self._call(ResultClient.delete, self._fitted(key))

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Store a task's result, or give it to the window."""
        store = partial(super()._store_result, request=request, **kwargs)
        if self._writer is not None:
            meta = self._get_result_meta(result, state, traceback, request)
            meta["task_id"] = bytes_to_str(task_id)
            payload = self.encode(meta)
            if len(payload) <= WINDOW_VALUE_BYTES_MAX:
                entry = PendingResult(
                    payload, self._ttl_of(state), is_final=state == states.SUCCESS
                )
                self._writer.put(self.get_key_for_task(task_id), entry)
                return result
            self.flush()
        return self._again(store, task_id, result, state, traceback)

    # --- Waiting for results ---------------------------------------------------------------------

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float | None = 0.5,
        no_ack: bool = True,
        on_interval: Callable[[], object] | None = None,
    ) -> dict[str, Any]:
        """The result of a task: polled often at first, then every ``interval`` seconds."""
        self._ensure_not_eager()
        for _ in pauses(timeout, interval, on_interval):
            meta: dict[str, Any] = self.get_task_meta(task_id)
            if meta["status"] in states.READY_STATES:
                return meta
        raise TimeoutError("The operation timed out.")

    def get_many(
        self,
        task_ids: Iterable[str],
        timeout: float | None = None,
        interval: float | None = 0.5,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        max_iterations: int | None = None,
        READY_STATES: frozenset[str] = states.READY_STATES,  # noqa: N803 - Celery's name
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """(task id, result) as tasks become ready; each poll is one MGET of all pending ones."""
        left = dict.fromkeys(bytes_to_str(task_id) for task_id in task_ids)
        if not left:
            return
        for count, _ in enumerate(pauses(timeout, interval, on_interval), 1):
            for task_id, meta in self._ready_of(left, READY_STATES):
                del left[task_id]
                if on_message is not None:
                    on_message(meta)
                yield task_id, meta
            if not left or count == max_iterations:
                return
        raise TimeoutError(f"Operation timed out ({timeout})")

    def _ready_of(
        self, task_ids: Iterable[str], ready: frozenset[str]
    ) -> list[tuple[str, dict[str, Any]]]:
        """The results that are ready, from the cache or from the server, in one request."""
        known = {task_id: self._cache.get(task_id) for task_id in task_ids}
        asked = [task_id for task_id, meta in known.items() if not _is_in(meta, ready)]
        if asked:
            payloads = self.mget([self.get_key_for_task(task_id) for task_id in asked])
            for task_id, payload in zip(asked, payloads, strict=True):
                known[task_id] = meta = self.decode_result(payload) if payload else None
                if _is_in(meta, ready):
                    self._cache[task_id] = meta
        return [(task_id, meta) for task_id, meta in known.items() if _is_in(meta, ready)]

    # --- The server ------------------------------------------------------------------------------

    def flush(self) -> None:
        """Wait until the results of this process are stored; returns at once without a window.

        Raises:
            KvTimeoutError: the server did not take them in time.
        """
        if self._writer is not None:
            self._writer.flush()

    def exception_safe_to_retry(self, exc: Exception) -> bool:
        """Whether Celery may retry, if ``result_backend_always_retry`` is set."""
        return isinstance(exc, _TRY_AGAIN)

    def as_uri(self, include_password: bool = False) -> str:
        """The URL. It holds no secret: the protocol has no passwords."""
        return f"kvb://{self._address}"

    def _call(self, call: Callable[..., Any], *arguments: Any) -> Any:
        with self._connections.acquire() as client:
            return call(client, *arguments)

    def _again(self, call: Callable[..., T], *arguments: Any) -> T:
        """Run ``call``; retry by the ``retry_policy`` when the connection fails."""

        def wait_s(error: Exception, intervals: Iterator[float], _retries: int) -> float:
            interval_s = next(intervals)
            _log.warning("%s; trying again in %g s", error, interval_s)
            return interval_s

        result: T = retry_over_time(
            call, _TRY_AGAIN, arguments, errback=wait_s, **self.retry_policy
        )
        return result

    def _set(self, key: str, value: str | bytes, ttl: float | None) -> None:
        try:
            self._call(ResultClient.set, self._fitted(key), value, ttl)
        except (
            KvServerError,
            ValueError,
        ) as error:  # Celery then fails the task with this text.
            raise EncodeError(
                f"a result of {len(value):,} bytes cannot be stored: {error}"
            ) from None

    def _ttl_of(self, state: str) -> float | None:
        return self._failure_ttl if state == states.FAILURE else self._ttl

    def _fitted(self, key: str) -> str:
        """The key on the server: the same key, or if it is too long, its SHA-256."""
        encoded = key.encode()
        if len(encoded) <= self._key_room:
            return key
        return LONG_KEY_PREFIX + hashlib.sha256(encoded).hexdigest()

    def _stored(self, keys: list[str]) -> list[str | bytes | None]:
        try:
            stored: list[str | bytes | None] = self._call(
                ResultClient.mget, [self._fitted(key) for key in keys]
            )
            return stored
        except KvServerError:
            if len(keys) == 1:
                raise
        half = len(keys) // 2  # Together they are too large for a reply.
        return self._stored(keys[:half]) + self._stored(keys[half:])

    def _store_entries(self, entries: Mapping[str, PendingResult]) -> None:
        """Store what a window collected. A stored success is kept, as Celery requires."""
        by_ttl: dict[float | None, dict[str, str | bytes]] = defaultdict(dict)
        for (key, entry), stored in zip(entries.items(), self._stored(list(entries)), strict=True):
            if not stored or self.decode_result(stored)["status"] != states.SUCCESS:
                by_ttl[entry.ttl][self._fitted(key)] = entry.payload
        for ttl, pairs in by_ttl.items():
            self._call(ResultClient.mset, pairs, ttl)

    def _waits_s(self) -> Iterator[float]:
        """Seconds between retries of a window, by Celery's settings for backend retries."""
        count = 0
        while count < self.max_retries:
            count += 1
            wait_ms = get_exponential_backoff_interval(
                self.base_sleep_between_retries_ms, count, self.max_sleep_between_retries_ms, True
            )
            yield wait_ms / 1000

    def __reduce__(self, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        return super().__reduce__(
            args, {**(kwargs or {}), "url": self.url, "expires": self.expires}
        )


def _key_room(address: Address) -> int:
    """Bytes that the namespace leaves for a key."""
    room = KEY_BYTES_MAX - len(address.prefix)
    if room < _LONG_KEY_BYTES:
        raise UsageError(
            f"the namespace of {address} leaves {room} bytes for a key, and {_LONG_KEY_BYTES} are "
            "needed: choose a shorter one"
        )
    return room


def _is_in(meta: Mapping[str, Any] | None, ready: frozenset[str]) -> bool:
    return meta is not None and meta["status"] in ready


def _flush_at_exit(writer: BatchWriter) -> None:
    """At normal exit of the process, store what waits."""
    flush = WeakMethod(writer.flush)

    def store(**_: Any) -> None:
        store_rest = flush()
        if store_rest is not None:
            try:
                store_rest()
            except KvTimeoutError as error:
                _log.error("the process ends, %s", error)

    atexit.register(store)
    worker_process_shutdown.connect(store, weak=False)
    worker_shutdown.connect(store, weak=False)
