"""The synchronous client called in the middle of a call of its own thread, and what it costs.

Signal handlers, destructors and trace functions run between any two lines of a call. A lock that
lets its own thread in again would hand the reply of the outer call to the inner one.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time

import pytest

from kvbench.client import SyncKvClient
from kvbench.errors import KvConnectionError, KvError, KvReentryError
from tests.client.client_peers import Peer, ServerThread, answering, value
from tests.waiting import wait_until

CALLS = 30_000
SIGNALS_LEAST = 1_000


@pytest.fixture
def on_alarm():
    """Run a function as the handler of SIGALRM: ``on_alarm(handler, interval_s)``."""
    before = signal.getsignal(signal.SIGALRM)

    def start(handler, interval_s):
        signal.signal(signal.SIGALRM, lambda *_: handler())
        signal.setitimer(signal.ITIMER_REAL, interval_s, interval_s)

    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_no_reply_goes_to_another_call_in_tens_of_thousands_with_a_signal_in_between(on_alarm):
    """Real signals, at any line of a call: an inner call is refused or whole, never mixed up."""
    inner, outer = [], []

    def get(key, found):
        try:
            found.append(client.get(key))
        except KvError as error:
            found.append(type(error))

    with ServerThread() as server, SyncKvClient.connect(server.address) as client:
        client.mset({"outer": "OUTER", "inner": "INNER"})
        began = time.perf_counter()
        for _ in range(100):
            client.get("outer")
        # Under coverage a call takes a millisecond, and signals would leave no time for others.
        on_alarm(lambda: get("inner", inner), max(0.0004, 3 * (time.perf_counter() - began) / 100))
        try:
            end = time.monotonic() + 90
            while len(outer) < CALLS or len(inner) < SIGNALS_LEAST:
                if time.monotonic() > end:
                    pytest.fail(f"{len(inner)} signals in {len(outer)} calls")
                get("outer", outer)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert set(outer) == {"OUTER"}
        assert set(inner) <= {"INNER", KvReentryError} and KvReentryError in inner
        assert client.reconnects == 0, "a refused call costs no connection"


def test_the_refusal_says_who_does_that_and_what_to_do_and_nothing_was_sent(on_alarm):
    refusals = []

    def call_inside():
        signal.setitimer(signal.ITIMER_REAL, 0)
        with pytest.raises(KvReentryError) as caught:
            client.set("k", 1)
        refusals.append(str(caught.value))
        reached.set()

    def script(talk):
        talk.ask()
        assert reached.wait(5)
        talk.send(value("outer"))

    reached = threading.Event()
    with Peer(script) as peer, SyncKvClient.connect(peer.address) as client:
        on_alarm(call_inside, 0.05)
        assert client.get("k") == "outer"
        assert len(peer.requests) == 1
    for words in ("signal handler", "__del__", "a separate client", "set a flag"):
        assert words in refusals[0]


def test_a_handler_that_lets_the_refusal_out_ends_the_outer_call(on_alarm):
    """As any exception of a handler does: its connection is closed, the next call is right."""

    def call_inside():
        signal.setitimer(signal.ITIMER_REAL, 0)
        client.ping()

    with (
        Peer(lambda talk: talk.wait_for_close(), answering(value("second"))) as peer,
        SyncKvClient.connect(peer.address) as client,
    ):
        on_alarm(call_inside, 0.05)
        with pytest.raises(KvReentryError):
            client.get("first")
        assert client.get("second") == "second"


def test_closing_in_a_handler_ends_the_outer_call_with_the_reason(on_alarm):
    def close_inside():
        signal.setitimer(signal.ITIMER_REAL, 0)
        client.close()

    with Peer(lambda talk: talk.wait_for_close()) as peer:
        client = SyncKvClient.connect(peer.address, request_timeout=5)
        on_alarm(close_inside, 0.05)
        with pytest.raises(KvConnectionError, match="the client was closed"):
            client.get("k")
        wait_until(lambda: peer.closed == [0])


def test_a_destructor_that_calls_is_refused_or_whole():
    """Python runs ``__del__`` of collected cycles wherever objects are made: inside calls too."""
    seen = []

    class Node:
        def __init__(self):
            self.me = self

        def __del__(self):
            if threading.current_thread() is not threading.main_thread():
                return  # The server's thread collects too, and would wait for itself.
            try:
                seen.append(client.get("inner"))
            except KvReentryError:
                seen.append(KvReentryError)

    before = gc.get_threshold()
    with ServerThread() as server, SyncKvClient.connect(server.address) as client:
        client.mset({"outer": ["OUTER"] * 50, "inner": "INNER", "nested": [[0]] * 1000})
        try:
            gc.set_threshold(200, 1, 1)  # A thousand lists are made inside the call.
            for _ in range(100):
                Node()
                assert client.get("outer") == ["OUTER"] * 50
                assert client.get("nested") == [[0]] * 1000
        finally:
            gc.set_threshold(*before)
            gc.collect()
        assert KvReentryError in seen and set(seen) <= {"INNER", KvReentryError}


def test_a_trace_function_that_calls_at_every_line_gets_no_reply_of_the_outer_call():
    seen = []

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.endswith(("client/sync.py", "client/blocking.py")):
            return None
        sys.settrace(None)
        try:
            seen.append(client.get("inner"))
        except KvReentryError:
            seen.append(KvReentryError)
        sys.settrace(trace)
        return trace

    before = sys.gettrace()
    with ServerThread() as server, SyncKvClient.connect(server.address) as client:
        client.mset({"outer": "OUTER", "inner": "INNER"})
        try:
            sys.settrace(trace)
            found = client.get("outer")
        finally:
            sys.settrace(before)
        assert found == "OUTER"
        assert set(seen) == {"INNER", KvReentryError}, "before the outer call it is a whole one"
        assert len(seen) > 20
