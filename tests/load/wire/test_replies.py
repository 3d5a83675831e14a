"""Answers are counted alike however the stream is cut, and only answers to the call are accepted.

The replies are written out by hand from each protocol's specification.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench.errors import ProtocolError, UnsupportedError, UsageError
from kvbench.load.calls import Call, Op
from kvbench.load.wire.endpoint import endpoint
from kvbench.load.wire.memcached import MemcachedDialect
from kvbench.load.wire.replies import LINE_BYTES_MAX, Dialect, Replies

URLS = {"redis": "redis://h", "memcached": "memcached://h", "kvb": "kvb://h"}
KEYS = ["a", "b", "c", "d"]
VALUES = [b"1", b"22", b"", b"4444"]


def framed(status: int, payload: bytes = b"") -> bytes:
    return bytes([status]) + len(payload).to_bytes(4, "big") + payload


def typed(value: bytes) -> bytes:
    return b"\x05" + len(value).to_bytes(4, "big") + value


ANSWERS = {
    # protocol, operation, keys in a request: the answer, hits, misses, kinds of errors
    ("redis", Op.GET, 1): (b"$1\r\nx\r\n$-1\r\n$2\r\n\r\n\r\n-OOM no memory\r\n", 2, 1, ["OOM"]),
    ("redis", Op.GET, 2): (b"*2\r\n$1\r\nx\r\n$-1\r\n*2\r\n$3\r\nabc\r\n$0\r\n\r\n", 3, 1, []),
    ("redis", Op.SET, 1): (b"+OK\r\n-ERR no\r\n-no code\r\n+OK\r\n", 0, 0, ["ERR", "ERR"]),
    ("redis", Op.SET, 2): (b"+OK\r\n-MOVED 1 h:1\r\n", 0, 0, ["MOVED"]),
    ("redis", Op.DELETE, 1): (b":1\r\n:0\r\n:1\r\n:1\r\n", 3, 1, []),
    ("redis", Op.DELETE, 4): (b":3\r\n", 3, 1, []),
    ("redis", Op.EXISTS, 4): (b":1\r\n:0\r\n:0\r\n:1\r\n", 2, 2, []),
    ("memcached", Op.GET, 1): (b"VA 1\r\nx\r\nEN\r\nVA 4\r\nEN\r\n\r\nSERVER_ERROR x\r\n", 2, 1,
                               ["SERVER_ERROR"]),
    ("memcached", Op.GET, 2): (b"VALUE a 0 5\r\nEND\r\n\r\nEND\r\nVALUE c 0 0\r\n\r\n"
                               b"VALUE d 0 1\r\nx\r\nEND\r\n", 3, 1, []),
    ("memcached", Op.SET, 2): (b"STORED\r\nSERVER_ERROR out of memory\r\nSTORED\r\nNOT_STORED\r\n",
                               0, 0, ["SERVER_ERROR", "NOT_STORED"]),
    ("memcached", Op.SET, 1): (b"STORED\r\nCLIENT_ERROR bad data\r\n", 0, 0, ["CLIENT_ERROR"] * 3),
    ("memcached", Op.DELETE, 4): (b"DELETED\r\nNOT_FOUND\r\nDELETED\r\nDELETED\r\n", 3, 1, []),
    ("memcached", Op.EXISTS, 2): (b"HD\r\nEN\r\nEN\r\nHD\r\n", 2, 2, []),
    ("kvb", Op.GET, 1): (framed(0, typed(b"x")) + framed(1) + framed(0, b"\x01" + bytes(8))
                         + framed(2, b"full"), 2, 1, ["ERROR"]),
    ("kvb", Op.GET, 2): (framed(0, b"\x00\x02" + typed(b"xy") + b"\x00")
                         + framed(0, b"\x00\x02" + b"\x08\x01" + typed(b"")), 3, 1, []),
    ("kvb", Op.SET, 1): (framed(0) + framed(2, b"no") + framed(0) + framed(3), 0, 0,
                         ["ERROR", "INVALID"]),
    ("kvb", Op.SET, 4): (framed(0), 0, 0, []),
    ("kvb", Op.DELETE, 1): (framed(0, b"\x01") + framed(0, b"\x00") * 3, 1, 3, []),
    ("kvb", Op.DELETE, 2): (framed(0, bytes([0, 0, 0, 2])) + framed(0, bytes([0, 0, 0, 1])), 3, 1,
                            []),
    ("kvb", Op.EXISTS, 1): (framed(0, b"\x01") * 4, 4, 0, []),
    ("kvb", Op.EXISTS, 4): (framed(0, b"\x00\x04\x01\x00\x00\x01"), 2, 2, []),
}  # fmt: skip


def dialect(protocol: str) -> Dialect:
    return endpoint(URLS[protocol]).dialect


def waiting(protocol: str, op: Op, batch_size: int) -> Replies:
    """A reader that waits for the answer to a call with all keys."""
    speaker = dialect(protocol)
    values = VALUES if op.writes_values else []
    replies = speaker.replies()
    replies.begin(speaker.prepare(Call(op, KEYS, values), batch_size).expected)
    return replies


def counted(replies: Replies) -> tuple[int, int, list[str]]:
    return replies.hits, replies.misses, replies.failures


cases = pytest.mark.parametrize("case", ANSWERS, ids=lambda case: "-".join(map(str, case)))


@cases
@given(data=st.data())
def test_an_answer_is_counted_alike_in_any_pieces(case, data):
    answer, *expected = ANSWERS[case]
    cuts = data.draw(st.sets(st.integers(1, len(answer) - 1)).map(sorted))
    places = [0, *cuts, len(answer)]
    pieces = [answer[start:end] for start, end in pairwise(places)]
    replies = waiting(*case)
    assert [replies.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert counted(replies) == tuple(expected)


@cases
def test_an_answer_is_complete_with_its_last_byte_and_not_before(case):
    answer, *expected = ANSWERS[case]
    replies = waiting(*case)
    assert [replies.feed(answer[at : at + 1]) for at in range(len(answer))].index(True) == (
        len(answer) - 1
    )
    assert counted(replies) == tuple(expected)


# After CLIENT_ERROR memcached's stream is out of step, and is closed whatever follows.
IN_STEP = [case for case, (answer, *_) in ANSWERS.items() if b"CLIENT_ERROR" not in answer]


@pytest.mark.parametrize("case", IN_STEP, ids=lambda case: "-".join(map(str, case)))
def test_nothing_may_follow_an_answer(case):
    with pytest.raises(ProtocolError, match="follow the last reply"):
        waiting(*case).feed(ANSWERS[case][0] + b"+")


@cases
def test_a_whole_answer_without_an_error_teaches_its_shape(case):
    answer, hits, misses, failures = ANSWERS[case]
    replies = waiting(*case)
    assert replies.feed(answer)
    assert list(replies.expected.shapes) == ([] if failures else [len(answer)])
    for shape in replies.expected.shapes.values():
        assert shape.unpack(answer) == shape.literals
        assert (shape.hits, shape.misses) == (hits, misses)


def test_an_answer_in_pieces_teaches_nothing():
    replies = waiting("redis", Op.SET, 4)
    assert [replies.feed(b"+O"), replies.feed(b"K\r\n")] == [False, True]
    assert not replies.expected.shapes


PAIRS = {
    "redis": (b"$1\r\n%b\r\n", b"$-1\r\n"),
    "memcached": (b"VA 1\r\n%b\r\n", b"EN\r\n"),
}


@pytest.mark.parametrize("protocol", PAIRS)
@given(
    first=st.lists(st.binary(min_size=1, max_size=1) | st.none(), min_size=4, max_size=4),
    second=st.lists(st.binary(min_size=1, max_size=1) | st.none(), min_size=4, max_size=4),
)
def test_an_answer_matches_a_shape_exactly_if_a_parser_finds_the_same(protocol, first, second):
    hit, miss = PAIRS[protocol]

    def answer(values: list[bytes | None]) -> bytes:
        return b"".join([miss if value is None else hit % value for value in values])

    replies = waiting(protocol, Op.GET, 1)
    assert replies.feed(answer(first))
    shape = replies.expected.shapes[len(answer(first))]
    if len(answer(second)) == len(answer(first)):
        alike = [value is None for value in first] == [value is None for value in second]
        assert (shape.unpack(answer(second)) == shape.literals) == alike


@pytest.mark.parametrize(
    ("case", "answer"),
    [
        (("redis", Op.GET, 1), b"+OK\r\n"),
        (("redis", Op.GET, 1), b"$x\r\n"),
        (("redis", Op.GET, 1), b"$-2\r\n"),
        (("redis", Op.GET, 1), b"$1\r\nxyz"),
        (("redis", Op.GET, 1), b"$99999999999\r\n"),
        (("redis", Op.GET, 4), b"*3\r\n"),
        (("redis", Op.GET, 4), b"*4\r\n+x\r\n"),
        (("redis", Op.GET, 4), b"*-1\r\n"),
        (("redis", Op.DELETE, 1), b":2\r\n"),
        (("redis", Op.SET, 1), b"HTTP/1.1 400 Bad Request\r\n"),
        (("redis", Op.SET, 1), b"+" + b"x" * LINE_BYTES_MAX),
        (("memcached", Op.GET, 1), b"HD\r\n"),
        (("memcached", Op.GET, 1), b"VA\r\n"),
        (("memcached", Op.GET, 1), b"VA x\r\n"),
        (("memcached", Op.GET, 1), b"\r\n"),
        (("memcached", Op.GET, 2), b"VALUE a 0 1\r\nx\r\n" * 3 + b"END\r\n"),
        (("memcached", Op.SET, 1), b"VA 1\r\nx\r\n"),
        (("kvb", Op.GET, 1), framed(0)),
        (("kvb", Op.GET, 1), framed(9)),
        (("kvb", Op.GET, 1), b"\x00\xff\xff\xff\xff"),
        (("kvb", Op.GET, 2), framed(1)),
        (("kvb", Op.GET, 2), framed(0, b"\x00\x03")),
        (("kvb", Op.GET, 2), framed(0, b"\x00\x02" + typed(b"x"))),
        (("kvb", Op.GET, 2), framed(0, b"\x00\x02" + typed(b"x") + typed(b"y")[:-1])),
        (("kvb", Op.GET, 2), framed(0, b"\x00\x02" + typed(b"x") * 3)),
        (("kvb", Op.SET, 1), framed(0, b"\x01")),
        (("kvb", Op.DELETE, 1), framed(0, b"\x02")),
        (("kvb", Op.DELETE, 2), framed(0, bytes([0, 0, 0, 3]))),
        (("kvb", Op.EXISTS, 4), framed(0, b"\x00\x04\x01\x00\x00\x02")),
        (("kvb", Op.EXISTS, 4), framed(0, b"\x00\x04\x01\x00\x00")),
    ],
)
def test_what_does_not_answer_the_call_is_refused(case, answer):
    with pytest.raises(ProtocolError):
        waiting(*case).feed(answer)


def test_an_error_keeps_its_text_for_the_user():
    replies = waiting("redis", Op.SET, 4)
    replies.feed(b"-NOAUTH Authentication required.\r\n")
    assert (replies.failures, replies.message) == (["NOAUTH"], "NOAUTH Authentication required.")


def test_memcached_is_not_trusted_after_a_command_that_it_did_not_understand():
    replies = waiting("memcached", Op.SET, 1)
    assert replies.feed(b"STORED\r\nCLIENT_ERROR bad data chunk\r\nERROR\r\n")
    assert replies.must_close
    assert replies.failures == ["CLIENT_ERROR"] * 3


# --- Requests ------------------------------------------------------------------------------------

SENT = {
    ("redis", Op.GET, 1): b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
    ("redis", Op.EXISTS, 2): b"*2\r\n$6\r\nEXISTS\r\n$1\r\na\r\n",
    ("redis", Op.GET, 2): b"*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n",
    ("redis", Op.SET, 2): b"*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$2\r\n22\r\n",
    ("memcached", Op.GET, 1): b"mg a v\r\n",
    ("memcached", Op.GET, 4): b"get a b c d\r\n",
    ("memcached", Op.SET, 4): b"set a 0 0 1\r\n1\r\nset b 0 0 2\r\n22\r\n",
    ("memcached", Op.DELETE, 4): b"delete a\r\ndelete b\r\n",
    ("memcached", Op.EXISTS, 1): b"mg a\r\nmg b\r\n",
    ("kvb", Op.GET, 1): b"\x01\x00\x00\x00\x01a",
    ("kvb", Op.DELETE, 2): b"\x10\x00\x00\x00\x08\x00\x02\x00\x01a\x00\x01b",
    ("kvb", Op.SET, 1): b"\x02\x00\x00\x00\x11\x00\x01a" + bytes(8) + typed(b"1"),
}  # fmt: skip


@pytest.mark.parametrize("case", SENT, ids=lambda case: "-".join(map(str, case)))
def test_calls_are_the_commands_of_the_adapters(case):
    protocol, op, batch_size = case
    values = VALUES if op.writes_values else []
    assert dialect(protocol).prepare(Call(op, KEYS, values), batch_size).data.startswith(SENT[case])


def test_read_modify_write_is_two_steps():
    first = dialect("redis").prepare(Call(Op.READ_MODIFY_WRITE, KEYS, VALUES), 4)
    assert b"MGET" in first.data and first.then is not None and b"MSET" in first.then.data
    assert first.expected.is_first_step and not first.then.expected.is_first_step
    assert first.then.then is None


def test_a_ttl_travels_with_stored_values():
    call = Call(Op.SET, ["k"], [b"v"])
    redis, memcached, kvb = (
        endpoint(URLS[name], ttl_ms=1500).dialect.prepare(call, 1).data for name in URLS
    )
    assert redis.endswith(b"$2\r\nPX\r\n$4\r\n1500\r\n")
    assert memcached == b"set k 0 3 1\r\nv\r\n"
    assert kvb[8:16] == (1500).to_bytes(8, "big")
    with pytest.raises(UnsupportedError, match="MSET has no TTL"):
        endpoint("redis://h", ttl_ms=1).dialect.prepare(Call(Op.SET, KEYS, VALUES), 4)
    with pytest.raises(UsageError, match="30 days"):
        MemcachedDialect(ttl_ms=31 * 86_400_000)


@pytest.mark.parametrize("key", ["", "a b", "a\n", "x" * 251, "\x7f"])
def test_memcached_refuses_the_keys_that_it_cannot_hold(key):
    with pytest.raises(ValueError, match="memcached takes 1 to 250 bytes"):
        dialect("memcached").prepare(Call(Op.GET, [key]), 1)


def test_keys_divide_into_whole_requests():
    for protocol in URLS:
        with pytest.raises(ValueError, match="not a number of requests of 3"):
            dialect(protocol).prepare(Call(Op.GET, KEYS), 3)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("redis://h", "h", 6379),
        ("valkey://[::1]:7000/3", "::1", 7000),
        ("memcached://h:1", "h", 1),
        ("kvb://h", "h", 16380),
        ("kvb+async://h:2/space/name", "h", 2),
    ],
)
def test_targets_are_the_urls_of_the_adapters(url, host, port):
    found = endpoint(url)
    assert (found.host, found.port) == (host, port)


def test_a_url_gives_login_database_and_namespace():
    greeting = endpoint("redis://user:p%40ss@h/2").dialect.greeting().data
    assert greeting == (
        b"*3\r\n$4\r\nAUTH\r\n$4\r\nuser\r\n$4\r\np@ss\r\n"
        b"*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n*1\r\n$4\r\nPING\r\n"
    )
    kvb = endpoint("kvb://h/tasks").dialect.prepare(Call(Op.GET, ["a"]), 1)
    assert kvb.data == b"\x01\x00\x00\x00\x07tasks:a"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sqlite:///x.db", "does not load sqlite://"),
        ("rediss://h", "does not load rediss://"),
        ("redis", "does not load redis://"),
        ("kvb://", "needs a host"),
        ("valkey:///1", "needs a host"),
        ("redis://:6379", "needs a host"),
        ("redis://h:x", "Port could not be cast"),
        ("redis://h/one", "number of a database"),
        ("redis://h?db=1", "no parameters"),
        ("memcached://h/1", "write memcached://host:port"),
        ("kvb://user:secret@h", "is not an address"),
    ],
)
def test_a_wrong_url_is_refused_without_its_secret(url, problem):
    with pytest.raises((UsageError, UnsupportedError), match=problem) as raised:
        endpoint(url)
    assert "secret" not in str(raised.value)
