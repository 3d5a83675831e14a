"""Requests and responses: what one side builds the other parses, and nothing else passes."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.frames import HEADER_BYTES, FrameReader
from kvbench.protocol.opcodes import BATCH_KEYS_MAX, TTL_MS_MAX, Opcode, Status
from kvbench.protocol.values import encode_value
from tests.protocol.protocol_strategies import (
    I64_MAX,
    I64_MIN,
    ints,
    keys,
    same,
    texts,
    ttls_ms,
    values,
)

prefixes = st.sampled_from([b"", b"ns:", "größe/€:".encode()])
owners = st.text(min_size=1, max_size=20)
lock_ttls_ms = st.integers(1, TTL_MS_MAX)
pair_lists = st.lists(st.tuples(keys, values), max_size=6)

PARSERS = {
    "empty": requests.parse_empty,
    "key": requests.parse_key,
    "keys": requests.parse_keys,
    "set": requests.parse_set,
    "counter": requests.parse_counter,
    "cas": requests.parse_cas,
    "lock": requests.parse_lock,
    "unlock": requests.parse_unlock,
    "mset": requests.parse_mset,
    "msetex": requests.parse_msetex,
    "expire": requests.parse_expire,
    "hello": requests.parse_hello,
    "empty reply": responses.parse_empty_reply,
    "flag": responses.parse_flag,
    "i64": responses.parse_i64,
    "count": responses.parse_count,
    "values": lambda payload: responses.parse_values(payload, 2),
    "flags": lambda payload: responses.parse_flags(payload, 2),
}


def payload_of(request: bytes, code: int) -> bytes:
    """The payload of a frame, after a look at the rest of it."""
    [(found, payload)] = FrameReader().feed(request)
    assert found == code
    return payload


def wire(prefix: bytes, key: str) -> bytes:
    return prefix + key.encode()


# --- Requests there and back --------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.INFO])
def test_empty_request_round_trip(opcode):
    assert requests.parse_empty(payload_of(requests.empty_request(opcode), opcode)) is None


@given(st.sampled_from([Opcode.GET, Opcode.DEL, Opcode.EXISTS, Opcode.TTL]), prefixes, keys)
def test_key_request_round_trip(opcode, prefix, key):
    payload = payload_of(requests.key_request(opcode, prefix, key), opcode)
    assert requests.parse_key(payload) == wire(prefix, key)


@given(st.sampled_from([Opcode.MGET, Opcode.MDEL, Opcode.MEXISTS]), prefixes, st.lists(keys))
def test_keys_request_round_trip(opcode, prefix, names):
    payload = payload_of(requests.keys_request(opcode, prefix, names), opcode)
    assert requests.parse_keys(payload) == [wire(prefix, name) for name in names]


@given(st.sampled_from([Opcode.SET, Opcode.SETNX]), prefixes, keys, values, ttls_ms)
def test_set_request_round_trip(opcode, prefix, key, value, ttl_ms):
    payload = payload_of(requests.set_request(opcode, prefix, key, value, ttl_ms), opcode)
    assert requests.parse_set(payload) == (wire(prefix, key), ttl_ms, encode_value(value))


@given(st.sampled_from([Opcode.INCR, Opcode.DECR]), prefixes, keys, ints)
def test_counter_request_round_trip(opcode, prefix, key, delta):
    payload = payload_of(requests.counter_request(opcode, prefix, key, delta), opcode)
    assert requests.parse_counter(payload) == (wire(prefix, key), delta)


@given(prefixes, keys, values, values, ttls_ms)
def test_cas_request_round_trip(prefix, key, expected, new, ttl_ms):
    payload = payload_of(requests.cas_request(prefix, key, expected, new, ttl_ms), Opcode.CAS)
    assert requests.parse_cas(payload) == (
        wire(prefix, key),
        ttl_ms,
        encode_value(expected),
        encode_value(new),
    )


@given(st.sampled_from([Opcode.LOCK, Opcode.EXTEND]), prefixes, keys, owners, lock_ttls_ms)
def test_lock_request_round_trip(opcode, prefix, key, owner, ttl_ms):
    payload = payload_of(requests.lock_request(opcode, prefix, key, owner, ttl_ms), opcode)
    assert requests.parse_lock(payload) == (wire(prefix, key), owner.encode(), ttl_ms)


@given(prefixes, keys, owners)
def test_unlock_request_round_trip(prefix, key, owner):
    payload = payload_of(requests.unlock_request(prefix, key, owner), Opcode.UNLOCK)
    assert requests.parse_unlock(payload) == (wire(prefix, key), owner.encode())


@given(prefixes, pair_lists, ttls_ms)
def test_mset_request_round_trip(prefix, pairs, ttl_ms):
    payload = payload_of(requests.mset_request(prefix, pairs, ttl_ms), Opcode.MSET)
    stored = {wire(prefix, key): encode_value(value) for key, value in pairs}
    assert requests.parse_mset(payload) == (ttl_ms, stored)


@given(prefixes, st.lists(st.tuples(keys, values, ttls_ms), max_size=6))
def test_msetex_request_round_trip(prefix, entries):
    payload = payload_of(requests.msetex_request(prefix, entries), Opcode.MSETEX)
    assert requests.parse_msetex(payload) == [
        (wire(prefix, key), encode_value(value), ttl_ms) for key, value, ttl_ms in entries
    ]


@given(prefixes, keys, ttls_ms)
def test_expire_request_round_trip(prefix, key, ttl_ms):
    payload = payload_of(requests.expire_request(prefix, key, ttl_ms), Opcode.EXPIRE)
    assert requests.parse_expire(payload) == (wire(prefix, key), ttl_ms)


@given(st.integers(0, 65_535), st.lists(texts))
def test_hello_round_trip(version, capabilities):
    payload = requests.hello_payload(version, capabilities)
    assert requests.parse_hello(payload) == (version, capabilities)


def test_the_largest_batch_round_trip():
    names = ["k"] * BATCH_KEYS_MAX
    payload = payload_of(requests.keys_request(Opcode.MGET, b"", names), Opcode.MGET)
    assert len(requests.parse_keys(payload)) == BATCH_KEYS_MAX
    with pytest.raises(ValueError, match="65535"):
        requests.keys_request(Opcode.MGET, b"", [*names, "k"])


# --- Responses there and back -------------------------------------------------------------------


@given(st.lists(st.none() | values, max_size=8))
def test_values_response_round_trip(stored):
    encoded = [None if value is None else encode_value(value) for value in stored]
    payload = payload_of(responses.values_response(encoded), Status.OK)
    assert same(responses.parse_values(payload, len(stored)), stored)


@given(st.lists(st.booleans(), max_size=20))
def test_flags_response_round_trip(flags):
    payload = payload_of(responses.flags_response(flags), Status.OK)
    assert responses.parse_flags(payload, len(flags)) == flags


@given(ints)
def test_i64_response_round_trip(number):
    payload = payload_of(responses.i64_response(number), Status.OK)
    assert responses.parse_i64(payload) == number


@given(st.integers(0, 2**32 - 1))
def test_count_response_round_trip(count):
    payload = payload_of(responses.count_response(count), Status.OK)
    assert responses.parse_count(payload) == count


def test_small_responses_round_trip():
    assert responses.parse_flag(payload_of(responses.flag_response(True), Status.OK)) is True
    assert responses.parse_flag(payload_of(responses.flag_response(False), Status.OK)) is False
    assert responses.parse_empty_reply(payload_of(responses.EMPTY_RESPONSE, Status.OK)) is None
    assert payload_of(responses.PONG_RESPONSE, Status.OK) == b"PONG"
    assert payload_of(responses.NULL_RESPONSE, Status.NULL) == b""
    assert payload_of(responses.ok_response(b"\x00"), Status.OK) == b"\x00"


@given(st.sampled_from([Status.ERROR, Status.INVALID]), st.text(st.characters(), max_size=20))
def test_a_message_is_always_utf8(status, message):
    payload_of(responses.message_response(status, message), status).decode("utf-8")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_reply_to_another_batch_is_a_protocol_error(count):
    two_values = responses.values_response([b"\x00", b"\x00"])[HEADER_BYTES:]
    two_flags = responses.flags_response([True, False])[HEADER_BYTES:]
    with pytest.raises(ProtocolError, match="2"):
        responses.parse_values(two_values, count)
    with pytest.raises(ProtocolError, match="2"):
        responses.parse_flags(two_flags, count)


# --- Bad payloads -------------------------------------------------------------------------------

GOOD = {
    "keys": requests.keys_request(Opcode.MGET, b"", ["a", "größe"]),
    "set": requests.set_request(Opcode.SET, b"", "k", ["x", 1], 5),
    "counter": requests.counter_request(Opcode.INCR, b"", "k", -1),
    "cas": requests.cas_request(b"", "k", {"a": 1}, Decimal("1.5"), 0),
    "lock": requests.lock_request(Opcode.LOCK, b"", "k", "me", 1),
    "unlock": requests.unlock_request(b"", "k", "me"),
    "mset": requests.mset_request(b"", [("a", 1), ("b", "größe")], 7),
    "msetex": requests.msetex_request(b"", [("a", 1, 0), ("b", b"x", 9)]),
    "expire": requests.expire_request(b"", "k", 0),
    "hello": b"\x40\0\0\0\0" + requests.hello_payload(1, ["ttl", "expire"]),
    "empty reply": responses.EMPTY_RESPONSE,
    "flag": responses.TRUE_RESPONSE,
    "i64": responses.i64_response(-1),
    "count": responses.count_response(7),
    "values": responses.values_response([encode_value("x"), None]),
    "flags": responses.flags_response([True, False]),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_payload_cut_at_any_byte_or_too_long_is_a_protocol_error(name):
    payload = GOOD[name][HEADER_BYTES:]
    PARSERS[name](payload)
    for size in range(len(payload)):
        with pytest.raises(ProtocolError):
            PARSERS[name](payload[:size])
    with pytest.raises(ProtocolError):
        PARSERS[name](payload + b"\x00")


@pytest.mark.parametrize("name", GOOD)
def test_any_flipped_bit_is_read_or_a_protocol_error(name):
    payload = GOOD[name][HEADER_BYTES:]
    for bit in range(8 * len(payload)):
        flipped = bytearray(payload)
        flipped[bit // 8] ^= 1 << bit % 8
        for parse in PARSERS.values():
            with contextlib.suppress(ProtocolError):
                parse(bytes(flipped))


@given(st.binary(max_size=80))
def test_garbage_is_read_or_a_protocol_error(payload):
    for parse in PARSERS.values():
        with contextlib.suppress(ProtocolError):
            parse(payload)


BAD_KEYS = [b"", b"x" * 257, b"\xff", b"\xc0\x80", b"\xed\xa0\x80"]


@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: key[:4].hex() or "empty")
def test_a_bad_key_is_a_protocol_error_in_every_request(key):
    sized = len(key).to_bytes(2, "big") + key
    zeros = bytes(8)
    payloads = {
        "key": key,
        "keys": b"\x00\x02\x00\x01a" + sized,
        "set": sized + zeros + b"\x00",
        "counter": sized + zeros,
        "cas": sized + zeros + b"\x00\x00",
        "lock": sized + b"\x00\x01o" + zeros[:7] + b"\x01",
        "unlock": sized + b"\x00\x01o",
        "mset": b"\x00\x01" + zeros + sized + b"\x00",
        "msetex": b"\x00\x01" + sized + zeros + b"\x00",
        "expire": sized + zeros,
    }
    for name, payload in payloads.items():
        with pytest.raises(ProtocolError):
            PARSERS[name](payload)


def test_a_ttl_over_a_hundred_years_is_a_protocol_error():
    longest = TTL_MS_MAX.to_bytes(8, "big")
    assert requests.parse_expire(b"\x00\x01k" + longest) == (b"k", TTL_MS_MAX)
    for ttl_ms in (TTL_MS_MAX + 1, 2**63, 2**64 - 1):
        ttl = ttl_ms.to_bytes(8, "big")
        for name, payload in {
            "expire": b"\x00\x01k" + ttl,
            "set": b"\x00\x01k" + ttl + b"\x00",
            "mset": b"\x00\x00" + ttl,
            "lock": b"\x00\x01k\x00\x01o" + ttl,
        }.items():
            with pytest.raises(ProtocolError, match="100 years"):
                PARSERS[name](payload)


def test_a_lock_without_an_end_is_a_protocol_error():
    with pytest.raises(ProtocolError, match="at least 1 ms"):
        requests.parse_lock(b"\x00\x01k\x00\x01o" + bytes(8))


# --- Arguments that cannot be sent ----------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "\ud800", "x" * 257, "é" * 129])
def test_a_bad_key_is_a_value_error(key):
    for build in (
        lambda: requests.key_request(Opcode.GET, b"", key),
        lambda: requests.keys_request(Opcode.MGET, b"", ["good", key]),
        lambda: requests.mset_request(b"", [("good", 1), (key, 2)], 0),
    ):
        with pytest.raises(ValueError, match="key"):
            build()


@pytest.mark.parametrize("key", [b"k", 1, None, ["k"]])
def test_a_key_of_another_type_is_a_type_error(key):
    with pytest.raises(TypeError):
        requests.key_request(Opcode.GET, b"", key)


def test_a_namespace_counts_towards_the_length_of_a_key():
    assert requests.key_request(Opcode.GET, b"ns:", "x" * 253)
    with pytest.raises(ValueError, match="with its namespace"):
        requests.key_request(Opcode.GET, b"ns:", "x" * 254)


@pytest.mark.parametrize(
    ("value", "error"),
    [(2**63, ValueError), ("\ud800", ValueError), (object(), TypeError), ({1: 2}, TypeError)],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_a_bad_value_is_an_error_that_names_the_key(value, error):
    for build in (
        lambda: requests.set_request(Opcode.SET, b"", "the key", value, 0),
        lambda: requests.mset_request(b"", [("good", 1), ("the key", value)], 0),
        lambda: requests.msetex_request(b"", [("the key", [value], 0)]),
        lambda: requests.cas_request(b"", "the key", None, value, 0),
    ):
        with pytest.raises(error, match="the key"):
            build()


@pytest.mark.parametrize("delta", [I64_MAX + 1, I64_MIN - 1])
def test_a_delta_outside_i64_is_a_value_error(delta):
    with pytest.raises(ValueError, match="64 bits"):
        requests.counter_request(Opcode.INCR, b"", "k", delta)


@pytest.mark.parametrize("delta", [True, 1.0, "1", None])
def test_a_delta_that_is_no_int_is_a_type_error(delta):
    with pytest.raises(TypeError):
        requests.counter_request(Opcode.INCR, b"", "k", delta)


@pytest.mark.parametrize("owner", ["", "\ud800", "o" * 65_536])
def test_a_bad_owner_is_a_value_error(owner):
    with pytest.raises(ValueError, match="owner"):
        requests.lock_request(Opcode.LOCK, b"", "k", owner, 1)


@pytest.mark.parametrize("ttl_ms", [-1, TTL_MS_MAX + 1])
def test_a_ttl_that_no_server_takes_is_a_value_error(ttl_ms):
    with pytest.raises(ValueError, match="100 years"):
        requests.expire_request(b"", "k", ttl_ms)
