"""The proxy between real sockets: what it adds, what it passes through, what it bounds."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kvbench.errors import KvConnectionError, UsageError
from kvbench.local_server import SERVER_CPUS_VARIABLE
from kvbench.proxy import Conditions, running
from tests.proxy.proxy_peers import (
    DEADLINE_S,
    connect,
    echo,
    memory_bytes,
    proxying,
    receive,
    reset_on_close,
    round_trip_s,
    serving,
)
from tests.waiting import wait_until

MEGABYTE = 1_000_000
BLOB = os.urandom(MEGABYTE)


@pytest.fixture(scope="module")
def echo_address():
    with serving(echo) as address:
        yield address


def send_in_background(client, data):
    def send():
        with contextlib.suppress(OSError):  # The receiver, or what is between, ends it.
            client.sendall(data)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def test_what_goes_in_comes_out(echo_address):
    data = BLOB * 8
    with running(echo_address) as proxy, connect(proxy.address) as client:
        sender = send_in_background(client, data)
        assert receive(client, len(data)) == data
        sender.join()


def test_a_new_delay_holds_from_the_next_chunk_on(echo_address):
    """With the first delay, the second reply would come after the client's time is over."""
    assert DEADLINE_S < 30
    with running(echo_address) as proxy, connect(proxy.address) as client:
        proxy.set_delay(100_000_000)
        assert round_trip_s(client, 1) > 0.1
        proxy.set_delay(30_000_000_000)
        proxy.set_delay(1_000_000)
        assert round_trip_s(client, 5) > 0.001
        with pytest.raises(UsageError):
            proxy.set_delay(-1)


def test_a_shorter_delay_does_not_overtake():
    """What was sent at the long delay still arrives first."""
    with (
        serving(lambda peer: peer.sendall(receive(peer, 2))) as target,
        running(target, Conditions(delay_ns=300_000_000)) as proxy,
        connect(proxy.address) as client,
    ):
        client.sendall(b"1")
        time.sleep(0.05)
        proxy.set_delay(0)
        client.sendall(b"2")
        assert receive(client, 2) == b"12"


def test_data_in_flight_is_delayed_not_serialised():
    """64 MB at 100 ms: one delay for all of it, not one for each of its hundreds of chunks.

    These would take longer together than the client waits.
    """
    with (
        serving(lambda peer: peer.sendall(receive(peer, 64 * MEGABYTE)[:1])) as target,
        running(target, Conditions(delay_ns=100_000_000)) as proxy,
        connect(proxy.address) as client,
    ):
        start = time.monotonic()
        sender = send_in_background(client, BLOB * 64)
        assert receive(client, 1) == BLOB[:1]
        sender.join()
        assert time.monotonic() - start > 0.1


def test_jitter_keeps_order(echo_address):
    with (
        running(echo_address, Conditions(jitter_ns=5_000_000)) as proxy,
        connect(proxy.address) as client,
    ):
        data = b"".join(number.to_bytes(4, "big") for number in range(2000))

        def send():
            for start in range(0, len(data), 40):
                client.sendall(data[start : start + 40])
                time.sleep(0.0005)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        assert receive(client, len(data)) == data
        sender.join()
        times_s = [round_trip_s(client, 1) for _ in range(40)]
    assert max(times_s) - min(times_s) > 0.001, "the same time for all is no jitter"


def test_the_bandwidth_is_shared_by_all_connections():
    """Two downloads of 0.5 MB at 2 MB/s take half a second together, and not a quarter each."""

    def send_half(peer):
        peer.sendall(BLOB[: MEGABYTE // 2])

    ends_s = []
    with (
        serving(send_half) as target,
        running(target, Conditions(bandwidth_bytes_per_s=2 * MEGABYTE)) as proxy,
        connect(proxy.address) as one,
        connect(proxy.address) as other,
    ):
        start = time.monotonic()

        def download(client):
            assert receive(client) == BLOB[: MEGABYTE // 2]
            ends_s.append(time.monotonic() - start)

        threads = [threading.Thread(target=download, args=(client,)) for client in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ends_s) == 2
    assert max(ends_s) > 0.45


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_is_cut_after_so_many_bytes(reset):
    """The client gets exactly these, then an end or a reset, and the server's connection ends too.

    The next connection is as good as the first.
    """
    server_saw = []

    def send_much(peer):
        peer.recv(1)
        peer.sendall(BLOB)
        try:
            server_saw.append(peer.recv(1))
        except ConnectionError as error:
            server_saw.append(error)

    with (
        serving(send_much) as target,
        running(target, Conditions(cut_after_bytes=70_001, reset=reset)) as proxy,
    ):
        for attempt in (1, 2):
            with connect(proxy.address) as client:
                client.sendall(b"x")
                assert receive(client, 70_001) == BLOB[:70_001]
                if reset:
                    with pytest.raises(ConnectionResetError):
                        client.recv(1)
                else:
                    assert client.recv(1) == b""
            wait_until(lambda: len(server_saw) >= attempt, "the server was not cut off")  # noqa: B023


@pytest.mark.parametrize("reset", [(), ("--reset",)], ids=["close", "reset"])
def test_a_cut_with_much_on_its_way_is_no_error_of_the_proxy(reset):
    """Both directions are busy when one of them is cut, and what is late finds its sink closing."""

    def send_and_read(peer):
        send_in_background(peer, BLOB * 8)
        receive(peer)

    with (
        serving(send_and_read) as target,
        proxying(target, "--delay", "1ms", "--cut-after", "3MB", *reset) as (process, address),
    ):
        for _ in range(5):
            with connect(address) as client, contextlib.suppress(ConnectionError):
                sender = send_in_background(client, BLOB * 8)
                receive(client)
            sender.join()
        process.terminate()
        assert process.wait(5) == 0
        assert process.stderr.read() == ""


def test_requests_are_cut_as_well():
    got = []
    with (
        serving(lambda peer: got.append(receive(peer))) as target,
        running(target, Conditions(cut_after_bytes=10)) as proxy,
        connect(proxy.address) as client,
    ):
        client.sendall(b"0123456789abc")
        assert receive(client) == b""
        wait_until(lambda: any(got))
    assert b"".join(got) == b"0123456789"


def test_reset_alone_resets_at_the_first_byte(echo_address):
    with (
        running(echo_address, Conditions(reset=True)) as proxy,
        connect(proxy.address) as client,
    ):
        client.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


@pytest.mark.parametrize("delay_ns", [0, 20_000_000])
def test_a_half_close_passes_through(delay_ns):
    def answer_at_the_end(peer):
        peer.sendall(receive(peer)[::-1])

    with (
        serving(answer_at_the_end) as target,
        running(target, Conditions(delay_ns=delay_ns)) as proxy,
        connect(proxy.address) as client,
    ):
        client.sendall(b"abc")
        client.shutdown(1)
        assert receive(client) == b"cba"


@pytest.mark.parametrize("delay_ns", [0, 20_000_000])
def test_a_reset_by_the_target_passes_through_after_its_data(delay_ns):
    def answer_and_reset(peer):
        peer.recv(1)
        peer.sendall(b"last words")
        time.sleep(0.05)
        reset_on_close(peer)

    with (
        serving(answer_and_reset) as target,
        running(target, Conditions(delay_ns=delay_ns)) as proxy,
        connect(proxy.address) as client,
    ):
        client.sendall(b"x")
        assert receive(client, 10) == b"last words"
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_client_that_goes_away_is_gone_for_the_target_too():
    gone = threading.Event()

    def wait_for_the_end(peer):
        try:
            receive(peer)
        finally:
            gone.set()

    with serving(wait_for_the_end) as target, running(target) as proxy:
        with connect(proxy.address) as client:
            client.sendall(b"x")
            time.sleep(0.05)
            reset_on_close(client)
        assert gone.wait(5)


@pytest.mark.parametrize(
    "options", [(), ("--delay", "2s"), ("--bandwidth", "1MB/s")], ids=["plain", "delay", "slow"]
)
def test_a_client_that_floods_and_does_not_read_is_bounded(echo_address, options):
    """Up to 16 MiB are held for it, and what sockets hold; then its own send stops.

    A proxy without back-pressure would take all 256 MB.
    """
    with proxying(echo_address, *options) as (process, address), connect(address) as client:
        round_trip_s(client, 1)
        before = memory_bytes(process.pid)
        # Else the kernel lets its buffers grow as the machine's load has it.
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            client.setsockopt(socket.SOL_SOCKET, buffer, MEGABYTE // 4)
        client.settimeout(1.0)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256 * MEGABYTE:
                sent += client.send(BLOB)
        assert sent < 64 * MEGABYTE
        assert memory_bytes(process.pid) - before < 64 * MEGABYTE


def test_nothing_is_lost_when_a_flood_is_read_after_all(echo_address):
    data = BLOB * 128  # Four sockets and two pipes together can hold some 50 MB.
    with (
        running(echo_address, Conditions(delay_ns=1_000_000)) as proxy,
        connect(proxy.address) as client,
    ):
        sender = send_in_background(client, data)
        time.sleep(0.5)
        assert sender.is_alive(), "it all fitted: no test of back-pressure"
        assert receive(client, len(data)) == data
        sender.join()


def test_a_target_that_is_down_is_one_clear_error():
    with serving(echo) as address:
        pass
    with (
        pytest.raises(KvConnectionError, match=f"cannot reach the target {address}: Conn"),
        running(address),
    ):
        pass


@pytest.mark.parametrize(
    ("target", "reason"),
    [("localhost:1", "Connection refused"), ("no-such-host.invalid:1", "")],
)
def test_a_target_by_name_that_cannot_be_reached(target, reason):
    """A name may have several addresses, and so several errors, or none."""
    with pytest.raises(KvConnectionError) as failed, running(target):
        pass
    assert f"cannot reach the target {target}: {reason}" in str(failed.value)
    assert "Errno" not in str(failed.value)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_a_target_may_have_an_ipv6_address():
    with (
        serving(echo, host="::1") as target,
        running(target) as proxy,
        connect(proxy.address) as client,
    ):
        round_trip_s(client, 1)


def test_a_target_that_goes_down_resets_clients_and_may_come_back():
    """One line for a target that is lost, however many clients notice; one more the next time."""

    def refused():
        with pytest.raises(ConnectionResetError), connect(address) as client:
            client.recv(1)

    with contextlib.ExitStack() as stack:
        with serving(echo) as target:
            process, address = stack.enter_context(proxying(target))
            with connect(address) as client:
                round_trip_s(client, 1)
        for _ in range(2):
            for _ in range(3):
                refused()
            with serving(echo, port=int(target.split(":")[1])), connect(address) as client:
                round_trip_s(client, 1)
        process.terminate()
        assert process.wait(5) == 0
        lines = process.stderr.read().splitlines()
    assert len(lines) == 2
    assert all(
        f"kvbench: cannot reach the target {target}: Connection refused" in one for one in lines
    )


def test_the_proxy_ends_with_its_parent(echo_address):
    code = (
        "import sys, time\n"
        "from kvbench.proxy import running\n"
        "with running(sys.argv[1]) as proxy:\n"
        "    print(proxy.address, flush=True)\n"
        "    time.sleep(300)\n"
    )
    command = [sys.executable, "-c", code, echo_address]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent,
        connect(parent.stdout.readline().strip()) as client,
    ):
        round_trip_s(client, 1)
        os.kill(parent.pid, signal.SIGKILL)
        assert receive(client) == b""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="CPU affinity is Linux's")
def test_the_proxy_runs_where_servers_are_placed(echo_address, monkeypatch):
    cpu = max(os.sched_getaffinity(0))
    monkeypatch.setenv(SERVER_CPUS_VARIABLE, str(cpu))
    with running(echo_address) as proxy:
        guard = proxy._process._process.pid
        children = Path(f"/proc/{guard}/task/{guard}/children").read_text().split()
        assert [os.sched_getaffinity(int(pid)) for pid in children] == [{cpu}]


def test_a_proxy_that_has_ended_cannot_be_set(echo_address):
    with running(echo_address) as proxy:
        pass
    with pytest.raises(KvConnectionError, match="has ended"):
        proxy.set_delay(1)
