"""``kvbench serve`` as a process: its one line, its signals, its exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from kvbench.cli.serve import command
from kvbench.protocol import requests as req
from kvbench.protocol.frames import FrameReader, frame
from kvbench.protocol.opcodes import Opcode, Status
from tests.waiting import wait_until

KVBENCH = [sys.executable, "-c", "from kvbench.cli import main; main()"]
INCR = req.counter_request(Opcode.INCR, b"", "n", 1)
DEADLINE_S = 10.0


@contextlib.contextmanager
def serving(*options):
    """A server process and its port; killed and reaped in the end, whatever happened."""
    with subprocess.Popen(
        [*KVBENCH, "serve", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("kvbench server listening on 127.0.0.1:"), process.stderr.read()
            yield process, int(line.rsplit(":", 1)[1])
        finally:
            process.kill()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)


def receive(client, count):
    """The next ``count`` frames; fewer when the server ends before."""
    reader, found = FrameReader(), []
    while len(found) < count and (data := client.recv(1 << 16)):
        found += reader.feed(data)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number):
    with serving("--log-level", "info") as (process, port), connect(port) as client:
        client.sendall(INCR)
        assert len(receive(client, 1)) == 1
        client.sendall(INCR * 1000)
        process.send_signal(number)
        answers = receive(client, 2000)
        assert [int.from_bytes(payload, "big") for _, payload in answers] == list(range(2, 1002))
        assert process.wait(DEADLINE_S) == 0
        assert process.stdout.read() == "", "standard output has one line"
        log = process.stderr.read()
        assert "stopping connections=1" in log
        assert "Traceback" not in log


def test_a_second_signal_stops_it_at_once():
    """A client that does not take 100 MB of replies holds the first stop up for two seconds."""
    with serving() as (process, port), connect(port) as deaf:
        deaf.sendall(req.set_request(Opcode.SET, b"", "big", bytes(1 << 20), 0))
        assert receive(deaf, 1)[0][0] == Status.OK
        deaf.sendall(req.key_request(Opcode.GET, b"", "big") * 100)
        assert deaf.recv(1)
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(ConnectionError):
            while True:  # Refused connections show that the first signal has arrived.
                connect(port).close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 128 + signal.SIGTERM, "0 is the end of an orderly stop"


def test_a_taken_port_is_one_clear_line_and_exit_code_4():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*KVBENCH, "serve", "--port", port], capture_output=True, text=True, timeout=DEADLINE_S
        )
    assert done.returncode == 4
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in line
    assert "--port" in line


def test_json_logs_are_json_lines():
    with serving("--json-logs", "--log-level", "debug", "--max-payload", "4KiB") as (process, port):
        with connect(port) as client:
            client.sendall(bytes([Opcode.SET]) + (4097).to_bytes(4, "big"))
            [(status, message)] = receive(client, 1)
            assert status == Status.ERROR
            assert b"4096" in message
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
        entries = [json.loads(line) for line in process.stderr.read().splitlines()]
    ours = [entry for entry in entries if entry["logger"] == "kvbench.server"]
    assert [entry["message"] for entry in ours if entry["level"] == "info"] == [
        "ready",
        "stopping",
        "stopped",
    ]
    assert any(entry["level"] == "warning" and "4097" in entry["message"] for entry in ours)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (["--max-payload", "4x"], "64MiB"),
        (["--max-payload", "4iB"], "64MiB"),
        (["--max-payload", "12"], "max-payload"),
        (["--port", "70000"], "65535"),
        (["--max-connections", "0"], "1"),
        (["--max-connections", "999999999"], "ulimit -n"),
        (["--idle-timeout", "nan"], "idle-timeout"),
        (["--frame-timeout", "inf"], "frame-timeout"),
        (["--log-level", "loud"], "debug"),
    ],
    ids=lambda argument: " ".join(argument) if isinstance(argument, list) else "",
)
def test_a_bad_option_is_one_clear_line_and_exit_code_2(options, advice):
    done = subprocess.run(
        [*KVBENCH, "serve", "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert advice in line


@pytest.mark.parametrize(
    ("size", "limit"), [("2000", 2000), ("4kB", 4000), ("4 KiB", 4096), ("1m", 1_000_000)]
)
def test_sizes_are_read_as_people_write_them(size, limit):
    with serving("--max-payload", size) as (_, port), connect(port) as client:
        for length, expected in ((limit, Status.INVALID), (limit + 1, Status.ERROR)):
            client.sendall(bytes([0x99]) + length.to_bytes(4, "big") + bytes(length))
            assert receive(client, 1)[0][0] == expected


def info(client):
    client.sendall(req.empty_request(Opcode.INFO))
    [(status, payload)] = receive(client, 1)
    assert status == Status.OK
    return json.loads(payload)


def test_a_standard_error_that_is_never_read_freezes_nothing():
    """1,682 refused connections with all of the log switched on, into a pipe that nobody reads."""
    options = ("--max-connections", "1", "--log-level", "debug")
    with serving(*options) as (process, port), connect(port) as served:
        assert info(served)["connections_now"] == 1
        for _ in range(1682):
            with connect(port) as refused, contextlib.suppress(ConnectionError):
                refused.recv(100)
        counts = info(served)
        assert counts["connections_refused"] == 1682
        assert counts["log_lines_dropped"] > 500
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


def test_a_full_pipe_of_standard_error_freezes_nothing():
    """As before, where the pipe is full from the first line on."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, b"x" * 4096):
            pass
    os.set_blocking(writing, True)
    arguments = [*KVBENCH, "serve", "--port", "0", "--log-level", "debug"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=writing, text=True) as process:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        for _ in range(2000):
            connect(port).close()
        with connect(port) as client:
            assert info(client)["log_lines_dropped"] > 100
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "::ffff:192.0.2.7"])
def test_an_address_beyond_loopback_needs_an_option(host):
    """Protected mode: exit code 2, one line with the reason and the option."""
    done = subprocess.run(
        [*KVBENCH, "serve", "--port", "0", "--host", host],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert "no password" in line
    assert "--no-protected-mode" in line


def test_protected_mode_can_be_lifted():
    arguments = [*KVBENCH, "serve", "--port", "0", "--host", "0.0.0.0", "--no-protected-mode"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline().rsplit(":", 1)[1])
            with connect(port) as client:
                assert info(client)["connections_now"] == 1
        finally:
            process.kill()


def is_served(port):
    with connect(port) as late, contextlib.suppress(ConnectionError):
        late.sendall(INCR)
        return [status for status, _ in receive(late, 1)] == [Status.OK]
    return False


@pytest.mark.parametrize("sent", [b"", b"\x02\x00"], ids=["silent", "unfinished"])
def test_sockets_that_are_silent_do_not_shut_everyone_out(sent):
    """They take all connections, and are closed when their time is over."""
    limits = ("--max-connections", "20", "--idle-timeout", "0.8", "--frame-timeout", "0.4")
    with serving(*limits) as (_, port), contextlib.ExitStack() as open_clients:
        for _ in range(20):
            open_clients.enter_context(connect(port)).sendall(sent)
        wait_until(lambda: is_served(port), "the connections were not closed", pause_s=0.05)


def test_a_byte_now_and_then_keeps_no_connection():
    """Each is a sign of life, but the request does not come to its end."""
    limits = ("--idle-timeout", "0.5", "--frame-timeout", "1")
    with serving(*limits) as (_, port), connect(port) as trickler:
        trickler.sendall(b"\x02\x00\x10\x00\x00")
        trickled = 0
        with pytest.raises(ConnectionError):
            while trickled < 0x1000:
                trickled += trickler.send(b"x")
                time.sleep(0.1)
        assert trickled > 5, "the idle timeout has not ended it"


def test_it_ends_in_time_with_a_request_under_way():
    """SIGTERM while 20 MB of Decimals are being compared: the drain time is 2 s."""
    item, other = b"\x03\x00\x041.25", b"\x03\x00\x051.250"
    count = 3_000_000
    stored = b"\x06" + count.to_bytes(4, "big") + item * count
    expected = stored[:5] + other * count
    head = b"\x00\x01k" + bytes(8)
    with serving() as (process, port), connect(port) as client:
        client.settimeout(6 * DEADLINE_S)  # The pure codec, counted for coverage, takes its time.
        client.sendall(frame(Opcode.SET, head + stored))
        assert receive(client, 1)[0][0] == Status.OK
        client.sendall(frame(Opcode.CAS, head + expected + b"\x00"))
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


def test_the_help_has_examples():
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert "kvbench serve --port 0" in result.output
