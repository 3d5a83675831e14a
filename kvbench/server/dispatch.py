"""Request in, response out: every opcode of specs/wire-protocol.md, without I/O.

The handler of an opcode is the method with its name; a second one that ends in ``_in_steps`` takes
large payloads. A handler parses the whole payload before it calls the engine, so a malformed
request changes nothing (FRAME-004). It makes one call of the engine, so each request is atomic
(BATCH-005). Values are stored as received, tag included; only counters, CAS and locks decode them.
refusals.py turns errors into responses. No request closes a connection or stops the server, with
one exception: when a reply cannot be built although the request has taken effect, it is
:data:`NO_REPLY`, and the connection closes. So a handler that writes builds its reply first, or
uses a prebuilt one.

Most requests are answered by one call of :meth:`Dispatcher.handle`. A request that may take longer
(a large payload, or a CAS, which compares) should start with :meth:`Dispatcher.begin`. It answers
immediately where it can, and otherwise returns a :class:`Job`, which is run in steps. Both ways
share the same code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator

from kvbench.engine import Engine, Update
from kvbench.errors import ProtocolError
from kvbench.model import I64_MAX, I64_MIN, Value
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import (
    EXTENSIONS,
    PAYLOAD_BYTES_MAX,
    PROTOCOL_VERSION,
    Opcode,
    Tag,
)
from kvbench.protocol.parsers import EntriesParser, KeysParser, PairsParser, ValuesParser
from kvbench.protocol.values import decode_value, encode_value
from kvbench.server.jobs import LARGE_BYTES, Job, Steps, Swap, finish, in_steps
from kvbench.server.refusals import STORING, RefusedRequest, refusal
from kvbench.server.reserve import reserve
from kvbench.server.stats import Stats

_ONE_FORM_TAGS = (Tag.NULL, Tag.INT, Tag.STRING, Tag.BYTES, Tag.BOOL)
"""Values of these types are equal if and only if their bytes are equal."""

NO_REPLY = b""
"""Replaces a reply that could not be allocated after the request took effect."""


class Dispatcher:
    """Answers requests from an engine.

    Args:
        engine: the store.
        stats: counts the requests.
        reply_bytes_max: largest payload of a reply. Without this limit, an MGET that names one
            large key 65,535 times would ask the server for terabytes.
    """

    __slots__ = (
        "_engine",
        "_handlers",
        "_reply_bytes_max",
        "_steps",
        "_value_bytes_bound",
        "stats",
    )

    def __init__(
        self,
        engine: Engine[bytes, bytes],
        stats: Stats,
        reply_bytes_max: int = PAYLOAD_BYTES_MAX,
    ) -> None:
        self._engine = engine
        self.stats = stats
        self._reply_bytes_max = reply_bytes_max
        self._value_bytes_bound = 64
        """Upper bound of the length of stored values; 64 covers counters. Grows with writes."""
        # A list: indexing is cheaper than a dict look-up for every request.
        self._handlers: list[Callable[[bytes], bytes] | None] = [None] * 256
        self._steps: dict[int, Callable[[bytes], Steps]] = {}
        for opcode in Opcode:
            self._handlers[opcode] = getattr(self, f"_{opcode.word}")
            if in_parts := getattr(self, f"_{opcode.word}_in_steps", None):
                self._steps[opcode] = in_parts

    def handle(self, opcode: int, payload: bytes) -> bytes:
        """Answer one request with a whole response frame, or NO_REPLY. Never raises."""
        try:
            self.stats.requests[opcode] += 1
            handler = self._handlers[opcode]
            if handler is None:
                raise ProtocolError(f"unknown opcode 0x{opcode:02x}")
            if reserve.is_spent and opcode in STORING:
                reserve.withhold()
            return handler(payload)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other requests go on.
            return refusal(opcode, error)

    def begin(self, opcode: int, payload: bytes) -> bytes | Job:
        """Answer one request immediately if it is small, or begin it. Never raises."""
        if opcode not in self._steps:
            return self.handle(opcode, payload)
        try:
            self.stats.requests[opcode] += 1
            if opcode == Opcode.CAS and len(payload) <= LARGE_BYTES:
                if reserve.is_spent:
                    reserve.withhold()
                reply = self._cas_by_bytes(payload)
                if reply is not None:
                    return reply
            return Job(opcode, self._steps[opcode](payload))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other requests go on.
            return refusal(opcode, error)

    # --- One key ---------------------------------------------------------------------------

    def _get(self, payload: bytes) -> bytes:
        value = self._engine.get(requests.parse_key(payload))
        return responses.NULL_RESPONSE if value is None else responses.ok_response(value)

    def _set(self, payload: bytes) -> bytes:
        key, ttl_ms, value = requests.parse_set(payload)
        self._note_size(payload)
        self._engine.set(key, value, ttl_ms)
        return responses.EMPTY_RESPONSE

    def _set_in_steps(self, payload: bytes) -> Steps:
        parser = ValuesParser(payload, 1)
        yield from in_steps(parser)
        self._note_size(payload)
        self._engine.set(parser.key, parser.values[0], parser.ttl_ms)
        yield responses.EMPTY_RESPONSE

    def _setnx(self, payload: bytes) -> bytes:
        return finish(self._setnx_in_steps(payload))

    def _setnx_in_steps(self, payload: bytes) -> Steps:
        parser = ValuesParser(payload, 1)
        yield from in_steps(parser)
        self._note_size(payload)
        is_new = self._engine.setnx(parser.key, parser.values[0], parser.ttl_ms)
        yield responses.flag_response(is_new)

    def _del(self, payload: bytes) -> bytes:
        return responses.flag_response(self._engine.delete(requests.parse_key(payload)))

    def _exists(self, payload: bytes) -> bytes:
        return responses.flag_response(self._engine.exists(requests.parse_key(payload)))

    def _getdel(self, payload: bytes) -> bytes:
        def decide(is_there: bool, stored: bytes | None) -> Update[bytes, bytes]:
            if not is_there or stored is None:
                return Update(result=responses.NULL_RESPONSE)
            return Update(result=responses.ok_response(stored), remove=True)

        return self._engine.update(requests.parse_key(payload), decide)

    def _expire(self, payload: bytes) -> bytes:
        key, ttl_ms = requests.parse_expire(payload)
        return responses.flag_response(self._engine.expire(key, ttl_ms))

    def _ttl(self, payload: bytes) -> bytes:
        left_ms = self._engine.ttl(requests.parse_key(payload))
        return responses.NULL_RESPONSE if left_ms is None else responses.i64_response(left_ms)

    # --- Read, decide, write -----------------------------------------------------------------

    def _incr(self, payload: bytes) -> bytes:
        key, delta = requests.parse_counter(payload)
        return self._add(key, delta)

    def _decr(self, payload: bytes) -> bytes:
        key, delta = requests.parse_counter(payload)
        return self._add(key, -delta)

    def _add(self, key: bytes, delta: int) -> bytes:
        def decide(is_there: bool, stored: bytes | None) -> Update[bytes, bytes]:
            number: Value = 0
            if is_there and stored is not None:
                # The tag decides, so a long value of another type need not be decoded.
                number = decode_value(stored) if stored[0] == Tag.INT else None
            if not isinstance(number, int):
                raise RefusedRequest("the value is not an Int")
            total = number + delta
            if not I64_MIN <= total <= I64_MAX:
                raise RefusedRequest("the counter would leave the range of a 64-bit Int")
            reply = responses.i64_response(total)
            return Update(result=reply, write=True, value=encode_value(total))

        return self._engine.update(key, decide)

    def _cas(self, payload: bytes) -> bytes:
        return self._cas_by_bytes(payload) or finish(self._cas_in_steps(payload))

    def _cas_by_bytes(self, payload: bytes) -> bytes | None:
        """A CAS whose expected value is equal only to its own bytes; None for any other CAS."""
        key, ttl_ms, expected, new = requests.parse_cas(payload)
        if expected[0] not in _ONE_FORM_TAGS:
            return None
        self._note_size(payload)

        def decide(is_there: bool, stored: bytes | None) -> Update[bytes, bytes]:
            if not is_there or stored is None:
                return Update(result=responses.NULL_RESPONSE)
            if stored != expected:
                return Update(result=responses.FALSE_RESPONSE)
            return Update(responses.TRUE_RESPONSE, write=True, value=new, ttl_ms=ttl_ms)

        return self._engine.update(key, decide)

    def _cas_in_steps(self, payload: bytes) -> Steps:
        parser = ValuesParser(payload, 2)
        yield from in_steps(parser)
        self._note_size(payload)
        swap = Swap(parser.values[0], parser.checks[0], parser.values[1], parser.ttl_ms)
        while (reply := self._engine.update(parser.key, swap.decide)) is None:
            yield None
        yield reply

    def _lock(self, payload: bytes) -> bytes:
        key, owner, ttl_ms = requests.parse_lock(payload)
        self._note_size(payload)
        return responses.flag_response(self._engine.setnx(key, _owner_value(owner), ttl_ms))

    def _unlock(self, payload: bytes) -> bytes:
        key, owner = requests.parse_unlock(payload)
        return self._update_lock(key, owner, Update(result=True, remove=True))

    def _extend(self, payload: bytes) -> bytes:
        key, owner, ttl_ms = requests.parse_lock(payload)
        held = _owner_value(owner)
        return self._update_lock(
            key, owner, Update(result=True, write=True, value=held, ttl_ms=ttl_ms)
        )

    def _update_lock(self, key: bytes, owner: bytes, update: Update[bytes, bool]) -> bytes:
        """Do ``update`` if ``owner`` holds the lock; 0 if it is free, ERROR if another does."""
        held = _owner_value(owner)

        def decide(is_there: bool, stored: bytes | None) -> Update[bytes, bool]:
            if not is_there:
                return Update(result=False)
            if stored != held:
                raise RefusedRequest("the lock is held by another owner")
            return update

        return responses.flag_response(self._engine.update(key, decide))

    # --- Batches -----------------------------------------------------------------------------

    def _mget(self, payload: bytes) -> bytes:
        return self._mget_reply(self._parse_keys(payload))

    def _mget_in_steps(self, payload: bytes) -> Steps:
        yield self._mget_reply((yield from self._keys_in_steps(payload)))

    def _mget_reply(self, keys: list[bytes]) -> bytes:
        values = self._engine.mget(keys)
        if len(values) * self._value_bytes_bound > self._reply_bytes_max:
            self._check_reply(values)
        return responses.values_response(values)

    def _mset(self, payload: bytes) -> bytes:
        return finish(self._mset_in_steps(payload))

    def _mset_in_steps(self, payload: bytes) -> Steps:
        parser = PairsParser(payload)
        yield from in_steps(parser)
        self._count_batch(payload)
        self._note_size(payload)
        self._engine.mset(parser.items, parser.ttl_ms)
        yield responses.EMPTY_RESPONSE

    def _msetex(self, payload: bytes) -> bytes:
        return finish(self._msetex_in_steps(payload))

    def _msetex_in_steps(self, payload: bytes) -> Steps:
        parser = EntriesParser(payload)
        yield from in_steps(parser)
        self._count_batch(payload)
        self._note_size(payload)
        self._engine.mset_each(parser.entries)
        yield responses.EMPTY_RESPONSE

    def _mdel(self, payload: bytes) -> bytes:
        return self._mdel_reply(self._parse_keys(payload))

    def _mdel_in_steps(self, payload: bytes) -> Steps:
        yield self._mdel_reply((yield from self._keys_in_steps(payload)))

    def _mdel_reply(self, keys: list[bytes]) -> bytes:
        count = self._engine.mdel(keys)
        try:
            return NO_REPLY if count is None else responses.count_response(count)
        except MemoryError:
            return NO_REPLY

    def _mexists(self, payload: bytes) -> bytes:
        return responses.flags_response(self._engine.mexists(self._parse_keys(payload)))

    def _mexists_in_steps(self, payload: bytes) -> Steps:
        keys = yield from self._keys_in_steps(payload)
        yield responses.flags_response(self._engine.mexists(keys))

    def _parse_keys(self, payload: bytes) -> list[bytes]:
        keys = requests.parse_keys(payload)
        self._count_batch(payload)
        return keys

    def _keys_in_steps(self, payload: bytes) -> Generator[None, None, list[bytes]]:
        parser = KeysParser(payload)
        yield from in_steps(parser)
        self._count_batch(payload)
        return parser.keys

    def _count_batch(self, payload: bytes) -> None:
        # A parsed batch starts with its count: repeated keys count towards its size.
        self.stats.batches[((payload[0] << 8) | payload[1]).bit_length()] += 1

    def _note_size(self, payload: bytes) -> None:
        if len(payload) > self._value_bytes_bound:
            self._value_bytes_bound = len(payload)

    def _check_reply(self, values: list[bytes | None]) -> None:
        """Reject a reply over the limit before it is built.

        Measuring costs half as much as building. So it is done only when the upper bound on value
        lengths does not rule out an oversize reply.
        """
        size = 2 + sum([1 if value is None else len(value) for value in values])
        if size > self._reply_bytes_max:
            raise RefusedRequest(
                f"the reply would have {size} bytes, more than {self._reply_bytes_max}: "
                "ask for fewer keys at a time"
            )

    # --- The server itself -------------------------------------------------------------------

    def _ping(self, payload: bytes) -> bytes:
        requests.parse_empty(payload)
        return responses.PONG_RESPONSE

    def _info(self, payload: bytes) -> bytes:
        requests.parse_empty(payload)
        fields = self.stats.info(entries=len(self._engine))
        return responses.ok_response(json.dumps(fields).encode())

    def _hello(self, payload: bytes) -> bytes:
        # The client's capabilities are not used yet; parsing rejects malformed payloads.
        requests.parse_hello(payload)
        return responses.ok_response(requests.hello_payload(PROTOCOL_VERSION, list(EXTENSIONS)))


def _owner_value(owner: bytes) -> bytes:
    """A stored lock: its owner as a String, readable by GET."""
    return encode_value(owner.decode("utf-8"))
