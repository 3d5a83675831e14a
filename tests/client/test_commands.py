"""Commands: arguments are checked before any byte exists, batches split, replies are validated."""

from __future__ import annotations

from decimal import Decimal

import pytest

from kvbench import specs
from kvbench.client import commands
from kvbench.errors import KvProtocolError, KvServerError
from kvbench.protocol import requests
from kvbench.protocol.frames import FrameReader, frame
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.protocol.values import encode_value

TTLS = [entry for file in specs.vector_files() for entry in file.ttl_conversions]
LONE = "\ud800"

WITH_TTL = {
    "set": lambda ttl: commands.set(b"", "k", 1, ttl),
    "setnx": lambda ttl: commands.setnx(b"", "k", 1, ttl),
    "cas": lambda ttl: commands.cas(b"", "k", 1, 2, ttl),
    "expire": lambda ttl: commands.expire(b"", "k", ttl),
    "lock": lambda ttl: commands.lock(b"", "k", "me", ttl),
    "extend_lock": lambda ttl: commands.extend_lock(b"", "k", "me", ttl),
    "mset": lambda ttl: commands.mset(b"", [("k", 1)], ttl)[0],
    "mset_each": lambda ttl: commands.mset_each(b"", [("k", 1, ttl)])[0],
}

WITH_KEY = {
    "get": lambda key: commands.get(b"n:", key),
    "set": lambda key: commands.set(b"n:", key, 1, None),
    "setnx": lambda key: commands.setnx(b"n:", key, 1, None),
    "delete": lambda key: commands.delete(b"n:", key),
    "exists": lambda key: commands.exists(b"n:", key),
    "incr": lambda key: commands.incr(b"n:", key, 1),
    "decr": lambda key: commands.decr(b"n:", key, 1),
    "cas": lambda key: commands.cas(b"n:", key, 1, 2, None),
    "expire": lambda key: commands.expire(b"n:", key, None),
    "ttl": lambda key: commands.ttl(b"n:", key),
    "lock": lambda key: commands.lock(b"n:", key, "me", 1),
    "unlock": lambda key: commands.unlock(b"n:", key, "me"),
    "extend_lock": lambda key: commands.extend_lock(b"n:", key, "me", 1),
    "mget": lambda key: commands.mget(b"n:", ["a", key]),
    "mset": lambda key: commands.mset(b"n:", [("a", 1), (key, 1)], None),
    "mset of a mapping": lambda key: commands.mset(b"n:", {"a": 1, key: 1}, None),
    "mset_each": lambda key: commands.mset_each(b"n:", [("a", 1, None), (key, 1, None)]),
    "mdel": lambda key: commands.mdel(b"n:", ["a", key]),
    "mexists": lambda key: commands.mexists(b"n:", ["a", key]),
}

WITH_VALUE = {
    "set": lambda value: commands.set(b"", "the-key", value, None),
    "setnx": lambda value: commands.setnx(b"", "the-key", value, None),
    "cas, expected": lambda value: commands.cas(b"", "the-key", value, 1, None),
    "cas, new": lambda value: commands.cas(b"", "the-key", 1, value, None),
    "mset": lambda value: commands.mset(b"", [("a", 1), ("the-key", value)], None),
    "mset_each": lambda value: commands.mset_each(b"", [("a", 1, None), ("the-key", value, 1)]),
}


def sent(command):
    (one,) = FrameReader().feed(command.request)
    return one


def ttl_ms_sent(name, command):
    payload = sent(command)[1]
    if name in ("lock", "extend_lock"):
        return requests.parse_lock(payload)[2]
    if name == "mset_each":
        return requests.parse_msetex(payload)[0][2]
    parse = {"cas": requests.parse_cas, "expire": requests.parse_expire}
    if name == "mset":
        return requests.parse_mset(payload)[0]
    return parse.get(name, requests.parse_set)(payload)[1]


def cyclic():
    items = []
    items.append(items)
    return items


def by(table):
    return pytest.mark.parametrize("name", table)


@by(WITH_TTL)
@pytest.mark.parametrize("vector", TTLS, ids=lambda vector: str(vector.seconds))
def test_ttls_become_milliseconds_or_are_refused(name, vector):
    seconds = float(vector.seconds) if isinstance(vector.seconds, str) else vector.seconds
    if vector.ttl_ms is None:
        with pytest.raises(ValueError, match="ttl must be a positive number"):
            WITH_TTL[name](seconds)
    else:
        assert ttl_ms_sent(name, WITH_TTL[name](seconds)) == vector.ttl_ms


@by(WITH_TTL)
def test_ttls_that_are_no_time_are_refused(name):
    for seconds in (10 * 366 * 86_400, 10**400):
        with pytest.raises(ValueError, match="ten years"):
            WITH_TTL[name](seconds)
    for nothing in ("5", True, Decimal(5), [5]):
        with pytest.raises(TypeError, match="ttl must be a number of seconds"):
            WITH_TTL[name](nothing)


@by(WITH_TTL)
def test_no_ttl_is_0_and_impossible_for_a_lock(name):
    if "lock" in name:
        with pytest.raises(TypeError, match="every lock expires"):
            WITH_TTL[name](None)
    else:
        assert ttl_ms_sent(name, WITH_TTL[name](None)) == 0


@by(WITH_KEY)
def test_keys_that_cannot_be_are_refused_by_name(name):
    for key, complaint in [
        (17, "a key must be a str, not int: 17"),
        (b"k", "a key must be a str, not bytes: b'k'"),
        (None, "a key must be a str, not NoneType"),
    ]:
        with pytest.raises(TypeError, match=complaint):
            WITH_KEY[name](key)
    for key, complaint in [
        ("", "empty"),
        (LONE, "lone surrogate"),
        ("k" * 255, "key 'kkk.* 257 bytes with its namespace"),
        ("☃" * 85, "key '☃.* 257 bytes"),
    ]:
        with pytest.raises(ValueError, match=complaint):
            WITH_KEY[name](key)
    WITH_KEY[name]("k" * 254)


@by(WITH_VALUE)
def test_values_that_cannot_travel_are_refused_with_their_key(name):
    for value in (2**63, -(2**63) - 1, LONE, ["a", {"b": LONE}], {LONE: 1}, cyclic()):
        with pytest.raises(ValueError, match="'the-key'"):
            WITH_VALUE[name](value)
    for value in (object(), {1: 2}, [{("a",): 1}], {1, 2}, bytearray(b"x"), 1j):
        with pytest.raises(TypeError, match="'the-key'"):
            WITH_VALUE[name](value)


def test_other_arguments_that_cannot_be():
    for delta in (2**63, -(2**63) - 1):
        with pytest.raises(ValueError, match="'k' must fit in 64 bits"):
            commands.incr(b"", "k", delta)
    for delta in (True, 1.0, "1", None):
        with pytest.raises(TypeError, match="'k' must be an int"):
            commands.decr(b"", "k", delta)
    for owner in (None, b"me"):
        with pytest.raises(TypeError, match="owner must be a str"):
            commands.lock(b"", "k", owner, 1)
    for owner in ("", "x" * 65_536, LONE):
        with pytest.raises(ValueError, match="owner"):
            commands.unlock(b"", "k", owner)


def test_a_text_is_no_list_of_keys():
    for call in (commands.mget, commands.mdel, commands.mexists):
        for text in ("abc", b"abc"):
            with pytest.raises(TypeError, match="list of str, not one"):
                call(b"", text)


def test_what_is_no_pair_is_refused():
    for pairs in ("ab", ["ab"], [("a", 1, 2)], [("a",)], [5], [("a", 1), None]):
        with pytest.raises(TypeError, match="pairs must be a mapping or"):
            commands.mset(b"", pairs, None)
    for entries in ([("a", 1)], {"a": 1}, ["abc"], [5]):
        with pytest.raises(TypeError, match="mset_each takes"):
            commands.mset_each(b"", entries)
    with pytest.raises(ValueError, match="key 'b': ttl"):
        commands.mset_each(b"", [("a", 1, 1), ("b", 1, -1)])


def test_pairs_may_be_anything_that_gives_pairs():
    expected = sent(commands.mset(b"", [("a", 1), ("b", 2)], None)[0])
    for pairs in (
        {"a": 1, "b": 2},
        {"a": 1, "b": 2}.items(),
        [["a", 1], ("b", 2)],
        iter([("a", 1), ("b", 2)]),
        (pair for pair in [("a", 1), ("b", 2)]),
    ):
        assert sent(commands.mset(b"", pairs, None)[0]) == expected


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, []), (1, [1]), (65_535, [65_535]), (65_536, [65_535, 1]), (131_071, [65_535, 65_535, 1])],
)
def test_batches_are_split_in_order(count, sizes):
    keys = [f"k{i}" for i in range(count)]
    names = [key.encode() for key in keys]
    for opcode, parts in [
        (Opcode.MGET, commands.mget(b"", iter(keys))),
        (Opcode.MDEL, commands.mdel(b"", keys)),
        (Opcode.MEXISTS, commands.mexists(b"", tuple(keys))),
    ]:
        frames = [sent(part) for part in parts]
        assert [code for code, _ in frames] == [opcode] * len(sizes)
        split = [requests.parse_keys(payload) for _, payload in frames]
        assert [len(part) for part in split] == sizes
        assert [key for part in split for key in part] == names
    for opcode, parts, parse in [
        (Opcode.MSET, commands.mset(b"", [(key, None) for key in keys], 1),
         lambda payload: list(requests.parse_mset(payload)[1])),
        (Opcode.MSETEX, commands.mset_each(b"", [(key, None, 1) for key in keys]),
         lambda payload: [entry[0] for entry in requests.parse_msetex(payload)]),
    ]:  # fmt: skip
        frames = [sent(part) for part in parts]
        assert [code for code, _ in frames] == [opcode] * len(sizes)
        split = [parse(payload) for _, payload in frames]
        assert [len(part) for part in split] == sizes
        assert [key for part in split for key in part] == names


def test_results_of_a_split_batch_become_one():
    assert commands.joined([]) == []
    assert commands.joined([[1, 2]]) == [1, 2]
    assert commands.joined([[1, 2], [], [3]]) == [1, 2, 3]


def test_a_mistake_in_the_last_part_stops_the_first():
    keys = [f"k{i}" for i in range(70_000)]
    with pytest.raises(TypeError, match="not int: 5"):
        commands.mget(b"", [*keys, 5])
    with pytest.raises(TypeError, match="value of key 'last'"):
        commands.mset(b"", [*((key, 1) for key in keys), ("last", object())], None)


def test_chunks_are_read_as_they_are_asked_for():
    numbers = iter(range(10))
    chunks = commands.chunks_of(numbers, 3)
    assert next(chunks) == [0, 1, 2] and next(numbers) == 3
    assert list(chunks) == [[4, 5, 6], [7, 8, 9]]
    for size in (0, -1, 65_536):
        with pytest.raises(ValueError, match="chunk_size is 1 to 65535"):
            list(commands.chunks_of([1], size))
    with pytest.raises(TypeError, match="not one str"):
        list(commands.chunks_of("abc", 2))


REPLIES = {
    "ping": (commands.ping(), b"PONG", True),
    "get": (commands.get(b"", "k"), encode_value([1, "a"]), [1, "a"]),
    "set": (commands.set(b"", "k", 1, None), b"", None),
    "delete": (commands.delete(b"", "k"), b"\x01", True),
    "exists": (commands.exists(b"", "k"), b"\x00", False),
    "incr": (commands.incr(b"", "k", 1), b"\xff" * 8, -1),
    "cas": (commands.cas(b"", "k", 1, 2, None), b"\x00", False),
    "ttl": (commands.ttl(b"", "k"), (1500).to_bytes(8, "big"), 1.5),
    "ttl, none": (commands.ttl(b"", "k"), b"\xff" * 8, -1.0),
    "mget": (commands.mget(b"", ["a", "b"])[0], b"\0\2\0" + encode_value(5), [None, 5]),
    "mset": (commands.mset(b"", {"a": 1}, None)[0], b"", None),
    "mdel": (commands.mdel(b"", ["a"])[0], b"\0\0\0\1", 1),
    "mexists": (commands.mexists(b"", ["a", "b"])[0], b"\0\2\1\0", [True, False]),
    "info": (commands.info(), b'{"entries": 1, "new": []}', {"entries": 1, "new": []}),
    "hello": (commands.hello(), requests.hello_payload(1, ["a"]), (1, ["a"])),
}
NONSENSE = {
    "get": [b"", b"\xff", encode_value(1) + b"x", b"\x04\0\0\0\2a", b"\x04\0\0\0\1\xff"],
    "mget": [b"", b"\0\1\0", b"\0\3\0\0\0", b"\0\2\0", b"\0\2\0\0\0", b"\0\2\0\x09"],
    "mexists": [b"", b"\0\1\1", b"\0\2\1", b"\0\2\1\2", b"\0\2\1\1\1"],
    "info": [b"", b"[]", b"\xff\xfe\xfd", b"{", b"[" * 200_000, b"1" * 5000],
    "hello": [b"", b"\0\1\0\1", b"\0\1\0\0x"],
    "ping": [b"", b"pong", b"PONGPONG"],
    "delete": [b"", b"\x02", b"\x01\x01"],
    "incr": [b"", b"\0" * 7, b"\0" * 9, encode_value(1)],
    "mdel": [b"", b"\0" * 3, b"\0" * 8],
    "set": [b"\0"],
}
MAY_BE_NULL = {"get", "cas", "ttl", "ttl, none"}


@by(REPLIES)
def test_replies_are_read(name):
    command, payload, result = REPLIES[name]
    assert command.result(Status.OK, payload) == result


@by(NONSENSE)
def test_replies_that_make_no_sense_are_protocol_errors(name):
    for payload in NONSENSE[name]:
        with pytest.raises(KvProtocolError, match="is invalid"):
            REPLIES[name][0].result(Status.OK, payload)


@by(REPLIES)
def test_null_is_an_answer_only_where_it_may_be(name):
    command = REPLIES[name][0]
    if name in MAY_BE_NULL:
        assert command.result(Status.NULL, b"") is None
    else:
        with pytest.raises(KvProtocolError, match="0x01"):
            command.result(Status.NULL, b"")


@by(REPLIES)
def test_refusals_carry_status_and_message(name):
    command = REPLIES[name][0]
    for status in (Status.ERROR, Status.INVALID):
        with pytest.raises(KvServerError, match="too bad \ufffd") as caught:
            command.result(status, b"too bad \xff")
        assert caught.value.status == status
    with pytest.raises(KvServerError, match="without a message"):
        command.result(Status.ERROR, b"")
    for status in (Status.CAS_FAILED, 5, 0xFF):
        with pytest.raises(KvProtocolError, match=f"0x{status:02x}"):
            command.result(status, b"")


def test_requests_are_whole_frames_with_the_prefix():
    assert commands.get(b"a/b:", "k").request == frame(Opcode.GET, b"a/b:k")
    assert commands.ping().request == frame(Opcode.PING, b"")
