"""What the proxy's tests put on its two sides: servers in threads, clients, the proxy's process."""

from __future__ import annotations

import contextlib
import re
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from kvbench.proxy.target import format_address

KVBENCH = [sys.executable, "-P", "-m", "kvbench", "proxy"]
DEADLINE_S = 10.0


def echo(peer):
    while data := peer.recv(1 << 16):
        peer.sendall(data)


@contextlib.contextmanager
def serving(serve, port=0, host="127.0.0.1"):
    """A server whose every connection is a thread in ``serve(socket)``; yields ``host:port``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    peers = []

    def serve_one(peer):
        with contextlib.suppress(OSError), peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            serve(peer)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                peers.append(peer)
                threading.Thread(target=serve_one, args=(peer,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield format_address(*listener.getsockname()[:2])
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(DEADLINE_S)
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxying(target, *options, stdin=subprocess.DEVNULL):
    """A proxy's process and its address; killed and reaped in the end, whatever happened."""
    with subprocess.Popen(
        [*KVBENCH, target, *options],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("kvbench proxy listening on 127.0.0.1:"), process.stderr.read()
            yield process, line.split()[-1]
        finally:
            process.kill()


def connect(address):
    host, port = address.rsplit(":", 1)
    client = socket.create_connection((host, int(port)), timeout=DEADLINE_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def receive(client, size=None):
    """``size`` bytes, or all until the end when it is None; fewer when the end comes before."""
    chunks, left = [], size
    while left != 0 and (data := client.recv(min(left or 1 << 18, 1 << 18))):
        chunks.append(data)
        left = None if left is None else left - len(data)
    return b"".join(chunks)


def round_trip_s(client, times):
    """Median of one byte there and back."""
    samples = []
    for _ in range(times):
        start = time.perf_counter()
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)


def reset_on_close(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def memory_bytes(pid):
    """The most that a process has ever held in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
