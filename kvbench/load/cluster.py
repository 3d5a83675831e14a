"""Load workers on a Dask cluster: for stores that can do more than one machine asks for.

Each load worker is pinned to one worker of the cluster. It gets a specification, and returns counts
and histograms, which merge exactly. Clocks of machines are never compared in results: each worker
measures its own durations. Only the starts of windows are aligned. The offset of each machine's
clock is measured by round trips (Cristian, "Probabilistic clock synchronization", 1989): its time
minus the middle of ours, wrong by at most half of the round trip.

A worker that is lost is reported with what it had done, and the rest of the window counts. Every
wait is bounded. ``distributed`` is imported when a cluster is used.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from typing_extensions import override

from kvbench import __version__
from kvbench.bench.round import reason_of
from kvbench.bench.runner import refusal
from kvbench.errors import KvConnectionError, UsageError
from kvbench.load.cluster_address import connect, is_loopback
from kvbench.load.cluster_worker import (
    TOPIC,
    Generation,
    GenerationFailed,
    Reply,
    WorkerReport,
    generate_there,
    make_keys_there,
    read_clock,
)
from kvbench.load.generator import Generated, GeneratorSpec
from kvbench.load.tally import Watch
from kvbench.load.workers import (
    GRACE_S,
    START_DELAY_S,
    GenerationFailedError,
    GeneratorLostError,
    Workers,
    merged_work,
)

ANSWER_TIMEOUT_S = 5.0
"""Of scheduler and workers, for what they answer at once."""

ROUND_TRIPS = 10
"""Readings of each worker's clock; the fastest counts."""

STOP_TIMEOUT_S = 3.0
"""Workers look four times a second whether their window is still wanted."""

_POLL_S = 0.05
_LOOK_S = 0.5
"""How often the scheduler is asked which workers there are."""


@dataclass(frozen=True, slots=True)
class ClusterWorker:
    """A worker of the cluster.

    Attributes:
        address: of the worker, as the scheduler knows it.
        offset_s: its wall-clock time minus ours.
        error_s: the offset is wrong by at most so much.
    """

    address: str
    offset_s: float
    error_s: float


class DaskWorkers(Workers):
    """Load workers on a Dask cluster.

    Args:
        address: of the scheduler.
        count: how many of its workers are used; 0 for all.
        is_trial: whether there have to be so many: a later round takes what a loss has left.

    Raises:
        KvConnectionError: the scheduler does not answer, has too few workers, or a worker has not
            this version of kvbench.
    """

    def __init__(self, address: str, count: int = 0, is_trial: bool = True) -> None:
        super().__init__()
        self._address = address
        self._run_id = uuid.uuid4().hex[:12]
        self._windows = 0
        self._has_keys = False
        self._reports: dict[str, WorkerReport] = {}
        self._client = connect(address)
        try:
            self._client.subscribe_topic(TOPIC, self._take)
            there = self._wait_for_workers(count or 1 if is_trial else 1)
            if not there or (is_trial and len(there) < count):
                raise KvConnectionError(
                    f"the Dask scheduler {address} has {len(there)} workers, not {count or 1}"
                )
            self._workers = [self._measure(one) for one in there[: count or None]]
        except BaseException:
            self.close()
            raise

    @property
    def start_error_s(self) -> float:
        """By so much the starts of any two workers may differ, by what is known of their clocks."""
        return sum(sorted([one.error_s for one in self._workers])[-2:])

    @property
    @override
    def facts(self) -> dict[str, str]:
        count = len(self._workers)
        plural = "workers" if count > 1 else "worker"
        text = f"{count} {plural}, starts aligned within {self.start_error_s * 1e3:.1f} ms"
        return {"dask": text if count > 1 else f"{count} {plural}"}

    def check_target(self, url: str) -> None:
        """Check that workers mean the same machine by a target's URL as this process does.

        Raises:
            UsageError: the target is on loopback, and a worker may be on another machine.
        """
        host = urlsplit(url).hostname or ""
        hosts = {one.address: urlsplit(one.address).hostname or "" for one in self._workers}
        far = [address for address, place in hosts.items() if not is_loopback(place)]
        if far and is_loopback(host):
            raise UsageError(
                f"{host} is another machine for the Dask worker {far[0]}: give the target's "
                "address in your network"
            )

    @override
    def run(self, spec: GeneratorSpec, watch: Watch) -> Generated:
        parts: list[Generated] = []
        lost: list[str] = []
        self._drop({}, self._missing(self._workers), "was lost before the window", lost)
        self._make_keys(spec)
        window = self._submit(spec)
        ends_s = time.monotonic() + START_DELAY_S + spec.length_s + GRACE_S
        looked_s = shown_s = time.monotonic()
        try:
            while window:
                time.sleep(_POLL_S)
                now_s = time.monotonic()
                parts += self._collect(window, lost)
                if window and now_s - looked_s > _LOOK_S:
                    looked_s = now_s
                    self._drop(window, self._missing(window), "was lost", lost)
                if now_s > ends_s:
                    self._drop(window, list(window), "does not answer", lost)
                if now_s - shown_s > 0.25:
                    shown_s = now_s
                    self._show(watch)
        finally:
            self._end(window)
        if not parts:
            raise GeneratorLostError(f"no load worker is left: {'; '.join(lost)}")
        done = merged_work(parts)
        self._note(done.inserted)
        error_ns = done.start_error_ns + round(self.start_error_s * 1e9) * (done.workers > 1)
        return msgspec.structs.replace(done, start_error_ns=error_ns, lost=lost)

    def _submit(self, spec: GeneratorSpec) -> dict[ClusterWorker, Any]:
        """Start a window; the future of each worker."""
        self._windows += 1
        self._reports.clear()
        used = self._workers[: spec.clients]
        start_s = time.time() + START_DELAY_S
        window = {}
        for number, one in enumerate(used):
            own = msgspec.structs.replace(
                spec, worker=number, workers=len(used), start_at_s=start_s + one.offset_s
            )
            window[one] = self._client.submit(
                generate_there,
                msgspec.json.encode(own),
                key=f"kvbench-{self._run_id}-{self._windows}-{number}",
                workers=[one.address],
                allow_other_workers=False,
                pure=False,
            )
        return window

    def _collect(self, window: dict[ClusterWorker, Any], lost: list[str]) -> list[Generated]:
        """Take the finished ones out of a window; returns their work.

        Raises:
            UsageError, KvConnectionError, GenerationFailedError: a worker could not do it.
            GeneratorLostError: the scheduler is gone.
        """
        parts = []
        for one, future in list(window.items()):
            if future.status == "finished":
                # If the worker is lost before its result is here, the next look finds that.
                with contextlib.suppress(TimeoutError):
                    parts.append(_generated(one, future.result(timeout=ANSWER_TIMEOUT_S)))
                    del window[one]
            elif future.status == "error":
                error = future.exception(timeout=ANSWER_TIMEOUT_S)
                self._drop(window, [one], f"failed ({reason_of(error)})", lost)
            elif future.status != "pending":
                raise GeneratorLostError(f"the Dask scheduler {self._address} was lost")
        return parts

    def _drop(
        self,
        window: dict[ClusterWorker, Any],
        gone: list[ClusterWorker],
        how: str,
        lost: list[str],
    ) -> None:
        """Go on without some workers, now and in the windows that follow."""
        for one in gone:
            text = f"the Dask worker {one.address} {how}"
            if future := window.pop(one, None):
                report = self._reports.get(future.key)
                text += f": it had done {report.text}" if report else ": it had reported nothing"
                future.release()
            lost.append(text)
            self._workers.remove(one)

    def _missing(self, workers: Iterable[ClusterWorker]) -> list[ClusterWorker]:
        there = self._alive()
        return [one for one in workers if one.address not in there]

    def _end(self, window: dict[ClusterWorker, Any]) -> None:
        """Stop what still runs, so that no worker writes keys after they have been removed."""
        for future in window.values():
            future.release()
        ends_s = time.monotonic() + STOP_TIMEOUT_S
        keys = [future.key for future in window.values()]
        while time.monotonic() < ends_s and not all(
            key in self._reports and self._reports[key].is_over for key in keys
        ):
            time.sleep(_POLL_S)

    def _show(self, watch: Watch) -> None:
        """The workers' latest reports as one."""
        if reports := [one for one in list(self._reports.values()) if not one.is_over]:
            watch(
                min([one.share for one in reports]),
                sum([one.keys_per_s for one in reports]),
                max([one.p99_ns for one in reports]),
                sum([one.errors for one in reports]),
            )

    def _take(self, event: tuple[float, Any]) -> None:
        """Take an event of the topic, in a thread of Dask's; other runs report there, too."""
        try:
            report = msgspec.convert(event[1], WorkerReport)
        except msgspec.ValidationError:
            return
        if report.key.startswith(f"kvbench-{self._run_id}-{self._windows}-"):
            self._note(dict(report.inserted))
            self._reports[report.key] = report

    def _wait_for_workers(self, count: int) -> list[str]:
        """The addresses of the workers, after some time for as many to start."""
        ends_s = time.monotonic() + ANSWER_TIMEOUT_S
        while len(there := self._alive()) < count and time.monotonic() < ends_s:
            time.sleep(_POLL_S)
        return sorted(there)

    def _alive(self) -> set[str]:
        """Addresses of the cluster's workers."""
        with self._answering():
            return set(self._client.nthreads(callback_timeout=ANSWER_TIMEOUT_S))

    def _measure(self, address: str) -> ClusterWorker:
        """Find the offset of a worker's clock."""
        found = []
        for _ in range(ROUND_TRIPS):
            began_s, began_ns = time.time(), time.perf_counter_ns()
            with self._answering(f"the Dask worker {address}"):
                there_s, version = self._client.run(
                    read_clock, workers=[address], callback_timeout=ANSWER_TIMEOUT_S
                )[address]
            half_s = (time.perf_counter_ns() - began_ns) / 2e9
            found.append((half_s, there_s - began_s - half_s))
            if version != __version__:
                raise KvConnectionError(
                    f"the Dask worker {address} has kvbench {version}, not {__version__}"
                )
        error_s, offset_s = min(found)
        return ClusterWorker(address, offset_s, error_s)

    def _make_keys(self, spec: GeneratorSpec) -> None:
        if self._has_keys:
            return
        futures = [
            self._client.submit(
                make_keys_there, msgspec.json.encode(spec), workers=[one.address], pure=False
            )
            for one in self._workers
        ]
        with self._answering():
            for future in futures:
                future.result(timeout=GRACE_S)
        self._has_keys = True

    @contextmanager
    def _answering(self, who: str = "") -> Iterator[None]:
        """Turn any error of a request into KvConnectionError, which says what did not answer."""
        who = who or f"the Dask scheduler {self._address}"
        try:
            yield
        except TimeoutError:
            raise KvConnectionError(f"{who} does not answer") from None
        except ModuleNotFoundError as error:
            raise KvConnectionError(f"{who} needs kvbench installed: {error}") from None
        except Exception as error:  # noqa: BLE001 - Dask passes on whatever a worker raises
            raise KvConnectionError(f"{who} failed: {reason_of(error)}") from None

    @override
    def close(self) -> None:
        with contextlib.suppress(Exception):  # The scheduler may be gone.
            self._client.close(timeout=2)


def _generated(worker: ClusterWorker, encoded: bytes) -> Generated:
    """The work in a worker's reply; raises the error that it reported."""
    match msgspec.json.decode(encoded, type=Reply):
        case Generation(generated):
            return generated
        case GenerationFailed(reason):
            raise GenerationFailedError(f"the Dask worker {worker.address}: {reason}")
        case refused:
            replace = msgspec.structs.replace
            reason = f"the Dask worker {worker.address}: {refused.reason}"
            raise refusal(replace(refused, reason=reason))
