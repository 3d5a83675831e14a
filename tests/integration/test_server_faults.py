"""A real server survives what clients do wrong: it lives, serves the others, and keeps its memory.

Each test starts ``kvbench serve`` as a process, does something unfriendly to it, and checks from
outside: a bystander's PING is answered throughout, and the resident memory of the process
(/proc/PID/status) stays within a stated bound. ``pytest -s`` shows the figures.
"""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from kvbench.protocol import requests as req
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import Opcode, Status
from tests.waiting import wait_until

MIB = 1 << 20
DEADLINE_S = 20.0
PING = req.empty_request(Opcode.PING)
PONG = (Status.OK, b"PONG")

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc"
)


class Client:
    """A blocking socket that sends raw bytes and receives frames."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.frames = FrameReader()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *requests):
        self.socket.sendall(b"".join(requests))

    def receive(self, count):
        """The next ``count`` frames; fewer when the server ends before."""
        found = []
        while len(found) < count and (data := self.socket.recv(MIB)):
            found += self.frames.feed(data)
        return found

    def ask(self, *requests):
        self.send(*requests)
        return self.receive(len(requests))

    def break_off(self):
        """Vanish as a killed process does when data is unread: with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Server:
    """The process under test, and a bystander whose service must not suffer."""

    def __init__(self, process, port):
        self.process, self.port = process, port
        self.bystander = Client(port)
        self.check_alive()

    def check_alive(self):
        assert self.process.poll() is None, "the server is gone"
        assert self.bystander.ask(PING) == [PONG]

    def memory_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def connections(self):
        [(status, info)] = self.bystander.ask(req.empty_request(Opcode.INFO))
        assert status == Status.OK
        return int(info.split(b'"connections_now": ')[1].split(b",")[0])

    def wait_for_connections(self, count):
        wait_until(lambda: self.connections() == count, f"there are not {count} connections")


@contextlib.contextmanager
def serving(*options):
    with subprocess.Popen(
        [
            *(sys.executable, "-c", "from kvbench.cli import main; main()"),
            *("serve", "--port", "0", "--log-level", "error", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            assert "listening on" in line, process.stderr.read()
            server = Server(process, int(line.rsplit(":", 1)[1]))
            with server.bystander:
                yield server
                server.check_alive()
                process.send_signal(signal.SIGTERM)
                assert process.wait(DEADLINE_S) == 0
                assert process.stderr.read() == "", "no error is logged for a client's fault"
        finally:
            process.kill()


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def show(request):
    """Print a figure, to be seen with ``-s``."""
    return lambda text: print(f"\n  {request.node.name}: {text}", end="")


def big_value(size):
    return req.set_request(Opcode.SET, b"", "big", b"x" * size, 0)


def test_clients_killed_in_mid_request(server, show):
    before = server.memory_mib()
    request = big_value(MIB)
    for cut in (1, 3, 5, 50, 1000, MIB // 2, MIB):
        for _ in range(10):
            client = Client(server.port)
            client.send(PING, request[:cut])
            client.break_off()
    server.wait_for_connections(1)
    assert server.bystander.ask(req.key_request(Opcode.EXISTS, b"", "big")) == [(0, b"\x00")]
    after = server.memory_mib()
    show(f"70 clients broken off, RSS {before:.0f} -> {after:.0f} MiB")
    assert after - before < 32


def test_a_client_process_killed_by_sigkill(server):
    """The real thing once: a process that dies while its request is half sent."""
    program = (
        "import socket, sys, time\n"
        f"s = socket.create_connection(('127.0.0.1', {server.port}))\n"
        "s.sendall(b'\\x02\\x00\\x10\\x00\\x00' + bytes(5000))\n"
        "print('half sent', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as client:
        assert client.stdout.readline() == b"half sent\n"
        server.wait_for_connections(2)
        client.kill()
    server.wait_for_connections(1)


def test_half_closed_clients_get_their_answers(server):
    with Client(server.port) as client:
        client.send(big_value(MIB), req.key_request(Opcode.GET, b"", "big") * 50, PING[:2])
        client.socket.shutdown(socket.SHUT_WR)
        answers = client.receive(99)
        assert [len(payload) for _, payload in answers] == [0, *[MIB + 5] * 50]
        assert client.socket.recv(1) == b""
    server.wait_for_connections(1)


def test_a_client_that_never_reads_cannot_grow_memory(server, show):
    """It asks for terabytes in replies of 16 MiB, until the server takes no more requests."""
    server.bystander.ask(big_value(MIB))
    mget = req.keys_request(Opcode.MGET, b"", ["big"] * 16)
    before = server.memory_mib()
    with Client(server.port) as deaf:
        deaf.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):  # The kernel's buffers are full: nothing more is read.
            for _ in range(500):
                deaf.send(mget * 1000)
        for _ in range(50):
            server.check_alive()
        during = server.memory_mib()
        deaf.break_off()
    server.wait_for_connections(1)
    after = server.memory_mib()
    show(f"RSS {before:.0f} -> {during:.0f} MiB while it does not read, {after:.0f} after")
    assert during - before < 4 * 16


def test_a_slow_reader_gets_every_reply_in_order(server):
    """40 MB of replies, more than the kernel holds, that it begins to read late."""
    with Client(server.port) as slow:
        requests = [
            req.key_request(Opcode.GET, b"", "big"),
            req.counter_request(Opcode.INCR, b"", "n", 1),
        ]
        slow.send(big_value(100_000), *requests * 400)
        server.check_alive()
        answers = slow.receive(801)[1:]
        assert {len(payload) for _, payload in answers[0::2]} == {100_005}
        assert [int.from_bytes(payload, "big") for _, payload in answers[1::2]] == [*range(1, 401)]


def test_a_slow_writer_delays_no_other_client(server):
    """A byte at a time, with a bystander served after each."""
    session = req.mset_request(b"", [("a", "x" * 200), ("b", 2)], 0) + PING
    with Client(server.port) as slow:
        for byte in session:
            slow.socket.send(bytes([byte]))
            server.check_alive()
        assert slow.receive(2) == [(Status.OK, b""), PONG]


@pytest.mark.parametrize("declared", [64 * MIB + 1, 0xFFFF_FFFF], ids=["64MiB+1", "4GiB"])
def test_an_oversize_frame_is_answered_and_never_buffered(server, show, declared):
    before = server.memory_mib()
    with Client(server.port) as client:
        client.send(PING, bytes([Opcode.SET]) + struct.pack(">I", declared))
        chunk = bytes(MIB)
        for _ in range(100):  # A client that sends all before it looks for an answer.
            client.send(chunk)
        during = server.memory_mib()
        [pong, (status, message)] = client.receive(2)
        assert pong == PONG
        assert status == Status.ERROR
        assert str(declared).encode() in message
        assert client.socket.recv(1) == b""
    show(f"RSS {before:.0f} -> {during:.0f} MiB with 100 MiB sent")
    assert during - before < 8
    server.wait_for_connections(1)


def test_a_declared_length_reserves_nothing(server, show):
    """100 clients announce 64 MiB each, which would be 6.4 GiB, and send 1 kB."""
    before = server.memory_mib()
    with contextlib.ExitStack() as open_clients:
        for _ in range(100):
            client = open_clients.enter_context(Client(server.port))
            client.send(bytes([Opcode.SET]) + struct.pack(">I", 64 * MIB) + bytes(1000))
        server.wait_for_connections(101)
        during = server.memory_mib()
    show(f"RSS {before:.0f} -> {during:.0f} MiB with 100 open frames of 64 MiB")
    assert during - before < 16


def test_ten_thousand_garbage_frames(server, show):
    """Whole frames of random opcode and payload: each gets an answer, in order."""
    rng = random.Random(16380)
    frames = []
    for _ in range(10_000):
        payload = rng.randbytes(rng.choice((0, 1, 2, 3, 8, 20, 300)))
        frames.append(bytes([rng.randrange(256)]) + struct.pack(">I", len(payload)) + payload)
    before = server.memory_mib()
    with Client(server.port) as client:
        answers = []
        for start in range(0, len(frames), 500):
            answers += client.ask(*frames[start : start + 500])
        assert client.ask(PING) == [PONG]
    counts = {status.name: [s for s, _ in answers].count(status) for status in Status}
    after = server.memory_mib()
    show(f"{counts}, RSS {before:.0f} -> {after:.0f} MiB")
    assert len(answers) == 10_000
    assert counts["INVALID"] > 9_000
    assert after - before < 16


def test_streams_of_noise(server):
    """Bytes without any frames: whatever is answered, the connection ends and the server lives."""
    rng = random.Random(1)
    for _ in range(200):
        with Client(server.port) as client, contextlib.suppress(ConnectionError):
            client.send(rng.randbytes(2000))
            client.socket.shutdown(socket.SHUT_WR)
            assert {status for status, _ in client.receive(9999)} <= set(Status)
    server.wait_for_connections(1)


def test_five_hundred_connections_at_once(server, show):
    before = server.memory_mib()
    with contextlib.ExitStack() as open_clients:
        clients = [open_clients.enter_context(Client(server.port)) for _ in range(500)]
        for number, client in enumerate(clients):
            client.send(req.counter_request(Opcode.INCR, b"", f"n{number % 7}", 1), PING)
        for client in clients:
            assert [status for status, _ in client.receive(2)] == [Status.OK, Status.OK]
        assert server.connections() == 501
        during = server.memory_mib()
    server.wait_for_connections(1)
    show(f"RSS {before:.0f} -> {during:.0f} MiB")
    assert during - before < 32


def test_a_flood_over_the_limit_is_turned_away_and_the_served_stay_served():
    with serving("--max-connections", "10") as server, contextlib.ExitStack() as open_clients:
        served = [open_clients.enter_context(Client(server.port)) for _ in range(9)]
        for client in served:
            assert client.ask(PING) == [PONG]
        rejected = 0
        for _ in range(200):
            client = open_clients.enter_context(Client(server.port))
            with contextlib.suppress(ConnectionError):
                rejected += [status for status, _ in client.receive(1)] == [Status.ERROR]
        assert rejected >= 50, "the first of them get the reason"
        for client in served:
            assert client.ask(PING) == [PONG]
