"""``kvbench serve`` as a process: its one line, its signals, its exit codes."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from kvbench.cli.serve import command
from kvbench.protocol import requests as req
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import Opcode, Status

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
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 128 + signal.SIGTERM
        assert time.monotonic() - begin < 1.0


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


def test_the_help_has_examples():
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert "kvbench serve --port 0" in result.output
