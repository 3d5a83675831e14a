"""Who listens at an address: a server of the family, nobody, somebody silent, or another protocol.

The others are real servers where one runs on this machine.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest

from kvbench.conformance.wire.frames import HEADER_BYTES
from kvbench.conformance.wire.presence import LINE, TLS_RECORD, Absence, recognised, why_absent
from kvbench.local_server import free_port
from tests.conformance.broken_servers import ThreadedDispatcher, serving
from tests.foreign_stores import http_server, memcached_server, redis_server, tls_server


@contextmanager
def greeting(words):
    """Says something to whoever connects."""
    with ExitStack() as kept:
        server = kept.enter_context(socket.create_server(("127.0.0.1", 0)))

        def greet():
            with suppress(OSError):
                while True:
                    kept.enter_context(server.accept()[0]).sendall(words)

        thread = threading.Thread(target=greet)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def at(place):
    host, _, port = place.rpartition("://")[2].partition(":")
    return host, int(port)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (redis_server, "this looks like Redis: use redis://{}"),
        (memcached_server, "this looks like memcached: use memcached://{}"),
        (http_server, "this looks like an HTTP server"),
        (lambda: greeting(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "this looks like an SSH server"),
        (lambda: greeting(b"220 mail.example ESMTP\r\n"), "this looks like a mail or FTP server"),
        (lambda: greeting(b"HTTP/1.1 400 Bad Request\r\n"), "this looks like an HTTP server"),
    ],
    ids=["redis", "memcached", "http.server", "SSH", "SMTP", "HTTP"],
)
def test_other_protocols_are_named(start, words):
    with start() as place:
        host, port = at(place)
        absent = why_absent((host, port), 5.0)
    assert absent.how is Absence.OTHER_PROTOCOL
    assert words.format(f"{host}:{port}") in str(absent)


def test_a_server_that_closes_on_what_is_no_tls(tmp_path):
    with tls_server(tmp_path) as place:
        assert "this looks like TLS" in str(why_absent(at(place), 5.0))


def test_nobody_there():
    absent = why_absent(("127.0.0.1", free_port()), 1.0)
    assert absent.how is Absence.UNREACHABLE
    assert "refused" in str(absent)


def test_somebody_silent_is_told_within_one_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        absent = why_absent(silent.getsockname(), 1.5)
    assert absent.how is Absence.SILENT
    assert "has not answered a GET within 1.5 s" in str(absent)


def test_somebody_who_accepts_no_connection_has_not_ended():
    with ExitStack() as held:
        full = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        absent = why_absent(full.getsockname(), 0.3)
    assert absent.how is Absence.SILENT
    assert "no connection: timed out" in str(absent)


class Slow(ThreadedDispatcher):
    """Takes its time for each answer."""

    def handle(self, opcode, payload):
        time.sleep(1.3)
        return super().handle(opcode, payload)


def test_slow_is_not_silent():
    with serving(Slow()) as port:
        assert why_absent(("127.0.0.1", port), 5.0) is None
        assert why_absent(("127.0.0.1", port), 0.2, patience_s=5.0) is None


def test_a_server_of_the_family_is_there():
    with serving(ThreadedDispatcher()) as port:
        assert why_absent(("127.0.0.1", port), 1.0) is None


def test_what_is_sent_to_strangers_is_no_request_of_ours():
    assert len(LINE) < HEADER_BYTES
    declared = int.from_bytes(TLS_RECORD[1:HEADER_BYTES], "big")
    assert declared > len(TLS_RECORD) - HEADER_BYTES


@pytest.mark.parametrize("status", range(5))
def test_no_answer_of_ours_is_taken_for_another_protocol(status):
    for rest in (b"", b"\0\0\0\4PONG", b"\0\0\0\x0e-ERR ERROR\r\n x"):
        assert recognised(bytes([status]) + rest, "x") == ""
