"""Callbacks at exact times, to a few microseconds.

Event loops do not offer this: asyncio and uvloop round timers up to a whole millisecond. On Linux a
timerfd wakes the loop instead. It uses absolute times of CLOCK_MONOTONIC and has no timer slack. On
other systems the loop's timer is used.

Waking up takes time as well: 40 to 80 µs were measured on an idle virtual machine, a third of a
delay of 0.25 ms. So the timer is set earlier by its recent lateness, and the rest is spent spinning
through the event loop, so that reading continues. The lateness is a decaying maximum: one slow
start makes a few dozen alarms spin.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

LEAD_NS_MAX = 200_000
"""The longest spin before an alarm. A later wake-up means a busy core, and spinning would keep it
busy."""

LOOP_LEAD_NS_MAX = 1_200_000
"""The same for the loop's timer, which is up to a millisecond late by design."""

_LEAD_DECAY = 31 / 32

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
"""TFD_NONBLOCK and TFD_CLOEXEC are defined as these."""
_TFD_TIMER_ABSTIME = 1


class Alarms:
    """Calls callbacks at times of ``time.monotonic_ns``, earliest first.

    Args:
        loop: the running event loop.
        with_timerfd: False for the loop's own timer, as on a system without timerfd.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, with_timerfd: bool = True) -> None:
        self._loop = loop
        self._pending: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._set_for_ns = 0
        self._lead_ns = 0
        self._is_spinning = False
        timerfd = _open_timerfd() if with_timerfd else None
        self._lead_ns_max = LOOP_LEAD_NS_MAX if timerfd is None else LEAD_NS_MAX
        self._timer: _Timer = (
            _LoopTimer(loop, self._wake) if timerfd is None else _TimerFd(loop, self._wake, timerfd)
        )

    def call_at(self, due_ns: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, at ``due_ns`` or as soon after it as possible."""
        self._count += 1
        heapq.heappush(self._pending, (due_ns, self._count, callback))
        self._set()

    def close(self) -> None:
        """Drop all pending alarms. May be called twice."""
        self._pending.clear()
        self._timer.close()

    def _set(self) -> None:
        """Schedule the next check for due alarms: by the timer, or at once when one is near."""
        if not self._pending:
            return
        wake_ns = max(1, self._pending[0][0] - self._lead_ns)
        if wake_ns <= time.monotonic_ns():
            if not self._is_spinning:
                self._is_spinning = True
                self._loop.call_soon(self._spin)
        elif wake_ns < self._set_for_ns or not self._set_for_ns:
            self._set_for_ns = wake_ns
            self._timer.set(wake_ns)

    def _wake(self) -> None:
        if not self._set_for_ns:
            return
        late_ns = max(0, time.monotonic_ns() - self._set_for_ns)
        self._set_for_ns = 0
        self._lead_ns = min(self._lead_ns_max, max(late_ns, int(self._lead_ns * _LEAD_DECAY)))
        self._ring()

    def _spin(self) -> None:
        self._is_spinning = False
        self._ring()

    def _ring(self) -> None:
        now_ns = time.monotonic_ns()
        try:
            while self._pending and self._pending[0][0] <= now_ns:
                heapq.heappop(self._pending)[2]()
        finally:
            self._set()


class _Timer(Protocol):
    """A timer that wakes the loop once, at about a time of ``time.monotonic_ns``."""

    def set(self, wake_ns: int) -> None: ...

    def close(self) -> None: ...


class _LoopTimer:
    """The event loop's own timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._wake = wake
        self._handle: asyncio.TimerHandle | None = None

    def set(self, wake_ns: int) -> None:
        self.close()
        delay_s = (wake_ns - time.monotonic_ns()) / 1e9
        self._handle = self._loop.call_later(delay_s, self._wake)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def _open_timerfd() -> int | None:
    """A timerfd on the monotonic clock; None on a system without timerfd."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        fd: int = ctypes.CDLL(None).timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
    except (OSError, AttributeError):
        return None
    return fd if fd >= 0 else None


class _TimerFd:
    """A timerfd that the loop watches.

    Uses ctypes, since ``os`` has these functions only from Python 3.13.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None], timerfd: int
    ) -> None:
        self._loop = loop
        self._wake = wake
        self._fd = timerfd
        self._spec = _TimerSpec()
        self._settime = ctypes.CDLL(None).timerfd_settime
        loop.add_reader(self._fd, self._on_readable)

    def set(self, wake_ns: int) -> None:
        value = self._spec.value
        value.seconds, value.nanoseconds = divmod(wake_ns, 10**9)
        self._settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(self._spec), None)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        # Read first: a timer that stays readable would call again and again.
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return  # It was set again between the loop's poll and this call.
        self._wake()
