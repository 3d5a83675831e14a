"""A connection of the wire suite follows the client protocol: a target that breaks it fails.

Against a socket that answers by a script.
"""

from __future__ import annotations

import itertools

import pytest

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.connection import RequestCount, WireConnection
from kvbench.conformance.wire.trace import Trace
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Opcode, Status
from tests.client.client_peers import Peer

PING, PONG = frame(Opcode.PING, b""), frame(Status.OK, b"PONG")


def connected(peer):
    host, _, port = peer.address.rpartition(":")
    return WireConnection((host, int(port)), "a", Trace(), lambda data, pieces: None, 5.0)


def says(data):
    def script(talk):
        talk.ask()
        talk.send(data)
        talk.wait_for_close()

    return script


def test_a_request_counts_from_the_last_byte_of_its_header_on_at_every_cut():
    stream = PING + frame(Opcode.GET, b"key") + b"\x02\xff\xff\xff\xff" + b"endless" * 3
    ends = [5, 10, 18]
    for first, second in itertools.combinations(range(len(stream) + 1), 2):
        count, begun = RequestCount(), 0
        edges = [0, first, second, len(stream)]
        for start, end in itertools.pairwise(edges):
            begun += count.feed(stream[start:end])
            assert begun == sum(place <= end for place in ends)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (PONG * 2, "more responses came than were due"),
        (PONG + b"\x00", "more responses came than were due"),
        (frame(Status.NULL, b"x"), "a NULL came with a payload"),
        (b"\x00\xff\xff\xff\xff", "over the limit"),
    ],
)
def test_what_a_client_would_not_believe_fails_a_case(said, words):
    with Peer(says(said)) as peer:
        connection = connected(peer)
        connection.send(PING)
        with pytest.raises(CaseFailed, match=words):
            connection.read()
        connection.close()


def test_a_target_that_turns_the_connection_away_says_why():
    def script(talk):
        talk.send(frame(Status.ERROR, b"too many"))
        talk.wait_for_close()

    with Peer(script) as peer:
        connection = connected(peer)
        with pytest.raises(CaseFailed, match="turned the connection away: too many"):
            connection.read()
        connection.close()


def test_a_request_may_be_refused_by_its_header_alone_and_replies_come_as_they_are_read():
    def script(talk):
        talk.stream.recv(1 << 16)
        talk.send(PONG + frame(Status.ERROR, b"too large"))
        talk.wait_for_close()

    with Peer(script) as peer:
        connection = connected(peer)
        connection.send(PING + b"\x02\xff\xff\xff\xff" + b"begin")
        assert connection.read().payload == b"PONG"
        assert connection.read().status == Status.ERROR
        connection.close()
